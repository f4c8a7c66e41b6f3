"""Layouts: rewritings that change no value, and whole models trained in each of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid as pc
from pellucid import losses, optim, training
from pellucid.engines.native import layout
from pellucid.engines.native.layout import LAYOUTS, batched_tensors
from pellucid.engines.native.rewrite import rewritten, successors
from pellucid.execution import parameter_arrays
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU
from pellucid.notation import Index, Program, Tensor, max_over, sum_over
from tests.engines.native.networks import MODELS, train, train_reference, training_step, vjp_program
from tests.engines.native.programs import (
    DEPTH,
    TARGETS,
    Arrays,
    Sheet,
    distance,
    native,
    possible_layouts,
    reference,
    run_native,
    searching,
    sheets,
    worst,
)

SIZES = (1, 2, 5, 16, 17, 32, 64)


@searching(150)
@given(sheets(), st.sampled_from((16, 8, 4)), st.booleans())
def test_rewriting_changes_no_value(sheet: Sheet, lanes: int, further: bool) -> None:
    """The rewritten program means the same: both on the reference engine, in float64."""
    wanted, rough = (reference(sheet.program, sheet.arrays, dtype) for dtype in ("float64", "float32"))
    for name in possible_layouts(sheet.program):
        changed = layout.apply(sheet.program, lanes, name)
        if further:
            changed = rewritten(layout.with_room(successors(changed)))
        got = reference(changed, sheet.arrays)
        for key, right in wanted.items():
            # Other orders of summation round otherwise, the more so the more float32 suffers.
            limit = max(1e-12, 1e-7 * distance(rough[key], right))
            assert distance(got[key], right) <= limit, f"{name}, {lanes} lanes: {key} {worst(got[key], right)}"


@searching(60)
@given(sheets(), st.sampled_from((16, 8, 4)))
def test_nothing_infinite_arises_in_images_that_do_not_exist(sheet: Sheet, lanes: int) -> None:
    """In the batch layout every tensor, empty lanes included, is finite where the program's own tensors are."""
    if "batch" not in possible_layouts(sheet.program):
        return
    every = Program(sheet.program.equations, tuple(dict.fromkeys(e.tensor for e in sheet.program)))
    if not all(np.isfinite(a).all() for a in reference(every, sheet.arrays).values()):
        return
    rewritten = layout.apply(sheet.program, lanes, "batch")
    inside = Program(rewritten.equations, tuple(dict.fromkeys(e.tensor for e in rewritten)))
    for name, array in reference(inside, sheet.arrays).items():
        assert np.isfinite(array).all(), name


def simple(size: int, value: str = "sum") -> Program:
    """A convolution of 2 channels and something over the batch."""
    n, o, i, j, c, u, v = (Index(a, e) for a, e in zip("noijcuv", (size, 4, 5, 5, 2, 3, 3), strict=True))
    x, w = Tensor("X", (size, 2, 7, 7), role="input"), Tensor("W", (4, 2, 3, 3), role="parameter")
    y, z = Tensor("Y"), Tensor("Z")
    y[n, o, i, j] = sum_over([c, u, v], x[n, c, i + u, j + v] * w[o, c, u, v])
    over = [n, i, j]
    z[o] = sum_over(over, y[n, o, i, j]) if value == "sum" else max_over(over, y[n, o, i, j])
    return Program.of([y, z])


def test_a_program_keeps_the_layout_as_written_unless_the_batch_passes_through() -> None:
    assert batched_tensors(simple(16)) is not None
    assert batched_tensors(simple(16, "max")) is None
    assert layout.possible(simple(16, "max")) == ("images",)
    n, c, x, y = Index("n", 4), Index("c", 3), Tensor("X", (4, 3), role="input"), Tensor("Y")
    y[n, c] = x[n * -1 + 3, c]
    assert batched_tensors(Program.of([y])) is None


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("size", [3, 32])
def test_a_mask_drawn_for_each_image_passes_the_batch_through(name: str, size: int) -> None:
    """Dropout's random numbers follow from the place: every layout must draw the same ones for the same image."""
    model = pc.Sequential([Conv2d(2, 32, 3), pc.layers.Dropout(0.5), Flatten(), Linear(32 * 16, 3)]).init(seed=0)
    x = np.random.default_rng(0).standard_normal((size, 2, 6, 6))
    y = np.arange(size) % 3
    program = training.step_program(model, x.shape, losses.get("cross_entropy"), y, optim.SGD(0.1)).program
    assert batched_tensors(program) is not None
    arrays = parameter_arrays(model, np.dtype(np.float64)) | {"input": x, "target": y, "learning rate": np.array(0.1)}
    arrays |= {"random.seed": np.array(3), "random.step": np.array(5)}
    wanted = reference(program, arrays)
    got = reference(layout.apply(program, 16, name), arrays)
    for key, right in wanted.items():
        assert distance(got[key], right) < 1e-12, key


