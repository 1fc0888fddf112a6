"""A base model on transformers: a checkpoint's folder, or a model of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from ponder.backends.checkpoint import fingerprint, json_object
from ponder.backends.checkpoint_text import CheckpointText
from ponder.backends.torch_loading import bound_memory
from ponder.backends.torch_readouts import HiddenStates, layers_read
from ponder.backends.torch_trees import TorchTrees
from ponder.errors import MissingExtraError, UsageError, VerifierError
from ponder.types import Message
from ponder.verifiers.head_config import PRECISIONS, BaseOf, Precision, Prompt
from ponder.verifiers.reward_opening import DType
from ponder.verifiers.state_reader import StateReader, readable

TOKENS_A_PASS = 4096
_DTYPES: Final = {short: long for long, short in PRECISIONS.items()}


@dataclass(frozen=True, slots=True)
class TransformersBase:
    """A `ponder.verifiers.head_base.HeadBase`; remote code is never run."""

    model: str
    """A folder, or a name on the hub."""
    of: BaseOf
    computed: Precision
    device: str | None = None
    """As torch names it; None: the GPU if there is one."""
    memory_share: float | None = None
    """Of the GPU's memory that this program may take; None: no bound."""

    @classmethod
    def find(
        cls,
        named: str,
        device: str | None,
        dtype: DType | None,
        trained: Precision | None,
        memory_share: float | None = None,
    ) -> Self:
        """Computes in `dtype`; None: in `trained`, or else in what the checkpoint is kept in.

        Of a name on the hub the config is fetched. Raises MissingExtraError without torch or
        transformers, VerifierError where there is no such model.
        """
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtraError(f"{package}, which runs {named},", "verifiers")
        path = Path(named).expanduser()
        local = path.is_dir()
        model = str(path.resolve()) if local else named
        folder = path if local else _snapshot(named)
        kept = _kept_in(json_object(folder / "config.json"))
        of = BaseOf(
            name=Path(model).name,
            sha256=fingerprint(model).rpartition("@")[2] if local else folder.name,
            weights=kept,
            path=model,
        )
        chosen = trained if dtype is None else PRECISIONS[dtype]
        return cls(model, of, chosen or PRECISIONS.get(kept, "f32"), device, memory_share)

    @property
    def engine(self) -> str:
        """Such as "transformers 5.2.0 torch 2.10.0"."""
        return " ".join(
            f"{package} {version(package).partition('+')[0]}"
            for package in ("transformers", "torch")
        )

    def layers(self, asked: Sequence[int]) -> tuple[int, ...]:
        """As the protocol says."""
        depth = self._config().num_hidden_layers
        found = layers_read(HiddenStates(tuple(asked)), depth)
        if 0 in found:
            raise UsageError(f"layer 0 is none: there are 1 to {depth}, or -{depth} to -1")
        return found

    def open(self, layers: Sequence[int], *, prompt: Prompt, cache_gb: float = 1.0) -> StateReader:
        """As the protocol says."""
        tokenizer = CheckpointTokenizer(CheckpointText.open(self.model))
        width = len(layers) * self._config().hidden_size
        readout, dtype = HiddenStates(tuple(layers)), _DTYPES[self.computed]
        bound_memory(self.model, self.device, self.memory_share)
        trees = TorchTrees.open(self.model, readout, device=self.device, dtype=dtype)
        return StateReader.over(
            trees, width, tokenizer, prompt, cache_gb=cache_gb, tokens_a_pass=TOKENS_A_PASS
        )

    def _config(self) -> Any:
        """The config of its text model."""
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise VerifierError(f"cannot open the config of {self.model}: {_line(error)}") from None
        return config.get_text_config()


class CheckpointTokenizer:
    """A `ponder.verifiers.state_reader.Tokenizer` of a checkpoint's own files."""

    def __init__(self, text: CheckpointText) -> None:
        self._text = text

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """As the protocol says."""
        return self.text(
            self._text.render([Message(role, readable(content)) for role, content in messages])
        )

    def text(self, text: str) -> list[int]:
        """As the protocol says."""
        return list(self._text.encode(readable(text)))


def _snapshot(named: str) -> Path:
    """The folder of a hub model's config, which is named after its commit."""
    from transformers.utils.hub import cached_file

    try:
        return Path(str(cached_file(named, "config.json"))).parent
    except OSError as error:
        raise VerifierError(
            f"cannot find {named}: name a folder, or a model on the hub ({_line(error)})"
        ) from None


def _kept_in(config: Mapping[str, Any]) -> str:
    """What the weights are kept in, as torch calls it, or how they are packed."""
    packed, text = config.get("quantization_config") or {}, config.get("text_config") or {}
    told = [packed.get("quant_method")]
    told += [part.get(key) for part in (config, text) for key in ("dtype", "torch_dtype")]
    return str(next(filter(None, told), "unstated"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
