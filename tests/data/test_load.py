"""Loading as a whole: names, arguments, arrays, and the way back from data.json."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import from_arrays, load, names, restore
from pellucid.errors import ConfigError, DataError
from tests.data.helpers import class_folders, grey_png, idx_set


def test_names():
    assert [entry.name for entry in names()] == ["digits", "mnist", "fashion-mnist", "cifar10"]
    for name, description in names():
        assert description and "\n" not in description and len(f"{name}  {description}") < 110
    names().clear()
    assert len(names()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 1}, "validation must be a fraction from 0 up to, not including, 1, but is 1"),
        ({"validation": -0.1}, "validation must be a fraction"),
        ({"validation": True}, "validation must be a fraction"),
        ({"validation": float("nan")}, "validation must be a fraction"),
        ({"size": 0}, "size must be a side length"),
        ({"size": (28,)}, r"size must be a side length or \(height, width\) in pixels, but is \(28,\)"),
        ({"size": 2.5}, "size must be a side length"),
        ({"size": "28"}, "size must be a side length"),
        ({"size": (28, -1)}, "size must be a side length"),
        ({"channels": 2}, "channels must be 1 .grey., 3 .colour. or None .as the images are., but is 2"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"bad_files": "maybe"}, "bad_files must be"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        load("digits", **arguments)


@pytest.mark.parametrize(
    ("size", "channels", "shape"), [(None, None, (1, 8, 8)), (28, None, (1, 28, 28)), ((4, 6), 3, (3, 4, 6))]
)
def test_size_and_channels(size, channels, shape):
    splits = load("digits", size=size, channels=channels)
    assert splits.image_shape == shape
    for dataset in (splits.train, splits.validation, splits.test):
        assert dataset.image_shape == shape and dataset.images.dtype == np.uint8


def test_the_normalisation_is_that_of_the_training_images_alone():
    splits = load("digits")
    values = splits.train.images / 255
    assert splits.normalisation.mean[0] == pytest.approx(values.mean(), rel=1e-12)
    assert splits.normalisation.std[0] == pytest.approx(values.std(), rel=1e-12)
    whole = load("digits", validation=0)
    assert splits.normalisation != whole.normalisation
    assert splits.test.normalisation is splits.validation.normalisation is splits.train.normalisation


def through_json(splits) -> dict:
    return json.loads(json.dumps(splits.to_json()))


def same(one, other) -> None:
    for name in ("train", "validation", "test"):
        left, right = one.split(name), other.split(name)
        if left is None:
            assert right is None
            continue
        np.testing.assert_array_equal(left.images, right.images)
        np.testing.assert_array_equal(left.labels, right.labels)
        np.testing.assert_array_equal(left.image(0), right.image(0))
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 5, "validation": 0.25, "size": (12, 10), "channels": 3}, {"validation": 0}]
)
def test_digits_come_back(arguments):
    splits = load("digits", **arguments)
    same(splits, restore(through_json(splits)))


def test_the_stored_document():
    document = through_json(load("digits", size=28))
    assert document["name"] == "digits" and document["image_shape"] == [1, 28, 28]
    assert document["splits"]["train"]["images"] == 1293
    assert sum(document["splits"]["test"]["per_class"].values()) == 359
    assert document["classes"] == list("0123456789")
    assert len(bytes.fromhex(document["fingerprint"]["all"])) == 32
    assert document["arguments"]["size"] == [28, 28]


def test_folders_come_back_from_anywhere(tmp_path, monkeypatch):
    class_folders(tmp_path / "data", {"a": 20, "b": 20})
    (tmp_path / "data" / "a" / "broken.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    splits = load("data", bad_files="drop", seed=4)
    document = through_json(splits)
    monkeypatch.chdir("/")
    same(splits, restore(document))
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="neither a folder"):
        restore(document)
    moved = restore(document, root=tmp_path / "moved")
    np.testing.assert_array_equal(moved.test.images, splits.test.images)


def test_named_sets_come_back_with_another_root(tmp_path):
    idx_set(tmp_path / "first")
    splits = load("mnist", root=tmp_path / "first")
    document = through_json(splits)
    same(splits, restore(document))
    (tmp_path / "first").rename(tmp_path / "second")
    np.testing.assert_array_equal(restore(document, root=tmp_path / "second").test.images, splits.test.images)


def test_the_stored_normalisation_is_used():
    document = through_json(load("digits"))
    document["normalisation"] = {"mean": [0.25], "std": [0.5], "full_scale": 255.0}
    restored = restore(document)
    for dataset in (restored.train, restored.validation, restored.test):
        expected = ((dataset.images[0] / 255.0 - 0.25) / 0.5).astype(np.float32)
        np.testing.assert_array_equal(dataset.image(0), expected)


def change_pixel(root: Path) -> None:
    (root / "test" / "a" / "000.png").write_bytes(grey_png(999_999))


def move_class(root: Path) -> None:
    (root / "test" / "a" / "000.png").rename(root / "test" / "b" / "zzz.png")


def remove(root: Path) -> None:
    (root / "test" / "a" / "000.png").unlink()


def add(root: Path) -> None:
    (root / "test" / "a" / "new.png").write_bytes(grey_png(999_999))


@pytest.mark.parametrize("change", [change_pixel, move_class, remove, add])
def test_changed_contents_are_noticed(tmp_path, change):
    class_folders(tmp_path / "train", {"a": 4, "b": 4})
    class_folders(tmp_path / "test", {"a": 4, "b": 4}, seed=3000)
    document = through_json(load(tmp_path))
    change(tmp_path)
    with pytest.raises(DataError, match="no longer those of the run: the contents of test differ") as caught:
        restore(document)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.clear(), "data.json is damaged, or from another version"),
        (lambda document: document.update(format=99), "data.json is damaged, or from another version"),
        (lambda document: document.update(arguments=[]), "data.json is damaged, or from another version"),
        (lambda document: document.update(normalisation=None), "data.json is damaged"),
        (
            lambda document: document["arguments"].update(surprise=1),
            "these are not the arguments of a data set",
        ),
        (lambda document: document["arguments"].pop("seed"), "these are not the arguments of a data set"),
        (lambda document: document["arguments"].update(seed="x"), "seed must be a whole number"),
        (lambda document: document["arguments"].update(size=[1]), "size must be"),
        (lambda document: document.update(fingerprint=None), "no longer those of the run"),
        (lambda document: document["normalisation"].update(std=[0.0]), "must be positive"),
        (lambda document: document["arguments"].update(root=7), "data.json is damaged"),
    ],
)
def test_damaged_documents(change, message):
    document = through_json(load("digits"))
    change(document)
    with pytest.raises(DataError, match=message):
        restore(document)


def test_arrays():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 1, 4, 4)).astype(np.uint8)
    labels = np.arange(30) % 3
    splits = from_arrays((images, labels), test=(images[:5], labels[:5]), seed=2)
    assert splits.classes == ["0", "1", "2"]
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (27, 3, 5)
    given = from_arrays((images, labels), validation=(images[:6], labels[:6]), classes=["x", "y", "z"], name="mine")
    assert given.classes == ["x", "y", "z"] and len(given.train) == 30 and len(given.validation) == 6
    assert "mine: 3 classes" in given.description() and "the arrays given" in given.description()
    json.dumps(given.to_json())
    with pytest.raises(DataError, match=r"trained on arrays in memory, which data\.json does not keep"):
        restore(through_json(given))


def test_float_arrays():
    images = np.random.default_rng(0).normal(size=(20, 2, 3, 3)).astype(np.float32)
    splits = from_arrays((images, np.arange(20) % 2), validation=0)
    assert splits.train.images.dtype == np.float32
    assert abs(np.stack([splits.train.image(i) for i in range(20)]).mean()) < 1e-5


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((np.zeros((2, 1, 3, 3), np.uint8), [0.5, 1.0]), None, "the train labels must be whole numbers"),
        ((np.zeros((2, 1, 3, 3), np.uint8), [0, 1, 1]), None, r"labels must be \(2,\)"),
        ((np.zeros((2, 3, 3), np.uint8), [0, 1]), None, r"images must be \(N, C, H, W\)"),
        ((np.zeros((2, 3, 3), np.float32), [0, 1]), None, r"images must be \(N, C, H, W\)"),
        (([[0.5], [0.5]], [0, 1]), None, r"but are \(2, 1\) of float64"),
        ((np.zeros((0, 1, 3, 3), np.uint8), np.zeros(0, int)), None, "there are no pixels"),
        ((np.zeros((2, 1, 3, 3), np.uint8), [0, -1]), None, "but go from -1 to 0"),
        ((np.zeros((2, 1, 3, 3), np.uint8), [0, 1]), (np.zeros((2, 1, 4, 4), np.uint8), [0, 1]),
         "the splits' images differ in shape"),
        ((np.zeros((2, 1, 3, 3), np.uint8), [0, 1]), (np.zeros((2, 1, 3, 3), np.uint8), [0, 2]),
         "labels must go from 0 to 1"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(train, test, message):
    with pytest.raises(DataError, match=message):
        from_arrays(train, test=test, validation=0)


GUARDED = """
import sys
from pathlib import Path
import pellucid.data
from PIL import Image
Image.init()
forbidden = ("pickle.", "socket.connect", "socket.getaddrinfo", "subprocess.", "os.system", "os.exec")
def hook(event, arguments):
    if event.startswith(forbidden):
        raise SystemExit(f"forbidden: {event} {arguments}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+"):
        raise SystemExit(f"written: {arguments}")
sys.addaudithook(hook)
for source in sys.argv[1:]:
    name, _, root = source.partition("=")
    splits = pellucid.data.load(name, root=root or None)
    for _ in pellucid.data.Batches(splits.train, 8): pass
    pellucid.data.restore(splits.to_json())
try:
    pellucid.data.load("fashion-mnist")
except pellucid.data.load.__globals__["DataError"]:
    print("quiet")
"""


def test_loading_runs_no_code_and_asks_no_network(tmp_path, monkeypatch):
    """Judged by the interpreter's own audit events."""
    idx_set(tmp_path / "mnist")
    class_folders(tmp_path / "folder", {"a": 5, "b": 5})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    arguments = ["digits", f"mnist={tmp_path / 'mnist'}", str(tmp_path / "folder")]
    done = subprocess.run([sys.executable, "-c", GUARDED, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "quiet\n"), done.stderr


def test_importing_is_light():
    """Neither Pillow nor the network libraries are loaded before they are needed."""
    code = "import sys, pellucid.data; print(sorted({'PIL', 'urllib.request', 'tarfile'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
