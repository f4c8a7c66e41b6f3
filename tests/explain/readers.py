"""Reading LaTeX, MathML, speech and JSON back, each by a small reader of its own, written from what is on the page."""

import re
from itertools import chain
from typing import Any
from xml.etree import ElementTree

from tests.explain.tokens import FUNCTIONS, RELATIONS, evaluate

LATEX = re.compile(
    r"\\frac|\\sqrt|\\left|\\right|\\cdot|\\times|\\operatorname\{(\w+)\}|\\mathrm\{[^}]*\}|\\[a-zA-Z]+|"
    r"\d+\.?\d*|[{}()\[\],+\-^=<>/_]|[a-zA-Z]+"
)
COMMANDS = {r"\cdot": "*", r"\times": "*", r"\sigma": "sigmoid", r"\infty": "inf", r"\mathrm{nan}": "nan"}
COMMANDS |= {r"\neq": "!=", r"\leq": "<=", r"\geq": ">=", "{": "(", "}": ")"}


def latex(source: str) -> list[str]:
    """Tokens of a formula. A fraction's two groups become a quotient, other groups parentheses."""
    tokens: list[str] = []
    fractions: list[tuple[int, int]] = []  # depth at which a fraction stands, groups still to come
    depth = 0
    for match in LATEX.finditer(source):
        word = match[0]
        if word == r"\frac":
            tokens.append("(")
            fractions.append((depth, 2))
            continue
        if word in (r"\left", r"\right"):
            continue
        if word == "{":
            depth += 1
        tokens.append(match[1] or COMMANDS.get(word, word.removeprefix("\\") if word[1:] in FUNCTIONS else word))
        if word == "}":
            depth -= 1
            if fractions and fractions[-1][0] == depth:
                _, left = fractions.pop()
                if left == 2:
                    tokens.append("/")
                    fractions.append((depth, 1))
                else:
                    tokens.append(")")
    return tokens


SIGNS = {"−": "-", "⋅": "*", "×": "*", "≤": "<=", "≥": ">=", "≠": "!="}
LETTERS = {"σ": "sigmoid", "∞": "inf"}


def mathml(element: ElementTree.Element) -> list[str]:
    """Tokens of a MathML element."""
    kind = element.tag.rpartition("}")[2]
    children = [mathml(child) for child in element]
    text = (element.text or "").strip()
    if kind == "mo":
        return [SIGNS.get(text, text)]
    if kind in ("mn", "mi"):
        return [LETTERS.get(text, text)]
    if kind == "mfrac":
        return ["(", "(", *children[0], ")", "/", "(", *children[1], ")", ")"]
    if kind == "msup":
        return ["(", *children[0], ")", "^", "(", *children[1], ")"]
    if kind == "msqrt":
        return ["sqrt", "(", *chain.from_iterable(children), ")"]
    if kind in ("msub", "munder"):
        return ["name"]
    return list(chain.from_iterable(children))


SPOKEN = {
    "en": {
        "plus": "+", "minus": "-", "times": "*", "over": "/", "to the power": "^", "times ten to the": "e",
        "open parenthesis": "(", "close parenthesis": ")", "of": "", "comma": ",", "is equal to": "=",
        "is not equal to": "!=", "is less than": "<", "is at most": "<=", "is greater than": ">", "is at least": ">=",
        "one if": "[", "otherwise zero": "]", "infinity": "inf",
    },
    "tr": {
        "artı": "+", "eksi": "-", "çarpı": "*", "bölü": "/", "üssü": "^", "çarpı on üzeri": "e",
        "parantez aç": "(", "parantez kapa": ")", "fonksiyonu": "", "virgül": ",", "eşittir": "=",
        "eşit değildir": "!=", "küçüktür": "<", "en çok": "<=", "büyüktür": ">", "en az": ">=",
        "koşul doğruysa bir": "[", "değilse sıfır": "]", "sonsuz": "inf",
    },
    "fa": {
        "به‌علاوهٔ": "+", "منهای": "-", "ضرب‌در": "*", "تقسیم‌بر": "/", "به توان": "^", "ضرب‌در ده به توان": "e",
        "پرانتز باز": "(", "پرانتز بسته": ")", "تابعِ": "", "ویرگول": ",", "برابر است با": "=",
        "برابر نیست با": "!=", "کوچک‌تر است از": "<", "حداکثر": "<=", "بزرگ‌تر است از": ">", "حداقل": ">=",
        "یک اگر": "[", "وگرنه صفر": "]", "بی‌نهایت": "inf",
    },
    "ko": {
        "더하기": "+", "빼기": "-", "곱하기": "*", "나누기": "/", "거듭제곱": "^", "곱하기 십의 거듭제곱": "e",
        "괄호 열고": "(", "괄호 닫고": ")", "함수": "", "쉼표": ",", "같다": "=",
        "같지 않다": "!=", "보다 작다": "<", "이하이다": "<=", "보다 크다": ">", "이상이다": ">=",
        "참이면 일": "[", "아니면 영": "]", "무한대": "inf",
    },
}  # fmt: skip


def speech(sentence: str, code: str) -> list[str]:
    """Tokens of what is said, the longest known phrase first."""
    phrases = SPOKEN[code]
    pattern = "|".join(map(re.escape, sorted(phrases, key=len, reverse=True)))
    words = re.findall(rf"(?<!\S)(?:{pattern})(?!\S)|\S+", sentence)
    tokens = [phrases.get(word, word) for word in words]
    found: list[str] = []
    while tokens:
        token = tokens.pop(0)
        if token == "e":
            sign = "-" if tokens[0] == "-" and tokens.pop(0) else ""
            found[-1] += f"e{sign}{tokens.pop(0)}"
        elif token:
            found.append(token)
    return found


OPERATIONS = {"add": " + ", "mul": " * ", "div": " / ", "pow": " ^ "}


def tree(node: dict[str, Any]) -> float:
    """The value of an expression in JSON."""
    if "number" in node:
        numerator, _, denominator = node["number"].partition("/")
        return float(numerator) / float(denominator or 1)
    if "position" in node:
        return float(node["position"])
    if "element" in node:
        raise AssertionError(f"{node} is no number")
    operation = node["operation"]
    values = [f"({v!r})" for v in map(tree, node["of"])]
    if operation == "mul" and any(c.get("operation") == "bracket" and tree(c) == 0 for c in node["of"]):
        return 0.0
    if operation in OPERATIONS:
        return evaluate(re.findall(r"[\d.]+(?:e[+-]?\d+)?|inf|nan|[-+*/^()]", OPERATIONS[operation].join(values)))
    if operation == "bracket":
        relation = {"==": "="}.get(node["relation"], node["relation"])
        left, right = map(tree, node["of"])
        return float(RELATIONS[relation](left, right))
    name = {"maximum": "max", "minimum": "min"}.get(node["function"], node["function"])
    return FUNCTIONS[name](*map(tree, node["of"]))
