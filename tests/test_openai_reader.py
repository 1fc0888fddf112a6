"""Where a streamed sample ends: for any text, any tokens and any chunks."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends.http_errors import RequestError
from ponder.engines.openai.reader import Reader
from ponder.engines.openai.wire import Choice, Chunk, pieces
from ponder.search.steps import split
from ponder.types import Completion, Ended, Sampling, Usage

TOKENS = st.lists(st.text(alphabet="ab\n.é", min_size=1, max_size=3), max_size=30)
SEPARATOR = "\n\n"


def chunk(texts: list[str], first_id: int = 0, reason: str | None = None) -> Choice:
    """What vLLM streams for some tokens at once."""
    return Choice.model_validate(
        {
            "text": "".join(texts),
            "token_ids": [first_id + at for at in range(len(texts))],
            "logprobs": {"tokens": texts, "token_logprobs": [-1.0] * len(texts)},
            "finish_reason": reason,
        }
    )


def plain(text: str, reason: str | None = None, **more: object) -> Choice:
    """What a server without ids or log-probabilities streams."""
    return Choice.model_validate({"text": text, "finish_reason": reason, **more})


def read(reader: Reader, *choices: Choice, told: Usage | None = None) -> Completion:
    for choice in choices:
        reader.feed(choice)
    return reader.completion(told or Usage())


def chunked(tokens: list[str], cuts: list[int]) -> list[Choice]:
    """The tokens in chunks that end at `cuts`, and the end of text."""
    bounds = sorted({0, len(tokens), *(cut % (len(tokens) + 1) for cut in cuts)})
    spans = pairwise(bounds)
    return [*(chunk(tokens[start:end], start) for start, end in spans), chunk([""], 99, "stop")]


@given(TOKENS, st.lists(st.integers(0, 30), max_size=5))
def test_a_step_ends_with_the_token_in_which_its_separator_completes(
    tokens: list[str], cuts: list[int]
) -> None:
    reader = Reader(0, Sampling(separator=SEPARATOR), tokenizer="t")
    completion = read(reader, *chunked(tokens, cuts))
    ends = list(accumulate(len(token) for token in tokens))
    at = "".join(tokens).find(SEPARATOR)
    count = len(tokens) if at < 0 else next(k for k, end in enumerate(ends, 1) if end >= at + 2)
    assert completion.text == "".join(tokens[:count])
    assert completion.ended == ("eos" if at < 0 else "separator")
    assert completion.token_ids == tuple(range(count))
    assert completion.offsets == tuple(ends[:count])
    assert completion.logprobs == (-1.0,) * count
    assert completion.usage.generated == count + (at < 0)


@given(st.text(alphabet="ab\n", max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_without_ids_a_step_is_cut_at_its_separator(text: str, cuts: list[int]) -> None:
    bounds = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    parts = [text[start:end] for start, end in pairwise(bounds)]
    reader = Reader(0, Sampling(separator=SEPARATOR))
    completion = read(reader, *map(plain, parts), plain("", "stop"))
    head, found, _ = text.partition(SEPARATOR)
    assert completion.text == head + found
    assert completion.ended == ("separator" if found else "eos")
    assert completion.token_ids is None
    assert completion.usage.generated is None


@given(TOKENS, st.sampled_from(["b", "a\n", ".é"]))
def test_stop_strings_end_the_solution_and_are_cut_off(tokens: list[str], stop: str) -> None:
    reader = Reader(0, Sampling(stop=(stop,)), tokenizer="t")
    completion = read(reader, *chunked(tokens, []))
    text = "".join(tokens)
    assert completion.text == text.partition(stop)[0]
    assert completion.ended == "eos"
    ends = [0, *accumulate(len(token) for token in tokens)]
    if len(completion.text) in ends and stop in text:
        assert completion.token_ids == tuple(range(ends.index(len(completion.text))))
    elif stop in text:
        assert completion.token_ids is None, "a token was cut: its id is not of this text"


@pytest.mark.parametrize(
    ("stop", "ended", "text"),
    [
        ("\n\nQ:", "separator", "a\n\n"),
        ("\n\n", "eos", "a"),
        ("\n", "eos", "a"),
    ],
)
def test_what_completes_first_counts(stop: str, ended: Ended, text: str) -> None:
    reader = Reader(0, Sampling(separator=SEPARATOR, stop=(stop,)))
    completion = read(reader, plain("a\n"), plain("\nQ: b"), plain("", "stop"))
    assert (completion.ended, completion.text) == (ended, text)


@pytest.mark.parametrize(
    ("sampling", "told", "ended"),
    [
        (Sampling(max_tokens=9), 9, "length"),
        (Sampling(max_tokens=9, max_step_tokens=4), 4, "step_length"),
        (Sampling(max_tokens=4, max_step_tokens=4), 4, "length"),
        (Sampling(max_tokens=9, max_step_tokens=4), 3, "length"),
        (Sampling(max_tokens=9, max_step_tokens=4), None, "step_length"),
    ],
    ids=["solution", "step", "last step", "the context is full", "usage not told"],
)
def test_a_limit_is_the_solutions_or_a_steps(
    sampling: Sampling, told: int | None, ended: Ended
) -> None:
    completion = read(
        Reader(0, sampling), plain("abc"), plain("", "length"), told=Usage(5, None, told)
    )
    assert completion.ended == ended
    assert completion.usage == Usage(5, None, told)


def test_a_server_that_goes_beyond_the_limit_is_cut() -> None:
    reader = Reader(0, Sampling(max_tokens=3), tokenizer="t")
    completion = read(reader, chunk(["a", "b"]), chunk(["c"], 2), chunk(["d"], 3))
    assert completion.text == "abc"
    assert completion.ended == "length"
    assert completion.usage.generated == 3


@pytest.mark.parametrize("streamed", ["a", "a\n\n"], ids=["trimmed", "included"])
@pytest.mark.parametrize("name", ["stop_reason", "matched_stop"])
def test_a_told_separator_is_in_the_text_once(streamed: str, name: str) -> None:
    reader = Reader(0, Sampling(separator=SEPARATOR))
    completion = read(reader, plain(streamed, "stop", **{name: SEPARATOR}))
    assert completion.text == "a\n\n"
    assert completion.ended == "separator"


@pytest.mark.parametrize(
    ("reason", "message"), [(None, "before its end"), ("content_filter", "'content_filter'")]
)
def test_other_ends_are_failures_with_the_text_that_was_there(
    reason: str | None, message: str
) -> None:
    completion = read(Reader(3, Sampling()), plain("half a", reason))
    assert completion.error is not None
    assert message in completion.error
    assert (completion.index, completion.text, completion.ended) == (3, "half a", "aborted")
    assert completion.usage == Usage()


def test_reasoning_is_kept_apart() -> None:
    deltas = [{"reasoning_content": "hm, "}, {"reasoning": "yes"}, {"content": "42"}]
    choices = [Choice.model_validate({"delta": delta}) for delta in deltas]
    completion = read(Reader(0, Sampling()), *choices, plain("", "stop"))
    assert (completion.text, completion.reasoning) == ("42", "hm, yes")


def test_several_tokens_without_their_texts_stay_together() -> None:
    told = {"text": "ab", "token_ids": [1, 2]}
    [piece] = pieces(Choice.model_validate(told))
    assert (piece.text, piece.ids, piece.logprobs) == ("ab", (1, 2), None)


def test_the_end_of_text_token_of_a_last_chunk_adds_no_text() -> None:
    reader = Reader(0, Sampling(), tokenizer="t")
    told = {
        "text": "42.",
        "token_ids": [1, 2, 9],
        "logprobs": {"tokens": ["42", ".", "<|end|>"], "token_logprobs": [-1.0, -2.0, -3.0]},
        "finish_reason": "stop",
    }
    completion = read(reader, chunk(["It is "]), Choice.model_validate(told))
    assert (completion.text, completion.ended) == ("It is 42.", "eos")
    assert completion.token_ids is not None
    assert completion.token_ids[1:] == (1, 2)
    assert completion.logprobs == (-1.0, -1.0, -2.0)
    assert completion.offsets == (6, 8, 9)
    assert completion.usage.generated == 4


def test_which_of_several_tokens_ends_the_text_is_not_guessed() -> None:
    reader = Reader(0, Sampling(), tokenizer="t")
    told = {"text": "42.", "token_ids": [1, 2, 9], "finish_reason": "stop"}
    completion = read(reader, Choice.model_validate(told))
    assert (completion.text, completion.token_ids, completion.usage.generated) == ("42.", None, 3)


@pytest.mark.parametrize("streamed", [["Plan", "."], ["Plan", ".", "\n\n"]])
def test_a_step_that_the_server_ended_keeps_its_log_probabilities(streamed: list[str]) -> None:
    reader = Reader(0, Sampling(separator=SEPARATOR))
    pieces = [
        Choice.model_validate(
            {"text": text, "logprobs": {"content": [{"token": text, "logprob": -1}]}}
        )
        for text in streamed
    ]
    completion = read(reader, *pieces, plain("", "stop", stop_reason=SEPARATOR))
    assert completion.text == "Plan.\n\n"
    assert completion.logprobs == (-1.0,) * len(streamed)
    [step] = split(completion, SEPARATOR)
    assert step.logprobs == completion.logprobs


def test_llama_cpps_layout_of_log_probabilities() -> None:
    entries = [{"id": 7, "token": "a", "logprob": -1.5}, {"id": 8, "token": "b", "logprob": -2}]
    told = {"text": "ab", "logprobs": {"content": entries}}
    first, second = pieces(Choice.model_validate(told))
    assert (first.text, first.ids, first.logprobs) == ("a", (7,), (-1.5,))
    assert (second.text, second.ids, second.logprobs) == ("b", (8,), (-2.0,))


def test_what_is_not_told_is_none() -> None:
    assert Chunk.read({"choices": [], "usage": None}).spent() == Usage(None, None, None)
    told = {"prompt_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": None}
    assert Chunk.read({"usage": told}).spent() == Usage(3, None, 0)
    timings = {"cache_n": 2, "prompt_n": 5, "predicted_n": 1}
    assert Chunk.read({"timings": timings}).spent() == Usage(7, 2, 1)


@pytest.mark.parametrize(
    "event", [{"choices": "none"}, {"choices": [{"index": "x"}]}, {"usage": {"prompt_tokens": "a"}}]
)
def test_unreadable_events_are_one_clear_line(event: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=r"the answer cannot be read: (choices|usage)") as told:
        Chunk.read(event)
    assert "\n" not in str(told.value)
