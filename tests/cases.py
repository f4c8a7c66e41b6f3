"""The case table: for every kind of layer a base configuration and the alternatives of each parameter.

From it come the base, every parameter varied alone, and every two parameters varied together; a short list
adds corners where more than two meet. Combinations that no image fits, or that mean nothing, are left out by
the rules at the end of this file.

Sizes are small, because plain loops have to compute every case.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

Value = Any  # an int, a pair, a flag, a name: whatever the layer's constructor takes


@dataclass(frozen=True)
class Case:
    """One configuration of one layer, and the input shape (without the batch) that it is tried on."""

    kind: str
    batch: int
    shape: tuple[int, ...]
    arguments: tuple[tuple[str, Value], ...]
    id: str

    @property
    def options(self) -> dict[str, Value]:
        """The constructor's arguments by name."""
        return dict(self.arguments)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Input shape with the batch."""
        return (self.batch, *self.shape)

    @property
    def seed(self) -> int:
        """A seed of the case's own, the same in every run and on every machine."""
        return zlib.crc32(self.id.encode())


@dataclass(frozen=True)
class Family:
    """The base value and the alternatives of each parameter of one kind of layer."""

    kind: str
    base: Mapping[str, Value]
    alternatives: Mapping[str, tuple[Value, ...]]
    paired: bool = True
    """Whether every two parameters are also varied together."""


IMAGE = "image"
"""A kernel as large as the image."""
DEPTHWISE = "depthwise"
"""As many groups as input channels."""
SIZES = ((6, 6), (5, 5), (5, 8))
"""Image sizes beside the base, which is odd by even: even, odd, and wider than high."""

RECURRENT: Mapping[str, Value] = {"num_layers": 1, "bias": True, "bidirectional": False}
SEQUENCES = ("embedding", "rnn", "lstm", "gru", "select_step")
"""Layers whose inputs are sequences."""

