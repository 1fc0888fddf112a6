"""Every strategy keeps the contract; each does what its paper says."""

from __future__ import annotations

import random

import pytest

from ponder.budget import Budget
from ponder.engines.scripted import Reply
from ponder.errors import UsageError
from ponder.session import SessionOptions
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.types import Prefix, Problem, Sampling, ScoreFailure
from ponder.verifiers.scripted import ScriptedVerifier
from tests.contracts.strategy_contract import CONTRACT, Check
from tests.playing import World, drawn, fails_sometimes, judged

STEPS = Sampling(separator="\n\n")
STRATEGIES: tuple[Strategy, ...] = (
    RepeatedSampling(n=6),
    RepeatedSampling(n=5, selector="weighted", aggregation="min"),
    RepeatedSampling(n=9, stopping="exact", wave=4),
    RepeatedSampling(n=10, stopping="exact", selector="weighted"),
    RepeatedSampling(n=11, stopping="adaptive_consistency", wave=1),
    RepeatedSampling(n=12, stopping="early_stopping_self_consistency", wave=5),
    BeamSearch(n=6, beam_width=2, sampling=STEPS),
    BeamSearch(n=5, beam_width=4, max_iterations=3, sampling=STEPS),
    DiverseVerifierTreeSearch(n=6, beam_width=2, sampling=STEPS),
    DiverseVerifierTreeSearch(n=4, beam_width=4, max_iterations=2, sampling=STEPS),
)
STEP_WISE = [strategy for strategy in STRATEGIES if strategy.name != "sample"]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: f"{s.name}-{s.n}")
async def test_contract(strategy: Strategy, check: Check) -> None:
    await check(strategy)


