"""`pellucid data`: the data sets, where they are, and what is in one."""

import click

from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.cli.watch import data_progress


@click.command()
@click.argument("names", nargs=-1, metavar="[DATA]...")
@click.option("--data-root", metavar="FOLDER", help="Folder that holds the data set's files.")
@click.option("--download", is_flag=True, help="Download what is not there.")
@click.option("--bad-files", type=click.Choice(["error", "drop"]), default="error", help="Unreadable images.")
@json_option
def command(names: tuple[str, ...], data_root: str | None, download: bool, bad_files: str, as_json: bool) -> None:
    """List the data sets known by name; with DATA (names or folders), read them and say what they hold.

    \b
    pellucid data
    pellucid data digits photos/
    pellucid data mnist --download
    """
    from pellucid.data import load
    from pellucid.data import names as known_names

    if not names:
        known = [{"name": name, "description": description} for name, description in known_names()]
        if as_json:
            json_result(known)
        else:
            result(table([list(entry.values()) for entry in known], ["data set", "what it is"]))
            message("A folder with one folder of images per class is a data set, too.")
        return
    described = []
    for name in names:
        with data_progress() as progress:
            splits = load(name, root=data_root, download=download, bad_files=bad_files, progress=progress)
        described.append(splits.to_json())
        if not as_json:
            result(splits.description())
    if as_json:
        json_result(described)
