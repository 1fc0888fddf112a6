"""What vLLM has loaded: its text side, its limits, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from ponder.backends.checkpoint import end_ids, fingerprint, parameters
from ponder.backends.checkpoint_text import CheckpointText
from ponder.engines.base import Capabilities
from ponder.engines.vllm.options import VllmOptions

EXPECTED_TOKENS: Final = 2048
"""Of a prompt and its answer, as most are: the cache is to hold that many for each sequence that
runs. Where longer ones fill it, vLLM takes one back and computes it again."""


class LoadedModel(NamedTuple):
    """A model that runs."""

    text: CheckpointText
    end_ids: frozenset[int]
    room: int
    """Tokens of a prompt and its answer at most."""
    copies: int
    """Under data parallelism; else 1."""
    block: int
    """Tokens of a cache block: what samples share ends at a whole one."""
    capabilities: Capabilities


def describe(llm: Any, model: str, options: VllmOptions) -> LoadedModel:
    """Read the facts of a loaded model. Raises EngineError for a tokenizer without bytes."""
    config = llm.vllm_config
    size = int(config.model_config.get_vocab_size())
    text = CheckpointText.open(model, options.revision, size)
    folder = checkpoint_folder(model, options.revision)
    ends = end_ids(folder) | ({text.end_id} if text.end_id is not None else set())
    room = int(config.model_config.max_model_len)
    copies = options.data_parallel
    capabilities = Capabilities(
        identity=_identity(model, folder, config.model_config),
        tokenizer=text.vocabulary.fingerprint,
        slots=slots_of_a_copy(config, room, copies) * copies,
        reproducible="same_batch",
        continues=True,
        logprobs=True,
        parameters=parameters(folder),
        keeps_openings=options.openings_kept > 0,
    )
    block = int(config.cache_config.block_size)
    return LoadedModel(text, frozenset(ends), room, copies, block, capabilities)


def checkpoint_folder(model: str, revision: str | None) -> Path:
    """The model's folder, or where the hub's files of it lie on this machine."""
    if Path(model).is_dir():
        return Path(model)
    from transformers.utils.hub import cached_file

    return Path(str(cached_file(model, "config.json", revision=revision))).parent


def _identity(model: str, folder: Path, config: Any) -> str:
    """A folder's name and hash, or a hub's name and commit; then what changes the numbers."""
    named = fingerprint(model) if folder == Path(model) else f"{model}@{folder.name[:16]}"
    precision = str(config.dtype).removeprefix("torch.")
    return f"vllm:{named}/{precision}/{config.quantization or 'unquantized'}"


def slots_of_a_copy(config: Any, room: int, copies: int) -> int:
    """Sequences that the scheduler of each copy runs at once and its cache has room for.

    vLLM tells the tokens that one copy's cache holds; where it does not, its blocks, which it adds
    up over all copies.
    """
    cache = config.cache_config
    tokens = cache.kv_cache_size_tokens
    if tokens is None:
        tokens = cache.num_gpu_blocks // copies * cache.block_size
    held = max(1, int(tokens) // min(room, EXPECTED_TOKENS))
    return min(int(config.scheduler_config.max_num_seqs), held)
