"""`/admin/v1`: the administrator's use cases over HTTP, for keys of scope admin. Thin over `service.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import parse_qs

import msgspec
from starlette.routing import BaseRoute, Route

from ikkan.cloud.door import Door, require_admin
from ikkan.cloud.exchange import Desk, Exchange, Handler
from ikkan.cloud.router import Router
from ikkan.cloud.service import CloudService
from ikkan.cloud.values import CURRENCY, LOCAL_TENANT
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import KeyId, SubjectId, TenantId
from ikkan.ground.money import Price

T = TypeVar("T")
_Micros = Annotated[int, msgspec.Meta(ge=0)]


class _Price(msgspec.Struct, forbid_unknown_fields=True):
    input_micros: _Micros
    output_micros: _Micros
    cached_micros: _Micros | None = None
    currency: str = CURRENCY

    def value(self) -> Price:
        cached = self.input_micros if self.cached_micros is None else self.cached_micros
        return Price(self.currency, self.input_micros, cached, self.output_micros)


class _NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    tenant_id: str = LOCAL_TENANT
    scopes: tuple[str, ...] = ("user",)
    budget_micros: _Micros | None = None
    subject_id: str | None = None


class _NewUpstream(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    url: str
    key_env: str | None = None
    key: str | None = None
    quirks: dict[str, Any] = {}
    price: _Price | None = None
    replace: bool = False


class _NewAlias(msgspec.Struct, forbid_unknown_fields=True):
    targets: list[str]


class _NewPrice(msgspec.Struct, forbid_unknown_fields=True):
    upstream: str
    model: str
    price: _Price


class _NewTenant(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    name: str
    limit_micros: _Micros | None = None


class Erasing(Protocol):
    """Erases people, in the data and in what was learned from it; `bootstrap` hands one over."""

    def erase(self, tenant_id: TenantId, person: str) -> dict[str, Any]: ...
    def erasures(self) -> list[dict[str, Any]]: ...
    def erasure(self, erasure_id: str) -> dict[str, Any]: ...


class AdminRoutes:
    """Handlers below `/admin/v1`."""

    erasing: Erasing | None = None

    def __init__(self, door: Door, service: CloudService, router: Router, database: Database) -> None:
        self._door = door
        self._service = service
        self._router = router
        self._database = database

    def routes(self) -> list[BaseRoute]:
        """What to mount at the root."""
        at = "/admin/v1"
        return [
            Route(f"{at}/tenants", self._desk(GET=self.list_tenants, POST=self.create_tenant)),
            Route(f"{at}/keys", self._desk(GET=self.list_keys, POST=self.create_key)),
            Route(f"{at}/keys/{{id}}", self._desk(DELETE=self.revoke_key)),
            Route(f"{at}/upstreams", self._desk(GET=self.list_upstreams, POST=self.add_upstream)),
            Route(f"{at}/upstreams/{{name}}", self._desk(DELETE=self.remove_upstream)),
            Route(f"{at}/aliases", self._desk(GET=self.list_aliases)),
            Route(f"{at}/aliases/{{name:path}}", self._desk(PUT=self.set_alias, DELETE=self.remove_alias)),
            Route(f"{at}/prices", self._desk(GET=self.list_prices, PUT=self.set_price)),
            Route(f"{at}/usage", self._desk(GET=self.usage)),
            Route(f"{at}/audit", self._desk(GET=self.audit)),
            Route(f"{at}/subjects/{{person:path}}", self._desk(DELETE=self.erase)),
            Route(f"{at}/erasures", self._desk(GET=self.list_erasures)),
            Route(f"{at}/erasures/{{id}}", self._desk(GET=self.erasure)),
        ]

    async def list_tenants(self, exchange: Exchange) -> None:
        """GET /admin/v1/tenants"""
        await self._listed(exchange, self._service.tenants)

    async def create_tenant(self, exchange: Exchange) -> None:
        """POST /admin/v1/tenants"""
        asked = _read(await exchange.body(), _NewTenant)
        made = await self._database.run(
            self._service.create_tenant, asked.id, asked.name, limit_micros=asked.limit_micros
        )
        await exchange.reply({"id": made}, status=201)

    async def list_keys(self, exchange: Exchange) -> None:
        """GET /admin/v1/keys"""
        await self._listed(exchange, self._service.keys)

    async def create_key(self, exchange: Exchange) -> None:
        """POST /admin/v1/keys: the reply is the only place the secret ever stands."""
        asked = _read(await exchange.body(), _NewKey)
        made = await self._database.run(
            self._service.create_key,
            asked.name,
            tenant_id=TenantId(asked.tenant_id),
            scopes=asked.scopes,
            budget_micros=asked.budget_micros,
            subject_id=SubjectId(asked.subject_id) if asked.subject_id else None,
        )
        await exchange.reply({**_plain(made.key), "secret": made.secret}, status=201)

    async def revoke_key(self, exchange: Exchange) -> None:
        """DELETE /admin/v1/keys/{id}"""
        revoked = await self._database.run(self._service.revoke_key, KeyId(exchange.path_params["id"]))
        await exchange.reply(_plain(revoked))

    async def list_upstreams(self, exchange: Exchange) -> None:
        """GET /admin/v1/upstreams, each with its health now"""
        records = await self._database.run(self._service.upstreams)
        health = await self._router.health()
        data = [
            {**_plain(record), "health": _plain(health[record.name]) if record.name in health else None}
            for record in records
        ]
        await exchange.reply({"object": "list", "data": data})

    async def add_upstream(self, exchange: Exchange) -> None:
        """POST /admin/v1/upstreams"""
        asked = _read(await exchange.body(), _NewUpstream)
        made = await self._database.run(
            self._service.add_upstream,
            asked.name,
            asked.url,
            key_env=asked.key_env,
            key=asked.key,
            quirks=asked.quirks,
            price=asked.price.value() if asked.price else None,
            replace=asked.replace,
        )
        await exchange.reply(_plain(made), status=201)

    async def remove_upstream(self, exchange: Exchange) -> None:
        """DELETE /admin/v1/upstreams/{name}"""
        await self._database.run(self._service.remove_upstream, exchange.path_params["name"])
        await exchange.reply({"name": exchange.path_params["name"], "deleted": True})

    async def list_aliases(self, exchange: Exchange) -> None:
        """GET /admin/v1/aliases"""
        await self._listed(exchange, self._service.aliases)

    async def set_alias(self, exchange: Exchange) -> None:
        """PUT /admin/v1/aliases/{name}"""
        asked = _read(await exchange.body(), _NewAlias)
        made = await self._database.run(self._service.set_alias, exchange.path_params["name"], asked.targets)
        await exchange.reply(_plain(made))

    async def remove_alias(self, exchange: Exchange) -> None:
        """DELETE /admin/v1/aliases/{name}"""
        await self._database.run(self._service.remove_alias, exchange.path_params["name"])
        await exchange.reply({"name": exchange.path_params["name"], "deleted": True})

    async def list_prices(self, exchange: Exchange) -> None:
        """GET /admin/v1/prices"""
        await self._listed(exchange, self._service.prices)

    async def set_price(self, exchange: Exchange) -> None:
        """PUT /admin/v1/prices"""
        asked = _read(await exchange.body(), _NewPrice)
        made = await self._database.run(self._service.set_price, asked.upstream, asked.model, asked.price.value())
        await exchange.reply(_plain(made))

    async def usage(self, exchange: Exchange) -> None:
        """GET /admin/v1/usage?by=day,model,key&since=2026-11-01&until=2026-12-01&tenant=…&key=…"""
        query = {name: values[-1] for name, values in parse_qs(exchange.query.decode("latin-1")).items()}
        unknown = set(query) - {"by", "since", "until", "tenant", "key"}
        if unknown:
            raise BadInput(
                f"unknown in a usage query: {', '.join(sorted(unknown))}", hint="by, since, until, tenant, key"
            )
        by = tuple(part for part in query.get("by", "day,model,key").split(",") if part)
        lines = await self._database.run(
            self._service.usage,
            by=by,  # type: ignore[arg-type]  # checked there, against the same words
            since=query.get("since"),
            until=query.get("until"),
            tenant_id=TenantId(query["tenant"]) if "tenant" in query else None,
            key_id=KeyId(query["key"]) if "key" in query else None,
        )
        await exchange.reply({"object": "list", "data": [_plain(line) for line in lines], "by": list(by)})

    async def audit(self, exchange: Exchange) -> None:
        """GET /admin/v1/audit: does the ledger add up?"""
        found = await self._database.run(self._service.audit)
        await exchange.reply({**_plain(found), "is_sound": found.is_sound})

    async def erase(self, exchange: Exchange) -> None:
        """DELETE /admin/v1/subjects/{person}?tenant=…: forgotten when this is answered; a job does the models."""
        query = parse_qs(exchange.query.decode("latin-1"))
        tenant_id = TenantId(query.get("tenant", [LOCAL_TENANT])[-1])
        begun = await self._database.run(self._erasing().erase, tenant_id, exchange.path_params["person"])
        await exchange.reply(begun, status=202 if begun["job"] else 200)

    async def list_erasures(self, exchange: Exchange) -> None:
        """GET /admin/v1/erasures, the latest first"""
        found = await self._database.run(self._erasing().erasures)
        await exchange.reply({"object": "list", "data": found})

    async def erasure(self, exchange: Exchange) -> None:
        """GET /admin/v1/erasures/{id}, with the signed receipt once all is done"""
        await exchange.reply(await self._database.run(self._erasing().erasure, exchange.path_params["id"]))

    def _erasing(self) -> Erasing:
        if self.erasing is None:
            raise NotFound("this gateway erases nobody", hint="it serves models only; ask the house that keeps events")
        return self.erasing

    def _desk(self, **handlers: Handler) -> Desk:
        return Desk({method: self._for_administrators(handler) for method, handler in handlers.items()})

    def _for_administrators(self, handler: Handler) -> Handler:
        async def guarded(exchange: Exchange) -> None:
            require_admin(await exchange.admit(self._door))
            await handler(exchange)

        return guarded

    async def _listed(self, exchange: Exchange, read: Callable[[], Any]) -> None:
        found = await self._database.run(read)
        await exchange.reply({"object": "list", "data": [_plain(item) for item in found]})


def _read(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"this body cannot be used: {exc}", hint="see docs, or the fields named here") from exc


def _plain(value: Any) -> dict[str, Any]:
    plain = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: sorted(item) if isinstance(item, frozenset) else item for name, item in plain.items()}
