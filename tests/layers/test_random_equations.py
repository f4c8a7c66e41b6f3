"""Equations made up at random, against a little interpreter of their own and against central differences.

Every random part is built twice at once: as notation, and as a plain function of one element's indices. So
neither the engine's nor the derivation's view of an equation has a say in what it should mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

import pellucid as pc
from pellucid.notation import Expression, Index, Tensor, exp, max_over, sum_over, tanh
from tests.oracles.compare import assert_close, assert_close_in_norm
from tests.oracles.differences import Point, check_gradient
from tests.oracles.inputs import separated
from tests.oracles.result import Array

ROWS = 2
Place = Mapping[str, int]
Plain = Callable[[Mapping[str, Array], Place], float]


@dataclass(frozen=True)
class Part:
    """An expression as notation and as a function of the arrays and the values of the indices."""

    notation: Expression
    plain: Plain


@dataclass
class Source:
    """A tensor that an equation may read: its notation, its name among the arrays, its length."""

    tensor: Tensor
    name: str
    length: int


class Author:
    """Writes random expressions in the indices n and i (and those it sums over)."""

    def __init__(self, seed: int, sources: list[Source], weights: Source) -> None:
        self.random = np.random.default_rng(seed)
        self.sources, self.weights = sources, weights
        self.n, self.i = Index("n"), Index("i", int(self.random.integers(3, 7)))
        self.bound = 0

    def pick(self, *values: int) -> int:
        return int(self.random.choice(values))

    def access(self, tap: Index | None) -> Part:
        """An element of a source: forwards, backwards or in strides, shifted, perhaps outside."""
        source = self.sources[self.pick(*range(len(self.sources)))]
        step, reach, shift = self.pick(1, 1, 2, -1), self.pick(1, 1, 2, -1), self.pick(-2, -1, 0, 0, 1)
        if step < 0:
            shift += source.length - 1
        if (step, shift, tap) == (1, 0, None) and self.i.size > source.length:
            shift = -1  # an index that stands alone has to fit: only sums may reach outside
        where = self.i * step + shift
        if tap is not None:
            where = where + tap * reach
        name, length = source.name, source.length

        def plain(arrays: Mapping[str, Array], at: Place) -> float:
            cell = step * at["i"] + shift + (reach * at[tap.name] if tap is not None else 0)
            return float(arrays[name][at["n"], cell]) if 0 <= cell < length else 0.0

        return Part(source.tensor[self.n, where], plain)

    def weight(self, tap: Index) -> Part:
        """The weight of a tap."""

        def plain(arrays: Mapping[str, Array], at: Place) -> float:
            return float(arrays[self.weights.name][at[tap.name]])

        return Part(self.weights.tensor[tap], plain)

    def tap(self) -> Index:
        """A new index to reduce over, as long as the weights."""
        self.bound += 1
        return Index(f"u{self.bound}", self.weights.length)

    def sum(self, depth: int) -> Part:
        """A weighted sum over a new index."""
        tap = self.tap()
        inner, weight = self.expression(depth - 1, tap), self.weight(tap)

        def plain(arrays: Mapping[str, Array], at: Place) -> float:
            places = [{**at, tap.name: value} for value in range(tap.size)]
            return sum(inner.plain(arrays, place) * weight.plain(arrays, place) for place in places)

        return Part(sum_over([tap], inner.notation * weight.notation), plain)

    def maximum(self) -> Part:
        """The largest of the cells from i on that exist; a maximum has an equation of its own."""
        source = self.sources[0]
        tap = self.tap()

        def plain(arrays: Mapping[str, Array], at: Place) -> float:
            cells = [at["i"] + value for value in range(tap.size) if at["i"] + value < source.length]
            return max(float(arrays[source.name][at["n"], cell]) for cell in cells)

        largest = Tensor(f"M{self.bound}", (ROWS, self.i.size))
        largest[self.n, self.i] = max_over([tap], source.tensor[self.n, self.i + tap])
        return Part(largest[self.n, self.i], plain)

    def expression(self, depth: int, tap: Index | None = None) -> Part:
        """A random smooth expression."""
        kind = self.pick(*range(7)) if depth > 0 else 0
        if kind == 0:
            return self.access(tap)
        if kind == 1 and tap is None:
            return self.sum(depth)
        if kind == 2 and tap is None and self.i.size <= self.sources[0].length:
            return self.maximum()
        a = self.expression(depth - 1, tap)
        if kind == 3:
            return Part(tanh(a.notation * 0.5), lambda v, at: float(np.tanh(0.5 * a.plain(v, at))))
        if kind == 4:
            return Part(exp(-(a.notation**2)), lambda v, at: float(np.exp(-(a.plain(v, at) ** 2))))
        b = self.expression(depth - 1, tap)
        if kind == 5:
            return Part(a.notation / (1 + b.notation**2), lambda v, at: a.plain(v, at) / (1 + b.plain(v, at) ** 2))
        if kind == 6:
            return Part(a.notation * b.notation, lambda v, at: a.plain(v, at) * b.plain(v, at))
        return Part(a.notation - 2 * b.notation, lambda v, at: a.plain(v, at) - 2 * b.plain(v, at))


class RandomLayer(pc.Layer):
    """Two random equations, the second of which may read the first's tensor and the input."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.weight = pc.Parameter("W", (3,), init="ones")
        self.plain: list[tuple[int, Plain]] = []

    def forward(self, x: Tensor) -> Tensor:
        sources, weights = [Source(x, "x", x.extents[1])], Source(self.weight, "weight", 3)
        self.plain = []
        for number in range(2):
            author = Author(2 * self.seed + number, list(reversed(sources)), weights)
            # A sum at the top makes sure that the weights, and several elements, take part.
            part = author.sum(3)
            y = Tensor("HY"[number], (ROWS, author.i.size))
            y[author.n, author.i] = part.notation + author.access(None).notation * 0
            self.plain.append((author.i.size, part.plain))
            sources.append(Source(y, "hidden", author.i.size))
        return y

    def by_loops(self, x: Array, weight: Array) -> Array:
        """The layer's values, one element after the other."""
        arrays = {"x": x, "weight": weight}
        for length, plain in self.plain:
            rows = [[plain(arrays, {"n": n, "i": i}) for i in range(length)] for n in range(ROWS)]
            arrays["hidden"] = np.array(rows)
        return arrays["hidden"]


