"""Simplification: what a textbook would do before it prints a derived formula.

Products are collected into monomials (a number times powers of factors), sums into sums of monomials; whatever a
sum does not depend on is taken out of it. Names carry the rest: where the forward pass defines `P = E / S`, the
derived `E / S` is recognised as `P`, and where `S` is the sum of `E`, the sum of `P` is 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from pellucid.notation.equation import Equation
from pellucid.notation.expression import (
    Access,
    Add,
    Bracket,
    Call,
    Const,
    Div,
    Expression,
    Mul,
    Number,
    Position,
    Pow,
    Reduce,
    accesses,
    free_indices,
    substitute,
    transform,
)
from pellucid.notation.index import Affine, Index, box
from pellucid.notation.tensor import Tensor


@dataclass(frozen=True)
class Monomial:
    """`coefficient * product of base ^ exponent`, factors in order of appearance."""

    coefficient: Number
    powers: tuple[tuple[Expression, int], ...] = ()

    def times(self, other: Monomial) -> Monomial:
        return collect(self.coefficient * other.coefficient, (*self.powers, *other.powers))

    @property
    def key(self) -> frozenset[tuple[Expression, int]]:
        return frozenset(self.powers)


def collect(coefficient: Number, powers: Iterable[tuple[Expression, int]]) -> Monomial:
    """Add the exponents of equal bases; a bracket is its own square."""
    total: dict[Expression, int] = {}
    for base, exponent in powers:
        total[base] = total.get(base, 0) + exponent
    broken = [b for b, e in total.items() if e and isinstance(b, Pow) and isinstance(b.exponent, Const)]
    if len(broken) > 1:
        _join_powers(total, broken)
    kept = ((b, min(e, 1) if isinstance(b, Bracket) else e) for b, e in total.items() if e)
    return Monomial(coefficient, tuple(kept))


def _join_powers(total: dict[Expression, int], broken: list[Pow]) -> None:
    """S^a / S^b becomes a whole power of S where a - b is whole."""
    for base in dict.fromkeys(b.base for b in broken):
        same = [b for b in broken if b.base == base]
        exponent = sum(b.exponent.value * total[b] for b in same if isinstance(b.exponent, Const))
        if len(same) > 1 and exponent == int(exponent):
            for power in same:
                del total[power]
            total[base] = total.get(base, 0) + int(exponent)


@dataclass
class Definitions:
    """Which tensors are quotients and sums of others, as `P = E / S`, `H = (X - M) / D` and `S = sum E`.

    Each equation stands under the tensor that is divided or summed, here E, X and E; a quotient's also under its own.
    """

    quotients: dict[Tensor, list[Equation]] = field(default_factory=dict)
    named: dict[Tensor, Equation] = field(default_factory=dict)
    deviations: dict[Tensor, list[Equation]] = field(default_factory=dict)
    sums: dict[Tensor, list[Equation]] = field(default_factory=dict)

    @staticmethod
    def of(equations: Iterable[Equation]) -> Definitions:
        found = Definitions()
        for equation in equations:
            if any(affine.single is None for affine in equation.at) or not equation.covers:
                continue
            match equation.value:
                case Div(Access() as numerator, Access()) if numerator.at == equation.at:
                    found.quotients.setdefault(numerator.tensor, []).append(equation)
                    found.named[equation.tensor] = equation
                case Div(Add() as numerator, Access()):
                    own = next((a.tensor for a in accesses(numerator) if a.at == equation.at), None)
                    if own is not None:
                        found.deviations.setdefault(own, []).append(equation)
                case Reduce("sum", _, Access() as body) if all(a.single is not None for a in body.at):
                    found.sums.setdefault(body.tensor, []).append(equation)
        return found

    def name_quotients(self, monomial: Monomial) -> Monomial:
        """E^a / S^b becomes P^m E^(a-m) / S^(b-m)."""
        for base, exponent in monomial.powers:
            if exponent < 1 or not isinstance(base, Access):
                continue
            for equation in self.quotients.get(base.tensor, ()):
                assert isinstance(equation.value, Div)
                under = substitute(equation.value.denominator, dict(zip(equation.indices, base.at, strict=True)))
                powers = dict(monomial.powers)
                count = min(powers.get(base, 0), -powers.get(under, 0))
                name = Access(equation.tensor, base.at)
                if count > 0 and (equation.tensor.extents == base.tensor.extents or _inside(name)):
                    monomial = monomial.times(Monomial(1, ((name, count), (base, -count), (under, count))))
        return self._name_deviations(monomial)

    def _name_deviations(self, monomial: Monomial) -> Monomial:
        """(X - M) / D becomes H, also where M is marked as a constant: that is no matter of value."""
        for base, exponent in monomial.powers:
            if exponent < 1 or not isinstance(base, Add):
                continue
            places = {a.tensor: a.at for a in reversed(accesses(base))}
            for equation in (e for tensor in places for e in self.deviations.get(tensor, ())):
                assert isinstance(equation.value, Div)
                own = next(a for a in accesses(equation.value.numerator) if a.at == equation.at)
                table = dict(zip(equation.indices, places[own.tensor], strict=True))
                top, under = (substitute(e, table) for e in (equation.value.numerator, equation.value.denominator))
                powers = dict(monomial.powers)
                count = min(powers.get(base, 0), -powers.get(under, 0))
                name = Access(equation.tensor, places[own.tensor])
                if count > 0 and _inside(name) and transform(top, _unmarked) == transform(base, _unmarked):
                    monomial = monomial.times(Monomial(1, ((name, count), (base, -count), (under, count))))
        return monomial

    def name_sum(self, over: tuple[Index, ...], body: Expression) -> Expression | None:
        """The sum of a tensor whose sum has a name, or is 1."""
        if not isinstance(body, Access) or len(over) != 1 or not _inside(body):
            return None
        if body.tensor.simplex and body.at[-1].single == over[0] and over[0].size == body.tensor.extents[-1]:
            return Const(1)
        if body.tensor in self.named:
            equation = self.named[body.tensor]
            assert isinstance(equation.value, Div)
            top, bottom = equation.value.numerator, equation.value.denominator
            if isinstance(top, Access) and isinstance(bottom, Access):
                total = self.name_sum(over, Access(top.tensor, body.at))
                if total == substitute(bottom, dict(zip(equation.indices, body.at, strict=True))):
                    return Const(1)
        for equation in self.sums.get(body.tensor, ()):
            assert isinstance(equation.value, Reduce) and isinstance(equation.value.body, Access)
            inner = equation.value.body
            table = {a.single: b for a, b in zip(inner.at, body.at, strict=True) if a.single is not None}
            named = tuple(table.get(i, Affine()).single for i in equation.value.indices)
            if named == over and [i.size for i in over] == [i.size for i in equation.value.indices]:
                return Access(equation.tensor, tuple(a.substitute(table) for a in equation.at))
        return None


def _unmarked(node: Expression) -> Expression:
    return node.args[0] if isinstance(node, Call) and node.function == "constant" else node


def _inside(access: Access) -> bool:
    """Whether an access stays inside its tensor."""
    bounds = [affine.bounds for affine in access.at]
    return all(low >= 0 and high < extent for (low, high), extent in zip(bounds, access.tensor.extents, strict=True))


NOTHING = Definitions()


def simplify(node: Expression, definitions: Definitions = NOTHING) -> Expression:
    """The cheaper of the formula with its products left as they are and with them multiplied out."""
    plain = _build(_sum_of(node, definitions, expand=False))
    expanded = _build(_sum_of(node, definitions, expand=True))
    return expanded if operations(expanded) < operations(plain) else plain


def operations(node: Expression) -> int:
    """How many arithmetic operations one element costs."""
    below = sum(operations(child) for child in node.children)
    match node:
        case Add(terms):
            return below + len(terms) - 1
        case Mul(factors):
            signs = sum(isinstance(f, Const) and f.value == -1 for f in factors)
            return below + len(factors) - 1 - signs
        case Const() | Position() | Access():
            return 0
        case Reduce(_, over, _):
            return (below + 1) * box(over)
    return below + 1


def _sum_of(node: Expression, known: Definitions, *, expand: bool) -> list[Monomial]:
    """The expression as a sum of monomials."""
    match node:
        case Const(value):
            return [Monomial(value)] if value else []
        case Add(terms):
            return _gather([m for t in terms for m in _sum_of(t, known, expand=expand)])
        case Mul(factors):
            product = [Monomial(1)]
            for factor in factors:
                product = _times(product, _factor(factor, known, expand=expand))
            return _gather([known.name_quotients(m) for m in product])
        case Div(numerator, denominator):
            top = _factor(numerator, known, expand=expand)
            under = _factor(denominator, known, expand=False)
            if not _single(under).coefficient:
                return [Monomial(1, ((Div(simplify(numerator, known), Const(0)), 1),))]
            return _gather([known.name_quotients(m) for m in _times(top, _invert(under))])
        case Pow(base, Const(int() as exponent)) if exponent > 0:
            inner = _factor(base, known, expand=False)
            return [collect(m.coefficient**exponent, ((b, e * exponent) for b, e in m.powers)) for m in inner]
        case Reduce("sum", over, body):
            return (
                _gather([m for term in _sum_of(body, known, expand=expand) for m in _reduce(over, term, known)])
                if expand
                else _reduce(over, _single(_sum_of(body, known, expand=False)), known)
            )
        case Position(affine) if not affine.terms:
            return [Monomial(affine.constant)] if affine.constant else []
    children = tuple(simplify(child, known) for child in node.children)
    return [Monomial(1, ((node.rebuild(children) if children else node, 1),))]


def _factor(node: Expression, known: Definitions, *, expand: bool) -> list[Monomial]:
    """A factor of a product: multiplied out, or kept together as one base."""
    terms = _sum_of(node, known, expand=expand)
    return terms if expand or len(terms) < 2 else [_single(terms)]


def _single(terms: list[Monomial]) -> Monomial:
    """A sum as one monomial, with what all its terms share taken out."""
    if len(terms) == 1:
        return terms[0]
    if not terms:
        return Monomial(0)
    common, rest = _common(terms)
    return common.times(Monomial(1, ((Add(tuple(_product(m) for m in rest)), 1),)))


def _common(terms: list[Monomial]) -> tuple[Monomial, list[Monomial]]:
    """Split off the factors, and the size of the coefficient, that all terms share."""
    shared = dict(terms[0].powers)
    for term in terms[1:]:
        powers = dict(term.powers)
        shared = {
            b: min(e, powers[b]) if e > 0 else max(e, powers[b])
            for b, e in shared.items()
            if b in powers and (e > 0) == (powers[b] > 0)
        }
    first: Number = terms[0].coefficient
    shared_size = all(t.coefficient in (first, -first) for t in terms)
    size = (-first if first < 0 else first) if shared_size else 1
    inverse = Monomial(1, tuple((b, -e) for b, e in shared.items()))
    rest = [collect(_divide(t.coefficient, size), t.times(inverse).powers) for t in terms]
    # A difference reads better when it does not begin with the subtracted term.
    rest.sort(key=lambda t: t.coefficient < 0)
    return Monomial(size, tuple(shared.items())), rest


def _divide(value: Number, by: Number) -> Number:
    exact = Fraction(value) / Fraction(by) if not isinstance(value, float) and not isinstance(by, float) else None
    if exact is None:
        return value / by
    return int(exact) if exact.denominator == 1 else exact


def _times(left: list[Monomial], right: list[Monomial]) -> list[Monomial]:
    return [a.times(b) for a in left for b in right]


def _invert(terms: list[Monomial]) -> list[Monomial]:
    """1 over a factor that is a single monomial."""
    one = _single(terms)
    return [Monomial(_divide(1, one.coefficient), tuple((b, -e) for b, e in one.powers))]


def _gather(terms: list[Monomial]) -> list[Monomial]:
    """Add like terms and drop those that cancel."""
    total: dict[frozenset[tuple[Expression, int]], Monomial] = {}
    for term in terms:
        if term.key in total:
            have = total[term.key]
            term = Monomial(have.coefficient + term.coefficient, have.powers)
        total[term.key] = term
    return [t for t in total.values() if t.coefficient]


def _reduce(over: tuple[Index, ...], term: Monomial, known: Definitions) -> list[Monomial]:
    """A sum over one monomial: what does not depend on the sum's indices goes in front of it."""
    outside, inside = Monomial(term.coefficient), Monomial(1)
    for base, exponent in term.powers:
        depends = any(i in over for i in free_indices(base))
        power = Monomial(1, ((base, exponent),))
        inside, outside = (inside.times(power), outside) if depends else (inside, outside.times(power))
    used = {i for base, _ in inside.powers for i in free_indices(base)}
    idle = [i for i in over if i not in used]
    over = tuple(i for i in over if i in used)
    outside = outside.times(Monomial(box(idle)))
    if not outside.coefficient:
        return []
    if not over:
        return [outside.times(inside)]
    body = _product(inside)
    named = _one_hot(over, body) or known.name_sum(over, body)
    if named is None and len(over) > 1:
        named = _inner_sum(over, body, known)
    if named is not None:
        return [m.times(outside) for m in _sum_of(named, known, expand=False)]
    return [outside.times(Monomial(1, ((Reduce("sum", over, body), 1),)))]


