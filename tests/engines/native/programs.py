"""Programs for the tests of the native engine: made up at random, compiled in every way, judged in float64.

An `Author` writes equations of every form the notation allows; hypothesis decides for it. What a program should
give is what the NumPy engine gives in float64, which knows nothing of layouts, kernels and lanes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pellucid.engines.native import cpu
from pellucid.engines.native import layout as layouts
from pellucid.engines.native.cache import ObjectCache
from pellucid.engines.native.executable import NativeExecutable, ready
from pellucid.engines.native.plan import Compiled, prepare
from pellucid.engines.numpy.executable import NumpyEngine
from pellucid.notation import (
    Affine,
    Expression,
    Index,
    Program,
    Tensor,
    bracket,
    exp,
    expm1,
    log,
    max_over,
    maximum,
    minimum,
    sigmoid,
    sqrt,
    sum_over,
    tanh,
)
from pellucid.notation.expression import Access, Const, Reduce
from pellucid.notation.index import box

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

DEPTH = int(os.environ.get("PELLUCID_TEST_DEPTH", "1"))
"""How many times as many random programs as usual are tried; the usual number keeps the tests short."""

TARGETS = [name for name in cpu.names() if cpu.target(name).host]
_FOLDER = tempfile.TemporaryDirectory(prefix="pellucid-tests-")
STORE = ObjectCache(Path(_FOLDER.name) / "objects")
"""A cache of the tests' own: what they compile comes from the code as it is now."""


