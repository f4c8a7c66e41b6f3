"""For every layer: random numbers opened are the engine's, their slopes agree, and what is printed gives them."""

import numpy as np
import pytest

import pellucid as pc
from pellucid.layers import by_name
from tests.explain import printed
from tests.explain.every_layer import CASES, Opened, places
from tests.explain.networks import what

EACH = -(-200 // len(CASES))
"""So many elements for each of the layers: more than 200 in all."""


def test_every_layer_has_a_network() -> None:
    assert set(CASES) == set(by_name())


@pytest.mark.parametrize("name", CASES)
def test_random_numbers_are_the_engines_and_are_proved(name: str) -> None:
    network = Opened(name)
    arrays = network.arrays()
    for tensor, place in places(arrays, EACH, seed=3):
        opened = network.explain(what(tensor, place))
        assert opened.value == pytest.approx(float(arrays[tensor][place]), rel=1e-6, abs=1e-15), tensor
        if opened.proof is not None:
            assert opened.proof.slope == pytest.approx(opened.value, rel=1e-5, abs=1e-8), (tensor, place)
        if opened.scatter is not None:
            assert opened.scatter.value == pytest.approx(opened.value, rel=1e-10, abs=1e-15), (tensor, place)
        text = str(opened)
        # A random number is not drawn again here; the place of a maximum is counted over all candidates.
        if opened.trace.tree is None or "uniform" in text or "place of the first" in text:
            continue
        shown = printed.parse(text)
        for together in (True, False):
            again = printed.reevaluated(shown, together)
            assert f"{again + 0.0:.6g}" == shown.headline, text


WHOLE = [
    "conv2d", "maxpool2d", "globalmaxpool2d", "linear", "flatten", "embedding", "add", "concat", "paddedshortcut",
    "relu", "convtranspose2d", "addchannel", "tableconv2d", "codedistance",
]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_on_whole_numbers_the_trace_is_bit_for_bit_the_engines(name: str, engine: str) -> None:
    network = Opened(name, whole=True)
    y = pc.predict(network.model, network.x, engine=engine)
    generator = np.random.default_rng(1)
    for _ in range(3):
        place = tuple(int(generator.integers(extent)) for extent in y.shape)
        assert network.explain(what(network.source().output.name, place)).value == y[place]
