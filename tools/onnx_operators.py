"""The operators of ONNX that Pellucid reads, judged by ONNX's own cases: write the lists of docs/onnx.md.

    python tools/onnx_operators.py            # run every case on both engines, write the lists
    python tools/onnx_operators.py --check    # run nothing; exit with 1 unless the lists are as they would be written

A case is one node with inputs and outputs. All cases of a claimed operator run, but for those that `reason_to_skip`
gives a reason for; the reasons and names are part of the page. Cases of a function's expansion into other operators
(`..._expanded`) belong to the function, and are not counted for what it expands into.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from pellucid.formats.onnx.folding import FOLDED
from pellucid.formats.onnx.importing import graph_of
from pellucid.formats.onnx.operators import RULES

Array = np.ndarray[Any, Any]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx.md"
BEGIN, END = "<!-- written by tools/onnx_operators.py -->", "<!-- end -->"
ENGINES = ("numpy", "native")
CLAIMED = sorted({**RULES, **FOLDED})
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
WHOLE = {TensorProto.INT32, TensorProto.INT64}
MOVES = {"Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Tile", "Transpose", "Unsqueeze"}
"""Operators that compute nothing, so that whole numbers pass through them exactly; Gather's places are such numbers."""


@cache
def cases() -> dict[str, list[Any]]:
    """ONNX's cases of one node, by operator."""
    from onnx.backend.test.loader import load_model_tests

    found = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package computes some expected values at the edge of a type
        for case in load_model_tests(kind="node"):
            if len(case.model.graph.node) == 1 and not case.name.endswith("_expanded"):
                found[case.model.graph.node[0].op_type].append(case)
    return {operator: sorted(found[operator], key=lambda case: case.name) for operator in found}


def reason_to_skip(case: Any) -> str | None:
    """Why a case is not run; None if it is."""
    (node,) = case.model.graph.node
    known = known_places(node)
    values = {value.name: value.type for value in case.model.graph.input}
    computed = {name: values[name] for place, name in enumerate(node.input) if name and place not in known}
    if any(not kind.HasField("tensor_type") for kind in computed.values()):
        return "its values are sequences or optional values, which are no tensors"
    if node.op_type == "Cast" and _cast_target(node) not in FLOATS:
        return "it casts what is computed to a type that is not of floating point, or to one of 8 bits or fewer"
    for value in computed.values():
        kind = value.tensor_type.elem_type
        moved = kind in WHOLE and (node.op_type in MOVES or (node.op_type == "Pad" and len(node.input) < 3))
        if kind not in FLOATS and not moved:
            return "its values are whole numbers or have 8 bits or fewer; equations are computed in float32 and float64"
    arrays = [array for inputs, outputs in case.data_sets for array in map(as_array, [*inputs, *outputs])]
    if any(array.size == 0 and array.shape != (0,) for array in arrays) or _gives_nothing(case):
        return "a tensor without elements; every index of an equation runs over at least one value"
    if node.op_type == "Dropout" and "training" in case.name and "zero_ratio" not in case.name:
        return "it drops at random while training, and expects the random numbers of ONNX's reference"
    return None


def _cast_target(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), TensorProto.FLOAT)


def _gives_nothing(case: Any) -> bool:
    return any(as_array(output).size == 0 for _, outputs in case.data_sets for output in outputs)


def known_places(node: Any) -> tuple[int, ...]:
    """The operands whose numbers must be known when the model is read: all, for what has no equation."""
    rule = RULES.get(node.op_type)
    return tuple(range(len(node.input))) if rule is None else rule.static


def as_array(value: Any) -> Array:
    """An input or output of a case, which may be a TensorProto."""
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def run(case: Any, engine: str) -> None:
    """Compute a case and compare with what it expects, within its tolerances; AssertionError where it differs.

    float16 and bfloat16 are computed in float32 and rounded; so is float64 on the native engine.
    """
    (node,) = case.model.graph.node
    known = {node.input[place] for place in known_places(node) if place < len(node.input)}
    names = [value.name for value in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        arrays = dict(zip(names, map(as_array, inputs), strict=True))
        graph = graph_of(case.model, constants={name: arrays[name] for name in names if name in known})
        double = engine == "numpy" and any(array.dtype == np.float64 for array in arrays.values())
        found = graph.run(arrays, engine=engine, dtype="float64" if double else "float32")
        for value, expected in zip(case.model.graph.output, map(as_array, outputs), strict=True):
            _compare(found[value.name], expected, case)


def _compare(found: Array, expected: Array, case: Any) -> None:
    whole = expected.dtype.kind in "iub"
    assert found.shape == expected.shape, f"{case.name}: the shape is {found.shape}, not {expected.shape}"
    assert (found.dtype.kind in "iub") == whole, f"{case.name}: the type is {found.dtype}, not {expected.dtype}"
    rounded = found.astype(expected.dtype)
    if expected.dtype.name == "bfloat16":
        rounded, expected = rounded.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(rounded, expected, rtol=case.rtol, atol=case.atol, err_msg=case.name)


def lists() -> str:
    """The part of the page that this program writes."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    every = {operator: cases().get(operator, []) for operator in CLAIMED}
    reasons: dict[str, list[str]] = defaultdict(list)
    for operator in CLAIMED:
        for case in every[operator]:
            reason = reason_to_skip(case)
            if reason is not None:
                reasons[reason].append(case.name)
    total, skipped = sum(map(len, every.values())), sum(map(len, reasons.values()))
    yield f"{len(CLAIMED)} operators; onnx {onnx.__version__} has {total} cases of them."
    yield f"{total - skipped} pass on both engines, {skipped} are skipped."
    yield ""
    yield "| operator | cases | pass | skipped |"
    yield "| --- | --- | --- | --- |"
    for operator in CLAIMED:
        left_out = sum(reason_to_skip(case) is not None for case in every[operator])
        name = operator if operator in RULES else f"{operator} (1)"
        count = len(every[operator])
        yield f"| {name} | {count} | {count - left_out} | {left_out or ''} |".replace("  |", " |")
    yield ""
    yield "(1) Only where its operands are known when the model is read: it is computed then, without an equation."
    yield ""
    yield "Skipped, with the reason:"
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield ""
        yield f"- **{len(names)}: {reason}.** " + ", ".join(f"`{name.removeprefix('test_')}`" for name in sorted(names))


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    written = f"{before}{BEGIN}\n\n{lists()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(written != text)
    for operator in CLAIMED:
        for case in cases().get(operator, []):
            if reason_to_skip(case) is None:
                for engine in ENGINES:
                    run(case, engine)
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
