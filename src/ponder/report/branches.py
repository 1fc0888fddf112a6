"""A trace as the tree that terminal and page draw: what happened to each node, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ponder.report.choice import why_chosen
from ponder.trace import Decision, Node, Trace
from ponder.types import Candidate, NodePath

State = Literal["won", "path", "kept", "pruned", "failed", "open"]
"""The chosen solution's end, a step on the way to it, kept, pruned, failed, or none of these."""


_JUDGED: Mapping[str, State] = {
    "kept": "kept",
    "pruned": "pruned",
    "chosen": "kept",
    "finished": "kept",
    "accepted": "kept",
}
"""What a decision makes of its nodes; the last one holds: a pruned sibling may be a candidate."""

STATE_WORDS: Mapping[State, str] = {
    "won": "chosen",
    "path": "winning path",
    "kept": "kept",
    "pruned": "pruned",
    "failed": "failed",
    "open": "",
}


@dataclass(frozen=True, slots=True)
class ScoredStep:
    """A piece of a node's text and the score it got; None: no score for it alone."""

    text: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Branch:
    """One node of the tree, with all that is to be said of it."""

    node: Node
    parent: int | None
    """Index of the branch it hangs from; None at the root."""
    depth: int
    """0 at the root."""
    state: State
    steps: tuple[ScoredStep, ...]
    """The node's text; one piece unless the first verifier scored it step by step."""
    score: float | None
    """The first verifier's last score."""
    reasons: tuple[str, ...]
    """What was decided about it, in order."""
    candidate: Candidate | None
    """The solution that ends here."""


def branches(trace: Trace) -> tuple[Branch, ...]:
    """The trace's nodes in the order of a drawn tree: each followed by what hangs from it.

    A trace without nodes, as an imported pool's, gives one node a candidate.
    """
    nodes = {node.path: node for node in trace.nodes or _nodes_of(trace.candidates)}
    hangs_from = {path: _hook(node, nodes) for path, node in nodes.items()}
    candidates = {candidate.path: candidate for candidate in trace.candidates}
    winners = _ancestors(trace.chosen, hangs_from)
    told = _by_path(trace.decisions)
    drawn: list[Branch] = []
    place: dict[NodePath, int] = {}
    for path in _preorder(hangs_from):
        parent, decisions = hangs_from[path], told.get(path, [])
        steps, score = _scored(nodes[path], nodes.get(nodes[path].parent))
        branch = Branch(
            node=nodes[path],
            parent=None if parent is None else place[parent],
            depth=0 if parent is None else drawn[place[parent]].depth + 1,
            state=_state(nodes[path], decisions, trace.chosen, winners),
            steps=steps,
            score=score,
            reasons=_reasons(path, decisions, trace),
            candidate=candidates.get(path),
        )
        place[path] = len(drawn)
        drawn.append(branch)
    return tuple(drawn)


def general_reasons(trace: Trace) -> tuple[str, ...]:
    """Decisions about no node of the tree: notes on the whole search."""
    known = {node.path for node in trace.nodes} or {c.path for c in trace.candidates}
    return tuple(
        f"{decision.kind}: {decision.reason}"
        for decision in trace.decisions
        if not known.intersection(decision.paths)
    )


def path_label(path: NodePath) -> str:
    """A path as people read it: "0.3.1"."""
    return ".".join(map(str, path))


def _nodes_of(candidates: tuple[Candidate, ...]) -> tuple[Node, ...]:
    return tuple(
        Node(c.path, (), c.text, c.ended, scores=c.scores, tokens=c.tokens) for c in candidates
    )


def _hook(node: Node, nodes: Mapping[NodePath, Node]) -> NodePath | None:
    """What a node hangs from: the text it continues, else the nearest node above its path.

    The second case is a refinement, which starts a new text from what an earlier one said.
    """
    if node.parent in nodes and node.parent != node.path:
        return node.parent
    above = (node.path[:length] for length in range(len(node.path) - 1, 0, -1))
    return next((path for path in above if path in nodes), None)


def _ancestors(
    path: NodePath | None, hangs_from: Mapping[NodePath, NodePath | None]
) -> frozenset[NodePath]:
    found: set[NodePath] = set()
    while path is not None and path in hangs_from:
        found.add(path)
        path = hangs_from[path]
    return frozenset(found)


def _by_path(decisions: tuple[Decision, ...]) -> dict[NodePath, list[Decision]]:
    told: dict[NodePath, list[Decision]] = {}
    for decision in decisions:
        for path in decision.paths:
            told.setdefault(path, []).append(decision)
    return told


def _reasons(path: NodePath, decisions: list[Decision], trace: Trace) -> tuple[str, ...]:
    told = [f"{decision.kind}: {decision.reason}" for decision in decisions]
    said = any(decision.kind == "chosen" for decision in decisions)
    why = why_chosen(trace) if path == trace.chosen and not said else None
    return (*told, why) if why else tuple(told)


def _preorder(hangs_from: Mapping[NodePath, NodePath | None]) -> list[NodePath]:
    below: dict[NodePath | None, list[NodePath]] = {}
    for path, parent in sorted(hangs_from.items(), key=lambda item: item[0], reverse=True):
        below.setdefault(parent, []).append(path)
    ordered: list[NodePath] = []
    waiting = below.get(None, [])
    while waiting:
        path = waiting.pop()
        ordered.append(path)
        waiting.extend(below.get(path, []))
    return ordered


def _state(
    node: Node, decisions: list[Decision], chosen: NodePath | None, winners: frozenset[NodePath]
) -> State:
    if node.path in winners:
        return "won" if node.path == chosen else "path"
    if node.error is not None:
        return "failed"
    judged = [_JUDGED[decision.kind] for decision in decisions if decision.kind in _JUDGED]
    return judged[-1] if judged else "open"


def _scored(node: Node, parent: Node | None) -> tuple[tuple[ScoredStep, ...], float | None]:
    """The node's text in the pieces that its first verifier scored, and the last score."""
    whole = (ScoredStep(node.text, None),)
    name = next(iter(node.scores), None)
    scores = node.scores[name] if name is not None else None
    if not scores:
        return whole, None
    before = (parent.scores.get(name or "") or ()) if parent is not None else ()
    own = scores[len(before) :]
    if len(own) < 2:
        return whole, scores[-1]
    for separator in ("\n\n", "\n"):
        pieces = _pieces(node.text, separator)
        if len(pieces) == len(own):
            return tuple(map(ScoredStep, pieces, own)), scores[-1]
    return whole, scores[-1]


def _pieces(text: str, separator: str) -> list[str]:
    pieces = re.split(f"(?<={separator})(?!\n)", text)
    return [piece for piece in pieces if piece.strip()]
