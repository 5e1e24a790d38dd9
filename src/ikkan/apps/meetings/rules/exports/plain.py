"""A meeting as JSON values: what the command line, the API and the export print alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ikkan.apps.meetings.rules.minutes import STANDARD, markdown, minutes
from ikkan.apps.meetings.values import Item, Quote, Segment, Transcript


def plain(transcript: Transcript, items: Sequence[Item], *, form: str = STANDARD) -> dict[str, Any]:
    """Segments, extractions and the minutes.

    >>> sorted(plain(Transcript((Segment("s1", "Ada", "Hi"),), "en"), ()))
    ['extractions', 'held_on', 'language', 'minutes_markdown', 'remarks', 'segments', 'title']
    """
    return {
        "title": transcript.title,
        "language": transcript.language,
        "held_on": transcript.held_on.isoformat() if transcript.held_on else None,
        "remarks": list(transcript.remarks),
        "segments": [plain_segment(segment) for segment in transcript],
        "extractions": [plain_item(item) for item in items],
        "minutes_markdown": markdown(minutes(transcript, items, form=form)),
    }


def plain_segment(segment: Segment) -> dict[str, Any]:
    """One go, as JSON values."""
    return {
        "id": segment.id,
        "speaker": segment.speaker,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "text": segment.text,
    } | ({} if segment.confidence is None else {"confidence": segment.confidence})


def plain_item(item: Item) -> dict[str, Any]:
    """One extraction as it stands, as JSON values."""
    said = item.extraction
    return {
        "id": item.id,
        "kind": said.kind.value,
        "text": said.text,
        "owner": said.owner,
        "due": said.due.isoformat() if said.due else None,
        "due_words": said.due_words,
        "confidence": round(said.confidence, 4),
        "evidence": list(said.evidence),
        "made_by": said.made_by,
        "status": item.status.value,
        "is_done": item.is_done,
    }


def plain_quote(quote: Quote) -> dict[str, Any]:
    """Something found, as JSON values."""
    return {
        "meeting_id": quote.meeting_id,
        "title": quote.title,
        "held_on": quote.held_on.isoformat() if quote.held_on else None,
        "kind": quote.kind,
        "text": quote.text,
        "speaker": quote.speaker,
        "start_s": quote.start_s,
        "evidence": list(quote.evidence),
        "score": quote.score,
        "item": plain_item(quote.item) if quote.item is not None else None,
    }
