"""What people see of the shop: the store (`store.py`), help (`support.py`), the merchant's desk (`merchant.py`)."""

from __future__ import annotations

from starlette.routing import BaseRoute

from ikkan.apps.shop.pages import merchant as merchant_pages
from ikkan.apps.shop.pages import store as store_pages
from ikkan.apps.shop.pages import support as support_pages
from ikkan.apps.shop.pages import words
from ikkan.apps.shop.pages.support import TALK_WORDS
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.service.merchant import Merchant
from ikkan.apps.shop.service.moods import Moods
from ikkan.kit import Parts

__all__ = ["TALK_WORDS", "WORDS", "pages"]

WORDS = {**words.WORDS, **support_pages.WORDS}


def pages(parts: Parts, merchant: Merchant, moods: Moods, knowledge: ShopKnowledge) -> tuple[BaseRoute, ...]:
    """Every page of this app."""
    return (
        *store_pages.pages(parts, merchant.front, moods),
        *support_pages.pages(parts, merchant.front.talks.desk, knowledge),
        *merchant_pages.pages(parts, merchant),
    )
