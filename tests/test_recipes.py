"""Recipes: read, changed, written, refused; parts by name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ponder.budget import Budget
from ponder.errors import UsageError
from ponder.evals.study import plans
from ponder.recipes import Recipe
from ponder.recipes.recipe import shipped_recipes
from ponder.recipes.registry import check_scored, open_engine, strategy_of, verifier_of
from ponder.recipes.toml import recipe_toml
from ponder.strategies import BeamSearch
from ponder.verifiers import ArithmeticVerifier, ConfidenceVerifier, FunctionVerifier, MixVerifier


def recipe(**study: object) -> Recipe:
    return Recipe().changed(study, {})


def test_a_recipe_survives_being_written() -> None:
    content = {
        "dataset": 'a "quoted" \\ name\n',
        "sampling": {"separator": "\n\n\x7f", "stop": ("a", "b")},
        "knobs": {"beam_width": 2, "odd key": 0.5, "guided": True},
        "ids": ("x",),
        "budget": {"generated_tokens": 400},
        "map": {"problem": "question"},
    }
    asked = recipe(**content).changed({}, {"threads": 2})
    assert Recipe.checked(tomllib.loads(recipe_toml(asked))) == asked


@pytest.mark.parametrize("tokens", [7, 1_000_000, 1_234_567, 123_456_789_012])
def test_a_budget_keeps_every_digit(tokens: int) -> None:
    asked = recipe(budget={"total_tokens": float(tokens), "seconds": 1234.5678})
    assert asked.study.budgets() == Budget(total_tokens=tokens, seconds=1234.5678)
    with pytest.raises(UsageError, match=f"must be a whole number, got '{tokens}.5'"):
        recipe(budget={"generations": tokens + 0.5})


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_whole(name: str) -> None:
    shipped = Recipe.load(Path(name))
    verifier = shipped.study.verifier
    assert verifier
    check_scored(strategy_of(shipped.study), [verifier_of(verifier, shipped.study.verifier_knobs)])


def test_tables_are_merged_and_lists_replaced() -> None:
    asked = recipe(sampling={"temperature": 0.1}).with_key("sampling.top_p", 0.9)
    assert (asked.study.sampling.temperature, asked.study.sampling.top_p) == (0.1, 0.9)
    assert asked.with_key("host.threads", 3).host.threads == 3
    assert asked.with_key("study.n", 7).study.n == 7


def test_another_strategy_or_verifier_drops_the_knobs() -> None:
    asked = recipe(strategy="dvts", knobs={"beam_width": 2}, verifier="random")
    asked = asked.changed({"verifier_knobs": {"seed": 3}}, {})
    assert asked.changed({"strategy": "dvts"}, {}).study.knobs == {"beam_width": 2}
    assert asked.changed({"strategy": "sample"}, {}).study.knobs == {}
    assert asked.changed({"verifier": "arithmetic"}, {}).study.verifier_knobs == {}
    assert asked.changed({"verifier": "random"}, {}).study.verifier_knobs == {"seed": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"study": {"nn": 3}}, "unknown key `study.nn`$"),
        ({"study": {"sedd": 3}}, "unknown key `study.sedd`: is it `study.seed`?$"),
        ({"host": {"eager": True}}, "unknown key `host.eager`: is it `host.vllm.eager`?$"),
        ({"study": {"n": 0}}, "`study.n` should be greater than or equal to 1, got 0"),
        (
            {"study": {"sampling": {"temp": 1}}},
            "`study.sampling.temp`: is it `study.sampling.temperature`?$",
        ),
        ({"study": {"budget": {"joules": 1}}}, "`study.budget` unknown budget 'joules'"),
        ({"study": {"engine": "gpt"}}, "`study.engine` should be 'embedded', 'openai'"),
    ],
)
def test_a_wrong_recipe_names_the_key(content: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[").replace("?", r"\?")):
        Recipe.checked(content)


def test_a_recipe_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read recipe .*nothing.toml: No such file"):
        Recipe.load(tmp_path / "nothing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[study\n")
    with pytest.raises(UsageError, match="is not TOML"):
        Recipe.load(broken)


def test_strategies_take_their_knobs() -> None:
    strategy = strategy_of(
        recipe(strategy="beam_search", n=6, knobs={"beam_width": 2}, aggregation="min").study
    )
    assert isinstance(strategy, BeamSearch)
    assert (strategy.n, strategy.beam_width, strategy.aggregation) == (6, 2, "min")


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"strategy": "magic"}, "unknown strategy 'magic': use one of sample, beam_search"),
        (
            {"strategy": "dvts", "knobs": {"width": 2}},
            "dvts has no knob 'width': it has beam_width",
        ),
        ({"selector": "best"}, "unknown selector 'best': use one of majority"),
    ],
)
def test_an_unknown_part_is_named(study: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        strategy_of(recipe(**study).study)


def test_a_search_without_scores_is_refused_early() -> None:
    study = recipe(strategy="beam_search").study
    with pytest.raises(UsageError, match="beam_search needs scores: name a `verifier`"):
        check_scored(strategy_of(study), [])
    guided = recipe(strategy="self_refine", knobs={"guided": True}).study
    with pytest.raises(UsageError, match="self_refine needs scores"):
        check_scored(strategy_of(guided), [])


def test_verifiers_by_name() -> None:
    assert verifier_of("arithmetic", {"sources": True}) == ArithmeticVerifier(sources=True)
    mixed = verifier_of("mix", {"arithmetic": {"weight": 2, "sources": True}, "confidence": 1})
    arithmetic = ArithmeticVerifier(sources=True)
    assert mixed == MixVerifier([(arithmetic, 2.0), (ConfidenceVerifier(), 1.0)])
    with pytest.raises(UsageError, match="weight of 'arithmetic' in a mix must be a number, got"):
        verifier_of("mix", {"arithmetic": {"sources": True}})
    assert isinstance(verifier_of("tests.playing:judged", {}), FunctionVerifier)
    with pytest.raises(UsageError, match="unknown verifier 'prm': use one of arithmetic"):
        verifier_of("prm", {})
    with pytest.raises(UsageError, match="random has no knob 'sead': it has name, seed"):
        verifier_of("random", {"sead": 1})


@pytest.mark.parametrize(
    ("name", "knobs", "says"),
    [
        ("random", {"seed": "x"}, "random: the knob 'seed' should be a valid integer, got 'x'"),
        (
            "judge",
            {"base_url": "u", "model": "m", "k": 2.5},
            "'k' should be a valid integer, got 2",
        ),
        ("value-head", {"threads": "many"}, "'threads' should be a valid integer, got 'many'"),
        ("reward-model", {"model": 5}, "'model' should be a valid string, got 5"),
        ("reward-model", {"model": "m", "cache_gb": "abc"}, "'cache_gb' should be a valid number"),
        ("mix", {"random": {"weight": 1, "seed": "x"}}, "'seed' should be a valid integer"),
        (
            "reward-server",
            {"base_url": "http://h/v1", "model": "m", "family": "skywork", "mode": "x"},
            "`mode` = classify",
        ),
    ],
)
def test_a_knob_of_the_wrong_type_is_named(name: str, knobs: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        verifier_of(name, knobs)
    assert says in str(refused.value)


async def test_scripted_engines_by_name() -> None:
    asked = recipe(engine="scripted", model="tests.playing:reasons").changed({}, {"slots": 3})
    engine = await open_engine(asked, print)
    assert engine.capabilities.slots == 3
    for model, message in (
        (None, "needs `model` = module:function"),
        ("no_such_module:x", "`scripted`: cannot load the function 'no_such_module:x': No module"),
        (":x", "`scripted`: a function is named as module:name, got ':x'"),
        (".mod:x", "`scripted`: a function is named by its module, as score:judge, got '.mod:x'"),
        ("math:pi", "`scripted` needs a function, got 'math:pi': 3.14"),
    ):
        with pytest.raises(UsageError, match=message):
            await open_engine(recipe(engine="scripted", model=model), print)
    with pytest.raises(UsageError, match="`openai` needs a `model`"):
        await open_engine(recipe(engine="openai"), print)


def test_seeds_are_named_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both name the seeds: leave one out"):
        plans(recipe(), tmp_path, {"seed": [10, 20]}, 2)


def test_sweeps_and_seeds_make_a_folder_each(tmp_path: Path) -> None:
    found = plans(recipe(), tmp_path, {"n": [4, 16], "sampling.top_p": [0.5]}, 2)
    names = [str(plan.folder.relative_to(tmp_path)) for plan in found]
    assert names == [
        "n=4/sampling.top_p=0.5/seed=0",
        "n=4/sampling.top_p=0.5/seed=1",
        "n=16/sampling.top_p=0.5/seed=0",
        "n=16/sampling.top_p=0.5/seed=1",
    ]
    assert [(p.recipe.study.n, p.recipe.study.seed) for p in found] == [
        (4, 0), (4, 1), (16, 0), (16, 1),
    ]  # fmt: skip
