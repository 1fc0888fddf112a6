"""One sample of vLLM, followed token by token until it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ponder.backends.drafting import Draft, Ending
from ponder.errors import EngineError
from ponder.types import Completion, Sampling, Usage


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the samples of one call have in common."""

    ids: tuple[int, ...]
    ending: Ending
    stop_ids: tuple[int, ...]
    """Tokens at which vLLM stops by itself."""
    carried: bytes
    """The begun character at the steps' end, see `Vocabulary.unfinished`."""
    retokenised: bool


def parameters(sampling: Sampling, prompt: Prompt, seed: int) -> Any:
    """As vLLM takes them, every field that changes a distribution or an end stated.

    Text is not asked for: it is read from the ids. Raises EngineError for what vLLM refuses.
    """
    from vllm import SamplingParams
    from vllm.exceptions import VLLMError
    from vllm.sampling_params import RequestOutputKind

    try:
        return SamplingParams(
            n=1,
            seed=seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=0.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=1.0,
            watermarking=False,
            max_tokens=prompt.ending.limit,
            min_tokens=0,
            ignore_eos=True,  # the tokens that end a text are among the stop ids
            stop=None,
            stop_token_ids=[*prompt.ending.end_ids, *prompt.stop_ids],
            logprobs=0,  # the drawn token's alone
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            skip_clone=True,
        )
    except VLLMError as refused:
        raise EngineError(f"vLLM refuses to sample so: {refused}") from refused


class Following:
    """A sample while it streams in."""

    def __init__(self, index: int, prompt: Prompt, draft: Draft) -> None:
        self._index = index
        self._prompt = prompt
        self._draft = draft
        self._cached: int | None = None
        self.overdrawn = 0
        """Tokens that came after the sample's end and were thrown away."""

    async def to_its_end(self, outputs: AsyncGenerator[Any, None]) -> str | None:
        """Read `outputs`, and close them at the sample's end; returns an error, or None."""
        reason: str | None = None
        async with aclosing(outputs):
            async for output in outputs:
                if output.num_cached_tokens is not None:
                    self._cached = output.num_cached_tokens
                sample = output.outputs[0]
                self._add(sample.token_ids, sample.logprobs or ())
                reason = sample.finish_reason
                if self._draft.ended is not None:
                    return None
        return f"vLLM ended the sample before its end ({reason})"

    def completion(self, tokenizer: str | None, error: str | None) -> Completion:
        """The sample as it stands, or its failure."""
        draft, offsets = self._draft, self._draft.offsets
        kept = None if offsets is None or error is not None else len(offsets)
        return Completion(
            index=self._index,
            text=draft.text,
            ended=draft.ended if draft.ended is not None and error is None else "aborted",
            usage=Usage(len(self._prompt.ids), self._cached, draft.generated),
            token_ids=None if kept is None else tuple(draft.token_ids[:kept]),
            tokenizer=None if kept is None else tokenizer,
            logprobs=None if kept is None else tuple(draft.logprobs[:kept]),
            offsets=None if kept is None else offsets,
            error=error,
            retokenised=self._prompt.retokenised,
        )

    def _add(self, token_ids: Sequence[int], logprobs: Sequence[Any]) -> None:
        """Take in the tokens that came together; after the end they are only counted."""
        for token_id, told in zip(token_ids, logprobs, strict=True):
            if self._draft.ended is None:
                self._draft.add(token_id, told[token_id].logprob)
            else:
                self.overdrawn += 1


def told(failure: BaseException) -> str:
    """The first line of what a failure of vLLM says, or its cause, or the name of its kind."""
    cause = failure.__cause__ or failure
    lines = [line for said in (failure, cause) for line in str(said).strip().splitlines()]
    return next(iter(lines), type(cause).__name__)
