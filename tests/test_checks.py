"""The project's own checks: which skips fail a run, what is written down, what make would do."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import check_verification
import junit
import not_run
import record_mutations
import record_verification

ROOT = Path(__file__).resolve().parent.parent

SMALL_SUITE = """
import pytest

def test_passes(): pass

def test_fails(): assert False

@pytest.mark.skip(reason="the moon is full")
def test_waits(): pass

@pytest.mark.long
def test_large(): pass

def test_reads_data(test_data): assert test_data.is_absolute()

@pytest.mark.engine
@pytest.mark.parametrize("number", range(8))
def test_shares_an_engine(number, worker_id, tmp_path_factory):
    (tmp_path_factory.getbasetemp().parent / f"engine-{worker_id}").touch()
"""
MODULE_SKIP = "import pytest\npytest.skip('no module', allow_module_level=True)"


def run_suite(folder: Path, *options: str, data: str | None = None) -> list[junit.Result]:
    """Run the small suite under the project's own settings."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tools").mkdir(exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_small.py").write_text(SMALL_SUITE)
    (folder / "tests" / "test_absent.py").write_text(MODULE_SKIP)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env.pop("PONDER_TEST_DATA", None)
    if data is not None:
        env["PONDER_TEST_DATA"] = data
    report = folder / "results.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", f"--junit-xml={report}", *options],
        cwd=folder,
        env=env,
        capture_output=True,
    )
    return junit.read(report)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[junit.Result]]:
    folder = tmp_path_factory.mktemp("suite")
    parallel = ("-n", "2", "--dist", "loadgroup", "--basetemp", str(folder / "temp"))
    return folder, run_suite(folder, *parallel)


def test_every_test_left_out_is_listed_with_its_reason(
    suite: tuple[Path, list[junit.Result]],
) -> None:
    skipped = {r.name.split("::")[-1]: r.reason for r in suite[1] if r.outcome == "skipped"}
    assert skipped.pop("test_waits") == "the moon is full"
    assert skipped.pop("test_large") == "full size, run by `make test-long`"
    assert skipped.pop("test_reads_data") == "PONDER_TEST_DATA is not set"
    assert skipped == {"tests.test_absent": "no module"}
    assert junit.closing_line(suite[1]) == "9 passed, 1 failed, 4 skipped"


def test_tests_of_the_embedded_model_share_one_process(
    suite: tuple[Path, list[junit.Result]],
) -> None:
    assert len(list((suite[0] / "temp").glob("engine-*"))) == 1


def test_full_sizes_and_data_are_used_when_asked_for(tmp_path: Path) -> None:
    small = "tests/test_small.py"
    results = run_suite(
        tmp_path, "--long", f"{small}::test_large", f"{small}::test_reads_data", data=str(tmp_path)
    )
    assert [(r.outcome, r.full_size) for r in results] == [("passed", True), ("passed", False)]


def test_a_data_folder_that_is_named_must_exist(tmp_path: Path) -> None:
    (result,) = run_suite(tmp_path, "tests/test_small.py::test_reads_data", data="nowhere")
    assert result.outcome == "failed"


