"""The stages of the compiler as text: equations, layout, loops, LLVM, assembly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pellucid.bench.loops import loops_of
from pellucid.engines.native import codegen
from pellucid.engines.native.cpu import Target
from pellucid.engines.native.generate import write
from pellucid.engines.native.lower import Kernel
from pellucid.engines.native.plan import Compiled
from pellucid.engines.native.product import Product
from pellucid.errors import UsageError
from pellucid.notation import Equation, Program
from pellucid.notation.expression import bound_indices


def equations(program: Program) -> str:
    """A program: every equation below the tensor it defines, with how far the indices run."""
    lines = ["given", *(f"  {t.symbol} {_shape(t.extents)} {t.name}" for t in program.given)]
    for equation in program:
        tensor = equation.tensor
        lines += ["", f"{tensor.name} {_shape(tensor.extents)}", f"  {equation}", f"  {ranges(equation)}"]
    if program.updates:
        lines += ["", "after the step"]
        lines += [f"  {old.name} takes the value of {new.name}" for old, new in program.updates]
    return "\n".join(line.rstrip() for line in lines)


def ranges(equation: Equation) -> str:
    """How far the indices of an equation run."""
    found = dict.fromkeys((*equation.indices, *bound_indices(equation.value)))
    return ", ".join(f"{i.name} < {i.size}" for i in found)


def layout(compiled: Compiled) -> str:
    """The layout that was chosen and why, and the program written in it."""
    return f"layout {compiled.why}\n\n{equations(compiled.program)}"


def loops(compiled: Compiled, chosen: int | None = None) -> str:
    """The kernels in order: their equations, their schedule and the loops that follow from it."""
    parts = [f"target {compiled.target}"]
    parts += [loops_of(compiled.kernels[k], compiled.target, heading(compiled, k)) for k in numbers(compiled, chosen)]
    return "\n\n".join(parts)


def heading(compiled: Compiled, number: int) -> str:
    """A kernel's line: its number, what it computes, the group it runs in."""
    kernel = compiled.kernels[number]
    kind = "sum of products" if isinstance(kernel, Product) else "loop nest"
    read = [t.name for t in dict.fromkeys(kernel.operands) if t not in kernel.stored]
    source = f" from {', '.join(read)}" if read else ""
    return f"kernel {number} (group {compiled.groups[number]}, {kind}): {name_of(kernel)}{source}"


def llvm(compiled: Compiled, chosen: int | None = None) -> str:
    """The kernels' LLVM IR after the passes."""
    return "\n\n".join(_code(compiled, k, ";", codegen.optimized) for k in numbers(compiled, chosen))


def assembly(compiled: Compiled, chosen: int | None = None) -> str:
    """The kernels' assembly; also for a target that this machine cannot run."""
    return "\n\n".join(_code(compiled, k, "#", codegen.assembly) for k in numbers(compiled, chosen))


def _code(compiled: Compiled, number: int, comment: str, stage: Callable[[str, Target], str]) -> str:
    kernel, target = compiled.kernels[number], compiled.target
    text, _, _ = write(kernel, f"kernel{number}", target)
    remarks = [heading(compiled, number), *(str(e) for e in kernel.equations), f"target {target}"]
    return "\n".join([*(f"{comment} {line}" for line in remarks), stage(text, target).strip()])


def numbers(compiled: Compiled, chosen: int | None) -> Sequence[int]:
    """All kernels' numbers, or the one asked for; UsageError if there is no such kernel."""
    count = len(compiled.kernels)
    if chosen is None:
        return range(count)
    if not 0 <= chosen < count:
        raise UsageError(f"there is no kernel {chosen}: this program has the kernels 0 to {count - 1}")
    return [chosen]


def name_of(kernel: Kernel) -> str:
    """What a kernel computes, by the names of the tensors it stores."""
    return ", ".join(t.name for t in kernel.stored)


def _shape(extents: tuple[int, ...]) -> str:
    return "x".join(map(str, extents)) or "()"