def searching(examples: int) -> settings:
    """Hypothesis' settings for a number of random programs: the same ones in every run."""
    return settings(
        max_examples=examples * DEPTH,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def compiled(program: Program, *, target: str | None = None, layout: str | None = None, threads: int = 1) -> Compiled:
    """All stages before the generation of code, with exactly this many threads however small the program is."""
    return replace(prepare(program, cpu.target(target), threads, layout), threads=threads)


def native(
    program: Program, *, target: str | None = None, layout: str | None = None, threads: int = 1
) -> NativeExecutable:
    """The program as machine code."""
    return ready(compiled(program, target=target, layout=layout, threads=threads), STORE)


def run_native(program: Program, arrays: Mapping[str, Array], **choices: Any) -> Arrays:
    """The outputs that machine code gives for these arrays, which are left alone."""
    executable = native(program, **choices)
    try:
        return dict(executable.run(single(arrays)))
    finally:
        executable.close()


def reference(program: Program, arrays: Mapping[str, Array], dtype: str = "float64") -> Arrays:
    """What the program means: the outputs by the NumPy engine."""
    given = {name: a.astype(dtype) if a.dtype.kind == "f" else a.copy() for name, a in arrays.items()}
    return dict(NumpyEngine().compile(program, dtype=dtype).run(given))


def single(arrays: Mapping[str, Array]) -> Arrays:
    """Copies of arrays as the native engine takes them in place."""
    return {name: a.astype(np.float32 if a.dtype.kind == "f" else np.int32) for name, a in arrays.items()}


possible_layouts = layouts.possible


def spelled_out(program: Program) -> str:
    """The program with the tensors' names in place of their symbols, which need not differ."""
    symbols = {t: t.symbol for t in program.tensors}
    for tensor in symbols:
        tensor.symbol = tensor.name
    text = str(program)
    for tensor, symbol in symbols.items():
        tensor.symbol = symbol
    return text


# ---- comparisons


def assert_same(actual: Mapping[str, Array], expected: Mapping[str, Array], what: str) -> None:
    """The same outputs bit for bit (-0 and 0 are two things here)."""
    assert actual.keys() == expected.keys(), what
    for name, wanted in expected.items():
        assert actual[name].dtype == wanted.dtype and actual[name].shape == wanted.shape, (what, name)
        different = np.flatnonzero(actual[name].ravel().view(_bits(wanted)) != wanted.ravel().view(_bits(wanted)))
        assert not different.size, (
            f"{what}: {name} differs in {different.size} of {wanted.size} elements, first {different[0]}: "
            f"{actual[name].flat[different[0]]!r}, not {wanted.flat[different[0]]!r}"
        )


def whole_numbers(program: Program) -> Arrays:
    """Small integers for all that a program is given: their sums are exact in any order."""
    random = np.random.default_rng(0)
    return {t.name: random.integers(-4, 5, t.extents).astype(np.float32) for t in program.given}


def assert_exact(program: Program, what: str, **choices: Any) -> None:
    """The native engine's results for whole numbers are the reference's, bit for bit, but for the sign of zero."""
    arrays = whole_numbers(program)
    # 0 and -0 are the same number here: adding 0 to a sum makes them equal bit for bit.
    expected = {k: v.astype(np.float32) + 0 for k, v in reference(program, arrays).items()}
    found = {k: v + 0 for k, v in run_native(program, arrays, **choices).items()}
    assert_same(found, expected, what)


def _bits(array: Array) -> np.dtype[Any]:
    return np.dtype(f"i{array.dtype.itemsize}")


def longest_sum(program: Program) -> int:
    """The number of terms of the longest sum in a program."""
    sums = [box(n.indices) for e in program for n in e.value.walk() if isinstance(n, Reduce)]
    return max(sums, default=1)


def assert_close(program: Program, actual: Arrays, arrays: Mapping[str, Array], what: str) -> None:
    """Each output within 1e-6 of the float64 reference's length, or as near as the reference is in float32.

    Errors add up like random steps: over equations, and over hundreds of terms of long sums.
    """
    wanted, rounded = reference(program, arrays), reference(program, arrays, "float32")
    assert actual.keys() == wanted.keys(), what
    for name, right in wanted.items():
        got = actual[name]
        assert got.shape == right.shape, f"{what}: {name} has the shape {got.shape}, not {right.shape}"
        if right.dtype.kind == "i":
            assert np.array_equal(got, right), f"{what}: {name} is {got!r}, not {right!r}"
            continue
        limit = 1e-6 * (len(program.equations) * max(1.0, longest_sum(program) / 100)) ** 0.5
        off, unavoidable = distance(got, right), distance(rounded[name], right)
        assert off <= max(limit, 3 * unavoidable), (
            f"{what}: {name} is off by {off:.2e} of its length ({unavoidable:.2e} in the reference's float32); "
            f"worst at {worst(got, right)}\n{spelled_out(program)}"
        )


def distance(got: Array, right: Array) -> float:
    """The length of the difference as part of the right array's; infinite where other elements are finite."""
    finite = np.isfinite(right)
    if not np.array_equal(got[~finite], right[~finite].astype(got.dtype), equal_nan=True):
        return np.inf
    difference = got[finite].astype(np.float64) - right[finite]
    off = float(np.linalg.norm(difference)) if np.isfinite(difference).all() else np.inf
    length = float(np.linalg.norm(right[finite].astype(np.float64)))
    return off / length if length else (0.0 if off == 0 else np.inf)


def worst(got: Array, right: Array) -> str:
    """The element furthest off, in words."""
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(got.astype(np.float64) - right), nan=np.inf)
    at = tuple(map(int, np.unravel_index(int(np.argmax(off)), off.shape)))
    return f"{at}: {float(got[at])!r}, not {float(right[at])!r}"


# ---- random programs


class Sheet:
    """A random program, its arrays (float64 with values that are exact in float32, int64), and how it was made."""

    def __init__(self, program: Program, arrays: Arrays, exact: bool) -> None:
        self.program, self.arrays, self.exact = program, arrays, exact

    def __repr__(self) -> str:
        shapes = {name: array.shape for name, array in self.arrays.items()}
        outputs = ", ".join(t.name for t in self.program.outputs)
        return f"\n{spelled_out(self.program)}\nwhole numbers: {self.exact}; {shapes}; outputs {outputs}\n"

    @property
    def small(self) -> bool:
        """Whether every whole number in the program is exact in float32 with room for the sums that lead to it."""
        every = Program(self.program.equations, tuple(dict.fromkeys(e.tensor for e in self.program)))
        return all(np.max(np.abs(a)) < 2**20 for a in reference(every, self.arrays).values())


