"""A meeting in parts that fit into a model's context, each line with the number it is cited by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ikkan.apps.meetings.rules.level0.units import size, tidy, words
from ikkan.apps.meetings.values import Segment, Transcript

ANSWER_TOKENS = 700
"""Room for one answer; what the shape of an answer allows at most fits into it in English."""
ORDERS_TOKENS = 450
"""Room for the orders, which are the same for every part."""
_LEAST_ROOM, _MOST_ROOM = 300, 4_000
"""Words of one part, in tokens. More than the upper bound and small models lose the middle."""
_SHORTEST_WORDS = 2.0
"""Anything shorter is "yeah", はい, 好: nothing rests on it."""
_OVERHEAD_TOKENS = 8
"""A line's number, its speaker and its end."""
_LETTERS_PER_TOKEN, _TOKENS_PER_WIDE = 4, 2
"""English as small models cut it; of other scripts they spell out every character."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a model sees of one segment, or of a stretch of a long one."""

    number: int
    """From 1, the segment's place in the meeting: what is cited."""
    segment: Segment
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring lines that are read together."""

    lines: tuple[Line, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """What may be cited, each once, in order."""
        return tuple(dict.fromkeys(line.number for line in self.lines))


def room_of(context_tokens: int) -> int:
    """Tokens of a meeting that one part may hold, beside orders and answer.

    >>> room_of(2048), room_of(512), room_of(1_000_000)
    (898, 300, 4000)
    """
    return min(_MOST_ROOM, max(_LEAST_ROOM, context_tokens - ORDERS_TOKENS - ANSWER_TOKENS))


def parts(transcript: Transcript, room_tokens: int) -> tuple[Part, ...]:
    """Everything worth citing, in order, in parts of at most about `room_tokens`, all about as large.

    >>> said = Transcript(tuple(Segment(f"s{n}", "Ann", f"point {n} is about the plan") for n in range(40)), "en")
    >>> cut = parts(said, 200)
    >>> len(cut), sum(len(part.lines) for part in cut), cut[1].numbers[0]
    (3, 40, 14)
    """
    lines = list(_lines(transcript, room_tokens))
    total = sum(_tokens(line) for line in lines)
    count = max(1, -(-total // room_tokens))
    found: list[list[Line]] = [[] for _ in range(count)]
    read = 0.0
    for line in lines:
        # By its middle, into parts that are all as large: the last one is no crumb.
        found[int((read + _tokens(line) / 2) / total * count)].append(line)
        read += _tokens(line)
    return tuple(Part(tuple(each)) for each in found if each)


def weight(text: str) -> int:
    """About how many tokens a text is.

    >>> weight("the plan"), weight("予算案")
    (2, 6)
    """
    wide = sum(1 for letter in text if letter >= "\x80")
    return -(-(len(text) - wide) // _LETTERS_PER_TOKEN) + _TOKENS_PER_WIDE * wide


def _tokens(line: Line) -> int:
    return weight(line.text) + _OVERHEAD_TOKENS


def _lines(transcript: Transcript, room_tokens: int) -> Iterator[Line]:
    longest = room_tokens  # letters: a quarter of a part in English, at most all but a little in other scripts
    for number, segment in enumerate(transcript, start=1):
        text = tidy(" ".join(segment.text.split()))
        if size(words(text)) < _SHORTEST_WORDS:
            continue
        step = longest if weight(text) <= len(text) // 2 else longest // 3
        for start in range(0, len(text), max(1, step)):
            yield Line(number, segment, text[start : start + step])
