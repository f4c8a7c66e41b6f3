"""Programs: equations in an order in which they can be computed."""

import pytest

from pellucid.errors import NotationError
from pellucid.notation import Program, Tensor, constant_tensor, indices

(K,) = indices("k")


def chain() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = Tensor("X", (3,), role="input")
    a, b, c = Tensor("A"), Tensor("B"), Tensor("C")
    a[K] = x[K] * 2
    b[K] = a[K] + x[K]
    c[K] = b[K] * a[K]
    return x, a, b, c


def test_each_tensor_comes_after_what_it_reads_and_only_what_is_wanted_comes() -> None:
    x, a, b, c = chain()
    assert [e.tensor for e in Program.of([c])] == [a, b, c]
    assert [e.tensor for e in Program.of([b])] == [a, b]
    assert Program.of([c]).given == (x,)
    assert str(Program.of([b])) == "A[k] = X[k] * 2\nB[k] = A[k] + X[k]"


def test_an_output_wanted_twice_is_one() -> None:
    _, a, b, _ = chain()
    assert Program.of([b, a, b]).outputs == (b, a)


def test_parts_stay_together() -> None:
    x, y = Tensor("X", (3,), role="input"), Tensor("Y", (6,))
    y[2 * K] = x[K]
    y[2 * K + 1] = -x[K]
    z = Tensor("Z")
    z[K] = y[K] * 2
    program = Program.of([z])
    assert [e.tensor for e in program] == [y, y, z]
    assert program.definition(y) == tuple(y.definition)


def test_a_long_chain_needs_no_deep_stack() -> None:
    last = Tensor("X", (1,), role="input")
    for number in range(3000):
        following = Tensor("T", name=f"t{number}")
        following[K] = last[K] + 1
        last = following
    assert len(Program.of([last]).equations) == 3000


def test_cycles_are_found() -> None:
    a, b = Tensor("A", (3,)), Tensor("B", (3,))
    a[K] = b[K] * 1
    b[K] = a[K] * 1
    with pytest.raises(NotationError, match="A is defined by means of itself"):
        Program.of([a])


def test_a_tensor_without_an_equation_is_found() -> None:
    a, b = Tensor("A", (3,)), Tensor("B", name="hidden.B")
    b[K] = a[K] * 2
    with pytest.raises(NotationError, match="no equation defines A"):
        Program.of([b])


def test_two_tensors_of_one_name_are_refused() -> None:
    x = Tensor("X", (2,), role="input")
    a, b, y = Tensor("H"), Tensor("H"), Tensor("Y")
    a[K] = x[K] * 2
    b[K] = x[K] * 3
    y[K] = a[K] * b[K]
    with pytest.raises(NotationError, match="two tensors of the program are named 'H'; give each a name of its own"):
        Program.of([y])


def test_tensors_by_name_and_role() -> None:
    x, a, b, _ = chain()
    f = constant_tensor("F", [1.0, 2.0, 3.0])
    y = Tensor("Y")
    y[K] = b[K] * f[K]
    program = Program.of([y])
    assert program.tensor("A") is a
    assert program.of_role("input") == (x,)
    assert program.of_role("constant") == (f,)
    with pytest.raises(NotationError, match="the program has no tensor 'Q'; it has X, A, B, F, Y"):
        program.tensor("Q")


def test_updates_are_computed_too() -> None:
    v = Tensor("V", (3,), role="state")
    new = Tensor("V'", (3,))
    new[K] = v[K] + 1
    program = Program.of([], [(v, new)])
    assert [e.tensor for e in program] == [new]
    assert program.given == (v,)
