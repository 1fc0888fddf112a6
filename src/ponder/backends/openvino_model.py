"""A model loaded by OpenVINO GenAI, with its tokenizer and template: used in the child process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.backends.cache_room import CacheRoom
from ponder.backends.openvino_cpu import cpu_properties
from ponder.backends.openvino_messages import Draw, Opened, Settings
from ponder.backends.prefix_ledger import BLOCK
from ponder.backends.vocabulary import Vocabulary
from ponder.errors import EngineError

_REPRODUCIBLE = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
_LONG = 20_000
"""Tokens of a text that shows whether the tokenizer cuts: some exports do so at 8192, silently."""
_PROBE = "Tom has 3 apples.\n\n3 * 4 = 12 – naïve 漢字 🎉\n"
_END_PIECES = {b"<|im_end|>", b"<|endoftext|>", b"<|eot_id|>", b"<|end_of_text|>", b"</s>"}
"""Control tokens that end a turn or a text, whether the model's files say so or not."""


class OpenVinoModel:
    """Pipeline, tokenizer and limits. Raises EngineError or the library's RuntimeError."""

    def __init__(self, settings: Settings) -> None:
        import openvino_genai

        self._genai = openvino_genai
        self.settings = settings
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            settings.model, self._scheduler(), "CPU", self._properties(), {}
        )
        self._tokenizer = self.pipeline.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise EngineError(f"{settings.model} has no chat template")
        pieces, control = self._read_pieces()
        self.vocabulary = Vocabulary(pieces, control)
        self._cut: int | None = None
        most = len(self.encode(" a" * _LONG))
        if most < _LONG:
            self._cut = most
        if self.vocabulary.text(self.encode(_PROBE)) != _PROBE:
            raise EngineError(f"{settings.model}: only byte-level tokenizers are supported")
        self.blocks = self._count_blocks()
        cache = CacheRoom(self.blocks).longest
        self.opened = Opened(
            tokenizer=self.vocabulary.fingerprint,
            vocabulary=len(self.vocabulary),
            end_ids=self._end_ids(pieces, control),
            room=cache if settings.context is None else min(cache, settings.context),
        )

    def render(self, messages: Sequence[Sequence[str]]) -> tuple[str, list[int]]:
        """Messages (role, content) as the model's template puts them, up to the answer's start."""
        turns = [{"role": role, "content": content} for role, content in messages]
        text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        return text, self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, nothing added; EngineError for text that cannot be read whole."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise EngineError(f"the text cannot be read: {error}") from error
        found = self._tokenizer.encode(text, add_special_tokens=False).input_ids.data
        ids: list[int] = found[0].tolist()
        if self._cut is not None and len(ids) >= self._cut:
            raise EngineError(
                f"the text has {self._cut} tokens or more, and this model's tokenizer reads fewer: "
                "shorten it, or use an exported OpenVINO folder of the model"
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, control tokens left out."""
        self.vocabulary.check(ids)
        return self.vocabulary.text(ids)

    def add(self, number: int, draw: Draw, seed: int, limit: int) -> Any:
        """Add one sample to the pipeline; the handle must be kept until it ends.

        One request a sample, since several in one request share a generator.
        """
        config = self._genai.GenerationConfig(
            max_new_tokens=limit,
            eos_token_id=self.opened.end_ids[0],
            stop_token_ids=set(self.opened.end_ids),
            logprobs=1,
            do_sample=draw.temperature > 0,
        )
        if draw.temperature > 0:
            config.temperature, config.top_p, config.rng_seed = draw.temperature, draw.top_p, seed
            if draw.top_k:
                config.top_k = draw.top_k
        return self._request(number, draw.ids, config)

    def _request(self, number: int, ids: Sequence[int], config: Any) -> Any:
        import numpy as np
        import openvino

        row = openvino.Tensor(np.array([ids], dtype=np.int64))
        return self.pipeline.add_request(number, row, config)

    def _scheduler(self) -> Any:
        config = self._genai.SchedulerConfig()
        config.enable_prefix_caching = True
        config.max_num_seqs = self.settings.slots
        config.max_num_batched_tokens = self.settings.step_tokens
        if self.settings.cache_tokens is None:
            config.cache_size = self.settings.cache_gb
        else:
            config.num_kv_blocks = -(-self.settings.cache_tokens // BLOCK)
        return config

    def _properties(self) -> dict[str, Any]:
        precision = _REPRODUCIBLE if self.settings.reproducible else {}
        return {**cpu_properties(self.settings.threads), **precision}

    def _read_pieces(self) -> tuple[list[bytes], list[int]]:
        """The bytes of each token, and the tokens that the library leaves out of texts."""
        found: dict[bytes, int] = self._tokenizer.get_vocab()
        pieces = [b""] * (max(found.values()) + 1)
        for piece, index in found.items():
            pieces[index] = piece
        rows = [[index] for index in range(len(pieces))]
        shown = self._tokenizer.decode(rows, skip_special_tokens=False)
        spoken = self._tokenizer.decode(rows, skip_special_tokens=True)
        return pieces, [index for index in range(len(rows)) if shown[index] != spoken[index]]

    def _end_ids(self, pieces: Sequence[bytes], control: Sequence[int]) -> tuple[int, ...]:
        named = [index for index in control if pieces[index] in _END_PIECES]
        own = self._tokenizer.get_eos_token_id()
        found = {*self.settings.end_ids, *named, own}
        return tuple(sorted(index for index in found if 0 <= index < len(pieces)))

    def _count_blocks(self) -> int:
        """Blocks of the cache, from the share of it that one block takes; also a warm-up."""
        handle = self._request(0, [0], self._genai.GenerationConfig(max_new_tokens=1))
        self.pipeline.step()
        percent: float = self.pipeline.get_metrics().max_cache_usage
        del handle
        return round(100 / percent)
