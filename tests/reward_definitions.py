"""Each family of reward models by its own definition, with transformers alone.

A definition builds a tiny model of the family's architecture with random weights, saves it as a
checkpoint of that family would be, and scores solutions as its authors do. Nothing of ponder is
imported: this is what ponder is compared with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
)

from tests.reward_tokenizers import llama, mistral, qwen

Scores = list[float]
SYSTEM: Final = "Please reason step by step, and put your final answer within \\boxed{}."


class Checkpoint(NamedTuple):
    """A saved tiny model, loaded again by transformers."""

    folder: Path
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    head: dict[str, torch.Tensor]
    """Weights that transformers does not know."""

    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """[tokens, classes]"""
        with torch.no_grad():
            logits: torch.Tensor = self.model(input_ids=torch.tensor([ids])).logits[0]
        return logits.float()

    def hidden(self, ids: Sequence[int]) -> torch.Tensor:
        """[tokens, width] after the final norm."""
        with torch.no_grad():
            states: torch.Tensor = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        return states.float()


class Input(NamedTuple):
    """What a family reads for a solution."""

    ids: list[int]
    ends: list[int]
    """Where each step's score is read in `ids`."""


class Definition(NamedTuple):
    """A family: what its checkpoint is, and its authors' scores of non-empty, stripped steps."""

    tokenizer: Callable[[], PreTrainedTokenizerBase]
    config: type[Any]
    load: type[Any]
    scores: Callable[[Checkpoint, str, list[str]], Scores]
    head: tuple[tuple[str, int, bool], ...] = ()
    """Name, outputs and bias of linear layers that are saved beside the model."""
    settings: tuple[tuple[str, Any], ...] = ()
    """What the saved config.json says otherwise."""
    labels: int = 2


def made(definition: Definition, folder: Path, seed: int = 0) -> Checkpoint:
    """The family's tiny checkpoint in `folder`."""
    tokenizer = definition.tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = definition.config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,
        num_labels=definition.labels,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = definition.load.from_config(config)
    model.save_pretrained(folder)
    head = _saved_head(definition, folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **dict(definition.settings)}))
    return Checkpoint(folder, tokenizer, model.eval(), head)


def _saved_head(definition: Definition, folder: Path) -> dict[str, torch.Tensor]:
    """Add the head's layers to the checkpoint's file, under the names of a whole model."""
    head: dict[str, torch.Tensor] = {}
    width = 32
    for name, outputs, bias in definition.head:
        head[f"{name}.weight"] = torch.randn(outputs, width) * 0.4
        if bias:
            head[f"{name}.bias"] = torch.randn(outputs) * 0.4
        width = outputs
    if head:
        path = folder / "model.safetensors"
        base = {f"model.{name}": weight for name, weight in load_file(path).items()}
        save_file({**base, **head}, path, metadata={"format": "pt"})
    return head


def chat_ids(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]]) -> list[int]:
    """The conversation in the checkpoint's template."""
    return list(cast("Any", tokenizer.apply_chat_template(turns, return_dict=True))["input_ids"])


def math_shepherd_input(
    tokenizer: PreTrainedTokenizerBase, question: str, steps: list[str]
) -> Input:
    """The model card: a line a step, the tag after each."""
    text, ends = f"{question} ", []
    for number, step in enumerate(steps, 1):
        named = step if re.match(r"\s*Step \d+:", step) else f"Step {number}: {step}"
        text += ("\n" if number > 1 else "") + f"{named} ки"
        ends.append(len(tokenizer.encode(text)) - 1)
    ids = tokenizer.encode(text)
    assert all(tokenizer.convert_ids_to_tokens(ids[end]) == "▁ки" for end in ends)
    return Input(ids, ends)


