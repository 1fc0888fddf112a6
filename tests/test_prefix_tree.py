from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ponder.backends.prefix_tree import Growth, PrefixTree
from tests.tree_models import distinct_tokens

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8)


def joined(growths: list[Growth]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, positions and the whole mask [slots, slots]."""
    ids = np.concatenate([growth.token_ids for growth in growths])
    positions = np.concatenate([growth.positions for growth in growths])
    sees = np.zeros((len(ids), len(ids)), dtype=np.bool_)
    for growth in growths:
        sees[growth.first : growth.first + len(growth.token_ids), : growth.sees.shape[1]] = (
            growth.sees
        )
    return ids, positions, sees


@given(SEQUENCES, st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_each_slot_sees_its_own_path_and_nothing_else(
    sequences: list[list[int]], bites: list[int]
) -> None:
    tree, growths, paths = PrefixTree(), [], []
    for number, sequence in enumerate(sequences):
        paths.append(tree.add(sequence))
        growths.append(tree.growth(bites[number % len(bites)]))
    while tree.computed < len(tree):
        growths.append(tree.growth(bites[0]))
    ids, positions, sees = joined(growths)
    assert len(tree) == len(ids) == distinct_tokens(sequences)
    for sequence, path in zip(sequences, paths, strict=True):
        assert ids[path].tolist() == sequence
        assert positions[path].tolist() == list(range(len(sequence)))
        for end, slot in enumerate(path, 1):
            assert np.flatnonzero(sees[slot]).tolist() == path[:end]


@given(SEQUENCES, st.integers(0, 9), st.tuples(st.integers(0, 20), st.integers(1, 9)))
def test_the_sight_of_some_tokens_is_their_part_of_the_mask(
    sequences: list[list[int]], known: int, part: tuple[int, int]
) -> None:
    tree = PrefixTree()
    for sequence in sequences:
        tree.add(sequence)
    tree.growth(known)
    growth = tree.growth()
    start, stop = part[0], min(part[0] + part[1], len(growth.token_ids))
    if start < stop:
        rows = growth.sees[start:stop]
        slots, sees = growth.sight(start, stop)
        assert slots.tolist() == np.flatnonzero(rows.any(axis=0)).tolist()
        assert sees.tolist() == rows[:, slots].tolist()


@given(SEQUENCES, st.lists(st.integers(0, 2), max_size=8))
def test_new_is_what_add_would_make(sequences: list[list[int]], last: list[int]) -> None:
    tree = PrefixTree()
    for sequence in sequences:
        tree.add(sequence)
    before, new = len(tree), tree.new(last)
    tree.add(last)
    assert len(tree) - before == new
    assert tree.new(last) == 0


def test_a_growth_holds_what_came_since_the_last_one() -> None:
    tree = PrefixTree()
    tree.add([5, 6, 7])
    assert tree.growth().token_ids.tolist() == [5, 6, 7]
    tree.add([5, 6, 8])
    growth = tree.growth()
    assert (growth.first, growth.token_ids.tolist()) == (3, [8])
    assert growth.sees.tolist() == [[True, True, False, True]]
    assert len(tree.growth().token_ids) == 0