FAMILIES = (
    Family(
        "conv2d",
        {
            "batch": 2,
            "channels": (4, 4),
            "size": (7, 6),
            "kernel_size": 3,
            "stride": 1,
            "padding": 0,
            "dilation": 1,
            "groups": 1,
            "bias": True,
            "flip": False,
        },
        {
            "batch": (1,),
            "channels": ((1, 1), (1, 3), (3, 2), (4, 8)),
            "size": SIZES,
            "kernel_size": (1, 2, (3, 2), 5, IMAGE),
            "stride": (2, 3, (2, 1)),
            "padding": (1, 2, (1, 2), "same"),
            "dilation": (2, (1, 2)),
            "groups": (2, DEPTHWISE),
            "bias": (False,),
            "flip": (True,),
        },
    ),
    Family(
        "conv_transpose2d",
        {
            "batch": 2,
            "channels": (4, 4),
            "size": (4, 3),
            "kernel_size": 3,
            "stride": 1,
            "padding": 0,
            "output_padding": 0,
            "groups": 1,
            "bias": True,
            "dilation": 1,
        },
        {
            "batch": (1,),
            "channels": ((1, 3), (4, 8)),
            "size": ((2, 5),),
            "kernel_size": (1, (3, 2)),
            "stride": (2, (3, 1)),
            "padding": ((1, 2),),
            "output_padding": (1,),
            "groups": (2, DEPTHWISE),
            "bias": (False,),
            "dilation": ((1, 2),),
        },
    ),
    Family(
        "upsample",
        {
            "batch": 2,
            "channels": 2,
            "size": (4, 5),
            "target": None,
            "scale_factor": 2,
            "mode": "nearest",
            "align_corners": None,
        },
        {
            "batch": (1,),
            "channels": (1,),
            "size": ((2, 6),),
            "target": (7, (3, 8), (8, 10)),
            "scale_factor": (3, 1.5, (2.5, 0.7)),
            "mode": ("bilinear",),
            "align_corners": (True, False),
        },
    ),
    Family(
        "max_pool2d",
        {
            "batch": 2,
            "channels": 2,
            "size": (7, 6),
            "kernel_size": 2,
            "stride": None,
            "padding": 0,
            "dilation": 1,
            "ceil_mode": False,
            "ties": "first",
        },
        {
            "batch": (1,),
            "channels": (1,),
            "size": SIZES,
            "kernel_size": (1, 3, (3, 2), IMAGE),
            "stride": (1, 2, 3, (2, 1)),
            "padding": (1, (0, 1)),
            "dilation": (2, (1, 2)),
            "ceil_mode": (True,),
            "ties": ("all",),
        },
    ),
    Family(
        "avg_pool2d",
        {
            "batch": 2,
            "channels": 2,
            "size": (7, 6),
            "kernel_size": 2,
            "stride": None,
            "padding": 0,
            "ceil_mode": False,
            "count_include_pad": True,
        },
        {
            "batch": (1,),
            "channels": (1,),
            "size": SIZES,
            "kernel_size": (1, 3, (3, 2), IMAGE),
            "stride": (1, 2, 3, (2, 1)),
            "padding": (1, (0, 1)),
            "ceil_mode": (True,),
            "count_include_pad": (False,),
        },
    ),
    Family(
        "global_max_pool2d",
        {"batch": 2, "channels": 3, "size": (4, 5)},
        {"batch": (1,), "channels": (1,), "size": ((3, 3), (6, 1))},
    ),
    Family(
        "embedding",
        {"batch": 2, "length": 5, "num_embeddings": 4, "embedding_dim": 3, "padding_idx": None},
        {
            "batch": (1,),
            "length": (1,),
            "num_embeddings": (1, 9),
            "embedding_dim": (16,),
            "padding_idx": (0, 3),
        },
    ),
    *(
        Family(
            kind,
            {"batch": 2, "length": 3, "input_size": 3, "hidden_size": 2, **RECURRENT},
            {
                "batch": (1,),
                "length": (4,),
                "hidden_size": (5,),
                **({"input_size": (1,), "nonlinearity": ("relu",)} if kind == "rnn" else {}),
                "bias": (False,),
                "bidirectional": (True,),
            },
            paired=False,  # a step is many equations, and compiling them takes time
        )
        for kind in ("rnn", "lstm", "gru")
    ),
    Family(
        "select_step",
        {"batch": 2, "length": 3, "features": 4, "step": -1},
        {"batch": (1,), "length": (2,), "features": (1,), "step": (0, 1, -2)},
    ),
    Family(
        "global_avg_pool2d",
        {"batch": 2, "channels": 3, "size": (4, 5)},
        {"batch": (1,), "channels": (1,), "size": ((1, 1), (3, 3), (1, 6))},
    ),
    Family(
        "adaptive_avg_pool2d",
        {"batch": 2, "channels": 2, "size": (7, 6), "output_size": 3},
        {
            "batch": (1,),
            "channels": (1,),
            "size": ((6, 6), (1, 1)),
            "output_size": (1, (3, 2), (5, 4), (7, None), (8, 9)),
        },
    ),
    Family(
        "subsampling2d",
        {"batch": 2, "channels": 3, "size": (6, 6), "kernel_size": 2},
        {"batch": (1,), "channels": (17,), "size": ((7, 5),), "kernel_size": ((3, 1),)},
    ),
    Family(
        "batch_norm2d",
        {
            "batch": 3,
            "channels": 4,
            "size": (3, 5),
            "eps": 1e-5,
            "momentum": 0.1,
            "affine": True,
            "track_running_stats": True,
            "training": True,
        },
        {
            "batch": (1,),
            "channels": (1, 17),
            "size": ((1, 4),),
            "eps": (1e-3,),
            "affine": (False,),
            "track_running_stats": (False,),
            "training": (False,),
        },
    ),
    Family(
        "local_response_norm",
        {"batch": 2, "channels": 6, "size": (3, 2), "norm_size": 5, "alpha": 0.5, "beta": 0.75, "k": 1.0},
        {
            "batch": (1,),
            "channels": (3, 17),
            "norm_size": (1, 2, 4),
            "beta": (0.5, 1.0),
            "k": (2.0,),
        },
    ),
    Family(
        "table_conv2d",
        {"batch": 2, "channels": 4, "size": (5, 6), "table": ((0, 1, 2), (0, 2, 3), (1, 3)), "kernel_size": 3},
        {"batch": (1,), "size": ((4, 7),), "table": (((2,),), ((0, 3),) * 17), "kernel_size": ((1, 2), 4)},
    ),
    Family(
        "code_distance",
        {"batch": 3, "features": 6, "codes": ((1.0, -1.0, 1.0, -1.0, 1.0, 0.5), (0.0, 1.0, 1.0, -1.0, -1.0, 2.0))},
        {"batch": (1,)},
    ),
    Family(
        "padded_shortcut",
        {"batch": 2, "channels": 3, "size": (5, 4), "out_channels": 5, "stride": 2},
        {"batch": (1,), "channels": (1,), "size": ((4, 6),), "out_channels": (19,), "stride": (1, 3)},
    ),
    *(
        Family(
            kind,
            {"batch": 2, "parts": (2, 3, 1) if kind == "concat" else (2, 2, 2), "size": (3, 4)},
            {
                "batch": (1,),
                "parts": ((4, 1), (3,), (16, 8, 5)) if kind == "concat" else ((1, 1), (3,), (17, 17)),
                "size": ((1, 1),),
            },
        )
        for kind in ("add", "concat")
    ),
    Family(
        "linear",
        {"batch": 3, "in_features": 5, "out_features": 4, "bias": True},
        {"batch": (1,), "in_features": (1, 16), "out_features": (1, 10), "bias": (False,)},
    ),
    *(
        Family(kind, {"batch": 2, "features": 7}, {"batch": (1,), "features": (1, (3, 4, 5), (1, 2, 3))})
        for kind in ("relu", "sigmoid", "tanh")
    ),
    *(
        # A single class would always have probability 1 and the gradient 0: nothing to compare.
        Family(kind, {"batch": 3, "features": 10}, {"batch": (1,), "features": (2, 3, (3, 2, 4))})
        for kind in ("softmax", "log_softmax")
    ),
    Family(
        "leaky_relu",
        {"batch": 2, "features": 7, "negative_slope": 0.01},
        {"batch": (1,), "features": (1, (3, 4, 5)), "negative_slope": (0.25, 0.0, 1.0)},
    ),
    Family(
        "scaled_tanh",
        {"batch": 2, "features": 7, "amplitude": 1.7159, "slope": 2 / 3},
        {"batch": (1,), "features": ((3, 4, 5),), "amplitude": (1.0, 0.5), "slope": (1.0, 2.0)},
    ),
    *(
        Family(kind, {"batch": 2, "features": 7}, {"batch": (1,), "features": ((3, 4, 5),)})
        for kind in ("silu", "hardswish")
    ),
    Family(
        "gelu",
        {"batch": 2, "features": 7, "approximate": "none"},
        {"batch": (1,), "features": ((3, 4, 5),), "approximate": ("tanh",)},
    ),
    Family(
        "elu",
        {"batch": 2, "features": 7, "alpha": 1.0},
        {"features": ((3, 4, 5),), "alpha": (0.5, 1.5)},
    ),
    Family(
        "softplus",
        {"batch": 2, "features": 7, "beta": 1.0, "threshold": 20.0},
        {"features": ((3, 4, 5),), "beta": (0.5, 3.0), "threshold": (2.0,)},
    ),
    Family(
        "flatten",
        {"batch": 2, "channels": 3, "size": (4, 5)},
        {"batch": (1,), "channels": (1,), "size": ((1, 1), (3, 3))},
    ),
    Family(
        "add_channel",
        {"batch": 2, "channels": 3, "size": (4, 5)},
        {"batch": (1,), "channels": (1,), "size": ((1, 1), (3, 3))},
    ),
    Family(
        "fixed_filter2d",
        {"batch": 2, "channels": 2, "size": (7, 6), "kernel": "edge", "padding": 0, "stride": 1},
        {
            "batch": (1,),
            "channels": (1, 3),
            "size": SIZES,
            "kernel": ("gaussian", "average", "sobel"),
            "padding": (1, 2),
            "stride": (2, 3),
        },
    ),
)

