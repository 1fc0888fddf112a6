"""The canonical key of an answer that only a LaTeX parser can read. Runs in worker processes.

math-verify's parser makes a sympy object; its key is built from the parts. A number's key is its
value. A formula's is its values at three fixed points, to 50 digits: however it is written, equal
formulas have equal values (the identity test of Schwartz and Zippel). What has no value has its
sorted sympy form as its key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache

import sympy
from math_verify import LatexExtractionConfig, parse
from sympy import Basic, MatrixBase, MatrixExpr
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from ponder.answers.keys import (
    DIGITS,
    bounded,
    collection_key,
    decimal_key,
    rational_key,
    text_key,
)
from ponder.answers.latex import tidied

PRECISION = DIGITS + 15
"""Digits computed, of which `DIGITS` count."""
MOST_PRECISION = 400
"""Digits that cancellation may cost before a value is taken for 0."""
NEGLIGIBLE = Decimal(10) ** -(2 * DIGITS)
POINTS = 3

_UNSETTLED = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_CONSTANTS = {"i": sympy.I, "e": sympy.E}
_BRACKETS = {True: "()", False: "[]"}


def canonical_key(raw: str) -> str:
    """The key of `raw`; its normalised text if it does not parse."""
    logging.disable(logging.WARNING)
    parsed = parse(f"${tidied(raw)}$", [LatexExtractionConfig()], parsing_timeout=None)
    formula = next((item for item in parsed if isinstance(item, Basic | MatrixBase)), None)
    return text_key(raw) if formula is None else key_of(formula)


def key_of(formula: Basic | MatrixBase) -> str:
    """The key of a parsed answer, by its kind."""
    for kinds, key in _KEYS:
        if isinstance(formula, kinds):
            return bounded(key(formula))
    return _value_key(formula)


def _matrix_key(matrix: MatrixBase) -> str:
    rows = (collection_key("row", map(key_of, matrix.row(i))) for i in range(matrix.rows))
    return collection_key("matrix", rows)


def _matrix_expression_key(matrix: MatrixExpr) -> str:
    return _matrix_key(matrix.doit().as_explicit())


def _tuple_key(items: Iterable[Basic]) -> str:
    return collection_key("tuple", map(key_of, items))


def _interval_key(interval: sympy.Interval) -> str:
    """An open interval reads like a pair, so it has the pair's key."""
    ends = (interval.start, interval.end)
    if interval.left_open and interval.right_open:
        return _tuple_key(ends)
    shape = _BRACKETS[bool(interval.left_open)][0] + _BRACKETS[bool(interval.right_open)][1]
    return collection_key(f"interval{shape}", map(key_of, ends))


def _set_key(items: sympy.FiniteSet) -> str:
    """Sorted elements; a set of one is its element, and x = 1, y = 2 is the pair (1, 2)."""
    if items.args and all(isinstance(item, sympy.Eq) for item in items.args):
        named = sorted((str(item.lhs), key_of(item.rhs)) for item in items.args)
        if len({name for name, _ in named}) == len(named) > 1:
            return collection_key("tuple", (key for _, key in named))
    keys = sorted({key_of(item) for item in items.args})
    return keys[0] if len(keys) == 1 else collection_key("set", keys)


def _union_key(union: sympy.Union) -> str:
    return collection_key("union", sorted(map(key_of, union.args)))


def _equation_key(equation: sympy.Eq) -> str:
    """Of an assignment the right side; else both sides' difference up to a factor."""
    for name, value in ((equation.lhs, equation.rhs), (equation.rhs, equation.lhs)):
        if isinstance(name, sympy.Symbol | AppliedUndef):
            return key_of(value)
    if not isinstance(equation.rhs, sympy.Expr):
        return key_of(equation.rhs)
    return _relation_key("==", equation.lhs - equation.rhs, signed=False)


def _inequality_key(relation: Relational) -> str:
    """The interval that it states of one name; else which side of 0 the difference is on."""
    bound = _bound(relation)
    if bound is not None:
        return _interval_key(sympy.Interval(*bound))
    kind, left, right = relation.rel_op, relation.lhs, relation.rhs
    if kind in ("<", "<="):
        kind, left, right = kind.replace("<", ">"), right, left
    return _relation_key(kind, left - right, signed=kind != "!=")


def _bound(relation: Relational) -> tuple[Basic, Basic, bool, bool] | None:
    """Start, end and their openness of the numbers that satisfy "name < number" and its like."""
    kind, name, number = relation.rel_op, relation.lhs, relation.rhs
    if name.is_number:
        name, number, kind = number, name, kind.translate(str.maketrans("<>", "><"))
    if not isinstance(name, sympy.Symbol | AppliedUndef) or not number.is_number or kind == "!=":
        return None
    is_open = "=" not in kind
    if kind.startswith("<"):
        return -sympy.oo, number, True, is_open
    return number, sympy.oo, is_open, True


