"""How people fared with what was proposed: of the lines of a kind, which share they took in within a week.

A case is a meeting that was drawn out, closed a week later whatever was said: a line nobody touched was of no use to
anybody, and leaving silent meetings out would compare only those whom an arm moved to act.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np

from ikkan.apps.meetings.rules.level0.offered import LEARNABLES
from ikkan.apps.meetings.values import EXTRACTED, JUDGED, Kind, Status
from ikkan.flywheel.contract import SHADOW, Guard, Metric, Outcomes
from ikkan.ground.events import Event, EventReader
from ikkan.ground.ids import TenantId

WINDOW_S = 7 * 86_400.0
"""After that long nobody is expected to go through the lines of a meeting any more."""
LOOKED_AT = 10
"""So many lines of a kind, the surest, count: what people see without scrolling."""
TAKEN = Metric(
    "taken_in", title={"ja": "採用された候補の割合 (上位10行)", "en": "share of the first ten candidates taken in"}
)
REJECTED = Metric(
    "rejected", direction="lower", title={"ja": "却下された候補の割合", "en": "share of the first ten rejected"}
)
TOLERANCE = 0.05
"""How much more may be rejected: half a line of ten."""


def outcomes(events: EventReader, kind: Kind, arm: str, tenant_id: TenantId | None, *, declared: bool) -> Outcomes:
    """The closed cases of a model. What stands in the shadow is shown to nobody, so nothing came of it."""
    until: datetime | None = getattr(events, "until", None)
    shown: list[Event] = []
    said: dict[str, list[Event]] = defaultdict(list)
    for event in events.read([EXTRACTED, JUDGED], tenant_id=tenant_id):
        if event.name == JUDGED and event.payload.get("kind") == kind.value:
            said[str(event.payload.get("impression_id"))].append(event)
        elif event.name == EXTRACTED and _artifact(event, kind) == arm and not arm.startswith(SHADOW):
            shown.append(event)
    units, taken, rejected = [], [], []
    for event in shown:
        closes = event.occurred_at + timedelta(seconds=WINDOW_S)
        first = _first(event, kind)
        if not first or (until is not None and closes > until):
            continue
        stands = {
            str(each.payload.get("item")): str(each.payload.get("verdict"))
            for each in said[str(event.payload.get("impression_id"))]
            if each.occurred_at <= closes
        }
        units.append(unit_of(event))
        taken.append(sum(stands.get(item) in (Status.ACCEPTED, Status.EDITED) for item in first) / len(first))
        rejected.append(sum(stands.get(item) == Status.REJECTED for item in first) / len(first))
    guard = Guard(REJECTED, np.array(rejected, dtype=np.float64), TOLERANCE)
    return Outcomes(tuple(units), np.array(taken, dtype=np.float64), TAKEN, {"rejected": guard}, declared)


def unit_of(event: Event) -> str:
    """Whom a meeting was drawn out for: in a trial always given the same model."""
    return event.subject_id or f"someone on {event.occurred_at:%Y-%m-%d}"


def _first(event: Event, kind: Kind) -> list[str]:
    """The lines that count, in the order in which they stood."""
    kinds = event.payload.get("kinds") or {}
    offers = sorted(event.payload.get("offers") or (), key=lambda offer: offer["position"])
    mine = [str(offer["item"]) for offer in offers if (kinds.get(offer["item"]) or ("",))[0] == kind.value]
    return mine[:LOOKED_AT]


def _artifact(event: Event, kind: Kind) -> object:
    """Which model proposed the lines of this kind."""
    return (event.payload.get("artifact_ids") or {}).get(LEARNABLES[kind])
