"""Opening numbers of whole models: each is the engine's number, and what is printed gives it again."""

import math

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.explain import explain
from pellucid.explain.trace import Read, Reduction
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d
from tests.explain import printed
from tests.explain.networks import NAMES, Network, coordinates, what


@pytest.mark.parametrize("name", NAMES)
def test_the_traced_number_is_the_engines_and_the_printed_terms_give_it(name: str) -> None:
    network, generator = Network(name), np.random.default_rng(7)
    for tensor_name in network.tensors():
        tensor, values = network.values(tensor_name)
        for _ in range(3):
            place = coordinates(tensor.extents, generator)
            explanation = network.explain(what(tensor_name, place))
            engine = values[tensor_name][place]
            assert explanation.value == pytest.approx(float(engine), rel=1e-12, abs=1e-15), tensor_name
            if explanation.trace.tree is None or "uniform" in str(explanation):
                continue
            shown = printed.parse(str(explanation))
            assert shown.result == shown.headline
            for opened in (True, False):
                again = printed.reevaluated(shown, opened)
                assert f"{again + 0.0:.6g}" == shown.headline, f"{explanation}\nopened: {opened}"


@pytest.mark.parametrize("name", ["strided", "notes-cnn"])
def test_whole_numbers_are_traced_exactly(name: str) -> None:
    network, generator = Network(name, whole=True), np.random.default_rng(1)
    tensor, values = network.values("conv1")
    for _ in range(20):
        place = coordinates(tensor.extents, generator)
        assert network.explain(what("conv1", place)).value == values["conv1"][place]


@pytest.mark.parametrize("name", ["strided", "lenet5", "dilated", "residual"])
def test_a_traced_gradient_is_the_slope_of_the_loss(name: str) -> None:
    network, generator = Network(name), np.random.default_rng(2)
    step = 1e-5
    for parameter, array in network.model.parameters.items():
        place = coordinates(array.shape, generator)
        slope = network.explain(what(f"d {parameter}", place)).value
        losses = []
        for sign in (1, -1):
            moved = array.astype(np.float64)
            moved[place] += sign * step
            losses.append(loss_with(network, {parameter: moved}))
        assert slope == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5, abs=1e-8), parameter


def loss_with(network: Network, changed: dict[str, npt.NDArray[np.float64]]) -> float:
    """The loss with some parameters replaced, in float64, by the public functions."""
    parameters = {**{n: v.astype(np.float64) for n, v in network.model.parameters.items()}, **changed}
    y, _, _ = pc.vjp(network.model, network.x, dtype="float64", parameters=parameters)
    return pc.loss_and_gradient(network.loss, y, network.target, dtype="float64")[0]


def test_a_gradient_by_a_parameter_is_that_of_the_public_functions() -> None:
    network = Network("lenet5")
    y, _, _ = pc.vjp(network.model, network.x, dtype="float64")
    _, dy = pc.loss_and_gradient(network.loss, y, network.target, dtype="float64")
    _, dx, gradients = pc.vjp(network.model, network.x, dy, dtype="float64")
    assert network.explain("d input[1,0,12,13]").value == pytest.approx(dx[1, 0, 12, 13], rel=1e-10)
    found = network.explain("d conv1.weight[2,0,1,1]").value
    assert found == pytest.approx(gradients["conv1.weight"][2, 0, 1, 1], rel=1e-10)


def test_a_long_sum_is_folded_to_its_largest_terms_and_unfolds() -> None:
    network = Network("lenet5")
    folded = network.explain("conv2[3,4,5]").trace.tree
    whole = network.explain("conv2[3,4,5]", full=True).trace.tree
    assert folded is not None and whole is not None
    short, long = folded.operands[0], whole.operands[0]
    assert isinstance(short, Reduction) and isinstance(long, Reduction)
    assert (len(long.terms), long.folded, long.remainder) == (150, 0, 0)
    assert (len(short.terms), short.folded) == (8, 142)
    assert short.value == long.value == math.fsum(term.body.value for term in long.terms)
    kept = {term.point for term in short.terms}
    rest = [term.body.value for term in long.terms if term.point not in kept]
    assert short.remainder == math.fsum(rest)
    assert min(abs(t.body.value) for t in short.terms) >= max(map(abs, rest))
    assert len(str(network.explain("conv2[3,4,5]", full=True)).splitlines()) > 150


