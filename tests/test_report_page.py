from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import UsageError
from ponder.report import page
from ponder.report.branches import branches, general_reasons
from ponder.report.choice import groups, why_chosen
from ponder.report.escape import clipped, script_json, visible
from ponder.report.page import render_page, write_page
from ponder.report.payload import columns, index, problem
from ponder.trace import Decision
from ponder.types import Answer, Example
from tests.report_samples import (
    HOSTILE,
    demo_runs,
    hostile_run,
    pool_run,
    search_run,
    search_trace,
)


class Elements(HTMLParser):
    """Collects what a browser would make of a page: elements with their attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("/" + tag, {}))

    def handle_data(self, data: str) -> None:
        place = len(self.found) - 1
        self.texts[place] = self.texts.get(place, "") + data

    def of(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        for place, (name, attributes) in enumerate(self.found):
            if name == tag:
                yield attributes, self.texts.get(place, "")


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=8))
def test_json_in_a_script_reads_back_and_cannot_end_it(data: object) -> None:
    written = script_json(data)
    assert json.loads(written) == data
    assert not re.search("[<>&]", written)


@given(st.text())
def test_visible_text_can_be_encoded_and_hides_nothing(text: str) -> None:
    shown = visible(text + "\u202e\x1b[31m\ud800\u200b\U000e0041")
    shown.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069\U000e0041]", shown)
    assert "⟨U+202E⟩⟨U+001B⟩[31m⟨U+D800⟩⟨U+200B⟩⟨U+E0041⟩" in shown


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_clipped_text_is_one_line_of_the_length(text: str, characters: int) -> None:
    line = clipped(text, characters)
    assert len(line) <= characters
    assert "\n" not in line


def test_page_runs_nothing_but_its_own_script_and_style() -> None:
    found = Elements(render_page("Title", demo_runs()))
    policy = next(a["content"] for a, _ in found.of("meta") if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    scripts = [text for attributes, text in found.of("script") if "type" not in attributes]
    styles = [text for _, text in found.of("style")]
    for directive, contents in (("script-src", scripts), ("style-src", styles)):
        digest = base64.b64encode(hashlib.sha256(contents[0].encode()).digest()).decode()
        assert len(contents) == 1
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not [name for _, attributes in found.found for name in attributes if name == "style"]


def test_page_names_no_other_file_or_host() -> None:
    found = Elements(render_page("Title", [*demo_runs(), hostile_run()]))
    fetching = {"src", "href", "srcset", "data", "action", "background", "poster"}
    assert not [a for _, attributes in found.found for a in attributes if a in fetching]
    assert {tag for tag, _ in found.found}.isdisjoint({"img", "link", "iframe", "object"})
    style = next(text for _, text in found.of("style"))
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_makes_no_element() -> None:
    ordinary = Elements(render_page("Title", demo_runs()))
    hostile = Elements(render_page(HOSTILE, [hostile_run()]))
    assert {tag for tag, _ in hostile.found} <= {tag for tag, _ in ordinary.found}
    assert not [a for _, attributes in hostile.found for a in attributes if a.startswith("on")]
    assert len(list(hostile.of("script"))) == 3
    title = next(text for _, text in hostile.of("title"))
    assert title == visible(HOSTILE)
    assert "\u202e" not in render_page(HOSTILE, [hostile_run()])


def test_headline_table_has_a_row_a_run_and_dashes_for_what_is_not_told() -> None:
    run = search_run(seconds=None)
    trace = replace(run.traces[0], spent=replace(run.traces[0].spent, verifier=None))
    html = render_page("Title", [replace(run, traces=(trace,))])
    row = re.search(r'<th scope="row">beam search</th>(.*?)</tr>', html)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row.group(1))
    assert cells[0] == "100.0 %"
    assert cells[1] == "20.0 to 100.0"
    assert cells[3:] == ["50.0 %", "171", "-", "-", "0.0 %", "2.0 %"]


def test_a_share_above_five_percent_is_a_warning_named_once() -> None:
    html = render_page("Title", demo_runs())
    assert html.count("<li>majority, best of N, weighted: 8.0 % of samples end") == 1
    assert 'class="warnings"' not in render_page("Title", [search_run()])


def test_runs_of_the_same_samples_share_their_table_of_numbers() -> None:
    html = render_page("Title", demo_runs())
    captions = re.findall("<caption>(.*?)</caption>", html)
    assert captions == [
        "greedy",
        "majority, best of N, weighted",
        "beam search",
        "DVTS",
        "self-refine",
    ]
    row = '<th scope="row">majority</th><td>8</td><td>46.5 %</td><td>39.5 to 53.5</td>'
    assert f"{row}<td>50.0 %</td><td>624</td>" in html


def test_no_run_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one run, got none"):
        render_page("Title", [])


def test_write_page_leaves_only_the_page(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", "Ünïcode \ud800", [search_run()])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "⟨U+D800⟩" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_trees_beyond_the_limit_are_left_out_but_answers_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = pool_run("pool", "majority", problems=3)
    sizes = [len(script_json(problem(columns([run]), f"p{place}"))) for place in range(3)]
    monkeypatch.setattr(page, "LARGEST_TREES", sizes[0] + 10)
    found = Elements(render_page("Title", [run]))
    data = [json.loads(text) for a, text in found.of("script") if (a.get("id") or "")[:4] == "data"]
    assert [entry["trees"] is None for entry in data] == [False, True, True]
    assert [entry["methods"][0]["answer"] for entry in data] == [t.answer for t in run.traces]


def test_methods_that_chose_from_the_same_samples_share_a_tree() -> None:
    data = json.loads(script_json(problem(columns(demo_runs()), "p0")))
    trees = [method["tree"] for method in data["methods"]]
    assert trees == [0, 1, 1, 1, 2, 2, 2]
    assert len(data["trees"]) == 3


def test_index_has_a_mark_a_method_and_none_where_a_run_lacks_the_problem() -> None:
    runs = [pool_run("pool", "majority", problems=2), search_run()]
    listed = json.loads(script_json(index(columns(runs), ["p0", "p1"])))
    assert listed["methods"] == ["pool", "beam search"]
    assert [entry["marks"][1] for entry in listed["problems"]] == [[True, "39"], None]


def test_a_problem_without_reference_is_not_graded_and_one_unanswered_is_wrong() -> None:
    run = search_run()
    trace = replace(run.traces[0], chosen=None, answer=None)
    assert run.right(trace) is False
    example = Example(run.examples["p0"].problem, None)
    assert replace(run, examples={"p0": example}, grades={}).right(trace) is None


def test_branches_say_what_won_what_was_pruned_and_why() -> None:
    drawn = {branch.node.path: branch for branch in branches(search_trace())}
    states = {path: branch.state for path, branch in drawn.items()}
    assert states == {
        (0,): "path",
        (0, 0): "won",
        (0, 1): "open",
        (0, 2): "failed",
        (1,): "pruned",
        (2,): "kept",
    }
    assert drawn[(1,)].reasons == ("pruned: score 0.00 below the best 2",)
    assert [branch.depth for branch in drawn.values()] == [0, 1, 1, 1, 0, 0]
    assert general_reasons(search_trace()) == ("note: one of 6 samples failed",)


def test_a_pruned_sibling_that_became_a_candidate_is_kept() -> None:
    trace = search_trace()
    later = Decision("finished", ((1,),), "a candidate")
    drawn = branches(replace(trace, decisions=(*trace.decisions, later)))
    assert next(branch.state for branch in drawn if branch.node.path == (1,)) == "kept"


def test_a_whole_solution_shows_a_score_a_step() -> None:
    trace = pool_run("pool", "majority", 1).traces[0]
    steps = branches(trace)[0].steps
    assert steps[0].text == "4 boxes of 12 are 4 * 12 = 48.\n\n"
    assert tuple(step.score for step in steps) == trace.nodes[0].scores["arithmetic"]


def test_a_pool_without_nodes_is_drawn_from_its_candidates() -> None:
    trace = replace(pool_run("pool", "majority", 1).traces[0], nodes=())
    drawn = branches(trace)
    assert [branch.node.path for branch in drawn] == [c.path for c in trace.candidates]
    assert all(branch.candidate is not None for branch in drawn)


def test_a_refinement_hangs_from_the_answer_it_refines() -> None:
    first, *_ = search_trace().nodes
    refined = replace(first, path=(0, 1), parent=())
    again = replace(first, path=(0, 1, 0), parent=())
    drawn = branches(replace(search_trace(), nodes=(first, refined, again), chosen=(0, 1, 0)))
    assert [branch.parent for branch in drawn] == [None, 0, 1]
    assert [branch.state for branch in drawn] == ["path", "path", "won"]


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("majority", "chosen by majority: 1 of 2 votes, the first of the largest groups"),
        ("best_of_n", "chosen as best of N: no candidate scores higher"),
        ("weighted", "chosen by weighted vote: its group has 1 of 2 votes"),
    ],
)
def test_the_winner_says_why_even_if_the_strategy_did_not(selector: str, why: str) -> None:
    trace = replace(search_trace(), decisions=(), selector=selector)
    assert next(b.reasons for b in branches(trace) if b.state == "won") == (why,)
    assert why_chosen(replace(trace, chosen=None)) is None


def test_groups_leave_out_what_does_not_vote() -> None:
    trace = search_trace()
    right, wrong = trace.candidates
    cut = replace(wrong, path=(3,), votes=False)
    silent = replace(wrong, path=(4,), answer=None)
    again = replace(wrong, path=(5,), answer=Answer("41.0", "41"))
    voting = groups(replace(trace, candidates=(right, wrong, cut, silent, again)))
    assert [(group.answer, len(group.members), group.chosen) for group in voting] == [
        ("41", 2, False),
        ("39", 1, True),
    ]


def test_without_a_curve_the_headline_is_the_share_of_right_answers() -> None:
    run = pool_run("pool", "majority", problems=8)
    bare = replace(run, summary=run.summary.model_copy(update={"curves": {}}))
    right = sum(run.right(trace) is True for trace in run.traces)
    assert bare.headline is not None
    assert bare.headline.accuracy == right / 8
    assert bare.headline.ci_low is None
    assert "<td>-</td>" in render_page("Title", [bare])


def test_a_problem_without_example_is_named_by_its_id() -> None:
    run = replace(search_run(), examples={})
    data = json.loads(script_json(problem(columns([run]), "p0")))
    assert (data["question"], data["reference"], data["facts"]) == ("p0", None, [])


def test_recipes_and_provenance_are_told_once_where_they_are_shared() -> None:
    runs = [
        replace(search_run(), name=name, recipe="n = 4", provenance={"model": "m", "seed": name})
        for name in ("one", "two")
    ]
    html = render_page("Title", runs, {"ponder": "0.1.0"})
    assert html.count("<dt>model</dt><dd>m</dd>") == 1
    assert "<h3>two</h3><dl><dt>seed</dt><dd>two</dd></dl>" in html
    assert html.count("<pre>n = 4</pre>") == 1
    assert "Recipe of one, two" in html