# ---- whole models


@cache
def answer(name: str, size: int) -> tuple[Program, Arrays, list[Arrays], Arrays]:
    """A model's training step, what it is given, and what the reference makes of it in five steps."""
    program, arrays = training_step(name, size)
    return program, arrays, *train_reference(program, arrays, 5)


ROUNDS = [
    (name, size, LAYOUTS[(k + shift) % 3], TARGETS[(k + m) % len(TARGETS)])
    for m, name in enumerate(MODELS)
    for k, size in enumerate(SIZES)
    for shift in range(3)
    if DEPTH > 1 or (shift == m % 3 and (k - m) % 3 == 0)
]
"""Models, batch sizes, layouts and targets in turn; with a greater depth every layout for every size."""


@pytest.mark.parametrize(("name", "size", "chosen", "target"), ROUNDS)
def test_five_training_steps(name: str, size: int, chosen: str, target: str) -> None:
    """Losses, outputs, and the way that every parameter and momentum has gone."""
    program, arrays, outputs, after = answer(name, size)
    chosen = chosen if chosen in possible_layouts(program) else "images"
    got, moved = train(native(program, layout=chosen, target=target), arrays, 5)
    for step, (mine, right) in enumerate(zip(got, outputs, strict=True)):
        for key in right:
            # A loss that has nearly gone is judged by what it was.
            off = float(np.linalg.norm(mine[key] - right[key]))
            limit = 5e-6 * max(np.linalg.norm(right[key]), np.linalg.norm(outputs[0][key]))
            assert off <= limit, f"step {step}: {key} is off by {off:.1e}, limit {limit:.1e}"
    for old, _ in program.updates:
        way, right = moved[old.name].astype(np.float64) - arrays[old.name], after[old.name] - arrays[old.name]
        # Near 1 a parameter's float32 steps are 6e-8 apart, however short the way.
        coarse = 6e-8 * np.linalg.norm(after[old.name]) * 5
        off = float(np.linalg.norm(way - right))
        assert off <= 2e-5 * np.linalg.norm(right) + coarse, f"{old.name} is off by {off:.1e}"


@pytest.mark.parametrize("optimizer", [optim.Adam(1e-3), optim.AdamW(1e-3), optim.SGD(0.1, 0.9, nesterov=True)])
def test_other_optimisers(optimizer: optim.Optimizer) -> None:
    program, arrays = training_step("branching", 5, optimizer)
    outputs, after = train_reference(program, arrays, 5)
    for chosen in LAYOUTS:
        got, moved = train(native(program, layout=chosen), arrays, 5)
        assert all(distance(a[k], b[k]) <= 1e-5 for a, b in zip(got, outputs, strict=True) for k in b)
        for old, _ in program.updates:
            off = float(np.linalg.norm(moved[old.name] - after[old.name]))
            assert off <= 1e-5 * np.linalg.norm(after[old.name]) + 1e-9, f"{chosen}: {old.name} is off by {off:.1e}"


def whole_number_model() -> pc.Graph:
    """Layers that make whole numbers, or quarters of them, of whole numbers."""
    model = pc.Sequential(
        [
            Conv2d(2, 3, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(3, 4, 2, stride=2, padding=1, flip=True),
            AvgPool2d(2, stride=1), Flatten(), Linear(4 * 2 * 2, 3), ReLU(),
        ]
    )  # fmt: skip
    model.input_shape = (2, 8, 8)
    return model


SQUARE = [
    (size, chosen, target)
    for k, size in enumerate((1, 5, 17))
    for m, chosen in enumerate(LAYOUTS)
    for p, target in enumerate(TARGETS)
    if DEPTH > 1 or p == (k + m) % len(TARGETS)
]
"""Every size in every layout, every layout on every target."""


@pytest.mark.parametrize(("size", "chosen", "target"), SQUARE)
def test_whole_numbers_through_a_whole_model_and_back(size: int, chosen: str, target: str) -> None:
    program, tensors = vjp_program(whole_number_model(), size)
    random = np.random.default_rng(size)
    arrays = {t.name: random.integers(-2, 4, t.extents).astype(np.float64) for t in tensors}
    got = run_native(program, arrays, layout=chosen, target=target)
    for name, right in reference(program, arrays).items():
        fine = right * 16  # means of four are whole quarters
        assert np.any(right) and np.max(np.abs(fine)) < 2**22 and (fine == np.round(fine)).all()
        assert np.array_equal(got[name], right), f"{name}: {worst(got[name], right)}"
