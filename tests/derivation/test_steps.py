"""Steps of a derivation: each is true, they end in what `derive` prints, every rule has a name in every language."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import pellucid as pc
from pellucid.derivation import derivable_names, derive, derive_by_name, derive_path
from pellucid.derivation.steps import SOLVED, json_of, latex_of, sections, text_of
from pellucid.languages import CODES, Prose
from pellucid.layers.base import Layer
from pellucid.notation import Equation, Program, Tensor
from pellucid.notation.expression import Access
from pellucid.notation.steps import Rule, Step

ENGLISH = Prose("en", "derive")
CHAINS = [
    pc.layers.Conv2d(2, 2, 3), pc.layers.AvgPool2d(2), pc.layers.Softmax(), pc.layers.GELU(), pc.layers.SiLU(),
    pc.layers.BatchNorm2d(3), pc.layers.LocalResponseNorm(3), pc.layers.Linear(3, 2), pc.layers.LogSoftmax(),
]  # fmt: skip


@pytest.mark.parametrize("name", derivable_names())
def test_the_last_step_is_the_equation_that_is_printed(name: str) -> None:
    derivation = derive_by_name(name)
    last = {}
    for section in sections(derivation, ENGLISH):
        for line in section.lines:
            left, _, right = line.equation.partition(" = ")
            last[left] = right
    own = {f"d{tensor.symbol}" for tensor in derivation.record.gradients}
    printed = [str(e).split(" = ", 1) for e in derivation.gradients]
    for left, right in printed:
        if left.partition("[")[0] in own or left in last:
            assert last[left] == right
    assert {section.gradient for section in sections(derivation, ENGLISH)} >= own & {
        left[0].partition("[")[0] for left in printed
    }


def value(gradient: Tensor, step: Step, given: dict[str, np.ndarray]) -> np.ndarray:
    """The gradient's numbers as that step has them; its other equations as they are in the end."""
    assert isinstance(step.left, Access)
    tensor = Tensor("G", gradient.extents, name="by this step")
    others = [Equation(tensor, e.at, e.value) for e in gradient.definition if e.at != step.left.at]
    tensor.definition = [Equation(tensor, step.left.at, step.value), *others]
    program = Program.of([tensor])
    arrays = {t.name: given[t.name] for t in program.given if t.role != "constant"}
    return np.asarray(pc.engines.get("numpy").compile(program, dtype="float64").run(arrays)[tensor.name])


@pytest.mark.parametrize("layer", CHAINS, ids=lambda layer: type(layer).__name__)
def test_every_whole_step_gives_the_same_numbers(layer: Layer) -> None:
    images = isinstance(
        layer, pc.layers.Conv2d | pc.layers.AvgPool2d | pc.layers.BatchNorm2d | pc.layers.LocalResponseNorm
    )
    channels = 2 if isinstance(layer, pc.layers.Conv2d) else 3
    derivation = derive(layer, (channels, 6, 6) if images else (3,))
    random, compared = np.random.default_rng(0), 0
    tensors = Program.of([e.tensor for e in (*derivation.forward, *derivation.gradients)]).given
    given = {t.name: random.uniform(0.5, 1.5, t.extents) for t in tensors if t.role != "constant"}
    for tensor, gradient in derivation.record.gradients.items():
        steps = derivation.record.steps[tensor]
        several = any(step.rule in ("several", "several_named") for step in steps)
        whole = [
            s for s in steps if s.rule in ("simplified", "recognised", "several", "several_named", "written", "split")
        ]
        whole += [] if several else [s for s in steps if s.rule in SOLVED]
        final = {e.at: Step("simplified", Access(tensor, e.at), e.value) for e in gradient.definition}
        for step in whole:
            assert isinstance(step.left, Access)
            np.testing.assert_allclose(
                value(gradient, step, given), value(gradient, final[step.left.at], given), rtol=1e-10, atol=1e-12
            )
            compared += 1
    assert compared >= 1


def test_the_rules_of_a_convolution_with_a_stride() -> None:
    conv = pc.layers.Conv2d(1, 1, 3, stride=2, padding=1)
    by_name = {s.gradient: [line.rule for line in s.lines] for s in sections(derive(conv, (1, 7, 7)), ENGLISH)}
    assert by_name["dX"] == ["terms", "sum", "product", *["phase"] * 4]
    assert by_name["dW"] == ["terms", "sum", "product", "collected"]
    assert by_name["db"] == ["terms", "collected"]


