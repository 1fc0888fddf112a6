"""How near a run comes to what its engine could do, given how long its own samples were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from benchmarks.alone import seconds_alone
from benchmarks.bare import ROUNDS, rate_curve, rates_at, read_prompts
from benchmarks.bound import RateCurve, chains_of, replay, steady_seconds
from benchmarks.library import Batch, batch
from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.setting import setting
from benchmarks.tables import table
from benchmarks.workload import BEAM_WIDTH, STRATEGIES, Watched, parts, watched_run, work

NAME = "efficiency"
GOAL = 0.9
PROBLEMS = 64
"""Queued at once."""
N = 8


@dataclass(frozen=True, slots=True)
class Reached:
    """One run of one strategy, without warm-up and tail."""

    strategy: str
    repeat: int
    tokens: float
    """Generated."""
    seconds: float
    bound_seconds: float
    """The same share of the same samples, replayed through the bare engine's rates."""
    verifier_seconds: float
    """The same share of what the verifier takes for the run's prefixes with nothing beside it."""
    whole_seconds: float
    """From the first sample's start to the last trace on the disk."""
    whole_bound_seconds: float
    """Of all samples, replayed."""
    bare_rates: tuple[float, ...] = ()
    """The bare engine's with all slots, tokens a second, just before the run and just after; the
    bound's curve was scaled to their mean. Empty: the curve was taken as it was."""

    @property
    def efficiency(self) -> float:
        """1 is the bound."""
        return self.bound_seconds / self.seconds

    @property
    def whole(self) -> float:
        """1 is the bound, of the whole run with its start, its end and the last scores."""
        return self.whole_bound_seconds / self.whole_seconds

    @property
    def on_shared_processors(self) -> float:
        """1 is the bound of an engine and a verifier that compute in turns."""
        return (self.bound_seconds + self.verifier_seconds) / self.seconds


@dataclass(frozen=True, slots=True)
class Results:
    """The bare engine's rates and the runs, repeat by repeat."""

    n: int
    problems: int
    slots: int
    curves: tuple[tuple[tuple[int, float], ...], ...]
    """One a repeat: (sequences at once, tokens a second)."""
    runs: tuple[Reached, ...]
    batches: tuple[Batch, ...] = ()
    """Of the embedded engine, one a repeat: its library beside ponder's adapter."""

    def bare_rate(self, run: Reached) -> float:
        """The bare engine's with all slots, as it was beside the run."""
        return fmean(run.bare_rates or [self.curves[run.repeat][-1][1]])


