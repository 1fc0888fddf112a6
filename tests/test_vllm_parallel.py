"""The `vllm` engine over two copies of a model, and over two shards of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

import tests.vllm_here  # noqa: F401  skips this file without vLLM
from ponder.engines.vllm import VllmEngine, VllmOptions
from ponder.engines.vllm.options import CPU_BLOCK
from ponder.types import Prefix, Problem, Sampling
from tests.contracts.engine_contract import CONTRACT, Check
from tests.vllm_models import CONTEXT, tiny
from tests.walking import drawn, within

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOTS = 16
BLOCK = CPU_BLOCK
LONG = "Write about a river, a lake, a mountain, a desert and a wood. " * 4
FEW = Sampling(max_tokens=4)


ONE = VllmOptions(max_model_len=CONTEXT, cache_gb=0.25, slots=SLOTS, eager=True)
PARALLEL = {"copies": replace(ONE, data_parallel=2), "shards": replace(ONE, tensor_parallel=2)}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PARALLEL)
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[VllmEngine]:
    folder = tiny(tmp_path_factory.mktemp("parallel"))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "shards":
            # vLLM asks for a NUMA node a shard unless it is told the cores of each.
            patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
        engine = await VllmEngine.open(str(folder), PARALLEL[request.param])
    yield engine
    await engine.aclose()


@pytest.fixture
def copies(request: pytest.FixtureRequest) -> int:
    return PARALLEL[request.node.callspec.params["engine"]].data_parallel


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
async def test_contract(engine: VllmEngine, check: Check) -> None:
    await check(engine)
    assert await within(1, engine, lambda running: running == 0)


async def test_each_copy_adds_its_slots(engine: VllmEngine, copies: int) -> None:
    assert engine.capabilities.slots == copies * SLOTS


async def reads(engine: VllmEngine, problem: str, samples: int) -> int:
    """Of how many samples of a new problem vLLM read the whole prompt."""
    prefix = Prefix.root(Problem.ask(f"{problem}: {LONG}"))
    completions = await drawn(engine, prefix, FEW, range(samples))
    return sum((completion.usage.cached or 0) < BLOCK for completion in completions)


async def test_a_small_problem_is_read_by_one_copy(engine: VllmEngine) -> None:
    for number in range(4):
        assert await reads(engine, f"small {number}", SLOTS) == 1


async def test_a_large_problem_is_read_once_by_every_copy(engine: VllmEngine, copies: int) -> None:
    assert await reads(engine, "large", 3 * SLOTS) == copies
