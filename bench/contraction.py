"""Speed of single contractions on one core, as a share of the multiply-add peak measured in the same run.

    python bench/contraction.py                     every case on the best target of this machine
    python bench/contraction.py --target avx2       another instruction set
    python bench/contraction.py --only "wide 3x3"   cases whose name contains the text
    python bench/contraction.py --schedules         also print each schedule and what the cost model expects

For every case the peak loop runs right before and after the kernel; the table shows the median over the
repeats. Times are CPU times of the thread: other programs disturb them only through the shared caches.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from pellucid.engines.native import codegen, cost, cpu
from pellucid.engines.native.contraction import Access, Contraction, Ragged, merge, tasks
from pellucid.engines.native.kernel import emit_contraction
from pellucid.engines.native.schedule import block_size, choose


@dataclass(frozen=True)
class Conv:
    """A convolution: batch, output height and width, channels in and out, kernel, stride."""

    batch: int
    height: int
    width: int
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1

    def __str__(self) -> str:
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        size = f"{self.kernel}x{self.kernel}"
        return f"{size}{stride} {self.batch}x{self.height}x{self.width}x{self.inputs}->{self.outputs}"

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input with its halo."""
        reach = self.kernel - self.stride
        return self.height * self.stride + reach, self.width * self.stride + reach

    def extents(self) -> dict[str, int]:
        return dict(n=self.batch, i=self.height, j=self.width, u=self.kernel, v=self.kernel)


