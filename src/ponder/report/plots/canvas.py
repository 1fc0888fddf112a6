"""Sizes, fonts and files of the figures: matplotlib, bent to what papers and reviewers need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.errors import MissingExtraError
from ponder.report.escape import clipped

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

DOTS = 300
"""Of a PNG, an inch."""
_LEGEND_ROW = 0.16
"""Inches."""
_LONGEST_NAME = 400
"""Characters that are looked at."""
_STYLE: Mapping[Any, Any] = MappingProxyType(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 7.0,
        "axes.titlesize": 7.0,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#D8D8D8",
        "grid.linewidth": 0.5,
        "legend.frameon": False,
        "lines.linewidth": 1.1,
        "lines.markersize": 4.0,
        "svg.fonttype": "none",
        "svg.hashsalt": "ponder",
        "text.parse_math": False,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
    }
)
"""Text stays text in an SVG, names are never read as formulas, and ids are the same each time."""


class Paper(NamedTuple):
    """A width in print."""

    folder: str
    width: float
    """Inches."""
    panel_height: float
    """Inches of a figure of one panel."""
    across: int
    """Panels side by side."""


PAPERS = (Paper("one-column", 3.3, 2.3, 2), Paper("two-columns", 6.8, 3.4, 3))
"""Widths that fit the usual conference styles."""


class Key(NamedTuple):
    """One entry of a legend."""

    handle: Artist
    label: str


def check_installed() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib, which draws the figures,", "figures")


@contextmanager
def styled() -> Iterator[None]:
    """The style of all figures, whatever the user's own settings are. A context."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def sheet(paper: Paper, height: float, labels: Sequence[str] = ()) -> Figure:
    """An empty figure of the paper's width: `height` inches and what a legend of `labels` takes."""
    from matplotlib.figure import Figure

    lines = sum(label.count("\n") + 1 for label in labels)
    rows = -(-lines // _columns(paper, labels))
    return Figure(figsize=(paper.width, height + rows * _LEGEND_ROW), layout="constrained")


def add_legend(figure: Figure, paper: Paper, keys: Sequence[Key]) -> None:
    """The legend under the figure, where it hides nothing."""
    labels = [key.label for key in keys]
    figure.legend(
        [key.handle for key in keys],
        labels,
        loc="outside lower center",
        ncols=_columns(paper, labels),
        borderaxespad=0.0,
        labelspacing=0.25,
        columnspacing=1.0,
        handlelength=1.8,
        handletextpad=0.6,
    )


def named(text: str, characters: int = 44) -> str:
    """A name as a figure shows it; of a long one the middle is left out, its ends tell it apart.

    An underscore in front would hide it from a legend.
    """
    shown = clipped(text, _LONGEST_NAME)
    if len(shown) > characters:
        head = (characters - 1) // 2
        shown = f"{shown[:head]}…{shown[len(shown) - (characters - 1 - head) :]}"
    return f"\u2009{shown}" if shown.startswith("_") else shown


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png, without dates: equal figures are equal files."""
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "ponder", "Title": name},
        "png": {"Software": "ponder"},
    }
    paths = []
    for kind, told in metadata.items():
        path = folder / f"{name}.{kind}"
        figure.savefig(path, dpi=DOTS, metadata=told)
        paths.append(path)
    return paths


def _columns(paper: Paper, labels: Sequence[str]) -> int:
    """As many as the longest label leaves room for."""
    from matplotlib.textpath import TextPath

    size = _STYLE["font.size"]
    lines = [line for label in labels for line in label.split("\n")]
    widths = [TextPath((0, 0), line, size=size).get_extents().width for line in lines]
    return max(1, int(paper.width / ((max(widths, default=0.0) + 4 * size) / 72)))
