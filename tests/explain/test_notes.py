"""The sentences beside a trace: what a maximum took, what was dropped, where paths join, which statistics serve."""

import numpy as np
import pytest

from pellucid import languages
from tests.explain.every_layer import Opened
from tests.explain.networks import Network


def notes(opened: Opened | Network, what: str) -> list[str]:
    return opened.explain(what, proof=False).json()["notes"]


def test_a_maximum_says_which_cell_it_took() -> None:
    opened = Opened("globalmaxpool2d")
    cells = opened.arrays()["conv1"][0, 1]
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    assert notes(opened, "globalmaxpool2d1[0,1]") == [f"The largest is {cells.max():.6g}, at i={row} j={column}."]


def test_gradients_say_whether_they_pass_a_maximum() -> None:
    network = Network("lenet5")
    place = int(network.explain("pool1 argument[0,2,2,3]").value)
    passed = []
    for cell in range(4):
        told = notes(network, f"d act1[0,2,{4 + cell // 2},{6 + cell % 2}]")
        assert len(told) == 1 and f"at place {place} of its window" in told[0]
        passed.append(told[0].startswith("The gradient comes through here"))
    assert passed == [cell == place for cell in range(4)]


def test_in_overlapping_windows_each_has_its_sentence() -> None:
    told = notes(Opened("maxpool2d"), "d conv1[0,1,2,3]")
    assert len(told) == 2 and all("of its window" in sentence for sentence in told)


def test_dropout_says_what_it_drew() -> None:
    opened = Opened("dropout")
    kept = opened.arrays()["dropout1.K"]
    for keeps, verb in ((True, "keeps"), (False, "drops")):
        place = np.argwhere((kept > 0) == keeps)[0]
        (told,) = notes(opened, f"dropout1.K[{','.join(map(str, place))}]")
        assert f"dropout {verb} this value" in told


def test_paths_that_meet_are_named() -> None:
    assert notes(Opened("add"), "join[0,1,2,3]") == [
        "Several paths meet here and are added: left[0,1,2,3], right[0,1,2,3]."
    ]
    assert notes(Opened("concat"), "join[0,3,2,3]") == ["Concatenation: part 2 of 2, a copy of right[0,1,2,3]."]


def test_normalisation_says_whose_statistics_it_uses() -> None:
    opened = Opened("batchnorm2d")
    assert "The mean of this channel" in notes(opened, "batchnorm2d1.M[1]")[0]
    assert "The variance of this channel" in notes(opened, "batchnorm2d1.V[1]")[0]
    assert notes(opened, "batchnorm2d1.H[0,1,2,3]") == []
    opened.training = False
    assert "running statistics" in notes(opened, "batchnorm2d1.H[0,1,2,3]")[0]


@pytest.mark.parametrize("code", languages.CODES)
def test_every_sentence_can_be_said(code: str) -> None:
    said = Network("lenet5").explain("d act1[0,4,6]", proof=True, depth=2, lang=code)
    everything = said.text() + said.speech() + said.latex() + said.html() + said.terminal()
    assert "{" not in said.text() + said.speech()
    assert languages.catalogue(code, "explain")("proof") in everything
