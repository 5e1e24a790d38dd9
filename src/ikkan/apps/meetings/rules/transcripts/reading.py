"""A file to a transcript: what it is, who spoke in which order, in which language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from ikkan.apps.meetings.rules.remarks import remark
from ikkan.apps.meetings.rules.transcripts.captions import read_captions
from ikkan.apps.meetings.rules.transcripts.encoding import decode
from ikkan.apps.meetings.rules.transcripts.lines import read_lines
from ikkan.apps.meetings.rules.transcripts.sound import sound
from ikkan.apps.meetings.rules.transcripts.structured import read_json
from ikkan.apps.meetings.rules.transcripts.utterance import Utterance
from ikkan.apps.meetings.values import LANGUAGES, Segment, Transcript
from ikkan.ground.errors import BadFile, BadInput, UnsupportedFormat
from ikkan.kit.word import word_text

FORMATS = ("txt", "vtt", "srt", "docx", "json")
_BACK_S = 30.0
"""People talk over one another; only a time this much earlier than one before runs backwards."""
_FEW_PARTS = 5
"""So many times a recording may have been stopped and begun again."""
_TIMED = re.compile(r"^\s*(?:\d+:)?\d+:\d{2}[.,]\d{1,3}\s*-->", re.MULTILINE)
_KANA, _HAN, _LATIN = re.compile("[\u3041-\u30fa]"), re.compile("[\u4e00-\u9fff]"), re.compile("[A-Za-z]+")


def read(
    data: bytes,
    filename: str = "",
    *,
    language: str | None = None,
    held_on: date | None = None,
    title: str = "",
) -> Transcript:
    """Read a transcript: txt, vtt, srt, docx or json, known by what is in it rather than by its name.

    What could be mended is said in `remarks`.

    Raises:
        UnsupportedFormat: it is sound or a kind of file nobody reads; `facts["codec"]` names the sound.
        BadFile: nothing was said in it, or it is damaged.
        BadInput: a language other than ja, en and zh.

    >>> read("佐藤：始めます。\\n鈴木：はい。".encode()).speakers
    ('佐藤', '鈴木')
    """
    if language is not None and language not in LANGUAGES:
        raise BadInput(
            f"there is no language {language!r} here", hint=f"one of {', '.join(LANGUAGES)}", param="language"
        )
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    if not data.strip():
        raise BadFile("the file is empty", hint="a transcript: txt, vtt, srt, docx or json")
    codec = sound(data[:512], ending)
    if codec is not None:
        raise UnsupportedFormat(
            f"this is {codec}, and a transcript is text",
            hint="bring a recording on the page of meetings, where a recogniser listens to it; docs/meetings.md",
            codec=codec,
        )
    utterances, remarks = _utterances(data, ending)
    if not utterances:
        raise BadFile("nothing was said in this file", hint="one line for each go: `speaker: text`")
    utterances, more = _told_apart(utterances)
    utterances, mended = _in_order(utterances)
    segments = tuple(
        Segment(f"s{place}", each.speaker, each.text, each.start_s, each.end_s)
        for place, each in enumerate(utterances, start=1)
    )
    spoken = language or language_of("\n".join(segment.text for segment in segments))
    return Transcript(segments, spoken, held_on, title, (*remarks, *more, *mended))


def language_of(text: str) -> str:
    """`ja`, `zh` or `en`, by the script most of it is written in.

    >>> [language_of(text) for text in ("予算を決めます。", "我们决定预算。", "We set it.", "APIを見ます")]
    ['ja', 'zh', 'en', 'ja']
    """
    kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
    latin_words = len(_LATIN.findall(text))
    if kana + han <= latin_words:
        return "en"
    return "ja" if kana * 20 > kana + han else "zh"


def _utterances(data: bytes, ending: str) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    if data[:4] == b"PK\x03\x04":
        return read_lines(word_text(data)), ()
    if data[:4] in (b"%PDF", b"\xd0\xcf\x11\xe0", b"{\\rt"):
        raise UnsupportedFormat(
            "files of this kind are not read here", hint="save it as docx or text and bring it again"
        )
    decoded = decode(data)
    text = decoded.text
    if text.lstrip()[:1] in ("{", "[") and (ending == "json" or _looks_like_json(text)):
        return read_json(text), decoded.remarks
    if ending == "json":
        raise BadFile("this is not JSON", hint="a transcript in JSON begins with {")
    if text.lstrip().startswith("WEBVTT") or _TIMED.search(text[:20_000]):
        return read_captions(text), decoded.remarks
    return read_lines(text), decoded.remarks


def _looks_like_json(text: str) -> bool:
    # `[00:12:03] Ada: hello` begins with a bracket too.
    return re.match(r'\s*(\{\s*"|\[\s*[{\]])', text) is not None


def _told_apart(utterances: Sequence[Utterance]) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    """Two people of one name get a number, where the file says that they are two."""
    voices: dict[str, list[str]] = {}
    for each in utterances:
        if each.voice and each.voice not in voices.setdefault(each.speaker, []):
            voices[each.speaker].append(each.voice)
    double = {name for name, ids in voices.items() if len(ids) > 1}
    if not double:
        return tuple(utterances), ()
    named = tuple(
        replace(each, speaker=f"{each.speaker} ({voices[each.speaker].index(each.voice) + 1})")
        if each.speaker in double and each.voice
        else each
        for each in utterances
    )
    return named, (remark("same_name", names=", ".join(sorted(double))),)


def _in_order(utterances: Sequence[Utterance]) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
    """In the order of speech, with times that do not run backwards."""
    remarks: list[str] = []
    turned = [
        replace(each, end_s=None) if None not in (each.start_s, each.end_s) and each.end_s < each.start_s else each  # type: ignore[operator]
        for each in utterances
    ]
    wrong = sum(before is not after for before, after in zip(utterances, turned, strict=True))
    if wrong:
        remarks.append(remark("ends_before", count=f"{wrong:,}"))
    places = [place for place, each in enumerate(turned) if each.start_s is not None]
    starts = [turned[place].start_s or 0.0 for place in places]
    falls = [number for number in range(1, len(starts)) if starts[number] < starts[number - 1] - _BACK_S]
    if not falls:
        return tuple(turned), tuple(remarks)
    if len(falls) <= _FEW_PARTS and all(starts[number] < _BACK_S * 2 for number in falls):
        parts = [places[number] for number in falls]
        remarks.append(remark("clock_again", count=len(falls)))
        return _continued(turned, parts), tuple(remarks)
    remarks.append(remark("backwards", count=f"{len(falls):,}"))
    return _sorted(turned), tuple(remarks)


def _continued(utterances: Sequence[Utterance], parts: Sequence[int]) -> tuple[Utterance, ...]:
    moved, shift, latest = [], 0.0, 0.0
    for place, each in enumerate(utterances):
        if place in parts:
            shift = latest
        start_s = None if each.start_s is None else round(each.start_s + shift, 3)
        end_s = None if each.end_s is None else round(each.end_s + shift, 3)
        latest = max(latest, start_s or 0.0, end_s or 0.0)
        moved.append(replace(each, start_s=start_s, end_s=end_s))
    return tuple(moved)


def _sorted(utterances: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """By their beginning; what has no time stays behind what it followed."""
    latest, keyed = 0.0, []
    for place, each in enumerate(utterances):
        latest = latest if each.start_s is None else each.start_s
        keyed.append((latest, place, each))
    return tuple(each for _, _, each in sorted(keyed, key=lambda entry: entry[:2]))
