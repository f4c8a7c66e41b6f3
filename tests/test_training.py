"""The training step: what it computes, what it keeps, how it continues and what it refuses."""

import numpy as np
import numpy.typing as npt
import pytest

import pellucid as pc
from pellucid.errors import CheckpointError, DataError, ShapeError, UsageError
from pellucid.layers import Conv2d, Dropout, Flatten, Linear, ReLU, State, Tanh
from pellucid.layers.base import Randomness
from pellucid.notation import Tensor, indices, sum_over

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
SHAPE = (1, 6, 6)


def network(dropout: float = 0.0) -> pc.Graph:
    return pc.Sequential(
        [Conv2d(1, 3, 3), Tanh(), Flatten(), Dropout(dropout), Linear(48, 8), ReLU(), Linear(8, 2)]
    ).init(seed=4)


def batch(count: int, seed: int = 0) -> tuple[Images, Labels]:
    """Images that are brighter on the left or on the right."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=count)
    x = generator.normal(size=(count, *SHAPE)).astype(np.float32)
    x[:, 0, :, :3] += np.where(labels == 0, 0.7, -0.7)[:, None, None]
    return x, labels


def compiled(model: pc.Graph, engine: str, **arguments: object) -> pc.TrainingStep:
    options = {"batch_size": 16, "input_shape": SHAPE, "optimizer": pc.optim.SGD(0.1, momentum=0.9), **arguments}
    return pc.compile_training(model, engine=engine, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", [pc.optim.SGD(0.1, momentum=0.9), pc.optim.Adam(0.01), pc.optim.AdamW(0.01)])
def test_training_reduces_the_loss(optimizer: pc.optim.Optimizer, engine: str) -> None:
    step = compiled(network(dropout=0.2), engine, optimizer=optimizer)
    losses = [step(*batch(16, seed)) for seed in range(60)]
    assert abs(np.mean(losses[:3]) - np.log(2)) < 0.5
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:5])
    step.write_back()
    x, labels = batch(200, 999)
    assert np.mean(pc.predict(step.model, x, engine=engine).argmax(axis=1) == labels) > 0.9


def test_one_step_is_the_gradient_step(double_engine: str) -> None:
    """Put together by hand from the loss's gradient and the model's."""
    model, (x, labels) = network(), batch(16)
    before = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    y = pc.predict(model, x, engine=double_engine, dtype="float64")
    value, dz = pc.loss_and_gradient("cross_entropy", y, labels, engine=double_engine, dtype="float64")
    _, _, gradients = pc.vjp(model, x, dz, engine=double_engine, dtype="float64")

    step = compiled(model, double_engine, optimizer=pc.optim.SGD(0.25), dtype="float64")
    assert step(x, labels) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(step.output, y, rtol=1e-12)
    for name, parameter in step.parameters.items():
        assert parameter.dtype == np.float64
        np.testing.assert_allclose(parameter, before[name] - 0.25 * gradients[name], rtol=1e-10, atol=1e-13)


def test_the_learning_rate_of_one_step(engine: str) -> None:
    x, labels = batch(16)
    still, slow, usual = (compiled(network(), engine, optimizer=pc.optim.SGD(0.5)) for _ in range(3))
    still(x, labels, learning_rate=0.0)
    slow(x, labels, learning_rate=0.25)
    usual(x, labels)
    for name, start in network().parameters.items():
        np.testing.assert_array_equal(still.parameters[name], start)
        np.testing.assert_allclose(
            2 * (slow.parameters[name] - start), usual.parameters[name] - start, rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("count", [1, 5, 16])
def test_the_last_batch_may_be_smaller(count: int, engine: str) -> None:
    """Its loss is the mean over its own images."""
    x, labels = batch(count)
    step, exact = compiled(network(), engine), compiled(network(), engine, batch_size=count)
    step(*batch(16, 1), learning_rate=0.0)
    assert step(x, labels) == pytest.approx(exact(x, labels), rel=1e-5)
    assert step.output.shape == (count, 2)


def test_labels_and_distributions_may_take_turns(engine: str) -> None:
    x, labels = batch(16)
    step = compiled(network(), engine)
    first = step(x, labels, learning_rate=0.0)
    assert step(x, np.eye(2, dtype=np.float32)[labels], learning_rate=0.0) == pytest.approx(first, rel=1e-6)


def test_dropout_is_that_of_the_seed_and_of_the_step(engine: str) -> None:
    x, labels = batch(16)

    def losses(seed: int) -> list[float]:
        step = compiled(network(dropout=0.5), engine, seed=seed)
        return [step(x, labels, learning_rate=0.0) for _ in range(3)]

    one, same, other = losses(1), losses(1), losses(2)
    assert one == same
    assert len({*one, *other}) == 6


# ---- what is kept


def test_the_model_changes_when_told(engine: str) -> None:
    model = network()
    before = {name: value.copy() for name, value in model.parameters.items()}
    step = compiled(model, engine)
    step(*batch(16))
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, before[name])
    step.write_back()
    assert model.parameters.keys() == step.parameters.keys() == before.keys()
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, step.parameters[name])
        assert not np.array_equal(value, before[name])


def test_what_comes_out_is_a_copy(engine: str) -> None:
    step = compiled(network(), engine)
    step(*batch(16))
    output, state = step.output, step.state_dict()
    kept = output.copy(), {name: value.copy() for name, value in state.items()}
    step.parameters["conv1.weight"][:] = 0
    step(*batch(16, 1))
    np.testing.assert_array_equal(output, kept[0])
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[1][name])


@pytest.mark.parametrize(
    ("optimizer", "kinds"),
    [(pc.optim.SGD(0.1), []), (pc.optim.SGD(0.1, momentum=0.5), ["momentum"]), (pc.optim.Adam(), ["mean", "square"])],
)
def test_names_of_the_state(optimizer: pc.optim.Optimizer, kinds: list[str], engine: str) -> None:
    step = compiled(network(), engine, optimizer=optimizer)
    names = list(step.parameters)
    expected = [f"model.{n}" for n in names] + [f"optimizer.{k}.{n}" for n in names for k in kinds] + ["counter.step"]
    assert sorted(step.state_dict()) == sorted(expected)
    assert step.state_dict()["counter.step"] == 0
    step(*batch(16))
    assert step.state_dict()["counter.step"] == 1


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", [pc.optim.SGD(0.1, momentum=0.9, nesterov=True), pc.optim.Adam(0.01)])
def test_continuing_equals_not_having_stopped(optimizer: pc.optim.Optimizer, ema_decay: float, engine: str) -> None:
    """Bit for bit, dropout and the counter of steps included, in a new object that started elsewhere."""
    settings = {"optimizer": optimizer, "ema_decay": ema_decay, "seed": 5}
    straight = compiled(network(dropout=0.3), engine, **settings)
    interrupted = compiled(network(dropout=0.3), engine, **settings)
    for k in range(3):
        assert straight(*batch(16, k)) == interrupted(*batch(16, k))
    state = interrupted.state_dict()
    interrupted.close()
    resumed = compiled(network(dropout=0.3).init(seed=77), engine, **settings)
    resumed(*batch(16, 50))
    resumed.load_state_dict(state)
    for k in range(3, 6):
        count = 16 - k
        assert straight(*batch(count, k)) == resumed(*batch(count, k))
    for name, value in straight.state_dict().items():
        np.testing.assert_array_equal(value, resumed.state_dict()[name], err_msg=name)


def test_a_foreign_state_is_refused_with_all_differences(engine: str) -> None:
    step = compiled(network(), engine)
    state = step.state_dict()
    state["model.conv1.bias"] = np.zeros(4, np.float32)
    state["model.fc2.bias"] = np.zeros(2, np.float64)
    state["optimizer.mean.fc1.bias"] = state.pop("optimizer.momentum.fc1.bias")
    with pytest.raises(CheckpointError) as error:
        step.load_state_dict(state)
    assert str(error.value) == (
        "this state belongs to another model or optimizer: missing optimizer.momentum.fc1.bias; "
        "unexpected optimizer.mean.fc1.bias; model.conv1.bias is float32 (4,), must be float32 (3,); "
        "model.fc2.bias is float64 (2,), must be float32 (2,)"
    )
    for name, value in compiled(network(), engine).state_dict().items():
        np.testing.assert_array_equal(value, step.state_dict()[name])


class Centre(pc.Layer):
    """Subtracts the mean: the batch's while training, a running one otherwise."""

    def __init__(self, features: int) -> None:
        self.mean = State("M", (features,))

    def forward(self, x: Tensor) -> Tensor:
        n, k = indices("n k")
        y = Tensor("Y")
        y[n, k] = x[n, k] - self.mean[k]
        return y

    def forward_training(self, x: Tensor, random: Randomness) -> Tensor:
        n, k, m = indices("n k m")
        mean, running, y = Tensor("B"), Tensor("M'"), Tensor("Y")
        mean[k] = sum_over([m], x[m, k]) / x.extents[0]
        running[k] = self.mean[k] * 0.5 + mean[k] * 0.5
        self.mean.update = running
        y[n, k] = x[n, k] - mean[k]
        return y


