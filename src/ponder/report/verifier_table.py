"""What `ponder eval-verifier` prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ponder.evals.bootstrap import Estimated
from ponder.evals.process_bench import BenchResult
from ponder.evals.step_accuracy import StepResult
from ponder.evals.throughput import Throughput
from ponder.evals.verifier_report import VerifierReport
from ponder.evals.verifier_selection import Fall, Paired, SelectionResult
from ponder.report.escape import visible
from ponder.report.table import headed
from ponder.report.view import SELECTOR_LABELS
from ponder.report.wording import count, interval, share, signed, unparsable

_VALUE = (
    "It estimates value (will the solution end right), not whether a step is correct: a wrong step "
    "that is mended later scores high, a right one on a lost way scores low."
)
_CHOSEN = {
    "given": "as given",
    "gsm8k": "chosen for the greatest F1 on gsm8k, which is tuned thereby",
    "middle": "the middle of its range",
}


def verifier_report(report: VerifierReport) -> RenderableType:
    """All that was measured, one kind of evidence after the other."""
    return Group(*_parts(report))


def _parts(report: VerifierReport) -> Iterator[RenderableType]:
    info, threshold = report["verifier"], report["threshold"]
    yield Text(
        f"{info['name']}: {info['identity']}, a score a "
        f"{'step' if info['scores'] == 'steps' else 'solution'} from {info['low']} to "
        f"{info['high']}, estimates {info['estimates']}"
    )
    if threshold is not None:
        yield Text(f"threshold {threshold['value']:.6g}, {_CHOSEN[threshold['chosen']]}")
    if report["process_bench"] is not None:
        yield _bench_table(report["process_bench"])
        if info["estimates"] == "value":
            yield Text(_VALUE, style="yellow")
    if report["step_accuracy"] is not None:
        yield _step_table(report["step_accuracy"])
    for name, selection in report["selection"].items():
        yield from _selection_parts(name, selection)
    yield _pace_line(report["throughput"])


def _bench_table(result: BenchResult) -> Table:
    heads = ("subset", "solutions", "erroneous", "correct", "F1", "95 % interval")
    table = headed("ProcessBench", heads)
    for name, subset in result["subsets"].items():
        failed = f", {subset['failed']} failed" if subset["failed"] else ""
        table.add_row(
            visible(name) + (", tuned" if subset["tuned"] else ""),
            f"{subset['erroneous'] + subset['correct']}{failed}",
            share(subset["accuracy_erroneous"]["value"]),
            share(subset["accuracy_correct"]["value"]),
            *_figures(subset["f1"]),
        )
    table.add_row("plain mean", "", "", "", *_figures(result["average_f1"]))
    return table


def _step_table(result: StepResult) -> Table:
    told = f"PRM800K: {result['steps']} rated steps, {result['positive']} of them right"
    failed = f", {result['failed']} failed" if result["failed"] else ""
    table = headed(told + failed, ("figure", "value", "95 % interval"))
    table.add_row("step accuracy", *_figures(result["accuracy"]))
    table.add_row("balanced accuracy", *_figures(result["balanced_accuracy"]))
    table.add_row("AUC", *_auc(result["auc"]))
    return table


def _selection_parts(name: str, result: SelectionResult) -> Iterator[RenderableType]:
    failed = f", {result['failed']} failed" if result["failed"] else ""
    told = f"{visible(name)}: {result['n_problems']} problems, {result['candidates']} candidates"
    curves, against = result["curves"], result["against_majority"]
    table = headed(told + failed, ("N", *map(SELECTOR_LABELS.__getitem__, curves)))
    for n in next(iter(curves.values()), {}):
        table.add_row(n, *(share(curve[n]["accuracy"]) for curve in curves.values()))
    yield table
    if list(curves) == ["majority", "oracle"]:
        yield Text("best of N and weighted are left out: of some problem nothing could be scored")
    if against:
        heads = [f"{SELECTOR_LABELS[selector]}, 95 % interval" for selector in against]
        gains = headed("points above majority", ("N", *heads))
        for n in next(iter(against.values())):
            gains.add_row(n, *(_gain(paired[n]) for paired in against.values()))
        yield gains
    yield Text(f"AUC of its scores: {', '.join(_auc(result['auc']))}")
    yield from _fall_lines(result["fall"])


def _fall_lines(fall: Fall | None) -> Iterator[Text]:
    if fall is not None and fall["ci_high"] < 0:
        yield Text(
            f"Warning: best of N falls by {share(-fall['difference'])} "
            f"({interval(fall['ci_low'], fall['ci_high'])}) from N = {fall['from_n']} to "
            f"{fall['to_n']}: the search games the verifier; use a smaller N, or weighted voting",
            style="yellow",
        )


def _figures(estimated: Estimated) -> tuple[str, str]:
    return share(estimated["value"]), interval(estimated["ci_low"], estimated["ci_high"])


def _auc(estimated: Estimated) -> tuple[str, str]:
    value, low, high = estimated["value"], estimated["ci_low"], estimated["ci_high"]
    between = "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
    return "-" if value is None else f"{value:.3f}", between


def _gain(paired: Paired) -> str:
    bounds = f"{signed(paired['ci_low'])} to {signed(paired['ci_high'])}"
    return f"{signed(paired['difference'])} ({bounds})"


def _pace_line(pace: Throughput) -> Text:
    if not pace["solutions"]:
        return Text("nothing was scored now: the scores that the run keeps were read")
    rate, tokens = pace["solutions_per_second"], pace["tokens_per_second"]
    twice, least = pace["computed_per_distinct"], pace["floor_per_distinct"]
    ratio = "" if twice is None else f", {twice:.3f} tokens computed a distinct one"
    ratio += "" if least is None else f" (at least {least:.3f} with the server's cache)"
    read = f"; {told}" if (told := unparsable(pace["critiques"], pace["unparsable"])) else ""
    return Text(
        f"{pace['solutions']} solutions in {pace['seconds']:.1f} s: {count(rate)} a second, "
        f"{count(tokens)} tokens a second{ratio}{read}"
    )
