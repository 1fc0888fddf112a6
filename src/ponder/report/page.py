"""One self-contained HTML file of one run or several: no network, and model text stays text.

The page may load nothing and run only its own script (its policy names both by hash). All that a
model wrote reaches the page as JSON in inert script elements, and the script writes it with
`textContent` alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from ponder.errors import UsageError
from ponder.report import fragments
from ponder.report.escape import script_json
from ponder.report.figures import figure, legend
from ponder.report.parts_fragment import part_tables
from ponder.report.payload import Column, columns, index, problem, problem_ids
from ponder.report.series import Baseline, baselines, series
from ponder.report.view import RunView
from ponder.store.files import replace_file

LARGEST_TREES = 48 * 2**20
"""Bytes of trees that a page holds; of further problems it shows the answers only."""


def render_page(
    title: str,
    runs: Sequence[RunView],
    provenance: Mapping[str, str] | None = None,
    levels: Sequence[Baseline] = (),
) -> str:
    """The page of `runs`, a column each, as HTML.

    `provenance` is what all runs have in common, beside what each brings itself; `levels` are
    further accuracies across the figures.
    """
    if not runs:
        raise UsageError("a report needs at least one run, got none")
    style, script = _asset("page.css"), _asset("page.js")
    page = columns(runs)
    ids = problem_ids(page)
    return Template(_asset("page.html")).substitute(
        policy=_policy(style, script),
        title=fragments.text(title),
        style=style,
        script=script,
        lede=fragments.lede(runs),
        warnings=fragments.warning_list(runs),
        comparison=fragments.comparison(runs),
        figures=_figures(runs, levels),
        numbers=fragments.numbers(runs) + part_tables(runs),
        provenance=fragments.provenance(runs, provenance or {}),
        index=script_json(index(page, ids)),
        data=_data(page, ids),
    )


def write_page(
    path: Path,
    title: str,
    runs: Sequence[RunView],
    provenance: Mapping[str, str] | None = None,
    levels: Sequence[Baseline] = (),
) -> None:
    """Write the page to `path`, whole or not at all."""
    replace_file(path, render_page(title, runs, provenance, levels))


def _figures(runs: Sequence[RunView], given: Sequence[Baseline]) -> str:
    by_n, by_tokens = series(runs, "n"), series(runs, "tokens")
    levels = (*baselines(runs), *given)
    drawn = "".join(
        f'<figure><figcaption>{caption}</figcaption><div class="plot">{picture}</div></figure>'
        for caption, picture in (
            ("Against N, the samples drawn", figure("n", by_n, levels)),
            ("Against generated tokens", figure("tokens", by_tokens, levels)),
        )
    )
    note = "Bands and whiskers are 95 % intervals over problems."
    return f'<div class="figures">{drawn}</div>{legend(by_n, levels)}<p class="note">{note}</p>'


def _data(page: Sequence[Column], ids: Sequence[str]) -> str:
    """A script element of JSON a problem, so that each is parsed only when it is opened."""
    left, elements = LARGEST_TREES, []
    for place, problem_id in enumerate(ids):
        content = script_json(problem(page, problem_id))
        left -= len(content)
        if left < 0:
            content = script_json(problem(page, problem_id, trees=False))
        elements.append(f'<script type="application/json" id="data-{place}">{content}</script>')
    return "\n".join(elements)


def _policy(style: str, script: str) -> str:
    def digest(content: str) -> str:
        return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'"
    )


def _asset(name: str) -> str:
    return resources.files("ponder.report").joinpath(name).read_text(encoding="utf-8")
