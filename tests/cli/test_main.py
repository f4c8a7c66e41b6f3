"""Errors become messages and exit codes; nothing shows a traceback unless it is asked for."""

import errno
import os
import subprocess
import sys
import time

import click
import pytest

from pellucid import errors
from pellucid.cli import main
from pellucid.train.interrupt import TrainingInterrupted


def run_with(error: BaseException) -> int:
    def fail() -> None:
        raise error

    return main.guarded(fail)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.ShapeError("conv1: expects 3 channels"), 2, "pellucid: error: conv1: expects 3 channels\n"),
        (errors.DataError("a.png: damaged"), 3, "pellucid: error: a.png: damaged\n"),
        (errors.DivergedError("loss became nan"), 4, "pellucid: error: loss became nan\n"),
        (errors.ResourceError("disk full"), 5, "pellucid: error: disk full\n"),
        (errors.CheckFailedError("accuracy 0.9"), 6, "pellucid: error: accuracy 0.9\n"),
        (errors.MissingExtraError("install it"), 7, "pellucid: error: install it\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            5,
            "pellucid: error: a/b: No space left on device.\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            5,
            "pellucid: error: a: Permission denied.\n",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), 3, "pellucid: error: a: No such file.\n"),
        (MemoryError(), 5, "pellucid: error: not enough memory. Use a smaller"),
        (MemoryError("no 9 GiB"), 5, "pellucid: error: not enough memory. no 9 GiB. Use a smaller"),
        (KeyboardInterrupt(), 130, "pellucid: interrupted\n"),
        (TrainingInterrupted("Stopped; saved in x."), 130, "pellucid: Stopped; saved in x.\n"),
        (click.Abort(), 130, "pellucid: interrupted\n"),
        (
            click.BadParameter("Not a number."),
            2,
            "pellucid: error: invalid value: Not a number.\nTry 'pellucid --help'.",
        ),
        (
            ZeroDivisionError("by zero"),
            1,
            "pellucid: error: ZeroDivisionError: by zero\nThis is a mistake in Pellucid",
        ),
    ],
)
def test_error_becomes_message_and_code(
    error: BaseException,
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PELLUCID_DEBUG", raising=False)
    assert run_with(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert "Traceback" not in err


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_with(ZeroDivisionError())


def test_the_result_of_a_command_is_its_exit_code() -> None:
    assert main.guarded(lambda: 6) == 6
    assert main.guarded(lambda: None) == 0


def pellucid(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pellucid", *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "pellucid: error: there is no command 'trian'. Did you mean 'train'?"),
        (["xyzzy"], "there is no command 'xyzzy'. There are: train, eval,"),
        (["--versoin"], "no such option"),
        (["doctor", "--jason"], "no such option"),
        (["doctor", "more"], "unexpected extra argument"),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    done = pellucid(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "--help'." in done.stderr
    assert done.stdout == ""


def test_help_lists_every_command_and_what_to_expect() -> None:
    done = pellucid("--help")
    assert done.returncode == 0
    for name in main.COMMANDS:
        assert f"\n  {name} " in done.stdout
    for promise in ("Exit codes: 0 ok, 2 usage", "PELLUCID_DEBUG=1", "NO_COLOR"):
        assert promise in done.stdout
    assert pellucid().stdout == done.stdout


def test_help_is_quick() -> None:
    pellucid("--help")
    began = time.perf_counter()
    pellucid("--help")
    assert time.perf_counter() - began < 1.0  # 0.1 s here; the rest is for a busy machine


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    command = main.LazyGroup().get_command(click.Context(main.pellucid), name)
    assert command is not None
    assert command.help
    assert command.name == "command"


def test_version_is_a_result() -> None:
    done = pellucid("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("pellucid ")


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 141), (["trian"], 2)])
def test_a_reader_that_leaves_early_hears_nothing(arguments: list[str], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pellucid", *arguments]
    done = subprocess.run(command, stdout=writer, stderr=writer, timeout=60, check=False)
    os.close(writer)
    assert done.returncode == code


def test_a_full_or_closed_stdout() -> None:
    command = f"{sys.executable} -m pellucid --help"
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, timeout=60)
    assert (full.returncode, full.stderr) == (5, "pellucid: error: No space left on device.\n")
    closed = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, text=True, timeout=60)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_a_warning_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main.show_warning("the native engine cannot run here", UserWarning, "file.py", 3)
    assert capsys.readouterr() == ("", "pellucid: warning: the native engine cannot run here\n")
