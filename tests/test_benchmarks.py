"""The benchmarks: each works at its smallest size, and the pure parts compute what they say."""

from __future__ import annotations

import asyncio
import cProfile
import json
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import early_stopping, efficiency, profiling, waiting
from benchmarks.__main__ import main
from benchmarks.alone import lines, seconds_alone
from benchmarks.bare import rates_at, read_prompts
from benchmarks.bound import (
    Chain,
    Drawn,
    RateCurve,
    chains_of,
    replay,
    steady_seconds,
    tokens_between,
)
from benchmarks.calibration import ItemTime
from benchmarks.command import command_of, options_in
from benchmarks.efficiency import Reached
from benchmarks.items import ITEMS
from benchmarks.library import Batch, batch
from benchmarks.lockstep import Results, Taken, WholePrefixes, section
from benchmarks.machine import commit_of
from benchmarks.options import Options
from benchmarks.overhead import NodeTime, growths
from benchmarks.page import page
from benchmarks.profiling import by_module
from benchmarks.repeats import Spread
from benchmarks.results import Record, joined
from benchmarks.scripted import STEPS, judged, reasons, reasons_a_step
from benchmarks.setting import setting
from benchmarks.waiting import idle_share, waiting_seconds
from benchmarks.watching import WatchedEngine, WatchedVerifier, covered, only_in_first
from benchmarks.workload import Watched, parts, watched_run, work
from ponder.engines.base import Capabilities
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import EngineError, UsageError, VerifierError
from ponder.evals.pool_runs import keep_pool
from ponder.trace import Node, Spent, Trace
from ponder.types import (
    Completion,
    NodePath,
    Prefix,
    Problem,
    Sampling,
    ScoreFailure,
    Step,
    StepScores,
    Usage,
)
from ponder.verifiers.base import VerifierInfo
from ponder.verifiers.scripted import ScriptedVerifier
from tests.playing import PlainAnswers

PROBLEM = Problem.ask("What?")
REASONS = "benchmarks.scripted:reasons"
SCRIPTED = ["--engine", "scripted", "--model", REASONS]
EVEN = RateCurve(((1, 10.0), (2, 20.0), (4, 40.0)))
"""Each sequence draws 10 tokens a second, up to four at once."""

CHAINS = st.lists(
    st.lists(
        st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple), max_size=4).map(
            tuple
        ),
        max_size=4,
    ),
    max_size=4,
)


