"""Tokens that stopping rules save, beside what the best exact rule could, and changed answers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

from benchmarks.options import Options
from benchmarks.repeats import Spread
from benchmarks.stopping_pools import KINDS, Drawn, kept, simulated
from benchmarks.tables import table
from ponder.search.selection import SELECTORS, TIE, Ballot
from ponder.search.stopping import EXACT, WINDOW, Poll, Rule, rule_of

NAME = "early-stopping"
SIZES = (8, 16, 32, 64, 128, 256)
WAVES = (1, 8, 0)
"""0: all at once."""
PROBLEMS = 300
"""Simulated ones of each kind."""
TIED = 10_000
"""Random pools with ties, for each selector."""
RULES = ("exact", "adaptive_consistency", "early_stopping_self_consistency")


@dataclass(frozen=True, slots=True)
class Saving:
    """One rule on all problems of one kind."""

    kind: str
    """Of simulated problems; of a run's, `all`."""
    n: int
    selector: str
    rule: str
    wave: int
    repeat: int
    problems: int
    saved: float
    """Share of the tokens of all n."""
    optimal: float
    """What the best rule that keeps every answer saves, one by one."""
    changed: int
    """Problems with another answer than that of all n."""
    gained: float
    """Accuracy less that of all n."""


@dataclass(frozen=True, slots=True)
class Ties:
    """Random pools with few answers and few scores."""

    selector: str
    repeat: int
    pools: int
    changed: int


@dataclass(frozen=True, slots=True)
class Pool:
    """A run whose samples were looked at."""

    run: str
    problems: int
    samples: int
    """Of the problem that has the fewest."""
    score: str | None
    """The name of the scores; None: the run's own."""


@dataclass(frozen=True, slots=True)
class Results:
    """All rules on all problems."""

    savings: tuple[Saving, ...]
    ties: tuple[Ties, ...]
    pool: Pool | None = None
    """None: the problems were simulated."""


def stop_of(ballots: Sequence[Ballot], rule: Rule) -> int:
    """How many samples a rule looks at."""
    poll = Poll(rule, len(ballots))
    for index, ballot in enumerate(ballots):
        if poll.settled:
            break
        poll.put(index, ballot)
    return len(poll.ballots)


def spent(samples: Sequence[Drawn], stop: int, wave: int) -> int:
    """Tokens that are drawn when the first `stop` decide.

    The samples of a wave run side by side at one speed, and those that still run are ended when
    the last of the deciding ones has ended.
    """
    size = wave or len(samples)
    first = (stop - 1) // size * size
    before, running = samples[:first], samples[first : first + size]
    end = max(sample.tokens for sample in samples[first:stop])
    return sum(s.tokens for s in before) + sum(min(s.tokens, end) for s in running)


def weighted_is_certain(ballots: Sequence[Ballot], left: int) -> bool:
    """No scores in [0, 1] of `left` more votes change the answer: the best exact rule there is.

    Beside `search.stopping.weighted_settled` it uses that a tie goes to the group seen first.
    """
    sums: dict[str, float] = {}
    for key, score in ballots:
        if key is not None and score is not None:
            sums[key] = sums.get(key, 0.0) + score
    if not sums:
        return False
    most = max(sums.values())
    leader = next(key for key, total in sums.items() if total >= most - TIE)
    before = True
    for key, total in sums.items():
        if key == leader:
            before = False
        elif (before and not most - total > left + TIE) or (not before and most - total < left):
            return False
    return most >= left


OPTIMAL = {**EXACT, "weighted": weighted_is_certain}
"""By selector; of the others the exact rule is the best there is."""


