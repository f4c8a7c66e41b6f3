"""The object-code cache: found again when whole, compiled again when not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pellucid.engines.native import cache, codegen, cpu
from pellucid.engines.native.cache import ObjectCache

KEY, OTHER = "a" * 64, "b" * 64
TEXT = "define i64 @answer() {\n  ret i64 42\n}\n"


def entry(folder: Path, key: str = KEY) -> Path:
    return folder / f"{key}.object"


def test_an_entry_is_found_again(tmp_path: Path) -> None:
    ObjectCache(tmp_path / "new").put(KEY, b"code")
    again = ObjectCache(tmp_path / "new")
    assert again.get(KEY) == b"code"
    assert again.get(OTHER) is None
    assert again.note is None
    assert again.size() > len(b"code")


def damage_header(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


def damage_content(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def rename_foreign(path: Path) -> None:
    ObjectCache(path.parent).put(OTHER, b"other code")
    os.replace(entry(path.parent, OTHER), path)


def make_writable_by_others(path: Path) -> None:
    path.chmod(0o666)


def replace_by_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    os.replace(path, target)
    path.symlink_to(target)


@pytest.mark.parametrize(
    "damage",
    [
        damage_header,
        damage_content,
        truncate,
        empty,
        lengthen,
        rename_foreign,
        make_writable_by_others,
        replace_by_link,
    ],
)
def test_a_damaged_or_foreign_entry_is_removed_not_used(tmp_path: Path, damage: object) -> None:
    store = ObjectCache(tmp_path)
    store.put(KEY, b"code " * 100)
    assert callable(damage)
    damage(entry(tmp_path))
    assert store.get(KEY) is None
    assert not entry(tmp_path).exists()
    store.put(KEY, b"fresh")
    assert store.get(KEY) == b"fresh"


def test_the_key_depends_on_text_target_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache.object_key(text, cpu.target(name)) for text in (TEXT, TEXT + " ") for name in ("avx2", "sse")}
    monkeypatch.setattr(codegen, "versions", lambda: "another version")
    keys.add(cache.object_key(TEXT, cpu.target("sse")))
    assert len(keys) == 5


def test_the_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    store = ObjectCache(tmp_path, limit=10_000)
    keys = [f"{number:064d}" for number in range(9)]
    for age, key in enumerate(keys[:8]):
        store.put(key, bytes(1000))
        os.utime(entry(tmp_path, key), (age + 1, age + 1))
    assert store.get(keys[0]) is not None  # used now: no longer the oldest
    store.put(keys[8], bytes(1000))
    assert store.size() <= 10_000
    assert store.get(keys[0]) is not None
    assert store.get(keys[1]) is None
    assert store.get(keys[8]) is not None


def test_an_entry_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    store = ObjectCache(tmp_path, limit=100)
    store.put(KEY, bytes(1000))
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_file_stays_behind_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    store = ObjectCache(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    store.put(KEY, b"code")
    assert list(tmp_path.iterdir()) == []
    assert store.note is not None
    assert "No space left on device" in store.note


def test_a_folder_that_cannot_be_made_costs_a_note_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    store = ObjectCache(blocked / "cache")
    store.put(KEY, b"code")
    assert store.get(KEY) is None
    assert store.note is not None
    assert "cannot use the cache folder" in store.note


def test_a_folder_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    store = ObjectCache(tmp_path)
    store.put(KEY, b"code")
    assert store.get(KEY) is None
    assert store.note is not None
    assert "others can write to it" in store.note


def test_clear_removes_every_entry(tmp_path: Path) -> None:
    store = ObjectCache(tmp_path)
    store.put(KEY, b"code")
    store.clear()
    assert store.size() == 0
    assert store.get(KEY) is None


def test_the_folder_follows_the_xdg_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "pellucid" / "native"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.default_folder() == Path.home() / ".cache" / "pellucid" / "native"
