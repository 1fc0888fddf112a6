"""Checkpoints for vLLM: SmolLM2 written from its GGUF file, and small ones with random weights."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ponder.backends.models import default_model

CONTEXT = 2048
LEAKING = {"temperature": 0.01, "top_k": 1, "top_p": 0.1, "repetition_penalty": 1.9}
"""What a model's author might recommend; samples that follow it show that it leaked in."""
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # of 64 dimensions each: vLLM's CPU kernels know no smaller ones
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
}


SMOLLM2 = "SmolLM2-135M-Instruct"


def language_models() -> list[str]:
    """SmolLM2, and the folder that PONDER_VLLM_MODEL names where it is set."""
    return [SMOLLM2, *filter(None, [os.environ.get("PONDER_VLLM_MODEL")])]


def language_model(base: Path, named: str = SMOLLM2) -> Path:
    """The folder of one of `language_models`; what has to be made is made once in `base`.

    Each gets a generation config that must not matter: theirs is a copy, the weights are linked.
    """
    model = base / named if named == SMOLLM2 else Path(named).resolve()
    leaking = base / "leaking" / model.name
    if leaking.exists():
        return leaking
    if named == SMOLLM2:
        from_gguf(default_model(), model)
    leaking.mkdir(parents=True)
    for file in model.iterdir():
        (leaking / file.name).symlink_to(file)
    config = model / "generation_config.json"
    told = json.loads(config.read_text()) if config.exists() else {}
    (leaking / config.name).unlink(missing_ok=True)
    (leaking / config.name).write_text(json.dumps({**told, "do_sample": True, **LEAKING}))
    return leaking


def tiny(folder: Path, kind: str = "CausalLM", **changed: Any) -> Path:
    """A Qwen2 of two layers with random weights and a byte-level tokenizer; always the same."""
    import torch
    import transformers

    from tests.reward_tokenizers import qwen

    tokenizer = qwen()
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = transformers.Qwen2Config(vocab_size=len(tokenizer), **SIZES, **ids, **changed)
    torch.manual_seed(0)
    auto = getattr(transformers, f"AutoModelFor{kind}")
    auto.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(LEAKING))
    return folder


def from_gguf(file: Path, folder: Path) -> None:
    """The weights in bfloat16, exactly as the file's blocks give them, rounded once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": file.name}
    packed = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.bfloat16, **where)
    config = AutoConfig.from_pretrained(file.parent, **where)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    plain: Any = type(packed)(config)
    plain = plain.to(torch.bfloat16)
    plain.load_state_dict(packed.state_dict(), strict=True)
    plain.generation_config = packed.generation_config
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, **where).save_pretrained(folder)


if __name__ == "__main__":
    from_gguf(default_model(), Path(sys.argv[1]))
