"""Pellucid's side of a measurement: a workload on one of its engines, through the interface that everyone uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pellucid import engines, execution, training
from pellucid.bench import programs
from pellucid.bench.workloads import Convolution, Network, Values, Workload
from pellucid.engines.base import Executable
from pellucid.engines.native.executable import NativeExecutable
from pellucid.engines.native.product import Product

MOMENTUM = "optimizer.momentum."


@dataclass(frozen=True)
class Side:
    """One way to run a workload: what to call again and again, and what its first run computed, by name.

    `product` runs a single layer's sum of products by itself, as it runs within a network: what it reads lies in the
    engine's own order already.
    """

    name: str
    run: Callable[[], object]
    first: dict[str, Values]
    close: Callable[[], None]
    product: Callable[[], object] | None = None


def prepare(workload: Workload, threads: int, engine: str = "native", *, results: bool = True) -> Side:
    """Compile a workload and run it once; of a network's training without its `results`, which are copies of much."""
    if isinstance(workload, Convolution):
        return _convolution(workload, threads, engine)
    return _training(workload, threads, engine, results) if workload.training else _inference(workload, threads, engine)


def _training(workload: Network, threads: int, engine: str, results: bool) -> Side:
    """A training step; after the first, the momentum is the gradient."""
    x, y = workload.images(), workload.labels()
    model, shape = workload.build(), workload.shape
    step = training.compile_training(
        model, shape[0], shape[1:], optimizer=programs.optimizer(), engine=engine, threads=threads
    )
    first = {"loss": np.array(step(x, y)), "output": step.output.copy()}
    if results:
        state = step.state_dict()
        first |= {f"d {k.removeprefix(MOMENTUM)}": v for k, v in state.items() if k.startswith(MOMENTUM)}
    return Side(engine, lambda: step(x, y), first, step.close)


def _inference(workload: Network, threads: int, engine: str) -> Side:
    x, shape = workload.images(), workload.shape
    infer = execution.compile(workload.build(), shape[0], shape[1:], engine, threads=threads)
    return Side(engine, lambda: infer(x), {"output": infer(x)}, infer.close)


def _convolution(workload: Convolution, threads: int, engine: str) -> Side:
    layer = workload.build()
    arrays = {"weight": layer.parameters["weight"], "input": workload.images()}
    if workload.direction == "forward":
        program = programs.inference(layer, workload.shape)
    else:
        program = programs.gradient(layer, workload.shape, workload.direction.removesuffix(" gradient"))
        arrays["incoming gradient"] = workload.incoming()
    executable = engines.get(engine).compile(program, threads=threads)
    wanted = program.outputs[0].name

    def run() -> Values:
        return executable.run(arrays)[wanted]

    first = {workload.what: run()}
    return Side(engine, run, first, executable.close, _product(executable))


def _product(executable: Executable) -> Callable[[], object] | None:
    """The sums of products of a native executable, one after another, on the arrays of the last run."""
    if not isinstance(executable, NativeExecutable):
        return None
    kernels = enumerate(executable.compiled.kernels)
    runs = [executable.kernel(number) for number, kernel in kernels if isinstance(kernel, Product)]

    def run() -> None:
        for each in runs:
            each()

    return run
