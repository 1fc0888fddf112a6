r"""Spellings that the LaTeX parser misreads, rewritten: `\frac\pi2`, `\mathrm{e}`."""

from __future__ import annotations

import re

_OPERAND = r"(\\[a-zA-Z]+|[a-zA-Z0-9])"
_REWRITES = (
    (re.compile(rf"\\([dtc]?frac)\s*{_OPERAND}\s*{_OPERAND}(?![a-zA-Z{{])"), r"\\\1{\2}{\3}"),
    (re.compile(r"\\mathrm\s*\{\s*([ei])\s*\}"), r" \1 "),
    (re.compile(r"\\varnothing\b"), r"\\emptyset"),
)


def tidied(latex: str) -> str:
    """`latex` as the parser reads it; what it means stays."""
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex)
    return latex
