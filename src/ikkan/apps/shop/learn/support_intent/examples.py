"""What customers wanted, from what their conversations ended in.

| what happened after the sentence, in the same conversation | truth | teaches |
|---|---|---|
| a person of the shop said what it was about | that | yes |
| the customer confirmed a tool | what that tool is for | yes |
| nothing of it, and the sentence was read as something | that: silence is consent | no, it only judges |

A sentence that was not understood, or read wrongly and put right by the menu, is thus learned from what was done in the
end. What was taken back again says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ikkan.apps.shop.values.support import CONFIRMED, HEARD, SORTED, TOOL_INTENTS, UNDONE
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event
from ikkan.kit.intent.labels import MOST_LETTERS, Meant
from ikkan.kit.letters import language_of


def read_wishes(events: Iterable[Event]) -> Examples:
    """The examples in these events, in the order in which the sentences were said."""
    talks: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.occurred_at, event.id)):
        talks[str(event.payload.get("talk_id"))].append(event)
    rows = [row for said in talks.values() for row in _of_talk(said)]
    rows.sort(key=lambda row: (row[0].occurred_at, row[0].id))
    texts = tuple(str(event.payload.get("text") or "").strip()[:MOST_LETTERS] for event, _, _ in rows)
    return Examples(
        ids=tuple(event.id for event, _, _ in rows),
        unit_ids=tuple(event.subject_id or f"someone on {event.occurred_at:%Y-%m-%d}" for event, _, _ in rows),
        occurred_at=tuple(event.occurred_at for event, _, _ in rows),
        known_at=tuple((label or event).occurred_at for event, label, _ in rows),
        slices=tuple(language_of(text) for text in texts),
        keys=texts,
        inputs=texts,
        truths=tuple(Meant(intent, silent=label is None) for _, label, intent in rows),
        teaches=np.array([label is not None for _, label, _ in rows], dtype=np.bool_),
        own=np.ones(len(rows), dtype=np.bool_),
        evidence=tuple((event.id, *([label.id] if label else [])) for event, label, _ in rows),
    )


def _of_talk(said: list[Event]) -> list[tuple[Event, Event | None, str]]:
    """Each sentence of one conversation, what said its meaning, and that meaning."""
    undone = {event.payload.get("proposal_id") for event in said if event.name == UNDONE}
    sorted_by = next((event for event in reversed(said) if event.name == SORTED), None)
    rows: list[tuple[Event, Event | None, str]] = []
    waiting: list[Event] = []
    for event in said:
        if event.name == HEARD and str(event.payload.get("text") or "").strip():
            waiting.append(event)
        elif event.name == CONFIRMED:
            intent = TOOL_INTENTS.get(str(event.payload.get("tool")), "")
            if intent and event.payload.get("proposal_id") not in undone:
                rows += [(each, event, intent) for each in waiting]
            waiting = []
    for each in waiting:
        read = str(each.payload.get("read") or "")
        if sorted_by is not None:
            rows.append((each, sorted_by, str(sorted_by.payload.get("intent"))))
        elif read:
            rows.append((each, None, read))
    return rows
