"""The merchant's side: how the shelf is, what happens now, what somebody would see, the rules, and what it brought."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.apps.shop.pages.store import money, price
from ikkan.apps.shop.rules.importing.rows import News
from ikkan.apps.shop.service.merchant import Merchant
from ikkan.apps.shop.values import RULE_KINDS, SURFACES, Ask, MerchantRule
from ikkan.apps.shop.values.goods import DELIVERED, LATE, LOST
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import TenantId, new_id
from ikkan.kit import Parts

_SINCE = timedelta(days=28)
_NEWS = {"late": LATE, "lost": LOST, "delivered": DELIVERED}


def pages(parts: Parts, merchant: Merchant) -> tuple[BaseRoute, ...]:
    """The desk, live events, the tester, the rules, revenue and experiments."""
    run, frame = parts.database.run, parts.frame

    def house(request: Request) -> TenantId:
        return TenantId(frame.require(request, admin=True).tenant_id)

    async def desk(request: Request) -> Response:
        tenant_id = house(request)
        since = parts.clock.now() - _SINCE

        def look() -> dict[str, Any]:
            return {
                "health": merchant.health(tenant_id),
                "report": merchant.suggesting.report(tenant_id, since),
                "learns": merchant.learns(),
                "orders": merchant.on_their_way(tenant_id, frame.language(request)),
                "money": money,
            }

        return frame.render(request, "shop/merchant.html", **await run(look))

    async def live(request: Request) -> Response:
        """The latest events, as a fragment that asks again by itself."""
        lines = await run(merchant.lately, house(request), frame.language(request))
        return frame.render(request, "shop/_live.html", lines=lines)

    async def tester(request: Request) -> Response:
        tenant_id, asked = house(request), request.query_params
        person, surface = asked.get("person", "").strip()[:80], asked.get("surface", "home")
        if surface not in SURFACES:
            raise BadInput(f"there is no place {surface!r}", hint="one of: " + ", ".join(SURFACES))
        ids = tuple(each for each in asked.get("of", "").replace(",", " ").split() if each)[:20]

        def look() -> dict[str, Any]:
            ask = Ask(person or "nobody", surface, 12, ids, is_test=True)
            return {
                "personas": merchant.front.personas(tenant_id),
                "suggested": merchant.suggesting.suggest(tenant_id, ask) if person else None,
                "person": person,
                "surface": surface,
                "of": " ".join(ids),
                "surfaces": SURFACES,
                "price": price,
            }

        return frame.render(request, "shop/tester.html", **await run(look))

    async def rules(request: Request) -> Response:
        tenant_id = house(request)
        if request.method == "POST":
            await frame.require_post(request, admin=True)
            form = await request.form()
            if form.get("drop"):
                await run(merchant.suggesting.drop_rule, tenant_id, str(form["drop"]))
            else:
                await run(merchant.suggesting.put_rule, tenant_id, _rule(form))
            return frame.go("/shop/merchant/rules")
        found = await run(merchant.suggesting.rules, tenant_id)
        return frame.render(request, "shop/rules.html", rules=found, kinds=RULE_KINDS, surfaces=SURFACES)

    async def carrier(request: Request) -> Response:
        """Stand in for the carrier."""
        session = await frame.require_post(request, admin=True)
        form = await request.form()
        news = _NEWS.get(str(form.get("news")))
        if news is None:
            raise BadInput("the carrier says late, lost or delivered", hint="use the buttons of the page")
        tenant_id, said = TenantId(session.tenant_id), News(str(form.get("order", "")), news, None, parts.clock.now())
        await run(merchant.front.carrier.said, tenant_id, said)
        return frame.go("/shop/merchant#parcels")

    return (
        Route("/merchant", desk),
        Route("/merchant/live", live),
        Route("/merchant/tester", tester),
        Route("/merchant/rules", rules, methods=["GET", "POST"]),
        Route("/merchant/carrier", carrier, methods=["GET", "POST"]),
    )


def _rule(form: FormData) -> MerchantRule:
    kind = str(form.get("kind", ""))
    if kind not in RULE_KINDS:
        raise BadInput(f"there is no rule of kind {kind!r}", hint="one of: " + ", ".join(RULE_KINDS))

    def said(name: str) -> str | None:
        return str(form.get(name, "")).strip()[:200] or None

    amount, surface = str(form.get("amount", "")).strip(), str(form.get("surface", ""))
    try:
        number = float(amount) if amount else None
    except ValueError as exc:
        raise BadInput(f"{amount!r} is no number", hint="digits, with a point if need be", param="amount") from exc
    return MerchantRule(
        new_id("rule"),
        kind,
        number,
        "seller" if form.get("of") == "seller" else "category",
        surface if surface in SURFACES else None,
        product_id=said("product_id"),
        category=said("category"),
        seller=said("seller"),
        note=str(form.get("note", ""))[:200],
    )
