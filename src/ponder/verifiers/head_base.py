"""The frozen model whose states a head reads: what a user names decides how it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from ponder.backends.local_model import find_model
from ponder.backends.models import silent
from ponder.errors import MissingExtraError, UsageError
from ponder.verifiers.head_config import BaseOf, Precision, Prompt
from ponder.verifiers.openvino_base import OpenVinoBase
from ponder.verifiers.reward_opening import DType, check_dtype
from ponder.verifiers.state_reader import StateReader
from ponder.verifiers.transformers_base import TransformersBase

_HUB_NAME: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class HeadBase(Protocol):
    """A model on this machine that can give states; nothing is loaded yet."""

    @property
    def of(self) -> BaseOf:
        """The model, as a head's config names it."""
        ...

    @property
    def engine(self) -> str:
        """The library that gives the states, and its release."""
        ...

    @property
    def computed(self) -> Precision:
        """What the engine computes in."""
        ...

    def layers(self, asked: Sequence[int]) -> tuple[int, ...]:
        """The same layers counted from 1, whether `asked` counts from 1 or from the end with -1.

        Takes seconds and blocks. Raises UsageError or VerifierError for one that is not there.
        """
        ...

    def open(self, layers: Sequence[int], *, prompt: Prompt, cache_gb: float = 1.0) -> StateReader:
        """Load the model to give these layers side by side; takes seconds and blocks.

        Raises EngineError, VerifierError or UsageError where it cannot.
        """
        ...


def find_base(
    named: str | Path | None,
    *,
    device: str | None = None,
    dtype: DType | None = None,
    threads: int | None = None,
    memory_share: float | None = None,
    trained: Precision | None = None,
    announce: Callable[[str], None] = silent,
) -> HeadBase:
    """The model that `named` names, None the default one.

    A GGUF file or a folder with openvino_model.xml runs on OpenVINO; any other folder with a
    config.json, or a name such as "Qwen/Qwen3-0.6B" on the Hugging Face hub, on transformers.
    `device` and `memory_share` (of the GPU, for this program) are for transformers, `threads` for
    OpenVINO, which takes no float16. `trained` is what
    a head's features were computed in, to compute alike. Raises UsageError for no model and for
    what its path does not take, MissingExtraError without the path's libraries.
    """
    check_dtype(dtype)
    if named is not None and is_checkpoint(named):
        _refuse("an OpenVINO base model", named, threads=threads)
        return TransformersBase.find(str(named), device, dtype, trained, memory_share)
    _refuse(
        "a transformers base model",
        named or "the default one",
        device=device,
        memory_share=memory_share,
    )
    if find_spec("openvino_genai") is None:  # before a model is fetched
        raise MissingExtraError("openvino-genai", "embedded")
    return OpenVinoBase.find(find_model(named, announce), named, threads, dtype, trained)


def is_checkpoint(named: str | Path) -> bool:
    """Whether transformers is to run it, and not OpenVINO."""
    path = Path(named).expanduser()
    if path.exists():
        return (path / "config.json").exists() and not (path / "openvino_model.xml").exists()
    return not is_missing(named)


def is_missing(named: str | Path) -> bool:
    """Neither something on this machine nor what may be a name on the hub."""
    path = Path(named).expanduser()
    may_be_hub = path.suffix != ".gguf" and _HUB_NAME.fullmatch(str(named)) is not None
    return not path.exists() and not may_be_hub


def _refuse(kind: str, named: object, **knobs: object) -> None:
    """Raise UsageError for a knob of the other path."""
    for knob, value in knobs.items():
        if value is not None:
            raise UsageError(f"`{knob}` is for {kind}, which {named} is not: leave it out")
