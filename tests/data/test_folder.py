"""Folders of class folders: both layouts, every odd thing a folder can hold, pictures of all kinds."""

import errno
import os
import socket
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data import Progress, load
from pellucid.data.listing import FolderTree, open_tree
from pellucid.errors import ConfigError, DataError, ResourceError, UsageError
from tests.data.helpers import class_folders, grey_png, png_bytes, saved

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def as_set(dataset) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(dataset.images, dataset.labels, strict=True)}


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_splits_as_folders(tmp_path, validation):
    class_folders(tmp_path / "train", {"cat": 4, "dog": 3}, seed=0)
    class_folders(tmp_path / validation, {"cat": 2, "dog": 1}, seed=5000)
    class_folders(tmp_path / "test", {"dog": 2}, seed=9000)
    splits = load(tmp_path)
    assert splits.classes == ["cat", "dog"]
    assert splits.train.counts() == {"cat": 4, "dog": 3}
    assert splits.validation.counts() == {"cat": 2, "dog": 1}
    assert splits.test.counts() == {"cat": 0, "dog": 2}
    first = np.asarray(Image.open(tmp_path / "train" / "cat" / "000.png"))
    np.testing.assert_array_equal(splits.train.images[0, 0], first)
    assert f"the folder {validation}/" in splits.description()
    assert splits.name == tmp_path.name


def test_a_missing_validation_split_is_cut_and_said(tmp_path):
    class_folders(tmp_path / "train", {"a": 20, "b": 30})
    class_folders(tmp_path / "test", {"a": 2, "b": 2}, seed=7000)
    splits = load(tmp_path, validation=0.2, seed=3)
    assert splits.validation.counts() == {"a": 4, "b": 6}
    assert splits.train.counts() == {"a": 16, "b": 24}
    assert splits.test.counts() == {"a": 2, "b": 2}
    assert "20% of the training images, cut off stratified with seed 3" in splits.description()
    assert not as_set(splits.train) & as_set(splits.validation)


def test_plain_class_folders_are_split_in_three(tmp_path):
    class_folders(tmp_path, {"a": 50, "b": 20, "c": 10})
    splits = load(tmp_path)
    assert splits.test.counts() == {"a": 10, "b": 4, "c": 2}
    assert splits.validation.counts() == {"a": 4, "b": 2, "c": 1}
    assert splits.train.counts() == {"a": 36, "b": 14, "c": 7}
    sets = [as_set(part) for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*sets)) == sum(map(len, sets)) == 80
    other = load(tmp_path, seed=9)
    assert as_set(other.test) == sets[2]
    assert as_set(other.validation) != sets[1]
    assert "20% of the class folders, stratified, the same for every seed" in splits.description()


