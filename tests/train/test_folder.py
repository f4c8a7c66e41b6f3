"""Who owns a run folder, and how its description files are written."""

import errno
import fcntl
import os
import tomllib
from pathlib import Path

import pytest

from pellucid.errors import ResourceError, UsageError
from pellucid.formats.files import write_file
from pellucid.train.folder import LOCK, RunFolder


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a") as first:
        assert first.open(False) is False
        with pytest.raises(UsageError, match=rf"Another process \(number {os.getpid()}\) is training in"):
            RunFolder(tmp_path / "a").open("auto")
    with RunFolder(tmp_path / "a") as second:
        assert second.open("auto") is False, "nothing was saved yet, so there is nothing to continue"


def test_a_lock_left_behind_is_harmless(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("99999999\n")
    with RunFolder(tmp_path) as folder:
        folder.open(False)
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have no locks; training without one could lose a run."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ResourceError, match=r"cannot be locked: No locks available\. Choose a folder on a local"):
        RunFolder(tmp_path / "a").open(False)
    assert len(os.listdir("/proc/self/fd")) == before, "no descriptor is left open"


def test_a_folder_that_fills_up_between_two_looks_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may write into it just before it is locked."""
    folder = RunFolder(tmp_path / "a")
    acquire = folder._acquire

    def late() -> None:
        (tmp_path / "a/thesis.txt").write_text("")
        acquire()

    monkeypatch.setattr(folder, "_acquire", late)
    with pytest.raises(UsageError, match="is not empty"):
        folder.open(False)
    (tmp_path / "a/thesis.txt").unlink()
    with RunFolder(tmp_path / "a") as other:
        other.open(False)


def test_resuming_in_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no run to resume in .*\. Leave out resume"):
        RunFolder(tmp_path).open(True)


def test_settings_without_a_value_are_left_out_of_the_configuration(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a") as folder:
        folder.open(False)
        folder.write_toml("config.toml", {"a": None, "b": {"c": None, "d": 'é "'}, "e": [1, 2]})
    assert tomllib.loads((tmp_path / "a/config.toml").read_text()) == {"b": {"d": 'é "'}, "e": [1, 2]}


def test_a_disk_that_takes_nothing_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: 0)
    with pytest.raises(OSError, match="accepted no bytes") as caught:
        write_file(tmp_path / "a", b"data")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_disk_that_takes_little_at_a_time_gets_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))
    write_file(tmp_path / "a", b"0123456789")
    with RunFolder(tmp_path / "b") as folder:
        folder.open(False)
        folder.log("a long line")
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert (tmp_path / "b/log.txt").read_text().endswith(" a long line\n")
