"""A weighted mean of scores that a run's candidates have already: no model is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Literal, NamedTuple, cast

from ponder.errors import StoreError, UsageError
from ponder.evals.rescore import check_name, check_unused
from ponder.evals.stored_steps import run_separator
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.store.score_sets import AddedScores, ScoreSet, fingerprint
from ponder.trace import Trace
from ponder.types import Candidate, NodePath, ScoreFailure, StepScores
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.mix import check_mix, info_of_mix, mixed


class Mixed(NamedTuple):
    """What came of mixing."""

    candidates: int
    failed: int
    """Candidates without one of the scores; they have no mixed one."""
    reason: str | None
    """Why the first of them failed."""


class StoredScores(NamedTuple):
    """One part of a mix: a named set of scores, or scores that the candidates came with."""

    info: VerifierInfo
    added: ScoreSet
    """Empty for scores that the candidates came with."""

    def of(self, trace: Trace, candidate: Candidate) -> StepScores | ScoreFailure:
        """One candidate's; a failure if there are none."""
        added = self.added.get((trace.problem_id, candidate.path))
        if added is not None and added.of(candidate):
            return added.scores
        own = candidate.scores.get(self.info.name)
        return StepScores(own, None) if own else ScoreFailure("not scored")


def mix_stored(
    store: RunStore, weights: Mapping[str, float], name: str, temperature: float = 1.0
) -> Mixed:
    """Add the weighted mean of the scores named in `weights` to the candidates, as the set `name`.

    `temperature` is that of `ponder.verifiers.mix.MixVerifier`. Each part is first put on 0 to 1 by
    its range, and a solution's one score counts at every step, as in a `mix` of the verifiers.
    Raises UsageError for scores that the run does not have or that have no known range and are not
    within 0 to 1, StoreError if the set holds other scores.
    """
    check_name(name)
    parts = [(_part(store, part), weight) for part, weight in weights.items() if part != name]
    if len(parts) < len(weights):
        raise UsageError(f"{name!r} is a part of the mix: give it another `--name`")
    infos = [(part.info, weight) for part, weight in parts]
    check_mix(infos, temperature)
    separator = _separator(store, weights)
    found: dict[tuple[str, NodePath], AddedScores] = {}
    for trace in store.traces():
        check_unused(name, trace)
        for candidate in trace.candidates:
            told = [(part.info, weight, part.of(trace, candidate)) for part, weight in parts]
            added = AddedScores(fingerprint(candidate.text), mixed(told, _steps(told), temperature))
            found[trace.problem_id, candidate.path] = added
    info = info_of_mix(infos, "mix", temperature)
    store.open_scores(name, {"verifier": info._asdict(), "separator": separator})
    store.add_scores(name, found)
    reasons = [one.scores.reason for one in found.values() if isinstance(one.scores, ScoreFailure)]
    return Mixed(len(found), len(reasons), next(iter(reasons), None))


def _steps(told: Sequence[tuple[VerifierInfo, float, StepScores | ScoreFailure]]) -> int:
    """Of the first part that scores steps; 1 if none does."""
    counts = (
        len(answer.scores)
        for info, _, answer in told
        if info.scores == "steps" and isinstance(answer, StepScores)
    )
    return next(counts, 1)


def _separator(store: RunReader, names: Mapping[str, float]) -> str:
    """What ended a step in the parts. Raises StoreError where they differ."""
    sets = store.score_sets()
    found = {name: str(sets[name]["separator"]) for name in names if name in sets}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} by {separator!r}" for name, separator in found.items())
        raise StoreError(f"{store.folder}: scores of different steps cannot be mixed: {told}")
    return next(iter(found.values()), run_separator(store))


def _part(store: RunReader, name: str) -> StoredScores:
    settings = store.score_sets().get(name)
    if settings is not None:
        told = cast("dict[str, object]", settings["verifier"])
        return StoredScores(VerifierInfo(**told), store.added_scores(name))  # type: ignore[arg-type]
    return StoredScores(_own_info(store, name), {})


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
