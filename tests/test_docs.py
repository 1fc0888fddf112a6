"""The documentation: links lead somewhere, commands parse, code runs, nothing names a machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

import ponder
from ponder.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"sh", "bash", "console", "shell"}


class CommandLine(NamedTuple):
    """A call of `ponder` that a page shows."""

    page: str
    arguments: list[str]
    whole: bool
    """Shown as a block to copy, so it must be complete."""


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The names under which a page's headings can be linked to, as GitHub forms them."""
    headings = re.findall(r"^#+ +(.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Targets of a page's links and pictures that lie in this project."""
    written = re.findall(r"\]\(<?([^)\s>]+)", prose(text))
    written += re.findall(r"(?:src|href|srcset)=\"([^\"]+)\"", prose(text))
    return [target for target in written if not re.match(r"[a-z]+:", target)]


def broken_links(page: Path) -> Iterator[str]:
    for target in links(page.read_text()):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists():
            yield f"{page.relative_to(ROOT)}: {target} does not exist"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text()):
            yield f"{page.relative_to(ROOT)}: {target} names no heading"


def shown_commands(text: str, page: str) -> Iterator[CommandLine]:
    """Every call of `ponder` in a page's shell blocks and between its single backticks."""
    for language, block in FENCE.findall(text):
        if language.strip() in SHELLS:
            for line in block.replace("\\\n", " ").splitlines():
                yield from as_command(line.strip().removeprefix("$ "), page, whole=True)
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text)):
        yield from as_command(span, page, whole=False)


def as_command(line: str, page: str, *, whole: bool) -> Iterator[CommandLine]:
    if not re.match(r"(\.venv/bin/)?ponder +[a-z-]", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>")), len(words))
    yield CommandLine(page, words[1:end], whole)


def command_fault(cli: typer.Typer, arguments: Sequence[str], *, whole: bool) -> str | None:
    """Why the command line would be refused as bad usage; None if it would not."""
    command: object = typer.main.get_command(cli)
    rest, path = list(arguments), "ponder"
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        path, command = f"{path} {rest[0]}", command.commands.get(rest.pop(0))
    if not isinstance(command, TyperCommand | TyperGroup):
        return f"{path} is no command"
    parser = command.make_parser(command.context_class(command, info_name=path))
    try:
        values, extra, _ = parser.parse_args(rest)
    except typer.TyperException as error:
        return f"{path}: {error}"
    missing = [p.name for p in command.params if p.required and values.get(p.name or "") is None]
    if whole and missing and "help" not in values:
        return f"{path}: {missing} missing"
    return f"{path}: {extra} too many" if extra else None


def runnable_blocks() -> list[str]:
    """The README's blocks of Python that are marked "```python run"."""
    fences = FENCE.findall((ROOT / "README.md").read_text())
    return [block for language, block in fences if language.split() == ["python", "run"]]


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Name and content of each tracked file that is text, but for this one."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path != Path(__file__).resolve():
            data = path.read_bytes()
            if b"\0" not in data:
                yield name, data.decode()


def indexes_of_this_machine() -> set[str]:
    """The addresses and folders that pip takes packages from here."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = re.findall(r"(?:index-url|find-links)='([^']*)'", settings)
    return {address for value in values for address in value.split()}


def test_every_link_leads_somewhere() -> None:
    assert [fault for page in PAGES for fault in broken_links(page)] == []


def test_every_command_that_a_page_shows_is_accepted() -> None:
    shown = [line for page in PAGES for line in shown_commands(page.read_text(), page.name)]
    faults = [
        f"{line.page}: {fault}"
        for line in shown
        if (fault := command_fault(app, line.arguments, whole=line.whole))
    ]
    assert faults == []


def leaf_commands(command: object, path: str = "ponder") -> Iterator[tuple[str, TyperCommand]]:
    """Every command under `command`, with the words that call it."""
    if isinstance(command, TyperGroup):
        for name, part in command.commands.items():
            yield from leaf_commands(part, f"{path} {name}")
    elif isinstance(command, TyperCommand):
        yield path, command


def test_every_command_shows_an_example_that_is_accepted() -> None:
    for path, command in leaf_commands(typer.main.get_command(app)):
        lines = re.findall(r"(?:^|Example: )\s*(ponder .*)", command.help or "", re.MULTILINE)
        examples = [shown for line in lines for shown in as_command(line, path, whole=True)]
        assert any(line.startswith(path) for line in lines), f"{path} --help shows no example"
        faults = [command_fault(app, shown.arguments, whole=True) for shown in examples]
        assert not any(faults), faults


def test_every_make_target_that_a_page_shows_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        for words in re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", text, re.MULTILINE):
            assert set(words.split()) <= targets, f"{page.name}: make {words}"


@pytest.mark.engine
def test_the_code_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = runnable_blocks()
    assert blocks or not hasattr(ponder, "solve"), "README shows no ```python run block"
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_no_file_names_a_path_of_this_machine() -> None:
    here = {str(ROOT), f"{ROOT.parent}/", f"{os.environ.get('HOME', '/root').rstrip('/')}/"} - {"/"}
    pattern = re.compile("|".join(rf"(?<![\w.*-]){re.escape(path)}" for path in sorted(here)))
    found = [
        f"{name}: {match[0]}" for name, text in tracked_texts() for match in pattern.finditer(text)
    ]
    assert found == []


def test_no_file_names_a_package_index() -> None:
    option = r"--(?:extra-)?index-url[ =]+\S|--find-links[ =]+\S"
    address = r"\w+://[^\s\"')]*(?:/simple\b|pythonhosted)"
    here = [re.escape(value) for value in indexes_of_this_machine() if len(value) > len("/x")]
    pattern = re.compile("|".join([option, address, *here]))
    inputs = {"tests/test_package.py"}  # it shows that such a line in a lock file is found
    found = [name for name, text in tracked_texts() if pattern.search(text) and name not in inputs]
    assert found == []


def test_faults_in_pages_are_found() -> None:
    assert anchors("# A `b`: c-d\n## Two\n```\n# no\n```") == {"a-b-c-d", "two"}
    written = '[a](x.md#b "t") ![p](<y.png>) [w](https://e.org) <img src="z.svg">'
    assert links(written) == ["x.md#b", "y.png", "z.svg"]
    text = "run `ponder show R | less`\n```sh\n$ ponder run A \\\n  -n 4 > log\nls\n```\n"
    assert [(line.arguments, line.whole) for line in shown_commands(text, "p")] == [
        (["run", "A", "-n", "4"], True),
        (["show", "R"], False),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("run A -n 4", None),
        ("import pool A", None),
        ("run --help", None),
        ("run A --m 4", "ponder run: No such option: --m"),
        ("run", "ponder run: ['recipe'] missing"),
        ("run A B", "ponder run: ['B'] too many"),
        ("walk", "ponder walk is no command"),
        ("import tea A", "ponder import tea is no command"),
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str, fault: str | None) -> None:
    cli, importing = typer.Typer(), typer.Typer()
    cli.add_typer(importing, name="import")

    @cli.command()
    def run(recipe: str, n: int = typer.Option(1, "-n")) -> None: ...

    @cli.command()
    def show(name: str) -> None: ...

    @importing.command()
    def pool(file: str) -> None: ...

    @importing.command()
    def rows(file: str) -> None: ...

    found = command_fault(cli, line.split(), whole=True)
    assert found == fault or (fault and found and found.startswith(fault))
