"""Shop: orders, and help with them afterwards: what policy forbids cannot be done, whoever asks and however.

Lives here: goods, customers and orders as this house sees them, and support: typed tools with typed preconditions, the
customer's own yes bound to exactly what was asked, a guided dialogue, the inbox of people.
May not enter: other apps (contract "Rooms are stacked"), the network. Suggestions of what to buy are not here yet.
Begin at `service/desk.py`; what policy says is in `rules/support/needs.py`.
"""

from __future__ import annotations

from ikkan.apps.shop import pages, routes, store
from ikkan.apps.shop.service import SupportDesk
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.model import Modelled
from ikkan.apps.shop.values.support import CONFIRMED, HANDED_OVER, UNDONE
from ikkan.kit import App, EventKind, Parts

__all__ = ["app"]

_ACTED = {
    "talk_id": "talk-1",
    "proposal_id": "ask-1",
    "tool": "cancel_order",
    "arguments": {"order_id": "#W1", "reason": "no longer needed"},
    "digest": "00",
}
_HANDED = {"talk_id": "talk-1", "reason": "asked", "summary": "Customer: Aoi Abe. Wants: cancel."}


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""
    desk = SupportDesk(parts.database, parts.clock, events=parts.events)
    talks = Conversation(desk)
    return App(
        name="shop",
        title={"ja": "ショップ", "en": "Shop", "zh": "商店"},
        erases=store.forget,
        api=routes.routes(parts, talks, Modelled(talks, parts.cloud.pipeline)),
        pages=pages.pages(parts, desk),
        emits=(
            EventKind(CONFIRMED, 1, (_ACTED,)),
            EventKind(UNDONE, 1, (_ACTED,)),
            EventKind(HANDED_OVER, 1, (_HANDED,)),
        ),
        templates="ikkan.apps.shop",
        words=pages.WORDS,
    )
