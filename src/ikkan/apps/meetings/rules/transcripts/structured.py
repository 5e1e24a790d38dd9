"""JSON transcripts: ours, Whisper's, Tingwu's, and those that only name their fields otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ikkan.apps.meetings.rules.transcripts.utterance import Utterance, clock_seconds
from ikkan.ground.errors import BadFile

_LISTS = ("segments", "utterances", "transcript", "entries", "results", "sentences")
_WRAPPED = ("Transcription", "transcription", "Data", "data", "Result", "result")
_TEXT = ("text", "content", "sentence", "transcript", "Text")
_SPEAKER = ("speaker", "speaker_name", "speakerName", "name", "speaker_label", "user_name", "display_name")
_VOICE = ("speaker_id", "speakerId", "SpeakerId", "spk", "spk_id", "user_id")
_START = ("start_s", "start", "from")
_END = ("end_s", "end", "to")
_START_MS = ("start_ms", "begin_time", "start_time", "Start")
_END_MS = ("end_ms", "end_time", "stop_ms", "stop_time", "End")
_SHAPE = '{"segments": [{"speaker": "…", "start_s": 0.0, "end_s": 2.5, "text": "…"}]}'
_MOST_DEEP = 6


def read_json(text: str) -> tuple[Utterance, ...]:
    """Read `{"segments": […]}` and its relatives. Entries without words are left out.

    Raises:
        BadFile: it is no JSON, or no list of what was said is found in it.

    >>> text = '{"segments": [{"start": 1, "end": 2.5, "text": " Hello"}]}'
    >>> [(u.text, u.start_s, u.end_s) for u in read_json(text)]
    [('Hello', 1.0, 2.5)]
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadFile("this is not JSON", hint=f"a transcript in JSON is {_SHAPE}") from exc
    entries = _entries(found, 0)
    if entries is None:
        raise BadFile("the JSON has no list of what was said", hint=f"like {_SHAPE}")
    if entries and all("Words" in entry for entry in entries):
        return tuple(utterance for entry in entries for utterance in _tingwu(entry))
    return tuple(utterance for entry in entries if (utterance := _utterance(entry)).text)


def _entries(found: Any, depth: int) -> list[Mapping[str, Any]] | None:
    """The first list of entries, at the top or under a name that transcripts use."""
    if depth > _MOST_DEEP:
        return None
    if isinstance(found, list):
        entries: list[Mapping[str, Any]] = [entry for entry in found if isinstance(entry, dict)]
        return entries if entries or not found else None
    if not isinstance(found, dict):
        return None
    for name in ("Paragraphs", "paragraphs", *_LISTS):
        if isinstance(found.get(name), list):
            return _entries(found[name], depth + 1)
    for name in _WRAPPED:
        if isinstance(found.get(name), (dict, list)):
            return _entries(found[name], depth + 1)
    return None


def _utterance(entry: Mapping[str, Any]) -> Utterance:
    start_s, end_s = _time(entry, _START, _START_MS), _time(entry, _END, _END_MS)
    said = next((entry[name] for name in _TEXT if isinstance(entry.get(name), str)), "")
    speaker, voice = _who(entry)
    return Utterance(speaker, said.strip(), start_s, end_s, voice)


def _tingwu(paragraph: Mapping[str, Any]) -> Iterator[Utterance]:
    """One go for each sentence; words are `{SentenceId, Start, End, Text}` with milliseconds."""
    words = (
        [word for word in paragraph["Words"] if isinstance(word, dict)] if isinstance(paragraph["Words"], list) else []
    )
    speaker, voice = _who(paragraph)
    sentences: dict[Any, list[Mapping[str, Any]]] = {}
    for word in words:
        sentences.setdefault(str(word.get("SentenceId", "")), []).append(word)
    for sentence in sentences.values():
        said = "".join(str(word.get("Text", "")) for word in sentence).strip()
        if said:
            start_s, end_s = _time(sentence[0], (), _START_MS), _time(sentence[-1], (), _END_MS)
            yield Utterance(speaker, said, start_s, end_s, voice)


def _who(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Name and id of who spoke, as far as the file tells."""
    name = next((entry[key] for key in _SPEAKER if entry.get(key) not in (None, "")), "")
    voice = next((str(entry[key]) for key in _VOICE if entry.get(key) not in (None, "")), "")
    if isinstance(name, dict):
        voice = voice or str(next((name[key] for key in ("id", *_VOICE) if name.get(key) is not None), ""))
        name = next((name[key] for key in ("name", *_SPEAKER) if isinstance(name.get(key), str)), "")
    if name == "" and voice:
        name = f"Speaker {voice}" if voice.isdigit() else voice
    return str(name).strip(), voice


def _time(entry: Mapping[str, Any], plain: tuple[str, ...], milli: tuple[str, ...]) -> float | None:
    for names, unit in ((plain, 1.0), (milli, 1e-3)):
        for name in names:
            value = entry.get(name)
            if isinstance(value, str):
                spoken = clock_seconds(value)
                if spoken is not None:
                    return spoken
                try:
                    value = float(value)
                except ValueError:
                    continue
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
                return round(value * unit, 3)
    return None
