"""A weighted mean of scores that a run's candidates have already: no model is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal, NamedTuple, cast

from ponder.errors import StoreError, UsageError
from ponder.evals.rescore import check_name, check_unused
from ponder.evals.stored_steps import run_separator
from ponder.search.selection import Aggregation, aggregate
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.store.score_sets import AddedScores, ScoreSet, fingerprint
from ponder.trace import Trace
from ponder.types import Candidate, NodePath, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.mix import check_weights, info_of_mix, mixed


class Part(NamedTuple):
    """One of the scores to mix."""

    name: str
    weight: float
    aggregation: Aggregation | None = None
    """By which its step scores count as one score of the solution; None: step by step."""


class Mixed(NamedTuple):
    """What came of mixing."""

    candidates: int
    failed: int
    """Candidates without one of the scores; they have no mixed one."""
    reason: str | None
    """Why the first of them failed."""


@dataclass(frozen=True, slots=True)
class StoredScores:
    """What a part's scores are, and where they are."""

    part: Part
    info: VerifierInfo
    added: ScoreSet | None
    """None: the candidates came with them."""
    separator: str
    """Ends a step of theirs."""

    @property
    def mixed_info(self) -> VerifierInfo:
        """As they go into the mix."""
        how = self.part.aggregation
        if how is None or self.info.scores == "solution":
            return self.info
        return self.info._replace(scores="solution", identity=f"{self.info.identity}:{how}")

    def of(self, trace: Trace, candidate: Candidate, separator: str) -> StepScores | ScoreFailure:
        """One candidate's; a failure if there are none.

        Tokens of other steps than those that `separator` ends are not told.
        """
        found = self._kept(trace, candidate)
        if isinstance(found, ScoreFailure):
            return found
        how = self.part.aggregation
        scores = found.scores if how is None else (self._whole(found.scores, how),)
        told = separator == self.separator or not found.tokens
        return StepScores(scores, found.tokens if told else None)

    def _whole(self, scores: Sequence[float], how: Aggregation) -> float:
        """One score within the range: steps are on 0 to 1 while they become one, as in a mix.

        A product of other scores leaves the range, and two low ones can make a high one.
        """
        low, span = self.info.low, self.info.high - self.info.low
        return low + span * aggregate([(score - low) / span for score in scores], how)

    def _kept(self, trace: Trace, candidate: Candidate) -> StepScores | ScoreFailure:
        if self.added is None:
            own = candidate.scores.get(self.part.name)
            return StepScores(own, None) if own else ScoreFailure("not scored")
        added = self.added.get((trace.problem_id, candidate.path))
        if added is None or not added.of(candidate):
            return ScoreFailure("not scored")
        return added.scores


def mix_stored(
    store: RunStore, parts: Sequence[Part], name: str, temperature: float = 1.0
) -> Mixed:
    """Add the weighted mean of scores to the candidates, as the set `name`.

    Each part is first put on 0 to 1 by its range, and a solution's one score counts at every step,
    as in a `mix` of the verifiers. With a `temperature` other than 1 each mean is then divided by
    the problem's greatest one and raised to the power of 1 / temperature: a problem's scores are a
    softmax of log-scores over the temperature, up to a factor, as in confidence-informed
    self-consistency (Taubenfeld et al. 2025). Below 1 the best scores weigh more in a vote.

    Raises UsageError for scores that the run does not have or that have no range, StoreError for
    parts of different steps or if the set holds other scores.
    """
    check_name(name)
    if not 0 < temperature < inf:
        raise UsageError(f"`--temperature` must be over 0, got {temperature}")
    kept = [_stored(store, part) for part in _distinct(parts, name)]
    infos = [(own.mixed_info, own.part.weight) for own in kept]
    check_weights([(own.mixed_info._replace(name=own.part.name), own.part.weight) for own in kept])
    separator = _separator(store, kept)
    found: dict[tuple[str, NodePath], AddedScores] = {}
    for trace in store.traces():
        check_unused(name, trace)
        answers = [_mix(trace, candidate, kept, separator) for candidate in trace.candidates]
        for candidate, answer in zip(
            trace.candidates, sharpened(answers, temperature), strict=True
        ):
            added = AddedScores(fingerprint(candidate.text), answer)
            found[trace.problem_id, candidate.path] = added
    info = info_of_mix(infos, "mix")
    if temperature != 1:
        info = info._replace(identity=f"{info.identity}/{temperature:g}")
    store.open_scores(name, {"verifier": info._asdict(), "separator": separator})
    store.add_scores(name, found)
    reasons = [one.scores.reason for one in found.values() if isinstance(one.scores, ScoreFailure)]
    return Mixed(len(found), len(reasons), next(iter(reasons), None))