async def measure(options: Options) -> Results:
    """Every rule on the samples of a run, or on simulated ones and pools with ties."""
    if options.pool is not None:
        return _of_run(options.pool, options.score, options.turns)
    savings, ties = list[Saving](), list[Ties]()
    for repeat in options.turns:
        for kind, n in product(KINDS, SIZES[:1] if options.small else SIZES):
            rng = random.Random(f"{kind} {n} {repeat}")
            count = 4 if options.small else PROBLEMS
            problems = [simulated(kind, n, rng) for _ in range(count)]
            savings += _savings(kind, n, repeat, problems)
        ties += [_tied(selector, repeat, 50 if options.small else TIED) for selector in EXACT]
    return Results(tuple(savings), tuple(ties))


def _of_run(run: str, score: str | None, turns: range) -> Results:
    """The samples of each problem in a random order for each repeat, the first n of them."""
    problems = kept(Path(run), score)
    fewest = min(map(len, problems))
    savings = list[Saving]()
    for repeat, n in product(turns, [size for size in SIZES if size <= fewest] or [fewest]):
        rng = random.Random(f"{n} {repeat}")
        drawn = [rng.sample(samples, n) for samples in problems]
        savings += _savings("all", n, repeat, drawn)
    return Results(tuple(savings), (), Pool(run, len(problems), fewest, score))


def _savings(
    kind: str, n: int, repeat: int, problems: Sequence[Sequence[Drawn]]
) -> Iterator[Saving]:
    scored = any(sample.ballot.score is not None for samples in problems for sample in samples)
    for rule, selector in product(RULES, EXACT if scored else ["majority"]):
        if rule != "exact" and selector != "majority":
            continue
        window = rule == "early_stopping_self_consistency"
        ways = [_look(samples, rule, selector) for samples in problems]
        whole = sum(sample.tokens for samples in problems for sample in samples)
        best = sum(spent(s, stop_of(_ballots(s), OPTIMAL[selector]), 1) for s in problems)
        for wave in (WINDOW,) if window else WAVES:
            used = sum(spent(s, way.stop, wave) for s, way in zip(problems, ways, strict=True))
            yield Saving(
                kind,
                n,
                selector,
                rule,
                wave,
                repeat,
                len(problems),
                1 - used / whole,
                1 - best / whole,
                sum(way.changed for way in ways),
                sum(way.gained for way in ways) / len(problems),
            )


class _Look(NamedTuple):
    """What a rule made of one problem."""

    stop: int
    changed: bool
    gained: int


def _look(samples: Sequence[Drawn], rule: str, selector: str) -> _Look:
    ballots = _ballots(samples)
    found = rule_of(rule, selector)  # type: ignore[arg-type]
    assert found is not None
    stop = stop_of(ballots, found)
    window = rule == "early_stopping_self_consistency" and stop < len(ballots)
    first = stop - WINDOW if window else 0
    whole, early = _chosen(samples, selector), _chosen(samples[first:stop], selector)
    return _Look(stop, whole.ballot.key != early.ballot.key, early.right - whole.right)


def _ballots(samples: Sequence[Drawn]) -> list[Ballot]:
    return [sample.ballot for sample in samples]


def _chosen(samples: Sequence[Drawn], selector: str) -> Drawn:
    """The sample whose answer is given; without any answer, a wrong one."""
    index = SELECTORS[selector](_ballots(samples))
    return Drawn(Ballot(None, None), 0, right=False) if index is None else samples[index]


def _tied(selector: str, repeat: int, pools: int) -> Ties:
    rng = random.Random(f"ties {selector} {repeat}")
    changed = 0
    for _ in range(pools):
        count = rng.randint(1, 64)
        keys = rng.choices([None, "a", "b", "c"], [1, 5, 2, 1], k=count)
        scores = rng.choices([None, 0.0, 0.1, 0.2, 0.3, 0.5, 1.0], k=count)
        ballots = [Ballot(*pair) for pair in zip(keys, scores, strict=True)]
        early = ballots[: stop_of(ballots, EXACT[selector])]
        changed += _key(ballots, selector) != _key(early, selector)
    return Ties(selector, repeat, pools, changed)


