"""Hand-written runs that the tests of tables, trees and pages draw."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from ponder.report.view import Point, RunView, Summary
from ponder.trace import Decision, Node, Spent, Trace
from ponder.types import Answer, Candidate, Example, NodePath, Problem

HOSTILE = (
    "</script><script>window.hacked = 1</script>"
    '<img src="x:y" onerror="window.hacked = 1"> [bold]not markup[/bold] \u202egnp.exe\u202c'
)
"""What a model might write to harm whoever looks at it."""

QUESTIONS = (
    "Mira packs 4 boxes of 12 candles and sells 9 of them. How many candles has she left?",
    "A train leaves with 85 people. At a stop 27 get off and 14 get on. How many are on it?",
    "Tom saves $6 a week for 7 weeks and spends $15 on a gift. How much money does he have?",
    "A baker makes 3 trays of 18 rolls, and a fifth as many buns as rolls less 4. How many buns?",
)


def search_trace(problem_id: str = "p0", seconds: float | None = 3.2) -> Trace:
    """A beam search over 48 - 9: one beam pruned, one finished wrong, one right and chosen."""
    nodes = (
        _node((0,), "4 boxes of 12 candles are 4 * 12 = 48 candles.\n\n", 1.0),
        _node((1,), "4 boxes of 12 candles are 4 * 12 = 38 candles.\n\n", 0.0),
        _node((2,), "She packs 4 + 12 = 16 things.\n\n", 0.31),
        _node((0, 0), "She has 48 - 9 = 39 left. The answer is 39.", 1.0, (1.0,), ended="eos"),
        _node((0, 1), "She has 48 - 9 = 41 left. The answer is 41.", 0.0, (1.0,), ended="eos"),
        replace(_node((0, 2), "", None), error="engine: connection lost", ended="aborted"),
    )
    decisions = (
        Decision("kept", ((0,), (2,)), "among the best 2"),
        Decision("pruned", ((1,),), "score 0.00 below the best 2"),
        Decision("note", (), "one of 6 samples failed"),
        Decision("chosen", ((0, 0),), "best of 2 candidates by arithmetic, 1.00"),
    )
    candidates = (
        Candidate((0, 0), "...", {"arithmetic": (1.0, 1.0)}, 58, answer=Answer("39", "39")),
        Candidate((0, 1), "...", {"arithmetic": (1.0, 0.0)}, 58, answer=Answer("41", "41")),
    )
    spent = Spent(generated=171, prompt=900, verifier=0, calls=6, seconds=seconds)
    chosen: NodePath = (0, 0)
    return Trace(
        problem_id, "beam_search", nodes, decisions, candidates, "39", chosen, spent, "best_of_n"
    )


def search_run(seconds: float | None = 3.2) -> RunView:
    """One beam search of one problem."""
    example = Example(Problem.ask(QUESTIONS[0], "p0"), "39", level="2", subject="candles")
    point = Point(accuracy=1.0, ci_low=0.2, ci_high=1.0, tokens=171)
    return RunView(
        name="beam search",
        strategy="beam_search",
        traces=(search_trace(seconds=seconds),),
        examples={"p0": example},
        grades={("p0", (0, 0)): True, ("p0", (0, 1)): False},
        summary=Summary(
            n_problems=1, curves={"best_of_n": {4: point}}, truncated=0.0, unanswered=0.02
        ),
    )


def hostile_run() -> RunView:
    """Every text that a page or terminal shows is hostile, names included."""
    node = Node((0,), (), HOSTILE, "eos", scores={HOSTILE: (0.5,)}, tokens=9)
    candidate = Candidate((0,), HOSTILE, {HOSTILE: (0.5,)}, 9, answer=Answer(HOSTILE, HOSTILE))
    told = (Decision("chosen", ((0,),), HOSTILE), Decision("note", (), HOSTILE))
    trace = Trace(HOSTILE, "sample", (node,), told, (candidate,), HOSTILE, (0,), Spent(generated=9))
    return RunView(
        name=HOSTILE,
        strategy="sample",
        traces=(trace,),
        examples={HOSTILE: Example(Problem.ask(HOSTILE, HOSTILE), HOSTILE, HOSTILE, HOSTILE)},
        grades={(HOSTILE, (0,)): False},
        summary=Summary(
            n_problems=1,
            curves={"majority": {1: Point(accuracy=0.0, ci_low=0.0, ci_high=0.9, tokens=9)}},
            truncated=0.2,
            unanswered=0.0,
        ),
        provenance={HOSTILE: HOSTILE},
        recipe=HOSTILE,
    )


def pool_run(name: str, selector: str, problems: int = 12, n: int = 8, seed: int = 7) -> RunView:
    """n whole solutions a problem; the same solutions for every `selector` of one seed."""
    draw = random.Random(seed)
    traces, examples, grades = [], {}, {}
    for place in range(problems):
        problem_id = f"p{place}"
        question = QUESTIONS[place % len(QUESTIONS)]
        examples[problem_id] = Example(Problem.ask(question, problem_id), "39")
        trace, right = _pool_trace(problem_id, selector, n, draw)
        traces.append(trace)
        grades.update({(problem_id, path): value for path, value in right.items()})
    return RunView(
        name, "sample", tuple(traces), examples, grades, pool_summary(problems), provenance=ORIGIN
    )


def demo_runs(problems: int = 12) -> list[RunView]:
    """Seven methods on the same problems, as the demo compares them."""
    greedy = replace(
        pool_run("greedy", "majority", problems, 1, seed=3),
        greedy=True,
        strategy="greedy",
        summary=_lone_summary("majority", 1, 0.33, 71, problems),
    )
    pools = [
        pool_run("majority", "majority", problems),
        pool_run("best of N", "best_of_n", problems),
        pool_run("weighted", "weighted", problems),
    ]
    searches = [
        _searched("beam search", "beam_search", 0.58, 540, problems),
        _searched("DVTS", "dvts", 0.55, 610, problems),
        _searched("self-refine", "self_refine", 0.36, 240, problems),
    ]
    return [greedy, *pools, *searches]


def pool_summary(problems: int = 12) -> Summary:
    """Curves that rise with N, as a pool of 8 has them."""
    starts = {"majority": 0.36, "best_of_n": 0.37, "weighted": 0.37, "oracle": 0.36}
    gains = {"majority": 0.035, "best_of_n": 0.055, "weighted": 0.065, "oracle": 0.13}
    curves = {
        selector: {
            2**k: Point(
                accuracy=start + gains[selector] * k,
                ci_low=start + gains[selector] * k - 0.07,
                ci_high=start + gains[selector] * k + 0.07,
                stderr=0.035,
                tokens=78.0 * 2**k,
            )
            for k in range(4)
        }
        for selector, start in starts.items()
    }
    return Summary(
        n_problems=problems,
        curves=curves,
        first_n={"majority": {1: 0.33, 2: 0.33, 4: 0.42, 8: 0.5}},
        truncated=0.08,
        unanswered=0.03,
    )


ORIGIN: Mapping[str, str] = {
    "model": "SmolLM2-135M-Instruct, Q8_0",
    "machine": "2 cores, Linux",
    "ponder": "0.1.0",
}


def _node(
    path: NodePath,
    text: str,
    score: float | None,
    before: tuple[float, ...] = (),
    ended: str = "separator",
) -> Node:
    scores = {"arithmetic": None if score is None else (*before, score)}
    return Node(
        path=path,
        parent=path[:-1],
        text=text,
        ended="eos" if ended == "eos" else "separator",
        scores=scores,
        tokens=29,
    )


def _pool_trace(
    problem_id: str, selector: str, n: int, draw: random.Random
) -> tuple[Trace, dict[NodePath, bool]]:
    nodes, candidates = [], []
    right: dict[NodePath, bool] = {}
    for index in range(n):
        answer = draw.choice(["39", "39", "41", "48", None])
        steps = ("4 boxes of 12 are 4 * 12 = 48.\n\n", f"So 48 - 9 = {answer or 'some'} are left.")
        scores = (round(draw.uniform(0.5, 1), 2), round(draw.uniform(0, 1), 2))
        text = "".join(steps)
        parsed = Answer(answer, answer) if answer else None
        nodes.append(
            Node(
                (index,),
                (),
                text,
                "eos",
                scores={"arithmetic": scores},
                tokens=draw.randint(60, 96),
            )
        )
        candidates.append(Candidate((index,), text, {"arithmetic": scores}, 78, "eos", parsed))
        right[(index,)] = answer == "39"
    chosen = next((c for c in candidates if c.answer), None)
    reason = f"{selector} over {n} candidates"
    decisions = (Decision("chosen", (chosen.path,), reason),) if chosen else ()
    trace = Trace(
        problem_id,
        "sample",
        tuple(nodes),
        decisions,
        tuple(candidates),
        chosen.answer.raw if chosen and chosen.answer else None,
        chosen.path if chosen else None,
        Spent(generated=78 * n, prompt=120 * n, calls=n, seconds=4.1),
        selector,
    )
    return trace, right


def _searched(name: str, strategy: str, accuracy: float, tokens: float, problems: int) -> RunView:
    traces = tuple(
        replace(search_trace(f"p{place}"), strategy=strategy) for place in range(problems)
    )
    run = search_run()
    return replace(
        run,
        name=name,
        strategy=strategy,
        traces=traces,
        examples={},
        grades={
            (trace.problem_id, path): value
            for trace in traces
            for (_, path), value in run.grades.items()
        },
        summary=_lone_summary("best_of_n", 8, accuracy, tokens, problems),
        provenance=ORIGIN,
        recipe=f'[study]\nstrategy = "{strategy}"\nn = 8\n',
    )


def _lone_summary(selector: str, n: int, accuracy: float, tokens: float, problems: int) -> Summary:
    point = Point(accuracy=accuracy, ci_low=accuracy - 0.07, ci_high=accuracy + 0.07, tokens=tokens)
    return Summary(
        n_problems=problems, curves={selector: {n: point}}, truncated=0.01, unanswered=0.04
    )
