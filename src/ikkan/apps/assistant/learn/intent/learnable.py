"""The learnable `assistant.intent`: what a text wants, or "ask someone who knows"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ikkan.apps.assistant.learn.intent.examples import read_intents
from ikkan.apps.assistant.learn.intent.made import made
from ikkan.apps.assistant.values import FEEDBACK, INTENT, SERVED
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import EventReader
from ikkan.kit.intent import IntentLearnable as Ladders
from ikkan.kit.intent import Labelled

MADE = 6_000
"""Texts of a world without a file."""


class IntentLearnable(Ladders):
    """Learns what people want of what they write to the assistant; see `kit.intent.IntentLearnable`."""

    name = INTENT
    kind = "assistant-intent"

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Texts the assistant was sent before `until`, with the intents people named."""
        return read_intents(events.read([SERVED, FEEDBACK], tenant_id=self.tenant_id, until=until))

    def made(self) -> Sequence[Labelled]:
        """Wishes to a help desk, in Japanese and English."""
        return made(MADE)
