"""The package as a whole: what it exports, imports, ships and weighs."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
    version,
)
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import check_locks
import ponder

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "ponder"
RUN_LOCK = ROOT / "requirements" / "run.txt"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(SOURCE)], "ponder.")
    if not module.name.endswith("__main__")
)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OPTIONAL = {Requirement(text).name.replace("-", "_") for texts in EXTRAS.values() for text in texts}
HEAVY = {*OPTIONAL, "openvino", "torch"}


def lint_imports(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    return subprocess.run(
        [*command, "--no-logo", "--no-cache", *options],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "PATH": ""},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["ponder", *MODULES])
def test_what_a_module_exports_exists_and_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        thing = getattr(module, exported)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, f"{name}.{exported} has no docstring"


def test_the_face_exports_what_it_imports() -> None:
    listed = set(getattr(ponder, "__all__", ()))
    public = {
        name
        for name, thing in vars(ponder).items()
        if not name.startswith("_") and getattr(thing, "__module__", "").startswith("ponder.")
    }
    assert public <= listed


def test_importing_every_module_loads_nothing_heavy() -> None:
    script = (
        "import importlib, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def parsed_sources() -> Iterator[tuple[str, ast.AST]]:
    """Each node of each file's syntax tree, with the file's name."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path.name, node


def imported_packages(node: ast.AST) -> set[str]:
    """Top-level names that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module.split(".")[0]}
    return set()


def test_what_the_package_imports_is_locked_or_in_an_extra() -> None:
    locked = {pin.name for pin in check_locks.read_pins(RUN_LOCK.read_text())}
    known = {"ponder", *sys.stdlib_module_names, *OPTIONAL}
    for package, distributions in packages_distributions().items():
        if locked & {canonicalize_name(name) for name in distributions}:
            known.add(package)
    foreign = [(name, imported_packages(node) - known) for name, node in parsed_sources()]
    assert [(name, packages) for name, packages in foreign if packages] == []


def test_an_extra_that_an_error_names_exists() -> None:
    named = {
        call.args[1].value
        for _, call in parsed_sources()
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in {"MissingExtraError", "optional"}
        and isinstance(call.args[1], ast.Constant)
    }
    assert "embedded" in named
    assert named <= EXTRAS.keys()


@pytest.mark.parametrize(
    ("contract", "module", "statement"),
    [
        ("layers", "trace.py", "import ponder.engines.base"),
        ("layers", "newcomer.py", '"""A module without a layer."""'),
        ("seams", "strategies/__init__.py", "import ponder.engines.newcomer"),
        ("seams", "session/__init__.py", "import ponder.verifiers"),
        ("strategies", "strategies/sample.py", "import ponder.session.slots"),
        ("strategies", "strategies/sample.py", "import ponder.engines.base"),
        ("face", "types.py", "import ponder"),
    ],
)
def test_each_contract_on_imports_can_break(
    tmp_path: Path, contract: str, module: str, statement: str
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(SOURCE, tmp_path / "src" / "ponder")
    (tmp_path / "src" / "ponder" / "engines" / "newcomer.py").touch()
    before = lint_imports(tmp_path, "--contract", contract)
    assert before.returncode == 0, before.stdout + before.stderr
    with (tmp_path / "src" / "ponder" / module).open("a") as file:
        file.write(f"\n{statement}\n")
    after = lint_imports(tmp_path, "--contract", contract)
    assert after.returncode == 1
    assert "1 broken" in after.stdout


def test_lock_files_fit_the_project() -> None:
    assert check_locks.main() == 0


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("httpx==", "http-x==", "httpx is not locked"),
        ("math-verify==0.9", "math-verify==0.8", "math-verify is locked at 0.8"),
        ("# via gguf", "# via ponder (pyproject.toml)", "tqdm is no longer wanted"),
        ("annotated-doc==", "--index-url https://host/x\nannotated-doc==", "holds an address"),
        ("# via gguf", "# via /srv/lock.in", "holds an address"),
        ("--hash=sha256:", "", "has no hash"),
    ],
)
def test_a_fault_in_a_lock_file_is_named(old: str, new: str, fault: str) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = RUN_LOCK.read_text()
    assert old in text
    requirements = check_locks.named(pyproject, "run.txt")
    faults = list(check_locks.lock_faults(text.replace(old, new), requirements))
    assert any(fault in line for line in faults), faults


def test_lock_files_that_disagree_are_named() -> None:
    pin = "\nrich=={} \\\n    --hash=sha256:00\n    # via typer"
    assert list(check_locks.shared_faults(pin.format("1"), pin.format("1"))) == []
    assert list(check_locks.shared_faults(pin.format("1"), pin.format("2"))) == [
        "rich is 2 in dev.txt, another version in run.txt"
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    present = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == present
    assert "ponder/py.typed" in shipped


def test_the_wheel_states_licence_and_command(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    assert "ponder = ponder.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()


def installed_bytes(name: str) -> int:
    """What one distribution takes on disk; 0 if it is for another platform."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return 0
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.exists())


def test_the_run_time_environment_stays_under_700_mb() -> None:
    pins = check_locks.read_pins(RUN_LOCK.read_text())
    names = {pin.name for pin in pins} | {"pip", "setuptools"}
    sizes = {name: installed_bytes(name) for name in names}
    total = sum(sizes.values()) / 1e6
    assert sizes["openvino"], "openvino is not installed: make setup"
    assert total < 700, f"{total:.0f} MB, largest: {sorted(sizes, key=sizes.__getitem__)[-5:]}"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ponder", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"ponder {version('ponder')}\n"
