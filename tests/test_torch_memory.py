"""What models of one program may take of a GPU's memory: torch knows one bound for them all."""

from __future__ import annotations

import pytest

from ponder.backends import torch_loading
from ponder.backends.torch_loading import bound_memory


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """What torch was told, by GPU, on a machine that seems to have two."""
    told: dict[int, float] = {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(
        "torch.cuda.set_per_process_memory_fraction",
        lambda share, gpu: told.__setitem__(gpu, round(share, 9)),
    )
    monkeypatch.setattr(torch_loading, "_SHARES", {})
    return told


def test_shares_of_one_gpu_add_up(bounds: dict[int, float]) -> None:
    bound_memory("a", None, 0.3)
    assert bounds == {0: 0.3}
    bound_memory("b", "cuda", 0.2)
    bound_memory("c", "cuda:1", 0.4)
    assert bounds == {0: 0.5, 1: 0.4}


def test_a_model_that_is_loaded_again_counts_once(bounds: dict[int, float]) -> None:
    for _ in range(2):
        bound_memory("a", "cuda:0", 0.3)
    assert bounds == {0: 0.3}


def test_a_model_without_a_share_lifts_the_bound(bounds: dict[int, float]) -> None:
    bound_memory("a", "cuda:0", None)
    assert bounds == {}
    bound_memory("b", "cuda:0", 0.3)
    assert bounds == {0: 1.0}


def test_a_model_on_all_gpus_is_bound_on_each(bounds: dict[int, float]) -> None:
    bound_memory("a", "auto", 0.3)
    assert bounds == {0: 0.3, 1: 0.3}


def test_a_model_on_the_cpu_is_not_bound(bounds: dict[int, float]) -> None:
    bound_memory("a", "cpu", 0.3)
    assert bounds == {}