KERNELS = {
    "edge": ((1.0, 0.0, 0.0),) * 3,
    "gaussian": tuple(tuple(a * b / 16 for b in (1.0, 2.0, 1.0)) for a in (1.0, 2.0, 1.0)),
    "average": ((1 / 9,) * 3,) * 3,
    "sobel": ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0)),
}
"""The filters of the notes `slides`, and one that is neither symmetric nor of one sign."""


CORNERS: Mapping[str, tuple[Mapping[str, Value], ...]] = {
    "conv2d": (
        # What networks use: "same" padding, the first layers of ResNet and AlexNet, strided depthwise layers.
        {"kernel_size": 5, "padding": 2, "channels": (1, 3)},
        {"kernel_size": 7, "stride": 2, "padding": 3},
        {"kernel_size": 11, "stride": 4, "padding": 2, "size": (11, 15), "channels": (2, 2)},
        {"groups": DEPTHWISE, "stride": 2, "padding": 1, "channels": (4, 8)},
        # Strides and dilations with a common factor leave input cells that no output sees.
        {"stride": 2, "dilation": 2, "padding": 1},
        {"stride": 2, "dilation": 2, "padding": 2, "kernel_size": 2},
        {"stride": 4, "dilation": 2, "padding": 3, "size": (9, 10)},
        {"stride": 3, "dilation": 2, "padding": (1, 2), "flip": True},
        # Everything at once, differently along the two axes.
        {
            "kernel_size": (3, 2),
            "stride": (2, 3),
            "padding": (2, 1),
            "dilation": (1, 2),
            "groups": 2,
            "flip": True,
        },
        {"kernel_size": (2, 3), "stride": (3, 2), "padding": (1, 2), "dilation": (2, 1), "bias": False},
        # More padding than kernel: whole outputs see nothing but padding.
        {"kernel_size": 2, "padding": 3},
        {"kernel_size": 1, "padding": 1, "stride": 2},
        {"size": (1, 1), "padding": 1},
        {"size": (1, 1), "kernel_size": 1},
    ),
    "conv_transpose2d": (
        # What networks use: twice the size with kernels of 4, 3 and 2.
        {"kernel_size": 4, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "channels": (4, 8), "groups": 2},
        {"kernel_size": 2, "stride": 2},
        # Cells that no kernel reaches hold the bias alone; a stride and a dilation with a common factor.
        {"kernel_size": 2, "stride": 3, "output_padding": 2},
        {"kernel_size": 3, "stride": 2, "dilation": 2, "output_padding": 1},
        {"kernel_size": (2, 3), "stride": (2, 3), "padding": (2, 1), "dilation": (3, 2), "output_padding": (1, 2)},
        {"kernel_size": (3, 2), "stride": (3, 2), "padding": (1, 0), "groups": 2, "bias": False},
        {"size": (1, 1), "kernel_size": 1, "stride": 2, "output_padding": 1},
    ),
    "upsample": tuple(
        {"mode": "bilinear", **size, "align_corners": align}
        for size in (
            {"target": (3, 8)},
            {"target": (1, 1)},
            {"scale_factor": 3},
            {"scale_factor": (2.5, 0.7)},
        )
        for align in (True, False)
    ),
    **{kind: ({"num_layers": 2, "bidirectional": True, "length": 2},) for kind in ("rnn", "lstm", "gru")},
    "max_pool2d": (
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "ties": "all", "size": (6, 6)},
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True, "size": (5, 8)},
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 1), "ceil_mode": True},
        {"kernel_size": 3, "stride": 1, "padding": 1, "ties": "all"},
        {"kernel_size": 1, "size": (1, 1)},
    ),
    "avg_pool2d": (
        {"kernel_size": 3, "stride": 1, "padding": 1},
        # The gradient's windows reach outside, where there is no count to divide by.
        {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
        {"kernel_size": 3, "stride": 1, "padding": (1, 0), "count_include_pad": False, "size": (5, 8)},
        {"kernel_size": 3, "stride": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "size": (6, 6)},
        {
            "kernel_size": 2,
            "stride": 3,
            "padding": 1,
            "ceil_mode": True,
            "count_include_pad": False,
            "size": (5, 8),
        },
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True, "size": (5, 8)},
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "ceil_mode": True},
        {"kernel_size": 1, "size": (1, 1)},
    ),
}
"""Combinations of more than two that are easy to get wrong."""


