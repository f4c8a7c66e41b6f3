"""A checkpoint survives everything the disk and the process can do, or says what is wrong with it."""

import errno
import hashlib
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.errors import CheckpointError, ResourceError
from pellucid.train import checkpoint
from pellucid.train.checkpoint import POSITION, STATE, WEIGHTS, Checkpoint
from pellucid.train.state import TrainingState
from tests.train.fakes import same_weights
from tests.train.faults import ERRORS, Disk, die, fail_from_then_on, fail_once, in_child

FILES = (WEIGHTS, STATE, POSITION)


def make(number: int, size: int = 5) -> Checkpoint:
    """A checkpoint recognisable by its number."""
    weights = {
        "conv1.weight": np.full((2, 1, 3, size), number, np.float32),
        "conv1.bias": np.zeros(2, np.float32),
    }
    state = {"optimizer.momentum": np.arange(4.0) * number, "counter.step": np.array(number)}
    return Checkpoint(weights, state, TrainingState(step=number), {"fixed": {"seed": 0}}, {"model": "m"})


def number_of(folder: Path) -> int:
    """Load the checkpoint, check that it is whole, and say which one it is."""
    loaded = checkpoint.load(folder)
    number = loaded.position.step
    expected = make(number, loaded.weights["conv1.weight"].shape[-1])
    assert same_weights(loaded.weights, dict(sorted(expected.weights.items())))
    assert same_weights(loaded.state, dict(sorted(expected.state.items())))
    return number


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    last = tmp_path / "ckpt/last"
    row = {"epoch": 1, "train_loss": 0.1 + 0.2, "train_accuracy": 1 / 3, "validation_loss": None}
    row |= {"validation_accuracy": None, "images_per_second": 1e-300, "seconds": 0.0, "learning_rate": 1e22}
    position = TrainingState(1, 2, 3, 0.1 + 0.7, 5, 6, 7.25, 0.05, row, 0, [row], "patience")
    stored = make(3)
    checkpoint.save(last, Checkpoint(stored.weights, stored.state, position, {"a": [1, None]}, {"model": "é"}))
    loaded = checkpoint.load(last)
    assert loaded.position == position
    assert loaded.settings == {"a": [1, None]} and loaded.spec == {"model": "é"}
    assert loaded.state["counter.step"].shape == () and loaded.state["counter.step"].dtype == np.int64
    assert loaded.weights["conv1.weight"].flags.writeable
    assert checkpoint.load_position(last) == position


def test_a_non_contiguous_array_is_saved_by_value(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    checkpoint.save(tmp_path / "last", Checkpoint({"w": values.T}, {}, TrainingState(), {}))
    assert np.array_equal(checkpoint.load(tmp_path / "last").weights["w"], values.T)


def test_permissions_are_the_users_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        checkpoint.save(tmp_path / "last", make(1))
    finally:
        os.umask(before)
    assert {(tmp_path / "last" / name).stat().st_mode & 0o777 for name in FILES} == {0o640}


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("fail", [fail_once, fail_from_then_on])
def test_failure_at_every_call_leaves_a_loadable_checkpoint(tmp_path: Path, number: int, fail: Any) -> None:
    """The n-th call of the operating system fails, for n = 1, 2, ... until saving succeeds untouched."""
    refused = 0
    for n in itertools.count(1):
        last = tmp_path / str(n) / "last"
        checkpoint.save(last, make(1))
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, n, fail(number))
            try:
                checkpoint.save(last, make(2))
            except ResourceError as error:
                refused += 1
                message = str(error)
                assert "Could not save the checkpoint" in message and os.strerror(number) in message
                assert f"The checkpoint saved before in {last} is intact." in message
        assert number_of(last) in (1, 2)
        checkpoint.save(last, make(3))
        assert number_of(last) == 3
        assert os.listdir(last.parent) == ["last"], "nothing is left over"
        if disk.count < n:
            break
    assert refused >= 15, "most calls are needed, so their failure must be reported"


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_failure_in_the_first_save_leaves_no_checkpoint_or_a_whole_one(tmp_path: Path, number: int) -> None:
    for n in itertools.count(1):
        last = tmp_path / str(n) / "last"
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, n, fail_from_then_on(number))
            try:
                checkpoint.save(last, make(1))
            except ResourceError as error:
                assert "is intact" not in str(error) or checkpoint.exists(last)
        if checkpoint.exists(last):
            assert number_of(last) == 1
        else:
            with pytest.raises(CheckpointError, match=r"state\.json is missing"):
                checkpoint.load(last)
        if disk.count < n:
            break
    assert n >= 18


