"""What is printed of the compiler's stages agrees with the code that comes out."""

import re

import pytest

from pellucid.bench import kernels, programs, stages
from pellucid.engines.native import cpu
from pellucid.engines.native.plan import Compiled, prepare
from pellucid.engines.native.product import Product
from pellucid.errors import UsageError
from pellucid.layers import Conv2d
from pellucid.models import create


def conv(layout: str, target: str | None = None) -> Compiled:
    """A convolution whose sizes leave remainders nowhere: one register tile."""
    layer = Conv2d(16, 32, 3, padding=1, bias=False)
    program = programs.inference(layer, (16, 16, 14, 14))
    return prepare(program, cpu.target(target), 1, layout)


def product_of(compiled: Compiled) -> int:
    return next(k for k, kernel in enumerate(compiled.kernels) if isinstance(kernel, Product))


def test_equations_with_shapes_and_ranges() -> None:
    text = stages.equations(programs.inference(Conv2d(2, 3, 3, bias=False), (4, 2, 8, 8)))
    assert "Y[n,o,i,j] = sum(c,u,v) X[n,c,i+u,j+v] * W[o,c,u,v]" in text
    assert "  n < 4, o < 3, i < 6, j < 6, c < 2, u < 3, v < 3" in text
    assert text.startswith("given\n  X 4x2x8x8 input\n  W 3x2x3x3 weight")


def test_a_training_program_shows_its_updates() -> None:
    model = create("notes-cnn")
    text = stages.equations(programs.training(model, (2, 1, 28, 28)))
    assert "conv1.weight takes the value of updated conv1.weight" in text
    assert "dW[o,c,u,v] = " in text


def test_a_layer_alone_is_trained_by_its_gradients() -> None:
    text = stages.equations(programs.training(Conv2d(2, 3, 3), (4, 2, 8, 8)))
    assert "dX[n,c,x,y] = " in text
    assert "dW[o,c,u,v] = " in text
    assert "db[o] = sum(n,i,j) dY[n,o,i,j]" in text


@pytest.mark.parametrize("layout", ["images", "batch", "channels"])
def test_layouts(layout: str) -> None:
    compiled = conv(layout)
    assert stages.layout(compiled).startswith(f"layout {layout}")
    lanes = {"images": "Y[n,o,i,j] = ", "batch": "Y[B,o,i,j,n] = ", "channels": "X[n,i,j,c] = "}
    assert lanes[layout] in stages.layout(compiled)


@pytest.mark.parametrize("layout", ["images", "batch", "channels"])
def test_the_loops_tell_how_many_multiply_adds_the_code_has(layout: str) -> None:
    """Each register tile, full or left over, multiplies and adds once for each of its registers."""
    compiled = conv(layout, "avx512")
    number = product_of(compiled)
    told = int(re.findall(r"(\d+) multiply-adds?:", stages.loops(compiled, number))[0])
    code = stages.assembly(compiled, number)
    bodies = re.split(r"^\.LBB\w+:", code, flags=re.MULTILINE)
    assert told in [len(re.findall(r"\bvfmadd\w+ps\b", body)) for body in bodies]


@pytest.mark.parametrize(
    ("target", "instruction"),
    [("avx512", r"vfmadd\w+ps.*zmm"), ("avx2", r"vfmadd\w+ps.*ymm"), ("sse", r"mulps.*xmm"), ("aarch64", r"fmla.*4s")],
)
def test_assembly_of_every_target(target: str, instruction: str) -> None:
    compiled = conv("batch", target)
    text = stages.assembly(compiled, product_of(compiled))
    assert re.search(instruction, text)
    assert text.startswith(f"# kernel {product_of(compiled)} (group ")
    assert f"# target {target}: " in text


def test_llvm_is_shown_after_the_passes() -> None:
    compiled = conv("batch", "avx512")
    text = stages.llvm(compiled, product_of(compiled))
    assert "call <16 x float> @llvm.fma.v16f32" in text
    assert "alloca" not in text


def test_all_kernels_or_one() -> None:
    compiled = conv("channels")
    count = len(compiled.kernels)
    assert re.findall(r"^kernel (\d+)", stages.loops(compiled), re.MULTILINE) == [str(k) for k in range(count)]
    assert re.findall(r"^kernel (\d+)", stages.loops(compiled, 1), re.MULTILINE) == ["1"]
    with pytest.raises(UsageError, match=f"there is no kernel 99: this program has the kernels 0 to {count - 1}"):
        stages.loops(compiled, 99)


def test_loops_show_tasks_lanes_and_joined_indices() -> None:
    text = stages.loops(conv("batch", "avx512"))
    assert "n < 224 also runs over j:14: one loop in memory" in text
    assert re.search(r"for B < 1   \(tasks\)", text)
    pooling = prepare(programs.inference(create("notes-cnn"), (16, 1, 28, 28)), cpu.target("avx512"), 1, "batch")
    assert "for n < 16 by 16   (16 lanes at a time)" in stages.loops(pooling)


def test_copies_that_turn_are_told_apart() -> None:
    compiled = conv("channels", "avx512")
    (number,) = (k for k, kernel in enumerate(compiled.kernels) if kernel.stored[0].name == "input by channels")
    text = stages.loops(compiled, number)
    assert "X[n,i,j,c] = X[n,c,i,j]" in text
    assert "turn the 16x16 block in registers" in text
    code = stages.assembly(compiled, number)
    assert len(re.findall(r"\bv(?:perm\w+|unpck\w+|shuf\w+|insertf\w+|blend\w+|movddup)\b", code)) >= 16


def test_the_report_counts_operations_and_bytes() -> None:
    compiled = conv("images")
    measured = kernels.report(compiled, repeats=2)
    assert len(measured.rows) == len(compiled.kernels)
    row = measured.rows[product_of(compiled)]
    # All products that are not with the margin: 14 rows with 3 kernel rows each, less one at either edge; columns alike
    # where the schedule leaves them out, too.
    rows, columns = 14 * 3 - 2, (14 * 3 - 2, 14 * 3)
    assert row.flops in [2 * 16 * 32 * 16 * rows * width for width in columns] + [2 * 16 * 32 * 14 * 14 * 16 * 9]
    # The output, the weights, and the input with a margin of one on every side.
    assert row.bytes == 4 * (16 * 32 * 14 * 14 + 32 * 16 * 9 + 16 * 16 * 16 * 16)
    assert row.equations == ("Y[n,o,i,j] = sum(c,u,v) X[n,c,i+u-1,j+v-1] * W[o,c,u,v]",)
    assert all(r.seconds > 0 for r in measured.rows)
    head, rows = measured.table()
    assert {len(cells) for cells in rows} == {len(head)}
    assert measured.to_json()["rows"][0]["share_of_peak"] >= 0


def test_the_report_needs_this_machine() -> None:
    foreign = "aarch64" if cpu.machine() == "x86_64" else "avx512"
    with pytest.raises(UsageError, match=f"cannot run code for {foreign}"):
        kernels.report(conv("images", foreign))
