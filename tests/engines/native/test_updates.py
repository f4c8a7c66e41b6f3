"""States that a program updates in place, and outputs and inputs that are one and the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pellucid.errors import UsageError
from pellucid.notation import Expression, Index, Program, Tensor, max_over, sqrt, sum_over
from tests.engines.native.programs import Array, Arrays, native, reference, single

SIZE = 37


def state(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape or (SIZE,), role="state")


def successor(name: str, value: Callable[[Index], Expression]) -> Tensor:
    """`name[i] = value(i)`."""
    tensor, i = Tensor(name), Index("i", SIZE)
    tensor[i] = value(i)
    return tensor


def numbers(*names: str) -> Arrays:
    random = np.random.default_rng(5)
    return {name: random.uniform(0.5, 1, SIZE).astype(np.float32).astype(np.float64) for name in names}


def check(program: Program, arrays: Arrays, *, steps: int = 3, **choices: object) -> Arrays:
    """States and outputs follow the reference step by step; returns the native arrays."""
    executable = native(program, **choices)  # type: ignore[arg-type]
    mine, right = single(arrays), {name: array.copy() for name, array in arrays.items()}
    for step in range(steps):
        got, wanted = executable.run(mine), reference_step(program, right)
        assert got.keys() == wanted.keys()
        for name, array in {**wanted, **right}.items():
            found = got[name] if name in wanted else mine[name]
            np.testing.assert_allclose(found, array, rtol=2e-6, atol=2e-7, err_msg=f"step {step}: {name}")
    executable.close()
    return mine


def reference_step(program: Program, arrays: Arrays) -> Arrays:
    """One step of the reference, which updates the arrays."""
    from pellucid.engines.numpy.executable import NumpyEngine

    return dict(NumpyEngine().compile(program, dtype="float64").run(arrays))


def test_momentum_and_adam() -> None:
    w, v, m, s, g = (state(name) for name in "WVMSG")
    velocity = successor("V'", lambda i: v[i] * 0.9 + g[i])
    mean = successor("M'", lambda i: m[i] * 0.9 + g[i] * 0.1)
    square = successor("S'", lambda i: s[i] * 0.99 + g[i] ** 2 * 0.01)
    weight = successor("W'", lambda i: w[i] - 0.1 * velocity[i] - 0.01 * mean[i] / (sqrt(square[i]) + 1e-6))
    updates = [(w, weight), (v, velocity), (m, mean), (s, square)]
    for threads in (1, 4):
        check(Program.of([], updates), numbers(*"WVMSG"), threads=threads)


def test_the_order_of_updates_does_not_matter() -> None:
    """Each successor is computed from the old values, whichever comes first."""
    a, b = state("a"), state("b")
    first = successor("a'", lambda i: a[i] + b[i])
    second = successor("b'", lambda i: b[i] * 2)
    for updates in ([(a, first), (b, second)], [(b, second), (a, first)]):
        check(Program.of([], updates), numbers("a", "b"))


def test_an_updated_state_keeps_its_array() -> None:
    """The caller's own array changes: nothing has to be fetched."""
    s = state("s")
    executable = native(Program.of([], [(s, successor("s'", lambda i: s[i] + 1))]))
    array = np.zeros(SIZE, np.float32)
    for step in range(3):
        assert executable.run({"s": array}) == {}
        assert (array == step + 1).all()
    other = np.zeros(SIZE, np.float32)
    executable.run({"s": other})
    assert (other == 1).all() and (array == 3).all()
    executable.close()


def test_a_state_that_nothing_reads() -> None:
    s, x = state("s"), Tensor("X", (SIZE,), role="input")
    check(Program.of([], [(s, successor("s'", lambda i: x[i] * 2))]), numbers("s", "X"))


def test_a_state_that_becomes_an_input_or_another_state() -> None:
    s, r, x = state("s"), state("r"), Tensor("X", (SIZE,), role="input")
    check(Program.of([], [(s, x)]), numbers("s", "X"))
    check(Program.of([], [(r, s), (s, x)]), numbers("s", "r", "X"))


def test_one_successor_for_two_states() -> None:
    s, r = state("s"), state("r")
    new = successor("new", lambda i: s[i] + r[i])
    check(Program.of([new], [(s, new), (r, new)]), numbers("s", "r"))


def test_a_successor_that_is_an_output_too() -> None:
    s = state("s")
    new = successor("new", lambda i: s[i] * 1.5)
    check(Program.of([new], [(s, new)]), numbers("s"))


def test_an_output_that_is_a_state_shows_its_value_before_the_update() -> None:
    s = state("s")
    got = native(Program.of([s], [(s, successor("s'", lambda i: s[i] + 1))]))
    array = np.ones(SIZE, np.float32)
    result = got.run({"s": array})["s"]
    assert (result == 1).all() and (array == 2).all()
    got.close()