def test_kill_at_every_call_leaves_a_loadable_checkpoint(tmp_path: Path) -> None:
    for n in itertools.count(1):
        last = tmp_path / str(n) / "last"
        checkpoint.save(last, make(1))

        def body(last: Path = last, n: int = n) -> None:
            Disk(pytest.MonkeyPatch(), n, die)
            checkpoint.save(last, make(2))

        code = in_child(body)
        assert code in (0, 9)
        assert number_of(last) in (1, 2), f"killed at call {n}"
        checkpoint.save(last, make(3))
        assert number_of(last) == 3
        assert os.listdir(last.parent) == ["last"]
        if code == 0:
            break
    assert n >= 18


@pytest.mark.parametrize("only", [False, True])
def test_power_failure_at_every_call_leaves_a_loadable_checkpoint(tmp_path: Path, only: bool) -> None:
    """As above, but what was not flushed is lost: half of each file, and new names in folders."""
    checked = 0
    for n in itertools.count(1):
        for first in itertools.count():
            last = tmp_path / f"{n}-{first}" / "last"
            checkpoint.save(last, make(1))

            def body(last: Path = last, n: int = n, first: int = first) -> None:
                def lose_power(disk: Disk, name: str) -> None:
                    os._exit(9 if disk.lose_power(first, only) else 8)

                Disk(pytest.MonkeyPatch(), n, lose_power)
                checkpoint.save(last, make(2))

            code = in_child(body)
            assert code in (0, 8, 9)
            assert number_of(last) in (1, 2), f"power lost at call {n} from name {first} on"
            checked += code == 9
            if code != 9:
                break
        if code == 0:
            break
    assert checked > 30


