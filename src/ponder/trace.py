"""Everything one strategy did on one problem, as plain data; and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ponder.encoding import to_json
from ponder.types import Candidate, Ended, NodePath

DecisionKind = Literal[
    "kept", "pruned", "chosen", "finished", "accepted", "unscored", "settled", "note"
]


@dataclass(frozen=True, slots=True)
class Decision:
    """Something a strategy decided, and why."""

    kind: DecisionKind
    paths: tuple[NodePath, ...]
    """The nodes it is about."""
    reason: str
    """One line for a person: "score 0.31 below the best 2"."""


@dataclass(frozen=True, slots=True)
class Node:
    """One counted sample, as it stands in the problem's tree."""

    path: NodePath
    parent: NodePath
    """The node whose text it continues; empty at the root."""
    text: str
    """What this sample added, or what was there when it failed."""
    ended: Ended
    token_ids: tuple[int, ...] | None = None
    scores: Mapping[str, tuple[float, ...] | None] = field(default_factory=dict)
    """By verifier name, the scores of the whole prefix up to here; None: scoring failed."""
    tokens: int | None = None
    """Generated tokens of this sample."""
    prompt_tokens: int | None = None
    """Tokens of what it continued, as the engine tells."""
    verifier_tokens: int | None = 0
    """Tokens that scoring it cost, summed over verifiers."""
    error: str | None = None
    cut: bool = False
    """The budget's grant ended it."""
    retokenised: bool = False
    """Its prefix was handed over as text, not as ids."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a problem cost. None is not told by the engine, and prints as "-"."""

    generated: int | None = 0
    """Tokens drawn in counted nodes."""
    prompt: int | None = 0
    """Prompt and prefix tokens of counted nodes, summed over samples."""
    cached: int | None = None
    """Of the prompt tokens, those the engine read from its cache."""
    verifier: int | None = 0
    """Tokens that scoring the counted nodes took."""
    wasted: int | None = 0
    """Generated tokens of failed, aborted, retried and uncounted samples; None when some were
    ended midway, which no engine tells the tokens of."""
    calls: int | None = 0
    """Samples drawn, failures included; None for an import that does not tell."""
    flops: float | None = None
    """Estimated floating-point operations of the engine, when its parameter count is known."""
    seconds: float | None = None
    """Wall-clock time from the problem's opening to its end."""


@dataclass(frozen=True, slots=True)
class Savings:
    """Work that was not done because the answer is the same without it."""

    samples: int = 0
    """Of the strategy's n, never asked for: the answer was settled before them. Those that were
    under way by then are not among them: see `midway`, and `Spent.wasted`."""
    midway: int = 0
    """Samples that were ended before their own end: the answer was settled."""
    scores: int = 0
    """Prefixes not scored again because an equal one was, summed over verifiers."""
    prefixes: int = 0
    """Samples that went to the engine with those of an equal prefix, which it then reads once."""
    prompts: int = 0
    """Calls whose conversation the engine had rendered and tokenised for an earlier one."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one strategy did on one problem: the product of a run."""

    problem_id: str
    strategy: str
    """Its registered name."""
    nodes: tuple[Node, ...]
    """Counted samples in (depth, path) order."""
    decisions: tuple[Decision, ...]
    candidates: tuple[Candidate, ...]
    """In path order."""
    answer: str | None
    """The chosen raw answer; None when no candidate has one."""
    chosen: NodePath | None
    """The candidate that the answer is read from."""
    spent: Spent
    selector: str = "majority"
    """The selector that chose the answer."""
    stopped: Literal["complete", "settled", "budget", "deadline"] = "complete"
    """What ended the search; `settled`: a stopping rule, before all n samples."""
    n: int = 0
    """The strategy's n: samples, beams or chains asked for."""
    savings: Savings = Savings()
    """Not part of the digest: what is saved can be switched off, and changes no result."""

    def digest(self) -> str:
        """SHA-256 of what the search did and found.

        Covers the counted nodes in order (text, ids, scores), decisions, candidates, answer and
        the tokens of counted nodes. Leaves out clock, host, cache, retries and waste.
        """
        nodes = sorted(self.nodes, key=lambda node: (len(node.path), node.path))
        content = {
            "problem": self.problem_id,
            "strategy": self.strategy,
            "nodes": [_node_content(node) for node in nodes],
            "decisions": [[d.kind, d.paths, d.reason] for d in self.decisions],
            "candidates": [[c.path, c.votes, c.answer] for c in self.candidates],
            "answer": [self.answer, self.chosen, self.selector],
            "tokens": [self.spent.generated, self.spent.prompt, self.spent.verifier],
        }
        return hashlib.sha256(to_json(content)).hexdigest()


def _node_content(node: Node) -> list[object]:
    scores = {name: node.scores[name] for name in sorted(node.scores)}
    failed = node.error is not None
    place = [node.path, node.parent, node.text, node.token_ids, node.ended]
    return [*place, scores, node.tokens, node.prompt_tokens, node.verifier_tokens, failed, node.cut]
