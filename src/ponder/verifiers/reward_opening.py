"""Opens a reward model: its tokenizer, its weights, and what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, get_args

from ponder.backends.torch_loading import bound_memory
from ponder.backends.torch_readouts import Classes, LabelLogits, LinearHead, Readout
from ponder.backends.torch_trees import TorchTrees
from ponder.backends.tree_reader import TreeReader
from ponder.errors import UsageError, VerifierError
from ponder.verifiers.reward_family import Family
from ponder.verifiers.reward_formats import RewardFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DType = Literal["float32", "bfloat16", "float16"]
DTYPES: Final = get_args(DType)


class RewardParts(NamedTuple):
    """An open model."""

    written: RewardFormat
    reader: TreeReader


class Settings(Protocol):
    """Where and how a model runs."""

    @property
    def model(self) -> str: ...
    @property
    def device(self) -> str | None: ...
    @property
    def dtype(self) -> DType | None: ...
    @property
    def cache_gb(self) -> float: ...
    @property
    def memory_share(self) -> float | None: ...
    @property
    def tokens_a_pass(self) -> int: ...


def check_share(share: float | None) -> None:
    """Raise UsageError for what is no share of a GPU's memory."""
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"`memory_share` must be over 0 and at most 1, got {share}")


def check_dtype(dtype: str | None) -> None:
    """Raise UsageError for what nothing is computed in."""
    if dtype not in (None, *DTYPES):
        raise UsageError(f"`dtype` must be one of {', '.join(DTYPES)}, got {dtype!r}")


def open_parts(settings: Settings, family: Family) -> RewardParts:
    """Load tokenizer and weights; takes seconds to minutes. Raises VerifierError."""
    tokenizer = open_tokenizer(settings.model)
    written = RewardFormat(family, tokenizer, pad_id(settings.model, family))
    bound_memory(settings.model, settings.device, settings.memory_share)
    trees = TorchTrees.open(
        settings.model, _readout(family, written), device=settings.device, dtype=settings.dtype
    )
    cache_tokens = max(1, int(settings.cache_gb * 2**30 / trees.bytes_a_token))
    return RewardParts(
        written,
        TreeReader(trees, tokens_a_pass=settings.tokens_a_pass, cache_tokens=cache_tokens),
    )


def _readout(family: Family, written: RewardFormat) -> Readout:
    """What the model computes for each token."""
    if family.read.head == "labels":
        return LabelLogits(written.label_ids())
    return LinearHead(family.read.layers) if family.read.layers else Classes()


def open_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer; its repository's code is never run."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            model, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise VerifierError(
            f"cannot open the tokenizer of {model!r}: name a folder, or a model on the hub "
            f"({_line(error)})"
        ) from None
    return tokenizer


def pad_id(model: str, family: Family) -> int | None:
    """What a sequence classifier takes for padding at a text's end, even where the text has it."""
    if family.scores == "steps":
        return None
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise VerifierError(f"cannot open the config of {model!r}: {_line(error)}") from None
    pad: int | None = getattr(config, "pad_token_id", None)
    return pad


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