def test_what_no_part_of_a_successor_writes_becomes_zero() -> None:
    s, new, i = state("s"), Tensor("new", (SIZE,)), Index("i", 10)
    new[i * 3] = s[i * 3] + 1
    mine = check(Program.of([], [(s, new)]), numbers("s"))
    assert np.count_nonzero(mine["s"]) == 10


def test_a_successor_in_two_parts() -> None:
    s, new = state("s"), Tensor("new", (SIZE,))
    low, high = Index("i", 20), Index("i", SIZE - 20)
    new[low] = s[low] + 1
    new[high + 20] = s[high + 20] * 2
    check(Program.of([], [(s, new)]), numbers("s"))


def test_a_state_read_with_padding_around_it() -> None:
    """Its margin of zeros is in a copy; the array itself has none, and is updated all the same."""
    s, x = state("s"), Tensor("X", (SIZE,), role="input")
    i, u, y = Index("i", SIZE), Index("u", 3), Tensor("Y")
    y[i] = sum_over([u], s[i + u - 1] * 0.25)
    check(Program.of([y], [(s, successor("s'", lambda i: s[i] * 0.5 + x[i]))]), numbers("s", "X"))


@pytest.mark.parametrize("layout", ["images", "batch", "channels"])
def test_running_statistics_of_a_batch(layout: str) -> None:
    """As in batch normalisation: a state follows the mean over the images, in every layout."""
    n, c, i, j = (Index(a, e) for a, e in zip("ncij", (5, 3, 4, 4), strict=True))
    x, running = Tensor("X", (5, 3, 4, 4), role="input"), Tensor("r", (3,), role="state")
    mean, new, y = Tensor("mean"), Tensor("r'"), Tensor("Y")
    mean[c] = sum_over([n, i, j], x[n, c, i, j]) * (1 / 80)
    new[c] = running[c] * 0.9 + mean[c] * 0.1
    y[n, c, i, j] = x[n, c, i, j] - running[c]
    values = np.random.default_rng(2).uniform(0.5, 1, (5, 3, 4, 4)).astype(np.float32).astype(np.float64)
    check(Program.of([y], [(running, new)]), {"X": values, "r": np.ones(3)}, layout=layout)


def test_scalars_and_whole_numbers_count_steps() -> None:
    count, best = Tensor("count", (), role="state", kind="int"), Tensor("best", (), role="state")
    x, i = Tensor("X", (SIZE,), role="input"), Index("i", SIZE)
    more, largest, joined = Tensor("count'", kind="int"), Tensor("largest"), Tensor("best'")
    more[()] = count[()] + 1
    largest[()] = max_over([i], x[i])
    joined[()] = best[()] * 0.5 + largest[()]
    executable = native(Program.of([], [(count, more), (best, joined)]))
    arrays: dict[str, Array] = {"count": np.zeros((), np.int32), "best": np.zeros((), np.float32)}
    for _ in range(4):
        executable.run({**arrays, "X": np.ones(SIZE, np.float32)})
    assert arrays["count"] == 4 and arrays["best"] == 1.875
    executable.close()


# ---- arrays that cannot be updated in place


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(SIZE), "float64"),
        (np.zeros(SIZE, np.int32), "int32"),
        (np.zeros(2 * SIZE, np.float32)[::2], "float32, not C-ordered"),
        (np.zeros(SIZE, ">f4"), ">f4"),
        (read_only(np.zeros(SIZE, np.float32)), "float32, read-only"),
    ],
)
def test_arrays_that_cannot_be_updated_in_place_are_refused(array: Array, said: str) -> None:
    s = state("s")
    executable = native(Program.of([], [(s, successor("s'", lambda i: s[i] + 1))]))
    with pytest.raises(
        UsageError, match=f"s is updated in place: it must be a writable, C-ordered float32 array; got {said}"
    ):
        executable.run({"s": array})
    assert not array.any()
    executable.close()


def test_the_reference_agrees_that_outputs_are_copies() -> None:
    """Neither an input nor the next step's outputs change what a step has returned."""
    x, y, i = Tensor("X", (SIZE,), role="input"), Tensor("Y"), Index("i", SIZE)
    y[i] = x[i] * 2
    executable = native(Program.of([x, y]))
    values = np.ones(SIZE, np.float32)
    first = executable.run({"X": values})
    values[...] = 7
    second = executable.run({"X": values})
    assert (first["X"] == 1).all() and (first["Y"] == 2).all() and (second["Y"] == 14).all()
    assert reference(Program.of([x, y]), {"X": values})["Y"].tolist() == second["Y"].tolist()
    executable.close()
