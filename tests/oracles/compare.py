"""Comparisons that say which element is worst, with both of its values, and how to run the case again."""

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[np.generic]


def describe_worst(actual: AnyArray, expected: AnyArray, excess: npt.NDArray[np.float64]) -> str:
    """The element with the largest excess: its index, both values, and how far they are apart."""
    at = tuple(int(axis) for axis in np.unravel_index(int(np.argmax(excess)), excess.shape))
    got, wanted = float(actual[at]), float(expected[at])
    wrong = int(np.count_nonzero(excess > 0))
    return (
        f"worst element {list(at)}: got {got!r}, expected {wanted!r}, difference {abs(got - wanted):.3e}; "
        f"{wrong} of {excess.size} elements are off"
    )


def _comparable(name: str, actual: AnyArray, expected: AnyArray, repro: str) -> None:
    """Refuse comparisons that would prove nothing: other shapes, no elements, nothing but zeros."""
    if actual.shape != expected.shape:
        raise AssertionError(f"{name}: shape {actual.shape}, expected {expected.shape}\n  repro: {repro}")
    if expected.size == 0:
        raise AssertionError(f"{name}: nothing to compare, the arrays are empty\n  repro: {repro}")
    if not np.any(expected):
        raise AssertionError(f"{name}: a comparison with zeros only proves nothing\n  repro: {repro}")


def assert_close(
    name: str, actual: AnyArray, expected: AnyArray, *, rtol: float, atol: float = 0.0, repro: str
) -> None:
    """Every element within atol + rtol * |expected|."""
    _comparable(name, actual, expected, repro)
    got, wanted = actual.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        excess = np.abs(got - wanted) - (atol + rtol * np.abs(wanted))
    excess = np.where(np.isnan(excess), np.inf, excess)
    if np.any(excess > 0):
        worst = describe_worst(got, wanted, excess)
        raise AssertionError(f"{name}: {worst} (rtol {rtol:g}, atol {atol:g})\n  repro: {repro}")


def assert_close_in_norm(name: str, actual: AnyArray, expected: AnyArray, *, rtol: float, repro: str) -> None:
    """The difference's length within rtol of the expected array's, and no element off by ten times that.

    Single precision rounds every term of a sum, so an element that cancels to nearly zero is judged by the
    array it is in; the second condition keeps one wrong element of a large array from drowning in the norm.
    """
    _comparable(name, actual, expected, repro)
    got, wanted = actual.astype(np.float64), expected.astype(np.float64)
    difference = np.abs(got - wanted)
    difference = np.where(np.isnan(difference), np.inf, difference)
    off = float(np.linalg.norm(difference) / np.linalg.norm(wanted))
    excess = difference - 10 * rtol * np.max(np.abs(wanted))
    if not off <= rtol or np.any(excess > 0):
        worst = describe_worst(got, wanted, np.where(excess > 0, excess, difference))
        raise AssertionError(f"{name}: off by {off:.3e} of its length (limit {rtol:g}); {worst}\n  repro: {repro}")


def assert_identical(name: str, actual: AnyArray, expected: AnyArray, repro: str) -> None:
    """Every element exactly equal."""
    _comparable(name, actual, expected, repro)
    if not np.array_equal(actual, expected):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
        difference = np.where(np.isnan(difference), np.inf, difference)
        worst = describe_worst(actual, expected, difference)
        raise AssertionError(f"{name}: not exactly equal; {worst}\n  repro: {repro}")
