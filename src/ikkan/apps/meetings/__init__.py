"""Meetings: from talk to minutes, decisions and next actions, each line tied to the words it rests on.

Lives here: transcripts and their readers, what is drawn out of them, minutes and exports, search over all meetings,
the pages where people accept, edit and reject.
May not enter: other apps (contract "Rooms are stacked"), a language model's weights, the network.
Begin at `service/meetings.py`; `rules/transcripts` is where a file comes in.
"""

from __future__ import annotations

from ikkan.apps.meetings import pages, routes, store
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.tools import tools
from ikkan.apps.meetings.values import ADDED, EXTRACTED, JUDGED
from ikkan.kit import App, EventKind, Parts

__all__ = ["app"]

_ADDED = {"meeting_id": "meeting-1", "language": "ja", "segments": 120, "length_s": 1803.5}
_EXTRACTED = {
    "impression_id": "shown-1",
    "artifact": None,
    "offers": [{"item": "0a1b2c", "position": 1, "propensity": 1.0, "features": {"confidence": 0.8}}],
    "meeting_id": "meeting-1",
    "kinds": {"0a1b2c": ["action", "rule"]},
}
_JUDGED = {
    "impression_id": "shown-1",
    "item": "0a1b2c",
    "value": 1.0,
    "verdict": "accepted",
    "kind": "action",
    "meeting_id": "meeting-1",
    "language": "ja",
    "before": {"text": "送る", "owner": None, "due": None, "status": "open", "evidence": ["s4"], "made_by": "rule"},
    "after": {"text": "送る", "owner": None, "due": None, "status": "accepted", "evidence": ["s4"], "made_by": "rule"},
    "words": [{"id": "s4", "speaker": "鈴木", "text": "金曜までに送ります。"}],
}


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""
    service = MeetingsService(
        parts.database, parts.events, parts.clock, parts.jobs, most_bytes=parts.settings.transcript_bytes
    )
    return App(
        name="meetings",
        title={"ja": "会議", "en": "Meetings"},
        erases=store.forget,
        api=routes.routes(parts, service),
        pages=pages.pages(parts, service),
        tools=tools(service, parts.database),
        emits=(
            EventKind(ADDED, 1, (_ADDED,)),
            EventKind(EXTRACTED, 1, (_EXTRACTED,)),
            EventKind(JUDGED, 1, (_JUDGED,)),
        ),
        templates="ikkan.apps.meetings",
        words=pages.WORDS,
    )