def _key(ballots: Sequence[Ballot], selector: str) -> str | None:
    chosen = SELECTORS[selector](ballots)
    return None if chosen is None else ballots[chosen].key


def section(results: Results, _options: Options) -> Iterator[str]:
    """The part of the page."""
    yield _origin(results)
    yield ""
    kinds = list(dict.fromkeys(saving.kind for saving in results.savings))
    sizes = sorted({saving.n for saving in results.savings})
    selectors = [s for s in EXACT if any(saving.selector == s for saving in results.savings)]
    yield from table(
        ("problems", "selector", "n", "waves of 1", "waves of 8", "all n at once", "optimal"),
        [
            _exact_row(results.savings, kind, selector, n)
            for kind, selector, n in product(kinds, selectors, sizes)
        ],
    )
    yield ""
    wrong = sum(s.changed for s in results.savings if s.rule == "exact")
    pools, tied = sum(t.pools for t in results.ties), sum(t.changed for t in results.ties)
    ties = f", and {tied} of {pools:,} random pools with ties" if results.ties else ""
    yield (
        f"Answers that the exact rules changed: {wrong} of these{ties}. The statistical rules, by "
        "majority; accuracy in points against all n:"
    )
    yield ""
    yield from table(
        ("problems", "rule", "n", "waves of", "saved", "answers changed", "accuracy"),
        [
            _statistical_row(results.savings, kind, rule, n)
            for kind, rule, n in product(kinds, RULES[1:], sizes)
        ],
    )


_IMPORTS = {
    "runs/gsm8k-qwen/test": "ponder import pool recipes/gsm8k-qwen/test.jsonl.gz --dataset gsm8k "
    "-o runs/gsm8k-qwen/test"
}
"""What makes a run of samples that are kept here."""


def _imported(run: str) -> str:
    return f"They are kept here: `{_IMPORTS[run]}` comes first. " if run in _IMPORTS else ""


def _origin(results: Results) -> str:
    """Where the samples come from, and how savings are counted."""
    counted = (
        "Waves run side by side at one speed. Optimal: the best rule that keeps every answer, "
        "one by one."
    )
    if (pool := results.pool) is not None:
        scored = f"scored by `{pool.score}`" if pool.score else "with their own scores"
        return (
            f"The {pool.samples} samples of each of {pool.problems} problems of a run, {scored}; "
            f"each repeat puts them in another order. {_imported(pool.run)}{counted}"
        )
    return (
        f"{results.savings[0].problems} simulated problems of each kind. Right with a chance by "
        "problem, from a beta distribution "
        f"({', '.join(f'{kind} {a:g}, {b:g}' for kind, (a, b) in KINDS.items())}); "
        f"wrong answers repeat; the verifier's AUC is about 0.85; lengths are lognormal. {counted}"
    )


def _exact_row(savings: Sequence[Saving], kind: str, selector: str, n: int) -> tuple[object, ...]:
    own = [s for s in savings if (s.kind, s.selector, s.n, s.rule) == (kind, selector, n, "exact")]
    shares = [_shown([s.saved for s in own if s.wave == wave]) for wave in WAVES]
    return (kind, selector, n, *shares, _shown([s.optimal for s in own if s.wave == 1]))


def _statistical_row(savings: Sequence[Saving], kind: str, rule: str, n: int) -> tuple[object, ...]:
    wave = WINDOW if rule == "early_stopping_self_consistency" else 1
    own = [s for s in savings if (s.kind, s.rule, s.n, s.wave) == (kind, rule, n, wave)]
    changed = _shown([s.changed / s.problems for s in own])
    gained = Spread.of([100 * s.gained for s in own]).shown(1)
    return (kind, rule, n, wave, _shown([s.saved for s in own]), changed, gained)


def _shown(shares: Sequence[float]) -> str:
    return f"{Spread.of([100 * share for share in shares]).shown(1)} %"
