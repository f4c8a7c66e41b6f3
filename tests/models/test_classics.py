"""The classic architectures against the literature's numbers, and against counts made by hand from their tables."""

from collections.abc import Iterator

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ShapeError, UsageError
from pellucid.models.lenet import CONNECTIONS

Shapes = dict[str, tuple[int, ...]]

PARAMETERS = {
    ("alexnet", "variant=paper"): 60_965_224,
    ("alexnet", ""): 61_100_840,
    ("vgg11", ""): 132_863_336,
    ("vgg13", ""): 133_047_848,
    ("vgg16", ""): 138_357_544,
    ("vgg19", ""): 143_667_240,
    ("googlenet", "variant=paper"): 13_378_280,
    ("googlenet", "variant=paper auxiliary="): 6_998_552,
    ("googlenet", ""): 13_004_888,
    ("googlenet", "auxiliary="): 6_624_904,
    ("resnet18", ""): 11_689_512,
    ("resnet34", ""): 21_797_672,
    ("resnet50", ""): 25_557_032,
    ("resnet101", ""): 44_549_160,
    ("resnet152", ""): 60_192_808,
    ("resnet20", ""): 269_722,
    ("resnet32", ""): 464_154,
    ("resnet44", ""): 658_586,
    ("resnet56", ""): 853_018,
    ("resnet110", ""): 1_727_962,
    ("lenet5-1998", ""): 60_000,
    ("plain20", ""): 269_722,
    ("plain56", ""): 853_018,
}
"""Published, or counted by everybody who has torchvision."""


def created(name: str, options: str = "") -> pc.Graph:
    """The model with options as `name=value`; an empty value is False."""
    return pc.models.create(name, **{k: v or False for k, v in (o.split("=") for o in options.split())})


def size(shapes: Shapes) -> int:
    return sum(int(np.prod(shape)) for shape in shapes.values())


@pytest.mark.parametrize(("name", "options"), PARAMETERS)
def test_parameters(name: str, options: str) -> None:
    model = created(name, options)
    own = {n: t.extents for n, t in model.tensors().items() if t.role == "parameter"}
    assert size(own) == model.summary().parameters == PARAMETERS[name, options]
    assert all(t.value is None for t in model.tensors().values()), "nothing needs values yet"


# ---- names and shapes as in torchvision's state dicts, from each architecture's rule