def variations(family: Family) -> Iterator[Mapping[str, Value]]:
    """What differs from the base: nothing, one parameter, two parameters, and the corners."""
    yield {}
    for name, values in family.alternatives.items():
        for value in values:
            yield {name: value}
    for first, second in combinations(family.alternatives, 2) if family.paired else ():
        for a in family.alternatives[first]:
            for b in family.alternatives[second]:
                yield {first: a, second: b}
    yield from CORNERS.get(family.kind, ())


def spelled(value: Value) -> str:
    """A value as part of a test's name."""
    return "x".join(spelled(part) for part in value) if isinstance(value, tuple) else f"{value}"


def resolve(family: Family, varied: Mapping[str, Value]) -> Case:
    """The case that a variation stands for, with sizes and groups that depend on others worked out."""
    settings = {**family.base, **varied}
    batch = settings.pop("batch")
    if family.kind in SEQUENCES:
        shape = (settings.pop("length"),)
        shape += (settings["input_size"],) if "input_size" in settings else ()
        shape += (settings.pop("features"),) if "features" in settings else ()
    elif "features" in settings:
        features = settings.pop("features")
        shape = features if isinstance(features, tuple) else (features,)
    elif "in_features" in settings:
        shape = (settings["in_features"],)
    elif "parts" in settings:
        shape = (sum(settings["parts"]), *settings.pop("size"))
    else:
        channels, size = settings.pop("channels"), settings.pop("size")
        if family.kind in ("batch_norm2d", "subsampling2d"):
            settings = {"num_features": channels, **settings}
        if family.kind == "table_conv2d":
            settings = {"in_channels": channels, **settings}
        if "norm_size" in settings:
            settings["size"] = settings.pop("norm_size")
        if family.kind in ("conv2d", "conv_transpose2d"):
            settings = {"in_channels": channels[0], "out_channels": channels[1], **settings}
        shape = (settings.get("in_channels", channels), *size)
        if settings.get("kernel_size") == IMAGE:
            settings["kernel_size"] = size
        if settings.get("groups") == DEPTHWISE:
            settings["groups"] = channels[0]
    if "target" in settings:
        # The size to make has a name of its own here, because "size" is that of the image.
        settings["size"] = settings.pop("target")
        if settings["size"] is not None:
            settings["scale_factor"] = None
    if "kernel" in settings:
        settings["kernel"] = KERNELS[settings["kernel"]]
    name = ":".join([family.kind, *(f"{key}={spelled(value)}" for key, value in varied.items())])
    return Case(family.kind, batch, shape, tuple(settings.items()), name)


