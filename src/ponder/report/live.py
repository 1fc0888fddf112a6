"""One search as it grows, for `ponder solve`: redrawn in place, or plain lines off a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ponder.report.branches import STATE_WORDS, Branch, branches, path_label
from ponder.report.display import Display
from ponder.report.escape import clipped
from ponder.trace import Decision, Node, Spent, Trace
from ponder.types import NodePath

_STYLES = {"won": "bold green", "path": "bold", "pruned": "dim", "failed": "red"}


class LiveSearch(Display):
    """An observer of one problem: its tree, its best score and its tokens, while it is solved.

    A context; it leaves nothing behind on a terminal, so that the finished tree can follow.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._nodes: dict[NodePath, Node] = {}
        self._decisions: list[Decision] = []
        self._shown = Live(
            console=console, get_renderable=self.frame, refresh_per_second=6, transient=True
        )

    def on_node(self, problem_id: str, node: Node) -> None:  # noqa: ARG002 one problem is shown
        """A sample ended, or its scores came."""
        known = node.path in self._nodes
        self._nodes[node.path] = node
        if not self._console.is_terminal:
            branch = _lone(node)
            scored = f"{path_label(node.path)}  scored {_score(branch).strip()}"
            self._say(Text(scored) if known else _line(branch, self._width))

    def on_decision(self, problem_id: str, decision: Decision) -> None:  # noqa: ARG002
        """A strategy decided something."""
        self._decisions.append(decision)
        if not self._console.is_terminal:
            places = " ".join(path_label(path) for path in decision.paths[:6])
            more = " …" if len(decision.paths) > 6 else ""
            about = f" {places}{more}" if places else ""
            self._say(Text(f"{decision.kind}{about}: {clipped(decision.reason, self._width)}"))

    def on_problem_done(self, problem_id: str, trace: Trace) -> None:  # noqa: ARG002
        """The problem has its trace: the view shows it as it ended."""
        self._nodes = {node.path: node for node in trace.nodes}
        self._decisions = list(trace.decisions)

    def frame(self) -> RenderableType:
        """The view as it stands: what fits the terminal, pruned nodes left out first."""
        # Drawn from Live's own thread: one tuple() call sees no half-made change of the dict.
        drawn = _drawn(tuple(self._nodes.values()), tuple(self._decisions))
        shown = fitting(drawn, max(4, self._console.height - 4))
        lines = [_line(branch, self._width) for branch in shown]
        hidden = len(drawn) - len(shown)
        lines += [Text(f"… and {hidden} more", style="dim")] if hidden else []
        return Group(*lines, _footing(drawn))

    def _say(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    @property
    def _width(self) -> int:
        return max(40, self._console.width)


def fitting(drawn: Sequence[Branch], room: int) -> list[Branch]:
    """At most `room` branches, in drawn order: pruned ones go first, then the shallowest."""
    ranked = sorted(
        range(len(drawn)),
        key=lambda place: (drawn[place].state in ("pruned", "failed"), -drawn[place].depth, place),
    )
    return [drawn[place] for place in sorted(ranked[:room])]


def _drawn(nodes: tuple[Node, ...], decisions: tuple[Decision, ...]) -> tuple[Branch, ...]:
    return branches(Trace("", "", nodes, decisions, (), None, None, Spent()))


def _lone(node: Node) -> Branch:
    return _drawn((node,), ())[0]


def _score(branch: Branch) -> str:
    return "   -" if branch.score is None else f"{branch.score:.2f}"


def _line(branch: Branch, width: int) -> Text:
    """One node in one line of at most `width` characters."""
    indent = "  " * min(branch.depth, width // 8)
    word = STATE_WORDS[branch.state]
    head = f"{indent}{path_label(branch.node.path)}  {_score(branch)}  {word}{'  ' if word else ''}"
    told = branch.node.error or branch.node.text
    said = clipped(told, max(8, width - len(head)))
    return Text(head + said, style=_STYLES.get(branch.state, ""), no_wrap=True, overflow="ellipsis")


def _footing(drawn: Sequence[Branch]) -> Text:
    scores = [branch.score for branch in drawn if branch.score is not None]
    best = f"best score {max(scores):.2f}" if scores else "no score yet"
    tokens = sum(branch.node.tokens or 0 for branch in drawn)
    return Text(f"{len(drawn)} samples · {best} · {tokens} tokens generated", style="dim")
