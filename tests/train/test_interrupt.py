"""Ctrl-C and termination: the step is finished and saved, a second one stops at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pellucid.train import checkpoint
from pellucid.train.interrupt import StopRequest, TrainingInterrupted
from pellucid.train.run import Run
from tests.train.fakes import BATCH, FakeDataset, FakeModel, fake_batches, figures_of, run_fake, same_weights


@pytest.fixture(autouse=True)
def hang_up_is_not_ignored() -> Iterator[None]:
    """The tests below start without it, also where they are run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [0, 6, 7, 16])
def test_a_signal_finishes_the_step_saves_and_leaves(tmp_path: Path, number: signal.Signals, at: int) -> None:
    def send(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted) as caught:
        run_fake(tmp_path / "a", hook=send)
    assert isinstance(caught.value, KeyboardInterrupt) and caught.value.exit_code == 130
    assert f"Stopped by {number.name} at epoch {at // 7 + 1}, batch {at % 7 + 1} of 7" in str(caught.value)
    assert "Continue with resume=True (on the command line: --resume)" in str(caught.value)
    assert signal.getsignal(number) is before, "the handler from before is back"
    assert checkpoint.load(tmp_path / "a/ckpt/last").position.step == at + 1
    assert f"stopped by {number.name}" in (tmp_path / "a/log.txt").read_text()
    assert_continues(tmp_path / "a")


def test_a_closed_terminal_means_nothing_to_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = run_fake(hook=lambda step: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.stopped == "epochs"


def assert_continues(folder: Path) -> None:
    expected = run_fake()
    run = run_fake(folder, resume=True)
    assert same_weights(run.model.parameters, expected.model.parameters)
    assert figures_of(run) == figures_of(expected)


def test_a_signal_during_validation_keeps_the_epoch(tmp_path: Path) -> None:
    """The epoch's training is saved as done; only its validation is made again."""
    sent = []

    def batches(size: int, dataset: FakeDataset, epoch: int | None, start: int) -> Iterator[Any]:
        for batch in fake_batches(size, dataset, epoch, start):
            if epoch is None and not sent:
                sent.append(os.kill(os.getpid(), signal.SIGINT))
            yield batch

    with pytest.raises(TrainingInterrupted, match="epoch 1, batch 7 of 7"):
        run_fake(tmp_path / "a", batches=batches)
    position = checkpoint.load(tmp_path / "a/ckpt/last").position
    assert (position.epoch, position.batch, position.seen) == (0, 7, 50)
    assert_continues(tmp_path / "a")


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """The step itself is left; the checkpoint before is intact."""
    finished = []

    def send(step: int) -> None:
        if step == 9:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            finished.append(step)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        run_fake(tmp_path / "a", hook=send)
    assert not isinstance(caught.value, TrainingInterrupted)
    assert not finished
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoint.load(tmp_path / "a/ckpt/last").position.step == 7
    assert_continues(tmp_path / "a")


def test_without_a_folder_the_model_keeps_what_was_learned() -> None:
    model = FakeModel()
    before = {name: value.copy() for name, value in model.parameters.items()}

    def send(step: int) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="nothing was saved, because the run has no folder"):
        run_fake(model=model, hook=send)
    assert not same_weights(model.parameters, before)


def test_outside_the_main_thread_no_handlers_are_touched(tmp_path: Path) -> None:
    runs: list[Run] = []
    handlers: list[Any] = []

    def train() -> None:
        runs.append(run_fake(hook=lambda step: handlers.append(signal.getsignal(signal.SIGINT))))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert len(runs) == 1 and len(runs[0].history) == 3
    assert set(handlers) == {before}


def test_handlers_are_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), StopRequest() as stop:
        assert signal.getsignal(signal.SIGTERM) != before and stop.requested is None
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_to_a_process(tmp_path: Path) -> None:
    """As a job scheduler does it: the process ends by itself, soon, with everything saved."""
    code = (
        "import sys, time; from pathlib import Path; from tests.train.fakes import run_fake\n"
        "from pellucid.train.interrupt import TrainingInterrupted\n"
        "def slow(step):\n    print(step, flush=True); time.sleep(0.02)\n"
        "try: run_fake(Path(sys.argv[1]), epochs=100, hook=slow)\n"
        "except KeyboardInterrupt as stop: sys.exit(stop.exit_code)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "10":
            pass
        process.terminate()
        process.stdout.read()
    assert process.returncode == 130
    position = checkpoint.load(tmp_path / "a/ckpt/last").position
    assert position.step >= 11
    assert position.step == position.epoch * -(-50 // BATCH) + position.batch
