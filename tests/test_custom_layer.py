"""A layer of one's own: ten lines, one equation; everything else follows."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid.formats.safetensors import load_weights, save_weights
from pellucid.notation import Tensor, indices, sum_over
from tests.oracles.compare import assert_close
from tests.oracles.differences import Point, check_gradient


class RadialBasis(pc.Layer):
    """Y[n,o] = exp(-b[o] * sum(k) (X[n,k] - C[o,k])^2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.centre = pc.Parameter("C", (outputs, inputs), init="he_normal")
        self.width = pc.Parameter("b", (outputs,), init="ones")

    def forward(self, x: Tensor) -> Tensor:
        n, o, k = indices("n o k")
        y = Tensor("Y")
        y[n, o] = pc.notation.exp(-self.width[o] * sum_over([k], (x[n, k] - self.centre[o, k]) ** 2))
        return y


def network() -> pc.Sequential:
    return pc.Sequential(
        [("hidden", pc.layers.Linear(2, 3)), ("basis", RadialBasis(3, 8)), ("fc", pc.layers.Linear(8, 2))]
    )


def test_it_is_ten_lines() -> None:
    lines = [line for line in inspect.getsource(RadialBasis).splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 10


def test_its_value(engine: str, generator: np.random.Generator, repro: str) -> None:
    layer = RadialBasis(3, 4).init(seed=1)
    x = generator.normal(size=(5, 3)).astype(np.float32)
    centre, width = layer.parameters["centre"].astype(np.float64), layer.parameters["width"]
    expected = np.zeros((5, 4))
    for n, o in np.ndindex(5, 4):
        expected[n, o] = np.exp(-width[o] * sum((float(x[n, k]) - centre[o, k]) ** 2 for k in range(3)))
    assert_close("y", pc.predict(layer, x, engine=engine), expected, rtol=2e-5, atol=1e-7, repro=repro)


def test_its_gradients(double_engine: str, generator: np.random.Generator, repro: str) -> None:
    layer = RadialBasis(3, 4)
    point = {
        "x": generator.normal(size=(5, 3)),
        "centre": generator.normal(size=(4, 3)),
        "width": generator.uniform(0.5, 1, 4),
    }
    dy = generator.normal(size=(5, 4))

    def run(at: Point) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        given = {name: at[name] for name in ("centre", "width")}
        return pc.vjp(layer, at["x"], dy, engine=double_engine, dtype="float64", parameters=given)

    _, dx, gradients = run(point)
    check_gradient(
        lambda at: float(np.sum(run(at)[0] * dy)), point, {"x": dx, **gradients}, seed=1, repro=repro, singles=4
    )


def test_its_derivation_is_printed() -> None:
    found = pc.derive(RadialBasis(3, 4), (3,))
    assert [str(e) for e in found.forward] == ["Y[n,o] = exp(-b[o] * (sum(k) (X[n,k] - C[o,k])^2))"]
    left = [str(e).split(" = ")[0] for e in found.gradients]
    assert {"dX[n,k]", "dC[o,k]", "db[o]"} <= set(left)
    (width,) = [str(e) for e in found.gradients if str(e).startswith("db")]
    assert "exp" not in width and "Y[n,o]" in width
    assert r"\frac{\partial L}{\partial C_{o,k}} &= " in found.latex()


def test_its_parameters_are_named_counted_and_initialised() -> None:
    model = network().init(seed=3)
    assert [n for n in model.parameters if n.startswith("basis")] == ["basis.centre", "basis.width"]
    assert (model.parameters["basis.width"] == 1).all()
    np.testing.assert_array_equal(model.parameters["basis.centre"], network().init(seed=3).parameters["basis.centre"])
    row = model.summary((2,)).rows[1]
    assert (row.name, row.kind, row.output_shape, row.parameters) == ("basis", "RadialBasis", (8,), 8 * 3 + 8)


@pytest.fixture(params=["numpy", "native"])
def trainer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_trains_and_its_weights_are_saved_and_loaded(trainer: str, tmp_path: Path) -> None:
    """Points inside and outside a circle: no line parts them."""
    engine, generator = trainer, np.random.default_rng(0)
    x = generator.uniform(-1.5, 1.5, (64, 2)).astype(np.float32)
    labels = (np.hypot(*x.T) < 1).astype(np.int64)
    model = network().init(seed=0)
    step = pc.compile_training(model, 64, (2,), optimizer=pc.optim.Adam(0.05), engine=engine)
    losses = [step(x, labels) for _ in range(120)]
    assert losses[-1] < 0.3 * losses[0]
    step.write_back()
    assert np.mean(pc.predict(model, x, engine=engine).argmax(axis=1) == labels) > 0.95

    save_weights(tmp_path / "weights.safetensors", model.parameters)
    again = network().load(load_weights(tmp_path / "weights.safetensors").tensors)
    np.testing.assert_array_equal(pc.predict(again, x, engine=engine), pc.predict(model, x, engine=engine))


def test_a_layer_without_an_equation() -> None:
    class Unfinished(pc.Layer):
        pass

    with pytest.raises(pc.errors.UsageError, match=r"^Unfinished has no equation: define forward\(self, x\)$"):
        pc.predict(Unfinished(), np.ones((1, 2)), engine="numpy")


def test_an_equation_that_does_not_fit_names_layer_index_and_numbers() -> None:
    wrong = pc.Sequential([("basis", RadialBasis(3, 8))])
    with pytest.raises(pc.errors.ShapeError) as error:
        pc.predict(wrong, np.ones((1, 2)), engine="numpy")
    assert str(error.value) == (
        'RadialBasis "basis": Y: index k runs over 2 values elsewhere, '
        "but dimension 1 of basis.centre has 3 (in C[o,k])"
    )
