"""The keys page: make, list, revoke. A key is shown once, when it is made."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ikkan.console.desk import Desk, form_of, local_time, money
from ikkan.ground.errors import BadInput


def routes(desk: Desk) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return await _page(request)

    async def create(request: Request) -> Response:
        session = await desk.frame.require_post(request, admin=True)
        form = await form_of(request)
        made = await desk.database.run(
            desk.cloud.create_key,
            tenant_id=session.tenant_id,
            name=form.get("name", ""),
            scopes=("user", "admin") if form.get("scope") == "admin" else ("user",),
            budget_micros=micros_of(form.get("budget", "")),
        )
        desk.forget_keys()
        return await _page(request, made=made.secret)

    async def revoke(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        await desk.database.run(desk.cloud.revoke_key, request.path_params["key_id"])
        desk.forget_keys()
        return RedirectResponse("/keys", status_code=303)

    async def _page(request: Request, made: str = "") -> Response:
        keys = await desk.database.run(desk.cloud.list_keys)
        rows = [
            {
                "id": key.id,
                "public_id": key.id,
                "name": key.name,
                "scope": " ".join(sorted(key.scopes)),
                "created": local_time(key.created_at),
                "spent": money(key.spent_micros, key.currency),
                "budget": money(key.limit_micros, key.currency) if key.limit_micros is not None else "",
                "revoked": key.is_revoked,
            }
            for key in keys
        ]
        return desk.frame.render(request, "console/keys.html", keys=rows, made=made)

    return [
        Route("/keys", show),
        Route("/keys", create, methods=["POST"]),
        Route("/keys/{key_id}/revoke", revoke, methods=["POST"]),
    ]


def micros_of(text: str) -> int | None:
    """An amount as typed, in micros; empty means no limit.

    >>> micros_of("1200.5"), micros_of("")
    (1200500000, None)
    """
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation as exc:
        raise BadInput(f"{text!r} is no amount", hint="write it like 5000 or 0.25") from exc
    if not amount.is_finite() or amount < 0 or amount > 10**9:
        raise BadInput(f"{text!r} is no amount we can keep", hint="between 0 and 1,000,000,000")
    return int(amount * 1_000_000)
