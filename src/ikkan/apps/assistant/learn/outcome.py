"""How people fared with an answer: what they said about it within an hour, silence included.

| what happened within the hour | counts |
|---|---|
| a known answer, and thumb up, the same chosen, or nothing said | 1 |
| the model's turn, and thumb up or nothing said | 1 |
| the model's turn, and somebody named a known answer, or turned the model's down | 0.25 |
| a known answer, and somebody turned it down or named another | 0 |

The scale is that of the gate, so a canary and a gate speak of the same thing. A case is closed an hour after the
answer, whatever was said, because complaints come sooner than silence: counted as they come, the first people of each
look would be the angry ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ikkan.apps.assistant.learn.examples import LABEL, Matcher, facts_of, read_truth
from ikkan.apps.assistant.rules.answerer import DEFERRED
from ikkan.apps.assistant.values import FEEDBACK, MODEL, NO_ANSWER, SERVED, UNSEEN, Knowledge, Truth, unit_of
from ikkan.flywheel.contract import SHADOW, Guard, Metric, Outcomes, Scores
from ikkan.ground.events import Event, EventReader
from ikkan.ground.ids import TenantId

WINDOW_S = 3600.0
"""After that long nobody is expected to say anything more about an answer."""
COMPLAINTS = Metric("complaints", direction="lower", title={"ja": "間違いとされた回答", "en": "answers turned down"})
WAIT = Metric("wait_s", 0.0, 60.0, "lower", {"ja": "回答までの秒数", "en": "seconds until the answer was whole"})
LOOKUP = Metric("lookup_s", 0.0, 5.0, "lower", {"ja": "探すのにかかった秒数", "en": "seconds to look an answer up"})
TOLERANCES = {"complaints": 0.1, "wait_s": 0.05, "lookup_s": 0.05}
"""How much worse each may get, as a share of its range: one more complaint in ten, 3 s of waiting, 0.25 s of looking
up."""


@dataclass(frozen=True, slots=True)
class Case:
    """One answer that was given, or would have been, and how it went."""

    unit: str
    said: str | None
    """The knowledge id; None where the model had its turn."""
    value: float
    confidence: float
    """NaN where the model had its turn."""
    wait_s: float
    """NaN for what nobody saw."""
    lookup_s: float
    yen: float = 0.0
    """What the language model took for it, where it had its turn."""

    @property
    def complained(self) -> float:
        """1 where a known answer was turned down."""
        return float(self.said is not None and self.value == 0.0)


def worth(said: str | None, truth: Truth) -> float:
    """The number one reply gets. `said` is a knowledge id, or None for "I don't know".

    Where people only said what is wrong, another answer may be right or wrong; nobody said, so it earns nothing.

    >>> [worth(said, Truth(right="a")) for said in ("a", None, "b")]
    [1.0, 0.25, 0.0]
    >>> [worth(said, Truth(wrong="a")) for said in ("a", None, "b")], worth(None, Truth(right=NO_ANSWER))
    ([0.0, 0.25, 0.0], 1.0)
    """
    if said is None:
        return 1.0 if truth.right == NO_ANSWER else DEFERRED
    return 1.0 if said == truth.right else 0.0


def cases(events: EventReader, entries: Sequence[Knowledge], arm: str, tenant_id: TenantId | None) -> list[Case]:
    """The closed cases of a model, in the order of the answers; after `SHADOW` its unseen ones."""
    until: datetime | None = getattr(events, "until", None)
    served: dict[str, Event] = {}
    unseen: dict[str, Event] = {}
    reactions: dict[str, list[Event]] = {}
    artifact = arm.removeprefix(SHADOW)
    for event in events.read([SERVED, FEEDBACK, UNSEEN], tenant_id=tenant_id):
        payload = event.payload
        if event.name == SERVED and MODEL in (payload.get("upstream"), payload.get("model")):
            served[str(payload.get("request_id"))] = event
        elif event.name == UNSEEN and payload.get("artifact") == artifact:
            unseen[str(payload.get("request_id"))] = event
        elif event.name == FEEDBACK and payload.get("kind") != LABEL:
            reactions.setdefault(str(payload.get("inference_id")), []).append(event)
    matcher, known = Matcher(entries), {entry.id for entry in entries}
    found = []
    for request_id, event in served.items():
        closes = event.occurred_at + timedelta(seconds=WINDOW_S)
        if until is not None and closes > until:
            continue
        said = [each for each in reactions.get(request_id, ()) if each.occurred_at <= closes]
        truth = _truth(event, said, matcher, known)
        if arm.startswith(SHADOW) and request_id in unseen:
            found.append(_case(event, unseen[request_id].payload, truth, math.nan))
        elif facts_of(event).get("artifact") == arm:
            wait_s = float(event.payload.get("latency_ms") or 0.0) / 1e3
            spent = float(facts_of(event).get("spent_micros") or 0) / 1e6
            found.append(replace(_case(event, facts_of(event), truth, min(wait_s, WAIT.high)), yen=spent))
    return found


def outcomes(found: Sequence[Case], *, declared: bool) -> Outcomes:
    """The cases as what a trial weighs, with what must not get worse: complaints and waiting."""
    guards = {
        "complaints": Guard(COMPLAINTS, _array([case.complained for case in found]), TOLERANCES["complaints"]),
        "lookup_s": Guard(LOOKUP, _array([case.lookup_s for case in found]), TOLERANCES["lookup_s"]),
    }
    waits = _array([case.wait_s for case in found])
    if not np.isnan(waits).all():
        guards["wait_s"] = Guard(WAIT, waits, TOLERANCES["wait_s"])
    units = tuple(case.unit for case in found)
    return Outcomes(units, _array([case.value for case in found]), guards=guards, declared=declared)


def _truth(event: Event, said: Sequence[Event], matcher: Matcher, known: set[str]) -> Truth:
    """What people said, or by their silence let pass."""
    read = read_truth(event, said, matcher, known)
    if read is not None:
        return read[0]
    shown = facts_of(event).get("knowledge_id")
    if shown is None and any(_turned_down(each) for each in said):
        return Truth(wrong=NO_ANSWER)  # deferring did not help either
    return Truth(right=str(shown) if shown is not None else NO_ANSWER, silent=True)


def _turned_down(feedback: Event) -> bool:
    value = feedback.payload.get("value")
    return feedback.payload.get("kind") == "thumb" and isinstance(value, int | float) and value < 0


def _case(event: Event, told: object, truth: Truth, wait_s: float) -> Case:
    facts = dict(told) if isinstance(told, dict) else {}
    said, sure = facts.get("knowledge_id"), facts.get("confidence")
    return Case(
        unit=unit_of(event.subject_id, event.occurred_at),
        said=str(said) if said is not None else None,
        value=worth(str(said) if said is not None else None, truth),
        confidence=float(sure) if isinstance(sure, int | float) else math.nan,
        wait_s=wait_s,
        lookup_s=min(float(facts.get("lookup_ms") or 0.0) / 1e3, LOOKUP.high),
    )


def _array(values: Sequence[float]) -> Scores:
    return np.array(values, dtype=np.float64)
