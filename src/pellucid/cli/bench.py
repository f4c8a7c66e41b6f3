"""`pellucid bench`: how fast Pellucid is on this machine, also beside PyTorch."""

from pathlib import Path
from typing import Any

import click

from pellucid.cli.output import json_option, json_result, message, result, table
from pellucid.errors import UsageError


@click.command()
@click.argument("networks", metavar="[NETWORK]...", nargs=-1)
@click.option("--layers", is_flag=True, help="Measure single convolutions in place of networks.")
@click.option("--only", default="", metavar="TEXT", help="With --layers: only those whose name contains the text.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per step in place of the usual numbers.")
@click.option("--training/--inference", "training", default=None, help="Only training steps, or only predictions.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of both sides; all processors unless given.")
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Turns of each side.")
@click.option("--seconds", type=click.FloatRange(min=0), default=0.2, show_default=True, help="Length of a turn.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Measure again, so long for each workload, where other programs disturb.",
)
@click.option(
    "--against", type=click.Choice(["torch", "nothing"]), help="Opponent; PyTorch where it is installed, unless said."
)
@click.option("--mode", "modes", multiple=True, help="Only these of PyTorch's modes: eager, channels_last, compile.")
@click.option("--memory/--no-memory", default=True, show_default=True, help="Measure the networks' peak memory, too.")
@click.option("--to-accuracy", type=click.FloatRange(0, 1), metavar="SHARE", help="Train LeNet-5 on MNIST so far.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder that holds MNIST's files.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@json_option
def command(as_json: bool, networks: tuple[str, ...], to_accuracy: float | None, **given: Any) -> int:
    """Measure how long networks take for a training step and for a prediction, or single layers.

    PyTorch, where it is installed, gets the same weights, images and threads and takes turns with
    Pellucid in the same run; of its modes the fastest counts. Both results are compared: where they
    differ, there is no speed, and the exit code is 6. Times are medians with quartiles.

    \b
    pellucid bench
    pellucid bench lenet5 --batch-size 64 --training
    pellucid bench --layers --only "3x3 14x14"
    pellucid bench --to-accuracy 0.99
    """
    from pellucid.bench import machine
    from pellucid.engines.native.plan import number_of_threads

    threads = number_of_threads(given["threads"])
    if to_accuracy is not None:
        return train_to(to_accuracy, threads, given["data_root"], as_json)
    workloads = chosen_workloads(networks, given["layers"], given["only"], given["batch_size"], given["training"])
    modes, version = opponent_modes(given["against"], given["modes"], threads)
    described = machine.describe(threads, version)
    for line in machine.lines(described):
        message(line)
    results = measured(workloads, threads, modes, given)
    return print_results(described, results, "json" if as_json else "markdown" if given["markdown"] else "text")


def chosen_workloads(
    networks: tuple[str, ...], layers: bool, only: str, batch: int | None, training: bool | None
) -> list[Any]:
    """What to measure; UsageError for a combination that means nothing."""
    from pellucid.bench.workloads import convolutions
    from pellucid.bench.workloads import networks as usual

    if layers and (networks or training is not None):
        raise UsageError("--layers measures single layers in all directions: name no network and neither kind of run.")
    if only and not layers:
        raise UsageError("--only chooses among single layers: add --layers.")
    return list(convolutions(batch, only) if layers else usual(networks, batch, training))


def opponent_modes(against: str | None, modes: tuple[str, ...], threads: int) -> tuple[tuple[str, ...], str | None]:
    """PyTorch's modes to measure and its version; none where it is neither asked for nor installed."""
    from pellucid.bench import opponent

    unknown = [mode for mode in modes if mode not in opponent.MODES]
    if unknown:
        raise UsageError(f"PyTorch has no mode {unknown[0]!r} here; there are {', '.join(opponent.MODES)}.")
    if against == "nothing" or (against is None and not modes and not opponent.installed()):
        if against is None:
            message("PyTorch is not installed here: Pellucid is measured alone, and checked against its reference.")
        return (), None
    return modes or opponent.MODES, opponent.start(threads)


def measured(workloads: list[Any], threads: int, modes: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
    """Measure one workload after another, saying which."""
    from pellucid.bench.measure import Settings, measure

    settings = Settings(
        threads,
        given["rounds"],
        given["seconds"],
        modes=modes,
        memory=given["memory"],
        patience=given["patience"],
    )
    results = []
    for number, workload in enumerate(workloads, 1):
        message(f"{number}/{len(workloads)}: {workload.name}, {workload.what}, batch {workload.batch}")
        results.append(measure(workload, settings))
    return results


def print_results(machine: dict[str, Any], results: list[Any], form: str) -> int:
    """A table or JSON; exit code 6 where a result was wrong."""
    from pellucid.bench import table as tables

    if form == "json":
        json_result({"machine": machine, "results": [r.to_json() for r in results]})
    else:
        header, rows = tables.header(results), tables.rows(results)
        result(tables.markdown(header, rows) if form == "markdown" else table(rows, header))
        for line in tables.remarks(results):
            message(line)
    wrong = [r for r in results if not r.correct]
    for r in wrong:
        message(f"{r.name}, {r.what}: {r.where} differs from {r.compared_with}'s by {r.distance:.1e}: no result.")
    return 6 if wrong else 0


def train_to(target: float, threads: int, root: Path | None, as_json: bool) -> int:
    """Train LeNet-5 on MNIST; exit code 6 where the accuracy was not reached."""
    from pellucid.bench.accuracy import race

    done = race(target, threads=threads, root=root, say=message)
    json_result(done.to_json()) if as_json else result("\n".join(done.lines()))
    return 0 if done.reached else 6
