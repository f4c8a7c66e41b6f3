"""`pellucid compile`: what the native engine makes of a model, stage by stage."""

from typing import Any

import click

from pellucid.cli.arguments import model_option, model_options
from pellucid.cli.output import json_option, json_result, result, table
from pellucid.errors import UsageError

STAGES = ("equations", "layout", "loops", "llvm", "asm", "report")
LAYOUTS = ("images", "batch", "channels")


class Shape(click.ParamType["tuple[int, ...]"]):
    """The shape of one input without the batch: 1,28,28 or 1x28x28 for an image, 400 for a vector."""

    name = "C,H,W"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read the numbers."""
        if isinstance(value, tuple):
            return value
        parts = str(value).replace("x", ",").replace(" ", "").split(",")
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is not a shape such as 1,28,28.", param, ctx)
        return tuple(map(int, parts))


@click.command()
@click.argument("model", metavar="MODEL_OR_LAYER")
@click.option("--show", type=click.Choice(STAGES), default="loops", show_default=True, help="Stage to print.")
@click.option("--kernel", type=click.IntRange(min=0), metavar="K", help="Only the kernel of this number.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="Images per step.")
@click.option("--input-shape", type=Shape(), help="Shape of one input, such as 1,28,28.")
@click.option("--training/--inference", help="The training step (of a layer: its gradients too), or the output only.")
@click.option("--layout", "layout_name", type=click.Choice(LAYOUTS), help="Layout in place of the best by estimate.")
@click.option("--target", "target_name", metavar="NAME", help="Instruction set: avx512, avx2, sse or aarch64.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the step.")
@model_option
@json_option
def command(
    model: str,
    show: str,
    kernel: int | None,
    batch_size: int,
    input_shape: tuple[int, ...] | None,
    training: bool,
    layout_name: str | None,
    target_name: str | None,
    threads: int | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print what the native engine makes of a model, a trained run's model, or a single layer.

    The stages, in order: its equations; the same in the memory layout chosen for it; the loops of
    each kernel; their LLVM code; their assembly. The report runs each kernel by itself and compares
    it with the machine's peak. Everything but the report works for targets of other machines, too.

    \b
    pellucid compile lenet5 --batch-size 64 --training --show report
    pellucid compile conv2d --option in_channels=64 --option out_channels=64 --option kernel_size=3 \\
        --input-shape 64,56,56 --show asm --kernel 2
    """
    from pellucid.bench import programs, stages
    from pellucid.engines.native import cpu
    from pellucid.engines.native.plan import prepare

    network, shape = find(model, model_options(options), input_shape)
    program = (programs.training if training else programs.inference)(network, (batch_size, *shape))
    compiled = prepare(program, cpu.target(target_name), threads, layout_name)
    if show == "report":
        print_report(compiled, kernel, as_json)
        return
    texts = {
        "equations": lambda: stages.equations(program),
        "layout": lambda: stages.layout(compiled),
        "loops": lambda: stages.loops(compiled, kernel),
        "llvm": lambda: stages.llvm(compiled, kernel),
        "asm": lambda: stages.assembly(compiled, kernel),
    }
    text = texts[show]()
    json_result({"stage": show, "text": text}) if as_json else result(text)


def find(name: str, options: dict[str, Any], shape: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...]]:
    """A model, a stored run's model or a layer by its name, and the shape of one input."""
    from pellucid import layers, models

    if name in layers.by_name() and name not in models.names():
        network = construct(layers.by_name()[name], options)
    else:
        from pellucid.cli.runs import model_or_run

        network, run = model_or_run(name, options)
        shape = shape or (tuple(run.data["image_shape"]) if run else network.input_shape)
    if shape is None:
        raise UsageError(f"{name} takes inputs of many shapes; say which with --input-shape, such as 3,32,32.")
    return network, shape


def construct(kind: type[Any], options: dict[str, Any]) -> Any:
    """A layer from options; UsageError for options it does not take or lacks."""
    import inspect

    try:
        inspect.signature(kind).bind(**options)
    except TypeError as error:
        taken = ", ".join(inspect.signature(kind).parameters) or "none"
        raise UsageError(
            f"{kind.__name__}: {error}. Its arguments are {taken}; write --option NAME=VALUE for each."
        ) from None
    return kind(**options)


def print_report(compiled: Any, kernel: int | None, as_json: bool) -> None:
    """Time the kernels and print the table, or only one kernel's row."""
    from dataclasses import replace

    from pellucid.bench.kernels import report
    from pellucid.bench.stages import numbers

    chosen = numbers(compiled, kernel)
    measured = report(compiled)
    measured = replace(measured, rows=tuple(row for row in measured.rows if row.number in chosen))
    if as_json:
        json_result(measured.to_json())
        return
    head, rows = measured.table()
    result(f"{measured.heading()}\n\n{table(rows, head)}")
