"""How expressions look in plain text and in LaTeX."""

from __future__ import annotations

from typing import ClassVar

from pellucid.explain.render.writing import POWER, Style
from pellucid.notation import Affine
from pellucid.notation.functions import FUNCTIONS


class Plain(Style):
    """`2.14 * (-0.131) + sum(c,u,v) X[c,u,v]`."""

    def number(self, written: str) -> str:
        return written

    def element(self, name: str, at: tuple[Affine, ...], *, symbol: bool = False) -> str:
        return f"{name}[{','.join(map(str, at))}]" if at else name

    def affine(self, affine: Affine) -> str:
        return str(affine)

    def group(self, inside: str) -> str:
        return f"({inside})"

    def negative(self, inside: str) -> str:
        return f"-{inside}"

    def added(self, first: str, rest: list[tuple[bool, str]]) -> str:
        return first + "".join(f" {'-' if minus else '+'} {term}" for minus, term in rest)

    def product(self, factors: list[str]) -> str:
        return " * ".join(factors)

    def quotient(self, numerator: str, denominator: str) -> str:
        return f"{numerator} / {denominator}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{exponent}"

    def call(self, function: str, arguments: list[str]) -> str:
        return f"{function}({', '.join(arguments)})"

    def bracket(self, left: str, relation: str, right: str) -> str:
        return f"[{left} {relation} {right}]"

    def reduction(self, kind: str, names: list[str], body: str) -> str:
        return f"{kind}({','.join(names)}) {body}"


class Latex(Style):
    r"""`\frac{\partial L}{\partial \mathrm{conv1}_{0,2,14,14}} \cdot 2.14`, for mathematics mode."""

    quotient_level = POWER
    bars_group = True
    relations: ClassVar = {"==": "=", "!=": r"\neq", "<=": r"\leq", ">=": r"\geq", "<": "<", ">": ">"}
    reductions: ClassVar = {"sum": r"\sum", "max": r"\max", "argmax": r"\operatorname*{arg\,max}"}

    def number(self, written: str) -> str:
        if "/" in written:
            numerator, denominator = written.split("/")
            return rf"\frac{{{numerator}}}{{{denominator}}}"
        named = {"inf": r"\infty", "nan": r"\mathrm{nan}"}
        digits, _, exponent = written.partition("e")
        return rf"{{{digits} \times 10^{{{int(exponent)}}}}}" if exponent else named.get(digits, digits)

    def element(self, name: str, at: tuple[Affine, ...], *, symbol: bool = False) -> str:
        below = f"_{{{','.join(map(self.affine, at))}}}" if at else ""
        prefix = "d" if symbol else "d "
        if name.startswith(prefix) and len(name) > len(prefix):
            return rf"\frac{{\partial L}}{{\partial {self._name(name.removeprefix(prefix))}{below}}}"
        return f"{self._name(name)}{below}"

    def _name(self, name: str) -> str:
        prime = "'" * name.count("'")
        plain = name.replace("'", "").replace("_", r"\_").replace(" ", r"\ ")
        return (plain if len(plain) == 1 else rf"\mathrm{{{plain}}}") + prime

    def affine(self, affine: Affine) -> str:
        return str(affine).replace("*", "")

    def group(self, inside: str) -> str:
        return rf"\left({inside}\right)"

    def negative(self, inside: str) -> str:
        return f"-{inside}"

    def added(self, first: str, rest: list[tuple[bool, str]]) -> str:
        return first + "".join(f" {'-' if minus else '+'} {term}" for minus, term in rest)

    def product(self, factors: list[str]) -> str:
        return r" \cdot ".join(factors)

    def quotient(self, numerator: str, denominator: str) -> str:
        return rf"\frac{{{numerator}}}{{{denominator}}}"

    def power(self, base: str, exponent: str) -> str:
        return f"{{{base}}}^{{{exponent}}}"

    def call(self, function: str, arguments: list[str]) -> str:
        if function == "sqrt":
            return rf"\sqrt{{{arguments[0]}}}"
        return rf"{FUNCTIONS[function].latex}\left({', '.join(arguments)}\right)"

    def bracket(self, left: str, relation: str, right: str) -> str:
        return rf"\left[{left} {self.relations[relation]} {right}\right]"

    def reduction(self, kind: str, names: list[str], body: str) -> str:
        return rf"{self.reductions[kind]}_{{{','.join(names)}}} {body}"


PLAIN, LATEX = Plain(), Latex()
