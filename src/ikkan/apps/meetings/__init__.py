"""Meetings: from talk to minutes, decisions and next actions, each line tied to the words it rests on.

Lives here: transcripts and their readers, recordings and their recognisers, what is drawn out of them, minutes and
exports, search over all meetings, the pages where people accept, edit and reject, and what learns from it.
May not enter: other apps (contract "Rooms are stacked"), a language model's weights.
Begin at `service/meetings.py`; `rules/transcripts` is where a file comes in.
"""

from __future__ import annotations

from ikkan.apps.meetings import pages, routes, store
from ikkan.apps.meetings.learn import CandidateLearnable
from ikkan.apps.meetings.rules.level0.offered import LEARNABLES
from ikkan.apps.meetings.service import Hooks, MeetingsService, Turns, Writer
from ikkan.apps.meetings.service.corrections import Corrections
from ikkan.apps.meetings.service.hearing import ears
from ikkan.apps.meetings.service.sound import Shelf
from ikkan.apps.meetings.service.tools import tools
from ikkan.apps.meetings.values import ADDED, EXTRACTED, JUDGED
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.ground.eventlog import Keys
from ikkan.kit import App, EventKind, Parts

__all__ = ["app"]

_ADDED = {"meeting_id": "meeting-1", "language": "ja", "segments": 120, "length_s": 1803.5}
_EXTRACTED = {
    "impression_id": "shown-1",
    "artifact": None,
    "artifact_ids": {"meetings.action_items": "sha256:0123"},
    "offers": [
        {"item": "0a1b2c", "position": 1, "propensity": 1.0, "features": {"confidence": 0.8, "base": 1.4, "p0": 1.0}}
    ],
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
    settings = parts.settings
    keys = Keys.open(settings.keys_dir, settings.erasures)
    writer = Writer(parts.cloud.pipeline, context_tokens=settings.context_tokens)
    service = MeetingsService(
        parts.database,
        parts.events,
        parts.clock,
        parts.jobs,
        most_bytes=settings.transcript_bytes,
        writes=Turns(writer, parts.cloud.http.close),
        hooks=Hooks(parts.database, parts.clock, keys, parts.jobs, allow_private=settings.hooks_private),
        corrections=Corrections(parts.registry, parts.artifacts, gives=parts.gives),
        embed=parts.embed if settings.meetings_meaning else None,
        shelf=Shelf(settings.sound_dir, keys),
        ears=ears(settings, parts.secret_of),
        most_sound_bytes=settings.sound_bytes,
        staging=settings.home / "cache" / "meetings",
    )
    on_people = parts.settings.flywheel_canary
    return App(
        name="meetings",
        title={"ja": "会議", "en": "Meetings", "zh": "会议"},
        erases=store.forget,
        api=routes.routes(parts, service),
        pages=pages.pages(parts, service),
        tools=tools(service, parts.database),
        emits=(
            EventKind(ADDED, 1, (_ADDED,)),
            EventKind(EXTRACTED, 1, (_EXTRACTED,)),
            EventKind(JUDGED, 1, (_JUDGED,)),
        ),
        learns=tuple(
            CandidateLearnable(kind, tenant_id=LOCAL_TENANT, tried_on_people=on_people) for kind in LEARNABLES
        ),
        templates="ikkan.apps.meetings",
        words=pages.WORDS,
    )