def _chain_key(chain: sympy.And) -> str:
    """Of a chain of equations the last value; "1 < x < 2" is an interval; else its parts."""
    parts = list(getattr(chain, "_unsorted_args", chain.args))
    if all(isinstance(part, sympy.Eq) for part in parts):
        return key_of(parts[-1].rhs)
    bounds = [_bound(part) if isinstance(part, Relational) else None for part in parts]
    if len(bounds) == 2 and len(chain.free_symbols) == 1 and None not in bounds:
        intervals = [sympy.Interval(*bound) for bound in bounds if bound is not None]
        return key_of(intervals[0].intersect(intervals[1]))
    return collection_key("all", sorted(map(key_of, parts)))


def _value_key(formula: Basic) -> str:
    """The value of a number, the values of a formula, or the form of what has none."""
    if isinstance(formula, sympy.Symbol) and formula.name not in _CONSTANTS:
        return text_key(formula.name)
    exact = _exact(formula)
    if exact.has(*_UNSETTLED):
        exact = exact.doit()
        if exact.free_symbols and exact.has(*_UNSETTLED):
            return _form_key(exact)
    values = [_value(exact, point) for point in range(POINTS)]
    if any(value is None for value in values):
        return _form_key(exact)
    if len(set(values)) == 1:
        return str(values[0])
    names = ",".join(sorted(symbol.name for symbol in exact.free_symbols))
    return f"formula({names}):{_hash(values)}"


def _relation_key(kind: str, difference: sympy.Expr, *, signed: bool) -> str:
    """A relation of `difference` to 0: its values up to a factor, a positive one if `signed`."""
    exact = _exact(difference)
    scale = _number_at(exact, 0)
    if scale is None or scale == 0:
        return f"relation({kind}):{_form_key(exact)}"
    if signed:
        scale = sympy.Abs(scale)
    values = [_value(exact / scale, point) for point in range(POINTS)]
    return f"relation({kind}):{_hash(values)}"


def _exact(formula: Basic) -> Basic:
    """`formula` evaluated, decimals as fractions, "i" and "e" as the constants, "%" as nothing."""
    decimals = {number: sympy.Rational(str(number)) for number in formula.atoms(sympy.Float)}
    percents = {item: sympy.Integer(1) for item in formula.atoms(sympy.UnevaluatedExpr)}
    names = {
        symbol: _CONSTANTS.get(symbol.name, sympy.Symbol(symbol.name))
        for symbol in formula.free_symbols
    }
    return formula.xreplace({**decimals, **percents, **names})


def _value(formula: Basic, point: int) -> str | None:
    """The key of the formula's value at a point; None if it has none there."""
    number = _number_at(formula, point)
    if number is None:
        return None
    if number in (sympy.oo, -sympy.oo):
        return f"number:{number}"
    real, imaginary = (_part_key(part) for part in number.as_real_imag())
    return real if imaginary == "number:0" else f"complex({real};{imaginary})"


def _number_at(formula: Basic, point: int) -> sympy.Expr | None:
    places = {symbol: _coordinate(symbol.name, point) for symbol in formula.free_symbols}
    number = formula.xreplace(places).evalf(PRECISION, maxn=MOST_PRECISION)
    usable = number.is_number and not number.has(sympy.nan, sympy.zoo)
    return number if usable else None


def _part_key(part: sympy.Expr) -> str:
    """The key of a real number; what is below all digits computed counts as 0."""
    if isinstance(part, sympy.Rational):
        return rational_key(Fraction(part.p, part.q))
    value = Decimal(str(sympy.Float(part, PRECISION)))
    return decimal_key(value if value.copy_abs() > NEGLIGIBLE else Decimal(0))


@cache
def _coordinate(name: str, point: int) -> sympy.Rational:
    """Where a name stands at a point: 1/2 to 3/2, below 0 at the second, hashed at the third."""
    digest = hashlib.sha256(f"{point}:{name}".encode()).digest()
    size = sympy.Rational(int.from_bytes(digest[:6]), 1 << 48) + sympy.Rational(1, 2)
    negative = (False, True, bool(digest[6] & 1))[point]
    return -size if negative else size


def _form_key(formula: Basic) -> str:
    """The sorted sympy form."""
    return f"form:{_hash([sympy.sstr(formula, order='lex')])}"


def _hash(parts: Iterable[object]) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


_KEYS: tuple[tuple[type | tuple[type, ...], Callable[..., str]], ...] = (
    (MatrixBase, _matrix_key),
    (MatrixExpr, _matrix_expression_key),
    (sympy.Tuple, _tuple_key),
    (sympy.Interval, _interval_key),
    (sympy.FiniteSet, _set_key),
    (sympy.Union, _union_key),
    (sympy.Eq, _equation_key),
    (Relational, _inequality_key),
    (sympy.And, _chain_key),
    (sympy.Set, _form_key),
)
