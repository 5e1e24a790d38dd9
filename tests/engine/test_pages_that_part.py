"""Texts that part within a page share what comes before, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ikkan.engine.fakes import FakeCache
from ikkan.engine.pages import Chain, Pages, Seat

SIZE = 8


def house(count: int = 8) -> tuple[Pages, FakeCache]:
    cache = FakeCache(slots=3, context_tokens=4 * SIZE, page_tokens=SIZE, pages=count)
    return Pages(cache.tables, SIZE, count, cache.copy_page), cache


def read(
    pages: Pages, cache: FakeCache, text: list[int], *, prompt: int | None = None, salt: str = ""
) -> tuple[Seat, int]:
    """Read a text as an answer would: its seat, and how many tokens were there already."""
    seat = pages.sit(Chain(salt, "", SIZE, prompt))
    there = pages.catch_up(seat, text, 0)
    assert pages.grow(seat, len(text))
    for place in range(there, len(text)):
        cache.tokens[cache.tables[seat.slot, place // SIZE], place % SIZE] = text[place]
    pages.keep(seat, text, len(text))
    assert cache.text(seat.slot, len(text)).tolist() == text
    return seat, there


FIRST = list(range(100, 120))


def test_a_text_takes_over_what_it_shares_of_a_page() -> None:
    pages, cache = house()
    read(pages, cache, FIRST)
    _, there = read(pages, cache, [*FIRST[:13], 7, 7, 7, 7])
    assert there == 13


def test_the_page_it_was_copied_from_stays_as_it_was_and_goes_on_being_shared() -> None:
    pages, cache = house()
    first, _ = read(pages, cache, FIRST)
    read(pages, cache, [*FIRST[:13], 7, 7, 7, 7])
    assert cache.text(first.slot, len(FIRST)).tolist() == FIRST
    _, there = read(pages, cache, [*FIRST[:16], 1])
    assert there == 16


def test_of_several_beginnings_the_longest_is_taken() -> None:
    pages, cache = house()
    read(pages, cache, [*FIRST[:10], *[1] * 8])
    read(pages, cache, [*FIRST[:14], *[2] * 8])
    _, there = read(pages, cache, [*FIRST[:13], 3, 3, 3])
    assert there == 13


def test_the_last_token_is_always_read_again() -> None:
    pages, cache = house()
    read(pages, cache, FIRST)
    _, there = read(pages, cache, FIRST[:12])
    assert there == 11


@pytest.mark.parametrize(("salt", "shared"), [("", 9), ("other", 13), ("", 0)])
def test_strangers_and_very_short_pieces_share_nothing(salt: str, shared: int) -> None:
    pages, cache = house()
    read(pages, cache, FIRST)
    _, there = read(pages, cache, [*FIRST[:shared], 7, 7, 7, 7, 7], salt=salt)
    assert there == (SIZE if salt == "" and shared else 0)


def test_what_was_an_answer_is_not_taken_for_a_prompt() -> None:
    pages, cache = house()
    read(pages, cache, FIRST, prompt=12)
    _, there = read(pages, cache, [*FIRST[:15], 7, 7], prompt=17)
    assert there == 12


def test_without_room_nothing_is_copied_and_nothing_is_lost() -> None:
    pages, cache = house(count=4)
    first, _ = read(pages, cache, FIRST)
    second = pages.sit(Chain("", "", SIZE))
    assert pages.grow(second, SIZE)
    third = pages.sit(Chain("", "", SIZE))
    assert pages.catch_up(third, [*FIRST[:13], 7, 7], 0) == SIZE
    assert pages.available == 0
    for seat in (first, second, third):
        pages.leave(seat)
    assert pages.available == 4


def test_a_page_that_is_forgotten_is_not_copied_any_more() -> None:
    pages, cache = house()
    seat, _ = read(pages, cache, FIRST)
    pages.leave(seat, forget=True)
    cache.tokens[:] = -1
    _, there = read(pages, cache, [*FIRST[:13], 7, 7])
    assert there == 0
    assert np.all(pages._tables >= 0)
