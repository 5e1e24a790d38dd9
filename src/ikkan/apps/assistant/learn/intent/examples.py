"""What people wanted, as examples: from events, or from a file of labelled texts (`kit.intent.labels`).

| what happened | truth | teaches |
|---|---|---|
| label: "this is about …" | that intent | yes |
| no label on an intent that was read from the text | that intent: silence is consent | no, it only judges |

Of several labels of one text by one person the latest counts. As with answers, silence counts for whoever is serving.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from ikkan.apps.assistant.learn.examples import LABEL, MOST_LETTERS
from ikkan.apps.assistant.values import FEEDBACK, FROM_SAMPLE, MODEL, SERVED, unit_of
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event
from ikkan.kit.intent.labels import Meant, named
from ikkan.kit.letters import language_of


def read_intents(events: Iterable[Event]) -> Examples:
    """The examples in these events, in the order in which the texts were written."""
    served: dict[str, Event] = {}
    labels: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.name == SERVED and MODEL in (event.payload.get("upstream"), event.payload.get("model")):
            served[str(event.payload.get("request_id"))] = event
        elif event.name == FEEDBACK and event.payload.get("kind") == LABEL and named(event.payload.get("after")):
            labels[str(event.payload.get("inference_id"))].append(event)
    rows: list[tuple[Event, list[Event], str, Meant]] = []
    for request_id, event in served.items():
        text = str(event.payload.get("question") or "").strip()[:MOST_LETTERS]
        said = labels.get(request_id, [])
        read = named(_facts(event).get("intent"))
        if text and said:
            rows.append((event, said, text, Meant(named(said[-1].payload.get("after")))))
        elif text and read:
            rows.append((event, said, text, Meant(read, silent=True)))
    rows.sort(key=lambda row: (row[0].occurred_at, row[0].id))
    return Examples(
        ids=tuple(str(event.payload["request_id"]) for event, *_ in rows),
        unit_ids=tuple(unit_of(event.subject_id, event.occurred_at) for event, *_ in rows),
        occurred_at=tuple(event.occurred_at for event, *_ in rows),
        known_at=tuple(max(each.occurred_at for each in (event, *said)) for event, said, *_ in rows),
        slices=tuple(language_of(text) for _, _, text, _ in rows),
        keys=tuple(text for _, _, text, _ in rows),
        inputs=tuple(text for _, _, text, _ in rows),
        truths=tuple(meant for *_, meant in rows),
        teaches=np.array([not meant.silent for *_, meant in rows], dtype=np.bool_),
        own=np.array([_facts(event).get("origin") != FROM_SAMPLE for event, *_ in rows], dtype=np.bool_),
        evidence=tuple((event.id, *(each.id for each in said)) for event, said, *_ in rows),
    )


def _facts(event: Event) -> Mapping[str, object]:
    facts = event.payload.get("facts")
    return facts if isinstance(facts, Mapping) else {}
