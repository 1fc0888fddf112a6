"""What all tests share: the data folder, full sizes, one engine a run, reproducible properties."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

FULL_SIZE = "full size, run by `make test-long`"

settings.register_profile(
    "ponder", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("ponder"), max_examples=1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full sizes too")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "ponder")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Leave out full sizes, and keep tests of the embedded model in one process.

    Full sizes are skipped, not deselected, so that every run lists them as not run. A wrapper,
    since xdist reads the groups in the same hook and is called before any other implementation.
    """
    for item in items:
        if item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.xdist_group("engine"))
        if item.get_closest_marker("long"):
            item.user_properties.append(("size", "full"))
            if not config.getoption("--long"):
                item.add_marker(pytest.mark.skip(reason=FULL_SIZE))
    yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of public benchmark data that PONDER_TEST_DATA names."""
    named = os.environ.get("PONDER_TEST_DATA")
    if not named:
        pytest.skip("PONDER_TEST_DATA is not set")
    folder = Path(named).resolve()
    if not folder.is_dir():
        pytest.fail(
            f"PONDER_TEST_DATA names {named}, which is no folder: set it to one, or unset it"
        )
    return folder
