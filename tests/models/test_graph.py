"""Graphs of layers: names, branches and joins, graphs inside graphs, initial values, loading."""

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.layers import Conv2d, Dropout, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU, Tanh
from pellucid.notation import Index, Tensor, indices


class Add(pc.Layer):
    """The sum of two branches."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        n, k = indices("n k")
        y = Tensor("Y")
        y[n, k] = a[n, k] + b[n, k]
        return y


class Join(pc.Layer):
    """Two branches, one after the other."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        left, right = a.extents[1], b.extents[1]
        n = indices("n")[0]
        k, m = Index("k", left), Index("m", right)
        y = Tensor("Y", (a.extents[0], left + right))
        y[n, k] = a[n, k]
        y[n, m + left] = b[n, m]
        return y


def branching() -> pc.Graph:
    """fc -> (tanh, wide) -> sum -> joined with the input -> out."""
    graph = pc.Graph()
    graph.add("fc", Linear(3, 3))
    graph.add("tanh", Tanh())
    graph.add("wide", Linear(3, 3, bias=False), "fc")
    graph.add("sum", Add(), "tanh", "wide")
    graph.add("joined", Join(), "sum", "input")
    graph.add("out", Linear(6, 2))
    return graph


def by_hand(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    h = x @ p["fc.weight"].T + p["fc.bias"]
    s = np.tanh(h) + h @ p["wide.weight"].T
    return np.concatenate([s, x], axis=1) @ p["out.weight"].T + p["out.bias"]


def test_branches_and_joins(engine: str, generator: np.random.Generator) -> None:
    model = branching().init(seed=5)
    x = generator.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(pc.predict(model, x, engine=engine), by_hand(model.parameters, x), rtol=1e-5, atol=1e-6)


def test_gradients_of_branches_and_joins(generator: np.random.Generator) -> None:
    """Against differences of the formula written by hand."""
    model = branching().init(seed=5)
    p = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    x, dy = generator.normal(size=(4, 3)), generator.normal(size=(4, 2))
    _, dx, gradients = pc.vjp(model, x, dy, engine="numpy", dtype="float64")

    for name, array, gradient in [("x", x, dx), *((n, p[n], gradients[n]) for n in p)]:
        direction = generator.normal(size=array.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = {**p, "x": x, name: array + step * direction}
            ends.append(float(np.sum(by_hand(moved, moved["x"]) * dy)))
        np.testing.assert_allclose(np.sum(gradient * direction), (ends[0] - ends[1]) / 2e-6, rtol=1e-7, atol=1e-8)


def test_names_by_kind_and_number() -> None:
    model = pc.Sequential(
        [Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Conv2d(2, 2, 3), ReLU(), GlobalAvgPool2d(), Linear(2, 2)]
    )
    assert list(model.nodes) == ["conv1", "relu1", "pool1", "conv2", "relu2", "gap1", "fc1"]
    assert list(model.parameters) == [
        "conv1.weight",
        "conv1.bias",
        "conv2.weight",
        "conv2.bias",
        "fc1.weight",
        "fc1.bias",
    ]


def nested() -> pc.Graph:
    block = pc.Sequential([("conv", Conv2d(2, 2, 3, padding=1)), ("drop", Dropout(0.5))])
    inner = pc.Sequential([("skip", Dropout(0.5)), ("block", block)])
    return pc.Sequential([("stem", Conv2d(1, 2, 3)), ("body", inner), ("gap", GlobalAvgPool2d()), ("fc", Linear(2, 2))])


def test_graphs_inside_graphs() -> None:
    model = nested()
    assert list(model.parameters) == [
        "stem.weight", "stem.bias", "body.block.conv.weight", "body.block.conv.bias", "fc.weight", "fc.bias",
    ]  # fmt: skip
    assert [(row.name, row.output_shape) for row in model.summary((1, 8, 8)).rows] == [
        ("stem", (2, 6, 6)), ("body.skip", (2, 6, 6)), ("body.block.conv", (2, 6, 6)), ("body.block.drop", (2, 6, 6)),
        ("gap", (2,)), ("fc", (2,)),
    ]  # fmt: skip


def test_what_is_inside_computes_as_if_it_stood_alone(engine: str, generator: np.random.Generator) -> None:
    model = nested().init(seed=2)
    x = generator.normal(size=(3, 1, 8, 8)).astype(np.float32)
    flat = pc.Sequential([Conv2d(1, 2, 3), Conv2d(2, 2, 3, padding=1), GlobalAvgPool2d(), Linear(2, 2)])
    flat.load(dict(zip(flat.parameters, model.parameters.values(), strict=True)))
    np.testing.assert_array_equal(pc.predict(model, x, engine=engine), pc.predict(flat, x, engine=engine))


def test_a_part_used_by_itself_leaves_the_whole_alone(engine: str) -> None:
    model = nested().init(seed=2)
    infer = pc.compile(model, batch_size=2, input_shape=(1, 8, 8), engine=engine)
    step = pc.compile_training(model, batch_size=2, input_shape=(1, 8, 8), engine=engine)
    x, labels = np.ones((2, 1, 8, 8), np.float32), np.array([0, 1])
    before = infer(x)
    body = model["body"]
    assert isinstance(body, pc.Graph)
    body.summary((2, 6, 6))
    pc.predict(model["fc"], np.ones((1, 2)), engine=engine)
    np.testing.assert_array_equal(infer(x), before)
    assert np.isfinite(step(x, labels))
    pc.predict(model["fc"], np.ones((1, 2)), engine=engine)
    assert sorted(step.parameters) == sorted(model.parameters)
    assert {n for n in step.state_dict() if n.startswith("model.")} == {f"model.{n}" for n in model.parameters}


def test_initial_values_are_those_of_the_seed() -> None:
    one, same, other = (nested().init(seed=s).parameters for s in (7, 7, 8))
    assert all(np.array_equal(one[n], same[n]) for n in one)
    assert not np.array_equal(one["fc.weight"], other["fc.weight"])
    assert not np.array_equal(one["stem.weight"].ravel()[:4], one["fc.weight"].ravel()[:4])
    untouched = nested().parameters
    zero = nested().init(seed=0).parameters
    assert all(np.array_equal(untouched[n], zero[n]) for n in zero)


def test_loading() -> None:
    source, target = branching().init(seed=1), branching().init(seed=2)
    kept = {name: value.copy() for name, value in source.parameters.items()}
    assert target.load(source.parameters) is target
    source.parameters["fc.weight"][:] = 0
    for name, value in target.parameters.items():
        np.testing.assert_array_equal(value, kept[name])


def test_loading_lists_every_difference_and_changes_nothing() -> None:
    model = branching().init(seed=1)
    before = {name: value.copy() for name, value in model.parameters.items()}
    values = {name: value + 1 for name, value in model.parameters.items()}
    values["fc.weight"] = np.zeros((3, 4), np.float32)
    values["gain"] = values.pop("out.bias")
    del values["wide.weight"]
    with pytest.raises(ShapeError) as error:
        model.load(values)
    assert str(error.value) == (
        "these weights belong to another model: missing wide.weight; missing out.bias; unexpected gain; "
        "fc.weight is 3x4, must be 3x3"
    )
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("name", "layer", "inputs", "message"),
    [
        ("fc", ReLU(), (), "the model already has a layer 'fc'"),
        ("a b", ReLU(), (), "a layer's name is made of letters, digits and underscores, and is not 'input'; got 'a b'"),
        ("a.b", ReLU(), (), "a layer's name is made of letters, digits and underscores, and is not 'input'; got 'a.b'"),
        ("", ReLU(), (), "a layer's name is made of letters, digits and underscores, and is not 'input'; got ''"),
        (
            "input",
            ReLU(),
            (),
            "a layer's name is made of letters, digits and underscores, and is not 'input'; got 'input'",
        ),
        ("late", ReLU(), ("later",), "late reads 'later', but no layer before it has that name"),
        ("kind", ReLU, (), "kind: a model is made of layers; got <class 'pellucid.layers.activation.ReLU'>"),
    ],
)
def test_layers_that_cannot_be_added(name: str, layer: pc.Layer, inputs: tuple[str, ...], message: str) -> None:
    graph = pc.Graph([("fc", Linear(2, 2))])
    with pytest.raises(UsageError) as error:
        graph.add(name, layer, *inputs)
    assert str(error.value) == message
    assert list(graph.nodes) == ["fc"]


def test_a_layer_takes_as_many_inputs_as_its_equation() -> None:
    graph = pc.Graph([("fc", Linear(3, 3)), ("again", Linear(3, 3))])
    graph.add("both", ReLU(), "fc", "again")
    with pytest.raises(UsageError, match='ReLU "both": its equation does not take 2 inputs'):
        pc.predict(graph, np.ones((1, 3)), engine="numpy")
    lonely = pc.Graph([("sum", Add())])
    with pytest.raises(UsageError, match=r'Add "sum": its equation does not take 1 input$'):
        pc.predict(lonely, np.ones((1, 3)), engine="numpy")


def test_an_empty_model_and_an_unknown_layer() -> None:
    with pytest.raises(UsageError, match="the model has no layers: add some"):
        pc.predict(pc.Sequential([]), np.ones((1, 3)), engine="numpy")
    with pytest.raises(UsageError, match="the model has no layer 'fc9'; it has fc, tanh, wide"):
        branching()["fc9"]


def test_a_wrong_shape_names_the_layer_by_its_path() -> None:
    model = pc.Sequential([("stem", Conv2d(1, 2, 3)), ("body", pc.Sequential([("conv", Conv2d(3, 2, 3))]))])
    with pytest.raises(ShapeError, match=r'^Conv2d "body\.conv": expects 3 channels, but "stem" gives 2$'):
        model.summary((1, 8, 8))


@pytest.mark.parametrize("name", ["loss", "target"])
def test_a_layer_named_like_something_of_the_training_step(name: str) -> None:
    """It is refused rather than mixed up."""
    model = pc.Sequential([(name, Linear(3, 3))])
    with pytest.raises(UsageError, match=f"two tensors of the program are named '{name}'"):
        pc.compile_training(model, 2, (3,), engine="numpy")(np.ones((2, 3), np.float32), np.array([0, 1]))


def test_repr_shows_the_layers() -> None:
    shown = repr(pc.Sequential([("flat", Flatten()), ("fc", Linear(4, 2))]))
    assert shown == "Sequential(\n  flat: Flatten()\n  fc: Linear(in_features=4, out_features=2)\n)"


# ---- auxiliary outputs


def with_auxiliary(weight: float = 0.3) -> pc.Graph:
    """Two dense layers, and a classifier behind the first one that helps to train."""
    model = pc.Graph([("flatten", pc.layers.Flatten()), ("fc1", pc.layers.Linear(12, 5)), ("act", pc.layers.Tanh())])
    model.add("fc2", pc.layers.Linear(5, 3))
    model.add("aux", pc.layers.Linear(5, 3), "act")
    model.auxiliary["aux"] = weight
    return model.init(seed=4)


def cross_entropy_and_slope(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    p = shifted / shifted.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    slope = p.copy()
    slope[rows, labels] -= 1
    return float(-np.log(p[rows, labels]).mean()), slope / len(labels)


def test_auxiliary_losses_count_with_their_weight(engine: str, generator: np.random.Generator) -> None:
    model, labels = with_auxiliary(), np.array([0, 2, 1, 1])
    x = generator.normal(size=(4, 3, 2, 2)).astype(np.float32)
    before = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    step = pc.compile_training(model, 4, (3, 2, 2), optimizer=pc.optim.SGD(lr=1.0), engine=engine)
    loss = step(x, labels)
    after = step.parameters
    step.close()
    hidden = np.tanh(x.reshape(4, 12) @ before["fc1.weight"].T + before["fc1.bias"])
    main, slope = cross_entropy_and_slope(hidden @ before["fc2.weight"].T + before["fc2.bias"], labels)
    aux, aux_slope = cross_entropy_and_slope(hidden @ before["aux.weight"].T + before["aux.bias"], labels)
    assert loss == pytest.approx(main + 0.3 * aux, rel=1e-5)
    np.testing.assert_allclose(before["aux.weight"] - after["aux.weight"], 0.3 * aux_slope.T @ hidden, atol=1e-6)
    back = (slope @ before["fc2.weight"] + 0.3 * aux_slope @ before["aux.weight"]) * (1 - hidden**2)
    np.testing.assert_allclose(before["fc1.bias"] - after["fc1.bias"], back.sum(0), atol=1e-6)


def test_inference_computes_no_auxiliary_output() -> None:
    model = with_auxiliary()
    x = np.ones((2, 3, 2, 2), np.float32)
    assert pc.predict(model, x, engine="numpy").shape == (2, 3)
    assert model.output == "fc2"
    reads = pc.notation.Program.of([model.forward(pc.notation.Tensor("X", (2, 3, 2, 2), role="input"))]).given
    assert {t.name for t in reads} >= {"fc2.weight"} and "aux.weight" not in {t.name for t in reads}


def test_the_summary_has_the_parameters_of_auxiliary_outputs_but_not_their_cost() -> None:
    summary = with_auxiliary().summary((3, 2, 2))
    rows = {row.name: (row.parameters, row.multiply_adds, row.auxiliary) for row in summary.rows}
    assert rows["aux"] == (18, 15, True) and rows["fc2"] == (18, 15, False)
    assert summary.parameters == 65 + 18 + 18 and summary.multiply_adds == 60 + 15
    assert str(summary).endswith("* computed only while training: the total has their parameters, not their cost")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fc3", "the model has no layer 'fc3', which is named as an auxiliary output"),
        ("act", "fc2 reads 'act', but inference does not compute auxiliary outputs"),
    ],
)
def test_auxiliary_outputs_that_cannot_be(name: str, message: str) -> None:
    model = with_auxiliary()
    model.auxiliary[name] = 0.1
    with pytest.raises(UsageError) as error:
        pc.predict(model, np.ones((2, 3, 2, 2), np.float32))
    assert str(error.value) == message


def test_a_number_of_an_auxiliary_output_can_be_opened() -> None:
    """In training its loss is part of the loss that is explained."""
    model, x = with_auxiliary(), np.ones((2, 3, 2, 2), np.float32)
    opened = pc.explain(model, x, "loss", target=np.array([0, 1]), training=True)
    assert "L_aux" in str(opened) and "0.3" in str(opened)
