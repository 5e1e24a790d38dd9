"""What can be drawn out of a transcript without any model: so far, only the questions that were asked."""

from __future__ import annotations

from collections.abc import Mapping

from ikkan.apps.meetings.values import Extraction, Kind, Transcript

__all__ = ["extract"]

_MARKS = ("?", "？")


def extract(transcript: Transcript, *, glossary: Mapping[str, str] = {}) -> tuple[Extraction, ...]:
    """Every question that ends with its mark, in order of speech.

    >>> from ikkan.apps.meetings.values import Segment
    >>> found = extract(Transcript((Segment("s1", "Ada", "Who pays?"), Segment("s2", "Bo", "We do.")), "en"))
    >>> [(each.kind.value, each.text, each.evidence) for each in found]
    [('question', 'Who pays?', ('s1',))]
    """
    return tuple(
        Extraction(Kind.QUESTION, segment.text.strip(), (segment.id,), "rule", confidence=0.6)
        for segment in transcript
        if segment.text.rstrip().endswith(_MARKS)
    )
