"""What holds for all meetings of a company, told to its pages and its API alike."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ikkan.apps.meetings.rules.level1 import MEASURED, plain_name
from ikkan.apps.meetings.service.hooks import Hooks
from ikkan.apps.meetings.service.meetings import MeetingsService
from ikkan.apps.meetings.service.writing import level_for, writer_target
from ikkan.apps.meetings.values import Delivery, Viewer
from ikkan.ground.errors import NotFound, SetupNeeded
from ikkan.kit import Parts


async def company_facts(parts: Parts, service: MeetingsService, who: Viewer) -> dict[str, Any]:
    """A company's settings as JSON values; the address for administrators alone."""
    policy = await parts.database.run(hooks_of(service).policy, who.tenant_id)
    model = await parts.database.run(_writer, parts)
    measured = MEASURED.get(plain_name(model)) if model else None
    told: dict[str, Any] = {
        "level": policy.level,
        "model": model,
        "measured": None
        if measured is None
        else {
            "on": measured.on.isoformat(),
            "meetings": measured.meetings,
            "rouge1": measured.rouge1,
            "action_f1": measured.action_f1,
            "actions_in_top_20": measured.actions_in_top_20,
        },
        "level_unless_chosen": level_for(policy, model),
    }
    if who.is_admin:
        told |= {"hook_url": policy.hook_url, "has_secret": policy.hook_secret is not None}
    return told


def _writer(parts: Parts) -> str | None:
    """Which model would write, by the name people know it by; None where there is none."""
    target = writer_target(parts.cloud.service.aliases())
    upstream, _, model = target.partition("/")
    ours = {each.name for each in parts.cloud.service.upstreams() if each.quirks.get("adapters")}
    # Our own engine answers to an alias, whichever model lies behind it.
    if model == "default" and upstream in ours and parts.chat_model is not None:
        with suppress(SetupNeeded):
            return parts.chat_model.name
    return model or None


def plain_delivery(found: Delivery) -> dict[str, Any]:
    """One message as JSON values."""
    return {
        "id": found.id,
        "event": found.event,
        "state": found.state.value,
        "tries": found.tries,
        "told": found.told,
        "created_at": found.created_at.isoformat(),
        "changed_at": found.changed_at.isoformat(),
    }


def hooks_of(service: MeetingsService) -> Hooks:
    """Who tells other systems.

    Raises:
        NotFound: nobody does here.
    """
    if service.hooks is None:
        raise NotFound("no other systems are told here", hint="see docs/meetings.md")
    return service.hooks
