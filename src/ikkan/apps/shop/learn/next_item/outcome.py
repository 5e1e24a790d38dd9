"""How people fared with the lists of an arm: what they bought of one within seven days, and whether they kept it.

| what happened | counts |
|---|---|
| something of the list was bought within seven days of seeing it | 1 |
| nothing of it was, by then | 0 |

A case is closed seven days after its list. Returns are a guardrail: of what was bought of a list, the share that came
back within thirty days; known once those are over, and only where something was bought.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np

from ikkan.apps.shop.learn.next_item.events import HAPPENED, SHOWN
from ikkan.flywheel.contract import SHADOW, Guard, Metric, Outcomes
from ikkan.ground.events import Event, EventReader
from ikkan.ground.ids import TenantId

WINDOW = timedelta(days=7)
RETURNED_WITHIN = timedelta(days=30)
BOUGHT = Metric("bought", title={"ja": "一覧からの購入", "en": "bought from a list", "zh": "从列表购买"})
RETURNS = Metric("returns", direction="lower", title={"ja": "返品", "en": "sent back", "zh": "退货"})
TOLERANCE = 0.05
"""Of what was bought from lists, so much more may come back."""


def bought_within(events: EventReader, arm: str, tenant_id: TenantId | None, *, declared: bool) -> Outcomes:
    """The closed cases of an arm. What nobody saw changes nobody's purchases: a shadow has none."""
    until: datetime | None = getattr(events, "until", None)
    shown: list[Event] = []
    deeds: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for event in events.read([SHOWN, HAPPENED], tenant_id=tenant_id):
        deed, item = event.payload.get("deed"), event.payload.get("product_id")
        if event.name == SHOWN and event.subject_id and event.payload.get("artifact") == arm:
            shown.append(event)
        elif event.name == HAPPENED and event.subject_id and item and deed in ("bought", "returned"):
            deeds[event.subject_id, str(deed), str(item)].append(event.occurred_at)
    units, values, returns = [], [], []
    for event in shown if not arm.startswith(SHADOW) else ():
        begins, person = event.occurred_at, str(event.subject_id)
        if until is not None and begins + WINDOW > until:
            continue
        items = [str(offer.get("item")) for offer in event.payload.get("offers") or ()]
        bought = [
            (item, at) for item in items for at in deeds[person, "bought", item] if begins <= at <= begins + WINDOW
        ]
        back = [
            any(at < later <= at + RETURNED_WITHIN for later in deeds[person, "returned", item]) for item, at in bought
        ]
        over = until is None or all(at + RETURNED_WITHIN <= until for _, at in bought)
        units.append(person)
        values.append(float(bool(bought)))
        returns.append(float(np.mean(back)) if bought and over else math.nan)
    guards = {"returns": Guard(RETURNS, np.array(returns, dtype=np.float64), TOLERANCE)}
    return Outcomes(tuple(units), np.array(values, dtype=np.float64), BOUGHT, guards, declared)
