"""The `pellucid` command: finds the subcommand, runs it, turns every error into a message and an exit code.

Subcommands are imported when they are called, so that `pellucid --help` answers at once.
"""

import difflib
import errno
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

import click

from pellucid import __version__
from pellucid.cli.output import message as say
from pellucid.errors import PellucidError

# command: what the overview says about it; each lives in pellucid/cli/<command>.py as `command` (with _ for -)
COMMANDS = {
    "train": "Train a model on a data set and write a run folder.",
    "eval": "Measure a trained model on a split of its data.",
    "experiment": "Train several networks to answer a question, such as what depth does.",
    "predict": "Classify image files or folders with a trained model.",
    "summary": "List a model's layers: shapes, parameters, multiply-adds.",
    "derive": "Print a layer's equation and the gradients derived from it.",
    "explain": "Open one number, forward or backward, into its arithmetic.",
    "notes": "Run the worked examples of the lecture notes, and say where they go wrong.",
    "check": "Judge a hand-worked solution, number by number.",
    "exercise": "Make an exercise with friendly numbers, or grade the answers to one.",
    "look": "Draw what is inside a network: fields, maps, filters, where a class comes from.",
    "why-nan": "Follow a number that is NaN or infinite to the first number at fault.",
    "why-zero": "Follow a number that is 0 to what makes it 0.",
    "export": "Write a model as ONNX or its weights as safetensors.",
    "convert": "Turn a PyTorch .pth file into safetensors, without running code.",
    "bench": "Measure speed on this machine, also beside PyTorch.",
    "compile": "Print what the native engine makes of a model: loops, LLVM, assembly, speed.",
    "models": "List the models that can be trained.",
    "data": "List the data sets and where they are; describe one.",
    "doctor": "Report the machine, the installation and what runs here.",
}

EPILOG = """Exit codes: 0 ok, 2 usage or configuration, 3 data, 4 diverged, 5 resources, 6 a required
check failed, 7 a missing extra, 130 interrupted. Results go to stdout, messages to stderr. NO_COLOR is
honoured. PELLUCID_DEBUG=1 shows the traceback of an error."""

# The system refused: disk full or read-only, over quota, not permitted, too many open files, no memory.
REFUSALS = {
    errno.ENOSPC,
    errno.EROFS,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
}

INTERRUPTED = 130
NOBODY_READS = 141  # what the shell reports of a program that SIGPIPE ended


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called, and suggests the one that was meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of a person's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, importlib.import_module(f"pellucid.cli.{cmd_name.replace('-', '_')}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first argument; raise with a suggestion if there is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"there is no command '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version and leave, when --version was given."""
    if asked and not ctx.resilient_parsing:
        click.echo(f"pellucid {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print the version.",
)
@click.pass_context
def pellucid(context: click.Context) -> None:
    """Convolutional neural networks you can see through."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def complain(message: str) -> None:
    """Print an error for people, on stderr; the exit code tells it even if nobody reads there."""
    say(f"pellucid: error: {message}")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as a sentence, without the place in the source that Python adds."""
    say(f"pellucid: warning: {message}")


def usage_message(error: click.ClickException) -> str:
    """Click's complaint in our form, with the command whose help explains more."""
    message = error.format_message()
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "pellucid"
    return f"{message}\nTry '{path} --help'."


def system_message(error: OSError) -> tuple[str, int]:
    """What the system refused, and the exit code: 5 for resources, 3 for missing or wrong files."""
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or str(error)
    return f"{where}{what}.", 5 if error.errno in REFUSALS else 3


def report(error: BaseException) -> int:
    """Print one message for an error and give the exit code that belongs to it."""
    if isinstance(error, PellucidError):
        complain(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        complain(usage_message(error))
        return 2
    if isinstance(error, KeyboardInterrupt | click.Abort | EOFError):
        say(f"pellucid: {error}" if str(error) else "pellucid: interrupted")
        return INTERRUPTED
    if isinstance(error, MemoryError):
        details = f"{str(error).rstrip('.')}. " if str(error) else ""
        complain(f"not enough memory. {details}Use a smaller --batch-size or a smaller model.")
        return 5
    if isinstance(error, OSError):
        message, code = system_message(error)
        complain(message)
        return code
    complain(
        f"{type(error).__name__}: {error}\nThis is a mistake in Pellucid, not in what you asked. "
        "PELLUCID_DEBUG=1 shows where it happened; please report it."
    )
    return 1


def open_streams() -> None:
    """Give the process the standard streams it was started without (`>&-`), so that no file takes their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def drop_unheard() -> None:
    """Discard what stderr would not take: Python tries again on leaving, and its failure changes the exit code."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def quietly_closed() -> int:
    """The reader of our output has left (as in `pellucid models | head -1`): say nothing, also at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    return NOBODY_READS


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; its exit code, with errors printed (or raised, with PELLUCID_DEBUG=1)."""
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        return quietly_closed()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("PELLUCID_DEBUG") == "1" and not isinstance(error, click.ClickException):
            raise
        return report(error)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""

    def run() -> Any:
        context = pellucid.make_context("pellucid", list(sys.argv[1:] if arguments is None else arguments))
        with context, warnings.catch_warnings():
            warnings.showwarning = show_warning
            return pellucid.invoke(context)

    open_streams()
    code = guarded(run)
    drop_unheard()
    sys.exit(code)
