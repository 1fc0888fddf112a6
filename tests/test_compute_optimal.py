"""Difficulty, policies, and the strategy that applies one."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.budget import Budget
from ponder.errors import UsageError
from ponder.recipes.recipe import Recipe, Study
from ponder.recipes.registry import check_fitted, strategy_of
from ponder.search.difficulty import agreement, edges_of, level_of, mean_score
from ponder.search.policy import Choice, Measure, Policy, fitted_on
from ponder.search.selection import Ballot
from ponder.session import SessionOptions
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.strategies.policy_file import load_policy, policy_toml
from ponder.types import Prefix
from ponder.verifiers.scripted import ScriptedVerifier
from tests.contracts.strategy_contract import CONTRACT, Check
from tests.playing import World, drawn

EASY = Choice("sample", 8, "majority")
MIDDLING = Choice("beam_search", 8, "weighted", {"beam_width": 2})
HARD = Choice("dvts", 8, "best_of_n", {"beam_width": 3})
POLICY = Policy(2, "score", "last", (0.8, 0.4), {8: (EASY, MIDDLING, HARD)})


def written(folder: Path, policy: Policy = POLICY) -> str:
    path = folder / "policy.toml"
    path.write_text(policy_toml(policy, "For a test."), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("level", [1, 2, 3])
async def test_contract(policy_file: str, tmp_path: Path, level: int, check: Check) -> None:
    """Whatever it chooses, it is a strategy like any other."""
    choice = POLICY.choices[8][level - 1]
    await check(
        ComputeOptimal(policy=written(tmp_path, replace(POLICY, choices={8: (choice,) * 3})))
    )


def steps(prefix: Prefix, seed: int) -> str:
    rng = drawn(prefix.key, seed)
    if prefix.depth < 2:
        return f"step {rng.randint(0, 99)}\n\nThe answer is {rng.randint(0, 2)}."
    return f"The answer is {rng.randint(0, 2)}."


@pytest.mark.parametrize(
    ("score", "level", "selector"),
    [(0.9, 1, "majority"), (0.8, 1, "majority"), (0.5, 2, "weighted"), (0.1, 3, "best_of_n")],
)
async def test_the_first_samples_choose_and_are_candidates(
    policy_file: str, score: float, level: int, selector: str
) -> None:
    flat = ScriptedVerifier(lambda _p, texts: [score for _ in texts])
    world = World(script=steps, verifiers=(flat,))
    trace = await world.solve(ComputeOptimal(policy=policy_file, n=8))
    assert (trace.strategy, trace.n, trace.selector) == ("compute_optimal", 8, selector)
    [note] = [decision for decision in trace.decisions if decision.kind == "note"]
    assert note.paths == ((0,), (1,))
    assert f"level {level} by a mean score of {score:g}" in note.reason
    assert POLICY.choices[8][level - 1].shown in note.reason
    assert {(0,), (1,)} <= {candidate.path for candidate in trace.candidates}
    roots = sorted(node.path[0] for node in trace.nodes if len(node.path) == 1)
    assert roots == list(range(8))  # two first ones, and six of each of the three strategies
    assert trace.spent.generated == sum(node.tokens or 0 for node in trace.nodes)


async def test_agreement_needs_no_verifier(tmp_path: Path) -> None:
    alike = Policy(3, "agreement", "last", (0.9,), {6: (EASY, EASY)})
    strategy = ComputeOptimal(policy=written(tmp_path, alike), n=6)
    assert strategy.selector == "majority"
    world = World(script=lambda _p, _s: "The answer is 7.", verifiers=())
    trace = await world.solve(strategy)
    assert trace.answer == "7"
    assert "level 1 by an agreement of 1" in trace.decisions[0].reason


async def test_its_budget_holds_before_and_after_the_choice(policy_file: str) -> None:
    rng = random.Random(3)
    for _ in range(20):
        options = SessionOptions(budget=Budget(generated_tokens=rng.randint(1, 400)), seed=1)
        strategy = ComputeOptimal(policy=policy_file, n=8)
        traces = [await World(order, options=options).solve(strategy) for order in (1, 2)]
        assert traces[0].digest() == traces[1].digest()
        assert (traces[0].spent.generated or 0) <= (options.budget.generated_tokens or 0)


def test_a_policy_comes_back_from_its_file(tmp_path: Path) -> None:
    knobs: dict[str, bool | int | float | str] = {
        "beam_width": 2,
        "wave": 3,
        "name": 'with "quotes"',
        "flag": True,
        "share": 0.25,
    }
    other = Policy(
        4,
        "agreement",
        "min",
        (0.5, 0.5),
        {16: (Choice("sample", 16, "majority", knobs),) * 3},
        {"engine": "vllm", "model": 'a "name"', "temperature": 0.7},
    )
    assert load_policy(Path(written(tmp_path, other))) == other
    assert load_policy(Path(written(tmp_path))) == POLICY


def test_a_policy_is_fitted_on_what_its_difficulty_depends_on() -> None:
    study = {
        "engine": "vllm",
        "model": "a/model",
        "prompt": "math",
        "verifier": "arithmetic",
        "sampling": {"temperature": 0.5, "top_p": 0.9},
        "n": 8,
    }
    assert fitted_on(study) == {
        "engine": "vllm",
        "model": "a/model",
        "prompt": "math",
        "verifier": "arithmetic",
        "temperature": 0.5,
    }
    assert fitted_on({"engine": "embedded", "model": None, "sampling": None}) == {
        "engine": "embedded"
    }


def test_a_policy_that_was_fitted_on_something_else_warns(tmp_path: Path) -> None:
    """Its edges are values of one verifier, on samples of one model, prompt and temperature."""
    study = Study(engine="embedded", verifier="arithmetic", sampling={"temperature": 0.5})
    fitted = fitted_on(study.model_dump())
    assert fitted["temperature"] == 0.5
    assert "model" not in fitted, "the engine's own default"
    strategy = ComputeOptimal(policy=written(tmp_path, replace(POLICY, fitted=fitted)))
    with warnings.catch_warnings(action="error"):
        check_fitted(strategy, study)
        check_fitted(ComputeOptimal(policy=written(tmp_path)), study)  # an older file says nothing
    strategy = ComputeOptimal(policy=written(tmp_path, replace(POLICY, fitted=fitted)))
    other = study.model_copy(update={"verifier": "random"})
    with pytest.warns(
        UserWarning, match=r"fitted with verifier 'arithmetic', not 'random': .*anew"
    ):
        check_fitted(strategy, other)


def bad(**changes: object) -> str:
    return "\n".join(f"{key} = {value}" for key, value in (GOOD | changes).items())


ROW = '{n = 8, level = 1, strategy = "sample", selector = "majority"}'
GOOD: dict[str, object] = {
    "samples": 2,
    "measure": '"score"',
    "edges": "[]",
    "choices": f"[{ROW}]",
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("samples = ", "is not TOML"),
        (bad(samples=0), "`samples` must be at least 1, got 0"),
        (bad(measure='"luck"'), "`measure`"),
        (bad(extra=1), "`extra`"),
        (bad(edges="[0.1, 0.5]"), "`edges` must fall, got"),
        (bad(edges="[0.5]"), "needs 2 choices for n = 8, got 1"),
        (bad(choices=f"[{ROW}, {ROW}]"), "two choices for n = 8 and level 1"),
        (bad(choices=f"[{ROW.replace('level = 1', 'level = 2')}]"), "leave out a level"),
        (bad(samples=8), "draws 8 samples first has nothing to choose at n = 8"),
        (bad(choices="[]"), "`choices`"),
        (bad(edges="[nan]"), "`edges.0`"),
        (bad(choices=f"[{ROW.replace('majority', 'oracle')}]"), "`choices.0.selector`"),
    ],
)
def test_a_wrong_policy_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"policy .*wrong\.toml") as caught:
        load_policy(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice("self_refine", 8, "majority"), "may choose sample, beam_search, dvts, not"),
        (Choice("sample", 8, "majority", {"stopping": "exact"}), "`stopping` is not fitted"),
        (Choice("beam_search", 8, "weighted", {"width": 2}), "it has no knob 'width'"),
        (Choice("beam_search", 8, "weighted", {"beam_width": "a"}), "must be a whole number, got"),
        (Choice("beam_search", 8, "weighted", {"beam_width": 0}), "`beam_width` must be at least"),
        (
            Choice("dvts", 8, "weighted", {"beam_width": 4}),
            "dvts, n = 8, beam_width = 4, weighted, with 6 left after the first samples: `n` must "
            "be a multiple of `beam_width` = 4, got 6",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_found_before_the_run(
    tmp_path: Path, choice: Choice, message: str
) -> None:
    file = written(tmp_path, Policy(2, "score", "last", (), {8: (choice,)}))
    with pytest.raises(UsageError, match=message):
        ComputeOptimal(policy=file, n=8)


def test_a_recipe_may_name_the_aggregation_of_the_policy_and_no_other(policy_file: str) -> None:
    assert ComputeOptimal(policy=policy_file, n=8, aggregation="last").table.aggregation == "last"
    with pytest.raises(UsageError, match="ranks by the last of the step scores, not by the min"):
        ComputeOptimal(policy=policy_file, n=8, aggregation="min")


def test_a_policy_fitted_with_the_shipped_recipe_runs_under_it(tmp_path: Path) -> None:
    """It ranks by the least score, as the recipe does."""
    row = (Choice("sample", 8, "majority"),)
    file = written(tmp_path, Policy(2, "score", "min", (), {8: row}))
    changes = {"strategy": "compute_optimal", "n": 8, "knobs": {"policy": file}}
    study = Recipe.shipped("grade-school").changed(changes, {}).study
    assert isinstance(strategy_of(study), ComputeOptimal)


def test_a_policy_is_needed_and_an_n_that_it_knows(policy_file: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the knob `policy`"):
        ComputeOptimal()
    with pytest.raises(UsageError, match="has choices for n = 8, not for 16"):
        ComputeOptimal(policy=policy_file, n=16)
    with pytest.raises(UsageError, match=r"cannot read the policy .*`ponder fit` writes one"):
        ComputeOptimal(policy=str(tmp_path / "none.toml"))


def test_equal_values_are_in_one_level() -> None:
    """Half of the problems always right, a third never: mass at 1 and 0."""
    values = [1.0] * 15 + [0.7, 0.6, 0.5, 0.4, 0.3] + [0.0] * 10
    edges = edges_of(values)
    assert edges == (1.0, 1.0, 0.5, 0.0)
    levels = [level_of(value, edges) for value in (1.0, 0.7, 0.6, 0.5, 0.0, -1.0, None)]
    assert levels == [1, 3, 3, 3, 4, 5, 5]


@given(
    values=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1),
    levels=st.integers(1, 6),
)
def test_levels_are_quantiles(values: list[float], levels: int) -> None:
    edges = edges_of(values, levels)
    assert len(edges) == levels - 1
    assert list(edges) == sorted(edges, reverse=True)
    for level in range(1, levels):
        easier = sum(level_of(value, edges) <= level for value in values)
        assert easier >= level * len(values) / levels  # at least its share, more only by ties
        strictly = sum(value > edges[level - 1] for value in values)
        assert strictly < level * len(values) / levels + 1


def test_what_difficulty_is_predicted_from() -> None:
    assert mean_score([0.5, None, 1.0]) == 0.75
    assert mean_score([None]) is None
    assert agreement(["a", "b", "a", None]) == 0.5
    assert agreement([None]) == 0.0
    assert agreement([]) is None
    votes = [Ballot("a", 0.2), Ballot("a", None)]
    measures: tuple[Measure, Measure] = ("score", "agreement")
    assert [Policy(1, m, "last", (), {}).value(votes) for m in measures] == [0.2, 1.0]
    with pytest.raises(ValueError, match=r"^no values to take quantiles of$"):
        edges_of([])


def test_a_problem_of_which_nothing_is_known_is_the_hardest() -> None:
    assert POLICY.choose(8, [Ballot("a", None)]) == (3, None, HARD)
