"""CIFAR-10 in its three forms, each made by hand; the pickled form is never read."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import cache_folder, load
from pellucid.data.cifar10 import BATCHES, CLASSES, load_cifar10
from pellucid.data.download import RemoteFile
from pellucid.data.source import Request
from pellucid.errors import DataError
from tests.data.helpers import png_bytes
from tests.data.server import local_server, sends

NAMES = [name for names in BATCHES.values() for name in names]


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def records(seed: int, count: int = 10) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A batch as bytes, with its images (N, 3, 32, 32) and labels."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    labels = (np.arange(count) + seed) % 10
    content = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True))
    return content, images, labels


def batches() -> dict[str, bytes]:
    return {name: records(seed)[0] for seed, name in enumerate(NAMES)}


def archive(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def in_folder(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"cifar-10-batches-bin/{name}": content for name, content in contents.items()}


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def check(splits) -> None:
    expected = [records(seed) for seed in range(6)]
    np.testing.assert_array_equal(splits.train.images, np.concatenate([images for _, images, _ in expected[:5]]))
    np.testing.assert_array_equal(splits.train.labels, np.concatenate([labels for _, _, labels in expected[:5]]))
    np.testing.assert_array_equal(splits.test.images, expected[5][1])
    assert splits.classes == list(CLASSES)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"])
def test_unpacked_batches(tmp_path, below):
    write(tmp_path / "data" / below, batches())
    check(load("cifar10", root=tmp_path / "data", validation=0))


def test_the_archive_and_its_fingerprint(tmp_path):
    write(
        tmp_path / "packed",
        {"cifar-10-binary.tar.gz": archive(in_folder(batches()) | {"readme.html": b"hello"})},
    )
    packed = load("cifar10", root=tmp_path / "packed", validation=0)
    check(packed)
    check(load("cifar10", root=tmp_path / "packed" / "cifar-10-binary.tar.gz", validation=0))
    write(tmp_path / "open", batches())
    assert load("cifar10", root=tmp_path / "open").fingerprint == packed.fingerprint


def test_nothing_leaves_the_archive(tmp_path):
    members = {
        "../../escaped.bin": b"x",
        "/tmp/escaped.bin": b"x",
        "../cifar-10-batches-bin/data_batch_1.bin": b"x",
    }
    place = write(tmp_path / "a" / "b", {"cifar-10-binary.tar.gz": archive(members | in_folder(batches()))})
    before = sorted(tmp_path.rglob("*"))
    check(load("cifar10", root=place, validation=0))
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_repeated_members_are_refused(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    place = write(tmp_path / "link", {"cifar-10-binary.tar.gz": buffer.getvalue()})
    with pytest.raises(DataError, match=r"data_batch_1\.bin' is not one ordinary file of sensible size"):
        load("cifar10", root=place)
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as tar:
        for _ in range(2):
            info = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
            tar.addfile(info, io.BytesIO())
    place = write(tmp_path / "twice", {"cifar-10-binary.tar.gz": buffer.getvalue()})
    with pytest.raises(DataError, match="not one ordinary file"):
        load("cifar10", root=place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda all: {**all, "data_batch_3.bin": all["data_batch_3.bin"][:-1]},
         "data_batch_3.bin must hold whole records of 3073 bytes, but has 30729 bytes"),
        (lambda all: {**all, "test_batch.bin": b""},
         "test_batch.bin must hold whole records of 3073 bytes, but has 0"),
        (lambda all: {**all, "test_batch.bin": b"\x0a" + all["test_batch.bin"][1:]},
         "test_batch.bin holds the label 10; labels go from 0 to 9"),
        (lambda all: {name: body for name, body in all.items() if name != "data_batch_2.bin"},
         "data_batch_2.bin"),
    ],
)  # fmt: skip
def test_damaged_batches(tmp_path, change, message):
    contents = change(batches())
    packed = write(tmp_path / "packed", {"cifar-10-binary.tar.gz": archive(in_folder(contents))})
    unpacked = write(tmp_path / "unpacked", contents)
    for place in (packed, unpacked):
        with pytest.raises(DataError, match=message):
            load("cifar10", root=place)


def test_damaged_archives(tmp_path):
    whole = archive(in_folder(batches()))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x10
    for number, content in enumerate(
        (whole[: len(whole) // 2], bytes(flipped), b"", b"no archive", gzip.compress(b"no tar"))
    ):
        place = write(tmp_path / str(number), {"cifar-10-binary.tar.gz": content})
        with pytest.raises(DataError, match=r"the archive is damaged|not found"):
            load("cifar10", root=place)


def test_the_pickled_version_is_never_read(tmp_path):
    write(tmp_path / "data" / "cifar-10-batches-py", {"data_batch_1": b"cos\nsystem\n(S'echo'\ntR."})
    with pytest.raises(
        DataError, match="only the Python version; it is pickle, which could run code, and is never read"
    ):
        load("cifar10", root=tmp_path / "data")


def test_nothing_there(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError) as caught:
        load("cifar10", root=tmp_path / "data")
    assert '"cifar10" was not found. Looked for cifar-10-batches-bin/, cifar-10-binary.tar.gz' in str(caught.value)
    assert f"{tmp_path / 'data' / 'cifar10'}: nothing" in str(caught.value)
    assert "fetch 170 MB" in str(caught.value)


def test_download(tmp_path):
    body = archive(in_folder(batches()))
    with local_server() as server:
        published = RemoteFile(
            "cifar-10-binary.tar.gz", (server.address + "/c",), len(body), hashlib.sha256(body).hexdigest()
        )
        with pytest.raises(DataError):
            load_cifar10(Request(), published)
        server.answers["/c"] = sends(body)
        first = load_cifar10(Request(download=True), published)
        assert server.asked == ["/c"]
        assert first.place == str(cache_folder() / "cifar10" / "cifar-10-binary.tar.gz")
        load_cifar10(Request(download=True), published)
        assert server.asked == ["/c"]
        Path(first.place).write_bytes(body[:-5])
        repaired = load_cifar10(Request(download=True), published)
        assert server.asked == ["/c", "/c"]
    np.testing.assert_array_equal(repaired.parts["test"].images, first.parts["test"].images)


def jpeg_tree() -> dict[str, bytes]:
    """Paths and contents of a small tree in the layout of the zip."""
    generator = np.random.default_rng(0)
    return {
        f"{split}/{name}/{index:04}.png": png_bytes(generator.integers(0, 256, (32, 32, 3)), 2)
        for split in ("train", "test")
        for name in CLASSES
        for index in range(2)
    }


def test_a_tree_of_images_as_zip_and_as_folder(tmp_path):
    (tmp_path / "zip").mkdir()
    with zipfile.ZipFile(tmp_path / "zip" / "cifar10-jpeg.zip", "w") as pack:
        for name, content in jpeg_tree().items():
            pack.writestr(name, content)
    for name, content in jpeg_tree().items():
        write((tmp_path / "open" / name).parent, {Path(name).name: content})
    zipped = load("cifar10", root=tmp_path / "zip", validation=0)
    directly = load("cifar10", root=tmp_path / "zip" / "cifar10-jpeg.zip", validation=0)
    opened = load("cifar10", root=tmp_path / "open", validation=0)
    for other in (directly, opened):
        np.testing.assert_array_equal(zipped.train.images, other.train.images)
        assert zipped.fingerprint == other.fingerprint
    assert zipped.name == "cifar10" and len(zipped.test) == 20 and zipped.image_shape == (3, 32, 32)


def test_a_tree_with_other_classes_is_not_cifar10(tmp_path):
    for name, content in jpeg_tree().items():
        if "/truck/" not in name:
            write((tmp_path / name).parent, {Path(name).name: content})
    with pytest.raises(DataError, match="has train/ and test/ with the folders airplane"):
        load("cifar10", root=tmp_path)


def test_real_jpeg_files(tmp_path, monkeypatch, pellucid_data):
    """A hundred images of the real archive; all 60,000 take several seconds."""
    original = pellucid_data / "cifar10-jpeg.zip"
    if not original.is_file():
        pytest.skip("needs cifar10-jpeg.zip in PELLUCID_DATA")
    small = tmp_path / "cifar10-jpeg.zip"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(small, "w") as target:
        names = source.namelist()
        assert len(names) == 60000
        for name in names:
            if name.endswith(("0000.jpg", "0001.jpg", "0002.jpg", "0003.jpg", "0004.jpg")):
                target.writestr(name, source.read(name))
    splits = load("cifar10", root=small, validation=0.2)
    assert set(splits.train.counts().values()) == {4} and set(splits.test.counts().values()) == {5}
    assert splits.image_shape == (3, 32, 32)
    assert splits.train.images.std() > 30
