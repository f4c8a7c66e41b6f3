"""Which layout a program gets, and that the reason can be read."""

from __future__ import annotations

import pytest

from pellucid.engines.native import choice, cpu
from pellucid.engines.native.layout import LAYOUTS, batched_tensors
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.plan import prepare
from pellucid.notation import Index, Program, Tensor, max_over, sum_over
from tests.engines.native.networks import training_step

TARGET = cpu.target("avx512")


def unused(name: str) -> list[Kernel]:
    raise AssertionError(f"{name} was lowered, though nothing has to be priced")


def convolution(images: int, channels: int, size: int, kernel: int) -> Program:
    extents = (images, channels, size, size, channels, kernel, kernel)
    n, o, i, j, c, u, v = (Index(a, e) for a, e in zip("noijcuv", extents, strict=True))
    wide = size + kernel - 1
    x = Tensor("X", (images, channels, wide, wide), role="input")
    w, y = Tensor("W", (channels, channels, kernel, kernel), role="parameter"), Tensor("Y")
    y[n, o, i, j] = sum_over([c, u, v], x[n, c, i + u, j + v] * w[o, c, u, v])
    return Program.of([y])


def test_one_block_of_images_leaves_threads_idle() -> None:
    """Sixteen images fill the lanes of one block, but only one thread can work on it; channels are shared better."""
    program = convolution(16, 64, 28, 3)
    batched = batched_tensors(program)
    assert batched is not None
    assert choice.by_lanes(program, batched, 16)[0] == "channels"


@pytest.mark.parametrize(("name", "size", "expected"), [("notes-cnn", 32, "batch"), ("wide", 1, "channels")])
def test_the_choice_follows_the_use_of_lanes(name: str, size: int, expected: str) -> None:
    """A full batch beats four channels; sixty-four channels beat one image."""
    chosen, why = choice.choose(training_step(name, size)[0], TARGET, unused)
    assert chosen == expected
    assert why.startswith(f"{chosen}: millions of lane slots") and all(other in why for other in LAYOUTS)


def test_a_program_that_mixes_images_stays_as_written() -> None:
    n, k = Index("n", 16), Index("k", 3)
    x, y = Tensor("X", (16, 3), role="input"), Tensor("Y")
    y[k] = max_over([n], x[n, k])
    chosen, why = choice.choose(Program.of([y]), TARGET, unused)
    assert (chosen, why) == ("images", "images: the batch is not simply passed through")


def test_for_a_single_sum_all_kernels_are_priced_and_each_layout_is_lowered_once() -> None:
    program, asked = convolution(8, 64, 14, 3), []

    def lowered(name: str) -> tuple[Kernel, ...]:
        asked.append(name)
        return prepare(program, TARGET, 1, name).kernels

    chosen, why = choice.choose(program, TARGET, lowered)
    assert asked == list(LAYOUTS)
    assert why.startswith(f"{chosen}: millions of cycles: images ")
    assert prepare(program, TARGET, 1).layout == chosen


def test_a_layout_asked_for_is_taken_and_says_what_was_advised() -> None:
    plan = prepare(convolution(8, 64, 14, 3), TARGET, 1, "batch")
    assert plan.layout == "batch" and plan.why.startswith("batch: asked for (")