def test_a_layers_own_state_moves_with_the_steps(engine: str) -> None:
    model = pc.Sequential([("one", Centre(3)), ("fc", Linear(3, 2)), ("two", Centre(2))]).init(seed=1)
    x = np.array([[1, 2, 3], [3, 6, 9]], np.float32)
    step = pc.compile_training(model, 2, (3,), engine=engine, optimizer=pc.optim.SGD(0.0))
    for _ in range(2):
        step(x, np.array([0, 1]))
    assert step.state_dict()["model.one.mean"].tolist() == [1.5, 3, 4.5]
    assert model.states["one.mean"].tolist() == [0, 0, 0]
    step.write_back()
    assert model.states["one.mean"].tolist() == [1.5, 3, 4.5]
    np.testing.assert_allclose(model.states["two.mean"], [0, 0], atol=1e-6)
    np.testing.assert_allclose(
        pc.predict(model, x, engine=engine), (x - [1.5, 3, 4.5]) @ model.parameters["fc.weight"].T, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("decay", [0.7, 0.99])  # reached in the fourth step; not reached
def test_running_averages_beside_a_training_without_them(decay: float, engine: str) -> None:
    """The weights move as they would without; the averages are those of a plain loop, and what the model gets."""
    model = network()
    plain, averaging = compiled(model, engine), compiled(model, engine, ema_decay=decay)
    expected = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    for t in range(12):
        assert plain(*batch(16, t)) == averaging(*batch(16, t))
        stays = min(decay, t / (t + 1))
        for name, value in plain.parameters.items():
            np.testing.assert_array_equal(averaging.state_dict()[f"current.{name}"], value)
            expected[name] = stays * expected[name] + (1 - stays) * value
    averaging.write_back()
    for name, value in expected.items():
        np.testing.assert_allclose(averaging.state_dict()[f"model.{name}"], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(model.parameters[name], averaging.parameters[name])


def test_a_layers_own_state_is_averaged_too(engine: str) -> None:
    model = pc.Sequential([("one", Centre(3)), ("fc", Linear(3, 2))]).init(seed=1)
    x = np.array([[1, 2, 3], [3, 6, 9]], np.float32)
    step = pc.compile_training(model, 2, (3,), engine=engine, optimizer=pc.optim.SGD(0.0), ema_decay=0.5)
    step(x, np.array([0, 1]))
    step(x, np.array([0, 1]))
    assert step.state_dict()["current.one.mean"].tolist() == [1.5, 3, 4.5]
    np.testing.assert_allclose(step.parameters["one.mean"], [1.25, 2.5, 3.75], rtol=1e-6)  # of 1, 2, 3 and those


def test_closing_gives_back_threads_and_keeps_the_parameters(engine: str) -> None:
    step = compiled(network(), engine)
    step(*batch(16))
    before = step.state_dict()
    step.close()
    step.close()
    for name, value in step.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    step.write_back()
    np.testing.assert_array_equal(step.model.parameters["fc1.bias"], before["model.fc1.bias"])


# ---- what is not finite


def poisoned(name: str, value: float) -> pc.Graph:
    model = network()
    model.parameters[name][:] = value
    return model


@pytest.mark.parametrize(
    ("model", "scale", "expected"),
    [
        (network(), 1.0, None),
        (network(), np.nan, "input"),
        (poisoned("fc1.weight", np.inf), 1.0, "fc1.weight"),
        (poisoned("conv1.weight", 3e38), 1e5, "conv1"),
        (poisoned("fc1.weight", 3e38), 1.0, "fc1"),
        (poisoned("fc2.weight", 3e38), 1e10, "fc2"),
    ],
    ids=["all finite", "input", "parameter", "first layer", "inner layer", "last layer"],
)
def test_the_first_place_that_is_not_finite(model: pc.Graph, scale: float, expected: str | None, engine: str) -> None:
    x, labels = batch(4)
    step = compiled(model, engine)
    before = step.state_dict()
    assert step.first_nonfinite(x * np.float32(scale), labels) == expected
    for name, value in step.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_layer_inside_a_graph_inside_a_model() -> None:
    block = pc.Sequential([("conv", Conv2d(1, 2, 3)), ("soft", pc.layers.Softmax())])
    model = pc.Sequential([("body", block), ("flatten", Flatten()), ("fc", Linear(32, 2))]).init(seed=0)
    step = pc.compile_training(model, 2, SHAPE, engine="numpy")
    assert step.first_nonfinite(np.full((2, *SHAPE), 3e38, np.float32), np.array([0, 1])) == "body.conv"


def chain(first: float, second: float) -> pc.TrainingStep:
    """y = second * first * x, compared with 0."""
    model = pc.Sequential([("up", Linear(1, 1, bias=False)), ("down", Linear(1, 1, bias=False))])
    model.load({"up.weight": np.array([[first]], np.float32), "down.weight": np.array([[second]], np.float32)})
    return pc.compile_training(model, 1, (1,), loss="mse", engine="numpy")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (1e-5, 1e-5, None),
        (1e-5, 1e10, "loss"),  # y = 1e25, its square overflows
        (1e-30, 1e25, "d up"),  # dy = 2e15, dy * second overflows
        (1e-20, 1e10, "d up.weight"),  # dy * second = 2e20, times x it overflows
        (1e-5, 1e25, "down"),
    ],
)
def test_a_loss_and_gradients_that_overflow(first: float, second: float, expected: str | None) -> None:
    step = chain(first, second)
    assert step.first_nonfinite(np.array([[1e20]], np.float32), np.zeros((1, 1), np.float32)) == expected


