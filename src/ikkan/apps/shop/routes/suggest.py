"""The API of suggestions: what to show, what happened, a person's history, the merchant's rules, the report.

Bodies of `suggest` and `events` are read by msgspec: they come with every page and every click.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ikkan.apps.shop.service.suggesting.batching import Batches
from ikkan.apps.shop.service.suggesting.suggesting import Suggesting
from ikkan.apps.shop.values import RULE_KINDS, SURFACES, Ask, Happened, MerchantRule, Suggestions, Surface, Told
from ikkan.ground.errors import BadInput, RequestTooLarge
from ikkan.ground.ids import TenantId
from ikkan.kit import Parts
from ikkan.kit.api import Door

BODY_BYTES = 2 * 2**20
EVENTS_MOST = 1_000
_PRODUCTS_MOST = 500
_Id = Annotated[str, Field(min_length=1, max_length=80)]


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for."""

    person: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    surface: Surface = "home"
    n: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    product_ids: Annotated[list[str], msgspec.Meta(max_length=_PRODUCTS_MOST)] = []
    query: Annotated[str, msgspec.Meta(max_length=500)] = ""
    cursor: Annotated[str, msgspec.Meta(max_length=80)] = ""
    mood: bool = True
    reasons: bool = True

    def ask(self) -> Ask:
        """As the service takes it."""
        return Ask(
            self.person, self.surface, self.n, tuple(self.product_ids), self.query, self.cursor, use_mood=self.mood
        )


