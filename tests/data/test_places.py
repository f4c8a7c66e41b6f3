"""Folders, openings and writings: the cache's place, and files that appear whole or not at all."""

import errno
import os
import sys
from pathlib import Path

import pytest

from pellucid.data.places import atomic_writer, cache_folder, open_regular, search_folders, shown
from pellucid.errors import DataError, ResourceError


def test_the_cache_honours_xdg(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pellucid" / "data"
    assert not cache_folder().exists()


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_the_platforms_own_cache(tmp_path, monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    for platform, parts in {
        "linux": (".cache", "pellucid", "data"),
        "darwin": ("Library", "Caches", "pellucid", "data"),
        "win32": ("local", "pellucid", "Cache", "data"),
    }.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == tmp_path.joinpath(*parts)


def test_what_is_searched(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    assert search_folders(None) == (cache_folder(),)
    monkeypatch.setenv("PELLUCID_DATA", "/extra")
    assert search_folders(None) == (Path("/extra"), cache_folder())
    assert search_folders(Path("mine")) == (Path("mine"),)


def test_paths_are_always_printable():
    assert shown("plain/ä") == "plain/ä"
    assert shown(os.fsdecode(b"odd\xff")) == "odd\\xff"


@pytest.mark.skipif(sys.platform == "win32", reason="needs device files")
def test_only_ordinary_files_are_opened(tmp_path):
    with pytest.raises(DataError, match="/dev/zero: expected a file, but it is a device"):
        open_regular(Path("/dev/zero"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="loop: cannot be opened"):
        open_regular(tmp_path / "loop")


def test_a_file_is_written_whole(tmp_path):
    target = tmp_path / "new" / "folder" / "file"
    with atomic_writer(target) as file:
        file.write(b"first ")
        assert not target.exists()
        file.write(b"second")
    assert target.read_bytes() == b"first second"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_writer(target) as file:
        file.write(b"half of the ne")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_a_resource_error(tmp_path, monkeypatch, call):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with (
        pytest.raises(ResourceError, match=r"file: cannot be written \(No space left on device\). Free some space"),
        atomic_writer(tmp_path / "file") as file,
    ):
        file.write(b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot be written"), atomic_writer(tmp_path / "file" / "below"):
        pass
