"""Only what a number depends on is computed: the boxes, their numbers, and the memory it takes."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import UsageError
from pellucid.explain.cone import cone, ranges_of
from pellucid.explain.part import element_box
from pellucid.explain.values import Question, Source
from pellucid.layers import AvgPool2d, Conv2d, ConvTranspose2d, Upsample
from pellucid.models.graph import Graph
from pellucid.notation import Affine, Index, Tensor, indices
from tests.explain.networks import Network, coordinates, what

ROW, TAP = Index("i", 6), Index("u", 3)


def branches() -> Graph:
    graph = Graph()
    graph.add("conv1", Conv2d(1, 2, 3, padding=1))
    graph.add("wide", Conv2d(2, 2, 5, padding=2), "conv1")
    graph.add("narrow", Conv2d(2, 3, 1), "conv1")
    graph.add("join", pc.layers.Concat(), "wide", "narrow")
    return graph


MODELS = {
    "strided": lambda: pc.Sequential([Conv2d(1, 2, 3, stride=2, padding=1), Conv2d(2, 2, 2, dilation=2)]),
    "pooled": lambda: pc.Sequential([AvgPool2d(2), Conv2d(1, 1, 3, padding=2)]),
    "transposed": lambda: pc.Sequential([ConvTranspose2d(1, 1, 3, stride=2), AvgPool2d(3, 1)]),
    "upsampled": lambda: pc.Sequential([Conv2d(1, 1, 2), Upsample(scale_factor=2)]),
    "branches": branches,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_box_on_the_image_is_where_the_output_has_slopes(name: str) -> None:
    model, generator = MODELS[name]().init(2), np.random.default_rng(4)
    x = generator.normal(size=(2, 1, 9, 10))
    source = Source(Question(model, x, None, pc.losses.get("mse"), False, 0, 0, pc.optim.SGD(0.1)))
    for _ in range(8):
        place = coordinates(source.output.extents, generator)
        one = np.zeros(source.output.extents)
        one[place] = 1
        slopes = np.argwhere(pc.vjp(model, x, one, dtype="float64")[1])
        box = cone({source.output: element_box(place)}).boxes[source.image]
        assert box == tuple((int(a), int(b)) for a, b in zip(slopes.min(0), slopes.max(0), strict=True)), place


@pytest.mark.parametrize("name", ["strided", "dilated", "residual", "lenet5"])
def test_a_box_of_several_elements_has_the_numbers_of_the_whole(name: str) -> None:
    network, generator = Network(name), np.random.default_rng(5)
    for tensor_name in network.tensors():
        tensor, arrays = network.values(tensor_name)
        low = coordinates(tensor.extents, generator)
        high = tuple(int(generator.integers(a, e)) for a, e in zip(low, tensor.extents, strict=True))
        source = network.source()
        part = source.parts({source.find(tensor_name): tuple(zip(low, high, strict=True))})[tensor_name]
        inside = tuple(slice(a - o, b - o + 1) for a, b, o in zip(low, high, part.origin, strict=True))
        expected = arrays[tensor_name][tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]
        np.testing.assert_allclose(part.array[inside], expected, rtol=1e-11, atol=1e-14)


def test_ranges_are_narrowed_by_one_another() -> None:
    assert ranges_of((ROW * 2 + TAP,), ((5, 5),)) == {ROW: (2, 2), TAP: (1, 1)}
    assert ranges_of((Affine.of(ROW), ROW + TAP), ((4, 4), (6, 7))) == {ROW: (4, 4), TAP: (2, 2)}
    assert ranges_of((ROW * 2 + 1,), ((4, 4),)) is None
    assert ranges_of((Affine((), 3),), ((4, 4),)) is None


def test_an_early_number_does_not_compute_the_network_behind_it() -> None:
    network = Network("lenet5")
    source = network.source()
    found = cone({source.find("conv1"): element_box((0, 2, 14, 14))})
    assert {t.name for t in found.boxes} == {"conv1", "input", "conv1.weight", "conv1.bias"}
    sizes = {t.name: np.prod([b - a + 1 for a, b in box]) for t, box in found.boxes.items()}
    assert sizes == {"conv1": 1, "input": 25, "conv1.weight": 25, "conv1.bias": 1}


SCRIPT = """
import resource, sys, time
import numpy as np, pellucid as pc
model = pc.models.create("resnet50").init(0)
x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype("float32")
before = time.process_time()
text = str(pc.explain(model, x, sys.argv[1], target=[3]))
print(time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, len(text))
"""


def test_a_pixels_gradient_through_resnet50_takes_seconds_and_no_two_gigabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "d input[0,12,12]"], capture_output=True, text=True, timeout=120, check=True
    )
    seconds, gigabytes, length = map(float, done.stdout.split())
    assert length > 500
    assert gigabytes < 2
    assert seconds < 10  # of the processor: 5 seconds on two cores


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_an_update_is_that_of_the_training_step(kind: str) -> None:
    network = Network("strided")
    optimizer = pc.optim.SGD(0.1, momentum=0.9, weight_decay=0.01) if kind == "sgd" else pc.optim.Adam(0.01)
    step = pc.compile_training(
        network.model, 2, network.x.shape[1:], network.loss, optimizer, "numpy", dtype="float64", seed=5
    )
    step(network.x, network.target)
    step.write_back()
    memory = {name: array for name, array in step.state_dict().items() if name.startswith("optimizer.")}
    opened = pc.explain(
        network.model,
        network.x,
        what("update conv1.weight", (1, 0, 2, 1)),
        network.target,
        network.loss,
        optimizer=optimizer,
        optimizer_state=memory,
        step=1,
    )
    step(network.x, network.target)
    assert opened.value == pytest.approx(step.parameters["conv1.weight"][1, 0, 2, 1], rel=1e-6)
    assert opened.value != pytest.approx(network.model.parameters["conv1.weight"][1, 0, 2, 1], rel=1e-4)
    step.close()


def test_the_prediction_is_the_largest_output() -> None:
    network = Network("lenet5")
    best = pc.predict(network.model, network.x, engine="numpy").argmax(axis=1)
    assert [network.explain(f"predict[{n}]").value for n in range(2)] == best.tolist()
    assert "The network predicts class" in str(network.explain("predict"))


def test_fractions_stop_where_too_much_would_be_computed() -> None:
    model = pc.Sequential([Conv2d(3, 64, 5, padding=2), Conv2d(64, 64, 5, padding=2), Conv2d(64, 8, 5, padding=2)])
    with pytest.raises(UsageError, match=r"fractions: [\d,]+ terms would have to be added"):
        pc.explain(model, np.ones((1, 3, 20, 20)), "conv3[0,9,9]", fractions=True)


def test_fractions_go_through_several_layers() -> None:
    model = pc.Sequential([Conv2d(1, 1, 2, bias=False), pc.layers.MaxPool2d(2), pc.layers.Flatten()])
    model.load({"conv1.weight": np.array([[[[1, 0.5], [-1, 1 / 3]]]])})
    x = np.arange(9).reshape(1, 1, 3, 3)
    outputs = [Fraction(x[0, 0, i, j]) + Fraction(x[0, 0, i, j + 1]) / 2 - Fraction(x[0, 0, i + 1, j])
               + Fraction(x[0, 0, i + 1, j + 1]) / 3 for i in range(2) for j in range(2)]  # fmt: skip
    assert pc.explain(model, x, "flatten1[0]", fractions=True).value == max(outputs)


def test_a_tensor_of_which_nothing_writes_the_box_is_zero() -> None:
    n, k = indices("n k")
    given, part = Tensor("X", (2, 2), role="input", name="x"), Tensor("P", (2, 5), name="p")
    part[n, k * 2] = given[n, k]
    found = cone({part: ((0, 0), (1, 1))})
    program, cut = found.program([part])
    assert cut[part].role == "input" and not list(program)
