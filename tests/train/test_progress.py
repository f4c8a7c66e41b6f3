"""What is shown: a bar on a terminal, lines elsewhere, nothing when silenced."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from pellucid.train import progress
from pellucid.train.progress import Live, Now, Plain, Silent, bar_layout, columns, duration, make_progress, summary_line
from tests.train.fakes import run_fake

ROW = {
    "epoch": 2,
    "train_loss": 0.25,
    "train_accuracy": 0.9,
    "validation_loss": 0.5,
    "validation_accuracy": 0.875,
    "images_per_second": 12345.6,
    "seconds": 65.0,
    "learning_rate": 0.1,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_way_is_chosen_by_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_progress(True, Terminal()), Live)
    assert isinstance(make_progress(True, io.StringIO()), Plain)
    assert isinstance(make_progress(False, Terminal()), Silent)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(True, Terminal()), Plain)


def test_an_epoch_in_one_line() -> None:
    assert summary_line(ROW, 5, True) == (
        "epoch 2/5  train loss 0.2500 accuracy 90.00%  validation loss 0.5000 accuracy 87.50%"
        "  12,346 images/s  1:05  best so far"
    )
    without = ROW | {"validation_loss": None, "validation_accuracy": None}
    assert "validation" not in summary_line(without, 5, False)
    assert summary_line(without, 5, False).endswith("1:05")


def test_durations() -> None:
    seconds = (0.04, 9.94, 9.96, 59.4, 65, 3600, 3725)
    expected = ["0.0 s", "9.9 s", "10.0 s", "59 s", "1:05", "1:00:00", "1:02:05"]
    assert [duration(s) for s in seconds] == expected


def test_plain_lines_come_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    plain = Plain(stream)
    plain.start_epoch(1, 5, 300, 0)
    for batch in range(1, 241):
        clock[0] += 0.125
        plain.update(Now(batch, 300, 0.5, 0.75, 640.0, None if batch < 150 else 125.0))
    plain.end_epoch(ROW, 5, False)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"epoch 1/5  batch 80/300  loss 0\.5000  accuracy 75\.0%  640 images/s", lines[0])
    assert lines[1].endswith("640 images/s  2:05 left")
    assert lines[3] == summary_line(ROW, 5, False)


def test_a_run_prints_a_line_per_epoch_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    run_fake(epochs=3, progress=make_progress(True))
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for data"
    lines = [line.split("  ")[0] for line in captured.err.splitlines()]
    assert lines == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_a_silent_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run_fake(progress=make_progress(False))
    assert capsys.readouterr() == ("", "")


COLOUR = r"\x1b\[(\d+;)*[39][0-8](;\d+)*m"

ON_A_TERMINAL = """
import time
from pellucid.train.progress import make_progress
from tests.train.fakes import run_fake
run_fake(epochs=2, progress=make_progress(True), hook=lambda step: time.sleep(0.04))
"""


def on_a_terminal(**environment: str) -> str:
    """Run the fake training on a terminal of its own; return everything it wrote there."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm", "COLUMNS": "110", **environment}
    variables = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | settings
    with subprocess.Popen([sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, env=variables) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            written += part
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_a_live_bar_on_a_terminal() -> None:
    written = on_a_terminal()
    assert "\repoch 2/2" in written, "the bar is redrawn in place"
    assert re.search(r"epoch 1/2.*█.*\d/7.*loss \d\.\d{4}.*accuracy \d+\.\d%.*images/s", written)
    assert re.search(r"epoch 2/2.*\d(\.\d)? s left", written), "the time left is shown"
    assert re.search(r"epoch 1/2  train loss .*validation loss", written)
    assert re.search(r"\r +\repoch 1/2  train loss", written), "the bar makes way for the epoch's results"
    assert re.search(COLOUR, written)


def test_a_narrow_terminal_shows_less_but_whole_words() -> None:
    written = on_a_terminal(COLUMNS="50")
    assert re.search(r"epoch 2/2 .*\d/7  loss \d\.\d{3}  \d(\.\d)? s left", written)
    bars = [re.sub(r"\x1b\[\d*m", "", line) for line in re.split(r"\r|\n", written) if "█" in line]
    assert bars and all(len(line) < 50 and "/7" in line for line in bars)


NOW = Now(422, 938, 0.1234, 0.9725, 12345.6, 125.0)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (120, "epoch 1/10 {bar} 422/938  loss 0.1234  accuracy 97.2%  12,346 images/s  2:05 left"),
        (84, "epoch 1/10 {bar} 422/938  loss 0.1234  accuracy 97.2%  12,346 images/s  2:05 left"),
        (79, "epoch 1/10 {bar} loss 0.1234  accuracy 97.2%  12,346 images/s  2:05 left"),
        (68, "epoch 1/10 {bar} 422/938  loss 0.1234  accuracy 97.2%  2:05 left"),
        (50, "epoch 1/10 {bar} 422/938  loss 0.123  2:05 left"),
        (30, "epoch 1/10  422/938"),
    ],
)
def test_what_fits_beside_the_bar(width: int, expected: str) -> None:
    assert bar_layout("epoch 1/10", 422, 938, NOW, width) == expected


def test_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    assert columns(Terminal()) == 43
    monkeypatch.setenv("COLUMNS", "many")
    assert columns(Terminal()) == 79, "it has no file to ask"
    monkeypatch.delenv("COLUMNS")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 61, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        assert columns(terminal) == 60
    os.close(ours)


def test_messages_are_printed_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    live = Live(stream)
    live.message("before")
    live.start_epoch(1, 2, 10, 4)
    live.message("in between")
    live.close()
    written = stream.getvalue()
    assert written.startswith("before\n\repoch 1/2")
    assert "\rin between\n" in written
    assert re.search(r"in between\n\repoch 1/2 .* 4/10", written), "the bar comes back"
    assert written.endswith("\r"), "and leaves an empty line"


def test_no_color_is_honoured() -> None:
    written = on_a_terminal(NO_COLOR="1")
    assert "epoch 2/2" in written
    assert not re.search(COLOUR, written)


def test_tqdm_is_not_imported_until_it_is_needed() -> None:
    code = "import sys, pellucid.train; sys.exit(any(m in sys.modules for m in ('tqdm', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_live_bar_gives_the_terminal_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    def fail(step: int) -> None:
        if step == 3:
            time.sleep(0.15)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run_fake(progress=make_progress(True, stream), hook=fail)
    assert re.search(r"\repoch 1/3.*\r +\r$", stream.getvalue()), "an empty line is left"
