"""What an assistant may ask of the shop: to read and to propose, never to confirm. Whoever asks sees their own shop."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import LANGUAGES, SURFACES, Ask, Suggested
from ikkan.cloud.values import Principal
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import SubjectId
from ikkan.kit import Tool

_MOST = 20


def tools(suggesting: Suggesting, talks: Conversation) -> tuple[Tool, ...]:
    """Four tools; each handler takes the principal first, then its arguments by name."""
    run = talks.desk.database.run

    async def suggest_products(
        principal: Principal, *, person: str, surface: str = "home", products: list[str] | None = None, n: int = 5
    ) -> Any:
        ask = _ask(person, surface, products, n)
        made = await run(suggesting.suggest, principal.tenant_id, ask)
        return {"surface": made.surface, "products": [_told(place) for place in made.places]}

    async def explain_suggestion(principal: Principal, *, person: str, product: str, surface: str = "home") -> Any:
        made = await run(suggesting.suggest, principal.tenant_id, _ask(person, surface, None, 100))
        for place in made.places:
            if place.ware.product_id == product:
                return {**_told(place), "position": place.position + 1, "of": len(made.places)}
        return {"product": product, "because": None, "why_not": f"not among the {len(made.places)} first on {surface}"}

    async def start_support(principal: Principal, *, language: str = "en") -> Any:
        found = next((each for each in LANGUAGES if each == language), None)
        if found is None:
            raise BadInput(f"support speaks no {language!r}", hint=f"one of {', '.join(LANGUAGES)}")
        subject = None if principal.subject_id is None else SubjectId(principal.subject_id)
        talk_id = await run(talks.start, principal.tenant_id, language=found, subject_id=subject)
        turns = await run(talks.desk.history, principal.tenant_id, talk_id)
        return {"talk_id": talk_id, "says": turns[-1].text, "page": "/shop"}

    async def order_status(principal: Principal, *, talk: str, order: str) -> Any:
        found = await run(talks.desk.talk, principal.tenant_id, talk)
        if not (principal.is_admin or found.subject_id == principal.subject_id):
            raise NotFound("there is no such conversation", hint="start_support opens one")
        outcome = await run(talks.desk.propose, principal.tenant_id, talk, "order_status", {"order_id": order})
        if outcome.kind != "told":
            return {"refused": outcome.says.get("en", ""), "code": outcome.code}
        return {"order": dict(outcome.facts)}

    return (
        Tool(
            "suggest_products",
            "What a shop would suggest to a person now, with reasons. Give `person` as the shop knows them; `surface` "
            "is home, similar, basket, replenish or search, with `products` it is about. Nothing is recorded as shown.",
            _admin(suggest_products),
        ),
        Tool(
            "explain_suggestion",
            "Why a product stands where it stands in a person's list, by what that person did. Give `person` and "
            "`product`. Nothing is recorded.",
            _admin(explain_suggestion),
        ),
        Tool(
            "order_status",
            "How an order stands, in a conversation of support (`talk`, from start_support) whose customer has said "
            "who they are on the shop's page. Answers for that customer's own orders only; changes nothing.",
            order_status,
        ),
        Tool(
            "start_support",
            "Open a conversation with the shop's support in ja, en or zh. Answers with its id and the shop's first "
            "words; what would change an order is confirmed by the customer on the shop's page, never here.",
            start_support,
        ),
    )


def _admin(handler: Any) -> Any:
    """Other people's lists are for whoever runs the shop."""

    async def guarded(principal: Principal, **given: Any) -> Any:
        if not principal.is_admin:
            raise NotFound("this shop shows nobody's list to others", hint="a key of scope admin may ask")
        return await handler(principal, **given)

    return guarded


def _ask(person: str, surface: str, products: list[str] | None, n: int) -> Ask:
    where = next((each for each in SURFACES if each == surface), None)
    if where is None:
        raise BadInput(f"there is no surface {surface!r}", hint=f"one of {', '.join(SURFACES)}")
    if not 0 < len(person) <= 200:
        raise BadInput("person: 1 to 200 characters", hint="the id by which the shop knows them")
    return Ask(person, where, min(max(n, 1), 100 if n > _MOST else _MOST), tuple(products or ()), is_test=True)


def _told(place: Suggested) -> dict[str, Any]:
    ware, why = place.ware, place.because
    reason = None if why is None else {name: value for name, value in asdict(why).items() if value is not None}
    return {"product": ware.product_id, "name": ware.name, "price_micros": ware.price_micros,
            "currency": ware.currency, "because": reason}  # fmt: skip
