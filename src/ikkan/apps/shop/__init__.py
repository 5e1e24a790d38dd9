"""Shop: the right thing now, and help afterwards: what policy forbids cannot be done, whoever asks and however.

Lives here: goods, customers and orders as this house sees them, and support: typed tools with typed preconditions, the
customer's own yes bound to exactly what was asked, a guided dialogue, the inbox of people. And suggestions: what people
did in, a list out, at the next request.
May not enter: other apps (contract "Rooms are stacked"), the network.
Begin at `service/desk.py` for support (what policy says is in `rules/support/needs.py`), at
`service/suggesting/suggesting.py` for suggestions (how a list is chosen is in `rules/suggest/choose.py`).
"""

from __future__ import annotations

from sqlalchemy import Connection

from ikkan.apps.shop import pages, routes
from ikkan.apps.shop.learn import BlendLearnable, MoodLearnable, NextItemLearnable, SupportIntentLearnable
from ikkan.apps.shop.rules.explain import because
from ikkan.apps.shop.service import SupportDesk
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.champions import Champions
from ikkan.apps.shop.service.collecting import Collecting
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.forgetting import Forgetting
from ikkan.apps.shop.service.importing import Importing, register
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.service.merchant import Merchant, standings
from ikkan.apps.shop.service.model import Modelled
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.storefront import OWN, Storefront
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.service.suggesting.serving import Champion
from ikkan.apps.shop.service.suggesting.showing import SHOWN
from ikkan.apps.shop.service.suggesting.trailing import HAPPENED
from ikkan.apps.shop.service.tools import tools
from ikkan.apps.shop.service.wishes import Wishes
from ikkan.apps.shop.values.care import DELAYED
from ikkan.apps.shop.values.support import CONFIRMED, HANDED_OVER, HEARD, SORTED, UNDONE
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.kit import App, EventKind, Parts, Round
from ikkan.kit.intent import TunedRecipe
from ikkan.kit.intent.ladder import LOADS

__all__ = ["app"]

_ACTED = {
    "talk_id": "talk-1",
    "proposal_id": "ask-1",
    "tool": "cancel_order",
    "arguments": {"order_id": "#W1", "reason": "no longer needed"},
    "digest": "00",
}
_DELAYED = {
    "order_id": "#W1",
    "kind": "late",
    "promised_on": "2026-05-01",
    "days_late": 2,
    "product_ids": ["9000001"],
}
_HEARD = {"talk_id": "talk-1", "text": "I do not want the lamp any more", "read": None, "artifact": None}
_HANDED = {"talk_id": "talk-1", "reason": "asked", "summary": "Customer: Aoi Abe. Wants: cancel."}
_SHOWN = {
    "impression_id": "shown-1",
    "artifact": None,
    "surface": "home",
    "bucket": 1,
    "offers": [{"item": "tea", "position": 1, "propensity": 1.0, "features": {"popular": 0.5}}],
}
_HAPPENED = {
    "event_id": "click-1",
    "deed": "viewed",
    "at": "2026-06-01T12:00:00Z",
    "product_id": "tea",
    "session_id": None,
    "impression_id": "shown-1",
    "price_micros": 4_000_000,
    "quantity": 1,
    "rating": None,
    "used_coupon": False,
    "dwell_s": None,
    "query": "",
}


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""

    def pseudonym(tenant_id: TenantId, person: str) -> SubjectId:
        # A signed-in person is known by a pseudonym already; anybody else by an id of the shop's own.
        if person.startswith(OWN):
            return SubjectId(person.removeprefix(OWN))
        return parts.cloud.subjects.pseudonym(tenant_id, person)

    moods = Moods(parts.database, parts.clock, pseudonym=pseudonym, embed=parts.embed)
    champions = Champions(parts.registry, parts.artifacts)
    suggesting = Suggesting(
        parts.database,
        parts.clock,
        events=parts.events,
        pseudonym=pseudonym,
        moods=moods,
        steer=champions.steer,
        explain=because,
        models=Champion(parts.registry, parts.artifacts),
    )

    def erases(connection: Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
        gone = suggesting.erase(connection, tenant_id, subject_id)
        moods.forget(tenant_id, subject_id)
        return gone

    desk = SupportDesk(parts.database, parts.clock, events=parts.events, behaviour=suggesting)
    tuned = (TunedRecipe(parts.tunes),) if parts.tunes else ()
    loads = {**LOADS, **{recipe.name: recipe.load for recipe in tuned}}
    wishes = Wishes(parts.registry, parts.artifacts, embed=parts.embed, loads=loads, gives=parts.gives)
    knowledge = ShopKnowledge(parts.database, parts.clock, embed=parts.embed)
    talks = Conversation(desk, wishes, knowledge)
    carrier = Carrier(parts.database, parts.clock, events=parts.events, policy=desk.policy)
    folder = parts.settings.home / "cache" / "shop" / "imports"
    importing = Importing(parts.database, parts.clock, suggesting, carrier, folder, pseudonym, embed=parts.embed)
    if parts.jobs is not None:
        register(parts.jobs, importing)

    forgetting = Forgetting(parts.database, parts.events, pseudonym, lambda: parts.cloud.admin.erasing, erases)
    collecting = Collecting(parts.database, parts.clock, suggesting, forgetting.forget, forgetting.is_forgotten)
    front = Storefront(parts.database, parts.clock, suggesting, talks, carrier)
    learns = (
        NextItemLearnable(tenant_id=LOCAL_TENANT),
        BlendLearnable(tenant_id=LOCAL_TENANT),
        MoodLearnable(
            lambda: [ware for ware in suggesting.shelf(LOCAL_TENANT).wares if ware is not None], tenant_id=LOCAL_TENANT
        ),
        SupportIntentLearnable(tenant_id=LOCAL_TENANT, embed=parts.embed, above=tuned),
    )
    names = [learnable.name for learnable in learns]
    merchant = Merchant(parts.database, parts.clock, front, lambda: standings(parts.registry, names))
    return App(
        name="shop",
        title={"ja": "ショップ", "en": "Shop", "zh": "商店"},
        erases=erases,
        api=routes.routes(
            parts,
            talks,
            Modelled(talks, parts.cloud.pipeline),
            suggesting,
            moods,
            importing,
            collecting,
            carrier,
            knowledge,
        ),
        rounds=(Round("shop.look", 600.0, carrier.look), Round("shop.moods", 3_600.0, moods.drop_ended)),
        pages=pages.pages(parts, merchant, moods, knowledge),
        emits=(
            EventKind(CONFIRMED, 1, (_ACTED,)),
            EventKind(UNDONE, 1, (_ACTED,)),
            EventKind(HANDED_OVER, 1, (_HANDED,)),
            EventKind(DELAYED, 1, (_DELAYED,)),
            EventKind(HEARD, 1, (_HEARD,)),
            EventKind(SORTED, 1, ({"talk_id": "talk-1", "intent": "cancel"},)),
            EventKind(SHOWN, 1, (_SHOWN,)),
            EventKind(HAPPENED, 1, (_HAPPENED,)),
        ),
        tools=tools(suggesting, talks),
        learns=learns,
        templates="ikkan.apps.shop",
        words=pages.WORDS,
    )