@pytest.mark.parametrize("seed", range(60))
def test_values_and_gradients(seed: int, double_engine: str, repro: str) -> None:
    generator = np.random.default_rng(seed)
    layer = RandomLayer(seed)
    point = {"x": separated(generator, (ROWS, 7)), "weight": separated(generator, (3,))}
    given = {"weight": point["weight"]}
    y, _, _ = pc.vjp(layer, point["x"], engine=double_engine, dtype="float64", parameters=given)
    assert_close("y", y, layer.by_loops(point["x"], point["weight"]), rtol=1e-10, atol=1e-13, repro=repro)
    dy = separated(generator, y.shape)
    _, dx, gradients = pc.vjp(layer, point["x"], dy, engine=double_engine, dtype="float64", parameters=given)

    def objective(at: Point) -> float:
        return float(np.sum(layer.by_loops(at["x"], at["weight"]) * dy))

    check_gradient(objective, point, {"x": dx, **gradients}, seed=seed, repro=repro, singles=4)


@pytest.mark.parametrize("seed", range(20))
def test_single_precision_agrees_with_double(seed: int, engine: str, repro: str) -> None:
    """The reference engine's double precision, which the test above judges, judges the engines in turn."""
    generator = np.random.default_rng(seed)
    layer = RandomLayer(seed)
    x, given = separated(generator, (ROWS, 7)), {"weight": separated(generator, (3,))}
    expected = pc.vjp(layer, x, engine="numpy", dtype="float64", parameters=given)
    actual = pc.vjp(layer, x, engine=engine, parameters=given)
    assert_close_in_norm("y", actual[0], expected[0], rtol=2e-6, repro=repro)
    assert_close_in_norm("d x", actual[1], expected[1], rtol=2e-6, repro=repro)
    assert_close_in_norm("d weight", actual[2]["weight"], expected[2]["weight"], rtol=2e-6, repro=repro)
