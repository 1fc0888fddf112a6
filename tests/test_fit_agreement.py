"""What a fit says of a policy is what a run with it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from ponder.evals.curves import OWN
from ponder.evals.graded import GradedCandidate
from ponder.evals.measure import measure
from ponder.evals.policies.after_first import after_first
from ponder.evals.policies.fit import fit
from ponder.evals.policies.options import options_of
from ponder.evals.policies.runs import FittedRun
from ponder.search.policy import Choice, Policy
from ponder.search.selection import SELECTORS
from ponder.session import SessionOptions
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.policy_file import policy_toml
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Spent, Trace
from ponder.types import Candidate, Example, Prefix, Problem
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import World, drawn, fails_sometimes, reasons

FIRST = 3
N = 9


def written(folder: Path, policy: Policy) -> str:
    path = folder / "policy.toml"
    path.write_text(policy_toml(policy, "For a test."), encoding="utf-8")
    return str(path)


def fitted_run(strategy: str, traces: Sequence[Trace], knobs: dict[str, Any], n: int) -> FittedRun:
    """Graded: the right answer is 1."""
    grades = {(t.problem_id, c.path): _right(c) for t in traces for c in t.candidates}
    examples = [Example(Problem.ask("?", trace.problem_id), "1") for trace in traces]
    width = knobs.get("beam_width") if strategy == "dvts" else None
    measured = measure(examples, traces, ours=grades, n=n, subtree_width=width)
    return FittedRun(strategy, {"strategy": strategy, "n": n, "knobs": knobs}, measured)


def _right(candidate: Candidate) -> bool:
    return candidate.answer is not None and candidate.answer.key == "1"


def part(trace: Trace, strategy: str, candidates: Sequence[Candidate], spent: int) -> Trace:
    """A run that had these candidates alone, numbered from 0."""
    least = min(candidate.path[0] for candidate in candidates)
    own = tuple(replace(c, path=(c.path[0] - least, *c.path[1:])) for c in candidates)
    alone = replace(trace, strategy=strategy, candidates=own, n=len(own))
    return replace(alone, spent=Spent(generated=spent))


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize(
    ("strategy", "knobs"),
    [("sample", {}), ("beam_search", {"beam_width": 2}), ("dvts", {"beam_width": 3})],
)
async def test_a_choice_is_measured_as_it_runs(
    tmp_path: Path, strategy: str, knobs: dict[str, Any], selector: str
) -> None:
    """A policy's run is taken apart into its first samples and what came after; put together by
    the fit they give its answer and its tokens. Of samples the fit knows no order, so that what
    is tied counts in part."""
    policy = Policy(FIRST, "score", "last", (), {N: (Choice(strategy, N, selector, knobs),)})
    applied = ComputeOptimal(policy=written(tmp_path, policy), n=N)
    whole = 0
    for seed in range(40):
        problem = Problem.ask("What is it?", f"p{seed}")
        trace = await World(script=reasons, options=SessionOptions(seed=seed)).solve(
            applied, problem
        )
        drawn_first, after = trace.candidates[:FIRST], trace.candidates[FIRST:]
        assert [candidate.path for candidate in drawn_first] == [(0,), (1,), (2,)]
        first_tokens = sum(candidate.tokens or 0 for candidate in drawn_first)
        total = trace.spent.generated
        assert total is not None
        rest = fitted_run(strategy, [part(trace, strategy, after, total - first_tokens)], knobs, 6)
        [known] = fitted_run(
            "sample", [part(trace, "sample", drawn_first, first_tokens)], {}, FIRST
        ).measured.problems
        found = after_first(rest, selector, 6, {problem.id: known.candidates})
        assert found.tokens == {problem.id: pytest.approx(total)}
        right = any(_right(c) for c in trace.candidates if c.path == trace.chosen)
        value = found.values[problem.id]
        assert value == right or (strategy == "sample" and 0 < value < 1)
        whole += value in (0, 1)
    assert whole >= 20


async def test_samples_that_failed_leave_no_gap() -> None:
    """Of ten samples some failed: they are wrong, as in a run, wherever they are."""
    lost = 0
    for seed in range(30):
        problem = Problem.ask("What is it?", f"p{seed}")
        world = World(script=fails_sometimes, options=SessionOptions(seed=seed))
        trace = await world.solve(RepeatedSampling(n=10), problem)
        if len(trace.candidates) == 10 or not trace.candidates:
            continue
        run = fitted_run("sample", [trace], {}, 10)
        [own] = run.measured.problems
        assert len(own.candidates) == 10
        alone = after_first(run, "oracle", 1, {problem.id: ()})
        assert alone.values[problem.id] == pytest.approx(fmean(c.correct for c in own.candidates))
        lost += 1
    assert lost > 5


def test_ties_go_to_the_first_samples() -> None:
    """As in a run, where they come first; of those after them each is as likely."""
    right, wrong = GradedCandidate("1", 0.5, True, 1), GradedCandidate("2", 0.5, False, 1)
    trace = Trace("p", "sample", (), (), (), None, None, Spent(generated=2), n=2)
    bare = fitted_run("sample", [trace], {}, 2)
    [problem] = bare.measured.problems
    run = bare.of([replace(problem, candidates=(right, wrong), exchangeable=True)])
    for selector in ("majority", "weighted", "best_of_n"):
        ahead = after_first(run, selector, 1, {"p": (wrong,)}).values["p"]
        # the first is wrong: after it a right one ties with it, a wrong one joins it
        assert ahead == 0
        assert after_first(run, selector, 2, {"p": ()}).values["p"] == 0.5
        assert after_first(run, selector, 1, {"p": (right,)}).values["p"] == 1


def hard(problem: Problem) -> bool:
    """Every other problem."""
    return int(problem.id[1:]) % 2 == 1


def tells(prefix: Prefix, seed: int) -> str:
    """A step that is good or bad, then an answer; good steps are rare in a hard problem."""
    rng = drawn(prefix.key, seed)
    if prefix.depth:
        good = "good" in prefix.steps[0].text
        return _answer(good, rng.random(), rng.randint(2, 9))
    good = rng.random() < (0.2 if hard(prefix.problem) else 0.7)
    words = " ".join("so" for _ in range(rng.randint(1, 20)))
    said = f"{words} {'good' if good else 'bad'} {rng.randint(0, 99)}\n\n"
    return said + _answer(good, rng.random(), rng.randint(2, 9))


def _answer(good: bool, luck: float, wrong: int) -> str:
    return f"The answer is {1 if luck < (0.9 if good else 0.05) else wrong}."


def sees(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    """Mostly which steps are good, and a little of how hard the problem is."""
    offset = 0.0 if hard(problem) else 0.2
    return tuple(
        offset
        + (0.4 if "good" in " ".join(texts[: place + 1]) else 0.2)
        + 0.2 * drawn(problem.id, text).random()
        for place, text in enumerate(texts)
    )


PROBLEMS = [Problem.ask("What is it?", f"p{number}") for number in range(200)]


async def solved(strategy: Any, seed: int) -> list[Trace]:
    world = World(
        script=tells, verifiers=(ScriptedVerifier(sees),), options=SessionOptions(seed=seed)
    )
    return [await world.solve(strategy, problem) for problem in PROBLEMS]


async def test_a_run_finds_what_the_fit_says(tmp_path: Path) -> None:
    """Runs of a sample, a beam search and a DVTS, a fit, and the policy with other seeds: both
    its accuracy and its tokens are within four standard errors of what the fit says."""
    width = {"beam_width": 2}
    runs = [
        fitted_run("sample", await solved(RepeatedSampling(n=12), 0), {}, 12),
        fitted_run("beam_search", await solved(BeamSearch(n=6, beam_width=2), 1), width, 6),
        fitted_run("dvts", await solved(DiverseVerifierTreeSearch(n=6, beam_width=2), 2), width, 6),
    ]
    fitted = fit(runs, samples=FIRST, levels=3)
    options = options_of(runs, FIRST)
    chosen = {choice.strategy for choice in fitted.policy.choices[N]}
    assert chosen & {"beam_search", "dvts"}, "or this shows little"
    path = written(tmp_path, fitted.policy)
    traces = await solved(ComputeOptimal(policy=path, n=N), 3)

    run = fitted_run("compute_optimal", traces, {}, N).measured
    own = run.points[OWN][N].values
    assert len({trace.selector for trace in traces}) > 1
    more, tokens = [], []
    for trace in traces:
        name = trace.problem_id
        choice = fitted.policy.choose(N, options.first[name])[2]
        [option] = [o for o in options.by_n[N] if o.choice.shown == choice.shown]
        right = any(_right(c) for c in trace.candidates if c.path == trace.chosen)
        assert own[name] == right
        more.append(right - option.values[name])
        tokens.append((trace.spent.generated or 0) - (option.tokens[name] or 0))
    for differences in (more, tokens):
        assert abs(fmean(differences)) < 4 * stdev(differences) / len(differences) ** 0.5
    report = next(at for at in fitted.report["sizes"] if at["n"] == N)
    spent = fmean(trace.spent.generated or 0 for trace in traces)
    assert report["first_samples"]["tokens"] == pytest.approx(spent, rel=0.05)
