"""How vLLM loads and runs a model, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.engines.openings import KEPT
from ponder.errors import UsageError

LARGEST_BLOCK = 32
"""Tokens of a cache block, above which it is told how little prefixes share."""
CPU_BLOCK = LARGEST_BLOCK
"""Tokens of a cache block on the CPU, where vLLM takes 128 unless told: its kernels want multiples
of 32, and what a cache can share ends at a whole block."""
HOTTEST = 2.0
"""The highest temperature that vLLM takes."""


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """Raises UsageError for a value that cannot be used."""

    dtype: str = "auto"
    """Of weights and sums: auto (the checkpoint's own), float16, bfloat16 or float32."""
    quantization: str | None = None
    """vLLM's name of the method (fp8, awq, ...); None: as the checkpoint's config says."""
    revision: str | None = None
    """Of a model on the hub: a branch, tag or commit."""
    max_model_len: int | None = None
    """Tokens of a prompt and its answer at most; None: the model's own context."""
    tensor_parallel: int = 1
    """GPUs that share each layer."""
    data_parallel: int = 1
    """Copies of the model; a problem stays with one while it has room, for its prefixes' sake."""
    memory_share: float = 0.9
    """Of each GPU's memory (on the CPU: of the main memory) that weights and cache may take."""
    cache_gb: float | None = None
    """Size of the key-value cache of each copy and GPU; None: what `memory_share` leaves."""
    slots: int | None = None
    """Sequences that each copy runs at once at most; None: vLLM's default."""
    eager: bool = False
    """Skip compiling: loads faster, runs slower."""
    openings_kept: int = KEPT
    """Conversations that stay rendered."""

    def __post_init__(self) -> None:
        for name in ("tensor_parallel", "data_parallel", "max_model_len", "slots"):
            value = getattr(self, name)
            if value is not None and (value < 1 or value != int(value)):
                raise UsageError(f"`{name}` must be a whole number of at least 1, got {value}")
        if not 0 < self.memory_share <= 1:
            raise UsageError(
                f"`memory_share` must be over 0 and at most 1, got {self.memory_share}"
            )
        if self.cache_gb is not None and not self.cache_gb > 0:
            raise UsageError(f"`cache_gb` must be over 0, got {self.cache_gb}")

    def arguments(self, model: str, *, on_cpu: bool) -> dict[str, object]:
        """As vLLM's `AsyncEngineArgs` takes them."""
        return {
            "model": model,
            "revision": self.revision,
            "tokenizer_revision": self.revision,
            "trust_remote_code": False,
            "dtype": self.dtype,
            "quantization": self.quantization,
            "max_model_len": self.max_model_len,
            "tensor_parallel_size": self.tensor_parallel,
            "data_parallel_size": self.data_parallel,
            "gpu_memory_utilization": self.memory_share,
            "kv_cache_memory_bytes": None if self.cache_gb is None else int(self.cache_gb * 2**30),
            "max_num_seqs": self.slots,
            "enforce_eager": self.eager,
            "enable_prefix_caching": True,
            "block_size": CPU_BLOCK if on_cpu else None,
            "generation_config": "vllm",  # the model's own would change what a request leaves out
            "logprobs_mode": "raw_logprobs",
            "use_tqdm_on_load": False,
            "disable_log_stats": True,
        }
