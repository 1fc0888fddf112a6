"""Tokenizers of the kinds that reward models have, tiny ones made here, and solutions to write."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

CORPUS: Final = [
    "First, Kim buys 6 * 7 = 42 cards.\n\nThen, Kim has 42 - 2 = 40 cards left.\n",
    "Step 1: Janet's ducks lay 16 eggs per day.\nStep 2: She eats three, so 16 - 3 = 13.",
    "The answer is 18. ки\n So the sum is naïve + wrong - right: √2 ≈ 1.41.\n\n",
    "To find x, we solve (x + 2)(x - 3) = 0.\n\nTherefore, the answer is $\\boxed{42}$.\n\n",
]
BYTE_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2.5 and Llama 3 cut text: a full stop and the line ends after it are one word."""

CHATML: Final = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA: Final = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
VOCABULARY: Final = (
    "First, Then, so the answer is 42 6 * 7 = 40 - 2 + x² ≈ √2. naïve 你好 🧮 \\boxed{18} "
    "<extra_0> ки Step </s> (x + 2) \t  .\n ) é ! 1 3.14 - + ducks \n"
)


def qwen(*extra: str, bos: str | None = None) -> PreTrainedTokenizerBase:
    """Byte-level pairs, no bos unless asked for, ChatML."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *extra]
    return _finished(_bytes(special), CHATML, bos=bos, eos="<|im_end|>", pad="<|endoftext|>")


def qwen_of(folder: Path) -> PreTrainedTokenizerBase:
    """A Qwen2.5 checkpoint's own, with `<extra_0>` where Qwen2.5-Math-PRM has it.

    That is in the place of a token that no text model uses.
    """
    own: Any = AutoTokenizer.from_pretrained(folder)
    renamed = Tokenizer.from_str(
        own.backend_tokenizer.to_str().replace("<|quad_end|>", "<extra_0>")
    )
    renamed.add_special_tokens(["<extra_0>"])
    return _finished(renamed, own.chat_template, bos=None, eos="<|im_end|>", pad="<|endoftext|>")


def llama() -> PreTrainedTokenizerBase:
    """Byte-level pairs with the headers of Llama 3."""
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return _finished(_bytes(special), LLAMA, bos=special[0], eos=special[-1], pad=special[-1])


def mistral(*, tag: bool = True, pad: str = "<s>") -> PreTrainedTokenizerBase:
    """Pairs over text with "▁" for spaces, unknown characters as bytes, as SentencePiece has them.

    Without `tag`, " ки" falls into pieces.
    """
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=180, show_progress=False)
    wanted = [" +", " -", *([" ки"] if tag else [])]
    texts = [text.replace("\n", " ").replace("ки", "") for text in CORPUS]
    words.train_from_iterator(texts + wanted * 60, trainer)
    trained = json.loads(words.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys([*pieces, *trained["vocab"]]))}
    merges = [tuple(pair) for pair in trained["merges"]]
    whole = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    whole.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    whole.decoder = decoders.Sequence(  # as Llama's: a text loses the blank that it begins with
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    whole.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return _finished(whole, None, bos="<s>", eos="</s>", pad=pad)


def _bytes(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(BYTE_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, *["\n\n", ".\n\n", "\n"] * 20], trainer)
    return tokenizer


def _finished(
    tokenizer: Tokenizer, template: str | None, *, bos: str | None, eos: str, pad: str
) -> PreTrainedTokenizerBase:
    finished = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad
    )
    finished.chat_template = template
    return finished


def solutions(count: int, seed: int = 0) -> list[tuple[str, list[str]]]:
    """Questions and steps: one step, empty steps, trailing separators, unicode, 40 steps."""
    draw = random.Random(seed)
    sizes = [1, 2, 3, 4, 5, 6, 8, 40]
    made = []
    for number in range(count):
        question = f"{words_of(draw)} {number}?"
        size = sizes[number % len(sizes)]
        steps = [step_of(draw, first=at == 0) for at in range(size)]
        made.append((question, steps))
    return made


def step_of(draw: random.Random, *, first: bool = False) -> str:
    """Some words and how a step ends; a tenth of those after the first are empty."""
    if not first and draw.random() < 0.1:
        return draw.choice(["", "\n\n", "  \n"])
    return words_of(draw) + draw.choice(["\n\n", "\n\n", ".\n\n", "", "\n\n\n\n"])


def words_of(draw: random.Random) -> str:
    """One to nine words of all kinds, without white space around them."""
    text = " ".join(draw.choices(VOCABULARY.split(" "), k=draw.randint(1, 9))).strip()
    return text or "So"
