"""Keys and values of eight bits: half the memory, nearly the same answers, the same bits on every path."""

from __future__ import annotations

import numpy as np
import pytest

from ikkan.silicon.kernels.stack import Cache, Stack

from .test_team import VOCAB, stack


@pytest.fixture(scope="module")
def one() -> Stack:
    return stack(threads=2)


def read(one: Stack, cache: Cache, tokens: list[int], first: int = 0, slot: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """The logits of every token."""
    n = len(tokens)
    rows = np.arange(n, dtype=np.int32)
    return one.forward(np.int32(tokens), np.full(n, slot, np.int32), rows + np.int32(first), cache, rows)


TOKENS = [int(n) for n in np.random.default_rng(0).integers(0, VOCAB, 90)]


def test_it_takes_little_more_than_half_the_memory(one: Stack) -> None:
    assert one.new_cache(4, 512, bits=8).bytes < 0.57 * one.new_cache(4, 512).bytes


def test_answers_stay_close(one: Stack, path: str) -> None:
    wide = read(one, one.new_cache(1, 96), TOKENS)
    narrow = read(one, one.new_cache(1, 96, bits=8), TOKENS)
    assert np.abs(narrow - wide).mean() < 0.02 * wide.std()
    assert not np.array_equal(narrow, wide)


def test_every_path_gives_the_same_bits(one: Stack) -> None:
    from ikkan.silicon.kernels.multiply import set_path
    from ikkan.silicon.kernels.tiles import available_paths

    found = []
    for path in available_paths():
        set_path(path)
        found.append(read(one, one.new_cache(1, 96, bits=8), TOKENS))
    set_path(None)
    assert all(np.array_equal(one, found[0]) for one in found)


def test_a_text_has_the_same_bits_however_it_is_cut_and_whoever_shares_the_call(one: Stack, path: str) -> None:
    whole = read(one, one.new_cache(1, 96, bits=8), TOKENS)
    cache, found = one.new_cache(3, 96, bits=8), []
    read(one, cache, TOKENS[::-1], slot=0)
    for first, last in ((0, 1), (1, 2), (2, 35), (35, 36), (36, 90)):
        found.append(read(one, cache, TOKENS[first:last], first, slot=2))
    assert np.array_equal(np.concatenate(found), whole)


def test_a_text_of_nothing_and_one_that_is_no_number_do_not_spread(one: Stack) -> None:
    cache = one.new_cache(2, 96, bits=8)
    before = read(one, cache, TOKENS, slot=1)
    cache.keys.view(np.uint8)[: cache.keys.nbytes // 8] = 255  # slot 0's pages: scales that are no numbers
    assert np.array_equal(read(one, cache, TOKENS[-1:], 89, slot=1), before[-1:])