class RuleBody(BaseModel):
    """A merchant's rule; its id is in the path."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["pin", "bury", "cap", "margin", "stock_floor", "bought_window"]
    amount: Annotated[float, Field(ge=0, le=1e6)] | None = None
    of: Literal["category", "seller"] = "category"
    surface: Surface | None = None
    product_id: _Id | None = None
    category: Annotated[str, Field(max_length=300)] | None = None
    seller: Annotated[str, Field(max_length=200)] | None = None
    until: datetime | None = None
    note: Annotated[str, Field(max_length=500)] = ""


def join(door: Door, parts: Parts, service: Suggesting) -> None:
    """Adds these paths to the door."""
    batches, run = Batches(service), parts.database.run

    def tenant_of(request: Request, *, admin: bool = False) -> TenantId:
        return TenantId(parts.frame.require(request, admin=admin).tenant_id)

    @door.often("/suggest", openapi_extra=_body(Wish))
    async def suggest(request: Request) -> Response:
        wish = _decoded(_WISH, await _read(request))
        return _told(await batches.suggest(tenant_of(request), wish.ask(), reasons=wish.reasons))

    @door.get("/suggest")
    async def suggest_by_query(
        request: Request,
        person: Annotated[str, Query(min_length=1, max_length=200)],
        surface: Surface = "home",
        n: Annotated[int, Query(ge=1, le=100)] = 10,
        product: Annotated[list[str], Query(max_length=_PRODUCTS_MOST)] = [],  # noqa: B006
        query: Annotated[str, Query(max_length=500)] = "",
        cursor: Annotated[str, Query(max_length=80)] = "",
        mood: bool = True,
        reasons: bool = True,
        is_test: bool = False,
    ) -> Response:
        """`is_test` asks as this person without a trace; for administrators."""
        tenant_id = tenant_of(request, admin=is_test)
        ask = Ask(person, surface, n, tuple(product), query, cursor, mood, is_test)
        return _told(await batches.suggest(tenant_id, ask, reasons=reasons))

    @door.often("/events", openapi_extra=_body(Happened, many=True))
    async def events(request: Request) -> Response:
        tenant_id = tenant_of(request)
        wanted, refused = read_events(await _read(request))
        told = await run(service.tell, tenant_id, [event for _, event in wanted])
        return Response(_ENCODE(merged(told, [at for at, _ in wanted], refused)), media_type="application/json")

    @door.get("/history")
    async def history(
        request: Request,
        person: Annotated[str, Query(min_length=1, max_length=200)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        tenant_id = tenant_of(request, admin=True)
        found = await run(service.history, tenant_id, person, limit)
        return {"person": person, "events": [{**asdict(each), "person": person} for each in found]}

    @door.get("/rules")
    async def rules(request: Request) -> dict[str, Any]:
        found = await run(service.rules, tenant_of(request, admin=True))
        return {"rules": [asdict(rule) for rule in found], "kinds": list(RULE_KINDS), "surfaces": list(SURFACES)}

    @door.put("/rules/{rule_id}")
    async def put_rule(request: Request, rule_id: _Id, body: RuleBody) -> dict[str, str]:
        rule = MerchantRule(rule_id, **body.model_dump())
        await run(service.put_rule, tenant_of(request, admin=True), rule)
        return {"rule_id": rule_id}

    @door.delete("/rules/{rule_id}")
    async def drop_rule(request: Request, rule_id: _Id) -> dict[str, bool]:
        await run(service.drop_rule, tenant_of(request, admin=True), rule_id)
        return {"dropped": True}

    @door.get("/report")
    async def report(
        request: Request, days: Annotated[float, Query(gt=0, le=400)] = 28.0, since: datetime | None = None
    ) -> dict[str, Any]:
        tenant_id = tenant_of(request, admin=True)
        if since is not None and since.tzinfo is None:
            raise BadInput("since: a time with its zone", hint="like 2026-06-01T12:00:00Z", param="since")
        began = since or service.clock.now() - timedelta(days=days)
        return asdict(await run(service.report, tenant_id, began))


def read_events(body: bytes) -> tuple[list[tuple[int, Happened]], list[tuple[int, str]]]:
    """Events out of a body, each with its place; and what is wrong with those that cannot be read.

    Takes `{"events": [...]}` or the list itself.

    Raises:
        BadInput: it is no list of events at all.
        RequestTooLarge: more than a batch takes.
    """
    try:
        found = _EVENTS.decode(body)
    except msgspec.MsgspecError as exc:
        raise BadInput(f"the body is no list of events: {exc}", hint='{"events": [{"event_id": …}]}') from exc
    raw = found if isinstance(found, list) else found.events
    if len(raw) > EVENTS_MOST:
        raise RequestTooLarge(f"{len(raw):,} events at once", hint=f"send at most {EVENTS_MOST:,} in one body")
    wanted, refused = [], []
    for at, each in enumerate(raw):
        try:
            wanted.append((at, _HAPPENED.decode(each)))
        except msgspec.MsgspecError as exc:
            refused.append((at, str(exc)))
    return wanted, refused


def merged(told: Told, places: list[int], refused: list[tuple[int, str]]) -> dict[str, Any]:
    """What became of a batch, by its places in the body."""
    every = sorted([*refused, *((places[at], why) for at, why in told.refused)])
    return {
        "accepted": told.accepted,
        "repeated": told.repeated,
        "refused": [{"at": at, "why": why} for at, why in every],
    }


class _Many(msgspec.Struct):
    events: list[msgspec.Raw]


_WISH = msgspec.json.Decoder(Wish)
_EVENTS = msgspec.json.Decoder(_Many | list[msgspec.Raw])
_HAPPENED = msgspec.json.Decoder(Happened)
_ENCODE = msgspec.json.Encoder().encode


def as_told(made: Suggestions) -> dict[str, Any]:
    """A list as its reader gets it: what a shopper may see of a ware, and nothing of margins."""
    return {
        "impression_id": made.impression_id,
        "surface": made.surface,
        "person": made.person,
        "made_at": made.made_at,
        "model": made.model,
        "mood": made.mood,
        "cursor": made.cursor,
        "took_ms": round(made.took_ms, 3),
        "places": [
            {
                "product_id": place.ware.product_id,
                "name": place.ware.name,
                "names": place.ware.names,
                "category": place.ware.category,
                "price_micros": place.ware.price_micros,
                "currency": place.ware.currency,
                "image": place.ware.image,
                "position": place.position,
                "score": round(place.score, 5),
                "source": place.source,
                "propensity": round(place.propensity, 5),
                "because": place.because,
            }
            for place in made.places
        ],
    }


def _told(made: Suggestions) -> Response:
    return Response(_ENCODE(as_told(made)), media_type="application/json")


async def _read(request: Request) -> bytes:
    if int(request.headers.get("content-length") or 0) > BODY_BYTES:
        raise RequestTooLarge("the body is too large", hint=f"at most {BODY_BYTES:,} bytes")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise RequestTooLarge("the body is too large", hint=f"at most {BODY_BYTES:,} bytes")
    return body


def _decoded(decoder: msgspec.json.Decoder[Wish], body: bytes) -> Wish:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as exc:
        raise BadInput(f"this cannot be asked: {exc}", hint="see openapi.json") from exc


def _body(kind: type, *, many: bool = False) -> dict[str, Any]:
    """How the body is described in openapi.json."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    whole: dict[str, Any] = (
        {"type": "object", "properties": {"events": {"type": "array", "items": schema}}} if many else schema
    )
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": {**whole, "$defs": parts}}}}}
