"""Captions: WebVTT with its voice tags, and SubRip."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ikkan.apps.meetings.rules.transcripts.lines import is_name
from ikkan.apps.meetings.rules.transcripts.utterance import TIME, Utterance, seconds

_CUE = re.compile(rf"^\s*{TIME.format('a')}\s*-->\s*{TIME.format('b')}")
_VOICE = re.compile(r"<v(?:\.[^\s>.]{1,40}){0,4}\s{1,4}([^>]{0,200})>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^>]{0,200}>|<\d[\d:.]*>", re.IGNORECASE)
_NAMED = re.compile(r"^\s*(?:[-–]\s*)?(?P<who>[^:：]{1,40})[:：](?!//)\s*(?P<text>.+)$", re.DOTALL)
_BLOCKS = ("NOTE", "STYLE", "REGION", "WEBVTT")


def read_captions(text: str) -> tuple[Utterance, ...]:
    """Read WebVTT or SubRip; who spoke comes from voice tags, else from `name: text`.

    >>> text = "WEBVTT\\n\\n00:01.000 --> 00:02.500\\n<v Ada>Hello &amp; welcome</v>\\n"
    >>> [(u.speaker, u.text, u.start_s, u.end_s) for u in read_captions(text)]
    [('Ada', 'Hello & welcome', 1.0, 2.5)]
    """
    return tuple(utterance for cue in _cues(text) for utterance in _voices(*cue))


def _cues(text: str) -> Iterator[tuple[float | None, float | None, str]]:
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        # A file that lost its empty lines still has a time before each cue.
        starts = [place for place, line in enumerate(lines) if _CUE.match(line)]
        if not starts or (lines[0].startswith(_BLOCKS[:3]) and starts[0] > 1):
            continue
        for place, start in enumerate(starts):
            end = starts[place + 1] if place + 1 < len(starts) else len(lines)
            payload = lines[start + 1 : end]
            if end < len(lines) and payload and payload[-1].strip().isdigit():
                payload.pop()  # the number of the next cue
            match = _CUE.match(lines[start])
            assert match is not None
            yield seconds(match, "a"), seconds(match, "b"), "\n".join(payload)


def _voices(start_s: float | None, end_s: float | None, payload: str) -> Iterator[Utterance]:
    pieces = _VOICE.split(payload)
    before, rest = pieces[0], pieces[1:]
    if _plain(before):
        yield _named(_plain(before), start_s, end_s)
    for who, said in zip(rest[0::2], rest[1::2], strict=True):
        if _plain(said):
            yield Utterance(html.unescape(who).strip(), _plain(said), start_s, end_s)


def _plain(payload: str) -> str:
    return html.unescape(_TAG.sub("", payload)).strip()


def _named(text: str, start_s: float | None, end_s: float | None) -> Utterance:
    named = _NAMED.match(text)
    if named and is_name(named["who"]):
        return Utterance(named["who"].strip(), named["text"].strip(), start_s, end_s)
    return Utterance("", text, start_s, end_s)