def test_the_text_names_equation_indices_elements_and_numbers() -> None:
    model = pc.Sequential([Conv2d(1, 1, 2)])
    model.load({"conv1.weight": np.array([[[[1, -2], [3, 4]]]]), "conv1.bias": np.array([0.5])})
    x = np.arange(9).reshape(1, 1, 3, 3)
    assert str(explain(model, x, "conv1[0,1,0]")).splitlines() == [
        "conv1[0,0,1,0] = 41.5",
        "",
        "equation  Y[n,o,i,j] = sum(c,u,v) X[n,c,i+u,j+v] * W[o,c,u,v] + b[o]",
        "at        n=0 o=0 i=1 j=0",
        "here      sum(c,u,v) input[0,c,u+1,v] * conv1.weight[0,c,u,v] + conv1.bias[0]",
        "",
        "sum(c,u,v) input[0,c,u+1,v] * conv1.weight[0,c,u,v]",
        "4 terms",
        "  c=0 u=0 v=0  input[0,0,1,0] * conv1.weight[0,0,0,0] = 3 * 1     = 3",
        "  c=0 u=0 v=1  input[0,0,1,1] * conv1.weight[0,0,0,1] = 4 * (-2)  = -8",
        "  c=0 u=1 v=0  input[0,0,2,0] * conv1.weight[0,0,1,0] = 6 * 3     = 18",
        "  c=0 u=1 v=1  input[0,0,2,1] * conv1.weight[0,0,1,1] = 7 * 4     = 28",
        "  sum = 41",
        "",
        "result    41 + 0.5",
        "          = 41.5",
    ]


def test_padding_is_marked_as_outside() -> None:
    explanation = Network("dilated").explain("pool1[0,0,0]")
    assert "u=0 v=0  conv1[0,0,-1,-1]  = -inf (outside)" in str(explanation)
    outside = [n for n in explanation.trace.walk() if isinstance(n, Read) and not n.inside]
    assert outside[0].coordinates == (0, 0, -1, -1)
    assert all(n.value == -math.inf for n in outside)


def test_the_gradient_of_softmax_and_cross_entropy_reads_s_minus_y() -> None:
    text = str(Network("lenet5").explain("d fc3[1]"))
    assert "dY[n,k] = (P[n,k] - [k == y[n]]) / 2" in text
    assert "(loss.P[0,1] - [1 == target[0]]) / 2" in text


def test_max_pooling_shows_where_the_gradient_goes() -> None:
    network = Network("lenet5")
    place = network.explain("pool1 argument[0,2,3]").value
    row, column = divmod(int(place), 2)
    winner = network.explain(f"d act1[0,{4 + row},{6 + column}]")
    assert f"[pool1 argument[0,0,2,3] == {place}] * d pool1[0,0,2,3]" in str(winner)
    assert winner.value == pytest.approx(network.explain("d pool1[0,2,3]").value, rel=1e-12)
    assert network.explain(f"d act1[0,{4 + row},{7 - column}]").value == 0


def test_a_cell_that_no_window_reads_has_the_gradient_0() -> None:
    model = pc.Sequential([MaxPool2d(2), Flatten()]).init()
    explanation = explain(model, np.ones((1, 1, 5, 5)), "d input[0,4,4]", target=1)
    assert explanation.value == 0
    assert "No part of the tensor's equations writes this element" in str(explanation)


