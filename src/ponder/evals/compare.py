"""Methods compared in pairs on the same problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypedDict

from ponder.errors import UsageError
from ponder.evals import curves
from ponder.evals.intervals import differences_of, mean_interval, paired_difference
from ponder.evals.measure import Measured
from ponder.evals.significance import detectable, holm, mcnemar, sign_flip
from ponder.evals.summary import mean_at


@dataclass(frozen=True, slots=True)
class Method:
    """How right one method is, problem by problem."""

    name: str
    selector: str
    n: float
    """Between two whole numbers both are mixed."""
    runs: int
    """Runs that differ by their seed alone: a problem counts with its mean over them."""
    values: Mapping[str, float]
    """Expected accuracy by problem id."""
    answers: Mapping[str, bool] | None
    """Whether the one answer that it gave is right, by problem id; None: it gave several, or is
    looked at with a part of its samples."""

    @classmethod
    def of(cls, name: str, selector: str, runs: Sequence[Measured], n: int | None = None) -> Method:
        """What `selector` gets right at `n`, by default the largest that all of the runs have.

        Raises UsageError for a selector or an N that the runs do not have.
        """
        try:
            most = min(run.at(selector)[0] for run in runs) if n is None else n
            found = [run.at(selector, most) for run in runs]
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        whole = len(runs) == 1 and found[0][0] == max(runs[0].points[selector])
        answers = _answers(runs[0], selector, found[0][0]) if whole else None
        at = mean_at([at for _, at in found])
        return cls(name, selector, found[0][0], len(runs), at.values, answers)


def _answers(run: Measured, selector: str, n: int) -> dict[str, bool]:
    chosen = curves.selected(run.problems, selector, n if run.sampled else None)
    return {name: estimate.value == 1 for name, estimate in chosen.items()}


class MethodResult(TypedDict):
    """One method on all of its problems."""

    name: str
    selector: str
    n: float
    runs: int
    n_problems: int
    accuracy: float
    ci_low: float
    ci_high: float


class SingleAnswers(TypedDict):
    """Single answers, with ties to the lowest index."""

    first_only: int
    """Problems that only the first method solves."""
    second_only: int
    mid_p: float
    """McNemar's, two-sided."""


class PairResult(TypedDict):
    """The first method less the second, on the problems that both have."""

    first: str
    second: str
    n_problems: int
    left_out: int
    """Problems that only one of the two has."""
    difference: float
    ci_low: float
    ci_high: float
    permutation_p: float
    """Sign-flip permutation test, two-sided."""
    permutation_mid_p: float
    """The same where equal sums count half; by this one the difference is judged."""
    holm_p: float
    """`permutation_mid_p` adjusted for the number of pairs."""
    mcnemar: SingleAnswers | None
    detectable: float | None
    """The true difference that is found (p below 0.05) in 80 of 100 such comparisons; None where
    the largest there could be, 1, is not."""


class Comparison(TypedDict):
    """All methods and all pairs of them."""

    schema: Literal[1]
    methods: list[MethodResult]
    pairs: list[PairResult]


def compare(methods: Sequence[Method]) -> Comparison:
    """Each pair of methods, the p-values adjusted for the number of pairs.

    Raises UsageError for fewer than two methods, or two without a common problem.
    """
    if len(methods) < 2:
        raise UsageError(_too_few(sum(method.runs for method in methods)))
    pairs = pair_results(list(combinations(methods, 2)))
    return {"schema": 1, "methods": [_result(method) for method in methods], "pairs": pairs}


def _too_few(runs: int) -> str:
    if runs < 2:
        return (
            "a comparison needs two methods: `ponder compare A B`, or one run and two `--selector`"
        )
    return (
        f"a comparison needs two methods, and these {runs} runs are one: what decided their "
        "results is the same, or differs by the seed alone; `ponder report` shows their spread"
    )


def pair_results(pairs: Sequence[tuple[Method, Method]]) -> list[PairResult]:
    """Each pair, its p-value adjusted for their number; raises as `compare` does."""
    results = [_pair(first, second) for first, second in pairs]
    adjusted = holm([result["permutation_mid_p"] for result in results])
    for result, p_value in zip(results, adjusted, strict=True):
        result["holm_p"] = p_value
    return results


def _result(method: Method) -> MethodResult:
    interval = mean_interval(list(method.values.values()))
    return {
        "name": method.name,
        "selector": method.selector,
        "n": method.n,
        "runs": method.runs,
        "n_problems": len(method.values),
        "accuracy": interval.mean,
        "ci_low": interval.low,
        "ci_high": interval.high,
    }


def _pair(first: Method, second: Method) -> PairResult:
    common = [name for name in first.values if name in second.values]
    if not common:
        raise UsageError(f"{first.name} and {second.name} have no problem in common")
    ours = {name: first.values[name] for name in common}
    theirs = {name: second.values[name] for name in common}
    differences = differences_of(ours, theirs)
    gap, flipped = paired_difference(ours, theirs), sign_flip(differences)
    return {
        "first": first.name,
        "second": second.name,
        "n_problems": len(common),
        "left_out": len(first.values.keys() ^ second.values.keys()),
        "difference": gap.difference,
        "ci_low": gap.low,
        "ci_high": gap.high,
        "permutation_p": flipped.p,
        "permutation_mid_p": flipped.mid_p,
        "holm_p": flipped.mid_p,
        "mcnemar": _single_answers(first, second, common),
        "detectable": detectable(differences),
    }


def _single_answers(first: Method, second: Method, common: Sequence[str]) -> SingleAnswers | None:
    if first.answers is None or second.answers is None:
        return None
    ours, theirs = first.answers, second.answers
    found = mcnemar([ours[name] for name in common], [theirs[name] for name in common])
    return {
        "first_only": found.first_only,
        "second_only": found.second_only,
        "mid_p": found.mid_p,
    }
