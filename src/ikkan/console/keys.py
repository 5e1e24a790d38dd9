"""The keys page: make, list, revoke. A key is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.cloud.values import ADMIN, USER
from ikkan.console.desk import Desk, form_of, local_time, money, told, visible_tenant
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import KeyId, TenantId
from ikkan.ground.money import parse_micros
from ikkan.kit.session import Session


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and its two forms."""

    async def show(request: Request) -> Response:
        return await page(request, desk.frame.require(request, admin=True))

    async def create(request: Request) -> Response:
        session = await desk.frame.require_post(request, admin=True)
        form = await form_of(request)
        try:
            made = await desk.database.run(
                desk.cloud.service.create_key,
                form.get("name", ""),
                tenant_id=TenantId(session.tenant_id),
                scopes=(USER, ADMIN) if form.get("scope") == ADMIN else (USER,),
                budget_micros=parse_micros(form["budget"]) if form.get("budget") else None,
            )
        except BadInput as error:
            return await page(request, session, failed=told(error), form=form, status=400)
        return await page(request, session, made=made.secret)

    async def revoke(request: Request) -> Response:
        session = await desk.frame.require_post(request, admin=True)
        key_id, tenant_id = KeyId(request.path_params["key_id"]), visible_tenant(session)

        def end() -> None:
            if tenant_id is not None and desk.cloud.service.key(key_id).tenant_id != tenant_id:
                raise NotFound(f"there is no key {key_id!r}", hint="/keys lists them")
            desk.cloud.service.revoke_key(key_id)

        await desk.database.run(end)
        return desk.frame.go("/keys")

    async def page(
        request: Request,
        session: Session,
        *,
        made: str = "",
        failed: str = "",
        form: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        keys = await desk.database.run(desk.cloud.service.keys, visible_tenant(session))
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "scope": "keys.admin" if ADMIN in key.scopes else "keys.user",
                "created": local_time(key.created_at),
                "spent": money(key.spent_micros, key.currency),
                "budget": money(key.limit_micros, key.currency) if key.limit_micros is not None else "",
                "revoked": key.is_revoked,
                "mine": key.id == session.key_id,
            }
            for key in keys
        ]
        return desk.frame.render(
            request, "console/keys.html", status=status, keys=rows, made=made, failed=failed, form=form or {}
        )

    return [
        Route("/keys", show),
        Route("/keys", create, methods=["POST"]),
        Route("/keys/{key_id}/revoke", revoke, methods=["POST"]),
    ]
