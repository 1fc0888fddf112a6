"""Scores added to stored candidates: kept beside the traces, resumed, refused, reported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from ponder.cli import main
from ponder.errors import StoreError, UsageError, VerifierError
from ponder.evals.pool_runs import keep_pool
from ponder.evals.rescore import rescore
from ponder.evals.score_many import Answered, Asked, Batch, Scorer
from ponder.evals.stored_mix import Part, mix_stored
from ponder.evals.throughput import throughput
from ponder.evals.verifier_counts import Counted
from ponder.report.counting import CountingProgress
from ponder.report.views import load_run
from ponder.runner import Job, run
from ponder.session import Slots
from ponder.store import AddedScores, RunReader, RunStore, fingerprint
from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.strategies.self_refine import SelfRefine
from ponder.types import Prefix, Problem, Sampling, ScoreFailure, Step, StepScores
from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier, VerifierInfo, reads_question
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.reward_model import RewardModel
from ponder.verifiers.scripted import ScriptedVerifier
from ponder.verifiers.value_head import ValueHeadVerifier
from tests.playing import PlainAnswers, World
from tests.resumed_run import examples

STEPS = Sampling(separator="\n\n")
POOL = [
    {
        "id": f"p{i}",
        "problem": f"{i} + 1?",
        "answer": "4",
        "candidates": [
            {"text": f"Sum.\n\nAnswer is {answer}", "answer": answer, "correct": answer == 4}
            for answer in (4, 5, 4, 6)
        ],
    }
    for i in range(5)
]


def ponder(*words: object) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(word) for word in words])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def says_four(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float("4" in text) for text in texts)


UNASKED = [{key: value for key, value in row.items() if key != "problem"} for row in POOL]
"""The same candidates, without the questions."""


class Asking(ScriptedVerifier):
    """Scores that depend on the question."""

    reads_question: ClassVar[bool] = True


KNOWING = ScriptedVerifier(says_four, name="knowing", tokens=3)


async def pool_run(folder: Path, rows: Sequence[object] = POOL) -> Path:
    file = folder / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    await keep_pool(file, folder / "run", PlainAnswers())
    return folder / "run"


def reopened(folder: Path) -> RunStore:
    with RunReader(folder) as reader:
        study = reader.recipe()["study"]
    assert isinstance(study, dict)
    return RunStore.open(folder, study=study, host={}, recipe_toml="")


@pytest.mark.parametrize(
    "strategy",
    [
        RepeatedSampling(n=4),
        BeamSearch(n=4, beam_width=2, sampling=STEPS),
        DiverseVerifierTreeSearch(n=4, beam_width=2, sampling=STEPS),
    ],
    ids=lambda strategy: strategy.name,
)
async def test_the_steps_are_those_that_the_search_scored(
    tmp_path: Path, strategy: Strategy
) -> None:
    """`random` scores depend on text, token ids and log-probabilities' places: on all of a key."""
    world = World(1, verifiers=[RandomVerifier()])
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples(examples(4))
        problems = [example.problem for example in store.examples()]
        await run([Job(p, world.method(strategy), store) for p in problems], Slots(8))
        digests = store.digests()
        found = await rescore(store, Scorer(RandomVerifier(name="again")), "again")
        assert found.added == found.candidates > 8
    with RunReader(tmp_path) as reader:
        for trace in reader.scored_traces():
            for candidate in trace.candidates:
                assert candidate.scores["again"] == candidate.scores["random"]
            assert trace.digest() == reader.trace(trace.problem_id).digest()
        assert reader.digests() == digests
        assert all("again" not in c.scores for t in reader.traces() for c in t.candidates)


async def test_refined_solutions_are_scored_as_they_ended(tmp_path: Path) -> None:
    world = World(verifiers=[])
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples(examples(2))
        strategy = SelfRefine(n=2, rounds=1)
        jobs = [Job(e.problem, world.method(strategy), store) for e in store.examples()]
        await run(jobs, Slots(8))
        lengths = ScriptedVerifier(lambda _, texts: [len(text) / 1e3 for text in texts])
        await rescore(store, Scorer(lengths), "length")
        for trace in store.scored_traces():
            for candidate in trace.candidates:
                texts = [text for text in candidate.text.split("\n\n") if text]
                assert candidate.scores["length"] == tuple(len(text) / 1e3 for text in texts)


