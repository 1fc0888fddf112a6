r"""Spellings that the LaTeX parser misreads, rewritten: `\frac\pi2`, `\mathrm{e}`, `x²`."""

from __future__ import annotations

import re

_OPERAND = r"(\\[a-zA-Z]+|[a-zA-Z0-9])"
_REWRITES = (
    (re.compile(r"\s+"), " "),
    (re.compile(rf"\\([dtc]?frac)\s*{_OPERAND}\s*{_OPERAND}(?![a-zA-Z{{])"), r"\\\1{\2}{\3}"),
    (re.compile(r"\\mathrm\s*\{\s*([ei])\s*\}"), r" \1 "),
    (re.compile(r"\\varnothing\b"), r"\\emptyset"),
)
_SIGNS = str.maketrans(
    {
        "∞": r"\infty ",
        "π": r"\pi ",
        "√": r"\sqrt ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "∈": r"\in ",
        "∪": r"\cup ",
        "×": r"\times ",
        "·": r"\cdot ",
        "²": "^2",
        "³": "^3",
        "−": "-",
    }
)


def tidied(latex: str) -> str:
    """`latex` as the parser reads it; what it means stays."""
    latex = latex.translate(_SIGNS)
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex)
    return latex
