"""Judging a verifier: what `ponder eval-verifier` prints, on whatever it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Literal, TypedDict

from ponder.errors import UsageError
from ponder.evals.judging import judge_solutions, judge_steps
from ponder.evals.pool_judging import PoolOptions, judge_candidates, opened_pools
from ponder.evals.process_bench import TUNED_ON, BenchResult, Judged, bench_result, best_threshold
from ponder.evals.rescore import StoredCandidates
from ponder.evals.score_many import Pace, Scorer
from ponder.evals.step_accuracy import StepResult, step_result
from ponder.evals.throughput import Throughput, throughput
from ponder.evals.verifier_selection import SelectionResult, selection_result
from ponder.evals.verifier_targets import Targets
from ponder.search.selection import Aggregation
from ponder.verifiers.base import VerifierInfo


class Threshold(TypedDict):
    """From which score on a step counts as right."""

    value: float
    chosen: Literal["given", "gsm8k", "middle"]
    """`gsm8k`: for the greatest F1 there; `middle`: of the verifier's range."""


class VerifierReport(TypedDict):
    """How good a verifier is, by each kind of evidence that there was; None: there was none."""

    schema: Literal[1]
    verifier: dict[str, object]
    """`VerifierInfo`."""
    threshold: Threshold | None
    process_bench: BenchResult | None
    step_accuracy: StepResult | None
    selection: dict[str, SelectionResult]
    """By run or file."""
    throughput: Throughput
    """Over everything that was scored now."""


async def judge(
    scorer: Scorer, targets: Targets, threshold: float | None, options: PoolOptions
) -> VerifierReport:
    """Score all targets and count.

    The threshold is the given one, else that of the greatest F1 on ProcessBench's gsm8k, else,
    for rated steps alone, the middle of the range. Raises UsageError, before anything is scored,
    for ProcessBench with neither, for an option that no target takes, and for candidates without
    the questions that the verifier reads; VerifierError for a target of which nothing could be
    scored.
    """
    _check_applicable(targets, threshold, options)
    check_threshold(scorer.verifier.info, targets, threshold)
    async with opened_pools(targets.pools, scorer.verifier, options) as pools:
        return await _judged(scorer, targets, pools, threshold, options.aggregation)


async def _judged(
    scorer: Scorer,
    targets: Targets,
    pools: Mapping[Path, StoredCandidates],
    threshold: float | None,
    aggregation: Aggregation | None,
) -> VerifierReport:
    pace = Pace()
    bench: BenchResult | None = None
    steps: StepResult | None = None
    used: Threshold | None = None
    selection: dict[str, SelectionResult] = {}
    if targets.solutions:
        judged, own = await judge_solutions(scorer, targets.solutions)
        pace, used = pace.after(own), _threshold(scorer.verifier.info, judged, threshold)
        bench = bench_result(judged, used["value"], tuned=used["chosen"] == TUNED_ON)
    if targets.steps:
        used = used or _threshold(scorer.verifier.info, (), threshold)
        rated = [step for step in targets.steps if step.rating is not None]
        if not rated:
            raise UsageError(
                f"none of the {len(targets.steps)} steps has a `rating`: leave the file out"
            )
        scored, own = await judge_steps(scorer, rated)
        pace = pace.after(own)
        steps = step_result(scored, used["value"], len(targets.steps) - len(rated))
    for pool, stored in pools.items():
        measured, failed, own = await judge_candidates(scorer, pool, stored, aggregation)
        pace = pace.after(own)
        selection[str(pool)] = selection_result(measured, failed)
    return {
        "schema": 1,
        "verifier": dict(scorer.verifier.info._asdict()),
        "threshold": used,
        "process_bench": bench,
        "step_accuracy": steps,
        "selection": selection,
        "throughput": throughput(pace),
    }


def check_threshold(info: VerifierInfo, targets: Targets, threshold: float | None) -> None:
    """Raise UsageError for a threshold outside of the range, or where there is none to choose."""
    if threshold is not None and not info.low <= threshold <= info.high:
        raise UsageError(
            f"`--threshold` must be within {info.low} to {info.high}, the scores of {info.name}, "
            f"got {threshold}"
        )
    if threshold is None and targets.solutions and TUNED_ON not in targets.subsets():
        raise UsageError(
            f"ProcessBench's threshold is chosen on its subset {TUNED_ON}: give its file too, or "
            "`--threshold`"
        )
    if threshold is None and not targets.solutions and targets.steps and not _has_middle(info):
        raise UsageError(
            f"{info.name} scores from {info.low} to {info.high}, a range without a middle to part "
            "right from wrong steps: give `--threshold`"
        )


def _has_middle(info: VerifierInfo) -> bool:
    return isfinite(info.low) and isfinite(info.high)


def _check_applicable(targets: Targets, threshold: float | None, options: PoolOptions) -> None:
    """Raise UsageError for an option that none of the targets takes."""
    if threshold is not None and not (targets.solutions or targets.steps):
        raise UsageError(
            f"`--threshold` {threshold:g} is for ProcessBench and rated steps, and there are "
            "candidates alone: leave it out"
        )
    given = {"--aggregation": options.aggregation, "--separator": options.separator}
    unused = [] if targets.pools else [name for name, value in given.items() if value is not None]
    if unused:
        raise UsageError(
            f"`{unused[0]}` {given[unused[0]]!r} is for candidates, and there are none: "
            "leave it out, or name a run or a pool"
        )


def _threshold(info: VerifierInfo, judged: Sequence[Judged], given: float | None) -> Threshold:
    if given is not None:
        return {"value": given, "chosen": "given"}
    tuned_on = [one for one in judged if one.solution.subset == TUNED_ON]
    if tuned_on:
        return {"value": best_threshold(tuned_on, info.low, info.high), "chosen": "gsm8k"}
    return {"value": (info.low + info.high) / 2, "chosen": "middle"}
