"""What solving cost on every axis, and where a run stops spending."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from ponder.errors import UsageError
from ponder.evals.costs import Axis, Costing, cost_on, flops, mean_costs, money, total_tokens
from ponder.evals.limits import SpendingLimit
from ponder.evals.problem_cost import ProblemCost
from ponder.recipes import Recipe
from ponder.recipes.costing import ModelSize, Prices
from ponder.recipes.toml import recipe_toml
from ponder.report.progress import MethodsProgress
from ponder.runner import Job, run
from ponder.session import Slots
from ponder.store.reading import RunReader
from ponder.store.run import RunStore
from ponder.strategies.sample import RepeatedSampling
from ponder.trace import Node, Spent, Trace
from ponder.types import NodePath, Prefix, Problem
from tests.playing import World
from tests.test_cli import PLAY, data, failing, ponder  # noqa: F401  a fixture among them


def node(path: NodePath, prompt: int | None, tokens: int | None, *, begins: bool = False) -> Node:
    parent = () if begins else path[:-1]
    return Node(path, parent, "text", "eos", tokens=tokens, prompt_tokens=prompt)


def trace(*nodes: Node, verifier: int | None = 0, cached: int | None = None) -> Trace:
    """A search of these nodes: prompts summed over samples, as engines tell them."""
    prompts = [n.prompt_tokens for n in nodes]
    tokens = [n.tokens for n in nodes]
    spent = Spent(
        generated=None if None in tokens else sum(t or 0 for t in tokens),
        prompt=None if None in prompts else sum(p or 0 for p in prompts),
        cached=cached,
        verifier=verifier,
        wasted=5,
        calls=len(nodes),
        seconds=2.0,
    )
    return Trace("p", "beam_search", nodes, (), (), None, None, spent)


TREE = trace(node((0,), 10, 4), node((1,), 10, 6), node((0, 0), 14, 3), verifier=20)


def test_total_tokens_count_each_node_of_the_tree_once() -> None:
    cost = ProblemCost.of(TREE)
    assert (cost.prompt, cost.generated, cost.verifier) == (10, 13, 20)
    assert total_tokens(cost) == 10 + 13 + 20
    assert cost.read == 34
    feedback = trace(node((0,), 10, 4), node((0, 0), 30, 5, begins=True))
    assert total_tokens(ProblemCost.of(feedback)) == 10 + 4 + 30 + 5


def test_flops_are_two_a_parameter_and_token_of_each_model() -> None:
    costing = Costing(ModelSize(parameters=1000), ModelSize(parameters=70))
    assert flops(ProblemCost.of(TREE), costing) == 2 * 1000 * 23 + 2 * 70 * 20


def test_attention_counts_every_token_that_is_looked_back_at() -> None:
    """By hand: position k of a sequence looks back at k tokens, 4 x layers x width each."""
    looked = sum(range(1, 11))  # the prompt, once
    looked += sum(range(11, 15)) + sum(range(11, 17)) + sum(range(15, 18))
    size = ModelSize(parameters=1000, layers=3, width=8)
    own = flops(ProblemCost.of(trace(*TREE.nodes)), Costing(size))
    assert own == pytest.approx(2 * 1000 * 23 + 4 * 3 * 8 * looked)
    both = flops(ProblemCost.of(TREE), Costing(size, size))
    assert both == pytest.approx((own or 0) * (23 + 20) / 23)


def test_what_is_not_told_is_not_counted_as_nothing() -> None:
    untold = ProblemCost.of(trace(node((0,), None, 4)))
    assert total_tokens(untold) is None
    assert flops(untold, Costing(ModelSize(parameters=1000))) is None
    assert flops(ProblemCost.of(TREE), Costing()) is None
    assert flops(ProblemCost.of(TREE), Costing(ModelSize(parameters=1000))) is None
    unscored = ProblemCost.of(trace(*TREE.nodes))
    assert flops(unscored, Costing(ModelSize(parameters=1000))) == 2 * 1000 * 23
    means = mean_costs([ProblemCost.of(TREE), untold], Costing())
    assert means["generated_tokens"] == (13 + 4) / 2
    assert means["total_tokens"] is None


def test_money_is_what_a_server_bills() -> None:
    cost = ProblemCost.of(trace(*TREE.nodes, verifier=20, cached=24))
    million = 1e6
    prices = Prices(prompt=2 * million, generated=3 * million, verifier=1 * million)
    assert money(cost, prices) == pytest.approx(34 * 2 + (13 + 5) * 3 + 20)
    reduced = prices.model_copy(update={"cached": million})
    assert money(cost, reduced) == pytest.approx(10 * 2 + 24 + (13 + 5) * 3 + 20)
    assert money(cost, Prices()) is None
    untold = ProblemCost.of(trace(node((0,), None, 4)))
    assert money(untold, prices) is None
    assert money(untold, Prices(generated=million)) == 4 + 5


def test_a_part_of_the_samples_shares_all_but_the_prompt() -> None:
    cost = ProblemCost.of(trace(*(node((i,), 10, 6) for i in range(4)), verifier=40))
    half = cost.of_samples(2, 4)
    assert (half.generations, half.generated, half.prompt, half.verifier) == (2, 12, 10, 20)
    assert (total_tokens(half), half.seconds) == (42, None)
    assert cost.of_samples(4, 4) == cost
    assert cost.of_samples(1, 0) == cost


def test_sizes_and_prices_are_part_of_a_recipe_only_where_given() -> None:
    plain = Recipe()
    assert "size" not in plain.study.model_dump()
    assert "prices" not in plain.host.model_dump()
    told = plain.with_key("size.parameters", 1.24e9).with_key("host.prices.generated", 0.6)
    assert told.study.size == ModelSize(parameters=1_240_000_000)
    written = recipe_toml(told)
    assert "[study.size]\nparameters = 1240000000" in written
    assert "[host.prices]" in written
    with pytest.raises(ValidationError):
        Prices(generated=-1)


def test_a_given_size_goes_before_that_of_the_weights() -> None:
    provenance = {"engine": {"parameters": 500}}
    assert Costing.of({}, {}, provenance, {}).size == ModelSize(parameters=500)
    given = {"size": {"parameters": 7, "layers": 2, "width": 4}}
    assert Costing.of(given, {}, provenance, {}).size.parameters == 7
    shaped = {"size": {"layers": 2, "width": 4}}
    assert Costing.of(shaped, {}, provenance, {}).size == ModelSize(
        parameters=500, layers=2, width=4
    )
    host = {"prices": {"prompt": 1.0, "generated": 2.0}}
    assert Costing.of({}, host, {}, {"generated": 3.0}).prices == Prices(prompt=1, generated=3)


def test_the_report_tells_costs_at_every_n_and_each_level(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run", *PLAY, "--dataset", data, "--n", 4, "-o", tmp_path / "run", "--json"]
    assert ponder(*words) == 0
    assert json.loads(capsys.readouterr().out)["costs"]["4"]["flops"] is None
    assert ponder(*words, "--set", "size.parameters=1000") == 0  # told later
    report = json.loads(capsys.readouterr().out)
    assert list(report["costs"]) == ["1", "2", "4"]
    for n, costs in report["costs"].items():
        assert costs["generations"] == int(n)
        point = report["curves"]["majority"][n]
        assert costs["generated_tokens"] == pytest.approx(point["tokens"])
        assert costs["flops"] == pytest.approx(2000 * costs["total_tokens"])
        assert costs["money"] is None
    assert report["costs"]["1"]["seconds"] is None
    assert report["costs"]["4"]["seconds"] > 0
    assert list(report["levels"]) == ["1", "2"]
    parts = [part["curves"]["oracle"]["4"]["accuracy"] for part in report["levels"].values()]
    whole = report["curves"]["oracle"]["4"]["accuracy"]
    assert sum(parts) / 2 == pytest.approx(whole)
    assert (report["subjects"], report["subtrees"]) == ({}, None)


def test_the_report_at_chosen_n_by_level_and_at_prices(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert ponder("run", *PLAY, "--dataset", data, "--n", 4, "-o", run) == 0
    capsys.readouterr()
    words = ["report", run, "--n", "3,4", "--price", "generated=2", "--price", "prompt=1"]
    assert ponder(*words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["curves"]["majority"]) == ["3", "4"] == list(report["costs"])
    assert list(report["first_n"]["majority"]) == ["3", "4"]
    paid, tokens = report["costs"]["4"]["money"], report["costs"]["4"]["generated_tokens"]
    assert paid > 2 * tokens / 1e6
    assert ponder(*words, "--by", "subject") == 0
    shown = capsys.readouterr().out
    assert "the data set tells no subject" in shown
    assert "mean cost of a problem" in shown
    assert ponder(*words, "--by", "level") == 0
    assert "level   method" in capsys.readouterr().out
    status, line = failing(capsys, "report", run, "--n", "8")
    assert (status, "N must be 1 to 4, the samples of a problem, got 8" in line) == (2, True)
    status, line = failing(capsys, "report", run, "--n", "many")
    assert (status, "`--n` takes whole numbers, got 'many'" in line) == (2, True)
    status, line = failing(capsys, "report", run, "--price", "tokens=1")
    assert (status, "no kind 'tokens': use one of prompt" in line) == (2, True)
    status, line = failing(capsys, "report", run, "--price", "prompt=-1")
    assert (status, "must be at least 0, got -1" in line) == (2, True)


def test_a_dvts_is_reported_by_whole_subtrees(
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    words = ["run", *PLAY, "--dataset", data, "--strategy", "dvts", "--verifier", "random"]
    assert ponder(*words, "--n", 8, "--set", "knobs.beam_width=2", "-o", run, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["curves"]["weighted"]) == ["8"]
    assert report["subtrees"]["width"] == 2
    assert list(report["subtrees"]["curves"]["weighted"]) == ["2", "4", "8"]
    whole, cut = report["curves"]["oracle"]["8"], report["subtrees"]["curves"]["oracle"]["8"]
    assert cut["accuracy"] == whole["accuracy"]
    assert cut["tokens"] == whole["tokens"]
    assert ponder("report", run) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cut by whole subtrees of 2, not by candidates" in shown
    assert "a tie of k counts 1/k; the search's own choice" in shown
    status, line = failing(capsys, "report", run, "--n", "4")
    assert (status, "search, which has one N, 8: run it again for N = 4" in line) == (2, True)


def test_a_limit_counts_what_is_finished_and_sets_stop_once_it_is_reached() -> None:
    limit = SpendingLimit(tokens=90)
    limit.count(TREE)  # 10 + 13 + 20, and 5 wasted
    assert (limit.spent_tokens, limit.stop.is_set()) == (48, False)
    limit.count(TREE)
    assert limit.reached == "96 tokens are spent, the limit is 90"
    paid = SpendingLimit(money=1e-4, prices=Prices(generated=5))
    paid.count(TREE)
    assert paid.spent_money == pytest.approx((13 + 5) * 5e-6)
    assert not paid.stop.is_set()
    paid.count(TREE)
    assert paid.reached == "0.00018 is spent, the limit is 0.0001"
    assert SpendingLimit().reached is None


def test_samples_of_open_problems_count_until_their_problem_does() -> None:
    limit = SpendingLimit(tokens=60)
    with MethodsProgress(Console(file=io.StringIO())) as progress:
        observer = limit.watching(progress.method("run", 2), [])
        for own in (*TREE.nodes, TREE.nodes[0]):  # scores came: the same sample again
            observer.on_node("p", own)
        assert limit.open_tokens == 13
        observer.on_problem_done("p", TREE)
        assert (limit.open_tokens, limit.spent_tokens) == (0, 48)
        assert not limit.stop.is_set()
        observer.on_node("q", node((0,), 10, 12))
        assert limit.stop.is_set()
        again = limit.watching(progress.method("run", 1), [TREE])
        assert limit.spent_tokens == 96
        again.on_problem_done("p", trace(*TREE.nodes, node((2,), 10, 1), verifier=20))
        assert limit.spent_tokens == 97  # solved again with a sample more: counted once


@pytest.mark.parametrize("kind", ["--max-tokens-total", "--max-cost"])
def test_a_run_opens_no_problem_that_the_limit_has_no_room_for(
    kind: str,
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    words: list[object] = ["run", *PLAY, "--dataset", data, "--n", 2, "--set", "host.slots=32"]
    words += ["--price", "generated=1000000", "--json"]
    assert ponder(*words, "-o", tmp_path / "all") == 0
    capsys.readouterr()
    axis: Axis = "total_tokens" if kind == "--max-tokens-total" else "money"
    bills = _bills(tmp_path / "all", axis)
    limit = bills[0] * 1.5  # the second is expected to take as much as the first
    assert ponder(*words, "-o", tmp_path / "some", kind, int(limit)) == 1
    says = capsys.readouterr().err
    spent = _bills(tmp_path / "some", axis)
    assert spent == bills[:1]
    assert re.search(r"(is|are) spent, another problem (takes|costs) about .*, the limit is", says)
    assert "the same command goes on with a larger limit" in says
    assert ponder(*words, "-o", tmp_path / "some", kind, int(limit)) == 1
    assert _bills(tmp_path / "some", axis) == spent
    assert ponder(*words, "-o", tmp_path / "some", kind, int(sum(bills) * 3)) == 0
    assert sorted(_bills(tmp_path / "some", axis)) == sorted(bills)


async def test_free_slots_open_no_problems_that_the_limit_has_no_room_for(tmp_path: Path) -> None:
    """All could be open at once: the engine has a slot for each of their samples."""
    each = (await _spent(tmp_path / "all", None))[0]
    assert await _spent(tmp_path / "enough", int(12 * each)) == [each] * 12
    assert await _spent(tmp_path / "some", int(4.5 * each)) == [each] * 4
    assert await _spent(tmp_path / "none", 1) == [each]


async def _spent(folder: Path, tokens: int | None) -> list[float]:
    """All tokens of each problem of a run with this limit."""
    limit, world = SpendingLimit(tokens=tokens), World(order=1, script=_equal, slots=64)
    method = world.method(RepeatedSampling(n=4))
    with (
        MethodsProgress(Console(file=io.StringIO())) as progress,
        RunStore.open(folder, study={}, host={}, recipe_toml="") as store,
    ):
        watch = limit.watching(progress.method("run", 12), [])
        jobs = [Job(Problem.ask("?", f"p{n}"), method, store, watch) for n in range(12)]
        await run(jobs, Slots(64), limit.stop, limit)
    return _bills(folder, "total_tokens")


def _equal(prefix: Prefix, seed: int) -> str:
    """Every sample is as long as any other."""
    return "Count them one by one. The answer is 4."


def _bills(folder: Path, axis: Axis) -> list[float]:
    costing = Costing(prices=Prices(generated=1e6))
    with RunReader(folder) as reader:
        told = [cost_on(ProblemCost.of(trace), axis, costing) for trace in reader.traces()]
    return [cost for cost in told if cost is not None]


async def test_a_problem_waits_until_the_open_ones_leave_room(tmp_path: Path) -> None:
    done = replace(TREE, strategy="sample", n=4)  # takes 48
    limit, method = SpendingLimit(tokens=150), World().method(RepeatedSampling(n=4))
    with RunStore.open(tmp_path / "run", study={}, host={}, recipe_toml="") as store:
        jobs = [Job(Problem.ask("?", name), method, store) for name in "abcd"]
        await limit.admitted(jobs[0])  # nothing is known, and nothing is open
        second = await started(limit.admitted(jobs[1]))
        assert not second.done()
        limit.count(done)
        limit.finished(jobs[0])
        await second
        assert not limit.stop.is_set()
        await limit.admitted(jobs[2])  # 48 spent, 48 open and 48 more are 144
        fourth = await started(limit.admitted(jobs[3]))
        assert not fourth.done()
        for _ in range(2):
            limit.count(done)
            limit.finished(jobs[0])
        await fourth
    assert limit.stop.is_set()
    assert limit.reached == (
        "144 tokens are spent, another problem takes about 48, the limit is 150"
    )


async def started(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that came to where it waits, if it waits."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


def test_a_limit_that_cannot_be_kept_stops_the_run() -> None:
    limit = SpendingLimit(tokens=1_000_000)
    limit.count(trace(node((0,), None, 4)))
    assert limit.stop.is_set()
    assert "does not tell its tokens" in str(limit.reached)
    with pytest.raises(UsageError, match="`--max-cost` needs prices"):
        SpendingLimit(money=1.0)
    with pytest.raises(UsageError, match="`--max-tokens-total` must be over 0, got 0"):
        SpendingLimit(tokens=0)


@pytest.mark.parametrize("limits", [("--max-tokens-total",), ("--max-cost", "--price")])
def test_a_run_stops_at_its_limit_and_goes_on_with_a_larger_one(
    limits: tuple[str, ...],
    tmp_path: Path,
    data: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    words: list[object] = ["run", *PLAY, "--dataset", data, "--n", 4, "--set", "host.slots=1"]
    words += ["-o", run, "--json"]
    words += ["--price", "generated=1000000"] if "--price" in limits else []
    assert ponder(*words, limits[0], 1) == 1
    captured = capsys.readouterr()
    first = json.loads(captured.out)
    assert 1 <= first["n_problems"] < 6
    assert f"{first['n_problems']} of 6 problems are finished" in captured.err
    assert "the same command goes on with a larger limit" in captured.err
    assert ponder(*words, limits[0], 1) == 1  # what is spent already counts
    again = json.loads(capsys.readouterr().out)
    assert again["n_problems"] == first["n_problems"]
    assert ponder(*words, limits[0], 1_000_000) == 0
    assert json.loads(capsys.readouterr().out)["n_problems"] == 6
