"""The recipes of `recipes/`: each can be run, and the commands that its pages show are accepted."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ponder.cli.app import app
from ponder.cli.words import with_keys
from ponder.evals.datasets import builtin_names
from ponder.evals.datasets.gym import PREFIX, Task
from ponder.evals.datasets.named import hub_set
from ponder.prompts import load_prompt
from ponder.recipes import Recipe
from ponder.recipes.recipe import shipped_recipes
from ponder.recipes.registry import check_scored, strategy_of, verifier_of
from ponder.recipes.vllm import vllm_options
from ponder.search.policy import Choice, Policy
from ponder.strategies.policy_file import policy_toml
from ponder.types import Message
from tests.test_cli import ponder
from tests.test_docs import CommandLine, as_command, broken_links, command_fault, shown_commands

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "recipes"
STUDY = FOLDER / "scaling-test-time-compute"
RECIPES = sorted(FOLDER.rglob("*.toml"))
PAGES = sorted(FOLDER.rglob("README.md"))
SCRIPTED = ["--engine", "scripted", "--model", "tests.playing:reasons"]
JUDGED = ["--verifier", "tests.playing:judged"]
SIZES = ["4", "8"]
"""Instead of the study's, in the runs of these tests."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = (
        {"problem": f"What is {i}?", "answer": str(i % 5), "level": 1 + i % 2} for i in range(4)
    )
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@cache
def make_commands(*words: str) -> list[list[str]]:
    """What the study's Makefile would run for these words, without `ponder` itself."""
    command = ["make", "--no-print-directory", "-n", "-f", str(STUDY / "Makefile"), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert all(words[0] == "ponder" for words in lines), done.stdout
    return [words[1:] for words in lines]


def shown() -> Iterator[CommandLine]:
    """Every call of `ponder` that the pages and the Makefile make."""
    for page in PAGES:
        yield from shown_commands(page.read_text(), page.parent.name)
    for arguments in make_commands("figures"):
        yield from as_command(shlex.join(["ponder", *arguments]), "Makefile", whole=True)


def values_of(option: str, arguments: list[str]) -> list[str]:
    """What follows each `option`."""
    return [arguments[at + 1] for at, word in enumerate(arguments) if word == option]


def prepared(recipe: Recipe, folder: Path) -> Recipe:
    """With the files that other commands write first: a policy, a trained head."""
    study = recipe.study
    if "policy" in study.knobs:
        made = Policy(4, "score", "last", (), {study.n: (Choice("sample", study.n, "weighted"),)})
        (folder / "policy.toml").write_text(policy_toml(made, "of a test"))
        recipe = recipe.with_key("knobs.policy", str(folder / "policy.toml"))
    if "head" in study.verifier_knobs:
        recipe = recipe.with_key("verifier_knobs.head", "smollm2")
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_names_parts_that_there_are(path: Path, tmp_path: Path) -> None:
    recipe = prepared(Recipe.load(path), tmp_path)
    study = recipe.study
    strategy = strategy_of(study)
    verifiers = [verifier_of(study.verifier, study.verifier_knobs)] if study.verifier else []
    check_scored(strategy, verifiers)
    assert strategy.n == study.n
    assert load_prompt(study.prompt).turns
    if study.engine == "vllm":
        assert vllm_options(recipe).memory_share <= 0.9
    if study.dataset.startswith(PREFIX):
        assert Task.named(study.dataset).size == 60
    else:
        assert study.dataset in builtin_names() or hub_set(study.dataset) is not None


@pytest.mark.parametrize("path", sorted(STUDY.glob("*.toml")), ids=lambda path: path.stem)
def test_the_studys_settings_are_those_of_the_study(path: Path) -> None:
    study = Recipe.load(path).study
    assert (study.dataset, study.prompt) == ("math500", "study")
    assert (study.sampling.max_tokens, study.sampling.top_p) == (2048, 1.0)
    assert study.sampling.temperature == (0.0 if path.stem == "greedy" else 0.8)
    if study.strategy in ("beam_search", "dvts"):
        assert study.knobs == {"beam_width": 4, "max_iterations": 40}
        assert study.aggregation == "last"
    if path.stem != "greedy":
        assert study.verifier_knobs["model"] == "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data"


def test_engine_and_verifier_share_a_gpu() -> None:
    for path in sorted(STUDY.glob("*.toml")):
        recipe = Recipe.load(path)
        verifier = recipe.study.verifier_knobs.get("memory_share", 0.0)
        assert isinstance(verifier, float)
        assert recipe.host.vllm.memory_share + verifier == pytest.approx(0.9)


def test_the_date_in_a_prompt_is_pinned() -> None:
    pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")
    from ponder.backends.checkpoint_text import CheckpointText
    from tests.reward_tokenizers import qwen

    tokenizer = qwen()
    tokenizer.chat_template = (
        "{%- if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
        "{% endif %}Today Date: {{ date_string }}\n{{ messages[0]['content'] }}"
    )
    text = CheckpointText(tokenizer).render([Message("user", "Hi")])
    assert text == "Today Date: 26 Jul 2024\nHi"


def test_every_command_of_the_recipes_is_accepted() -> None:
    lines = {shlex.join(line.arguments): line for line in shown()}.values()
    assert len(lines) > 50
    faults = [
        f"{line.page}: {fault}"
        for line in lines
        if (fault := command_fault(app, line.arguments, whole=line.whole))
    ]
    assert faults == []


def test_every_command_names_a_recipe_with_the_keys_that_it_sets() -> None:
    named = set()
    for line in shown():
        command, recipe = (*line.arguments, "-")[:2]
        if command == "run" and not recipe.startswith("-"):
            path = Path(recipe) if recipe in shipped_recipes() else ROOT / recipe
            named.add(path)
            with_keys(Recipe.load(path), values_of("--set", line.arguments))
    assert named >= set(RECIPES)


def test_links_of_the_pages_lead_somewhere() -> None:
    assert [fault for page in PAGES for fault in broken_links(page)] == []


def test_the_targets_that_the_page_tells_of_make_figures() -> None:
    text = (STUDY / "README.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    targets = [word.strip(" `") for row in rows for word in row.split(",")]
    assert len(targets) == 7
    for target in targets:
        report = make_commands(target)[-1]
        assert report[0] == "report"
        assert values_of("--figures", report)[0].endswith(f"figures/{target}")
        assert len(values_of("--line", report)) == (4 if target == "summary" else 2)


def test_more_seeds_keep_the_runs_of_the_first() -> None:
    one, more = make_commands("dvts"), make_commands("dvts", "SEEDS=0 1")
    assert [values_of("-o", words) for words in one] == [values_of("-o", words) for words in more]
    assert "seed=0" in values_of("--sweep", one[0])
    assert "seed=0,1" in values_of("--sweep", more[0])


def small(arguments: list[str], data: Path) -> list[str]:
    """A run's command, with the scripted engine and verifier in place of models."""
    if arguments[0] != "run":
        return arguments
    words = [*arguments, *SCRIPTED, "--dataset", str(data)]
    if "greedy" not in arguments[1]:
        words += JUDGED
    return words if any("n=" in word for word in arguments) else [*words, "--n", SIZES[-1]]


def test_the_compute_optimal_figure_end_to_end(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    commands = make_commands("compute-optimal-1b", f"OUT={out}", f"SIZES={' '.join(SIZES)}")
    for arguments in commands:
        assert ponder(*small(arguments, data)) == 0, capsys.readouterr().err
    assert (out / "compute-optimal-1b.html").stat().st_size > 10_000
    drawn = out / "figures" / "compute-optimal-1b" / "one-column"
    assert "8B greedy" in (drawn / "accuracy-n.svg").read_text(encoding="utf-8")
    assert {"choices.svg", "levels.svg", "comparison.png"} <= {
        path.name for path in drawn.iterdir()
    }
    capsys.readouterr()
    assert ponder("report", out / "1b", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [run["n_problems"] for run in report["runs"]] == [4] * 7
    assert not report["joined"]  # they are of several methods
    assert ponder("report", out / "1b" / "beam-search", "--json") == 0
    joined = json.loads(capsys.readouterr().out)["joined"]
    assert set(joined["weighted"]) == {str(size) for size in SIZES}


@pytest.mark.parametrize("name", ["laptop/dvts", "laptop/reasoning-gym", "gsm8k-qwen/beam-search"])
def test_a_recipe_end_to_end(
    name: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", FOLDER / f"{name}.toml", *SCRIPTED, *JUDGED, "--dataset", data]
    assert ponder(*words, "-o", tmp_path / "run", "--json") == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    assert report["n_problems"] == 4
    assert "8" in report["curves"]["weighted"]
