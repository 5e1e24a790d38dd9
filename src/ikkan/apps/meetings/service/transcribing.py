"""From sound to words, without a database: read in blocks, cut to voice, recognised window by window.

Silence is never sent to a recogniser. `listening.py` keeps what comes of it; the command line keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from ikkan.apps.meetings.rules.hearing import RATE, Loudest, Resampler, Sieve, Turn, Window, Windows
from ikkan.apps.meetings.rules.remarks import remark
from ikkan.apps.meetings.rules.transcripts.reading import language_of
from ikkan.apps.meetings.service.hearing import Diariser, Ears, Heard, Transcriber
from ikkan.apps.meetings.service.hearing.choosing import DEMO
from ikkan.apps.meetings.service.sound import Sound, open_sound
from ikkan.apps.meetings.values import Segment, Transcript
from ikkan.ground.errors import BadFile, BadInput

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Step:
    """Where listening is."""

    heard: tuple[Heard, ...]
    at_s: float
    """Up to where the sound is done."""


def listen(
    sound: Sound,
    transcriber: Transcriber,
    language: str | None,
    sieve: Sieve,
    *,
    start_s: float = 0.0,
    turns: Sequence[Turn] = (),
) -> Iterator[Step]:
    """Recognise a recording from `start_s` on; a step for each window, and one for each block without."""
    windows, resampler = Windows(start_s=start_s, turns=turns), Resampler(sound.rate)

    def steps(ready: Iterator[Window]) -> Iterator[Step]:
        for window in ready:
            yield Step(tuple(sifted(transcriber, window, language, sieve)), window.end_s)

    for block in sound.blocks(start_s):
        yield from steps(windows.feed(resampler.feed(np.mean(block, axis=1, dtype=np.float32))))
        yield Step((), windows.done_s)
    yield from steps(windows.feed(resampler.end()))
    yield from steps(windows.end())
    yield Step((), windows.done_s)


def sifted(transcriber: Transcriber, window: Window, language: str | None, sieve: Sieve) -> Iterator[Heard]:
    """What a window says, without what nobody said."""
    for each in transcriber.transcribe([window], language):
        text = sieve.keep(each.text, each.end_s - each.start_s, above_db=each.above_db, confidence=each.confidence)
        if text:
            yield replace(each, text=text)


def turns_of(sound: Sound, language: str, diariser: Diariser | None, progress: Progress) -> list[Turn]:
    """Who speaks when: by channel where each person has one, else by the diariser, else nobody knows."""
    if sound.channels >= 2:
        loudest, at_s = Loudest(sound.rate), 0.0
        for block in sound.blocks():
            loudest.feed(block)
            at_s += len(block) / sound.rate
            progress(min(1.0, at_s / sound.length_s) if sound.length_s else 0.0)
        by_channel = loudest.turns(language)
        if by_channel:
            return by_channel
    return [] if diariser is None else diariser.turns(_whole(sound), language)


def _whole(sound: Sound) -> Iterator[Window]:
    resampler, at_s = Resampler(sound.rate), 0.0
    for block in sound.blocks():
        samples = resampler.feed(np.mean(block, axis=1, dtype=np.float32))
        yield Window(at_s, samples)
        at_s += len(samples) / RATE


def segment_of(heard: Heard) -> Segment:
    """What was heard, as a segment that has no id yet."""
    sure = None if heard.confidence is None else round(heard.confidence, 3)
    return Segment("", heard.speaker, heard.text, round(heard.start_s, 2), round(heard.end_s, 2), sure)


def heard_file(
    path: Path,
    ears: Ears,
    *,
    language: str | None = None,
    held_on: date | None = None,
    title: str = "",
    progress: Progress = lambda share: None,
) -> Transcript:
    """Listen to a recording of this machine and keep nothing.

    Raises:
        UnsupportedFormat, BadFile: it cannot be read, or nobody speaks in it.
        SetupNeeded, BadInput: no recogniser is set up, or not for this language.
    """
    transcriber = ears.transcriber(language)
    sieve, segments = Sieve(), []
    try:
        file = path.open("rb")
    except OSError as exc:
        raise BadInput(f"cannot read {path}: {exc.strerror}", hint="is the path right?") from exc
    with file:
        sound = open_sound(file, path.name)
        try:
            turns = turns_of(sound, language or "en", ears.diariser, lambda share: None)
            for step in listen(sound, transcriber, language, sieve, turns=turns):
                segments += [segment_of(each) for each in step.heard]
                progress(min(1.0, step.at_s / sound.length_s) if sound.length_s else 0.0)
        finally:
            sound.close()
    if not segments:
        raise nobody_speaks()
    named = tuple(replace(each, id=f"s{place}") for place, each in enumerate(segments, start=1))
    spoken = language or language_of("\n".join(each.text for each in named))
    return Transcript(named, spoken, held_on, title, tuple(remarks_of(transcriber, sieve)))


def nobody_speaks() -> BadFile:
    """The refusal of a recording without words."""
    return BadFile(
        "nobody speaks in this recording, as far as can be heard",
        hint="is it the right file, and loud enough? try another recogniser",
    )


def remarks_of(transcriber: Transcriber, sieve: Sieve) -> list[str]:
    """Who recognised, and what was left out."""
    remarks = [remark("heard_by", recogniser=transcriber.name)]
    if transcriber.name in DEMO:
        remarks.append(remark("heard_by_demo", recogniser=transcriber.name))
    if sieve.dropped:
        remarks.append(remark("made_up", count=f"{sieve.dropped:,}"))
    return remarks
