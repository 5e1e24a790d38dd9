"""The API under `/a/shop/v1`, one file a part; each part joins its paths to the one door.

Lives here: bodies as they arrive, who may ask, answers as JSON. Session, key and CSRF token are checked at `kit.api`.
Begin at `support.py`.
"""

from __future__ import annotations

from ikkan.apps.shop.routes import carrier as deliveries
from ikkan.apps.shop.routes import importing as files
from ikkan.apps.shop.routes import knowledge, mood, suggest, support
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.collecting import Collecting
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.importing import Importing
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.service.model import Modelled
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.kit import Parts, api
from ikkan.kit.api import Door

__all__ = ["routes"]


def routes(
    parts: Parts,
    talks: Conversation,
    modelled: Modelled,
    suggesting: Suggesting,
    moods: Moods,
    importing: Importing,
    collecting: Collecting,
    carrier: Carrier,
    documents: ShopKnowledge,
) -> Door:
    """All parts at one door."""
    door = api("shop", parts.frame)
    suggest.join(door, parts, suggesting)  # first: it is asked with every page
    support.join(door, parts, talks, modelled)
    files.join(door, parts, importing, collecting, suggesting)
    deliveries.join(door, parts, carrier)
    knowledge.join(door, parts, documents)
    mood.join(door, parts, moods, suggesting.history)
    return door
