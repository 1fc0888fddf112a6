"""A question and its steps as the token ids that a family of reward models reads.

Every step has a sequence of its own: the input up to the token where its score is read. The
sequences of a solution begin alike, so that nothing is computed twice, and a step's score is the
same whether or not steps follow. Where to read follows from how the input is built, never from a
search for the marker's ids, which a step's text may hold too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from ponder.errors import VerifierError
from ponder.types import Prefix
from ponder.verifiers.reward_family import Family
from ponder.verifiers.reward_layouts import RewardLayout
from ponder.verifiers.reward_sequences import Ids, new_tokens, shared, without_beginnings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMEMBERED: Final = 4096
"""Sequences: a search asks for the earlier steps of its paths again and again."""


class Place(NamedTuple):
    """Where a score is read."""

    sequence: int
    token: int


class Reading(NamedTuple):
    """What to compute for one solution."""

    sequences: tuple[Ids, ...]
    """None begins the one before it."""
    places: tuple[Place | None, ...]
    """One a step; None: it repeats the score before it. One for the whole in a family that scores
    solutions."""
    tokens: tuple[int, ...]
    """New tokens of the question, then of each step; empty if nothing is read."""


class RewardFormat:
    """Writes solutions for one checkpoint's tokenizer; may be called from several threads.

    Opening raises VerifierError if the tokenizer cannot write what the family needs. A solution is
    read at its last token other than `pad_id`, as transformers' sequence classifiers do.
    """

    def __init__(
        self, family: Family, tokenizer: PreTrainedTokenizerBase, pad_id: int | None = None
    ) -> None:
        self._family = family
        self._pad_id = pad_id if family.scores == "solution" else None
        self._tokenizer = tokenizer
        self._who = f"the tokenizer of {tokenizer.name_or_path or 'this model'}"
        self._lock = Lock()
        self._layout = RewardLayout(family, tokenizer, self._who)
        self._input = self._layout.input
        self._start = self._start_ids()
        self._marker = self._marker_ids()
        self._opening = lru_cache(REMEMBERED)(self._opening_ids)
        self._step = lru_cache(REMEMBERED)(self._step_ids)
        self._sequence = lru_cache(REMEMBERED)(self._sequence_ids)

    def label_ids(self) -> tuple[int, ...]:
        """The ids of the family's label tokens; raises VerifierError for one that is missing."""
        vocabulary = self._tokenizer.get_vocab()
        for label in self._family.read.labels:
            if label not in vocabulary:
                raise VerifierError(f"{self._who} has no token {label!r}, a label of the family")
        return tuple(vocabulary[label] for label in self._family.read.labels)

    def read_prefix(self, prefix: Prefix) -> Reading:
        """What to compute for a prefix; raises VerifierError as `read` does.

        Steps are read without their separators, a solution as it is.
        """
        whole = self._family.scores == "solution"
        texts = [step.text if whole else step.content for step in prefix.steps]
        return self.read(prefix.problem.question, texts)

    def read(self, question: str, steps: Sequence[str]) -> Reading:
        """What to compute for these steps.

        Raises VerifierError for a step that the tokenizer merges with its marker.
        """
        question, steps = _encodable(question), tuple(map(_encodable, steps))
        if self._family.scores == "solution":
            return self._read_solution(question, steps)
        kept: list[str] = []
        sequences: list[Ids] = []
        for step in map(self._stripped, steps):
            if step or self._input.empty == "keep":
                kept.append(step)
                sequences.append(self._sequence(question, tuple(kept)))
            else:
                sequences.append(())
        return self._reading(self._opening(question), sequences)

    def _reading(self, opening: Ids, sequences: Sequence[Ids]) -> Reading:
        """For one sequence a step, an empty one for a step without a score of its own."""
        filled = [ids for ids in sequences if ids]
        if not filled:
            return Reading((), (None,) * len(sequences), ())
        longest, where = without_beginnings(filled)
        asked, *added = new_tokens([opening, *filled])
        holders, tokens = iter(where), iter(added)
        return Reading(
            longest,
            tuple(Place(next(holders), len(ids) - 1) if ids else None for ids in sequences),
            (asked, *(next(tokens) if ids else 0 for ids in sequences)),
        )

    def _read_solution(self, question: str, steps: tuple[str, ...]) -> Reading:
        """One sequence to read; those of its beginnings tell what each step adds."""
        texts = ("".join(steps[:end]).rstrip() for end in range(len(steps) + 1))
        sequences = [self._sequence(question, (text,)) for text in texts]
        whole = sequences[-1]
        ends = [*(shared(ids, whole) for ids in sequences[:-1]), len(whole)]
        tokens = (end - start for start, end in pairwise([0, *accumulate(ends, max)]))
        return Reading((whole,), (Place(0, len(whole) - 1),), tuple(tokens))

    def _stripped(self, step: str) -> str:
        return step.strip() if self._input.strip == "both" else step.rstrip()

    def _sequence_ids(self, question: str, steps: tuple[str, ...]) -> Ids:
        """The ids up to where the last of the steps is read."""
        if self._input.tokens == "joined":
            ids = [*self._start, *self._ids(self._layout.text(question, steps))]
            self._check_marker(ids, len(steps))
        else:
            ids = [*self._opening(question)]
            for number, step in enumerate(steps, 1):
                ids += self._step(self._layout.step(number, step))
        while len(ids) > 1 and ids[-1] == self._pad_id:
            ids.pop()
        end = len(ids) + self._family.read.offset
        if end < 1:
            raise VerifierError(f"step {len(steps)} has no token to read its score at")
        return array("i", ids[:end])

    def _opening_ids(self, question: str) -> Ids:
        """The ids before the first step."""
        head = self._layout.head(question)
        if self._input.tokens == "fenced":
            ids = self._ids(head + self._input.marker)[: -len(self._marker)]
        else:
            ids = self._ids(head)
        return array("i", [*self._start, *ids])

    def _step_ids(self, step: str) -> list[int]:
        """A step by itself and its marker, or the step as it is between two markers."""
        if self._input.tokens == "pieces":
            return [*self._ids(step), *self._marker]
        size = len(self._marker)
        return self._ids(f"{self._input.marker}{step}{self._input.marker}")[size:-size]

    def _ids(self, text: str, *, special: bool = False) -> list[int]:
        with self._lock:
            encoded = self._tokenizer(text, add_special_tokens=special, verbose=False)
        ids: list[int] = encoded["input_ids"]
        return ids

    def _start_ids(self) -> Ids:
        """What stands before the text."""
        if self._input.start == "none":
            return ()
        if self._input.start == "bos":
            bos = self._tokenizer.bos_token_id
            return () if bos is None else (int(bos),)
        bare, whole = self._ids("1"), self._ids("1", special=True)
        size = len(bare)
        for at in range(len(whole) - size + 1):
            if whole[at : at + size] == bare:
                return whole[:at]
        raise VerifierError(f"{self._who} writes text in another way beside its special tokens")

    def _marker_ids(self) -> Ids:
        """The marker's ids after a sample, checked against the number that the family needs."""
        marker, wanted = self._input.marker, self._input.marker_tokens
        before = ""
        if marker and self._input.tokens == "joined":
            before = self._layout.text("1", ("1",)).removesuffix(marker)
        without, whole = self._ids(before), self._ids(before + marker)
        found = whole[shared(without, whole) :]
        if wanted is not None and (len(found) != wanted or self._tokenizer.unk_token_id in found):
            raise VerifierError(
                f"the family {self._family.name} needs the marker {marker!r} as {wanted} known "
                f"token{'s' if wanted > 1 else ''}, and {self._who} makes {len(found)} of it: "
                f"{self._tokenizer.convert_ids_to_tokens(found)}"
            )
        return found

    def _check_marker(self, ids: list[int], step: int) -> None:
        """Where the family needs the marker's own tokens, they must be whole."""
        size = len(self._marker)
        if self._input.marker_tokens is not None and ids[-size:] != self._marker:
            marker = self._input.marker
            raise VerifierError(f"{self._who} merges step {step} with the marker {marker!r}")


def _encodable(text: str) -> str:
    """The text with halves of surrogate pairs, which no tokenizer takes, as question marks."""
    return text.encode(errors="replace").decode()


def text_of(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """A token as it stands after other text: alone, some tokenizers take its blank off."""
    before = tokenizer.encode("a", add_special_tokens=False)
    alone, after = (
        str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        for ids in (before, [*before, token])
    )
    return after.removeprefix(alone)