def math_shepherd(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """The model card: P(+) against P(-) at each step's tag."""
    plus, minus = (at.tokenizer.convert_tokens_to_ids(label) for label in ("▁+", "▁-"))
    ids, ends = math_shepherd_input(at.tokenizer, question, steps)
    probabilities = at.logits(ids)[:, [plus, minus]].softmax(-1)[:, 0]
    return [float(probabilities[end]) for end in ends]


def rlhflow(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """The authors' evaluation: the third token from the end of the conversation so far."""
    labels = [at.tokenizer.encode(label)[-1] for label in "+-"]
    conversation: list[dict[str, str]] = []
    scores = []
    for number, step in enumerate(steps):
        text = f"{question} {step.strip()}" if number == 0 else step.strip()
        conversation += [{"role": "user", "content": text}, {"role": "assistant", "content": "+"}]
        ids = chat_ids(at.tokenizer, conversation)
        scores.append(float(at.logits(ids)[-3, labels].softmax(-1)[0]))
    return scores


def skywork(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """The authors' prepare_input, then a sigmoid of the value head at each flag."""
    ids = at.tokenizer.encode(f"{at.tokenizer.bos_token}{question}\n")
    separator = at.tokenizer.encode("\n")[-1]
    flags = []
    for step in steps:
        ids += [*at.tokenizer.encode(step), separator]
        flags.append(len(ids) - 1)
    head = at.head
    values = at.hidden(ids) @ head["v_head.summary.weight"].T + head["v_head.summary.bias"]
    return [float(values[flag, 0].sigmoid()) for flag in flags]


def qwen_prm_input(tokenizer: PreTrainedTokenizerBase, question: str, steps: list[str]) -> Input:
    """The model card: the chat template, `<extra_0>` after every step."""
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    ids = chat_ids(tokenizer, turns)
    begun = tokenizer.apply_chat_template(turns[:2], tokenize=False, add_generation_prompt=True)
    text = str(begun)
    ends = []
    for step in steps:
        text += f"{step}<extra_0>"
        ends.append(len(tokenizer(text, add_special_tokens=False)["input_ids"]) - 1)
    assert all(tokenizer.convert_ids_to_tokens(ids[end]) == "<extra_0>" for end in ends)
    return Input(ids, ends)


def qwen_prm(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """The model card: softmax over two classes at each `<extra_0>` that ends a step."""
    ids, ends = qwen_prm_input(at.tokenizer, question, steps)
    head = at.head
    inner = (at.hidden(ids) @ head["score.0.weight"].T + head["score.0.bias"]).relu()
    classes = (inner @ head["score.2.weight"].T + head["score.2.bias"]).softmax(-1)
    return [float(classes[end, 1]) for end in ends]


def trl(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """As PRMTrainer tokenises: the separator's ids after each step's own."""
    bos = at.tokenizer.bos_token_id
    ids = at.tokenizer(question, add_special_tokens=False)["input_ids"]
    ids = ids if bos is None else [bos, *ids]
    separator = at.tokenizer.encode("\n", add_special_tokens=False)
    ends = []
    for step in steps:
        ids = ids + at.tokenizer(step, add_special_tokens=False)["input_ids"] + separator
        ends.append(len(ids) - 1)
    probabilities = at.logits(ids).softmax(-1)
    return [float(probabilities[end, 1]) for end in ends]


def trl_joined(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """As its documentation and the published figures read it: the last token of the text so far."""
    scores = []
    for end in range(1, len(steps) + 1):
        ids = at.tokenizer("\n\n".join((question, *steps[:end])) + "\n\n")["input_ids"]
        scores.append(float(at.logits(ids)[-1].softmax(-1)[1]))
    return scores


def reasoneval_input(tokenizer: PreTrainedTokenizerBase, question: str, steps: list[str]) -> Input:
    """The authors' inference for the 7B: markers are taken out, a score is read before each."""
    separator = tokenizer.pad_token
    prompt = f"Question:\n{question}\nAnswer:\nLet's think step by step.\n"
    ids = tokenizer(prompt + separator + "".join(s + separator for s in steps))["input_ids"]
    kept: list[int] = []
    ends: list[int] = []
    for place, token in enumerate(ids):
        if token == tokenizer.pad_token_id:
            ends.append(place - 1 - len(ends))
        else:
            kept.append(token)
    return Input([1, *kept], ends[2:])


def reasoneval(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """Validity is the sum of neutral and positive."""
    ids, ends = reasoneval_input(at.tokenizer, question, steps)
    classes = (at.hidden(ids) @ at.head["score_head.weight"].T).softmax(-1)
    return [float(classes[end, 1:].sum()) for end in ends]


def outcome(at: Checkpoint, question: str, steps: list[str]) -> Scores:
    """A sequence classifier of one label: transformers' own pooling over the conversation."""
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "".join(steps).rstrip()},
    ]
    ids = chat_ids(at.tokenizer, turns)
    return [float(at.logits([*ids])[0].sigmoid())]


DEFINITIONS: Final = {
    "math-shepherd": Definition(mistral, MistralConfig, AutoModelForCausalLM, math_shepherd),
    "rlhflow": Definition(llama, LlamaConfig, AutoModelForCausalLM, rlhflow),
    "skywork": Definition(
        lambda: qwen(bos="<|endoftext|>"),
        Qwen2Config,
        AutoModel,
        skywork,
        head=(("v_head.summary", 1, True),),
        settings=(("architectures", ["Qwen2ForPrmModel"]),),
    ),
    "qwen2.5-math-prm": Definition(
        lambda: qwen("<extra_0>"),
        Qwen2Config,
        AutoModel,
        qwen_prm,
        head=(("score.0", 32, True), ("score.2", 2, True)),
        settings=(
            ("architectures", ["Qwen2ForProcessRewardModel"]),
            ("auto_map", {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"}),
        ),
    ),
    "trl": Definition(qwen, Qwen2Config, AutoModelForTokenClassification, trl),
    "trl-joined": Definition(qwen, Qwen2Config, AutoModelForTokenClassification, trl_joined),
    "reasoneval": Definition(
        mistral, MistralConfig, AutoModel, reasoneval, head=(("score_head", 3, False),)
    ),
    "outcome": Definition(
        llama, LlamaConfig, AutoModelForSequenceClassification, outcome, labels=1
    ),
}