# ---- what is refused


def test_batches_that_do_not_fit(engine: str) -> None:
    step = compiled(network(), engine)
    x, labels = batch(16)
    before = step.state_dict()
    for images, targets, kind, message in [
        (np.zeros((17, *SHAPE)), np.zeros(17, int), ShapeError, r"compiled for up to 16 images of shape \(1, 6, 6\)"),
        (np.zeros((2, 1, 6, 7)), np.zeros(2, int), ShapeError, r"got \(2, 1, 6, 7\)"),
        (x, labels[:3], ShapeError, r"16 images need 16 labels, but the labels have the shape \(3,\)"),
        (x, np.where(labels == 0, 2, labels), DataError, "label 2 of image .* is not one of the 2 classes 0 to 1"),
        (x, -labels - 1, DataError, "label -[12] of image 0 is not one of the 2 classes"),
        (x, np.ones((16, 2)), DataError, "every row of the target must add up to 1"),
        (x, np.ones((16, 3)) / 3, ShapeError, r"targets of shape \(16, 3\) do not fit outputs of shape \(16, 2\)"),
    ]:
        with pytest.raises(kind, match=message):
            step(images, targets)
    for name, value in step.parameters.items():
        np.testing.assert_array_equal(value, before[f"model.{name}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge': choose one of cross_entropy, output_cross_entropy, mse"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"ema_decay": 1.0}, "ema_decay must be a number of at least 0 and less than 1; got 1.0"),
        ({"ema_decay": True}, "ema_decay must be a number of at least 0 and less than 1; got True"),
        ({"dtype": "float16"}, "dtype must be float32 or float64; got 'float16'"),
        ({"input_shape": (1, 7, 7)}, r'Linear "fc1": expects 48 inputs, but "tanh1" gives 3x5x5 = 75 for a 7x7 image'),
        ({"input_shape": (2, 6, 6)}, 'Conv2d "conv1": expects 1 channels, but "input" gives 2'),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compiled(network(), "numpy", **arguments)


def test_an_unknown_engine() -> None:
    with pytest.raises(UsageError, match="unknown engine 'cuda'"):
        compiled(network(), "cuda")