async def test_log_probabilities_come_from_the_call_log(tmp_path: Path) -> None:
    world = World(verifiers=[ConfidenceVerifier()])
    with RunStore.open(tmp_path, study={}, host={}, recipe_toml="") as store:
        store.add_examples(examples(2))
        method = world.method(RepeatedSampling(n=3))
        await run([Job(e.problem, method, store) for e in store.examples()], Slots(8))
        await rescore(store, Scorer(ConfidenceVerifier(name="again")), "again")
        candidates = [c for trace in store.scored_traces() for c in trace.candidates]
        assert all(c.scores["again"] == c.scores["confidence"] for c in candidates)


async def test_scores_survive_a_reopen_and_are_not_made_twice(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        digests = store.digests()
        first = await rescore(store, Scorer(KNOWING), "knowing")
        assert first[:5] == (20, 0, 20, 0, None)
        # A problem's candidates say three things, in two steps: the question's tokens, one sum,
        # three answers.
        assert (first.pace.solutions, first.pace.tokens) == (20, 5 * (0 + 3 + 3 * 3))
        assert first.pace.seconds > 0
        assert first.pace.counted == Counted()
    with reopened(folder) as store:
        again = await rescore(store, Scorer(ScriptedVerifier(_raises, name="knowing")), "knowing")
        assert again[:5] == (20, 20, 0, 0, None)
        assert store.digests() == digests
        (trace, *_) = store.scored_traces()
        assert [c.scores["knowing"] for c in trace.candidates] == [
            (0.0, 1.0), (0.0, 0.0), (0.0, 1.0), (0.0, 0.0),
        ]  # fmt: skip


def _raises(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
    raise VerifierError("asked again")


async def test_failures_are_kept_as_such_and_tried_again(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)

    def reluctant(problem: Problem, texts: tuple[str, ...]) -> Sequence[float] | ScoreFailure:
        return ScoreFailure("no opinion") if "5" in texts[-1] else says_four(problem, texts)

    with reopened(folder) as store:
        found = await rescore(store, Scorer(ScriptedVerifier(reluctant)), "v")
        assert (found.added, found.failed, found.reason) == (15, 5, "no opinion")
        assert found.left == 0
        (trace, *_) = store.scored_traces()
        assert trace.candidates[1].scores == {"v": None}
        found = await rescore(store, Scorer(ScriptedVerifier(says_four)), "v")
        assert (found.kept, found.added, found.failed) == (15, 5, 0)
        (trace, *_) = store.scored_traces()
        assert trace.candidates[1].scores == {"v": (0.0, 0.0)}


async def test_a_name_under_which_nothing_was_scored_is_free(tmp_path: Path) -> None:
    with reopened(await pool_run(tmp_path)) as store:
        store.open_scores("r", {"verifier": "never asked"})
        mute = ScriptedVerifier(lambda problem, texts: ScoreFailure("no opinion"))
        assert (await rescore(store, Scorer(mute), "r")).failed == 20
        assert (await rescore(store, Scorer(KNOWING), "r", separator="\n")).added == 20
        assert store.score_sets()["r"]["separator"] == "\n"
        with pytest.raises(StoreError, match="has other scores called 'r'"):
            await rescore(store, Scorer(RandomVerifier(seed=2)), "r")


async def test_another_identity_under_the_same_name_is_refused(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        await rescore(store, Scorer(RandomVerifier(seed=1)), "r")
        said = r'identity is "random-1\(1\)" there, "random-1\(2\)" here: .* another name'
        with pytest.raises(StoreError, match=said):
            await rescore(store, Scorer(RandomVerifier(seed=2)), "r")
        with pytest.raises(StoreError, match=r'separator is "\\n\\n" there, "\\n" here'):
            await rescore(store, Scorer(RandomVerifier(seed=1)), "r", separator="\n")
        assert list(store.score_sets()) == ["r"]


@pytest.mark.parametrize("name", ["score", "step_scores", "prm", " ", "a\nb"])
async def test_names_in_use_are_refused(tmp_path: Path, name: str) -> None:
    row = {**POOL[0], "candidates": [{"text": "=4", "scores": {"prm": 0.5}, "correct": True}]}
    with reopened(await pool_run(tmp_path, [row])) as store:
        with pytest.raises(UsageError, match="--name"):
            await rescore(store, Scorer(KNOWING), name)
        assert store.score_sets() == {}


async def test_another_text_in_a_candidates_place_has_no_score(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    with reopened(folder) as store:
        store.open_scores("v", {})
        here, elsewhere = fingerprint("Sum.\n\nAnswer is 4"), fingerprint("Another")
        for path, text in (((0,), here), ((1,), elsewhere)):
            store.add_scores("v", {("p0", path): AddedScores(text, StepScores((0.5,)))})
        (trace, *_) = store.scored_traces()
        assert [dict(c.scores) for c in trace.candidates] == [{"v": (0.5,)}, {}, {}, {}]


async def test_a_run_of_an_older_version_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    connection = sqlite3.connect(folder / "run.sqlite", isolation_level=None)
    for statement in ("DROP TABLE scores", "DROP TABLE score_sets", "PRAGMA user_version = 1"):
        connection.execute(statement)
    connection.close()
    with RunReader(folder) as reader:
        assert reader.score_sets() == {}
        assert reader.added_scores("v") == {}
        assert len(list(reader.scored_traces())) == 5
    with reopened(folder) as store:
        assert (await rescore(store, Scorer(KNOWING), "v")).added == 20
    with RunReader(folder) as reader:
        assert len(reader.added_scores("v")) == 20


@dataclass
class Watch:
    expected: int = 0
    seen: list[int] = field(default_factory=list)

    def expect(self, solutions: int) -> None:
        self.expected += solutions

    def advance(self, solutions: int) -> None:
        self.seen.append(solutions)


async def test_a_stop_begins_nothing_more_and_the_rest_goes_on_later(tmp_path: Path) -> None:
    folder, watch, stop = await pool_run(tmp_path), Watch(), asyncio.Event()

    def stopping(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        if problem.id == "p1":
            stop.set()
        return says_four(problem, texts)

    verifier = ScriptedVerifier(stopping, name="v")
    with reopened(folder) as store:
        found = await rescore(store, Scorer(verifier, watch, stop, at_once=1), "v")
        assert (found.added, found.left) == (8, 12)
        assert (watch.expected, watch.seen) == (20, [4, 4])
        found = await rescore(store, Scorer(verifier, at_once=1), "v")
        assert (found.kept, found.added, found.left) == (8, 12, 0)


SLOW = """
import time
def score(problem, texts):
    if problem.id == "p3":
        print("reached", flush=True)
        time.sleep(60)
    return [0.5] * len(texts)
"""


def test_a_kill_loses_what_is_in_flight_and_no_more(tmp_path: Path) -> None:
    folder = asyncio.run(pool_run(tmp_path))
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-c", "from ponder.cli import main; main()", "score"]
    words = [*command, str(folder), "--verifier", "slow:score"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reached\n"
        time.sleep(0.5)  # more than a transaction may last
        os.kill(process.pid, signal.SIGKILL)
    with reopened(folder) as store:
        kept = {problem_id for problem_id, _ in store.added_scores("function")}
        assert {"p0", "p1", "p2"} <= kept
        assert "p3" not in kept


@dataclass
class Counting:
    """Tells of its tokens as a verifier over a model does, and how many calls it has at once."""

    computed: int = 100
    distinct: int = 90
    together: int = 1
    """The first ones wait until so many run at once."""
    full: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most: int = 0

    @property
    def info(self) -> VerifierInfo:
        return VerifierInfo("counting", "counting", "solution", 0, 1, "value")

    @property
    def counts(self) -> Counting:
        return self

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running == self.together:
            self.full.set()
        async with asyncio.timeout(20):
            await self.full.wait()
        await asyncio.sleep(0)
        self.running -= 1
        self.computed += 11
        self.distinct += 10
        return [StepScores((0.5,), (4, *(2 for _ in prefix.steps))) for prefix in prefixes]

    async def aclose(self) -> None: ...


async def test_what_a_verifier_counts_is_what_it_did_meanwhile() -> None:
    verifier = Counting(together=3)
    seen: list[tuple[str, int, int]] = []

    def batch(number: int) -> Batch[int]:
        root = Prefix.root(Problem.ask(str(number)))
        first, second = root.grow(Step("a")), root.grow(Step("a")).grow(Step("b"))
        return Batch(root.problem, [Asked(number, (first, second))])

    def done(problem: Problem, answered: Sequence[Answered[int]]) -> None:
        seen.extend((problem.question, one.item, len(one.answers)) for one in answered)

    pace = await Scorer(verifier, at_once=3).score(map(batch, range(10)), done)
    assert sorted(seen) == [(str(i), i, 2) for i in range(10)]
    assert pace[:2] == (10, 10 * (4 + 2 + 2))
    assert pace.counted == (110, 100, None, None, None)
    told = throughput(pace)
    assert (told["computed_per_distinct"], told["floor_per_distinct"]) == (1.1, None)
    assert verifier.most == 3


@dataclass
class ServerCounts:
    """A server's cache has blocks, and one that tells nothing leaves `computed` open."""

    computed: int | None
    distinct: int = 80
    floor: int = 90


@pytest.mark.parametrize(("computed", "ratio"), [(120, 1.5), (None, None)])
async def test_counts_may_come_from_a_server(computed: int | None, ratio: float | None) -> None:
    told = iter([ServerCounts(computed and 0, 0, 0), ServerCounts(computed)])

    class Remote(Counting):
        @property
        def counts(self) -> ServerCounts:  # type: ignore[override]
            return next(told)

    pace = await Scorer(Remote()).score([], lambda problem, answered: None)
    found = throughput(pace)
    assert found["computed_per_distinct"] == ratio
    assert found["floor_per_distinct"] == 90 / 80


async def test_an_error_of_the_whole_verifier_is_recorded(tmp_path: Path) -> None:
    with reopened(await pool_run(tmp_path)) as store:
        found = await rescore(store, Scorer(ScriptedVerifier(_raises)), "lost")
        assert (found.failed, found.reason) == (20, "asked again")


async def test_a_bug_ends_the_scoring_while_the_run_is_read(tmp_path: Path) -> None:
    """Many times: a run that is closed under a thread that reads it must not end the process."""

    def buggy(problem: Problem, texts: tuple[str, ...]) -> tuple[float, ...]:
        raise ZeroDivisionError

    folder = await pool_run(tmp_path)
    for _ in range(30):
        with reopened(folder) as store:
            with pytest.raises(ExceptionGroup):
                await rescore(store, Scorer(ScriptedVerifier(buggy)), "buggy")
            assert store.added_scores("buggy") == {}


async def scored(folder: Path, verifier: Verifier, name: str) -> None:
    with reopened(folder) as store:
        await rescore(store, Scorer(verifier), name)


async def test_reports_rank_by_the_added_scores(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path)
    best = "best_of_n"
    assert best not in load_run(folder).view.summary.curves
    await scored(folder, KNOWING, "good")
    assert load_run(folder).view.summary.curves[best][4].accuracy == 1  # the only scores
    await scored(folder, ScriptedVerifier(lambda p, t: [1 - s for s in says_four(p, t)]), "bad")
    with pytest.raises(UsageError, match="several scores, choose one by `--score`: bad, good"):
        load_run(folder)
    good, bad = load_run(folder, score="good"), load_run(folder, score="bad")
    assert good.view.summary.curves[best][4].accuracy == 1
    assert bad.view.summary.curves[best][4].accuracy == 0
    assert good.view.ranges == {"good": (0.0, 1.0), "bad": (0.0, 1.0)}


async def test_added_scores_leave_a_runs_own_ranking(tmp_path: Path) -> None:
    ranked = [{"text": f"={n}", "score": 0.5, "correct": n == 4} for n in (5, 4)]
    folder = await pool_run(tmp_path, [{**row, "candidates": ranked} for row in POOL])
    before = load_run(folder).measured
    await scored(folder, KNOWING, "good")
    assert load_run(folder).measured == before
    assert load_run(folder, score="good").measured != before


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool, folder = tmp_path / "pool.jsonl", tmp_path / "run"
    pool.write_text("".join(json.dumps(row) + "\n" for row in POOL))
    assert ponder("import", "pool", pool, "-o", folder) == 0
    capsys.readouterr()
    words = ["score", folder, "--verifier", "tests.test_rescore:says_four", "--name", "four"]
    assert ponder(*words, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["candidates"], said["added"], said["failed"]) == ("four", 20, 20, 0)
    assert said["solutions_per_second"] > 0
    assert ponder(*words) == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert out.endswith("run: 0 candidates scored as four, 20 were there")
    assert ponder("report", folder, "--score", "four", "--json") == 0
    assert json.loads(capsys.readouterr().out)["first_n"]["best_of_n"]["4"] == 1
    exported = tmp_path / "exported.jsonl"
    assert ponder("export", "pool", folder, "-o", exported) == 0
    row = json.loads(exported.read_text().splitlines()[0])
    assert [c["scores"]["four"] for c in row["candidates"]] == [1, 0, 1, 0]


async def test_no_verifier_reads_questions_that_are_not_there(tmp_path: Path) -> None:
    folder = await pool_run(tmp_path, UNASKED)
    asking = Asking(says_four, name="asking")
    with reopened(folder) as store:
        for verifier in (asking, MixVerifier([(KNOWING, 1), (asking, 1)])):
            with pytest.raises(UsageError, match=r"run holds no questions: import it again with "):
                await rescore(store, Scorer(verifier), "asked")
        assert store.score_sets() == {}
        for coded in (KNOWING, ArithmeticVerifier(), RandomVerifier()):
            assert (await rescore(store, Scorer(coded), coded.info.name)).failed == 0
        assert mix_stored(store, [Part("knowing", 1), Part("random", 1)], "m").failed == 0
    (tmp_path / "half").mkdir()
    half = await pool_run(tmp_path / "half", [*UNASKED[:2], *POOL[2:]])
    says = r"run holds 2 problems without a question: import it again with `--dataset`"
    with reopened(half) as store, pytest.raises(UsageError, match=says):
        await rescore(store, Scorer(asking), "asked")


def test_who_reads_the_question() -> None:
    judge = JudgeVerifier("http://127.0.0.1:9", "m")
    readers: list[Verifier] = [judge, MixVerifier([(RandomVerifier(), 1), (judge, 1)])]
    readers += [ArithmeticVerifier(sources=True), ValueHeadVerifier()]
    others: list[Verifier] = [ArithmeticVerifier(), ConfidenceVerifier(), RandomVerifier(), KNOWING]
    assert all(reads_question(verifier) for verifier in readers)
    assert not any(reads_question(verifier) for verifier in others)
    assert RewardModel.reads_question
    assert RewardServer.reads_question


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--verifier", "confidence"], 1, "no candidate could be scored: step 1 came without"),
        (["--verifier", "nonsense"], 2, "unknown verifier 'nonsense'"),
        (["--verifier", "random", "--verifier-knob", "seed"], 2, "takes KEY=VALUE, got 'seed'"),
        (["--verifier", "random", "--verifier-knob", "x=1"], 2, "random has no knob 'x'"),
        (["--verifier", "random", "--name", "score"], 2, "'score' names scores"),
        ([], 2, "--verifier"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    says: str,
) -> None:
    folder = asyncio.run(pool_run(tmp_path))
    assert ponder("score", folder, *words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_progress_off_a_terminal_is_a_line_now_and_then() -> None:
    written, times = StringIO(), iter((0.0, 1.0, 5.0, 11.0, 12.0, 20.0))
    console = Console(file=written, width=80)
    clock = partial(next, times)
    with CountingProgress(console, "arithmetic", "candidates", clock) as progress:
        progress.expect(10)
        progress.expect(20)
        for _ in range(5):
            progress.advance(5)
    assert written.getvalue() == "arithmetic: 15 of 30 candidates 1.4/s\n"