def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    """Another process saves as fast as it can while this one loads: each load is whole and none goes back."""
    last = tmp_path / "last"
    checkpoint.save(last, make(1))
    child = os.fork()
    if child == 0:
        for number in range(2, 10_000):
            checkpoint.save(last, make(number))
        os._exit(0)
    try:
        numbers = [number_of(last) for _ in range(60)]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert numbers == sorted(numbers)
    assert number_of(last) >= numbers[-1]


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_and_flipped_bit_is_detected(tmp_path: Path, name: str) -> None:
    last = tmp_path / "last"
    checkpoint.save(last, make(1))
    path = last / name
    sound = path.read_bytes()
    draw = np.random.default_rng(0)
    cuts = [0, 1, 7, 8, len(sound) - 1, *draw.integers(0, len(sound), 60).tolist()]
    flips = draw.integers(0, 8 * len(sound), 200).tolist()
    damaged = [sound[:cut] for cut in cuts] + [sound + b"\0"]
    damaged += [sound[: b // 8] + bytes([sound[b // 8] ^ (1 << b % 8)]) + sound[b // 8 + 1 :] for b in flips]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load(last)
        assert str(path) in str(caught.value), "the message names the file"
        assert "damaged" in str(caught.value)
    path.write_bytes(sound)
    assert number_of(last) == 1


def test_files_of_two_checkpoints_do_not_mix(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "one", make(1))
    checkpoint.save(tmp_path / "two", make(2))
    shutil.copy(tmp_path / "two" / WEIGHTS, tmp_path / "one" / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"one/model\.safetensors is damaged.*checksum"):
        checkpoint.load(tmp_path / "one")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    checkpoint.save(tmp_path / "last", make(1))
    (tmp_path / "last" / name).unlink()
    with pytest.raises(CheckpointError, match=f"last/{name} is missing"):
        checkpoint.load(tmp_path / "last")


def test_a_folder_or_pipe_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last", make(1))
    (tmp_path / "last" / STATE).unlink()
    os.mkfifo(tmp_path / "last" / STATE)
    with pytest.raises(CheckpointError, match=r"state\.safetensors is not a regular file"):
        checkpoint.load(tmp_path / "last")


def test_a_damaged_last_is_never_replaced_by_something_older(tmp_path: Path) -> None:
    """Leftovers of an earlier exchange lie beside it; they are not taken instead."""
    last = tmp_path / "last"
    checkpoint.save(last, make(1))
    shutil.copytree(last, tmp_path / ".last.previous")
    shutil.copytree(last, tmp_path / ".last.writing")
    checkpoint.save(tmp_path / "new", make(2))
    shutil.rmtree(last)
    os.rename(tmp_path / "new", last)
    (last / WEIGHTS).write_bytes(b"")
    with pytest.raises(CheckpointError, match="has 0 bytes instead of"):
        checkpoint.load(last)


def resealed(content: Any) -> bytes:
    """The text of a state.json with a right checksum, whatever it says."""
    text = json.dumps(content, sort_keys=True, indent=1)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"content": content, "sha256": seal}, sort_keys=True, indent=1).encode() + b"\n"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 99}, "has format 99; this version of Pellucid reads format 1"),
        ({"position": {}}, "epoch is missing"),
        ({"position": None}, "not a checkpoint's state"),
        ({"files": {}}, "says nothing about model.safetensors"),
        ({"settings": 5}, "settings are not a table"),
        ({"position.epoch": "1"}, "epoch is '1'"),
        ({"position.epoch": True}, "epoch is True"),
        ({"position.step": -1}, "counters contradict"),
        ({"position.epoch": 1}, "counters contradict"),
        ({"position.best": {"epoch": 1}}, "history is not a list of epochs"),
    ],
)
def test_a_well_sealed_but_senseless_state_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    checkpoint.save(tmp_path / "last", make(1))
    path = tmp_path / "last" / POSITION
    content = json.loads(path.read_bytes())["content"]
    for name, value in change.items():
        table, _, key = name.rpartition(".")
        (content[table] if table else content)[key] = value
    path.write_bytes(resealed(content))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path / "last")
    assert complaint in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff\xfe", b"null", b"[]", b"{}", b'{"content":[],"sha256":""}'])
def test_a_state_that_is_not_one_is_refused(tmp_path: Path, text: bytes) -> None:
    checkpoint.save(tmp_path / "last", make(1))
    (tmp_path / "last" / POSITION).write_bytes(text)
    with pytest.raises(CheckpointError, match=r"state\.json is damaged"):
        checkpoint.load(tmp_path / "last")


def test_the_limit_for_one_file_is_reported(tmp_path: Path) -> None:
    """A real refusal by the kernel, in a child process because limits cannot be raised again."""
    last = tmp_path / "last"
    checkpoint.save(last, make(1))
    report = tmp_path / "report"

    def body() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            checkpoint.save(last, make(2, size=5_000))
        except ResourceError as error:
            report.write_text(str(error))

    assert in_child(body) == 0
    assert "File too large" in report.read_text() and "ulimit -f" in report.read_text()
    assert "model.safetensors" in report.read_text()
    assert number_of(last) == 1


def test_a_really_full_disk_is_reported_and_recovered_from(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs more rights; RLIMIT_FSIZE is tested above")
    try:
        last = disk / "last"
        checkpoint.save(last, make(1))
        with pytest.raises(ResourceError, match=r"No space left on device.*is intact.*Free some space"):
            checkpoint.save(last, make(2, size=20_000))
        assert number_of(last) == 1
        assert os.listdir(disk) == ["last"], "the half-written one is removed, its space is free again"
        checkpoint.save(last, make(3))
        assert number_of(last) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)
