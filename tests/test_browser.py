"""The report in a real browser: Debian's Chromium, driven through Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from ponder.report.escape import visible
from ponder.report.page import write_page
from ponder.report.view import RunView
from tests.report_samples import HOSTILE, demo_runs, hostile_run, pool_run, search_run

pytestmark = pytest.mark.xdist_group("browser")

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()


class Visit:
    """One page opened from its file, and what went wrong on it."""

    def __init__(
        self,
        browser: Browser,
        folder: Path,
        runs: list[RunView],
        *,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1280,
    ) -> None:
        self.file = folder / "report.html"
        write_page(self.file, "A report", runs)
        self.page: Page = browser.new_page(
            color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        self.page.on("request", self._asked)
        self.page.goto(self.file.as_uri())

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def open(self, place: int = 0) -> None:
        self.page.locator(".problem > summary").nth(place).click()

    def close(self) -> None:
        self.page.close()
        assert self.troubles == []
        assert self.requests == [self.file.as_uri()], "the page loads nothing but itself"


def expect_shown(visit: Visit, numbers: list[str]) -> None:
    """These problems are listed, as soon as the page has drawn them."""
    expect(visit.page.locator(".problem .number")).to_have_text(numbers)


def test_page_opens_with_its_figures_and_draws_a_problem_when_it_is_opened(
    browser: Browser, tmp_path: Path
) -> None:
    visit = Visit(browser, tmp_path, demo_runs())
    page = visit.page
    expect(page.locator("svg.figure")).to_have_count(2)
    for figure in page.locator("svg.figure").all():
        box = figure.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert figure.locator(".mark").count() > 10
    expect(page.locator(".comparison tbody tr")).to_have_count(7)
    assert page.locator(".body > *").count() == 0
    visit.open()
    expect(page.locator(".body .question").first).to_contain_text("Mira packs 4 boxes")
    page.get_by_role("button", name="beam search").click()
    expect(page.locator(".node.won .said")).to_have_text(
        "She has 48 - 9 = 39 left. The answer is 39."
    )
    expect(page.locator(".node.pruned .why")).to_have_text("pruned: score 0.00 below the best 2")
    expect(page.locator(".node.failed .why")).to_have_text("failed: engine: connection lost")
    visit.close()


def test_branches_fold(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, [search_run()])
    visit.open()
    winner = visit.page.locator(".node.won")
    expect(winner).to_be_visible()
    visit.page.locator(".below > summary").click()
    expect(winner).to_be_hidden()
    visit.close()


def test_filter_by_words_outcome_and_method(browser: Browser, tmp_path: Path) -> None:
    runs = demo_runs(12)
    visit = Visit(browser, tmp_path, runs)
    page = visit.page
    page.locator("#words").fill("train LEAVES")
    expect(page.locator("#count")).to_have_text("3 of 12 problems")
    expect_shown(visit, ["2", "6", "10"])
    page.locator("#words").fill("")
    for method, run in enumerate(runs[:2]):
        page.locator("#method").select_option(str(method))
        for outcome in (True, False):
            page.locator("#outcome").select_option("right" if outcome else "wrong")
            wanted = [
                str(place)
                for place, trace in enumerate(run.traces, 1)
                if run.right(trace) is outcome
            ]
            assert 0 < len(wanted) < 12
            expect(page.locator("#count")).to_have_text(f"{len(wanted)} of 12 problems")
            expect_shown(visit, wanted)
    page.locator("#outcome").select_option("all")
    expect(page.locator("#count")).to_have_text("12 problems")
    visit.close()


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, [hostile_run()])
    visit.open()
    for place in (".question", ".node .said", ".node .why", ".result b >> nth=0", ".excerpt"):
        expect(visit.page.locator(place).first).to_contain_text(
            "<script>window.hacked = 1</script>"
        )
    assert visible(HOSTILE) in (visit.page.locator(".node .said").text_content() or "")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("img").count() == 0
    visit.close()


def test_policy_refuses_scripts_that_are_not_the_page_s_own(
    browser: Browser, tmp_path: Path
) -> None:
    visit = Visit(browser, tmp_path, [search_run()])
    visit.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.injected = 1";
            document.body.append(script);
        }"""
    )
    assert visit.page.evaluate("window.injected") is None
    assert "Content Security Policy" in visit.troubles.pop()
    visit.close()


def test_long_texts_are_cut_until_asked_for(browser: Browser, tmp_path: Path) -> None:
    run = search_run()
    long = replace(run.traces[0].nodes[0], text="word " * 400 + "the end", scores={})
    visit = Visit(
        browser, tmp_path, [replace(run, traces=(replace(run.traces[0], nodes=(long,)),))]
    )
    visit.open()
    said = visit.page.locator(".node .said")
    expect(said).not_to_contain_text("the end")
    visit.page.get_by_role("button", name="show all 2,007 characters").click()
    expect(said).to_contain_text("the end")
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_legible(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    visit = Visit(browser, tmp_path, demo_runs(), scheme=scheme)
    visit.open()
    visit.page.get_by_role("button", name="beam search").click()
    paper = luminance(colour(visit, "body", "background-color"))
    assert paper < 0.05 if scheme == "dark" else paper > 0.9
    for place in ("body", ".lede", ".note", ".verdict.right", ".verdict.wrong", ".place", ".pick"):
        assert contrast(paper, luminance(colour(visit, place, "color"))) >= 4.5, place
    for place in (".score", ".warnings", "td.loud"):
        ground = luminance(colour(visit, place, "background-color"))
        assert contrast(ground, luminance(colour(visit, place, "color"))) >= 4.5, place
    for slot in range(6):
        line = luminance(colour(visit, f".legend .colour-{slot} .line", "stroke"))
        assert contrast(paper, line) >= 3, f"line {slot}"
    visit.close()


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_screens_need_no_sideways_scrolling(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    visit = Visit(browser, tmp_path, [*demo_runs(), hostile_run()], width=width)
    visit.open()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.close()


def test_two_hundred_problems_by_seven_methods_open_quickly(
    browser: Browser, tmp_path: Path
) -> None:
    visit = Visit(browser, tmp_path, demo_runs(200))
    opened = "performance.timing.loadEventEnd - performance.timing.navigationStart"
    assert visit.page.evaluate(opened) < 5000
    assert visit.page.locator("body *").count() < 9000
    visit.close()


def test_many_samples_are_drawn_in_portions(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, [pool_run("pool", "majority", problems=1, n=64)])
    visit.open()
    expect(visit.page.locator(".node")).to_have_count(24)
    visit.page.get_by_role("button", name="show 24 of 40 more").click()
    expect(visit.page.locator(".node")).to_have_count(48)
    visit.close()


def colour(visit: Visit, place: str, name: str) -> tuple[float, float, float]:
    value = visit.page.locator(place).first.evaluate(
        "(element, name) => getComputedStyle(element).getPropertyValue(name)", name
    )
    red, green, blue = map(int, re.findall(r"\d+", value)[:3])
    return red / 255, green / 255, blue / 255


def luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    """Contrast ratio of two luminances, 1 to 21 (WCAG 2.2)."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