@st.composite
def sheets(draw: Callable[[Any], Any], exact: bool = False, moves: int = 5) -> Sheet:
    """Random programs of a few definitions; with `exact` whole numbers in, whole numbers out."""
    author = Author(draw, exact)
    for _ in range(author.between(1, moves)):
        author.move()
    return author.sheet()


SIZES = (1, 2, 3, 5, 16, 17, 33)
"""Numbers of images: fewer than any vector has lanes, exactly as many, one more, not a multiple."""
CHANNELS = (1, 2, 3, 4, 5, 6, 8, 16, 17, 32)
NAMES = ("n", "o", "i", "j", "c", "u", "v", "k", "B", "O", "x1", "C", "xb", "N")
"""Names of indices, the compiler's own among them."""


class Author:
    """Writes equations one after the other; each may read what the ones before it define."""

    def __init__(self, draw: Callable[[Any], Any], exact: bool) -> None:
        self.draw, self.exact = draw, exact
        self.size = self.pick(*SIZES)
        self.given: list[Tensor] = []
        self.floats: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.read: set[Tensor] = set()
        self.count = 0
        self.turn = 0
        self.input((self.size, self.pick(*CHANNELS), self.between(1, 9), self.between(1, 9)))

    # ---- decisions

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def between(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    # ---- tensors and indices

    def name(self) -> str:
        self.count += 1
        return f"T{self.count}"

    def input(self, shape: tuple[int, ...], kind: str = "float") -> Tensor:
        tensor = Tensor("X", shape, role="input", kind=kind, name=self.name())  # type: ignore[arg-type]
        self.given.append(tensor)
        if kind == "float":
            self.floats.append(tensor)
            self.inputs.append(tensor)
        return tensor

    def parameter(self, *shape: int) -> Tensor:
        tensor = Tensor("W", shape, role="parameter", name=self.name())
        self.given.append(tensor)
        return tensor

    def indices(self, *extents: int) -> list[Index]:
        """Indices of one equation, with other names from equation to equation."""
        self.turn += 1
        start = self.turn * 3 % len(NAMES) if self.turn % 4 == 0 else 0
        return [Index(NAMES[(start + k) % len(NAMES)], extent) for k, extent in enumerate(extents)]

    def tensor(self, kind: str = "float", shape: tuple[int, ...] | None = None) -> Tensor:
        return Tensor(self.pick("Y", "Z"), shape, kind=kind, name=self.name())  # type: ignore[arg-type]

    def define(self, at: tuple[Any, ...], value: Expression, kind: str = "float") -> Tensor:
        tensor = self.tensor(kind)
        tensor[at] = value
        if kind == "float":
            self.floats.append(tensor)
        return tensor

    def source(self, dimensions: int, *, given: bool = False) -> Tensor:
        """A tensor of images with so many dimensions; a new input if there is none."""
        among = self.inputs if given else self.floats
        found = [t for t in among if len(t.extents) == dimensions and t.extents[0] == self.size]
        if found and self.between(0, 5):
            return self.pick(*found[-3:])
        return self.input((self.size, *(self.pick(1, 3, 4, 7, 10, 16) for _ in range(dimensions - 1))))

    def sheet(self) -> Sheet:
        """The program of all that was written, with those outputs that nothing reads, and some others."""
        defined = [t for t in self.all_defined() if t.definition]
        read = {a.tensor for t in defined for e in t.definition for a in _accesses(e.value)}
        outputs = [t for t in defined if t not in read or self.between(0, 2) == 0]
        program = Program.of(outputs)
        random = np.random.default_rng(self.between(0, 2**32 - 1))
        return Sheet(program, {t.name: self.values(t, random) for t in self.given if t in program.given}, self.exact)

    def all_defined(self) -> list[Tensor]:
        return [*self.floats, *self.whole]

    @property
    def whole(self) -> list[Tensor]:
        return self.__dict__.setdefault("_whole", [])

    def values(self, tensor: Tensor, random: np.random.Generator) -> Array:
        if tensor.kind == "int":
            return random.integers(0, 5, tensor.extents)
        if self.exact:
            return random.integers(-3, 4, tensor.extents).astype(np.float64)
        return random.uniform(-1, 1, tensor.extents).astype(np.float32).astype(np.float64)

    # ---- moves

    def move(self) -> None:
        """One more definition, or a few that belong together."""
        smooth = () if self.exact else (self.softmax, self.statistics)
        forms = (
            self.convolution, self.convolution, self.pooling, self.dense, self.pointwise, self.pointwise,
            self.weight_gradient, self.input_gradient, self.parts, self.joint, self.affine, self.over_the_batch,
            self.labels, self.tokens,
        )  # fmt: skip
        self.pick(*forms, *smooth)()

    def window(self, extent: int) -> tuple[int, int, int, int, int]:
        """Kernel, stride, dilation, padding along one axis, and the size of the output."""
        kernel, stride = self.pick(1, 2, 3, 4), self.pick(1, 1, 2, 3)
        dilation, padding = self.pick(1, 1, 2), self.pick(0, 0, 1, 2)
        reach = dilation * (kernel - 1)
        padding = max(padding, -(-(reach + 1 - extent) // 2))
        return kernel, stride, dilation, padding, (extent + 2 * padding - reach - 1) // stride + 1

    def convolution(self) -> None:
        x = self.source(4)
        _, channels, height, width = x.extents
        groups = self.pick(*[g for g in (1, 1, 2, 3, 4, channels) if channels % g == 0])
        inner, outer = channels // groups, self.pick(1, 2, 3, 4, 6, 8, 16, 32)
        outer = min(outer, 4) if groups > 1 else outer
        (ku, su, du, pu, h), (kv, sv, dv, pv, w) = self.window(height), self.window(width)
        n, o, i, j, c, u, v, g = self.indices(self.size, outer, h, w, inner, ku, kv, groups)
        row, column = i * su + u * du - pu, j * sv + v * dv - pv
        if self.between(0, 2) == 0:  # the kernel turned
            row, column = i * su - u * du + (du * (ku - 1) - pu), j * sv - v * dv + (dv * (kv - 1) - pv)
        weight = self.parameter(groups * outer, inner, ku, kv)
        out, into = (o, c) if groups == 1 else (g * outer + o, g * inner + c)
        factors = x[n, into, row, column], weight[out, c, u, v]
        value: Expression = sum_over([c, u, v], factors[0] * factors[1] if self.turn % 2 else factors[1] * factors[0])
        if self.between(0, 1):
            value = value + self.parameter(groups * outer)[out]
        if self.between(0, 3) == 0:
            value = maximum(value, 0)
        self.define((n, out, i, j), value)

    def pooling(self) -> None:
        x = self.source(4, given=not self.exact)
        (ku, su, _, pu, _), (kv, sv, _, pv, _) = self.window(x.extents[2]), self.window(x.extents[3])
        pu, pv = min(pu, ku - 1), min(pv, kv - 1)
        h = max((x.extents[2] + 2 * pu - ku) // su + 1, 1)
        w = max((x.extents[3] + 2 * pv - kv) // sv + 1, 1)
        n, c, i, j, u, v = self.indices(self.size, x.extents[1], h, w, ku, kv)
        cell = x[n, c, i * su + u - pu, j * sv + v - pv]
        form = self.pick("max", "argmax", "sum", "unpool")
        if form == "sum":
            self.define((n, c, i, j), sum_over([u, v], cell))
            return
        largest = max_over([u, v], cell)
        if form == "max":
            self.define((n, c, i, j), largest)
            return
        where = self.tensor("int")
        where[n, c, i, j] = Reduce("argmax", (u, v), largest.body)  # type: ignore[attr-defined]
        self.whole.append(where)
        if form == "unpool":
            best = self.define((n, c, i, j), largest)
            hit = bracket(where[n, c, i, j], "==", u * kv + v)
            self.define((n, c, i * ku + u, j * kv + v), hit * best[n, c, i, j])

    def dense(self) -> None:
        x = self.source(self.pick(2, 4))
        outputs = self.pick(1, 3, 10, 16, 20)
        n, o, *over = self.indices(self.size, outputs, *x.extents[1:])
        place = Affine()
        for index in over:
            place = place * index.size + index
        weight = self.parameter(outputs, box(over))
        value = sum_over(over, x[n, *over] * weight[o, place]) + self.parameter(outputs)[o]
        self.define((n, o), maximum(value, 0) if self.between(0, 1) else value)

    def pointwise(self) -> None:
        """A chain of equations, each of which reads the one before at its own place."""
        x = self.source(self.pick(2, 4, 4))
        for _ in range(self.between(1, 3)):
            at = self.indices(*x.extents)
            same = [t for t in self.floats if t.extents == x.extents]
            other = self.pick(*same)[tuple(at)] if self.between(0, 1) else self.parameter(at[1].size)[at[1]]
            x = self.define(tuple(at), self.function(x[tuple(at)], other, at))

    def function(self, a: Expression, b: Expression, at: list[Index]) -> Expression:
        whole: tuple[Callable[[], Expression], ...] = (
            lambda: maximum(a, 0),
            lambda: a - b,
            lambda: 2 * a + b * -3,
            lambda: minimum(a, b),
            lambda: maximum(a, b),
            lambda: bracket(at[-1] * 2, "<=", at[0] + 1) * a,
            lambda: a * at[-1] - at[0],
        )
        smooth: tuple[Callable[[], Expression], ...] = (
            lambda: tanh(a),
            lambda: sigmoid(a * b),
            lambda: exp(-(a**2)),
            lambda: a / (1 + b**2),
            lambda: log(1 + a**2) + sqrt(b**2 + 1),
            lambda: (1 + a**2) ** -0.75 * b,
            lambda: expm1(minimum(a, 1)),
        )
        form: Callable[[], Expression] = self.pick(*whole, *(() if self.exact else smooth))
        return form()

    def weight_gradient(self) -> None:
        x, dy = self.source(4), self.source(4)
        (ku, su, du, pu, _), (kv, sv, dv, pv, _) = self.window(x.extents[2]), self.window(x.extents[3])
        n, o, i, j, c, u, v = self.indices(*dy.extents, x.extents[1], ku, kv)
        there = x[n, c, i * su + u * du - pu, j * sv + v * dv - pv]
        self.define((o, c, u, v), sum_over([n, i, j], dy[n, o, i, j] * there))

    def input_gradient(self) -> None:
        """The gradient of a convolution, of stride 2 in its four phases."""
        dy = self.source(4)
        channels, ku, kv = self.pick(1, 2, 3, 8, 16), self.pick(1, 2, 3), self.pick(1, 2, 3)
        weight = self.parameter(dy.extents[1], channels, 2 * ku, 2 * kv)
        stride = self.pick(1, 2)
        height, width = self.between(1, 6), self.between(1, 6)
        tensor = self.tensor(shape=(self.size, channels, stride * height, stride * width))
        for phase in range(stride**2):
            if phase == 1 and self.between(0, 3) == 0:
                continue  # a gap: what no part writes is 0
            r, q = divmod(phase, 2)
            n, c, x, y, o, u, v = self.indices(self.size, channels, height, width, dy.extents[1], ku, kv)
            taps = weight[o, c, u * stride + r, v * stride + q]
            value = sum_over([o, u, v], dy[n, o, x - u + 1, y - v] * taps)
            tensor[n, c, x * stride + r, y * stride + q] = value
        self.floats.append(tensor)

    def parts(self) -> None:
        """Two tensors behind each other along the channels, or rows with others in between, or turned round."""
        x = self.source(4)
        n, c, i, j = self.indices(*x.extents)
        _, channels, height, width = x.extents
        form = self.pick("behind", "between", "turned")
        if form == "turned":
            self.define((n, c * -1 + (channels - 1), i, j * -1 + (width - 1)), x[n, c, i, j] * 2)
            return
        if form == "behind":
            tensor = self.tensor(shape=(self.size, channels + 2, height, width))
            tensor[n, c, i, j] = x[n, c, i, j]
            d = Index(c.name, 2)
            tensor[n, d + channels, i, j] = x[n, d * 0 + channels - 1, i, j] * 3
        else:
            tensor = self.tensor(shape=(self.size, channels, 3 * height, width + 1))
            tensor[n, c, i * 3, j] = x[n, c, i, j]
            if self.between(0, 1):
                tensor[n, c, i * 3 + 2, j + 1] = x[n, c, i, j] * self.parameter(channels)[c]
        self.floats.append(tensor)

    def joint(self) -> None:
        """Branches of one tensor behind each other along the channels, one branch read once more."""
        x = self.source(4)
        _, channels, height, width = x.extents
        branches, start = [], 0
        for _ in range(self.between(1, 3)):
            n, c, i, j = self.indices(*x.extents)
            branches.append(self.define((n, c, i, j), maximum(x[n, c, i, j] * self.parameter(channels)[c], 0)))
        whole = self.tensor(shape=(self.size, channels * (len(branches) + 1), height, width))
        for branch in (*branches, x):
            n, c, i, j = self.indices(*branch.extents)
            whole[n, c + start, i, j] = branch[n, c, i, j]
            start += channels
        self.floats.append(whole)
        again = self.pick(*branches)
        n, c, i, j, u = self.indices(*x.extents, 3)
        shift = self.pick(0, u - 1, u)
        self.define((n, c, i, j), sum_over([u], again[n, c, i + shift, j]) + whole[n, c, i, j])

    def affine(self) -> None:
        """A weighted sum over places given by arbitrary affine expressions, most likely partly outside."""
        x = self.source(self.pick(2, 3, 4))
        taps = self.pick(1, 2, 3, 5)
        n, i, j, u = self.indices(self.size, self.between(1, 8), self.pick(1, 4, 5, 16, 19), taps)
        at = []
        for extent in x.extents[1:]:
            steps = [self.pick(0, 0, 1, -1, 2) for _ in range(3)]
            place = i * steps[0] + j * steps[1] + u * steps[2]
            shift = self.between(-2, extent + 1)
            # An index alone has to fit: a shift, even by the whole length, makes it one that need not.
            at.append(place + (shift or 1))
        value = sum_over([u], x[n, *at] * self.parameter(taps)[u])
        self.define((n, i, j) if self.between(0, 1) else (n, j, i), value)

    def over_the_batch(self) -> None:
        """Sums over all images, of which only those that exist must count; now and then a maximum."""
        x = self.source(self.pick(2, 4))
        n, c, *rest = self.indices(*x.extents)
        cell = x[n, c, *rest]
        forms: tuple[Callable[[], object], ...] = (
            lambda: self.define((c,), sum_over([n, *rest], cell)),
            lambda: self.define((c, *rest), sum_over([n], (cell + 1) * cell)),
            lambda: self.define((), sum_over([n, c, *rest], cell * self.parameter(c.size)[c])),
            lambda: self.define((c, *rest), max_over([n], cell)),
            lambda: self.define((c,), sum_over([n, *rest], cell * x[n, c * 0, *rest])),
        )
        self.pick(*forms, *(() if self.exact else (lambda: self.quotients(x),) * 2))()

    def quotients(self, x: Tensor) -> None:
        """Sums over the images of what would be infinite for an image of zeros."""
        at = tuple(self.indices(*x.extents))
        n, c, *rest = at
        size = self.define(at, x[at] ** 2 + 0.5)
        part = self.define(at, self.pick(x[at] / size[at], 1 / size[at], log(size[at]), size[at] ** -1.5))
        sums = (part[at] * x[at], part[at] * size[at], size[at] * x[at], x[at] * x[at], part[at])
        for term in (self.pick(*sums), self.pick(*sums)):
            self.define((c,), sum_over([n, *rest], term))

    def statistics(self) -> None:
        """Mean and variance over images and pixels, and the images normalised with them."""
        x = self.source(4)
        n, c, i, j = self.indices(*x.extents)
        part = Const(1 / (x.size // x.extents[1]))
        mean = self.define((c,), sum_over([n, i, j], x[n, c, i, j]) * part)
        variance = self.define((c,), sum_over([n, i, j], (x[n, c, i, j] - mean[c]) ** 2) * part)
        self.define((n, c, i, j), (x[n, c, i, j] - mean[c]) / sqrt(variance[c] + 0.1))

    def softmax(self) -> None:
        x = self.source(2)
        n, k = self.indices(*x.extents)
        best = self.define((n,), max_over([k], x[n, k]))
        grown = self.define((n, k), exp(x[n, k] - best[n]))
        total = self.define((n,), sum_over([k], grown[n, k]))
        self.define((n, k), grown[n, k] / total[n])

    def labels(self) -> None:
        """Whole numbers: given, compared, computed with."""
        x = self.source(2, given=not self.exact)
        n, k = self.indices(*x.extents)
        given = self.input((self.size,), "int")
        best = self.tensor("int")
        best[n] = Reduce("argmax", (k,), x[n, k])
        hit = self.tensor("int")
        hit[n, k] = bracket(given[n] + 0 * best[n], "==", k)
        total = self.tensor("int")
        total[n] = given[n] * 2 + best[n]
        self.whole.extend(self.pick((best,), (best, hit), (total,), (hit, total)))
        self.define((n, k), bracket(best[n], "!=", k) * x[n, k] - hit[n, k])

    def tokens(self) -> None:
        """Rows that whole numbers select, some of which are none of the rows; and sums of rows by such numbers."""
        length, rows, width = self.between(1, 4), self.between(1, 6), self.pick(1, 3, 16, 20)
        given, table = self.input((self.size, length), "int"), self.parameter(rows, width)
        n, j, k, v = self.indices(self.size, length, width, rows)
        chosen = bracket(v, "==", given[n, j])
        if self.between(0, 1):
            chosen = chosen * bracket(v, "!=", 0)
        if self.between(0, 2) == 0:
            self.define((n, k), sum_over([j, v], chosen * table[v, k]))
            return
        looked_up = self.define((n, j, k), sum_over([v], chosen * table[v, k]))
        over = (n, j) if self.between(0, 1) else (j,)
        at = (v, k) if n in over else (n, v, k)
        counted = sum_over(over, bracket(v, "==", given[n, j]) * looked_up[n, j, k])
        self.define(at, counted * self.pick(1, 3))


def _accesses(node: Expression) -> list[Access]:
    return [part for part in node.walk() if isinstance(part, Access)]


class Dice(Author):
    """An author for whom a seed decides, where hypothesis is not at hand."""

    def __init__(self, seed: int, exact: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        super().__init__(lambda strategy: None, exact)

    def pick(self, *options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def between(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high, endpoint=True))


def thrown(seed: int, moves: int = 4) -> Sheet:
    """The random program of a seed."""
    author = Dice(seed)
    for _ in range(author.between(1, moves)):
        author.move()
    return author.sheet()
