"""Derived gradients of random equations, judged by an interpreter that computes derivatives another way."""

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from pellucid.engines.numpy.executable import NumpyEngine
from pellucid.errors import NotationError
from pellucid.notation import Index, Program, Tensor, sum_over
from pellucid.notation.derive import derive
from tests.notation.interpreter import interpret, place, points, slope
from tests.notation.strategies import Sample, samples, values


def gradients_of(sample: Sample, *, keep_all: bool = False) -> tuple[Tensor, dict[Tensor, Tensor]]:
    incoming = Tensor("dY", sample.output.extents, role="input", name="incoming")
    try:
        found = derive({sample.output: incoming}, sample.given, keep_all=keep_all)
    except NotationError as error:
        assert "too many strided indices" in str(error)
        event("refused")
        assume(False)
    return incoming, {t: found[t] for t in sample.given}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(samples(), st.integers(0, 2**31), st.booleans())
def test_a_derived_gradient_is_the_derivative(sample: Sample, seed: int, keep_all: bool) -> None:
    generator = np.random.default_rng(seed)
    incoming, gradients = gradients_of(sample, keep_all=keep_all)
    arrays = {t.name: values(t.extents, generator) for t in (*sample.given, incoming)}
    forward = Program.of([sample.output])
    program = Program.of(gradients.values())
    derived = NumpyEngine().compile(program, dtype="float64").run(arrays)
    derived |= {t.name: arrays[t.name] for t in gradients.values() if t.name in arrays}
    interpreted = interpret(program, arrays)
    for tensor, gradient in gradients.items():
        got = derived[gradient.name]
        assert got.shape == tensor.extents
        np.testing.assert_allclose(got, interpreted[gradient.name], rtol=1e-9, atol=1e-12)
        direction = {
            tensor.name: generator.choice([-1.0, 1.0], tensor.extents) * generator.uniform(0.5, 1, tensor.extents)
        }
        measured = slope(forward, arrays, direction, arrays["incoming"])
        np.testing.assert_allclose(np.sum(got * direction[tensor.name]), measured, rtol=1e-9, atol=1e-10)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(samples())
def test_every_element_of_a_gradient_is_written_inside_it_and_once(sample: Sample) -> None:
    _, gradients = gradients_of(sample, keep_all=True)
    for equation in Program.of(gradients.values()):
        equation.check_writes(equation.tensor.extents)
    for gradient in gradients.values():
        written = [place(e.at, point) for e in gradient.definition for point in points(e.indices)]
        assert len(written) == len(set(written))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_a_strided_window_scatters_its_gradient(stride: int, dilation: int, padding: int, flip: bool) -> None:
    """Against adding every dY[i] * W[u] to the element that was read, one by one."""
    size, taps = 11, 3
    i, u = Index("i", (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1), Index("u", taps)
    offset = dilation * (taps - 1) - dilation * u if flip else dilation * u
    x, w = Tensor("X", (size,), role="input"), Tensor("W", (taps,), role="input")
    incoming, y = Tensor("dY", (i.size,), role="input"), Tensor("Y")
    y[i] = sum_over([u], x[stride * i + offset - padding] * w[u])
    gradients = derive({y: incoming}, [x, w])
    generator = np.random.default_rng(1)
    arrays = {t.name: generator.normal(size=t.extents) for t in (x, w, incoming)}
    out = NumpyEngine().compile(Program.of(gradients.values()), dtype="float64").run(arrays)
    expected = {"d X": np.zeros(size), "d W": np.zeros(taps)}
    for point in points([i, u]):
        (read,) = place([stride * i + offset - padding], point)
        if 0 <= read < size:
            expected["d X"][read] += arrays["dY"][point[i]] * arrays["W"][point[u]]
            expected["d W"][point[u]] += arrays["dY"][point[i]] * arrays["X"][read]
    for name, array in expected.items():
        np.testing.assert_allclose(out[name], array, rtol=1e-12, atol=1e-14)