@pytest.mark.parametrize("item", sorted(ITEMS))
def test_each_item_works_at_its_smallest_size(item: str, tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.json"
    small = ["--size", "small", "--repeats", "2", "--verifier", "arithmetic", "-o", str(output)]
    assert main([item, *SCRIPTED, *small]) == 0
    [(name, part)] = json.loads(output.read_text())["parts"].items()
    assert name.partition("/")[0] == item
    assert part["machine"]["cores"] >= 1
    repeats = "" if ITEMS[item].once else " --repeats 2"
    assert part["command"].startswith(f"python -m benchmarks {item} --size small{repeats}")
    assert part["repeats"] == (1 if ITEMS[item].once else 2)
    page = output.with_suffix(".md").read_text()
    assert f"## {ITEMS[item].title}" in page
    assert "its figures say nothing" in page
    assert part["command"] in page


def test_the_page_is_that_of_the_file() -> None:
    """`python -m benchmarks --page` writes it again after a change of its words."""
    docs = Path(__file__).parents[1] / "docs"
    assert (docs / "benchmarks.md").read_text() == page(Record.load(docs / "benchmarks.json"))


def test_a_page_alone_measures_nothing(tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.json"
    assert main(["--page", "-o", str(output)]) == 0
    assert not output.exists()
    assert output.with_suffix(".md").read_text().startswith("# ")


def test_an_item_leaves_the_parts_of_others_as_they_are(tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.json"
    rest = ["--size", "small", "--repeats", "1", "-o", str(output)]
    assert main(["efficiency", *SCRIPTED, "--verifier", "arithmetic", *rest]) == 0
    kept = json.loads(output.read_text())["parts"]["efficiency/scripted/arithmetic"]
    assert main(["verifier", *SCRIPTED, "--verifier", "arithmetic", *rest]) == 0
    parts = json.loads(output.read_text())["parts"]
    assert list(parts) == ["efficiency/scripted/arithmetic", "verifier/scripted/arithmetic"]
    assert parts["efficiency/scripted/arithmetic"] == kept


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is measured is that of a commit."""
    monkeypatch.setattr("benchmarks.machine.commit_of", lambda _folder: "abc")


@pytest.mark.usefixtures("committed")
def test_more_repeats_join_those_that_are_kept(tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.json"
    words = [*SCRIPTED, "--size", "small", "--verifier", "arithmetic", "-o", str(output)]
    assert main(["verifier", *words, "--repeats", "1"]) == 0
    assert main(["verifier", *words, "--repeats", "2", "--more"]) == 0
    [part] = json.loads(output.read_text())["parts"].values()
    assert [run["repeat"] for run in part["results"]["runs"]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert part["repeats"] == 3
    assert "--repeats" not in part["command"]  # three are the default
    with pytest.raises(UsageError, match="`n` was 4 before, now 8: leave out --more"):
        joined(waiting.Results(4, 1, ()), waiting.Results(8, 1, ()))


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"commit": "before"}, "`commit` was 'before', now "),
        ({"cores": 999}, "`cores` was 999, now "),
        ({"versions": {"ponder": "0.0"}}, "`versions` was {'ponder': '0.0'}, now "),
        ({}, "`set` was (), now ('sampling.top_p=0.9',): leave out --more"),
    ],
)
def test_repeats_of_something_else_are_refused_before_they_are_measured(
    odd: dict[str, object], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "benchmarks.json"
    words = ["verifier", "--size", "small", "--repeats", "1", "--verifier", "arithmetic"]
    words += ["-o", str(output)]
    assert main([*words, *SCRIPTED]) == 0
    kept = json.loads(output.read_text())
    [part] = kept["parts"].values()
    part["machine"].update(odd)
    output.write_text(json.dumps(kept))
    capsys.readouterr()
    more = [*words, *SCRIPTED, "--more", *([] if odd else ["--set", "sampling.top_p=0.9"])]
    assert main(more) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1  # nothing was begun
    assert says in told
    assert json.loads(output.read_text()) == kept


@pytest.mark.parametrize("commit", ["abc-dirty", "unknown"])
def test_repeats_of_code_that_no_commit_holds_are_not_joined(
    commit: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.machine.commit_of", lambda _folder: commit)
    words = ["verifier", "--size", "small", "--repeats", "1", "--verifier", "arithmetic"]
    words += [*SCRIPTED, "-o", str(tmp_path / "b.json")]
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--more"]) == 1
    assert "no commit holds this code: commit it, or leave out --more" in capsys.readouterr().err


def test_a_profile_has_no_more_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", "--size", "small", "--more", "-o", str(tmp_path / "b.json")]
    assert main(words) == 1
    assert "profile is one run, whatever --repeats says" in capsys.readouterr().err


def test_a_command_gives_the_options_again() -> None:
    item = ITEMS["efficiency"]
    options = Options(repeats=1, engine="vllm", model="a b", set=("x.y=1", "z=2"), label="mine")
    assert options_in(command_of(item, options)) == options
    with pytest.raises(UsageError, match="a part's command cannot be read: "):
        options_in("python -m benchmarks flying")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("host.slots=8", "`host.slots` is the measurement's own: use --slots"),
        ("study.n=16", "`n` is the measurement's own: it is fixed"),
        ("knobs.beam_width=2", "`knobs.beam_width` is the measurement's own: it is fixed"),
    ],
)
def test_keys_that_a_measurement_sets_itself_are_refused(
    word: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["efficiency", "--set", word, "-o", str(tmp_path / "b.json")])
    assert says in capsys.readouterr().err


def test_the_page_says_what_was_run() -> None:
    told = setting(Options(verifier="value-head", set=("sampling.max_tokens=32",)))
    assert told == (
        "SmolLM2-135M-Instruct with weights of 8 bits solves the first problems of "
        "`grade-school-report` after the 8 worked examples of the prompt `grade-school`, at "
        "temperature 0.5, at most 32 tokens a solution, 48 a step; `\\n` ends a step. The value "
        "head `smollm2-135m` of the package reads layer 20 of a copy of SmolLM2-135M-Instruct of "
        "its own, on OpenVINO in float32: the bare question, without the examples, and the steps."
    )
    assert setting(Options(engine="vllm", model="mine")).startswith("`mine` solves ")
    assert setting(Options(verifier="judge")).endswith("The verifier is `judge`.")


@pytest.mark.parametrize(
    ("engine", "verifier", "shared", "reason"),
    [
        ("embedded", "value-head", "0.90", "with the verifier's time in the bound, the runs reach"),
        ("embedded", "arithmetic", "0.90", "measured once, and its rate drifts"),
        ("vllm", "value-head", "-", "share what the engine's model leaves"),
        ("vllm", "arithmetic", "-", "measured once, and its rate drifts"),
    ],
)
def test_a_missed_goal_is_told_with_its_reason(
    engine: str, verifier: str, shared: str, reason: str
) -> None:
    run = Reached("sample", 0, 100.0, 10.0, 6.0, 3.0, 12.0, 9.0)
    results = efficiency.Results(8, 64, 2, (((1, 10.0), (2, 20.0)),), (run,))
    lines = list(efficiency.section(results, Options(engine=engine, verifier=verifier)))
    [row] = [line for line in lines if line.startswith("| sample")]
    assert row.split(" | ")[1:4] == ["0.60", "0.9", shared]
    [missed] = [line for line in lines if line.startswith("Below the goal: sample 0.60. ")]
    assert reason in missed
    reached = replace(run, seconds=6.0)
    lines = list(efficiency.section(replace(results, runs=(reached,)), Options()))
    assert not any(line.startswith("Below") for line in lines)


def test_the_adapter_is_told_beside_its_library() -> None:
    run = Reached("sample", 0, 100.0, 10.0, 9.5, 3.0, 12.0, 9.0)
    batches = (Batch(100, 2.0, 1.0), Batch(100, 1.0, 1.0), Batch(100, 1.0, 0.8))
    results = efficiency.Results(8, 64, 2, (((2, 20.0),),), (run,), batches)
    *_, told = efficiency.section(results, Options())
    assert "100 (50 to 100) tokens a second through ponder's adapter, 100 (100 to 125)" in told
    assert told.endswith("the first over the second, 0.80 (0.50 to 1.00).")


@pytest.mark.engine
async def test_the_library_draws_a_batch_without_ponder() -> None:
    options = Options("small", 1, slots=2, set=("sampling.max_tokens=8",))
    async with parts(options) as (engine, _):
        drawn = await batch(engine, work(options, "sample", 8, 1), 2)
    assert 2 <= drawn.tokens <= 16
    assert min(drawn.adapter_seconds, drawn.library_seconds) > 0


def test_what_was_done_about_a_profile_is_told_once() -> None:
    results = profiling.Results((profiling.Profile("sample", 1, {"ponder/types": 1.0}),))
    told = "What was done since the profile that is called before"
    assert told in next(iter(profiling.section(results, Options())))
    assert told not in next(iter(profiling.section(results, Options(label="before"))))


def test_another_file_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mine.json"
    output.write_text("[1, 2]")
    assert main(["grading", "--size", "small", "--repeats", "1", "-o", str(output)]) == 1
    assert output.read_text() == "[1, 2]"
    assert capsys.readouterr().err.endswith("holds no benchmarks: move it away, or name another\n")


@pytest.mark.parametrize("words", [["--repeats", "0"], ["--slots", "x"], ["flying"]])
def test_bad_usage_is_refused(words: Sequence[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*words, "-o", str(tmp_path / "b.json")])
    assert refused.value.code == 2


def pool_of(folder: Path, *candidates: Mapping[str, object]) -> Path:
    """A run that keeps the candidates of one problem."""
    file = folder / "pool.jsonl"
    shown = [{"text": "so", "correct": True, **candidate} for candidate in candidates]
    file.write_text(json.dumps({"id": "p", "answer": "4", "candidates": shown}) + "\n")
    run = folder / "run"
    asyncio.run(keep_pool(file, run, PlainAnswers()))
    return run


def test_a_pool_of_one_answer_stops_half_way(tmp_path: Path) -> None:
    run = pool_of(tmp_path, *[{"answer": "4", "completion_tokens": 10}] * 8)
    output = tmp_path / "benchmarks.json"
    words = ["early-stopping", "--pool", str(run), "--repeats", "2", "-o", str(output)]
    assert main([*words, "--label", "mine"]) == 0
    [(name, part)] = json.loads(output.read_text())["parts"].items()
    assert name == "early-stopping/pool/mine"
    exact = [saving for saving in part["results"]["savings"] if saving["rule"] == "exact"]
    # No scores: only the majority. Four votes of eight lead whatever the others say; one at a time
    # they take 40 tokens of 80, side by side they end together.
    assert {(s["selector"], s["n"], s["wave"], s["saved"], s["changed"]) for s in exact} == {
        ("majority", 8, 1, 0.5, 0),
        ("majority", 8, 8, 0.0, 0),
        ("majority", 8, 0, 0.0, 0),
    }
    assert "The 8 samples of each of 1 problems" in output.with_suffix(".md").read_text()


def test_a_pool_without_any_answer_is_drawn_to_its_end(tmp_path: Path) -> None:
    silent = {"answer": "", "completion_tokens": 3, "score": 0.5, "correct": False}
    options = Options(repeats=1, pool=str(pool_of(tmp_path, silent, silent)))
    savings = asyncio.run(early_stopping.measure(options)).savings
    assert {(s.saved, s.changed, s.gained) for s in savings} == {(0.0, 0, 0.0)}


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"score": 1.5, "completion_tokens": 1}, "problem 'p' has the score 1.5"),
        ({"score": 0.5}, "problem 'p' does not tell its tokens"),
    ],
)
def test_a_pool_that_stopping_cannot_be_counted_on_is_refused(
    odd: Mapping[str, object], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pool_of(tmp_path, {"score": 0.5, "completion_tokens": 1}, odd)
    output = tmp_path / "benchmarks.json"
    assert main(["early-stopping", "--pool", str(run), "-o", str(output)]) == 1
    assert says in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["grading", "--pool", "run"], "argument --pool: not of grading"),
        (["early-stopping", "--score", "head"], "argument --score: names scores of a pool"),
    ],
)
def test_a_pool_where_none_is_read_is_refused(
    words: Sequence[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words, "-o", str(tmp_path / "b.json")])
    assert says in capsys.readouterr().err


def test_independent_samples_are_replayed_at_the_rate_of_those_that_run() -> None:
    # Two problems, two slots: 10 and 30 tokens begin; then 30 and 20; each at 10 tokens a second.
    problems: list[list[Chain]] = [[((10,),), ((30,),)], [((20,),)]]
    assert replay(problems, EVEN, 2) == [Drawn(0, 1, 10), Drawn(0, 3, 30), Drawn(1, 3, 20)]


def test_a_lone_sample_runs_at_the_rate_of_one() -> None:
    slower = RateCurve(((1, 10.0), (2, 12.0)))
    # Side by side each gets 6 tokens a second: 6 tokens take 1 s, the other's last 14 take 1.4 s.
    problems: list[list[Chain]] = [[((6,),), ((20,),)]]
    assert [sample.end for sample in replay(problems, slower, 2)] == pytest.approx([1.0, 2.4])


def test_a_stage_waits_for_all_of_its_chain_and_for_no_other() -> None:
    problems: list[list[Chain]] = [[((10, 30), (10,)), ((10,), (10,))]]
    ends = {(s.start, s.end) for s in replay(problems, EVEN, 4)}
    assert ends == {(0, 1), (0, 3), (3, 4), (1, 2)}


def test_the_oldest_problem_is_served_first() -> None:
    problems: list[list[Chain]] = [[((10,), (10,))], [((10,), (10,))]]
    starts = [sample.start for sample in replay(problems, EVEN, 1)]
    assert starts == [0, 1, 2, 3]
    first_two = replay([[((10,), (10,))], [((40,),)]], EVEN, 1)[:2]
    assert [sample.tokens for sample in first_two] == [10, 10]


@given(problems=CHAINS, slots=st.integers(1, 5))
def test_a_replay_draws_everything_within_what_is_possible(
    problems: list[list[Chain]], slots: int
) -> None:
    drawn = replay(problems, EVEN, slots)
    lengths = [tokens for chains in problems for c in chains for stage in c for tokens in stage]
    assert sorted(sample.tokens for sample in drawn) == sorted(lengths)
    if not drawn:
        return
    end = max(sample.end for sample in drawn)
    longest = max(sum(map(max, _until_empty(c))) for chains in problems for c in chains)
    assert end >= max(sum(lengths) / EVEN.rate(slots), longest / 10) - 1e-6
    assert end <= sum(lengths) / 10 + 1e-6
    moments = sorted({sample.start for sample in drawn})
    assert all(sum(s.start <= at < s.end - 1e-9 for s in drawn) <= slots for at in moments)


def _until_empty(chain: Chain) -> Chain:
    return tuple(stage for stage in chain if stage)


def test_rates_between_the_points_are_linear_and_beyond_the_last_as_there() -> None:
    curve = RateCurve(((2, 30.0), (4, 50.0)))
    assert [curve.rate(count) for count in (1, 2, 3, 4, 9)] == [15.0, 30.0, 40.0, 50.0, 50.0]


def trace_of(strategy: str, paths: dict[NodePath, int]) -> Trace:
    nodes = tuple(Node(path, path[:-1], "x", "eos", tokens=count) for path, count in paths.items())
    return Trace("p", strategy, nodes, (), (), None, None, Spent())


def test_chains_are_what_each_strategy_waits_for() -> None:
    paths: dict[NodePath, int] = {(0,): 5, (1,): 6, (2,): 7, (3,): 8, (0, 0): 1, (3, 0): 2}
    assert chains_of(trace_of("beam_search", paths), 2) == [((5, 6, 7, 8), (1, 2))]
    assert chains_of(trace_of("dvts", paths), 2) == [((5, 6), (1,)), ((7, 8), (2,))]
    flat: dict[NodePath, int] = {(0,): 5, (1,): 6}
    assert chains_of(trace_of("sample", flat), 2) == [((5,),), ((6,),)]
    with pytest.raises(ValueError, match="self_refine"):
        chains_of(trace_of("self_refine", flat), 2)


def test_the_steady_time_leaves_out_warm_up_and_tail() -> None:
    # 100 tokens: 10 in the first 10 s, 80 in the next 8 s, 10 in the last 10 s.
    samples = [Drawn(0, 10, 10), Drawn(10, 18, 80), Drawn(18, 28, 10)]
    assert steady_seconds(samples) == pytest.approx((80, 8))
    with pytest.raises(ValueError, match="no token"):
        steady_seconds([Drawn(0, 1, 0)])


class EngineInTheory:
    """A known rate shared equally by the sequences that run, in a time of its own."""

    def __init__(self, curve: RateCurve, sequences: int) -> None:
        self.now = 0.0
        self._curve = curve
        self._sequences = sequences
        self._left: dict[asyncio.Future[None], float] = {}

    @property
    def capabilities(self) -> Capabilities:
        return ScriptedEngine(reasons).capabilities

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        [seed] = seeds
        tokens = 20 + seed % 500
        ended = asyncio.get_running_loop().create_future()
        self._left[ended] = tokens
        if len(self._left) == self._sequences:
            self._go_on()
        await ended
        yield Completion(0, "", "eos", Usage(generated=tokens))

    def _go_on(self) -> None:
        """To the end of the next."""
        first = min(self._left, key=lambda ended: self._left[ended])
        drawn = self._left.pop(first)
        self._left = {ended: left - drawn for ended, left in self._left.items()}
        self.now += drawn * self._sequences / self._curve.rate(self._sequences)
        first.set_result(None)

    async def aclose(self) -> None:
        """Holds nothing."""


@pytest.mark.parametrize("sequences", [1, 4, 16])
async def test_the_bare_engine_is_measured_with_all_its_sequences_running(
    monkeypatch: pytest.MonkeyPatch, sequences: int
) -> None:
    curve = RateCurve(((1, 10.0), (4, 40.0), (16, 90.0)))
    engine = EngineInTheory(curve, sequences)
    clock = SimpleNamespace(perf_counter=lambda: engine.now)
    monkeypatch.setattr("benchmarks.watching.time", clock)
    todo = work(Options(engine="scripted", model=REASONS), "sample", 8, 4)
    measured = await rates_at(engine, todo, [sequences])
    assert measured.rate(sequences) == pytest.approx(curve.rate(sequences))


def test_tokens_between_two_times_are_shares_of_samples() -> None:
    samples = [Drawn(0, 4, 8), Drawn(1, 2, 5), Drawn(3, 9, 60)]
    assert tokens_between(samples, 1.5, 4) == 5 + 2.5 + 10


def test_time_that_only_one_side_covers() -> None:
    assert covered([(3, 4), (0, 1), (0.5, 2)]) == [(0, 2), (3, 4)]
    assert only_in_first([(0, 4)], [(1, 2), (3, 9)]) == pytest.approx(2)
    assert only_in_first([(0, 1)], []) == 1
    assert only_in_first([], [(0, 1)]) == 0


async def test_a_lone_beam_search_waits_for_its_verifier_after_each_step() -> None:
    options = Options("small", engine="scripted", model=REASONS)
    engine, verifier = ScriptedEngine(reasons), ScriptedVerifier(judged, latency=0.01)
    watched = await watched_run(work(options, "beam_search", 4, 1), engine, verifier)
    assert len(watched.verifier.scored) > 1
    assert waiting_seconds(watched) > 0.005 * (len(watched.verifier.scored) - 1)


def test_slots_are_idle_while_their_next_samples_are_being_scored() -> None:
    engine, verifier = (
        WatchedEngine(ScriptedEngine(reasons)),
        WatchedVerifier(ScriptedVerifier(judged)),
    )
    engine.drawn = [Drawn(0, 2, 5), Drawn(0, 4, 5), Drawn(6, 10, 5)]
    verifier.scored = [(1, 3), (2, 5), (9, 12)]
    watched = Watched((), engine, verifier, end=13)
    assert (watched.seconds, waiting_seconds(watched)) == (13, 1 + 2)
    # one idle from 2 to 4, two from 4 to 5, one from 9 to 10; two slots for ten seconds
    assert idle_share(watched, 2) == (2 + 2 + 1) / 20


def test_no_order_of_work_gains_more_than_engine_and_verifier_take_together() -> None:
    # A token: lock-step 10 ms, ponder 4; the bare engine 2, the verifier 1 more.
    runs = (Taken(4, 2, 0, "ponder", 1000, 4.0, 1.0), Taken(4, 2, 0, "lockstep", 1000, 10.0))
    results = Results(64, runs, (((4, 200.0), (64, 500.0)),))
    *_, row, _, reason = section(results, Options(verifier="value-head"))
    assert "Below the goal: 2.50 at n = 4. " in reason
    assert "estimates of the most are 3.33: queueing alone gains the engine 2.50" in reason
    assert row.strip("| ").split(" | ") == ["4", "2", "2.50", "5", "4.00", "10.00", "2.50", "3.33"]


def test_growth_compares_runs_of_as_many_nodes() -> None:
    def taken(n: int, problems: int, nodes: int, seconds: float) -> NodeTime:
        return NodeTime("sample", n, problems, nodes, seconds, seconds, ItemTime(1e-5, 1e-5))

    times = [taken(4, 1, 4, 9.0), taken(4, 16, 64, 1.0), taken(64, 1, 64, 1.5)]
    assert growths(times, "sample") == [1.5]


def test_spread_is_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).shown(1) == "2.0 (1.0 to 3.0)"
    assert Spread.of([3.0]).shown(1) == "3.0"
    with pytest.raises(ValueError, match="nothing"):
        Spread.of([])


class Reads:
    """A verifier that notes which problem objects it was given."""

    info = VerifierInfo("reads", "reads", "steps", 0.0, 1.0, "value")

    def __init__(self) -> None:
        self.seen: list[tuple[Problem, Prefix]] = []

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        self.seen += [(problem, prefix) for prefix in prefixes]
        return [StepScores(tuple(0.1 * i for i in range(p.depth))) for p in prefixes]

    async def aclose(self) -> None:
        pass


async def test_the_lock_step_verifier_reads_each_prefix_as_if_for_the_first_time() -> None:
    problem, inner = Problem.ask("What?"), Reads()
    short = Prefix.root(problem).grow(Step("a\n\n"))
    long = short.grow(Step("b\n\n"))
    scores = await WholePrefixes(inner).score(problem, [long, short, long])
    assert [len(s.scores) for s in scores if isinstance(s, StepScores)] == [2, 1, 2]
    assert [prefix.key for _, prefix in inner.seen] == [long.key, short.key, long.key]
    assert len({id(given) for given, _ in inner.seen}) == 3
    assert all(given == problem and prefix.problem is given for given, prefix in inner.seen)


async def test_a_verifier_alone_reads_what_it_was_asked_in_order_and_has_read_nothing_before() -> (
    None
):
    first, second, inner = Problem.ask("What?"), Problem.ask("Who?"), Reads()
    step, other = Prefix.root(first).grow(Step("a\n\n")), Prefix.root(second).grow(Step("c"))
    asked = [(first, [step]), (second, [other]), (first, [step.grow(Step("b")), step])]
    assert await seconds_alone(inner, asked, "beam_search", at_once=1) > 0
    keys = [step.key, step.grow(Step("b")).key, step.key, other.key]
    assert [prefix.key for _, prefix in inner.seen] == keys
    assert [given.id for given, _ in inner.seen] == [first.id] * 3 + [second.id]
    assert len({id(given) for given, _ in inner.seen} - {id(first), id(second)}) == 2


def test_calls_are_in_line_behind_those_that_their_strategy_waits_for() -> None:
    problem = Problem.ask("What?")
    first, second, third = (Prefix.root(problem).grow(Step(text)) for text in "abc")
    roots, other = (problem, [first, second]), (problem, [third])
    deeper, last = (problem, [second.grow(Step("d"))]), (problem, [third.grow(Step("e"))])
    calls = [roots, other, deeper, last]
    assert lines(calls, "sample") == [[roots], [other], [deeper], [last]]
    assert lines(calls, "beam_search") == [calls]
    assert lines(calls, "dvts") == [[roots, deeper], [other, last]]


class Counts(Reads):
    """A verifier that notes how many calls it had at once."""

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return await super().score(problem, prefixes)


@pytest.mark.parametrize(("strategy", "most"), [("sample", 8), ("beam_search", 1), ("dvts", 8)])
async def test_calls_that_wait_for_nothing_are_scored_side_by_side(
    strategy: str, most: int
) -> None:
    problem, verifier = Problem.ask("What?"), Counts()
    asked = [(problem, [Prefix.root(problem).grow(Step(text))]) for text in "abcdefgh"]
    await seconds_alone(verifier, asked, strategy, at_once=1)
    assert (verifier.most, len(verifier.seen)) == (most, 8)


async def test_fewer_slots_than_samples_of_a_problem_leave_one_problem_at_once() -> None:
    scripted = Options("small", 1, engine="scripted", model=REASONS, slots=2)
    results = await asyncio.wait_for(efficiency.measure(scripted), 60)
    assert results.slots == 2


class Fails(Reads):
    """A verifier whose model is lost."""

    async def score(
        self, problem: Problem, prefixes: Sequence[Prefix]
    ) -> list[StepScores | ScoreFailure]:
        raise VerifierError("no memory")


class FailingEngine(ScriptedEngine):
    """Gone for good."""

    async def generate(
        self, prefix: Prefix, sampling: Sampling, seeds: Sequence[int]
    ) -> AsyncGenerator[Completion, None]:
        for _ in seeds:
            raise EngineError("it ended")
        yield Completion(0, "", "eos")


async def test_what_fails_is_told_by_itself_and_in_no_group() -> None:
    problem = Problem.ask("What?")
    prefixes = [Prefix.root(problem).grow(Step(text)) for text in "ab"]
    with pytest.raises(VerifierError, match="no memory"):
        await WholePrefixes(Fails()).score(problem, prefixes)
    with pytest.raises(VerifierError, match="no memory"):
        await seconds_alone(Fails(), [(problem, prefixes)], "sample", 1)
    with pytest.raises(EngineError, match="it ended"):
        await rates_at(FailingEngine(reasons), work(Options(), "sample", 8, 4), [2])


def test_the_verifier_adds_its_time_to_the_bound_of_shared_processors() -> None:
    run = Reached("sample", 0, 100.0, 10.0, 6.0, 3.0, whole_seconds=12.0, whole_bound_seconds=9.0)
    assert (run.efficiency, run.on_shared_processors, run.whole) == (0.6, 0.9, 0.75)


def test_the_bound_follows_the_bare_engine_as_it_was_beside_the_run() -> None:
    run = Reached("sample", 1, 100.0, 10.0, 6.0, 3.0, 12.0, 9.0)
    results = efficiency.Results(8, 64, 2, (((1, 9.0), (2, 9.0)), ((1, 10.0), (2, 20.0))), ())
    assert results.bare_rate(run) == 20.0
    assert results.bare_rate(replace(run, bare_rates=(20.0, 30.0))) == 25.0
    assert RateCurve(results.curves[1]).scaled(25.0).points == ((1, 12.5), (2, 25.0))


async def test_the_bare_engine_is_measured_again_after_each_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = iter([200.0, 100.0, 300.0])

    async def drifts(*_: object, **__: object) -> RateCurve:
        return RateCurve(((4, next(rates)),))

    def takes(*run: Any) -> Reached:
        tops.append(run[3].top)
        return replays(*run)

    replays = efficiency.reached
    tops: list[float] = []
    monkeypatch.setattr("benchmarks.efficiency.rates_at", drifts)
    monkeypatch.setattr("benchmarks.efficiency.reached", takes)
    options = Options("small", 1, engine="scripted", model=REASONS)
    results = await efficiency.measure(options)
    top = results.curves[0][-1][1]
    pairs = [(top, 200.0), (200.0, 100.0), (100.0, 300.0)]
    assert [run.bare_rates for run in results.runs] == pairs
    assert tops == pytest.approx([sum(pair) / 2 for pair in pairs])


async def test_every_prompt_is_read_once_before_anything_is_measured() -> None:
    engine = WatchedEngine(ScriptedEngine(reasons))
    todo = work(Options(), "sample", 8, 4)
    await read_prompts(engine, todo)
    assert [drawn.tokens for drawn in engine.drawn] == [1] * 4


def test_the_scripted_steps_make_up_the_scripted_solution() -> None:
    prefix = Prefix.root(PROBLEM)
    for _ in range(STEPS):
        said = reasons_a_step(prefix, 7)
        assert reasons(prefix, 7).startswith(said)
        prefix = prefix.grow(Step(said))
    assert prefix.text == reasons(Prefix.root(PROBLEM), 7)
    assert prefix.text.endswith("The answer is 2.")


def test_a_profile_gives_built_in_time_to_the_module_that_calls() -> None:
    profiler = cProfile.Profile()
    profiler.runcall(lambda: [judged(PROBLEM, ("a step",)) for _ in range(50)])
    seconds = by_module(profiler)
    assert seconds["benchmarks/scripted"] > 0
    assert not any("zlib" in module or "~" in module for module in seconds)


async def test_a_watched_engine_notes_each_sample() -> None:
    engine = WatchedEngine(ScriptedEngine(reasons))
    prefix = Prefix.root(Problem.ask("What?"))
    completions = [c async for c in engine.generate(prefix, Sampling(separator="\n\n"), [1, 2, 3])]
    assert [drawn.tokens for drawn in engine.drawn] == [c.usage.generated for c in completions]
    assert all(drawn.end >= drawn.start for drawn in engine.drawn)


def test_results_that_are_kept_do_not_make_a_working_tree_dirty(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        told = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x.example"]
        return subprocess.run([*told, *words], check=True, capture_output=True, text=True).stdout

    assert commit_of(tmp_path) == "unknown"
    (tmp_path / "docs").mkdir()
    kept, code = tmp_path / "docs" / "benchmarks.json", tmp_path / "code.py"
    for file in (kept, code):
        file.write_text("1")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    head = git("rev-parse", "HEAD")[:12]
    assert commit_of(tmp_path) == head
    kept.write_text("2")
    (tmp_path / "untracked").write_text("2")
    assert commit_of(tmp_path) == head
    code.write_text("2")
    assert commit_of(tmp_path) == f"{head}-dirty"
    code.write_text("1")
    assert commit_of(tmp_path) == head
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "new.py").write_text("1")
    assert commit_of(tmp_path) == f"{head}-dirty"
