"""Files of stated items: read as written, refused with a reason when they contradict themselves."""

from pathlib import Path

import pytest

from pellucid.errors import DataError
from pellucid.lessons.items import load

GOOD = """
name = "invented"
language = "en"
source = "nowhere"

[[item]]
id = "x"
place = "page 1"
given = true
stated = [["0.10", "2"], ["3", "4"]]

[[item]]
id = "y"
place = "page 1"
formula = "2 * x[a,b]"
indices = ["a", "b"]
stated = [["0.2", "4"], ["6", "9"]]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "example.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_items_keep_the_printed_texts_and_their_arrangement(tmp_path: Path) -> None:
    notes = load(write(tmp_path, GOOD))
    assert (notes.name, notes.language) == ("invented", "en")
    x, y = notes.items
    assert (x.stated, x.shape, x.given) == (("0.10", "2", "3", "4"), (2, 2), True)
    assert (y.formula, y.indices) == (("2 * x[a,b]",), ("a", "b"))
    assert [y.label(k) for k in range(4)] == ["y[1,1]", "y[1,2]", "y[2,1]", "y[2,2]"]
    assert y.letters(2, y.shape) == {"a": 2, "b": 1}


ITEM = '[[item]]\nid = "z"\nplace = "page 2"\n'


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        (ITEM + "stated = [1, 2]", r'item "z": "stated" must be a text or equally long rows'),
        (ITEM + 'stated = [["1"], ["1", "2"]]', "equally long rows"),
        (ITEM, "a number states no number|must hold what is printed"),
        (ITEM + 'kind = "question"\nstated = "1"', "a question states no number"),
        (ITEM + 'kind = "riddle"\nstated = "1"', 'kind "riddle" must be one of number, sum'),
        (ITEM + 'stated = ["1", "2"]\nwritten = ["1"]', r'"written" has the shape \(1,\), must have'),
        (
            ITEM + 'stated = ["1", "2"]\nformula = ["1", "2", "3"]',
            r'"formula" has the shape \(3,\), must be one',
        ),
        (ITEM + 'stated = ["1"]\nformula = "a"\nindices = ["a", "b"]', '2 "indices" for 1 dimensions'),
        (ITEM + 'kind = "formula"', 'a formula needs a text "formula"'),
        (ITEM + 'stated = "1"\ntrue = "2"', 'unknown key "true"; known are'),
        (ITEM + 'stated = "1"\ngiven = "yes"', "\"given\" must be of type bool, not 'yes'"),
        (ITEM + 'stated = "1"\nscale = true', '"scale" must be of type int'),
        (ITEM.replace('"z"', '"a-b"') + 'stated = "1"', "the id must be one word"),
        (ITEM.replace('"z"', '"x"') + 'stated = "1"', 'the id "x" must be used once'),
        (ITEM.replace('place = "page 2"\n', "") + 'stated = "1"', 'needs a text "place"'),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, addition: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as refused:
        load(write(tmp_path, f"{GOOD}\n{addition}"))
    assert "example.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "must be a readable TOML file"),
        ('name = "empty"', "at least one"),
        ("colour = 1", "unknown key"),
    ],
)
def test_what_is_no_file_of_items_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        load(write(tmp_path, text))


EXAMPLES = 'source = "nowhere"\n[examples]\nonly = [{}]\n'


def test_examples_share_out_the_items(tmp_path: Path) -> None:
    notes = load(write(tmp_path, GOOD.replace('source = "nowhere"\n', EXAMPLES.format('"x", "y"'))))
    assert notes.examples == {"only": ("x", "y")}


@pytest.mark.parametrize(("held", "at_fault"), [('"x"', "y"), ('"x", "y", "x"', "x"), ('"x", "y", "z"', "z")])
def test_examples_that_do_not_are_refused(tmp_path: Path, held: str, at_fault: str) -> None:
    with pytest.raises(DataError, match=f'and once; "{at_fault}" does not'):
        load(write(tmp_path, GOOD.replace('source = "nowhere"\n', EXAMPLES.format(held))))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.toml: must be a readable"):
        load(tmp_path / "gone.toml")
