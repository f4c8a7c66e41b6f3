"""`pellucid predict`: files and folders, in their order, unreadable ones included."""

import json
from pathlib import Path

import pytest

import pellucid as pc
from tests.cli.conftest import Command, draw


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    draw("upright", 3).save(folder / "a.png")
    draw("lying", 5).resize((40, 40)).convert("RGB").save(folder / "b.jpg")
    draw("lying", 9).save(folder / "deeper" / "c.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_and_a_file(pellucid: Command, trained: Path, images: Path) -> None:
    done = pellucid("predict", trained, images / "b.jpg", images, "--json")
    assert done.code == 0
    found = [(Path(row["path"]).name, row["class"]) for row in done.json["predictions"]]
    assert found == [("b.jpg", "lying"), ("a.png", "upright"), ("b.jpg", "lying"), ("c.png", "lying")]
    assert done.json["unreadable"] == []


def test_the_most_probable_classes(pellucid: Command, trained: Path, images: Path) -> None:
    (row,) = pellucid("predict", trained, images / "a.png", "--top", 5, "--json").json["predictions"]
    assert [choice["class"] for choice in row["top"]] == ["upright", "lying"]
    assert sum(choice["probability"] for choice in row["top"]) == pytest.approx(1, abs=1e-6)
    assert row["probability"] == row["top"][0]["probability"] > 0.5


def test_the_table_for_people(pellucid: Command, trained: Path, images: Path) -> None:
    done = pellucid("predict", trained, images / "a.png")
    header, line = done.out.splitlines()
    assert header.split() == ["image", "class"]
    assert line.startswith(str(images / "a.png"))
    assert "upright" in line
    assert done.err == ""


def test_unreadable_images_are_listed_after_the_others(pellucid: Command, trained: Path, images: Path) -> None:
    (images / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    missing = images / "missing.png"
    done = pellucid("predict", trained, images, missing, "--json")
    assert done.code == 3
    assert len(done.json["predictions"]) == 3
    assert {Path(row["path"]).name for row in done.json["unreadable"]} == {"bad.png", "missing.png"}
    assert f"unreadable: {missing}: " in done.err
    assert "pellucid: error: 2 of 5 images cannot be read" in done.err
    assert pellucid("predict", trained, images, missing, "--bad-files", "drop").code == 0


def test_a_folder_without_images(pellucid: Command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pellucid("predict", trained, tmp_path / "empty").failed_with(3, f"{tmp_path / 'empty'}: there are no images")


def test_nothing_to_predict(pellucid: Command, trained: Path) -> None:
    pellucid("predict", trained).failed_with(2, "missing argument 'PATH...'")


def test_more_images_than_one_batch(pellucid: Command, trained: Path, pictures: Path) -> None:
    done = pellucid("predict", trained, pictures, pictures, "--json")
    rows = done.json["predictions"]
    assert len(rows) == 128
    assert rows[:64] == rows[64:]
    right = sum(row["class"] == Path(row["path"]).parent.name for row in rows)
    assert right >= 115


@pytest.fixture
def exported(pellucid: Command, trained: Path, tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    path = tmp_path / "bars.onnx"
    assert pellucid("export", trained, "--out", path).code == 0
    return path


def said(trained: Path) -> list[str]:
    """The run's normalisation, as options for the model without its run."""
    stored = json.loads((trained / "data.json").read_text())["normalisation"]
    return [f"--{name}={stored[name][0]}" for name in ("mean", "std")]


def test_an_onnx_file_predicts_like_its_run(
    pellucid: Command, trained: Path, exported: Path, images: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("lying\nupright\n")
    by_run = pellucid("predict", trained, images, "--json").json["predictions"]
    done = pellucid("predict", exported, images, "--classes", names, *said(trained), "--json")
    assert [row["class"] for row in done.json["predictions"]] == [row["class"] for row in by_run]
    assert [row["probability"] for row in done.json["predictions"]] == pytest.approx(
        [row["probability"] for row in by_run], abs=1e-5
    )
    numbered = pellucid("predict", exported, images, *said(trained), "--json").json["predictions"]
    assert [row["class"] for row in numbered] == [{"lying": "0", "upright": "1"}[row["class"]] for row in by_run]


def test_a_softmax_at_the_end_is_not_applied_twice(pellucid: Command, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from pellucid.formats.onnx import export_onnx

    layers = [pc.layers.Flatten(), pc.layers.Linear(784, 3)]
    scores, sure = pc.Sequential(layers), pc.Sequential([*layers, pc.layers.Softmax()])
    scores.input_shape = sure.input_shape = (1, 28, 28)
    for name, model in (("scores", scores), ("sure", sure)):
        export_onnx(model.init(seed=3), tmp_path / f"{name}.onnx")
    found = [
        pellucid("predict", tmp_path / f"{name}.onnx", images / "a.png", "--top", 3, "--json").json["predictions"][0]
        for name in ("scores", "sure")
    ]
    shares = [[choice["probability"] for choice in row["top"]] for row in found]
    assert sum(shares[0]) == pytest.approx(1, abs=1e-6)
    assert shares[0] == pytest.approx(shares[1], abs=1e-6)


def test_what_does_not_fit_an_onnx_file(
    pellucid: Command, trained: Path, exported: Path, images: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    file = images / "a.png"
    pellucid("predict", exported, file, "--classes", names).failed_with(2, "has 2 classes, but 3 are named")
    pellucid("predict", exported, file, "--classes", tmp_path / "none").failed_with(3, "none: No such file")
    pellucid("predict", exported, file, "--classes", file).failed_with(3, "a.png is no text file")
    pellucid("predict", exported, file, "--mean", "1,2").failed_with(2, "--mean has 2 numbers", "have 1 channel.")
    pellucid("predict", exported, file, "--std", "0").failed_with(3, "must be positive")
    pellucid("predict", exported, file, "--std", "a").failed_with(2, "'a' is no list of numbers")
    pellucid("predict", tmp_path / "none.onnx", file).failed_with(3, "is not a file")
    pellucid("predict", trained, file, "--classes", names).failed_with(2, "is a run, which knows its classes")
    pellucid("eval", exported).failed_with(2, "without data of its own", "pellucid predict")


def test_an_onnx_file_that_does_not_classify_or_leaves_the_size_open(
    pellucid: Command, images: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    for name, size in (("maps", 28), ("open", "width")):
        shape = ["batch", 1, size, size]
        declared = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in ("x", "y")]
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        graph = onnx.helper.make_graph([node], name, declared[:1], declared[1:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
        onnx.save(model, tmp_path / f"{name}.onnx")
    pellucid("predict", tmp_path / "maps.onnx", images / "a.png").failed_with(2, "but 1x28x28 numbers")
    pellucid("predict", tmp_path / "open.onnx", images / "a.png").failed_with(2, "does not say how large its images")
