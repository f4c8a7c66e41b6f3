"""The IDX reader: right files are read exactly, everything else is refused by name and reason."""

import gzip
import hashlib
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from pellucid.data.idx import read_idx, read_pair
from pellucid.errors import DataError
from tests.data.helpers import idx_bytes

CUBE = np.arange(3 * 4 * 5).reshape(3, 4, 5)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_what_was_written(tmp_path, pack):
    path = tmp_path / "cube"
    path.write_bytes(pack(idx_bytes(CUBE)))
    read = read_idx(path, 3)
    assert read.array.dtype == np.uint8
    np.testing.assert_array_equal(read.array, CUBE)
    assert read.sha256 == hashlib.sha256(idx_bytes(CUBE)).hexdigest()


@pytest.mark.parametrize(
    ("content", "dimensions", "message"),
    [
        (b"", 3, "header has 16 bytes, but the file ends after 0"),
        (b"\0\0", 3, "header has 16 bytes, but the file ends after 2"),
        (b"\0\0\x08\x03\0\0\0\x01", 3, "header has 16 bytes, but the file ends after 8"),
        (
            struct.pack(">BBBBI", 0, 0, 8, 1, 4) + b"abcd",
            3,
            r"00 00 08 03, but this one starts with 00 00 08 01",
        ),
        (struct.pack(">BBBBI", 0, 0, 13, 1, 1) + b"abcd", 1, "starts with 00 00 0d 01"),
        (b"\x89PNG\r\n\x1a\n", 1, "starts with 89 50 4e 47"),
        (idx_bytes(CUBE)[:-1], 3, "promises 3x4x5 = 60 bytes, but only 59 follow"),
        (idx_bytes(CUBE)[:16], 3, "but only 0 follow"),
        (idx_bytes(CUBE) + b"x", 3, "bytes follow after the promised 3x4x5 elements"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_refuses_other_contents(tmp_path, pack, content, dimensions, message):
    path = tmp_path / "odd-file"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, dimensions)
    assert "odd-file" in str(caught.value)


def test_a_damaged_header_reserves_no_memory(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"only this")
    with pytest.raises(DataError, match="but only 9 follow"):
        read_idx(path, 3)


def test_every_truncation_of_a_gzip_file_is_found(tmp_path):
    packed = gzip.compress(idx_bytes(CUBE), mtime=0)
    path = tmp_path / "cut.gz"
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"cut\.gz"):
            read_idx(path, 3)


def test_no_flipped_bit_changes_the_contents_unnoticed(tmp_path):
    packed = gzip.compress(idx_bytes(CUBE), mtime=0)
    path = tmp_path / "flipped.gz"
    found = 0
    for position in range(len(packed)):
        damaged = bytearray(packed)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_idx(path, 3).array, CUBE)
        except DataError:
            found += 1
    # Only the time stamp, level and system bytes of gzip's header carry nothing.
    assert found >= len(packed) - 10


def test_a_gzip_file_with_other_bytes_behind_it_is_refused(tmp_path):
    path = tmp_path / "tail.gz"
    path.write_bytes(gzip.compress(idx_bytes(CUBE)) + b"tail")
    with pytest.raises(DataError, match="gzip data are damaged"):
        read_idx(path, 3)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"nothing-here: cannot be opened \(No such file"):
        read_idx(tmp_path / "nothing-here", 3)
    with pytest.raises(DataError, match="expected a file, but it is a folder"):
        read_idx(tmp_path, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    outcome: list[str] = []

    def read() -> None:
        with pytest.raises(DataError) as caught:
            read_idx(path, 3)
        outcome.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert outcome and "a named pipe" in outcome[0]


def write_pair(folder: Path, images: np.ndarray, labels: np.ndarray) -> tuple[Path, Path]:
    (folder / "images").write_bytes(idx_bytes(images))
    (folder / "labels").write_bytes(idx_bytes(labels))
    return folder / "images", folder / "labels"


def test_pairs(tmp_path):
    images, labels, numbers = read_pair(*write_pair(tmp_path, CUBE, np.array([2, 0, 1])), classes=3)
    np.testing.assert_array_equal(images.array, CUBE)
    np.testing.assert_array_equal(labels.array, [2, 0, 1])
    assert numbers.dtype == np.int64 and numbers.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            CUBE,
            np.array([0, 1]),
            "holds 3 images, but .*labels holds 2 labels; both must come from the same set",
        ),
        (CUBE, np.array([0, 3, 9]), "label 3 at position 1 is out of range; labels go from 0 to 2"),
        (CUBE[:0], np.array([]), r"holds no pixels \(shape \(0, 4, 5\)\)"),
        (CUBE[:, :0], np.array([0, 1, 2]), r"holds no pixels \(shape \(3, 0, 5\)\)"),
    ],
)
def test_pairs_that_do_not_fit(tmp_path, images, labels, message):
    with pytest.raises(DataError, match=message):
        read_pair(*write_pair(tmp_path, images, labels), classes=3)
