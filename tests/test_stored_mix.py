"""Scores mixed from those that a run's candidates have: no model is called."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ponder.errors import StoreError, UsageError
from ponder.evals.rescore import billed, rescore
from ponder.evals.score_many import Scorer
from ponder.evals.stored_mix import Part, mix_stored, sharpened
from ponder.runner import Job, run
from ponder.session import Slots
from ponder.store import AddedScores, RunReader, RunStore, fingerprint
from ponder.strategies.sample import RepeatedSampling
from ponder.types import ScoreFailure, StepScores
from ponder.verifiers.base import Verifier
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import World
from tests.resumed_run import examples
from tests.test_cli import failing, ponder
from tests.test_rescore import KNOWING, POOL, pool_run, reopened

TELLING = ScriptedVerifier(lambda _, texts: [0.5] * len(texts), name="telling", tokens=2)
WHOLE = ScriptedVerifier(lambda _, texts: [len(texts)], scores="solution", low=0, high=8, name="w")


async def test_a_stored_mix_is_the_mix_of_the_verifiers(tmp_path: Path) -> None:
    """Own and added scores, of steps and of solutions, on ranges of their own."""
    world = World(verifiers=[ConfidenceVerifier()])
    parts: list[tuple[Verifier, float]] = [
        (ConfidenceVerifier(), 2.0),
        (RandomVerifier(), 1.0),
        (WHOLE, 0.5),
    ]
    both = MixVerifier(parts)
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples(examples(3))
        store.set_provenance({"verifiers": [ConfidenceVerifier().info._asdict()]})
        method = world.method(RepeatedSampling(n=3))
        await run([Job(e.problem, method, store) for e in store.examples()], Slots(8))
        digests = store.digests()
        for verifier in (RandomVerifier(), WHOLE, both):
            await rescore(store, Scorer(verifier), verifier.info.name)
        stored = [Part("confidence", 2.0), Part("random", 1.0), Part("w", 0.5)]
        assert mix_stored(store, stored, "stored") == (9, 0, None)
        candidates = [c for trace in store.scored_traces() for c in trace.candidates]
        assert len(candidates) == 9
        for candidate in candidates:
            assert candidate.scores["stored"] == pytest.approx(candidate.scores["mix"])
        settings = store.score_sets()
        assert settings["stored"]["verifier"]["identity"] == both.info.identity  # type: ignore[index]
        assert store.digests() == digests


async def test_a_candidate_without_a_part_has_no_mixed_score(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        await rescore(store, Scorer(KNOWING), "a")
        await rescore(store, Scorer(RandomVerifier()), "b")
        text = "Sum.\n\nAnswer is 5"
        parts = [Part("a", 1), Part("b", 1)]
        failed = AddedScores(fingerprint(text), ScoreFailure("no opinion"))
        store.add_scores("b", {("p0", (1,)): failed})
        assert mix_stored(store, parts, "m") == (20, 1, "random: no opinion")
        (trace, *_) = store.scored_traces()
        assert trace.candidates[1].scores["m"] is None
        store.add_scores("b", {("p0", (1,)): AddedScores(fingerprint(text), StepScores((0, 1)))})
        assert mix_stored(store, parts, "m").failed == 0
        (trace, *_) = store.scored_traces()
        assert trace.candidates[1].scores["m"] == (0.0, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "step", "expected"),
    [(0, 10, 5, 0.25), (-1, 1, -1, 0), (0, 1, 0.5, 0.25), (-1, 1, 0, 0.25)],
)
async def test_a_product_is_of_step_scores_on_0_to_1(
    tmp_path: Path, low: float, high: float, step: float, expected: float
) -> None:
    rates = ScriptedVerifier(lambda _, texts: [step] * len(texts), low=low, high=high, name="r")
    with reopened(await pool_run(tmp_path)) as store:
        await rescore(store, Scorer(rates), "r")
        assert mix_stored(store, [Part("r", 1, "product")], "m").failed == 0
        (trace, *_) = store.scored_traces()
        assert trace.candidates[0].scores["m"] == pytest.approx((expected,))
    assert [len(c.scores["r"] or ()) for c in trace.candidates] == [2] * 4


async def test_imported_scores_count_on_0_to_1(tmp_path: Path) -> None:
    candidate = {"text": "Sum.\n\nAnswer is 4", "scores": {"prm": 0.25}, "correct": True}
    rows = [{**POOL[0], "candidates": [candidate]}]
    with reopened(await pool_run(tmp_path, rows)) as store:
        await rescore(store, Scorer(KNOWING), "a")
        mix_stored(store, [Part("a", 3), Part("prm", 1)], "m")
        (trace, *_) = store.scored_traces()
        assert trace.candidates[0].scores["m"] == (0.0625, 0.8125)


async def test_a_set_that_lacks_a_candidate_is_not_filled_up_with_the_runs_own_scores(
    tmp_path: Path,
) -> None:
    row = {**POOL[0], "candidates": [{"text": "=4", "scores": {"knowing": 0.5}, "correct": True}]}
    with reopened(await pool_run(tmp_path, [row])) as store:
        store.open_scores("a", {"verifier": KNOWING.info._asdict(), "separator": "\n\n"})
        assert mix_stored(store, [Part("a", 1)], "m") == (1, 1, "knowing: not scored")
        assert mix_stored(store, [Part("knowing", 1)], "n").failed == 0


async def test_a_part_may_count_with_one_number(tmp_path: Path) -> None:
    with reopened(await pool_run(tmp_path)) as store:
        await rescore(store, Scorer(KNOWING), "a")
        assert mix_stored(store, [Part("a", 1, "mean")], "m").failed == 0
        (trace, *_) = store.scored_traces()
        assert [c.scores["m"] for c in trace.candidates] == [(0.5,), (0.0,), (0.5,), (0.0,)]


@pytest.mark.parametrize(
    ("separators", "parts", "tokens"),
    [
        (("\n\n", "\n\n"), [Part("a", 1), Part("b", 1, "mean")], 4 * (2 + 3)),
        (("\n\n", " "), [Part("a", 1), Part("b", 1, "mean")], None),
        (("\n\n", " "), [Part("a", 1, "last"), Part("b", 1, "mean")], None),
        ((" ", "\n\n"), [Part("a", 1, "mean")], None),
    ],
)
async def test_tokens_of_other_steps_are_not_told(
    tmp_path: Path, separators: tuple[str, str], parts: list[Part], tokens: int | None
) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        for name, verifier, separator in zip("ab", (TELLING, KNOWING), separators, strict=True):
            await rescore(store, Scorer(verifier), name, separator=separator)
        assert mix_stored(store, parts, "m").failed == 0
        costs = [trace.spent.verifier for trace in billed(store, store.traces(), "m")]
    assert costs == [tokens] * len(POOL)


async def test_a_temperature_sharpens_within_a_problem(tmp_path: Path) -> None:
    chances = {"4": 0.002, "5": 0.001, "6": 0.0}
    whole = ScriptedVerifier(lambda _, texts: [chances[texts[-1][-1]]], scores="solution")
    with reopened(await pool_run(tmp_path)) as store:
        await rescore(store, Scorer(whole), "a")
        mix_stored(store, [Part("a", 1)], "sharp", 0.1)
        (trace, *_) = store.scored_traces()
        found = [c.scores["sharp"] for c in trace.candidates]
        assert found == [(1.0,), (pytest.approx(2**-10),), (1.0,), (0.0,)]
        assert str(store.score_sets()["sharp"]["verifier"]["identity"]).endswith("/0.1")  # type: ignore[index]
    nothing: list[StepScores | ScoreFailure] = [StepScores((0.0, 0.0)), ScoreFailure("no")]
    assert sharpened(nothing, 0.5) == nothing


async def test_what_cannot_be_mixed_is_said(tmp_path: Path) -> None:
    row = {**POOL[0], "candidates": [{"text": "=4", "scores": {"reward": -3.5}, "correct": True}]}
    with reopened(await pool_run(tmp_path, [row])) as store:
        await rescore(store, Scorer(KNOWING), "a")
        await rescore(store, Scorer(RandomVerifier()), "b", separator="\n")
        a = Part("a", 1)
        cases: list[tuple[list[Part], str, str]] = [
            ([a, Part("reward", 1)], "m", "tell no range, and -3.5 is outside 0 to 1"),
            ([a, Part("prm", 1)], "m", "has no scores 'prm': `ponder score` adds them"),
            ([a, Part("m", 1)], "m", "'m' is a part of the mix: give it another `--name`"),
            ([a, a], "m", "'a' is twice in the mix: give it once"),
            ([Part("a", 0)], "m", "the weight of 'a' in a mix must be over 0"),
            ([], "m", "a mix needs at least one part"),
            ([a], "reward", "'reward' names scores that candidates come with"),
            ([a], " ", "must be printable"),
        ]
        for parts, name, said in cases:
            with pytest.raises(UsageError, match=said):
                mix_stored(store, parts, name)
        with pytest.raises(UsageError, match="`--temperature` must be over 0, got 0"):
            mix_stored(store, [a], "m", 0)
        with pytest.raises(StoreError, match=r"different steps cannot be mixed: a by .* b by"):
            mix_stored(store, [a, Part("b", 1)], "m")
        mix_stored(store, [a, Part("b", 1, "last")], "m")  # one number of each goes with any steps
        assert set(store.score_sets()) == {"a", "b", "m"}


async def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        await rescore(store, Scorer(KNOWING), "a")
        await rescore(store, Scorer(RandomVerifier()), "b")
    words = ["score", folder, "--mix", "a=2", "--mix", "b:mean=1", "--temperature", 0.5]
    assert await asyncio.to_thread(ponder, *words) == 0
    assert capsys.readouterr().out == f"{folder}: 20 candidates mixed as mix\n"
    assert await asyncio.to_thread(ponder, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == 20
    with RunReader(folder) as reader:
        assert len(reader.added_scores("mix")) == 20
    for words, said in (
        (["score", folder], "give either --verifier or --mix NAME=WEIGHT"),
        (["score", folder, "--verifier", "a", "--mix", "a=1"], "either --verifier or --mix"),
        (
            ["score", folder, "--verifier", "random", "--temperature", 2],
            "--temperature 2 is for --mix",
        ),
        (["score", folder, "--mix", "a"], "`--mix` takes NAME=WEIGHT or NAME:mean=WEIGHT, got 'a'"),
        (["score", folder, "--mix", "a=x"], "or NAME:mean=WEIGHT, got 'a=x'"),
        (["score", folder, "--mix", "a=1", "--separator", "x"], "--separator are for --verifier"),
    ):
        status, line = failing(capsys, *words)
        assert status == 2
        assert said in line
