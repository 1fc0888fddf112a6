"""A model in vLLM, inside this program: GPUs, and vLLM's build for the CPU."""

from ponder.engines.vllm.engine import VllmEngine
from ponder.engines.vllm.options import VllmOptions

__all__ = ["VllmEngine", "VllmOptions"]
