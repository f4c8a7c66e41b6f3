"""Normalisation by known statistics is one multiply-add; by the batch's own it stays what it is."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pc
from pellucid import layers
from pellucid.bench import programs
from pellucid.engines.native.folding import folded, known, known_first
from pellucid.engines.native.nest import Nest
from pellucid.engines.native.product import Product
from pellucid.notation import Index, Program, Tensor
from tests.engines.native.programs import Array, compiled, distance, possible_layouts, reference, run_native

SHAPE = (3, 4, 6, 5)


def network() -> pc.Sequential:
    """A convolution, its normalisation and activation, with statistics that are not 0 and 1."""
    model = pc.Sequential([layers.Conv2d(4, 8, 3, padding=1, bias=False), layers.BatchNorm2d(8), layers.ReLU()]).init(0)
    random = np.random.default_rng(0)
    for name, tensor in model.tensors().items():
        if "conv" not in name:
            tensor.value = random.uniform(0.5, 2.0, tensor.extents).astype(np.float32)
    return model


def arrays(model: pc.Sequential) -> dict[str, Array]:
    x = np.random.default_rng(1).standard_normal(SHAPE)
    values = {t.name: np.asarray(t.value, np.float64) for t in model.tensors().values() if t.value is not None}
    return values | {"input": x.astype(np.float32).astype(np.float64)}


def test_convolution_normalisation_and_activation_are_one_kernel() -> None:
    model = network()
    program = programs.inference(model, SHAPE)
    kernels = compiled(program, layout="channels").kernels
    (product,) = (k for k in kernels if isinstance(k, Product))
    assert [e.tensor.symbol for e in product.equations] == ["Y", "Y", "Y"]
    assert len(product.stored) == 1
    copies_and_coefficients = [k for k in kernels if isinstance(k, Nest)]
    assert sum(t.size >= 4 * 8 for k in copies_and_coefficients for t in k.stored) == 3  # input, weights, output


@pytest.mark.parametrize("affine", [True, False])
def test_folding_changes_no_value(affine: bool) -> None:
    model = network() if affine else pc.Sequential([layers.BatchNorm2d(4, affine=False)]).init(0)
    program, given = programs.inference(model, SHAPE), arrays(model)
    (wanted,) = reference(program, given).values()
    (got,) = reference(folded(program), given).values()
    assert distance(got, wanted) < 1e-14
    for layout in possible_layouts(program):
        (got,) = run_native(program, given, layout=layout).values()
        assert distance(got, wanted) < 1e-6


def test_the_batchs_own_statistics_are_not_folded() -> None:
    program = programs.inference(pc.Sequential([layers.BatchNorm2d(4, track_running_stats=False)]).init(0), SHAPE)
    assert folded(program) == program


def test_what_others_read_is_not_folded_away() -> None:
    program = programs.inference(network(), SHAPE)
    (inner,) = {e.tensor for e in program if e.tensor.symbol == "H"}
    both = Program.of([*program.outputs, inner])
    assert folded(both) == both


def test_what_differs_from_image_to_image_is_not_folded() -> None:
    """Its coefficients would be a tensor of images that no layout of images moves along."""
    n, k = Index("n", 17), Index("k", 5)
    x, w = Tensor("X", (17, 5), role="input"), Tensor("W", (5,), role="parameter")
    h, y = Tensor("H"), Tensor("Y")
    h[n, k] = x[n, k] * 3 - n
    y[n, k] = h[n, k] / w[k]
    program = Program.of([y])
    assert folded(program) == program
    assert possible_layouts(folded(program)) == ("images", "batch", "channels")


def test_what_follows_from_parameters_comes_first() -> None:
    n, k = Index("n", 3), Index("k", 5)
    x, w = Tensor("X", (3, 5), role="input"), Tensor("W", (5,), role="parameter")
    y, d, z = Tensor("Y"), Tensor("D"), Tensor("Z")
    y[n, k] = x[n, k] * 2
    d[k] = w[k] + 1
    z[n, k] = y[n, k] * d[k]
    program = Program.of([z])
    assert known(program) == {w, d}
    assert [e.tensor.symbol for e in known_first(program)] == ["D", "Y", "Z"]
