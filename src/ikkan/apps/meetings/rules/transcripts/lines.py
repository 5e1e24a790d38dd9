"""Plain text: a line for each go, with or without who spoke and when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ikkan.apps.meetings.rules.transcripts.utterance import TIME, Utterance, seconds

_LONG = 2_000
"""Characters; a longer line is a whole meeting without line ends and is cut at its sentences."""
_SENTENCE = re.compile(r"(?<=[。！？!?])|(?<=\.)\s+")
_STAMP = re.compile(
    rf"^\s*[\[(（【]?\s*{TIME.format('a')}\s*(?:(?:-->|-|–|~|〜)\s*{TIME.format('b')}\s*)?[\])）】]?\s*[-–:：]?\s*"
)
_SAID = re.compile(
    rf"^\s*(?:[-–・*]\s+)?(?P<who>[^:：\t]{{1,40}}?)\s*(?:[\[(（]\s*{TIME.format('a')}\s*[\])）])?\s*"
    r"(?:(?<!\d)[:：]|[:：](?!\d\d)|\t)(?!//)\s*(?P<text>.*)$"  # 10:30 is a time, not what "10" said
)
_ABOVE = re.compile(rf"^\s*(?P<who>\S.{{0,38}}?)[\s　]+[\[(（]?{TIME.format('a')}[\])）]?\s*$")
"""A speaker and a time on a line of their own; what was said follows below."""
_GAP = re.compile(r"\s{3,}")
_HEAD = 200
"""Characters in which time and speaker stand: patterns see no more, so that no line can make them slow."""
_NO_NAME = re.compile(r"[。、！？!?,;；「」『』\"“”=<>/]|https?$|^\d+$|\.\s*$")
_WORDS = 5
"""A name has no more of them."""


@dataclass(frozen=True, slots=True)
class _Line:
    who: str | None
    text: str
    start_s: float | None = None
    end_s: float | None = None
    is_heading: bool = False
    after_gap: bool = False


def read_lines(text: str) -> tuple[Utterance, ...]:
    """Read `speaker: text` lines (full-width colons too), times before or after the speaker, or just lines.

    >>> [(u.speaker, u.text, u.start_s) for u in read_lines("[00:12:03] 佐藤：始めます\\n鈴木： はい\\nお願いします")]
    [('佐藤', '始めます', 723.0), ('鈴木', 'はい\\nお願いします', None)]
    """
    lines = list(_lines(text))
    if not _has_speakers(lines):
        lines = [line if line.who is None else replace(line, who=None, text=_whole(line)) for line in lines]
    return tuple(_cut(_joined(lines)))


def _lines(text: str) -> Iterator[_Line]:
    lines, after_gap = [_GAP.sub(_narrowed, raw.strip()) for raw in text.splitlines()], False
    filled = [raw for raw in lines if raw]
    # A single "10:30" at the beginning of a line is what somebody said; many are the clock.
    clocked = sum(_STAMP.match(raw[:_HEAD]) is not None for raw in filled) >= max(2, len(filled) / 4)
    for raw in lines:
        if not raw:
            after_gap = True
            continue
        yield replace(_line(raw[:_HEAD], raw[_HEAD:], clocked), after_gap=after_gap)
        after_gap = False


def _line(head: str, tail: str, clocked: bool) -> _Line:
    above = _ABOVE.match(head) if not tail else None
    if above and is_name(above["who"]):
        return _Line(above["who"].strip(), "", seconds(above, "a"), is_heading=True)
    stamp = _STAMP.match(head) if clocked or head[0] in "[(（【" else None
    start_s = end_s = None
    rest = head
    if stamp:
        start_s, end_s, rest = seconds(stamp, "a"), seconds(stamp, "b"), head[stamp.end() :]
    said = _SAID.match(rest)
    if said and is_name(said["who"]):
        own_s = seconds(said, "a")
        text = (said["text"] + tail).strip()
        return _Line(said["who"].strip(), text, own_s if start_s is None else start_s, end_s)
    return _Line(None, (rest + tail).strip(), start_s, end_s)


def _narrowed(gap: re.Match[str]) -> str:
    return "\t" if "\t" in gap[0] else "  "


def is_name(label: str) -> bool:
    """Whether people call each other so: short, and no sentence.

    >>> [is_name(label) for label in ("Dr. Smith", "佐藤（営業）", "発言者 1", "https", "We said, as I recall")]
    [True, True, True, False, False]
    """
    label = label.strip()
    return bool(label) and not _NO_NAME.search(label) and len(label.split()) <= _WORDS


def _has_speakers(lines: list[_Line]) -> bool:
    """Whether labels before a colon are people: most lines have one, or some come again and again."""
    said = Counter(line.who for line in lines if line.who is not None)
    labelled = said.total()
    return labelled > 0 and (labelled >= len(lines) / 2 or labelled >= 2 * len(said) or _headings(lines) > 0)


def _headings(lines: Iterable[_Line]) -> int:
    return sum(line.is_heading and line.who is not None for line in lines)


def _whole(line: _Line) -> str:
    return f"{line.who}: {line.text}" if line.text else str(line.who)


def _joined(lines: list[_Line]) -> Iterator[Utterance]:
    """Lines below a speaker belong to them, until the next speaker, time or gap."""
    current: Utterance | None = None
    speakers = any(line.who is not None for line in lines)
    for line in lines:
        if line.who is not None or line.start_s is not None or current is None or not speakers:
            if current is not None and current.text:
                yield current
            current = Utterance(line.who or "", line.text, line.start_s, line.end_s)
        elif line.after_gap and current.text:
            yield current
            current = Utterance("", line.text)
        else:
            current = replace(current, text=f"{current.text}\n{line.text}" if current.text else line.text)
    if current is not None and current.text:
        yield current


def _cut(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    for utterance in utterances:
        if len(utterance.text) <= _LONG:
            yield utterance
            continue
        piece, start_s = "", utterance.start_s
        for sentence in _SENTENCE.split(utterance.text):
            for part in (sentence[at : at + _LONG] for at in range(0, len(sentence), _LONG)):
                if piece and len(piece) + len(part) > _LONG // 4:
                    yield Utterance(utterance.speaker, piece.strip(), start_s)
                    piece, start_s = "", None
                piece += part
        if piece.strip():
            yield Utterance(utterance.speaker, piece.strip(), start_s)