def test_one_image_per_class(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    splits = load(tmp_path)
    assert (len(splits.train), splits.validation, splits.test) == (2, None, None)
    assert splits.description().count("none: the classes have too few images") == 2


def test_test_is_missing(tmp_path):
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    splits = load(tmp_path)
    assert splits.test is None
    assert "none was given" in splits.description()


def test_folders_inside_a_class_belong_to_it(tmp_path):
    class_folders(tmp_path, {"a/one": 2, "a/two/three": 2, "b": 2})
    assert load(tmp_path, validation=0).train.counts() == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "there are no class folders. Expected train/CLASS"),
        (lambda root: (root / "x.png").write_bytes(grey_png(0)), r"1 image\(s\) lie there without class"),
        (lambda root: class_folders(root, {"only": 3}), "at least two classes, but there is only 'only'"),
        (lambda root: class_folders(root / "inner" / "train", {"a": 2, "b": 2}), "Did you mean .*/inner?"),
        (lambda root: class_folders(root, {"a": 0, "b": 0}), "there are no images in the class folders"),
        (lambda root: class_folders(root, {"a": 2, "b": 0}), r"no images for the class\(es\) b"),
        (lambda root: class_folders(root / "test", {"a": 2, "b": 2}), "has test/ but no train/"),
        (lambda root: (root / "train").mkdir(), "/train: there are no class folders"),
        (lambda root: [class_folders(root / name, {"a": 2, "b": 2}) for name in ("train", "val", "valid")],
         "both val/ and valid/ mean validation; keep one of them"),
        (lambda root: [class_folders(root / name, counts)
                       for name, counts in (("train", {"a": 2, "b": 2}), ("test", {"c": 1}))],
         r"/test: c is no class of train/ \(a, b\)"),
        (lambda root: [class_folders(root / name, counts)
                       for name, counts in (("train", {"a": 2, "b": 2}), ("test", {"a": 0}))],
         "the folder for test holds no images"),
    ],
)  # fmt: skip
def test_layouts_that_are_not_understood(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_names_that_are_no_folder(tmp_path):
    with pytest.raises(DataError, match="'mnits' is neither a folder or zip archive nor a known data set"):
        load("mnits")
    with pytest.raises(DataError, match="Did you mean 'mnist'"):
        load("mnits")
    with pytest.raises(DataError, match="neither a folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(DataError, match=r"text\.txt: neither a folder nor a readable zip archive"):
        load(tmp_path / "text.txt")
    with pytest.raises(UsageError, match="root says where a named data set's files are"):
        load(tmp_path, root=tmp_path)


def test_what_is_ignored_is_counted(tmp_path):
    class_folders(tmp_path / "train", {"a": 3, "b": 3})
    for name in ("notes.txt", "more.TXT", "table.csv", "README"):
        (tmp_path / "train" / "a" / name).write_text("text")
    class_folders(tmp_path / "train", {".cache": 2, "a/.hidden": 2})
    (tmp_path / "train" / "a" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "train" / "a" / "._000.png").write_bytes(b"x")
    class_folders(tmp_path, {"labels": 2})
    (tmp_path / "cover.png").write_bytes(grey_png(77))
    splits = load(tmp_path, validation=0)
    assert splits.train.counts() == {"a": 3, "b": 3}
    text = splits.description()
    assert "ignored 4 file(s) that are not images: 1 .csv, 2 .txt, 1 no suffix" in text
    assert "ignored the folder(s) beside train/: labels" in text
    assert "ignored 1 image(s) outside the class folders (6 are inside)" in text


def damaged(root: Path, count: int) -> list[Path]:
    """Spoil the last files of class a."""
    paths = sorted((root / "a").glob("*.png"))[-count:]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    return paths


def test_unreadable_files_are_listed_before_training(tmp_path):
    class_folders(tmp_path, {"a": 30, "b": 30})
    paths = damaged(tmp_path, 25)
    (tmp_path / "b" / "000.png").write_bytes(b"")
    (tmp_path / "b" / "001.png").write_text("this is text")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "27 image file(s) cannot be read:"
    assert [line.split(": ")[0].strip() for line in lines[1:21]] == [str(path) for path in paths[:20]]
    assert "cannot be decoded" in lines[1]
    assert lines[21] == "  ... and 7 more"
    assert 'bad_files="drop" (--bad-files drop)' in lines[22]
    for path in paths:
        path.unlink()
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert f"{tmp_path}/b/000.png: the file is empty" in str(caught.value)
    assert f"{tmp_path}/b/001.png: not an image in one of the formats" in str(caught.value)


def test_unreadable_files_can_be_dropped(tmp_path):
    class_folders(tmp_path, {"a": 10, "b": 10})
    before = load(tmp_path, validation=0)
    paths = damaged(tmp_path, 2)
    splits = load(tmp_path, bad_files="drop", validation=0)
    assert len(splits.train) + len(splits.test) == 18
    assert splits.dropped == tuple(map(str, paths))
    assert f"dropped 2 unreadable file(s): {paths[0]}, {paths[1]}" in splits.description()
    assert splits.to_json()["dropped"] == [str(path) for path in paths]
    assert splits.fingerprint != before.fingerprint
    damaged(tmp_path, 10)
    with pytest.raises(DataError, match="without the unreadable files no image is left for a"):
        load(tmp_path, bad_files="drop")
    with pytest.raises(ConfigError, match='bad_files must be "error" or "drop", but is \'ignore\''):
        load(tmp_path, bad_files="ignore")


def test_seven_percent_of_damage_is_found_exactly(tmp_path):
    class_folders(tmp_path, {"a": 100, "b": 100})
    generator = np.random.default_rng(2)
    everything = sorted(tmp_path.rglob("*.png"))
    bad = sorted(generator.choice(len(everything), 14, replace=False))
    for number in bad:
        content = everything[number].read_bytes()
        everything[number].write_bytes(content[: generator.integers(0, len(content) - 20)])
    splits = load(tmp_path, bad_files="drop")
    assert list(splits.dropped) == [str(everything[number]) for number in bad]


@posix
def test_only_ordinary_files_are_opened(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "loop.png").symlink_to("loop.png")
    (tmp_path / "a" / "gone.png").symlink_to("nothing.png")
    (tmp_path / "b" / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        old = os.getcwd()
        os.chdir(tmp_path)  # the address of a socket must be short
        listener.bind("b/socket.png")
        os.chdir(old)
        outcome: list[str] = []

        def attempt() -> None:
            with pytest.raises(DataError) as caught:
                load(tmp_path)
            outcome.append(str(caught.value))

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(20)
    (message,) = outcome
    lines = (
        "a/gone.png: a link that leads nowhere (No such file",
        "a/loop.png: a link that leads nowhere (Too many",
        "a/pipe.png: a named pipe",
        "b/socket.png: a socket",
        "b/zero.png: a device",
    )
    for line in lines:
        assert f"{tmp_path}/{line}" in message


@posix
def test_links_to_folders_are_followed_but_not_for_ever(tmp_path):
    class_folders(tmp_path / "store", {"cats": 3})
    class_folders(tmp_path / "data", {"b": 3})
    (tmp_path / "data" / "a").symlink_to(tmp_path / "store" / "cats")
    (tmp_path / "data" / "b" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "b" / "self").symlink_to(".")
    splits = load(tmp_path / "data", validation=0)
    assert splits.classes == ["a", "b"]
    files = FolderTree(tmp_path / "data").listing().files
    assert [file.parts for file in files] == [(name, f"{n:03}.png") for name in "ab" for n in range(3)]


@posix
def test_a_knot_of_links_is_no_labyrinth(tmp_path):
    """Twelve folders that link to each other: following every path would take for ever."""
    class_folders(tmp_path, {f"c{number:02}": 2 for number in range(12)})
    for one in range(12):
        for other in range(12):
            (tmp_path / f"c{one:02}" / f"to{other:02}").symlink_to(tmp_path / f"c{other:02}")
    assert len(FolderTree(tmp_path).listing().files) == 24


def test_files_and_folders_without_permission(tmp_path, monkeypatch):
    """The system's answer is put in by hand, as nothing is forbidden to an administrator."""
    class_folders(tmp_path, {"a": 3, "b": 3})

    def forbidden(function, denied: Path):
        def answer(path, *arguments):
            if Path(os.fsdecode(path)) == denied:
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return function(path, *arguments)

        return answer

    monkeypatch.setattr(os, "open", forbidden(os.open, tmp_path / "a" / "000.png"))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert f"  {tmp_path}/a/000.png: cannot be opened (Permission denied)\n" in str(caught.value)
    monkeypatch.setattr(os, "scandir", forbidden(os.scandir, tmp_path / "b"))
    with pytest.raises(DataError, match=r"/b: the folder cannot be read \(Permission denied\)"):
        load(tmp_path)


@posix
def test_names_that_are_not_unicode(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    for index in range(2):
        with open(folder + b"/\xff%d.png" % index, "wb") as file:
            file.write(grey_png(500 + index))
    with open(folder + b"/bad\xfe.png", "wb") as file:
        file.write(b"no image")
    splits = load(tmp_path, bad_files="drop", validation=0)
    assert splits.classes == ["a", "b", "caf\\xe9"]
    assert splits.dropped == (f"{tmp_path}/caf\\xe9/bad\\xfe.png",)
    splits.description().encode("utf-8")


def test_two_spellings_of_one_name(tmp_path):
    class_folders(tmp_path / "train", {"caf\u00e9": 2, "tea": 2})
    class_folders(tmp_path / "test", {"cafe\u0301": 2, "tea": 2}, seed=4000)
    splits = load(tmp_path, validation=0)
    assert splits.classes == ["caf\u00e9", "tea"] and splits.test.counts()["caf\u00e9"] == 2
    class_folders(tmp_path / "train", {"cafe\u0301": 2})
    if len(list((tmp_path / "train").iterdir())) == 3:
        with pytest.raises(DataError, match="two class folders are both 'café' in Unicode"):
            load(tmp_path)


def test_long_and_naughty_names(tmp_path):
    names = {"x" * 200: 2, "a b;c'd": 2, "<script>": 2, "-rf": 2, "%00": 2, "ärger 猫": 2}
    class_folders(tmp_path, names)
    assert set(load(tmp_path).classes) == set(names)


def test_grey_and_colour_together_become_colour(tmp_path):
    class_folders(tmp_path / "train", {"a": 2, "b": 2})
    grey = load(tmp_path, validation=0)
    assert grey.image_shape == (1, 6, 6)
    red = png_bytes(np.full((6, 6, 3), (255, 0, 0)), 2)
    (tmp_path / "train" / "b" / "red.png").write_bytes(red)
    mixed = load(tmp_path, validation=0)
    assert mixed.image_shape == (3, 6, 6)
    for channel in range(3):
        np.testing.assert_array_equal(mixed.train.images[:4, channel], grey.train.images[:, 0])
    assert mixed.train.images[-1, :, 0, 0].tolist() == [255, 0, 0]
    single = load(tmp_path, validation=0, channels=1)
    assert single.image_shape == (1, 6, 6) and single.train.images[-1, 0, 0, 0] == 76


def test_mixed_sizes(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3}, side=6)
    (tmp_path / "b" / "wide.png").write_bytes(png_bytes(np.zeros((4, 9)), 0))
    (tmp_path / "b" / "large.png").write_bytes(grey_png(1, 10))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "the images differ in size (height x width): 6x6" in message
    assert f"6x6 ({tmp_path}/a/000.png), but 10x10 ({tmp_path}/b/large.png)" in message
    assert "such as size=64 or size=(48, 64)" in message
    assert load(tmp_path, size=8).image_shape == (1, 8, 8)
    assert load(tmp_path, size=(5, 7)).image_shape == (1, 5, 7)


def test_all_formats_side_by_side(tmp_path):
    picture = Image.fromarray(np.add.outer(np.arange(16) * 8, np.arange(16) * 7).astype(np.uint8))
    files = {
        "a.png": saved(picture, "PNG"), "b.jpg": saved(picture, "JPEG", quality=98),
        "c.bmp": saved(picture, "BMP"), "d.gif": saved(picture, "GIF"), "e.tif": saved(picture, "TIFF"),
        "f.webp": saved(picture.convert("RGB"), "WEBP", lossless=True), "g.pgm": saved(picture, "PPM"),
        "h.JPEG": saved(picture, "PNG"),
    }  # fmt: skip
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
    splits = load(tmp_path, channels=1, validation=0)
    assert len(splits.train) + len(splits.test) == 16
    spread = np.abs(splits.train.images.astype(int) - np.asarray(picture)).max()
    assert spread <= 4


def test_the_order_does_not_depend_on_the_threads(tmp_path, monkeypatch):
    from pellucid.data import decoding

    class_folders(tmp_path, {"a": 30, "b": 50, "c": 20})
    monkeypatch.setattr(decoding, "CHUNK", 3)
    results = []
    for threads, limit in ((1, 10**9), (7, 0)):
        monkeypatch.setattr(decoding, "MAX_THREADS", threads)
        monkeypatch.setattr(decoding, "THREADED_BYTES", limit)
        results.append(load(tmp_path))
    np.testing.assert_array_equal(results[0].train.images, results[1].train.images)
    np.testing.assert_array_equal(results[0].train.labels, results[1].train.labels)
    assert results[0].to_json() == results[1].to_json()


def test_progress_and_its_interruption(tmp_path):
    class_folders(tmp_path / "train", {"a": 100, "b": 50})
    seen: list[Progress] = []
    load(tmp_path, progress=seen.append)
    assert seen[-1] == Progress("read train images", 150, 150, "images")
    assert [progress.done for progress in seen] == [64, 128, 150]

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pellucid-decode")]


def zipped(path: Path, folder: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as pack:
        for file in sorted(folder.rglob("*")):
            pack.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("prefix", ["", "photos/"])
def test_a_zip_archive_is_read_like_a_folder(tmp_path, prefix):
    class_folders(tmp_path / "data" / "train", {"a": 5, "b": 5})
    class_folders(tmp_path / "data" / "test", {"a": 2, "b": 2}, seed=800)
    (tmp_path / "data" / "train" / "a" / "notes.txt").write_text("x")
    packed = load(zipped(tmp_path / "data.zip", tmp_path / "data", prefix))
    opened = load(tmp_path / "data")
    np.testing.assert_array_equal(packed.train.images, opened.train.images)
    np.testing.assert_array_equal(packed.test.labels, opened.test.labels)
    assert packed.fingerprint == opened.fingerprint
    assert "ignored 1 file(s) that are not images: 1 .txt" in packed.description()


def test_damaged_and_odd_zip_archives(tmp_path):
    class_folders(tmp_path / "data", {"a": 5, "b": 5})
    path = zipped(tmp_path / "data.zip", tmp_path / "data")
    content = path.read_bytes()
    position = content.index(b"IDAT") + 10
    path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
    with pytest.raises(DataError, match=r"data\.zip:a/000\.png: cannot be unpacked \(BadZipFile: Bad CRC-32"):
        load(path)
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match="neither a folder nor a readable zip archive"):
        load(path)
    for name in ("../a/x.png", "/a/x.png"):
        with zipfile.ZipFile(path, "w") as pack:
            pack.writestr(name, grey_png(0))
        with pytest.raises(DataError, match="holds the suspicious entry"):
            load(path)


def test_special_entries_of_a_zip_archive(tmp_path):
    class_folders(tmp_path / "data", {"a": 3, "b": 3})
    path = zipped(tmp_path / "data.zip", tmp_path / "data")
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as pack:
        pack.writestr(link, "/etc/passwd")
        pack.writestr("__MACOSX/a/._000.png", b"x")
    with pytest.raises(
        DataError, match=r"1 image file\(s\) cannot be read:\n.*a/link\.png: not an ordinary file inside"
    ):
        load(path)
    assert len(load(path, bad_files="drop", validation=0).dropped) == 1
    # Mark one entry as encrypted, in the central directory and before its data.
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = content.index(signature)
        while b"a/000.png" not in content[position : position + 60]:
            position = content.index(signature, position + 1)
        content[position + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a/000\.png: encrypted"):
        load(path)


def test_images_that_memory_cannot_hold(tmp_path, monkeypatch):
    from pellucid.data import decoding

    class_folders(tmp_path, {"a": 10, "b": 10}, side=10)
    monkeypatch.setattr(decoding, "physical_memory", lambda: 1999)
    with pytest.raises(ResourceError, match=r"20 images of 100 bytes need 0\.0 GB of memory, but this"):
        load(tmp_path)
    monkeypatch.setattr(decoding, "physical_memory", lambda: 2000)
    assert len(load(tmp_path, validation=0).train) == 16
    monkeypatch.undo()
    assert decoding.physical_memory() is None or decoding.physical_memory() > 10**8

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pellucid.data.folder.np.empty", exhausted)
    with pytest.raises(ResourceError, match=r"do not fit into memory\. Give a smaller size"):
        load(tmp_path)


def test_training_files_among_the_test_files_are_told(tmp_path):
    class_folders(tmp_path / "train", {"a": 5, "b": 5})
    class_folders(tmp_path / "test", {"a": 2, "b": 2}, seed=600)
    assert "also in train" not in load(tmp_path).description()
    (tmp_path / "test" / "b" / "copy.png").write_bytes((tmp_path / "train" / "a" / "003.png").read_bytes())
    text = load(tmp_path).description()
    assert f"1 test file(s) are also in train, byte for byte: {tmp_path}/test/b/copy.png" in text


def test_a_file_that_vanishes_is_reported(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    tree = open_tree(tmp_path)
    listing = tree.listing()
    (tmp_path / "a" / "001.png").unlink()
    with pytest.raises(DataError, match=r"^cannot be opened \(No such file"):
        tree.read(listing.files[1])


def test_a_file_too_large_for_an_image(tmp_path, monkeypatch):
    from pellucid.data import listing

    class_folders(tmp_path, {"a": 2, "b": 2})
    monkeypatch.setattr(listing, "MAX_FILE_BYTES", 100)
    (tmp_path / "a" / "000.png").write_bytes(grey_png(0) + bytes(200))
    with pytest.raises(DataError, match=r"a/000\.png: has more than the allowed 100 bytes"):
        load(tmp_path)
