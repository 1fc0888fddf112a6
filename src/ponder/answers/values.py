"""Keys of numbers and formulas by their values, for whatever the LaTeX parser makes of them.

A number's key is its value. A formula's is its values at three fixed points, to 50 digits:
however it is written, equal formulas have equal values (the identity test of Schwartz and
Zippel). What has no value has its sorted sympy form as its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache

import sympy
from sympy import Basic

from ponder.answers.keys import DIGITS, decimal_key, rational_key, text_key

PRECISION = DIGITS + 15
"""Digits computed, of which `DIGITS` count."""
MOST_PRECISION = 400
"""Digits that cancellation may cost before a value is taken for 0."""
NEGLIGIBLE = Decimal(10) ** -(2 * DIGITS)
"""What a computed value must exceed to count as other than 0."""
POINTS = 3

_UNSETTLED = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_CONSTANTS = {"i": sympy.I, "e": sympy.E}


def value_key(formula: Basic) -> str:
    """The value of a number, the values of a formula, or the form of what has none."""
    if isinstance(formula, sympy.Symbol) and formula.name not in _CONSTANTS:
        return text_key(formula.name)
    exact = _exact(formula)
    if exact.has(*_UNSETTLED):
        exact = exact.doit()
        if exact.free_symbols and exact.has(*_UNSETTLED):
            return form_key(exact)
    values = [_value(exact, point) for point in range(POINTS)]
    if any(value is None for value in values):
        return form_key(exact)
    if len(set(values)) == 1:
        return str(values[0])
    return f"formula:{_hash(values)}"


def relation_key(kind: str, difference: sympy.Expr, *, signed: bool) -> str:
    """A relation of `difference` to 0: its values up to a factor, a positive one if `signed`."""
    exact = _exact(difference)
    scale = _number_at(exact, 0)
    if scale is None or scale == 0:
        return f"relation({kind}):{form_key(exact)}"
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


def form_key(formula: Basic) -> str:
    """The sorted sympy form."""
    return f"form:{_hash([sympy.sstr(formula, order='lex')])}"


def _hash(parts: Iterable[object]) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]
