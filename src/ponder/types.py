"""The vocabulary: small frozen values that every other module speaks in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, NamedTuple

Ended = Literal["eos", "separator", "step_length", "length", "aborted"]
"""How a sample ended: end of text, the separator, `max_step_tokens`, `max_tokens`, or cut off."""

NodePath = tuple[int, ...]
"""Where a sample stands in its problem's tree: child indices from the root; never empty."""


class Message(NamedTuple):
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Problem:
    """What is asked, as a solver may see it: never the reference."""

    messages: tuple[Message, ...]
    """The conversation that the model continues; the last turn is the user's."""
    id: str = ""
    """Unique in a data set; the content's hash when not given."""
    question: str = ""
    """The bare question, without instructions or worked examples: what verifiers read."""
    choices: tuple[str, ...] = ()
    """The options of a multiple-choice problem."""
    tests: tuple[str, ...] = ()
    """Tests that a solver may see."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a problem needs at least one message")
        if not self.question:
            object.__setattr__(self, "question", self.messages[-1].content)
        if not self.id:
            content = json.dumps([self.messages, self.choices, self.tests])
            object.__setattr__(self, "id", hashlib.sha256(content.encode()).hexdigest()[:16])

    @classmethod
    def ask(cls, question: str, id: str = "") -> Problem:
        """A problem of one user turn."""
        return cls((Message("user", question),), id, question)


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of reasoning, with the separator that ended it, if one did."""

    text: str
    token_ids: tuple[int, ...] | None = None
    """None when the engine tells no ids; then the text alone counts."""
    tokenizer: str | None = None
    """Fingerprint of the tokenizer that the ids belong to."""
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each token, before temperature and top-p."""
    tail: int = field(default=0, compare=False)
    """Characters of the separator at the text's end, and of the white space after it."""

    @property
    def content(self) -> str:
        """The text as verifiers read it: without its separator and the white space at its end."""
        return self.text[: len(self.text) - self.tail].rstrip()


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A conversation plus the steps chosen so far: a linked path that siblings share."""

    problem: Problem
    messages: tuple[Message, ...]
    """The conversation to continue; the problem's own unless a strategy asks something else."""
    parent: Prefix | None
    step: Step | None
    """The last step; None at the root."""
    depth: int
    """Number of steps."""
    key: bytes
    """Hash of all that an engine or verifier sees: equal keys, equal prefixes."""

    @classmethod
    def root(cls, problem: Problem, messages: Sequence[Message] | None = None) -> Prefix:
        """The empty path under `messages`, by default the problem's own."""
        turns = problem.messages if messages is None else tuple(messages)
        key = hashlib.sha256(json.dumps([problem.id, turns]).encode()).digest()
        return cls(problem, turns, None, None, 0, key)

    def grow(self, step: Step) -> Prefix:
        """This path and one more step."""
        key = hashlib.sha256(self.key + _seen(step).encode()).digest()
        return Prefix(self.problem, self.messages, self, step, self.depth + 1, key)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps from the root on."""
        steps: list[Step] = []
        node: Prefix | None = self
        while node is not None and node.step is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))

    @property
    def text(self) -> str:
        """The steps' text, separators included."""
        return "".join(step.text for step in self.steps)