def test_of_a_strided_gradient_the_part_that_writes_the_element_is_opened() -> None:
    explanation = Network("strided").explain("d input[0,3,4]")
    assert (explanation.trace.part, explanation.trace.parts) == (2, 4)
    assert "(part 3 of 4)" in str(explanation)
    assert explanation.trace.equation is not None
    assert [f"{affine}" for affine in explanation.trace.equation.at][2:] == ["2*x+1", "2*y"]


def test_a_given_number_says_what_it_is() -> None:
    network = Network("notes-mlp")
    assert (
        str(network.explain("fc1.weight[2,0]"))
        == "fc1.weight[2,0] = 0.3\n\nGiven, not computed: a parameter of the model."
    )
    assert "Given, not computed: it goes in." in str(network.explain("input[1]"))


def test_a_layer_by_itself_is_explained_too() -> None:
    layer = Linear(3, 2).init(0)
    explanation = explain(layer, [[1.0, 2.0, 3.0]], "Y[1]")
    assert explanation.value == pytest.approx(float(pc.predict(layer, np.array([[1.0, 2, 3]]), dtype="float64")[0, 1]))
    assert "weight[1,2]" in str(explanation)


def test_what_several_layers_read_gets_the_sum_of_their_gradients() -> None:
    network = Network("residual")
    opened = network.explain("d input[0,2,3]")
    reads = {node.tensor.name for node in opened.trace.walk() if isinstance(node, Read)}
    assert reads == {"d sum2", "d conv1", "d conv2", "conv1.weight", "conv2.weight"}
    assert str(opened).count("18 terms") == 2


def test_dropout_shows_its_draw_while_training() -> None:
    network = Network("pooled")
    text = str(network.explain("dropout1.K[0,0,0,3]"))
    assert "uniform(random.seed, 1, random.step, 3) >= 0.3" in text
    assert "uniform(5, 1, 2, 3) >= 0.3" in text


def test_digits_are_those_asked_for() -> None:
    explanation = Network("notes-mlp").explain("loss")
    assert explanation.text(3).startswith(f"loss = {explanation.value:.3g}\n")
    assert explanation.text(12).startswith(f"loss = {explanation.value:.12g}\n")


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (
            "conv3[0,0,0]",
            UsageError,
            r"there is no tensor 'conv3'\. Did you mean 'conv\d'\? There are input, conv1.weight",
        ),
        ("d conv1.wieght[0,0,0,0]", UsageError, r"Did you mean 'd conv1.weight'\?"),
        (
            "conv1[6,0,0]",
            ShapeError,
            r"conv1 has the shape 2x6x28x28: index 1 of \[0,6,0,0\] must be 0 to 5, not 6",
        ),
        ("d fc3.bias[0,1]", ShapeError, "d fc3.bias has the shape 10: give 1 indices, not 2"),
        ("conv1[x]", UsageError, "names no number"),
    ],
)
def test_a_number_that_does_not_exist_is_explained(asked: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Network("lenet5").explain(asked)


@pytest.mark.parametrize("asked", ["loss", "d conv1[0,0,0]", "loss.P[0,1]"])
def test_what_concerns_the_loss_needs_a_target(asked: str) -> None:
    model = pc.models.create("lenet5").init()
    with pytest.raises(UsageError, match=r"needs the loss: say the target, as in explain\(\.\.\., target=7\)"):
        explain(model, np.zeros((1, 1, 28, 28)), asked)


def test_without_a_target_the_gradients_are_suggested_all_the_same() -> None:
    model = pc.models.create("lenet5").init()
    with pytest.raises(UsageError, match=r"Did you mean 'd conv1'\?"):
        explain(model, np.zeros((1, 1, 28, 28)), "dconv1[0,0,0]")


def test_a_target_that_does_not_fit_is_refused() -> None:
    model = pc.models.create("lenet5").init()
    with pytest.raises(ShapeError, match=r"2 images need 2 labels"):
        explain(model, np.zeros((2, 1, 28, 28)), "loss", target=3)
