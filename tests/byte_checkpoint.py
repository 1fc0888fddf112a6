"""A checkpoint's folder with nothing but a tokenizer of one token a byte, and families for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

GOOD, BAD, MARK = 10, 12, 258
"""Ids of "+", "-" and the marker."""
FAMILIES = {
    "labels": '[read]\nhead = "labels"\nlabels = ["+", "-"]\n',
    "classes": '[read]\nhead = "classes"\npositive = [1]\n',
    "value": '[read]\nhead = "value"\n',
}
INPUT = 'estimates = "value"\n[input]\nopening = "{question}\\n"\nmarker = "<mark>"\n'


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of one token a byte, and families that fit it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE(vocab={c: at for at, c in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens([AddedToken(name) for name in ("<s>", "</s>", "<mark>")])
    fast: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bytes_only, bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)
    for name, read in FAMILIES.items():
        (folder / f"{name}.toml").write_text(INPUT + read)
    return folder


def ids_of(*texts: str, question: str = "How many?") -> list[int]:
    """The input up to the last marker, as the family wants it, one id a byte."""
    from tokenizers import pre_tokenizers

    place = {c: at for at, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def plain(text: str) -> list[int]:
        return [place[c] for piece, _ in splitter.pre_tokenize_str(text) for c in piece]

    steps = (token for text in texts for token in (*plain(text.rstrip()), MARK))
    return [*plain(f"{question}\n"), *steps]
