"""Text leaves the engine in whole characters and never shows the beginning of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikkan.engine.detokenize import TextStream

LETTERS = st.sampled_from(["a", "b", "ab", "é", "鉄", "🍵", "\ufffd", "\x00"])
TEXTS = st.lists(LETTERS, max_size=30).map("".join)
STOPS = st.lists(st.lists(LETTERS, min_size=1, max_size=4).map("".join), max_size=4)
CUTS = st.lists(st.integers(0, 120), max_size=30)


def cut_at_first_stop(text: str, stops: Sequence[str]) -> str:
    """The slow and obvious way: look at every beginning of the text, shortest first."""
    for end in range(len(text) + 1):
        met = [stop for stop in stops if text[:end].endswith(stop)]
        if met:
            return text[: end - max(map(len, met))]
    return text


def in_pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


@given(TEXTS, STOPS, CUTS)
def test_however_bytes_are_cut_the_text_is_the_same(text: str, stops: list[str], cuts: list[int]) -> None:
    stream = TextStream(stops)
    shown = "".join([stream.add(piece) for piece in in_pieces(text.encode(), cuts)]) + stream.end()
    expected = cut_at_first_stop(text, stops)
    assert shown == expected
    assert stream.stopped == (expected != text)


@given(TEXTS, STOPS, CUTS)
def test_at_every_moment_only_the_final_text_is_shown(text: str, stops: list[str], cuts: list[int]) -> None:
    stream, shown, final = TextStream(stops), "", cut_at_first_stop(text, stops)
    for piece in in_pieces(text.encode(), cuts):
        shown += stream.add(piece)
        assert final.startswith(shown)


@given(TEXTS, STOPS, CUTS)
def test_no_more_is_held_back_than_may_become_a_stop_text(text: str, stops: list[str], cuts: list[int]) -> None:
    stream, shown, came = TextStream(stops), "", b""
    for piece in in_pieces(text.encode(), cuts):
        shown += stream.add(piece)
        came += piece
        held = cut_at_first_stop(came.decode("utf-8", "ignore"), stops)[len(shown) :]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


@given(st.binary(max_size=40), CUTS)
def test_any_bytes_at_all_come_out_as_the_replacing_decoder_says_but_for_an_unfinished_end(
    data: bytes, cuts: list[int]
) -> None:
    stream = TextStream()
    shown = "".join(stream.add(piece) for piece in in_pieces(data, cuts)) + stream.end()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    assert shown == decoder.decode(data)
    unfinished = decoder.decode(b"", final=True)  # half a character, or half of what can never be one
    assert shown + unfinished == data.decode("utf-8", "replace") and len(unfinished) <= 3


@pytest.mark.parametrize(
    ("stops", "text", "shown"),
    [
        (["abcd", "bc"], "xabcd", "xa"),  # complete first counts, not begun first
        (["bc", "abc"], "xabcd", "x"),  # of those complete at one letter, the longest
        (["aab"], "aaaab", "aa"),
        (["\n\n"], "one\n\ntwo", "one"),
        (["。"], "はい。いいえ", "はい"),
    ],
)
def test_the_stop_text_that_is_complete_first_counts(stops: list[str], text: str, shown: str) -> None:
    at_once, by_byte = TextStream(stops), TextStream(stops)
    assert at_once.add(text.encode()) == shown
    assert "".join(by_byte.add(bytes([byte])) for byte in text.encode()) == shown


def test_a_stop_text_does_not_count_before_it_may() -> None:
    stream = TextStream(["end"])
    assert stream.add(b"end", may_stop=False) + stream.add(b" the end") == "end the "
    assert stream.stopped
