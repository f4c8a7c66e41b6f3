"""Stopped anywhere and resumed, a run is the same, bit for bit, as if it had never stopped."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pellucid.errors import CheckpointError, ResourceError
from pellucid.train import checkpoint
from pellucid.train.run import Run, load_run
from pellucid.train.schedules import LinearWarmup
from pellucid.train.settings import Interval
from tests.train.fakes import FakeModel, FakeStep, figures_of, make_splits, run_fake, same_weights
from tests.train.faults import ERRORS, Disk, die, fail_from_then_on, in_child


class Killed(BaseException):
    """Stands for the end of the process: nothing may handle it."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_fake(tmp_path_factory.mktemp("runs") / "a", epochs=3, schedule=LinearWarmup(10))


def assert_same(run: Run, expected: Run) -> None:
    assert same_weights(run.model.parameters, expected.model.parameters)
    assert figures_of(run) == figures_of(expected)


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_killed_before_any_step_and_resumed(tmp_path: Path, uninterrupted: Run, every: int) -> None:
    """3 epochs of 7 steps; killed before each of the 21 steps in turn, checkpoints at various distances."""
    for at in range(21):

        def kill(step: int, at: int = at) -> None:
            if step == at:
                raise Killed

        folder = tmp_path / str(at)
        settings = {"schedule": LinearWarmup(10), "interval": Interval(steps=every)}
        with pytest.raises(Killed):
            run_fake(folder, hook=kill, **settings)  # type: ignore[arg-type]
        position = checkpoint.load(folder / "ckpt/last").position
        assert position.step <= at, "a checkpoint is never ahead of the steps"
        assert position.step >= max(at // 7 * 7, at - every), "no more than one interval is lost"
        assert_same(run_fake(folder, resume=True, **settings), uninterrupted)  # type: ignore[arg-type]


def test_killed_at_any_call_of_the_operating_system_and_resumed(tmp_path: Path, uninterrupted: Run) -> None:
    """kill -9 at disk access number n of a whole run, for all n: the checkpoint loads, resuming is exact."""
    settings = {"schedule": LinearWarmup(10), "interval": Interval(steps=4)}
    for n in itertools.count(1, 5):
        folder = tmp_path / str(n)

        def body(folder: Path = folder, n: int = n) -> None:
            Disk(pytest.MonkeyPatch(), n, die)
            run_fake(folder, **settings)  # type: ignore[arg-type]

        if in_child(body) == 0:
            break
        run = run_fake(folder, resume="auto", **settings)  # type: ignore[arg-type]
        assert_same(run, uninterrupted)
        assert uninterrupted.folder is not None
        bests = [checkpoint.load(place / "ckpt/best") for place in (folder, uninterrupted.folder)]
        assert same_weights(bests[0].weights, bests[1].weights), f"killed at call {n}"
        names = {path.name for path in folder.iterdir()}
        assert names <= {
            *("config.toml", "env.json", "data.json", "metrics.csv", "metrics.jsonl", "log.txt", "ckpt"),
            ".lock",
        }, f"killed at call {n}"
    assert n > 150


@pytest.mark.parametrize("number", ERRORS)
def test_a_disk_that_fails_at_any_call_and_is_mended(tmp_path: Path, uninterrupted: Run, number: int) -> None:
    """Errors are the user's to see, without a traceback; after mending, resuming is exact."""
    settings = {"schedule": LinearWarmup(10), "interval": Interval(steps=4)}
    for n in itertools.count(2, 13):
        folder = tmp_path / str(n)
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, n, fail_from_then_on(number))
            try:
                run_fake(folder, **settings)  # type: ignore[arg-type]
            except ResourceError as error:
                assert os.strerror(number) in str(error)
                assert str(folder) in str(error)
        if disk.count < n:
            break
        assert_same(run_fake(folder, resume="auto", **settings), uninterrupted)  # type: ignore[arg-type]
    assert n > 150


def test_a_finished_run_is_extended_exactly(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=2)
    assert_same(run_fake(tmp_path / "a", epochs=5, resume=True), run_fake(epochs=5))


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first = run_fake(tmp_path / "a", epochs=2)
    before = (tmp_path / "a/ckpt/last/state.json").read_bytes()
    assert_same(run_fake(tmp_path / "a", epochs=2, resume=True), first)
    assert (tmp_path / "a/ckpt/last/state.json").read_bytes() == before


def test_patience_is_counted_across_a_stop(tmp_path: Path) -> None:
    def kill(step: int) -> None:
        if step == 17:
            raise Killed

    with pytest.raises(Killed):
        run_fake(tmp_path / "a", epochs=50, patience=3, learning_rate=0.0, hook=kill)
    run = run_fake(tmp_path / "a", epochs=50, patience=3, learning_rate=0.0, resume=True)
    assert len(run.history) == 4 and run.stopped == "patience"


def test_a_damaged_last_checkpoint_stops_the_resumption(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=2)
    path = tmp_path / "a/ckpt/last/state.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"last/state\.safetensors is damaged") as caught:
        run_fake(tmp_path / "a", epochs=3, resume=True)
    assert caught.value.exit_code == 3
    assert path.read_bytes() == data, "nothing was overwritten"
    assert load_run(tmp_path / "a", "best", model=FakeModel()).best is not None, "the best one still loads"


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run_fake(tmp_path / "a", epochs=1)
    other = FakeModel()
    other.parameters["fc.extra"] = other.parameters.pop("fc.bias")[:2]
    step = FakeStep(FakeModel())
    step.inner.parameters = other.parameters
    step.momentum = dict(other.parameters)
    with pytest.raises(CheckpointError) as caught:
        run_fake(tmp_path / "a", epochs=2, resume=True, step=step)
    message = str(caught.value)
    assert "belongs to another network or optimiser" in message
    assert "missing: model.fc.extra 2" in message and "unexpected: model.fc.bias 3" in message


ENDLESS = """
import sys
from pathlib import Path
from pellucid.train.settings import Interval
from tests.train.fakes import run_fake
run_fake(Path(sys.argv[1]), epochs=int(sys.argv[2]), resume="auto", interval=Interval(steps=2))
"""


def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    """A real process, killed six times wherever it happens to be, then left to finish."""
    folder, epochs = tmp_path / "a", 120
    command = [sys.executable, "-c", ENDLESS, str(folder), str(epochs)]
    position = 0
    for delay in (0.02, 0.11, 0.05, 0.2, 0.0, 0.07):
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                deadline = time.monotonic() + 30
                started = steps(folder)
                while steps(folder) == started and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(delay)
            finally:
                process.kill()
            _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
        assert steps(folder) >= position, "nothing saved was lost"
        position = steps(folder)
    assert 0 < position < epochs * 7
    assert_same(run_fake(folder, epochs=epochs, resume=True), run_fake(epochs=epochs))


def steps(folder: Path) -> int:
    place = folder / "ckpt/last"
    return checkpoint.load_position(place).step if checkpoint.exists(place) else -1


def test_the_data_must_be_the_same(tmp_path: Path) -> None:
    from pellucid.train.settings import fingerprint

    one, other = make_splits(), make_splits()
    assert fingerprint(one) == fingerprint(other)
    other.train.labels[3] = (other.train.labels[3] + 1) % 3
    assert fingerprint(one) != fingerprint(other)
