"""`pellucid predict`: files and folders, in their order, unreadable ones included."""

from pathlib import Path

import pytest

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