def _blocks(channels: int, target: cpu.Target) -> tuple[int, int, tuple[Ragged, ...]]:
    """Channels as lanes, in blocks: (block size, number of blocks, what the last one lacks)."""
    size = block_size(channels, target)
    count = -(-channels // size)
    return size, count, (Ragged("block", "lane", channels),) if channels % size else ()


def wide_forward(conv: Conv, target: cpu.Target) -> Contraction:
    """Y[n,i,j,o] = sum(u,v,c) X[n,si+u,sj+v,c] W[o,u,v,c]: channels last, weights packed in blocks of o."""
    s, k, c, (rows, columns) = conv.stride, conv.kernel, conv.inputs, conv.padded
    size, count, ragged = _blocks(conv.outputs, target)
    row = columns * c
    return Contraction(
        {**conv.extents(), "block": count, "lane": size, "c": c},
        Access(_image(conv.height, conv.width, conv.outputs, "n i j") | {"block": size, "lane": 1}),
        Access({"n": rows * row, "i": s * row, "u": row, "j": s * c, "v": c, "c": 1}),
        Access({"block": k * k * c * size, "u": k * c * size, "v": c * size, "c": size, "lane": 1}),
        ragged=ragged,
    )


def wide_input(conv: Conv, target: cpu.Target) -> Contraction:
    """dX[n,x,y,c] = sum(o,u,v) dY[n,x-u,y-v,o] W[o,u,v,c]: dY with a halo, weights packed in blocks of c."""
    k, o = conv.kernel, conv.outputs
    height, width = conv.height, conv.width  # of dX; stride 1, "same" padding
    size, count, ragged = _blocks(conv.inputs, target)
    row = (width + k - 1) * o
    extents = conv.extents() | {"block": count, "lane": size, "o": o}
    start = (k - 1) * (row + o)
    return Contraction(
        extents,
        Access(_image(height, width, conv.inputs, "n i j") | {"block": size, "lane": 1}),
        Access({"n": (height + k - 1) * row, "i": row, "u": -row, "j": o, "v": -o, "o": 1}, start),
        Access({"block": k * k * o * size, "u": k * o * size, "v": o * size, "o": size, "lane": 1}),
        ragged=ragged,
    )


def wide_weight(conv: Conv, target: cpu.Target) -> Contraction:
    """dW[u,v,c,o] = sum(n,i,j) X[n,si+u,sj+v,c] dY[n,i,j,o]: dY copied into blocks of o."""
    s, k, c, (rows, columns) = conv.stride, conv.kernel, conv.inputs, conv.padded
    size, count, ragged = _blocks(conv.outputs, target)
    row = columns * c
    places = conv.batch * conv.height * conv.width
    return Contraction(
        {**conv.extents(), "block": count, "lane": size, "c": c},
        Access({"block": k * k * c * size, "u": k * c * size, "v": c * size, "c": size, "lane": 1}),
        Access({"n": rows * row, "i": s * row, "u": row, "j": s * c, "v": c, "c": 1}),
        Access(_image(conv.height, conv.width, size, "n i j") | {"block": places * size, "lane": 1}),
        ragged=ragged,
    )


def batch_forward(conv: Conv, target: cpu.Target) -> Contraction:
    """Y[o,i,j,n] = sum(c,u,v) X[c,i+u,j+v,n] W[o,c,u,v]: the batch as lanes."""
    k, n, (rows, columns) = conv.kernel, conv.batch, conv.padded
    return Contraction(
        {**conv.extents(), "o": conv.outputs, "c": conv.inputs},
        Access(_image(conv.height, conv.width, n, "o i j") | {"n": 1}),
        Access({"c": rows * columns * n, "i": columns * n, "u": columns * n, "j": n, "v": n, "n": 1}),
        Access({"o": conv.inputs * k * k, "c": k * k, "u": k, "v": 1}),
    )


def batch_input(conv: Conv, target: cpu.Target) -> Contraction:
    """dX[c,x,y,n] = sum(o,u,v) dY[o,x-u,y-v,n] W[o,c,u,v]: dY with a halo of k-1."""
    k, n, (height, width) = conv.kernel, conv.batch, conv.padded  # of dX
    row = (width + k - 1) * n
    return Contraction(
        dict(n=n, i=height, j=width, u=k, v=k, c=conv.inputs, o=conv.outputs),
        Access(_image(height, width, n, "c i j") | {"n": 1}),
        Access({"o": (height + k - 1) * row, "i": row, "u": -row, "j": n, "v": -n, "n": 1}, (k - 1) * (row + n)),
        Access({"o": conv.inputs * k * k, "c": k * k, "u": k, "v": 1}),
    )


def batch_weight(conv: Conv, target: cpu.Target) -> Contraction:
    """dW[o,c,u,v] = sum(n,i,j) X[c,i+u,j+v,n] dY[o,i,j,n]: lanes are summed."""
    forward = batch_forward(conv, target)
    return Contraction(forward.extents, forward.b, forward.a, forward.out)


def dense_forward(batch: int, inputs: int, outputs: int, target: cpu.Target) -> Contraction:
    """Y[n,o] = sum(k) X[n,k] W[o,k], weights packed in blocks of o."""
    size, count, ragged = _blocks(outputs, target)
    return Contraction(
        dict(n=batch, block=count, lane=size, k=inputs),
        Access({"n": outputs, "block": size, "lane": 1}),
        Access({"n": inputs, "k": 1}),
        Access({"block": inputs * size, "k": size, "lane": 1}),
        ragged=ragged,
    )


def dense_unpacked(batch: int, inputs: int, outputs: int, target: cpu.Target) -> Contraction:
    """The same with the weights as they are: W[o,k], k as lanes, summed."""
    return Contraction(
        dict(n=batch, o=outputs, k=inputs),
        Access({"n": outputs, "o": 1}),
        Access({"n": inputs, "k": 1}),
        Access({"o": inputs, "k": 1}),
    )


def dense_input(batch: int, inputs: int, outputs: int, target: cpu.Target) -> Contraction:
    """dX[n,k] = sum(o) dY[n,o] W[o,k]."""
    return Contraction(
        dict(n=batch, k=inputs, o=outputs),
        Access({"n": inputs, "k": 1}),
        Access({"n": outputs, "o": 1}),
        Access({"o": inputs, "k": 1}),
    )


def dense_weight(batch: int, inputs: int, outputs: int, target: cpu.Target) -> Contraction:
    """dW[o,k] = sum(n) dY[n,o] X[n,k]."""
    return Contraction(
        dict(o=outputs, k=inputs, n=batch),
        Access({"o": inputs, "k": 1}),
        Access({"n": outputs, "o": 1}),
        Access({"n": inputs, "k": 1}),
    )


def _image(height: int, width: int, channels: int, order: str) -> dict[str, int]:
    """Strides of [first][height][width][channels] for three index names."""
    first, row, column = order.split()
    return {first: height * width * channels, row: width * channels, column: channels}


WIDE = [
    Conv(4, 56, 56, 256, 256, 3),
    Conv(4, 28, 28, 512, 512, 3),
    Conv(4, 14, 14, 512, 512, 3),
    Conv(4, 112, 112, 128, 128, 3),
    Conv(8, 28, 28, 512, 128, 1),
    Conv(8, 14, 14, 1024, 256, 1),
    Conv(4, 112, 112, 3, 64, 7, stride=2),
    Conv(4, 7, 7, 512, 512, 3),
    Conv(4, 13, 13, 192, 100, 3),
]
NARROW = [
    Conv(32, 24, 24, 1, 4, 5),
    Conv(32, 8, 8, 4, 6, 5),
    Conv(64, 28, 28, 1, 6, 5),
    Conv(64, 10, 10, 6, 16, 5),
    Conv(50, 10, 10, 6, 16, 5),
]
DENSE = [(batch, *layer) for layer in ((400, 120), (120, 84), (96, 50)) for batch in (1, 32, 64)]


def cases(target: cpu.Target) -> Iterator[tuple[str, str, Contraction]]:
    """(name, direction, contraction)."""
    for conv in WIDE:
        yield f"wide {conv}", "forward", wide_forward(conv, target)
        if conv.stride == 1:
            yield f"wide {conv}", "input", wide_input(conv, target)
        yield f"wide {conv}", "weight", wide_weight(conv, target)
    for conv in NARROW:
        yield f"batch {conv}", "forward", batch_forward(conv, target)
        yield f"batch {conv}", "input", batch_input(conv, target)
        yield f"batch {conv}", "weight", batch_weight(conv, target)
    for batch, inputs, outputs in DENSE:
        name = f"dense {batch}x{inputs}->{outputs}"
        yield name, "forward", dense_forward(batch, inputs, outputs, target)
        yield name, "unpacked", dense_unpacked(batch, inputs, outputs, target)
        yield name, "input", dense_input(batch, inputs, outputs, target)
        yield name, "weight", dense_weight(batch, inputs, outputs, target)


def reach(contraction: Contraction, access: Access) -> tuple[int, int]:
    """Lowest and highest element an access touches."""
    moves = [stride * (contraction.extents[index] - 1) for index, stride in access.strides.items()]
    return access.offset + sum(m for m in moves if m < 0), access.offset + sum(m for m in moves if m > 0)


@dataclass(frozen=True)
class Result:
    """One line of the table: shares of the peak, operations per second, times in seconds, bytes of code."""

    share: float
    spread: float
    rate: float
    microseconds: float
    choosing: float
    emitting: float
    compiling: float
    size: int


def measure(contraction: Contraction, target: cpu.Target, peak: cpu.Peak, repeats: int) -> tuple[Result, str]:
    """Compile and time one contraction; also returns its schedule and the estimate as text."""
    clock = time.perf_counter
    start = clock()
    contraction, _ = merge(contraction)
    schedule = choose(contraction, target)
    chosen = clock()
    module = ir.Module()
    emit_contraction(module, "kernel", contraction, schedule, target)
    text = str(module)
    emitted = clock()
    data = codegen.compile_object(text, target)
    compiled = clock()
    code = codegen.Loaded([data], target)
    buffers, pointers = [], []
    random = np.random.default_rng(0)
    for access in contraction.operands.values():
        low, high = reach(contraction, access)
        buffers.append(random.standard_normal(high - low + 33, np.float32))
        address = -(-buffers[-1].ctypes.data // 64) * 64
        pointers.append(address - 4 * low)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2)(code.address("kernel"))
    arguments = (*pointers, 0, tasks(contraction, schedule))
    operations = 2 * contraction.multiply_adds
    calls = max(1, int(2e8 / operations))
    kernel(*arguments)
    shares, rates = [], []
    for _ in range(repeats):
        before = peak.measure()
        begin = time.thread_time()
        for _ in range(calls):
            kernel(*arguments)
        rate = operations * calls / (time.thread_time() - begin)
        rates.append(rate)
        shares.append(rate / max(before, peak.measure()))
    rate = statistics.median(rates)
    result = Result(
        statistics.median(shares),
        max(shares) - min(shares),
        rate,
        operations / rate * 1e6,
        chosen - start,
        emitted - chosen,
        compiled - emitted,
        len(data),
    )
    return result, f"{schedule}\n      {cost.estimate(contraction, schedule, target)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=cpu.names(), help="instruction set (default: the best one)")
    parser.add_argument("--only", default="", help="run the cases whose name contains this text")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--schedules", action="store_true", help="print schedules and estimates")
    options = parser.parse_args()
    target = cpu.target(options.target)
    peak = cpu.Peak(target)
    print(f"{target}; peak of one core {peak.measure(9) / 1e9:.0f} GFLOP/s")
    print(
        f"{'case':36} {'direction':9} {'% peak':>7} {'spread':>7} {'GFLOP/s':>8} {'us':>9} "
        f"{'choose, emit, compile ms':>24}"
    )
    for name, direction, contraction in cases(target):
        if options.only not in f"{name} {direction}":
            continue
        result, text = measure(contraction, target, peak, options.repeats)
        times = ", ".join(f"{1e3 * t:.0f}" for t in (result.choosing, result.emitting, result.compiling))
        print(
            f"{name:36} {direction:9} {100 * result.share:6.1f}% {100 * result.spread:6.1f}% "
            f"{result.rate / 1e9:8.1f} {result.microseconds:9.1f} {times:>24}",
            flush=True,
        )
        if options.schedules:
            print(f"      {text}")


if __name__ == "__main__":
    main()
