"""One problem's search in the terminal, as `ponder show RUN ID` draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ponder.report.branches import STATE_WORDS, Branch, branches, general_reasons, path_label
from ponder.report.choice import groups
from ponder.report.escape import clipped, visible
from ponder.report.view import RunView
from ponder.report.wording import count, ending, savings
from ponder.trace import Trace

SHOWN_LINES = 12
"""Lines of one node's text before the rest is only counted."""

_LONGEST_LABEL = 20
_STYLES = {"won": "bold", "path": "bold", "pruned": "dim", "failed": "red"}
_TEXT_STYLES = {**_STYLES, "path": ""}


@dataclass(frozen=True, slots=True)
class TraceTree:
    """The question, the answer, and the tree that led to it; fits any width from 40 columns on."""

    run: RunView
    trace: Trace
    full: bool = False
    """Show every line of long texts."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, each with the guides of the branches that go on below it."""
        yield from self._heading()
        drawn = branches(self.trace)
        for branch, (guide, rest) in zip(drawn, _guides(drawn, options.max_width), strict=True):
            width = max(10, options.max_width - len(rest))
            first, *more = _title(branch, self.run).wrap(console, width)
            yield Text.assemble((guide, "dim"), first)
            for line in (*more, *self._body(branch, console, width)):
                yield Text.assemble((rest, "dim"), line)

    def _heading(self) -> Iterator[Text]:
        example = self.run.examples.get(self.trace.problem_id)
        if example is not None:
            yield Text(visible(example.problem.question), style="bold")
        yield _outcome(self.run, self.trace, example.reference if example else None)
        yield Text(_bill(self.trace), style="dim")
        if voting := groups(self.trace):
            counted = (f"{clipped(group.answer, 24)} × {len(group.members)}" for group in voting)
            yield Text(f"votes: {', '.join(counted)}")
        for reason in general_reasons(self.trace):
            yield Text(visible(reason), style="italic")
        yield Text()

    def _body(self, branch: Branch, console: Console, width: int) -> Iterator[Text]:
        shown = 0
        for step in branch.steps:
            text = Text(visible(step.text).strip("\n"), style=_TEXT_STYLES.get(branch.state, ""))
            if step.score is not None and len(branch.steps) > 1:
                text = text + Text(" ") + _score("", step.score)
            lines = list(text.wrap(console, width) if text else ())
            room = len(lines) if self.full else max(0, SHOWN_LINES - shown)
            yield from lines[:room]
            shown += len(lines)
        if not self.full and shown > SHOWN_LINES:
            yield Text(f"… {shown - SHOWN_LINES} more lines (--full shows them)", style="dim")
        for remark in _remarks(branch, self.run, self.trace):
            yield from remark.wrap(console, width)


def _guides(drawn: Sequence[Branch], width: int) -> Iterator[tuple[str, str]]:
    """For each branch what stands left of its first line and of the others.

    Where depth would take more than half the width, the outer guides are cut.
    """
    last = _last_children(drawn)
    parents: list[str] = []
    for place, branch in enumerate(drawn):
        above = parents[branch.parent] if branch.parent is not None else ""
        first = above + ("└─" if place in last else "├─")
        rest = above + ("  " if place in last else "│ ")
        parents.append(rest)
        goes_on = place + 1 < len(drawn) and drawn[place + 1].parent == place
        yield _cut(first, width // 2), _cut(rest, width // 2) + ("│ " if goes_on else "  ")


def _last_children(drawn: Sequence[Branch]) -> set[int]:
    return set({branch.parent: place for place, branch in enumerate(drawn)}.values())


def _cut(guide: str, width: int) -> str:
    return guide if len(guide) <= width else "…" + guide[1 - width :]


def _title(branch: Branch, run: RunView) -> Text:
    """Path, scores, state and cost of a node in one line."""
    style = _STYLES.get(branch.state, "")
    label = path_label(branch.node.path)
    place = label if len(label) <= _LONGEST_LABEL else "…" + label[-_LONGEST_LABEL:]
    parts = [Text(f" {place}", style=style)]
    for name, scores in branch.node.scores.items():
        parts.append(_score(clipped(name, 24) + " ", scores[-1] if scores else None, run, name))
    if STATE_WORDS[branch.state]:
        parts.append(Text(STATE_WORDS[branch.state], style=style))
    if branch.node.tokens is not None:
        parts.append(Text(f"{branch.node.tokens} tokens", style="dim"))
    if branch.node.ended == "length":
        parts.append(Text("cut at the token limit", style="yellow"))
    return Text("  ").join(parts)


def _score(label: str, value: float | None, run: RunView | None = None, name: str = "") -> Text:
    if value is None:
        return Text(f"{label}-", style="dim")
    low, high = run.ranges.get(name, (0.0, 1.0)) if run else (0.0, 1.0)
    share = (value - low) / (high - low) if high > low else 1.0
    colour = "red" if share < 0.34 else "yellow" if share < 0.67 else "green"
    return Text(f"{label}{value:.2f}", style=colour)


def _remarks(branch: Branch, run: RunView, trace: Trace) -> Iterator[Text]:
    if branch.node.error is not None:
        yield Text(f"failed: {visible(branch.node.error)}", style="red")
    for reason in branch.reasons:
        yield Text(visible(reason), style="italic dim")
    candidate = branch.candidate
    if candidate is None:
        return
    if candidate.answer is None:
        yield Text("ends without an answer: it does not vote")
        return
    answer = Text("answer ") + Text(visible(candidate.answer.raw), style="bold")
    vote = "" if candidate.votes else ", does not vote"
    yield answer + _grade(run.grades.get((trace.problem_id, candidate.path))) + Text(vote)


def _outcome(run: RunView, trace: Trace, reference: str | None) -> Text:
    answer = "no answer" if trace.answer is None else visible(trace.answer)
    told = Text("answer ") + Text(answer, style="bold") + _grade(run.right(trace))
    return told if reference is None else told + Text(f", reference {visible(reference)}")


def _grade(right: bool | None) -> Text:
    if right is None:
        return Text()
    return Text(" right", style="green") if right else Text(" wrong", style="red")


def _bill(trace: Trace) -> str:
    spent = trace.spent
    parts = [f"{trace.strategy}, {trace.selector}", f"{count(spent.calls)} samples"]
    parts += [f"{count(spent.generated)} generated", f"{count(spent.verifier)} verifier tokens"]
    parts += [f"{count(spent.seconds)} seconds"]
    parts += [ending(trace), savings(trace)]
    return " · ".join(part for part in parts if part)
