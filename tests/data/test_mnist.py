"""MNIST and Fashion-MNIST: where the files are looked for, what is told without them, and the real ones."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import cache_folder, load
from pellucid.data.download import RemoteFile
from pellucid.data.mnist import FASHION_MNIST, FILES, MNIST, load_collection
from pellucid.data.source import Request
from pellucid.errors import DataError
from tests.data.helpers import idx_set
from tests.data.server import local_server, sends

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """No data but what a test writes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def nothing_else(monkeypatch):
    monkeypatch.delenv("PELLUCID_DATA", raising=False)


@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_from_a_folder(tmp_path, packed, below):
    arrays = idx_set(tmp_path / "data" / below, packed=packed)
    splits = load("mnist", root=tmp_path / "data", validation=0)
    np.testing.assert_array_equal(splits.train.images[:, 0], arrays[IMAGES])
    np.testing.assert_array_equal(splits.train.labels, arrays[LABELS])
    np.testing.assert_array_equal(splits.test.images[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert splits.validation is None
    assert splits.classes == list("0123456789")
    assert "not the published files (checksums differ)" in splits.description()


def test_the_other_spelling_of_the_names(tmp_path):
    idx_set(tmp_path, packed=False)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(load("mnist", root=tmp_path).test) == 20


def test_from_the_environment_and_the_cache(tmp_path, monkeypatch, nothing_else):
    idx_set(cache_folder() / "mnist", train=30)
    assert len(load("mnist", validation=0).train) == 30
    idx_set(tmp_path / "extra" / "mnist", train=50)
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "extra"))
    assert len(load("mnist", validation=0).train) == 50


def test_missing_files_are_named_with_the_places(tmp_path, nothing_else):
    idx_set(tmp_path / "data")
    (tmp_path / "data" / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError) as caught:
        load("mnist", root=tmp_path / "data")
    message = str(caught.value)
    assert f"data: lacks {LABELS}\n" in message
    assert "MNIST/raw: none of the four files" in message
    assert "download=True (--download) to fetch 11.6 MB" in message
    with pytest.raises(DataError) as caught:
        load("fashion-mnist")
    assert str(cache_folder() / "fashion-mnist") in str(caught.value)
    assert "30.9 MB" in str(caught.value)


def test_without_being_asked_nothing_is_downloaded(tmp_path, nothing_else):
    with local_server() as server:
        with pytest.raises(DataError):
            load_collection(published_at(server.address, tmp_path), Request())
        assert server.asked == []


def published_at(address: str, tmp_path: Path) -> "type(MNIST)":
    """A small stand-in for the published files."""
    idx_set(tmp_path / "origin")
    files = {}
    for role, stem in FILES.items():
        body = (tmp_path / "origin" / f"{stem}.gz").read_bytes()
        content = hashlib.sha256(gzip.decompress(body)).hexdigest()
        url = f"{address}/{stem}.gz"
        files[role] = RemoteFile(f"{stem}.gz", (url,), len(body), hashlib.sha256(body).hexdigest(), content)
    return replace(MNIST, files=files)


@pytest.mark.parametrize("with_root", [False, True])
def test_download_then_cache(tmp_path, nothing_else, with_root):
    root = tmp_path / "mine" if with_root else None
    with local_server() as server:
        collection = published_at(server.address, tmp_path)
        for remote in collection.files.values():
            server.answers[f"/{remote.name}"] = sends((tmp_path / "origin" / remote.name).read_bytes())
        first = load_collection(collection, Request(root=root, download=True))
        assert len(server.asked) == 4
        assert first.place == str((root or cache_folder()) / "mnist")
        assert "are the published files (checksums agree)" in first.notes[0]
        again = load_collection(collection, Request(root=root, download=True))
        assert len(server.asked) == 4
        # A damaged file is fetched again, but only when the network is allowed.
        path = Path(first.place) / f"{IMAGES}.gz"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DataError, match="truncated"):
            load_collection(collection, Request(root=root))
        repaired = load_collection(collection, Request(root=root, download=True))
        assert server.asked[4:] == [f"/{IMAGES}.gz"]
    for source in (again, repaired):
        assert source.parts["train"].fingerprint == first.parts["train"].fingerprint
        np.testing.assert_array_equal(source.parts["train"].images, first.parts["train"].images)


def test_plain_and_packed_files_have_the_same_fingerprint(tmp_path):
    idx_set(tmp_path / "a", packed=True)
    idx_set(tmp_path / "b", packed=False)
    assert load("mnist", root=tmp_path / "a").fingerprint == load("mnist", root=tmp_path / "b").fingerprint


@pytest.mark.parametrize("collection", [MNIST, FASHION_MNIST], ids=lambda collection: collection.name)
def test_the_list_of_published_files_is_complete(collection):
    assert set(collection.files) == set(FILES)
    assert len(set(collection.classes)) == 10
    for role, remote in collection.files.items():
        assert remote.name == f"{FILES[role]}.gz"
        assert len(remote.urls) == 2 and all(url.endswith("/" + remote.name) for url in remote.urls)
        assert len(bytes.fromhex(remote.sha256)) == 32 and remote.length > 0


def test_real_mnist(pellucid_data):
    splits = load("mnist")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (54000, 6000, 10000)
    # The counts of the ten digits in the test set, and the usual constants of the training images.
    assert list(splits.test.counts().values()) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    whole = load("mnist", validation=0)
    assert whole.normalisation.mean[0] == pytest.approx(0.1307, abs=5e-5)
    assert whole.normalisation.std[0] == pytest.approx(0.3081, abs=5e-5)
    assert "are the published files (checksums agree)" in splits.description()
    assert splits.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