def scripted(*scores: tuple[str, float]) -> ScriptedVerifier:
    """Scores a step by the first word of the table that its text holds; 0.5 otherwise."""

    def script(_problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        return tuple(next((s for word, s in scores if word in text), 0.5) for text in texts)

    return ScriptedVerifier(script)


def numbered(prefix: Prefix, seed: int) -> str:
    """Steps "a", then "b", ...; ends with the fourth."""
    rng = drawn(prefix.key, seed)
    name = "abcd"[min(prefix.depth, 3)]
    mark = rng.choice(["good", "bad", "fair"])
    if prefix.depth >= 3:
        return f"{name} {mark}. The answer is {rng.randint(0, 3)}."
    return f"{name} {mark}\n\nmore"


JUDGE = scripted(("good", 0.9), ("bad", 0.1))


async def test_beam_search_keeps_the_best_and_expands_to_n() -> None:
    strategy = BeamSearch(n=8, beam_width=4, sampling=STEPS)
    trace = await World(script=numbered, verifiers=(JUDGE,)).solve(strategy)
    for depth in (1, 2, 3, 4):
        level = [node for node in trace.nodes if len(node.path) == depth]
        assert len(level) == 8
        kept = {
            d.paths[0] for d in trace.decisions if d.kind == "kept" and len(d.paths[0]) == depth
        }
        if depth < 4:
            assert len(kept) == 2
            worst_kept = min(n.scores["scripted"][-1] for n in level if n.path in kept)  # type: ignore[index]
            best_pruned = max(n.scores["scripted"][-1] for n in level if n.path not in kept)  # type: ignore[index]
            assert worst_kept >= best_pruned
            children = {n.path[:-1] for n in trace.nodes if len(n.path) == depth + 1}
            assert children == kept
    assert len(trace.candidates) == 8


async def test_beam_search_prunes_when_n_is_below_the_width() -> None:
    """The reference keeps every beam then: a slice of `-0:`."""
    trace = await World(script=numbered, verifiers=(JUDGE,)).solve(
        BeamSearch(n=3, beam_width=4, sampling=STEPS)
    )
    kept = [d for d in trace.decisions if d.kind == "kept" and len(d.paths[0]) == 1]
    assert len(kept) == 1


async def test_beam_search_spreads_the_width_over_fewer_beams() -> None:
    """Two of three beams end at once: the last one is expanded to all of n."""

    def script(prefix: Prefix, seed: int) -> str:
        if prefix.depth == 0:
            return "go on\n\nx" if drawn(seed).random() < 0.3 else "The answer is 1."
        return "The answer is 2."

    trace = await World(script=script, verifiers=(JUDGE,), options=SessionOptions(seed=2)).solve(
        BeamSearch(n=6, beam_width=1, sampling=STEPS)
    )
    active = [n for n in trace.nodes if len(n.path) == 1 and n.ended == "separator"]
    assert 0 < len(active) < 6
    assert sum(len(node.path) == 2 for node in trace.nodes) == 6


async def test_beam_search_stops_when_n_are_finished() -> None:
    """The reference searches on until iteration 40 as long as one beam is active."""

    def script(prefix: Prefix, seed: int) -> str:
        return "on\n\nx" if drawn(prefix.key, seed).random() < 0.5 else "The answer is 1."

    trace = await World(script=script).solve(BeamSearch(n=4, beam_width=2, sampling=STEPS))
    finished = [n for n in trace.nodes if n.ended == "eos"]
    assert len(trace.candidates) == 4 <= len(finished)
    deepest = max(len(node.path) for node in trace.nodes)
    assert sum(len(n.path) < deepest for n in finished) < 4


async def test_beam_search_keeps_the_best_candidates_not_the_first() -> None:
    """The reference keeps them in order of completion."""

    def script(prefix: Prefix, seed: int) -> str:
        rng = drawn(prefix.key, seed)
        if prefix.depth == 0 and rng.random() < 0.5:
            return "bad. The answer is 1."
        return "on\n\nx" if prefix.depth == 0 else "good. The answer is 2."

    trace = await World(script=script, verifiers=(JUDGE,)).solve(
        BeamSearch(n=6, beam_width=3, sampling=STEPS)
    )
    assert {c.answer.raw for c in trace.candidates if c.answer} == {"2"}
    assert any(d.kind == "pruned" and "finished" in d.reason for d in trace.decisions)


async def test_fewer_candidates_than_n_are_not_copied() -> None:
    """The reference repeats them to n, so that copies vote."""
    replies = [Reply("", error="out of memory"), Reply("The answer is 1."), Reply("And 2.")]
    trace = await World(script=lambda _p, _s: replies.pop(0)).solve(
        BeamSearch(n=3, beam_width=3, max_iterations=1, sampling=STEPS)
    )
    assert [candidate.path for candidate in trace.candidates] == [(1,), (2,)]


async def test_a_truncated_solution_is_complete_and_counted() -> None:
    """The reference never sees "length", and tells -1 or 0 completion tokens."""
    sampling = Sampling(separator="\n\n", max_tokens=5)
    trace = await World(script=lambda _p, _s: "one two three\n\nfour").solve(
        BeamSearch(n=2, beam_width=2, sampling=sampling)
    )
    assert {c.ended for c in trace.candidates} == {"length"}
    assert {c.tokens for c in trace.candidates} == {5}
    assert all(c.text == "one two three\n\none two " for c in trace.candidates)


async def test_a_step_at_its_limit_goes_on() -> None:
    sampling = Sampling(separator="\n\n", max_step_tokens=2, max_tokens=10)
    trace = await World(script=lambda p, _s: "a b c" if p.depth < 2 else "d.").solve(
        BeamSearch(n=1, beam_width=1, sampling=sampling)
    )
    assert [node.ended for node in trace.nodes] == ["step_length", "step_length", "eos"]


async def test_an_empty_step_ends_the_solution_and_is_not_scored() -> None:
    """Three of the reference's verifiers score the empty trailing step as the last one."""

    def script(prefix: Prefix, _seed: int) -> str:
        return "good. The answer is 7.\n\nrest" if prefix.depth == 0 else "\n\nrest"

    trace = await World(script=script, verifiers=(JUDGE,)).solve(
        BeamSearch(n=1, beam_width=1, sampling=STEPS)
    )
    (candidate,) = trace.candidates
    assert candidate.scores["scripted"] == (0.9,)
    assert trace.answer == "7"


async def test_the_last_iteration_generates_to_the_end() -> None:
    trace = await World(script=lambda _p, _s: "a\n\nb\n\nThe answer is 3.").solve(
        BeamSearch(n=2, beam_width=2, max_iterations=1, sampling=STEPS)
    )
    assert all(c.text == "a\n\nb\n\nThe answer is 3." for c in trace.candidates)
    assert all(len(scores) == 3 for c in trace.candidates for scores in c.scores.values() if scores)


async def test_a_subtree_ends_with_the_step_that_states_the_answer() -> None:
    trace = await World(script=lambda _p, _s: "The answer is 1.\n\nmore").solve(
        DiverseVerifierTreeSearch(n=4, beam_width=2, sampling=STEPS)
    )
    assert [node.path for node in trace.nodes] == [(0,), (1,), (2,), (3,)]
    assert {node.ended for node in trace.nodes} == {"separator"}
    assert trace.answer == "1"


async def test_unscored_beams_are_never_kept_over_scored_ones() -> None:
    def script(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...] | ScoreFailure:
        return ScoreFailure("no label") if "bad" in texts[-1] else judged(problem, texts)

    trace = await World(script=numbered, verifiers=(ScriptedVerifier(script),)).solve(
        BeamSearch(n=8, beam_width=2, sampling=STEPS)
    )
    nodes = {node.path: node for node in trace.nodes}
    assert any(node.scores["scripted"] is None for node in trace.nodes)
    kept = [d.paths[0] for d in trace.decisions if d.kind == "kept"]
    assert all(nodes[path].scores["scripted"] is not None for path in kept)


async def test_a_whole_ranking_unscored_keeps_the_lowest_and_says_so() -> None:
    broken = ScriptedVerifier(lambda _p, _t: ScoreFailure("down"))
    for strategy in STEP_WISE:
        trace = await World(script=numbered, verifiers=(broken,)).solve(strategy)
        assert any(d.kind == "unscored" for d in trace.decisions), strategy.name
        first = [d.paths[0] for d in trace.decisions if d.kind == "kept" and len(d.paths[0]) == 1]
        assert (0,) in first
        assert trace.answer is None  # weighted voting has no scored candidate


async def test_dvts_grows_subtrees_apart_and_yields_all_siblings() -> None:
    strategy = DiverseVerifierTreeSearch(n=6, beam_width=3, sampling=STEPS)
    trace = await World(script=numbered, verifiers=(JUDGE,)).solve(strategy)
    assert len(trace.candidates) == 6
    assert {node.path[0] // 3 for node in trace.nodes} == {0, 1}
    assert all(candidate.answer for candidate in trace.candidates)


async def test_dvts_completes_unfinished_siblings() -> None:
    """The reference returns them as they are (its issue 57)."""

    def script(prefix: Prefix, seed: int) -> str:
        if prefix.depth == 0 and drawn(seed).random() < 0.7:
            return "good. The answer is 1."
        return "fair\n\nmore" if prefix.depth == 0 else "The answer is 2."

    trace = await World(script=script, verifiers=(JUDGE,)).solve(
        DiverseVerifierTreeSearch(n=8, beam_width=8, sampling=STEPS)
    )
    assert {len(c.path) for c in trace.candidates} == {1, 2}
    assert all(c.answer for c in trace.candidates)
    assert all(node.tokens for node in trace.nodes)


async def test_dvts_keeps_the_siblings_that_are_complete_where_no_step_can_be_drawn() -> None:
    """The best of them goes on, and the budget is over."""

    def script(prefix: Prefix, seed: int) -> str:
        return "The answer is 7." if drawn(seed).random() < 0.5 else "good\n\nmore"

    options = SessionOptions(seed=3, budget=Budget(generations=4))
    trace = await World(script=script, verifiers=(JUDGE,), options=options).solve(
        DiverseVerifierTreeSearch(n=4, beam_width=4, sampling=STEPS)
    )
    complete = [node.path for node in trace.nodes if node.ended == "eos"]
    assert 0 < len(complete) < len(trace.nodes) == 4
    assert [candidate.path for candidate in trace.candidates] == complete
    assert [d.paths[0] for d in trace.decisions if d.kind == "finished"] == complete
    assert (trace.answer, trace.stopped) == ("7", "budget")


async def test_a_larger_dvts_repeats_the_smaller_ones_subtrees() -> None:
    small = await World().solve(DiverseVerifierTreeSearch(n=2, beam_width=2, sampling=STEPS))
    large = await World().solve(DiverseVerifierTreeSearch(n=6, beam_width=2, sampling=STEPS))
    assert {n.path for n in small.nodes} <= {n.path for n in large.nodes}
    texts = {node.path: node.text for node in large.nodes}
    assert all(texts[node.path] == node.text for node in small.nodes)


async def test_more_samples_repeat_the_fewer() -> None:
    small = await World().solve(RepeatedSampling(n=3))
    large = await World(5).solve(RepeatedSampling(n=9))
    assert large.nodes[:3] == small.nodes


async def test_sampling_needs_no_verifier() -> None:
    trace = await World(verifiers=()).solve(RepeatedSampling(n=4))
    assert trace.answer is not None
    assert all(node.scores == {} for node in trace.nodes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepeatedSampling(n=0), "`n` must be at least 1, got 0"),
        (
            lambda: BeamSearch(beam_width=0, sampling=STEPS),
            "`beam_width` must be at least 1, got 0",
        ),
        (lambda: BeamSearch(sampling=Sampling()), "`sampling.separator` must be a string"),
        (
            lambda: DiverseVerifierTreeSearch(n=5, beam_width=2),
            "multiple of `beam_width` = 2, got 5",
        ),
        (lambda: DiverseVerifierTreeSearch(sampling=Sampling()), "the search goes by steps"),
        (lambda: DiverseVerifierTreeSearch(max_iterations=0), "`max_iterations` must be"),
    ],
)
def test_bad_knobs_are_named(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


def budgets(count: int) -> list[tuple[int, int, Budget]]:
    """Random budgets of every counting kind, with a strategy and a run seed each."""
    rng = random.Random(11)
    kinds = ("generations", "generated_tokens", "total_tokens")
    most = {"generations": 30, "generated_tokens": 500, "total_tokens": 700}
    found = []
    for _ in range(count):
        chosen = rng.sample(kinds, rng.randint(1, 2))
        limits = {kind: rng.randint(1, most[kind]) for kind in chosen}
        found.append((rng.randrange(len(STRATEGIES)), rng.randrange(1000), Budget(**limits)))
    return found


async def check_budgets(count: int) -> None:
    for number, (place, seed, budget) in enumerate(budgets(count)):
        options = SessionOptions(seed=seed, budget=budget)
        judge = ScriptedVerifier(judged, tokens=number % 3 * 10)
        traces = [
            await World(order, script=fails_sometimes, verifiers=(judge,), options=options).solve(
                STRATEGIES[place]
            )
            for order in (2 * number + 1, 2 * number + 2)
        ]
        assert traces[0].digest() == traces[1].digest(), (place, seed, budget)
        generated = sum(node.tokens or 0 for node in traces[0].nodes)
        assert generated <= (budget.generated_tokens or generated)
        assert len(traces[0].nodes) <= (budget.generations or len(traces[0].nodes))
        prompt = max((n.prompt_tokens or 0 for n in traces[0].nodes if not n.parent), default=0)
        assert generated + prompt <= (budget.total_tokens or generated + prompt)


async def test_random_budgets_hold_in_any_completion_order() -> None:
    await check_budgets(60)


@pytest.mark.long
async def test_a_thousand_random_budgets_hold() -> None:
    await check_budgets(1000)