def test_shared_subexpressions_are_recognised() -> None:
    found = sections(derive_by_name("softmax+cross_entropy"), ENGLISH)
    assert [s.gradient for s in found] == ["dL", "dP", "Q", "dS", "dE", "dZ"]
    assert found[-1].lines[-1].equation == "dZ[n,k] = (P[n,k] - [k == y[n]]) / 2"
    assert found[-1].lines[-1].says == "Write dE in, recognise what already has a name, P, and simplify."


@pytest.mark.parametrize("ties", ["first", "all"])
def test_a_maximum_says_where_its_gradient_goes(ties: str) -> None:
    (section,) = sections(derive(pc.layers.MaxPool2d(2, ties=ties), (1, 4, 4)), ENGLISH)
    assert section.lines[0].rule == f"maximum_{ties}"


@pytest.mark.parametrize("code", CODES)
def test_every_rule_is_said_in_every_language(code: str) -> None:
    prose = Prose(code, "derive")
    for rule in get_args(Rule):
        assert prose.knows(f"rule.{rule}"), rule
    assert "{" not in text_of(derive(pc.layers.Linear(2, 2, bias=False), (2,)), prose)


def test_along_a_path_every_link_has_its_equation() -> None:
    derivation = derive_path(pc.models.create("lenet5"), "fc2..loss", "lenet5")
    found = sections(derivation, ENGLISH)
    assert [section.name for section in found] == [
        "loss", "loss.S", "loss.E", "fc3", "act4", "fc2", "fc2.weight", "fc2.bias",
    ]  # fmt: skip
    last = {section.gradient: section.lines[-1].equation for section in found}
    for equation in derivation.gradients:
        assert str(equation) in last.values()
    assert last["d fc2"] == "d fc2[n,k] = d act4[n,k] * (1 - act4[n,k]^2)"


def test_a_path_between_layers_and_from_the_input() -> None:
    derivation = derive_path(pc.models.create("lenet5"), "input..pool1")
    assert [str(e).partition("[")[0] for e in derivation.gradients] == ["d act1", "d conv1", "d input"]
    branches = derive_path(pc.models.create("resnet18"), "layer1.0.relu_last..layer1.1.relu_last")
    found = {s.name: [line.rule for line in s.lines] for s in sections(branches, ENGLISH)}
    assert "several" in found["layer1.0.relu_last"]  # read by the next block and by its shortcut


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("conv1", "START..END"),
        ("conv9..loss", "no layer 'conv9'"),
        ("conv1..conv9", "no layer 'conv9'"),
        ("conv2..conv1", "conv1 does not depend on conv2"),
        ("conv1..conv1", "does not depend"),
    ],
)
def test_paths_that_do_not_exist(path: str, complaint: str) -> None:
    with pytest.raises(pc.errors.UsageError, match=complaint):
        derive_path(pc.models.create("lenet5"), path)


def test_a_model_without_a_shape() -> None:
    with pytest.raises(pc.errors.UsageError, match="shapes are unknown"):
        derive_path(pc.Sequential([pc.layers.ReLU()]), "input..loss")


def test_plain_data_and_latex_say_the_same_steps() -> None:
    derivation = derive(pc.layers.Linear(2, 2), (2,))
    data = json_of(derivation, ENGLISH)
    typeset = latex_of(derivation, ENGLISH)
    for section in data:
        for step in section["steps"]:
            assert step["latex"] in typeset and step["equation"] in text_of(derivation, ENGLISH)
    assert typeset.count(r"\begin{align*}") == len(data)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian's texlive-latex-base)")
def test_latex_compiles(tmp_path: Path) -> None:
    body = latex_of(derive_path(pc.models.create("lenet5"), "conv2..loss"), ENGLISH)
    head = "\\documentclass{article}\\usepackage{amsmath}\\allowdisplaybreaks\\begin{document}\n"
    (tmp_path / "steps.tex").write_text(f"{head}{body}\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "steps.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