def _seen(step: Step) -> str:
    """What an engine or verifier sees of a step, as JSON: Python writes whole numbers alike."""
    token_ids = "null" if step.token_ids is None else list(step.token_ids)
    return f"[{json.dumps(step.text)}, {token_ids}, {json.dumps(step.tokenizer)}]"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw a sample. Every field is sent explicitly to every engine."""

    temperature: float = 0.8
    """At least 0; 0 is greedy decoding."""
    top_p: float = 1.0
    """Over 0, at most 1."""
    top_k: int = 0
    """0 is off."""
    max_tokens: int = 2048
    """Tokens left for the whole solution; a sample that reaches it ends as `length`."""
    max_step_tokens: int | None = None
    """Tokens of one step; a step that reaches it ends as `step_length` and the solution goes on."""
    separator: str | None = None
    """Ends a step, and stays in its text; None: the sample runs to the end of the solution."""
    stop: tuple[str, ...] = ()
    """Strings that end the solution like an end of text; each is cut off the text."""

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"`temperature` must be at least 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must be over 0 and at most 1, got {self.top_p}")
        for name in ("max_tokens", "max_step_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        if self.separator == "":
            raise ValueError("`separator` must not be empty; None samples whole solutions")
        # Equal settings name equal calls, however they were written.
        object.__setattr__(self, "temperature", float(self.temperature))
        object.__setattr__(self, "top_p", float(self.top_p))

    @property
    def limit(self) -> int:
        """The most tokens that one sample may have."""
        step = self.max_tokens if self.max_step_tokens is None else self.max_step_tokens
        return min(self.max_tokens, step)

    def whole(self) -> Sampling:
        """The same for the rest of the solution in one go, without steps."""
        return replace(self, separator=None, max_step_tokens=None)

    def granted(self, tokens: int) -> Sampling:
        """The same with at most `tokens` for this sample."""
        return self if tokens >= self.limit else replace(self, max_tokens=tokens)


class Usage(NamedTuple):
    """What one completion cost, as the engine tells it; None is not told."""

    prompt: int | None = None
    """Tokens of the rendered prompt and the prefix's steps."""
    cached: int | None = None
    """Of these, tokens that the engine read from its cache."""
    generated: int | None = None
    """Tokens drawn, an end-of-text token included."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample as an engine yields it: text, or an error."""

    __pydantic_config__: ClassVar = {"ser_json_inf_nan": "constants"}
    """Infinite log-probabilities are written as Python's `json` reads them."""

    index: int
    """Which of the seeds asked for."""
    text: str
    """With its separator, without an end-of-text token or a `Sampling.stop` string."""
    ended: Ended
    usage: Usage = Usage()
    token_ids: tuple[int, ...] | None = None
    """The ids that decode to `text`; end-of-text ids are left out."""
    tokenizer: str | None = None
    """Fingerprint of the tokenizer of `token_ids`."""
    logprobs: tuple[float, ...] | None = None
    """One for each of `token_ids`."""
    offsets: tuple[int, ...] | None = None
    """Where in `text` each token ends, in characters; the last is `len(text)`."""
    reasoning: str | None = None
    """What the server kept apart as `reasoning_content`."""
    error: str | None = None
    """One line; then the sample failed, `ended` is `aborted`, and `text` is what was there."""
    retokenised: bool = False
    """The prefix was handed over as text because its ids belong to another tokenizer."""


class StepScores(NamedTuple):
    """A verifier's answer for one prefix."""

    scores: tuple[float, ...]
    """One a step, or exactly one from a verifier that scores solutions."""
    tokens: tuple[int, ...] | None = ()
    """Tokens of the verifier's input, as if nothing had been cached: the question's, then each
    step's; what only this prefix costs (a critique) counts with its last step. Empty for coded
    rules, None when not told."""


class ScoreFailure(NamedTuple):
    """Why a prefix could not be scored: never a score of 0."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One finished draw: its place, what came, and the prefix grown by it."""

    path: NodePath
    parent: NodePath
    """Path of the sample that it continues; empty at the root."""
    prefix: Prefix
    """Grown by the completion's steps; the prefix asked about if the sample failed."""
    completion: Completion
    cut: bool = False
    """Ended by the budget's grant: it does not vote."""

    @property
    def finished(self) -> bool:
        """The solution is complete: end of text, its length, or an empty step."""
        done = self.completion.ended in ("eos", "length")
        return not self.failed and (done or not self.completion.text.strip())

    @property
    def failed(self) -> bool:
        """The engine yielded an error."""
        return self.completion.error is not None


class Answer(NamedTuple):
    """An extracted answer and the key that it votes under."""

    raw: str
    key: str
    """Equal keys are one group; canonical form, or normalised text if that was refused."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One solution that the strategy ended with, or gave up as it was."""

    path: NodePath
    """The node that ended it."""
    text: str
    scores: Mapping[str, tuple[float, ...] | None] = field(default_factory=dict)
    """Step scores by verifier name; None: it could not be scored."""
    tokens: int | None = None
    """Generated tokens along its path."""
    ended: Ended = "eos"
    answer: Answer | None = None
    """None: no answer found in the text; then it does not vote."""
    votes: bool = True
    """False for a solution that the budget cut, or that a later one of its chain replaced."""


@dataclass(frozen=True, slots=True)
class Example:
    """A problem with its reference: seen by data sets, grading and the store, never by a solver."""

    problem: Problem
    reference: str | None
    """The right answer; None: it cannot be graded."""
    level: str | None = None
    subject: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    """Unknown keys of its row, kept and returned on export."""