def conv(name: str, out: int, inside: int, kernel: int, bias: bool = False) -> Shapes:
    return {f"{name}.weight": (out, inside, kernel, kernel)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def dense(name: str, out: int, inside: int) -> Shapes:
    return {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}


def names_of_resnet(depths: tuple[int, ...], bottleneck: bool) -> Shapes:
    found = conv("conv1", 64, 3, 7) | norm("bn1", 64)
    inside = 64
    for number, blocks in enumerate(depths, 1):
        width = 32 * 2**number
        out = 4 * width if bottleneck else width
        for k in range(blocks):
            block = f"layer{number}.{k}"
            kernels = ((1, width), (3, width), (1, out)) if bottleneck else ((3, width), (3, width))
            before = inside
            for m, (kernel, channels) in enumerate(kernels, 1):
                found |= conv(f"{block}.conv{m}", channels, before, kernel) | norm(f"{block}.bn{m}", channels)
                before = channels
            if k == 0 and (number > 1 or inside != out):
                found |= conv(f"{block}.downsample.0", out, inside, 1) | norm(f"{block}.downsample.1", out)
            inside = out
    return found | dense("fc", 1000, inside)


def names_of_vgg(columns: str) -> Shapes:
    """The usual way of writing it: a number is a convolution, M is pooling."""
    found: Shapes = {}
    place, inside = 0, 3
    for entry in columns.split():
        if entry == "M":
            place += 1
        else:
            found |= conv(f"features.{place}", int(entry), inside, 3, bias=True)
            place, inside = place + 2, int(entry)
    for place, (inside, out) in {0: (25_088, 4096), 3: (4096, 4096), 6: (4096, 1000)}.items():
        found |= dense(f"classifier.{place}", out, inside)
    return found


def names_of_alexnet() -> Shapes:
    places = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
    found: Shapes = {}
    for place, out, inside, kernel in places:
        found |= conv(f"features.{place}", out, inside, kernel, bias=True)
    for place, (inside, out) in {1: (9216, 4096), 4: (4096, 4096), 6: (4096, 1000)}.items():
        found |= dense(f"classifier.{place}", out, inside)
    return found


INCEPTION = """3a 192 64 96 128 16 32 32 / 3b 256 128 128 192 32 96 64 / 4a 480 192 96 208 16 48 64
/ 4b 512 160 112 224 24 64 64 / 4c 512 128 128 256 24 64 64 / 4d 512 112 144 288 32 64 64
/ 4e 528 256 160 320 32 128 128 / 5a 832 256 160 320 32 128 128 / 5b 832 384 192 384 48 128 128"""


def names_of_googlenet() -> Shapes:
    def unit(name: str, out: int, inside: int, kernel: int) -> Shapes:
        return conv(f"{name}.conv", out, inside, kernel) | norm(f"{name}.bn", out)

    found = unit("conv1", 64, 3, 7) | unit("conv2", 64, 64, 1) | unit("conv3", 192, 64, 3)
    for line in INCEPTION.split("/"):
        label, *numbers = line.split()
        inside, one, r3, three, r5, five, pool = map(int, numbers)
        path = f"inception{label}"
        found |= unit(f"{path}.branch1", one, inside, 1)
        found |= unit(f"{path}.branch2.0", r3, inside, 1) | unit(f"{path}.branch2.1", three, r3, 3)
        found |= unit(f"{path}.branch3.0", r5, inside, 1) | unit(f"{path}.branch3.1", five, r5, 3)
        found |= unit(f"{path}.branch4.1", pool, inside, 1)
    for path, inside in (("aux1", 512), ("aux2", 528)):
        found |= unit(f"{path}.conv", 128, inside, 1)
        found |= dense(f"{path}.fc1", 1024, 2048) | dense(f"{path}.fc2", 1000, 1024)
    return found | dense("fc", 1000, 1024)


TORCHVISION = {
    "resnet18": names_of_resnet((2, 2, 2, 2), bottleneck=False),
    "resnet34": names_of_resnet((3, 4, 6, 3), bottleneck=False),
    "resnet50": names_of_resnet((3, 4, 6, 3), bottleneck=True),
    "resnet101": names_of_resnet((3, 4, 23, 3), bottleneck=True),
    "resnet152": names_of_resnet((3, 8, 36, 3), bottleneck=True),
    "vgg11": names_of_vgg("64 M 128 M 256 256 M 512 512 M 512 512 M"),
    "vgg13": names_of_vgg("64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"),
    "vgg16": names_of_vgg("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
    "vgg19": names_of_vgg("64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"),
    "alexnet": names_of_alexnet(),
    "googlenet": names_of_googlenet(),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_and_shapes_are_those_of_torchvision(name: str) -> None:
    assert {n: t.extents for n, t in created(name).tensors().items()} == TORCHVISION[name]


# ---- multiply-adds, counted once more from the tables by walking through the sizes


def shrunk(extent: int, kernel: int, stride: int, padding: int, up: bool = False) -> int:
    room = extent + 2 * padding - kernel
    return (-(-room // stride) if up else room // stride) + 1


def costs_of_resnet(depths: tuple[int, ...], bottleneck: bool) -> Iterator[int]:
    extent = shrunk(224, 7, 2, 3)
    yield 64 * 3 * 49 * extent**2
    extent, inside = shrunk(extent, 3, 2, 1), 64
    for number, blocks in enumerate(depths):
        width = 64 * 2**number
        out = 4 * width if bottleneck else width
        for k in range(blocks):
            before, stride = extent, 2 if number and k == 0 else 1
            extent = shrunk(before, 3, stride, 1)
            if bottleneck:
                yield inside * width * before**2 + 9 * width**2 * extent**2 + width * out * extent**2
            else:
                yield 9 * inside * width * extent**2 + 9 * width**2 * extent**2
            if inside != out or stride == 2:
                yield inside * out * extent**2
            inside = out
    yield inside * 1000


def costs_of_small_resnet(depth: int) -> Iterator[int]:
    yield 3 * 16 * 9 * 32**2
    inside, extent = 16, 32
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            extent = extent if inside == width else extent // 2
            yield 9 * (inside * width + width * width) * extent**2
            inside = width
    yield 640


def costs_of_googlenet(largest: int) -> Iterator[int]:
    extent = shrunk(224, 7, 2, 3)
    yield 64 * 3 * 49 * extent**2
    extent = shrunk(extent, 3, 2, 0, up=True)
    yield (64 * 64 + 64 * 192 * 9) * extent**2
    extent = shrunk(extent, 3, 2, 0, up=True)
    for line in INCEPTION.split("/"):
        label, *numbers = line.split()
        inside, one, r3, three, r5, five, pool = map(int, numbers)
        yield (inside * (one + r3 + r5 + pool) + 9 * r3 * three + largest**2 * r5 * five) * extent**2
        if label in ("3b", "4e"):
            extent = shrunk(extent, 3, 2, 0, up=True)
    yield 1024 * 1000


def costs_of_vgg(names: Shapes) -> Iterator[int]:
    """Every convolution keeps the size; what comes after pooling has half of it."""
    places = [int(n.split(".")[1]) for n in names if n.startswith("features") and n.endswith("weight")]
    extent = 224
    for before, place in zip([-2, *places], places, strict=False):
        extent //= 2 if place - before == 3 else 1
        yield int(np.prod(names[f"features.{place}.weight"])) * extent**2
    yield 25_088 * 4096 + 4096 * 4096 + 4096 * 1000


def costs_of_alexnet(first: int, inside: tuple[int, ...], out: tuple[int, ...]) -> Iterator[int]:
    """`inside` counts what one output sees, which with two groups is half of the channels."""
    for channels, outputs, kernel, extent in zip(inside, out, (11, 5, 3, 3, 3), (first, 27, 13, 13, 13), strict=True):
        yield channels * outputs * kernel**2 * extent**2
    yield 9216 * 4096 + 4096 * 4096 + 4096 * 1000


@pytest.mark.parametrize(
    ("name", "options", "costs"),
    [
        ("resnet18", "", costs_of_resnet((2, 2, 2, 2), bottleneck=False)),
        ("resnet34", "", costs_of_resnet((3, 4, 6, 3), bottleneck=False)),
        ("resnet50", "", costs_of_resnet((3, 4, 6, 3), bottleneck=True)),
        ("resnet152", "", costs_of_resnet((3, 8, 36, 3), bottleneck=True)),
        ("resnet20", "", costs_of_small_resnet(20)),
        ("plain56", "", costs_of_small_resnet(56)),
        ("googlenet", "", costs_of_googlenet(3)),
        ("googlenet", "variant=paper", costs_of_googlenet(5)),
        ("vgg16", "", costs_of_vgg(TORCHVISION["vgg16"])),
        ("vgg11", "", costs_of_vgg(TORCHVISION["vgg11"])),
        ("alexnet", "", costs_of_alexnet(55, (3, 64, 192, 384, 256), (64, 192, 384, 256, 256))),
        ("alexnet", "variant=paper", costs_of_alexnet(55, (3, 48, 256, 192, 192), (96, 256, 384, 384, 256))),
    ],
)
def test_multiply_adds(name: str, options: str, costs: Iterator[int]) -> None:
    assert created(name, options).summary().multiply_adds == sum(costs)


# ---- shapes, options, initial values


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("resnet18", "", {"conv1": (64, 112, 112), "layer1.1.relu_last": (64, 56, 56), "layer4.1.bn2": (512, 7, 7)}),
        ("resnet50", "", {"layer1.0.bn3": (256, 56, 56), "layer3.0.bn3": (1024, 14, 14), "avgpool": (2048, 1, 1)}),
        ("resnet56", "", {"layer1.8.add": (16, 32, 32), "layer2.0.shortcut": (32, 16, 16), "layer3.8.bn2": (64, 8, 8)}),
        ("vgg16", "", {"features.30": (512, 7, 7), "classifier.0": (4096,)}),
        ("alexnet", "variant=paper", {"features.0": (96, 55, 55), "features.3": (96, 27, 27), "avgpool": (256, 6, 6)}),
        ("alexnet", "", {"features.0": (64, 55, 55), "features.12": (256, 6, 6)}),
        (
            "googlenet",
            "",
            {
                "maxpool2": (192, 28, 28), "inception3a.concat": (256, 28, 28), "inception4e.concat": (832, 14, 14),
                "maxpool4": (832, 7, 7), "inception5b.concat": (1024, 7, 7), "aux1.avgpool": (512, 4, 4),
            },
        ),
        ("googlenet", "variant=paper", {"aux2.avgpool": (528, 4, 4), "inception5b.concat": (1024, 7, 7)}),
    ],
)  # fmt: skip
def test_output_shapes(name: str, options: str, wanted: dict[str, tuple[int, ...]]) -> None:
    shapes = {row.name: row.output_shape for row in created(name, options).summary().rows}
    assert {layer: shapes[layer] for layer in wanted} == wanted


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "vgg11", "alexnet", "googlenet"])
def test_other_classes_channels_and_sizes(name: str) -> None:
    model = pc.models.create(name, classes=7, in_channels=1, image_size=96)
    rows = [row for row in model.summary().rows if not row.auxiliary]
    assert model.input_shape == (1, 96, 96) and rows[-1].output_shape == (7,)


def test_plain_networks_have_no_shortcuts() -> None:
    plain, residual = created("plain20"), created("resnet20")
    assert {n: t.extents for n, t in plain.tensors().items()} == {n: t.extents for n, t in residual.tensors().items()}
    kinds = {row.kind for row in residual.summary().rows} - {row.kind for row in plain.summary().rows}
    assert kinds == {"Add", "PaddedShortcut"}


@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_variants(name: str) -> None:
    with pytest.raises(UsageError) as error:
        pc.models.create(name, variant="caffe")
    assert str(error.value) == f'{name}: variant must be "paper" or "torchvision"; got \'caffe\''


def test_an_image_that_is_too_small() -> None:
    with pytest.raises(ShapeError) as error:
        created("alexnet").summary((3, 32, 32))
    assert str(error.value) == (
        'MaxPool2d "features.12": its window spans 3 rows, but the image has 1, or resize the images to 224x224'
    )


def deviation(values: np.ndarray) -> float:
    return float(values.astype(np.float64).std())


def test_initial_values_of_a_residual_network() -> None:
    """Convolutions by their fan-out, as torchvision draws them; normalisation starts as the identity."""
    values = created("resnet20").init(seed=1).parameters
    model = created("resnet18").init(seed=1).parameters
    weight = model["layer2.0.conv1.weight"]
    assert deviation(weight) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.01)
    assert (model["layer1.0.bn1.weight"] == 1).all() and not model["layer1.0.bn1.bias"].any()
    assert not np.array_equal(model["layer1.0.conv1.weight"], model["layer1.1.conv1.weight"])
    assert deviation(values["layer3.0.conv2.weight"]) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_the_layers_of_lenet5_as_published() -> None:
    """Section II.B of the paper counts them."""
    rows = {row.name: (row.output_shape, row.parameters) for row in created("lenet5-1998").summary().rows}
    assert {n: r for n, r in rows.items() if not n.startswith(("act", "flatten"))} == {
        "c1": ((6, 28, 28), 156), "s2": ((6, 14, 14), 12), "c3": ((16, 10, 10), 1516), "s4": ((16, 5, 5), 32),
        "c5": ((120, 1, 1), 48_120), "f6": ((84,), 10_164), "output": ((10,), 0),
    }  # fmt: skip


