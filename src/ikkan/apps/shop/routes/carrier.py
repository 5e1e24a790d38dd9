"""The API of deliveries: what carriers say, and help that is offered before anyone asks.

A merchant's system brings news and may look at any customer's offers; a customer's own session sees their own.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ikkan.apps.shop.rules.importing.rows import News
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.values.care import Care
from ikkan.ground.errors import NotAllowed, NotFound
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.kit import Parts

_Id = Annotated[str, Field(min_length=1, max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Said(_Body):
    """One piece of news of a carrier."""

    order_id: _Id
    news: Literal["late", "lost", "on the way", "delivered", ""] = ""
    promised_on: date | None = None
    said_at: AwareDatetime | None = None


class Several(_Body):
    """Several, taken in their order."""

    news: Annotated[list[Said], Field(min_length=1, max_length=500)]


class Wanted(_Body):
    """What a merchant wants when deliveries go wrong."""

    offers_help: bool = True
    grace_days: Annotated[int, Field(ge=0, le=60)] = 0
    utc_offset: Annotated[str, Field(max_length=10)] = "+09:00"
    language: Literal["ja", "en", "zh"] = "ja"


class Take(_Body):
    """In which language the help goes on."""

    language: Literal["ja", "en", "zh"] = "en"


def join(door: FastAPI, parts: Parts, carrier: Carrier) -> None:
    """Add these paths."""
    run = parts.database.run

    def merchant(request: Request) -> TenantId:
        return TenantId(parts.frame.require(request, admin=True).tenant_id)

    async def mine(request: Request, offer_id: str) -> TenantId:
        session = parts.frame.require(request)
        tenant_id = TenantId(session.tenant_id)
        offer = await run(carrier.offer, tenant_id, offer_id)
        if not (session.is_admin or offer.subject_id == session.subject_id):
            raise NotFound("there is no such offer", hint="GET /a/shop/v1/offers")
        return tenant_id

    @door.post("/carrier/news")
    async def news(request: Request, body: Several) -> dict[str, Any]:
        """Take news; an order that turns out late or lost is told to the house and offered help with."""
        tenant_id = merchant(request)
        heard = []
        for each in body.news:
            said = News(each.order_id, each.news, each.promised_on, each.said_at)
            heard.append(await run(carrier.said, tenant_id, said))
        return {"heard": [asdict(each) for each in heard]}

    @door.post("/carrier/look")
    async def look(request: Request) -> dict[str, int]:
        """Notice promised days that passed in silence, now instead of at the worker's next look."""
        return {"noticed": await run(carrier.look, merchant(request))}

    @door.get("/care")
    async def care(request: Request) -> dict[str, Any]:
        return asdict(await run(carrier.care, merchant(request)))

    @door.put("/care")
    async def set_care(request: Request, body: Wanted) -> dict[str, Any]:
        wanted = Care(**body.model_dump())
        await run(carrier.set_care, merchant(request), wanted)
        return asdict(wanted)

    @door.get("/offers")
    async def offers(request: Request, customer: _Id | None = None) -> dict[str, Any]:
        """What is offered to the caller, or by a merchant's key to `customer`."""
        session = parts.frame.require(request)
        tenant_id = TenantId(session.tenant_id)
        if customer is not None and not session.is_admin:
            raise NotAllowed("another person's offers are for the shop's people", hint="use a key of scope admin")
        if customer is None and session.subject_id is None:
            return {"offers": []}
        if customer is not None:
            found = await run(carrier.offers, tenant_id, customer_id=customer)
        else:
            found = await run(carrier.offers, tenant_id, subject_id=SubjectId(session.subject_id or ""))
        return {
            "offers": [
                {
                    "offer_id": offer.offer_id,
                    "order_id": offer.order_id,
                    "kind": offer.kind,
                    "talk_id": offer.talk_id,
                    "made_at": offer.made_at.isoformat(),
                    "text": words,
                    "choices": [asdict(each) for each in choices],
                }
                for offer, words, choices in found
            ]
        }

    @door.post("/offers/{offer_id}/take")
    async def take(request: Request, offer_id: str, body: Take) -> dict[str, str]:
        """The customer wants it: go on in this conversation."""
        tenant_id = await mine(request, offer_id)
        return {"talk_id": await run(carrier.take, tenant_id, offer_id, body.language)}

    @door.post("/offers/{offer_id}/decline")
    async def decline(request: Request, offer_id: str) -> dict[str, bool]:
        """The customer does not want it; it is not offered again."""
        tenant_id = await mine(request, offer_id)
        return {"declined": await run(carrier.decline, tenant_id, offer_id)}
