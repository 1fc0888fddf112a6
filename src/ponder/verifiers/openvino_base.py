"""A base model on OpenVINO: a GGUF file or an exported folder, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ponder.backends.local_model import LocalModel
from ponder.backends.openvino_graph import states_graph
from ponder.backends.openvino_trees import Computed, OpenVinoTrees, engine_version
from ponder.errors import EngineError, UsageError
from ponder.types import Message
from ponder.verifiers.head_config import PRECISIONS, BaseOf, Precision, Prompt
from ponder.verifiers.reward_opening import DType
from ponder.verifiers.state_reader import StateReader, readable

TOKENS_A_PASS = 512


@dataclass(frozen=True, slots=True)
class OpenVinoBase:
    """A `ponder.verifiers.head_base.HeadBase`."""

    model: LocalModel
    of: BaseOf
    computed: Computed = "f32"
    threads: int | None = None
    """None: as many as the machine has cores."""

    @classmethod
    def find(
        cls,
        model: LocalModel,
        named: str | Path | None,
        threads: int | None,
        dtype: DType | None,
        trained: Precision | None,
    ) -> Self:
        """`named` is what the user called it. Computes in `dtype`; None: in `trained`, or in f32.

        Raises UsageError for float16.
        """
        if dtype == "float16":
            raise UsageError(
                f"`dtype` of an OpenVINO base model is float32 or bfloat16, got {dtype!r}"
            )
        chosen = trained if dtype is None else PRECISIONS[dtype]
        path = None if named is None else str(Path(named).expanduser().resolve())
        of = BaseOf(name=model.name, sha256=model.sha256, weights=model.precision, path=path)
        return cls(model, of, "bf16" if chosen == "bf16" else "f32", threads)

    @property
    def engine(self) -> str:
        """Such as "openvino 2026.4.1"."""
        return engine_version(self.computed)

    def layers(self, asked: Sequence[int]) -> tuple[int, ...]:
        """As the protocol says."""
        return states_graph(self.model.path, asked).layers

    def open(self, layers: Sequence[int], *, prompt: Prompt, cache_gb: float = 1.0) -> StateReader:
        """As the protocol says."""
        trees = OpenVinoTrees(self.model, layers, computed=self.computed, threads=self.threads)
        tokenizer = FolderTokenizer(self.model.path)
        return StateReader.over(
            trees, trees.width, tokenizer, prompt, cache_gb=cache_gb, tokens_a_pass=TOKENS_A_PASS
        )


class FolderTokenizer:
    """The tokenizer and chat template in an exported model's folder."""

    def __init__(self, folder: Path) -> None:
        import openvino_genai

        self._tokenizer: Any = openvino_genai.Tokenizer(folder)
        if not self._tokenizer.chat_template:
            raise EngineError(f"{folder} has no chat template")

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """As the protocol says."""
        turns = [{"role": role, "content": readable(content)} for role, content in messages]
        return self.text(self._tokenizer.apply_chat_template(turns, add_generation_prompt=True))

    def text(self, text: str) -> list[int]:
        """As the protocol says."""
        rows = self._tokenizer.encode(readable(text), add_special_tokens=False).input_ids.data
        token_ids: list[int] = rows[0].tolist()
        return token_ids