def test_the_connections_of_lenet5_as_published() -> None:
    """Table I: six times three neighbours, six times four, three times two pairs, once all."""
    table = CONNECTIONS
    assert [len(row) for row in table] == [3] * 6 + [4] * 9 + [6]
    assert table[4] == (0, 4, 5) and table[9] == (0, 3, 4, 5) and table[12:15] == (
        (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    )  # fmt: skip
    assert all(sum(c in row for row in table) == 10 for c in range(6)), "every map is used equally often"


def test_lenet5_as_published_learns(generator: np.random.Generator) -> None:
    """Its codes differ from each other, and a few steps on a few images bring the right one near."""
    model = pc.models.create("lenet5-1998").init(seed=1)
    codes = model["output"].codes.value
    assert codes.shape == (10, 84) and set(codes.ravel()) == {-1.0, 1.0}
    assert min(np.count_nonzero(codes[a] != codes[b]) for a in range(10) for b in range(a)) >= 5
    step = pc.compile_training(model, 10, (1, 32, 32), optimizer=pc.optim.SGD(lr=0.01, momentum=0.9))
    x, labels = generator.normal(size=(10, 1, 32, 32)).astype(np.float32), np.arange(10)
    losses = [step(x, labels) for _ in range(40)]
    assert losses[-1] < losses[0] / 4 and (step.output.argmax(1) == labels).all()
    step.close()


def test_initial_values_of_the_published_alexnet() -> None:
    features = created("alexnet", "variant=paper")["features"].init(seed=1).parameters
    for place, bias in {0: 0.0, 4: 1.0, 8: 0.0, 10: 1.0, 12: 1.0}.items():
        assert deviation(features[f"{place}.weight"]) == pytest.approx(0.01, rel=0.02)
        assert (features[f"{place}.bias"] == bias).all()