def both(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number for each axis."""
    return (value, value) if isinstance(value, int) else value


def makes_sense(case: Case) -> bool:
    """Whether an image fits the case and the case means something."""
    options = case.options
    if "groups" in options and any(options[side] % options["groups"] for side in ("in_channels", "out_channels")):
        return False
    if options.get("padding") == "same":
        return bool(options["stride"] == 1)
    if case.kind == "batch_norm2d":
        # One value per channel has no variance.
        return case.batch * case.shape[1] * case.shape[2] > 1
    if case.kind == "embedding":
        return options["padding_idx"] is None or bool(options["padding_idx"] < options["num_embeddings"] > 1)
    if case.kind == "upsample":
        return options["align_corners"] is None or bool(options["mode"] == "bilinear")
    if "kernel_size" not in options or case.kind in ("subsampling2d", "table_conv2d"):
        return True
    return all(axis_fits(case, axis) for axis in (0, 1))


def axis_fits(case: Case, axis: int) -> bool:
    """The padded image holds one kernel; a pooling window holds at least one cell of the image.

    A transposed convolution leaves something after its padding is cut off.
    """
    options = case.options
    extent, kernel = case.shape[1 + axis], both(options["kernel_size"])[axis]
    padding, dilation = both(options["padding"])[axis], both(options.get("dilation", 1))[axis]
    reach = dilation * (kernel - 1)
    if case.kind == "conv_transpose2d":
        stride, extra = both(options["stride"])[axis], both(options["output_padding"])[axis]
        return extra < stride and (extent - 1) * stride + reach + extra >= 2 * padding
    if reach >= extent + 2 * padding:
        return False
    if case.kind == "conv2d":
        return True
    # A window that starts in the near padding must reach the image, and must not step over it.
    return 2 * padding <= kernel and (padding == 0 or dilation <= extent)


def table() -> tuple[Case, ...]:
    """All cases, each configuration once."""
    cases: dict[tuple[Any, ...], Case] = {}
    for family in FAMILIES:
        for varied in variations(family):
            case = resolve(family, varied)
            if makes_sense(case):
                cases.setdefault((case.kind, case.x_shape, case.arguments), case)
    return tuple(cases.values())


CASES = table()


def cases_of(*kinds: str) -> list[Case]:
    """The cases of some kinds of layer."""
    return [case for case in CASES if case.kind in kinds]