async def measure(options: Options) -> Results:
    """The curve, then each strategy, and again."""
    n, problems = (4, 4) if options.small else (N, options.problems or PROBLEMS)
    curves: list[RateCurve] = []
    runs: list[Reached] = []
    batches: list[Batch] = []
    async with parts(options) as (engine, verifier):
        warm_up = work(options, "beam_search", n, max(problems // 16, 1), seed=1000)
        await watched_run(warm_up, engine, verifier)
        for repeat in options.turns:
            bare = work(options, "sample", n, problems, seed=2000 + repeat)
            rounds = 1 if options.small else ROUNDS
            await read_prompts(engine, bare)
            if options.engine == "embedded":
                batches.append(await batch(engine, bare, options.slots))
            curve = await rate_curve(engine, bare, options.slots, rounds=rounds)
            curves.append(curve)
            tops, taken = [curve.top], list[Watched]()
            for strategy in STRATEGIES:
                todo = work(options, strategy, n, problems, seed=repeat)
                taken.append(await watched_run(todo, engine, verifier))
                tops.append((await rates_at(engine, bare, [options.slots], rounds=rounds)).top)
            for strategy, watched, beside in zip(STRATEGIES, taken, pairwise(tops), strict=True):
                asked, at_once = watched.verifier.asked, options.slots // n or 1
                scoring = await seconds_alone(verifier, asked, strategy, at_once)
                rates = curve.scaled(fmean(beside))
                run = reached(strategy, repeat, watched, rates, options.slots, scoring)
                runs.append(replace(run, bare_rates=beside))
    points = tuple(curve.points for curve in curves)
    return Results(n, problems, options.slots, points, tuple(runs), tuple(batches))


def reached(
    strategy: str,
    repeat: int,
    watched: Watched,
    curve: RateCurve,
    slots: int,
    verifier_seconds: float,
) -> Reached:
    """The run beside the replay of its own samples; `verifier_seconds` are for all of them."""
    tokens, seconds = steady_seconds(watched.engine.drawn)
    chains = [chains_of(trace, BEAM_WIDTH) for trace in watched.traces]
    replayed = replay(chains, curve, slots)
    _, bound = steady_seconds(replayed)
    scoring = verifier_seconds * tokens / watched.tokens
    whole_bound = max(sample.end for sample in replayed)
    return Reached(strategy, repeat, tokens, seconds, bound, scoring, watched.seconds, whole_bound)


_BOUND = (
    "The bound replays the lengths of the run's own samples, and what waited for what (a beam "
    "search for all its beams, a DVTS subtree for its siblings, samples for nothing), oldest "
    "problem first, at the rates of the bare engine: the engine through ponder's adapter, samples "
    "only. It counts neither the verifier's time nor the prefill of a step's prefix."
)
_APART = (
    "On a CPU vLLM reserves a core for its front end and computes its model on the others, of two "
    "cores on one; ponder and the verifier, which nothing binds to a core, may use the other. "
    "Engine and verifier do not compute in turns, so no bound has the verifier's time in it."
)
_WHOLE = (
    "The first and the last 10 % of the tokens are left out, but in the column of the whole run, "
    "which ends with the last trace on the disk: scores that were put off are in it."
)


def section(results: Results, options: Options) -> Iterator[str]:
    """The part of the page."""
    apart = options.engine == "vllm"
    yield (
        f"{results.problems} problems queued, n = {results.n}, m = {BEAM_WIDTH}, {results.slots} "
        f"slots. {setting(options)}"
    )
    yield ""
    yield f"{_BOUND} {_beside(results)} {_APART if apart else _shared(results)} {_WHOLE}"
    yield ""
    rows = [_row(results, own, shared=not apart) for own in _by_strategy(results).values()]
    heads = (
        "strategy",
        "measured / bound",
        "goal",
        "with the verifier's time in the bound",
        "the whole run",
        "measured / bare engine",
        "tokens a second",
        "bare engine, tokens a second",
    )
    yield from table(heads, rows)
    yield from _missed(results, options)
    yield ""
    yield from table(
        ("sequences at once", *(str(count) for count, _ in results.curves[0])),
        [("bare engine, tokens a second", *_rates(results))],
    )
    if results.batches:
        yield ""
        yield _library(results)


def _by_strategy(results: Results) -> dict[str, list[Reached]]:
    """The repeats of each."""
    found: dict[str, list[Reached]] = {}
    for run in results.runs:
        found.setdefault(run.strategy, []).append(run)
    return found


def _row(results: Results, own: Sequence[Reached], *, shared: bool) -> tuple[object, ...]:
    rates = [run.tokens / run.seconds for run in own]
    bare = [results.bare_rate(run) for run in own]
    return (
        own[0].strategy,
        Spread.of([run.efficiency for run in own]).shown(),
        GOAL,
        Spread.of([run.on_shared_processors for run in own]).shown() if shared else "-",
        Spread.of([run.whole for run in own]).shown(),
        Spread.of([rate / top for rate, top in zip(rates, bare, strict=True)]).shown(),
        Spread.of(rates).shown(0),
        Spread.of(bare).shown(0),
    )


def _missed(results: Results, options: Options) -> Iterator[str]:
    """Which medians are below the goal, and why."""
    medians = {
        strategy: Spread.of([run.efficiency for run in own]).median
        for strategy, own in _by_strategy(results).items()
    }
    below = [f"{strategy} {median:.2f}" for strategy, median in medians.items() if median < GOAL]
    if below:
        yield ""
        yield f"Below the goal: {', '.join(below)}. {_reason(results, options)}"


def _reason(results: Results, options: Options) -> str:
    if options.verifier != "arithmetic" and options.engine == "embedded":
        both = Spread.of([run.on_shared_processors for run in results.runs])
        return (
            "Engine and verifier compute on the same processors: with the verifier's time in the "
            f"bound, the runs reach {both.low:.2f} to {both.high:.2f}."
        )
    if options.verifier != "arithmetic" and options.engine == "vllm":
        return (
            "vLLM's front end, ponder and the verifier share what the engine's model leaves; what "
            "each of them costs was not measured."
        )
    if not all(run.bare_rates for run in results.runs):
        return "The bare engine was measured once, and its rate drifts from minute to minute."
    return "The reason was not measured."


def _beside(results: Results) -> str:
    """When the bare engine was measured."""
    if not all(run.bare_rates for run in results.runs):
        return "Its rates were measured once, before the runs."
    return (
        "The last of its rates is measured again after each run; all are scaled to the mean of "
        "those just before and just after."
    )


def _shared(results: Results) -> str:
    """What the column with the verifier's time is."""
    beside = all(run.bare_rates for run in results.runs)
    how = "those side by side that wait for nothing" if beside else "a problem's one after another"
    return (
        "Where engine and verifier compute on the same processors, no order of work can hide the "
        "verifier's: the next column adds to the bound an estimate of what it takes for the run's "
        f"own calls by itself, {how}."
    )


def _library(results: Results) -> str:
    """The adapter beside the library."""
    adapter = Spread.of([batch.tokens / batch.adapter_seconds for batch in results.batches])
    library = Spread.of([batch.tokens / batch.library_seconds for batch in results.batches])
    ratio = Spread.of([batch.library_seconds / batch.adapter_seconds for batch in results.batches])
    return (
        f"One batch of {results.slots} samples, started together, to the end of the last: "
        f"{adapter.shown(0)} tokens a second through ponder's adapter, {library.shown(0)} by the "
        "library's own `ContinuousBatchingPipeline.generate` on the same prompts to the same "
        f"lengths; the first over the second, {ratio.shown()}."
    )


def _rates(results: Results) -> Iterator[str]:
    for place in zip(*results.curves, strict=True):
        yield Spread.of([rate for _, rate in place]).shown(0)