def test_only_listed_reasons_may_skip(
    suite: tuple[Path, list[junit.Result]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = suite
    reasons = {result.reason for result in results if result.outcome == "skipped"}
    allowed = folder / "allowed.txt"
    allowed.write_text("# a comment\n" + "\n".join(reasons))
    assert not_run.main(str(folder / "results.xml"), str(allowed)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "9 passed, 1 failed, 4 skipped"
    allowed.write_text("\n".join(reasons - {"the moon is full"}))
    assert not_run.main(str(folder / "results.xml"), str(allowed)) == 1
    assert "  the moon is full  <- NOT ALLOWED" in capsys.readouterr().out.splitlines()


def test_the_record_keeps_what_stands_above_it() -> None:
    results = [
        junit.Result("tests/test_a::test_b", "passed", "", 2.0, full_size=True),
        junit.Result("tests/test_a::test_c", "skipped", "no chromium", 0.0, full_size=False),
    ]
    text = record_verification.section(
        record_verification.KINDS["full"], results, datetime.date(2026, 1, 2)
    )
    assert "- Date: 2026-01-02, commit `" in text
    assert "| `tests/test_a::test_b` | passed | 2.0 |" in text
    assert "- `tests/test_a::test_c`: no chromium" in text


def test_a_page_without_the_heading_is_refused(
    suite: tuple[Path, list[junit.Result]], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    arguments = ("full", str(suite[0] / "results.xml"), str(page))
    page.write_text("# A page\n")
    with pytest.raises(SystemExit, match="has no heading"):
        record_verification.main(*arguments)
    heading = record_verification.KINDS["full"].heading
    page.write_text(f"# A page\n\n{heading}\n\nan older run\n\n## Another\n\nstays\n")
    record_verification.main(*arguments)
    written = page.read_text()
    assert written.startswith(f"# A page\n\n{heading}\n\n- Date")
    assert written.endswith("\n\n## Another\n\nstays\n")
    assert "an older run" not in written


def test_runs_with_vllm_are_counted_by_file_and_model() -> None:
    results = [
        junit.Result("tests/test_a::test_b", "passed", "", 2.0, full_size=False),
        junit.Result("tests/test_a::test_c", "failed", "", 1.5, full_size=False),
        junit.Result("tests/test_a::test_b[m]", "passed", "", 1.0, full_size=False, model="m"),
        junit.Result("tests/test_d::test_e", "passed", "", 1.0, full_size=False),
    ]
    table = list(record_verification.by_file(results))[2:]
    assert table == [
        "| `tests/test_a` | 1 passed, 1 failed, 0 skipped | 3.5 |",
        "| `tests/test_a` on m | 1 passed, 0 failed, 0 skipped | 1.0 |",
        "| `tests/test_d` | 1 passed, 0 failed, 0 skipped | 1.0 |",
    ]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository whose engines were changed once."""
    git(tmp_path, "init", "--quiet")
    change(tmp_path, "src/ponder/engines/one.py")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", "-C", str(folder), *named, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def change(folder: Path, name: str) -> str:
    """Commit a change of a file; returns the commit."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        file.write("more\n")
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "-m", name)
    return git(folder, "rev-parse", "--short=12", "HEAD")


def verified(commit: str, failed: int = 0) -> str:
    heading = record_verification.KINDS["vllm"].heading
    run = f"- Date: 2026-01-02, commit `{commit}`\n- Outcome: 70 passed, {failed} failed, 1 skipped"
    return f"# Page\n\n{heading}\n\n{run}\n\n## Other\n"


def test_a_run_older_than_an_engine_is_a_fault(history: Path) -> None:
    tested = git(history, "rev-parse", "--short=12", "HEAD")
    change(history, "docs/verification.md")
    assert check_verification.fault(verified(tested), history) is None
    change(history, "src/ponder/engines/deep/two.py")
    said = check_verification.fault(verified(tested), history)
    assert said is not None
    assert said.startswith(f"src/ponder/engines, or what it stands on, has changed since {tested}")
    assert "make test-vllm" in said


def test_so_is_one_older_than_what_an_engine_stands_on(history: Path) -> None:
    tested = git(history, "rev-parse", "--short=12", "HEAD")
    change(history, "src/ponder/backends/gguf.py")
    assert check_verification.fault(verified(tested), history) is None
    change(history, "src/ponder/backends/drafting.py")
    assert check_verification.fault(verified(tested), history) is not None


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("# Page\n", "no run with vLLM is written down"),
        (verified("0123456789ab-dirty"), "of a changed working tree"),
        (verified("0123456789ab"), "not in this history"),
        (verified("0123456789ab", failed=10), "10 tests of the run with vLLM failed"),
    ],
)
def test_a_run_of_nothing_known_is_a_fault(history: Path, page: str, said: str) -> None:
    assert said in (check_verification.fault(page, history) or "")


def test_without_a_history_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "page.md").write_text(verified("0123456789ab"))
    assert check_verification.main(str(tmp_path / "page.md")) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert "there is no git history here" in line


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A project whose environment is newer than its lock files."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements/run.txt", "requirements/dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    for number, name in enumerate(("bin/pip", ".run-installed", ".dev-installed"), 2):
        (tmp_path / ".venv" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv" / name).touch()
        os.utime(tmp_path / ".venv" / name, (number, number))
    return tmp_path


def planned(folder: Path, *targets: str) -> str:
    """The commands that make would run."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--dry-run", *targets]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True).stdout


def test_a_second_setup_installs_nothing(installed: Path) -> None:
    assert "install" not in planned(installed, "setup", "dev")


def test_a_changed_lock_installs_again(installed: Path) -> None:
    (installed / "requirements" / "run.txt").touch()
    assert "requirements/run.txt" in planned(installed, "setup")
    assert "requirements/dev.txt" in planned(installed, "test")


def test_the_demo_needs_no_development_packages(installed: Path) -> None:
    shutil.rmtree(installed / ".venv")
    plan = planned(installed, "demo")
    assert "-m venv" in plan
    assert "requirements/run.txt" in plan
    assert "requirements/dev.txt" not in plan


def test_a_mutation_run_is_told_with_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("record_mutations.version", lambda _: "1.2")
    counts = {
        "killed": 80, "timeout": 4, "segfault": 1, "survived": 10, "no_tests": 4,
        "suspicious": 1, "skipped": 7, "total": 107,
    }  # fmt: skip
    assert record_mutations.killed_share(counts) == 0.85
    text = record_mutations.section(counts, datetime.date(2026, 1, 2), "mutmut 1.2")
    assert text.startswith("## Newest mutation run\n\n- Date: 2026-01-02, commit `")
    assert "cores, mutmut 1.2" in text
    assert "- Tried: 100 of the 107 mutants of `search` and `session`\n- Killed: 85.0% of" in text
    assert "| 80 | 4 | 10 | 4 | 1 | 107 |" in text
    page, file = tmp_path / "page.md", tmp_path / "counts.json"
    for changed, status in (({}, 0), ({"killed": 79, "survived": 11}, 1), ({"total": 108}, 1)):
        page.write_text("# Page\n\n## Newest mutation run\n")
        file.write_text(json.dumps(counts | changed))
        assert record_mutations.main(str(file), str(page)) == status
