"""Where samples end, what their tokens spell, and what the cache holds: pure functions."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from ponder.backends.cache_room import CacheRoom
from ponder.backends.drafting import Draft, Ending
from ponder.backends.prefix_ledger import BLOCK, PrefixLedger
from ponder.backends.vocabulary import TextStream, Vocabulary
from ponder.types import Ended

PIECES = [
    b"", b"a", b"b", b" ", b"\n", b"\n\n", b".\n", b"\n\n\n", b"\na", b"Q", b":", b"Q:",
    "é".encode()[:1], "é".encode()[1:], "漢".encode()[:2], "漢".encode()[2:], "🎉".encode(),
    b"\xff",
]  # fmt: skip
VOCABULARY = Vocabulary([b"<end>", *PIECES[1:]], control=[0])
tokens = st.lists(st.integers(1, len(PIECES) - 1), max_size=30)


@st.composite
def split_text(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    text = draw(st.text(max_size=30))
    data = text.encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)) | {0, len(data)})
    return text, [data[a:b] for a, b in pairwise(cuts)]


@given(split_text())
def test_a_stream_spells_text_however_its_bytes_are_split(case: tuple[str, list[bytes]]) -> None:
    text, parts = case
    stream = TextStream()
    for part in parts:
        stream.add(part)
        assert text.startswith(stream.text)
        assert stream.offsets[-1] == len(stream.text)
    stream.close()
    assert stream.text == text
    assert len(stream.offsets) == len(parts)


@given(tokens, st.integers(0, 30))
def test_steps_of_a_path_spell_the_same_text_as_the_whole(ids: list[int], cut: int) -> None:
    cut = min(cut, len(ids))
    first, second = TextStream(), TextStream(VOCABULARY.unfinished(ids[:cut]))
    for stream, part in ((first, ids[:cut]), (second, ids[cut:])):
        for token_id in part:
            stream.add(VOCABULARY.piece(token_id))
    second.close()
    assert first.text + second.text == VOCABULARY.text(ids)


def test_control_tokens_spell_nothing_and_count_in_the_fingerprint() -> None:
    assert VOCABULARY.text([1, 0, 2]) == "ab"
    plain = Vocabulary([b"<end>", *PIECES[1:]])
    assert plain.text([1, 0, 2]) == "a<end>b"
    assert plain.fingerprint != VOCABULARY.fingerprint
    assert Vocabulary([b"<end>", *PIECES[1:]], control=[0]).fingerprint == VOCABULARY.fingerprint


def drafted(ids: list[int], ending: Ending) -> Draft:
    draft = Draft(VOCABULARY, ending)
    for token_id in ids:
        if draft.add(token_id, -1.0):
            break
    return draft


@given(tokens, st.sampled_from(["\n\n", "\n", "a b", "é"]), st.integers(1, 40))
def test_a_step_ends_with_the_token_in_which_the_separator_completes(
    ids: list[int], separator: str, limit: int
) -> None:
    draft = drafted(ids, Ending(limit, "step_length", separator))
    texts = [VOCABULARY.text(ids[: n + 1]) for n in range(len(ids))]
    first = next((n for n, text in enumerate(texts) if separator in text), None)
    if first is not None and first < limit:
        assert draft.ended == "separator"
        assert draft.token_ids == ids[: first + 1]
    else:
        assert draft.ended == ("step_length" if len(ids) >= limit else None)
        assert draft.token_ids == ids[:limit]


@given(tokens, st.sampled_from([("Q:",), ("\n\n", "a"), ("ab", "b\n")]))
def test_a_stop_string_is_cut_off_and_ends_the_solution(
    ids: list[int], stop: tuple[str, ...]
) -> None:
    draft = drafted(ids, Ending(100, "length", None, stop))
    assert not any(mark in draft.text for mark in stop)
    whole = VOCABULARY.text(ids)
    assert (draft.ended == "eos") == any(mark in whole for mark in stop)
    if draft.ended and draft.offsets is not None:
        kept = draft.token_ids[: len(draft.offsets)]
        assert VOCABULARY.text(kept) == draft.text


def test_a_stop_string_inside_a_token_leaves_no_ids_that_spell_the_text() -> None:
    newline_a = PIECES.index(b"\na")
    draft = drafted([2, newline_a], Ending(9, "length", None, ("a",)))
    assert (draft.text, draft.offsets, draft.ended) == ("b\n", None, "eos")


def test_the_solutions_limit_counts_before_the_separator_and_the_steps_limit_after() -> None:
    two_newlines = PIECES.index(b"\n\n")
    for at_limit, ended in (("length", "length"), ("step_length", "separator")):
        assert drafted([1, two_newlines], Ending(2, at_limit, "\n\n")).ended == ended  # type: ignore[arg-type]


def test_an_end_token_counts_as_generated_and_is_not_kept() -> None:
    draft = drafted([1, 0], Ending(2, "length", end_ids={0}))
    assert (draft.ended, draft.token_ids, draft.generated, draft.text) == ("eos", [1], 2, "a")


def test_a_solution_that_ends_inside_a_character_shows_that_something_is_missing() -> None:
    half = PIECES.index("漢".encode()[:2])
    endings: list[tuple[Ended, str]] = [("length", "a\ufffd"), ("step_length", "a")]
    for at_limit, text in endings:
        draft = drafted([1, half], Ending(2, at_limit))
        assert (draft.text, draft.offsets) == (text, (1, len(text)))


prompts = st.lists(
    st.tuples(st.lists(st.integers(0, 1), max_size=4), st.integers(0, 200)), max_size=12
)


@given(prompts)
def test_room_in_the_cache_is_taken_once_for_shared_blocks_and_given_back(
    asked: list[tuple[list[int], int]],
) -> None:
    room = CacheRoom(blocks=20)
    taken: list[tuple[tuple[int, ...], int]] = []
    for path, more in asked:
        keys = tuple(hash(tuple(path[: n + 1])) for n in range(len(path)))
        tokens = len(keys) * BLOCK + more
        if room.fits(keys, tokens):
            room.take(keys, tokens)
            taken.append((keys, tokens))
        shared = {key for keys, _ in taken for key in keys}
        own = sum(-(-tokens // BLOCK) - len(keys) + 1 for keys, tokens in taken)
        assert len(shared) + own <= 20
        assert room.fits((), 0) == (len(shared) + own < 20)
    for keys, tokens in taken:
        room.give_back(keys, tokens)
    assert room.fits((), room.longest)
    assert not room.fits((), room.longest + 1)


ids_lists = st.lists(st.integers(0, 3), min_size=1, max_size=4 * BLOCK)


@given(st.lists(ids_lists, max_size=5), ids_lists)
def test_the_ledger_counts_whole_blocks_of_the_longest_common_prefix(
    recorded: list[list[int]], asked: list[int]
) -> None:
    ledger = PrefixLedger(blocks=100)
    for ids in recorded:
        ledger.record(ids, going_on=True)
    ledger.step()
    common = max((_common(ids, asked) for ids in recorded), default=0)
    held = common // BLOCK * BLOCK
    assert ledger.cached(asked) == min(held, len(asked) - 1)


@given(ids_lists, ids_lists)
def test_the_ledger_finds_a_last_block_only_once_and_only_where_it_stopped(
    ids: list[int], more: list[int]
) -> None:
    assume(len(ids) % BLOCK and len(ids) % BLOCK + len(more) < BLOCK)
    ledger = PrefixLedger(blocks=100)
    ledger.record(ids)
    assert ledger.use([*ids, *more]) == len(ids)
    assert ledger.use([*ids, *more]) == len(ids), "siblings of one step share it"
    ledger.step()
    assert ledger.cached([*ids, *more]) == len(ids) // BLOCK * BLOCK


def test_the_ledger_forgets_what_was_used_least_recently() -> None:
    ledger = PrefixLedger(blocks=2)
    first, second, third = ([n] * (BLOCK + 1) for n in (1, 2, 3))
    for ids in (first, second):
        ledger.record(ids[:BLOCK])
    assert ledger.use(first) == BLOCK
    ledger.record(third[:BLOCK])
    assert [ledger.cached(ids) for ids in (first, second, third)] == [BLOCK, 0, BLOCK]


def _common(left: list[int], right: list[int]) -> int:
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length