def _inner_sum(over: tuple[Index, ...], body: Expression, known: Definitions) -> Expression | None:
    """A double sum whose inner sum has a name."""
    for index in over:
        named = _one_hot((index,), body) or known.name_sum((index,), body)
        if named is not None:
            return Reduce("sum", tuple(i for i in over if i != index), named)
    return None


def _one_hot(over: tuple[Index, ...], body: Expression) -> Expression | None:
    """`sum(k) [k == label]` is 1: a label names one of the classes."""
    match body:
        case Bracket(Position(affine), "==", Access() as label) if label.tensor.kind == "int":
            if affine.single is not None and (affine.single,) == over and over[0] not in free_indices(label):
                return Const(1)
    return None


def _product(term: Monomial) -> Expression:
    """A monomial as an expression: numerator over denominator, rational coefficients split exactly."""
    top: list[Expression] = []
    bottom: list[Expression] = []
    coefficient = term.coefficient
    if isinstance(coefficient, Fraction):
        if coefficient.denominator != 1:
            bottom.append(Const(coefficient.denominator))
        coefficient = coefficient.numerator
    for base, exponent in term.powers:
        power = base if abs(exponent) == 1 else Pow(base, Const(abs(exponent)))
        (top if exponent > 0 else bottom).append(power)
    if coefficient != 1 or not top:
        top.insert(0, Const(coefficient))
    value = top[0] if len(top) == 1 else Mul(tuple(top))
    if not bottom:
        return value
    return Div(value, bottom[0] if len(bottom) == 1 else Mul(tuple(bottom)))


def _build(terms: list[Monomial]) -> Expression:
    if not terms:
        return Const(0)
    if len(terms) == 1:
        return _product(terms[0])
    common, rest = _common(terms)
    total = Add(tuple(_product(t) for t in rest))
    if common.coefficient == 1 and not common.powers:
        return total
    return _product(common.times(Monomial(1, ((total, 1),))))


def reads(equation: Equation, tensor: Tensor) -> int:
    """How often an equation reads a tensor, counted over the whole run of its indices."""

    def count(node: Expression, times: int) -> int:
        if isinstance(node, Access):
            return times if node.tensor is tensor else 0
        if isinstance(node, Reduce):
            times *= box(node.indices)
        return sum(count(child, times) for child in node.children)

    return count(equation.value, box(equation.indices))
