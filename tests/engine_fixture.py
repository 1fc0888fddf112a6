"""One embedded engine for all tests of a process.

A module that uses it sets `pytestmark = ENGINE_MARKS` and imports the fixture, unless `conftest`
does. All tests then run in one event loop, the one that the engine belongs to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ponder.engines.embedded import EmbeddedEngine

ENGINE_MARKS = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

_opened: list[EmbeddedEngine] = []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_engine() -> AsyncIterator[EmbeddedEngine]:
    """The default model, opened once however many modules import this fixture."""
    if not _opened:
        _opened.append(await EmbeddedEngine.open())
    yield _opened[0]
    await _opened[0].aclose()
