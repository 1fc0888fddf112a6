"""The canonical key of an answer that only a LaTeX parser can read. Runs in worker processes.

math-verify's parser makes a sympy object; a collection's, a relation's or a matrix's key is built
from the keys of its parts, a number's or a formula's from its values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import sympy
from math_verify import LatexExtractionConfig, parse
from sympy import Basic, MatrixBase, MatrixExpr
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from ponder.answers.keys import bounded, collection_key, text_key
from ponder.answers.latex import tidied
from ponder.answers.values import form_key, relation_key, value_key

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
    return value_key(formula)


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
    return relation_key("==", equation.lhs - equation.rhs, signed=False)


def _inequality_key(relation: Relational) -> str:
    """The interval that it states of one name; else which side of 0 the difference is on."""
    bound = _bound(relation)
    if bound is not None:
        return _interval_key(sympy.Interval(*bound))
    kind, left, right = relation.rel_op, relation.lhs, relation.rhs
    if kind in ("<", "<="):
        kind, left, right = kind.replace("<", ">"), right, left
    return relation_key(kind, left - right, signed=kind != "!=")


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
    (sympy.Set, form_key),
)
