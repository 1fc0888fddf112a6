"""Tests that need vLLM import this: they are skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("vllm") is None:
    pytest.skip("vllm is not installed: run by `make test-vllm`", allow_module_level=True)
