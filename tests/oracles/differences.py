"""Central differences: a gradient measured by moving the inputs a little to both sides.

The check is made along a random direction, which involves every element at once, and for single elements,
which say where a wrong gradient is wrong.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tests.oracles.result import Array

Point = Mapping[str, Array]
STEP = 1e-5
"""Truncation is of the order of STEP**2, rounding of 1e-16 / STEP: both are far below the tolerances."""


def moved(point: Point, direction: Point, distance: float) -> dict[str, Array]:
    """The point some way along a direction."""
    return {name: value + distance * direction[name] for name, value in point.items()}


def slope(function: Callable[[Point], float], point: Point, direction: Point) -> float:
    """Derivative of `function` along `direction`."""
    ahead, behind = function(moved(point, direction, STEP)), function(moved(point, direction, -STEP))
    return (ahead - behind) / (2 * STEP)


def random_direction(point: Point, generator: np.random.Generator) -> dict[str, Array]:
    """A sign and a size between 0.5 and 1 for every element, so that none is left out."""
    return {
        name: generator.choice([-1.0, 1.0], value.shape) * generator.uniform(0.5, 1.0, value.shape)
        for name, value in point.items()
    }


def unit_direction(point: Point, name: str, at: tuple[int, ...]) -> dict[str, Array]:
    """The direction of a single element."""
    direction = {other: np.zeros(value.shape) for other, value in point.items()}
    direction[name][at] = 1.0
    return direction


def check_gradient(
    function: Callable[[Point], float],
    point: Point,
    gradient: Point,
    *,
    seed: int,
    repro: str,
    singles: int = 2,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> None:
    """Compare a gradient with central differences, along one random direction and for single elements.

    Of each array `singles` elements are checked: the one with the largest gradient, and random ones.
    """
    if set(point) != set(gradient):
        raise AssertionError(f"gradients for {sorted(gradient)}, expected {sorted(point)}\n  repro: {repro}")
    generator = np.random.default_rng(seed)
    checks = [("along a random direction", random_direction(point, generator))]
    for name, value in point.items():
        chosen = [int(np.argmax(np.abs(gradient[name])))]
        chosen += generator.integers(value.size, size=singles - 1).tolist()
        for number in chosen:
            at = tuple(int(axis) for axis in np.unravel_index(number, value.shape))
            checks.append((f"d {name}{list(at)}", unit_direction(point, name, at)))
    for label, direction in checks:
        measured = slope(function, point, direction)
        derived = sum(float(np.sum(gradient[name] * direction[name])) for name in point)
        if not abs(measured - derived) <= atol + rtol * abs(measured):
            raise AssertionError(
                f"{label}: derived {derived!r}, measured {measured!r}, "
                f"difference {abs(measured - derived):.3e} (rtol {rtol:g}, atol {atol:g})\n  repro: {repro}"
            )