def sharpened(
    answers: Sequence[StepScores | ScoreFailure], temperature: float
) -> list[StepScores | ScoreFailure]:
    """One problem's scores at a temperature; at 1 they stay as they are."""
    told = [
        score for answer in answers if isinstance(answer, StepScores) for score in answer.scores
    ]
    most = max(told, default=0.0)
    if temperature == 1 or most == 0:
        return list(answers)
    return [
        answer._replace(scores=tuple((s / most) ** (1 / temperature) for s in answer.scores))
        if isinstance(answer, StepScores)
        else answer
        for answer in answers
    ]


def _mix(
    trace: Trace, candidate: Candidate, kept: Sequence[StoredScores], separator: str
) -> StepScores | ScoreFailure:
    told = [(own.mixed_info, own.part.weight, own.of(trace, candidate, separator)) for own in kept]
    steps = (
        len(answer.scores)
        for info, _, answer in told
        if info.scores == "steps" and isinstance(answer, StepScores)
    )
    return mixed(told, next(steps, 1))


def _distinct(parts: Sequence[Part], name: str) -> Sequence[Part]:
    """The parts. Raises UsageError for one that is given twice or is the mix itself."""
    names = [part.name for part in parts]
    if name in names:
        raise UsageError(f"{name!r} is a part of the mix: give it another `--name`")
    if twice := [own for own in names if names.count(own) > 1]:
        raise UsageError(f"{twice[0]!r} is twice in the mix: give it once")
    return parts


def _separator(store: RunReader, kept: Sequence[StoredScores]) -> str:
    """What ended a step in the parts that score steps. Raises StoreError where they differ."""
    found = {one.part.name: one.separator for one in kept if one.mixed_info.scores == "steps"}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} by {separator!r}" for name, separator in found.items())
        raise StoreError(f"{store.folder}: scores of different steps cannot be mixed: {told}")
    return next(iter(found.values()), run_separator(store))


def _stored(store: RunReader, part: Part) -> StoredScores:
    settings = store.score_sets().get(part.name)
    if settings is None:
        return StoredScores(part, _own_info(store, part.name), None, run_separator(store))
    info = VerifierInfo(**cast("dict[str, object]", settings["verifier"]))  # type: ignore[arg-type]
    return StoredScores(part, info, store.added_scores(part.name), str(settings["separator"]))


def _own_info(store: RunReader, name: str) -> VerifierInfo:
    """Of scores that the candidates came with; imported ones tell no range."""
    verifiers = cast("Sequence[dict[str, object]]", store.provenance().get("verifiers") or ())
    for told in verifiers:
        if told["name"] == name:
            return VerifierInfo(**told)  # type: ignore[arg-type]
    lengths = set[int]()
    for scores in _own_scores(store, name):
        lengths.add(len(scores))
        for score in scores:
            if not (0 <= score <= 1 and isfinite(score)):
                raise UsageError(
                    f"scores {name!r} of {store.folder} tell no range, and {score} is outside "
                    "0 to 1: add them by `ponder score` with their verifier"
                )
    if not lengths:
        raise UsageError(f"{store.folder} has no scores {name!r}: `ponder score` adds them")
    kind: Literal["solution", "steps"] = "solution" if lengths == {1} else "steps"
    return VerifierInfo(name, f"imported:{name}", kind, 0.0, 1.0, "value")


def _own_scores(store: RunReader, name: str) -> Iterator[tuple[float, ...]]:
    for trace in store.traces():
        for candidate in trace.candidates:
            scores = candidate.scores.get(name)
            if scores:
                yield scores
