"""What an administrator can do, as plain functions of one object: for the CLI, the console and `/admin/v1` alike.

Every method opens its own transaction and may run in any process: the gateway notices within half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from ikkan.cloud import directory, keys, tenants
from ikkan.cloud.directory import Alias, PriceRow, UpstreamRecord
from ikkan.cloud.keys import Key, KeyHasher, NewKey
from ikkan.cloud.ledger import RESERVED, SETTLED, Audit, Ledger, key_owner, tenant_owner
from ikkan.cloud.tables import keys as keys_table
from ikkan.cloud.tables import meter
from ikkan.cloud.tenants import Tenant
from ikkan.cloud.upstreams.openai_wire import base_url
from ikkan.cloud.values import LOCAL_TENANT, USER, Principal
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotAuthenticated
from ikkan.ground.eventlog import Keys
from ikkan.ground.ids import KeyId, SubjectId, TenantId
from ikkan.ground.money import Price, format_micros

OUR_ENGINE: Mapping[str, Any] = {
    "adapters": True,
    "base64_embeddings": True,
    "extra_stream_options": {"continuous_usage_stats": True},
    "tenant_header": "x-ikkan-cache-salt",
}
"""What our own engine can do beyond the plain wire: adapters beside its model, exact counts also for a stream that is
left early, and a prefix cache in which tenants never meet."""

Forgets = Callable[[sa.Connection, TenantId, SubjectId], int]
"""Takes a person out of some rows within the caller's transaction; returns how many."""

By = Literal["day", "model", "key", "upstream", "endpoint"]


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What was used, added up over everything the line does not name."""

    day: str | None
    """`2026-11-23`, in UTC."""
    model: str | None
    """As it was asked for."""
    key_id: str | None
    key_name: str | None
    upstream: str | None
    endpoint: str | None
    requests: int
    """Those that were answered, if only in part."""
    failed: int
    """Attempts that delivered nothing, and cost nothing."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    estimated: int
    """Answers whose tokens were estimated."""
    unpriced: int
    """Answers of models nobody has set a price for."""
    cost_micros: int
    currency: str

    @property
    def cost(self) -> str:
        """The cost, for people."""
        return format_micros(self.cost_micros, self.currency)


class CloudService:
    """The administrator's use cases.

    Args:
        sealer: keeps upstream keys encrypted, and is the root of every keyed hash here.
        on_change: called after each change, so that this process notices at once.
        forgets: what else of this room forgets a person.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sealer: Keys,
        *,
        on_change: Callable[[], None] = lambda: None,
        forgets: Sequence[Forgets] = (),
    ) -> None:
        self._database = database
        self._clock = clock
        self._sealer = sealer
        self._hasher = KeyHasher(sealer.master)
        self._ledger = Ledger(clock)
        self._on_change = on_change
        self._forgets = tuple(forgets)

    # ---- start -------------------------------------------------------------------------------------------------------

    def prepare(
        self,
        *,
        upstreams: Mapping[str, str] | None = None,
        aliases: Mapping[str, Sequence[str]] | None = None,
        free: Iterable[str] = (),
    ) -> None:
        """Make what every installation needs and does not have yet: the local tenant, and upstreams and aliases given.

        Args:
            upstreams: name to address of our own engines. An address that changed (another port) is updated.
            aliases: name to targets, set only where the name is not taken.
            free: upstreams whose models cost nothing unless somebody set a price: our own engine.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            tenants.ensure_tenant(connection, LOCAL_TENANT, "This machine", now)
            known = {record.name: record for record in directory.list_upstreams(connection)}
            for name, url in (upstreams or {}).items():
                if name not in known:
                    directory.add_upstream(connection, now, name=name, url=url, quirks=OUR_ENGINE)
                    continue
                quirks = {**OUR_ENGINE, **known[name].quirks}  # what an engine of an earlier release could not do yet
                if (known[name].url, known[name].quirks) != (base_url(url), quirks):
                    directory.move_upstream(connection, name, url, quirks)
            taken = {alias.name for alias in directory.list_aliases(connection)}
            for name, targets in (aliases or {}).items():
                if name not in taken:
                    directory.set_alias(connection, now, name, targets)
            priced = {(row.upstream, row.model) for row in directory.list_prices(connection)}
            for name in free:
                if (name, directory.ANY_MODEL) not in priced:
                    directory.set_price(connection, now, name, directory.ANY_MODEL, Price("JPY", 0, 0, 0))
        self._on_change()

    # ---- tenants and keys --------------------------------------------------------------------------------------------

    def create_tenant(self, tenant_id: str, name: str, *, limit_micros: int | None = None) -> TenantId:
        """Make a tenant. Raises `Conflict` if there is one of that id."""
        with self._database.transaction() as connection:
            return tenants.create_tenant(connection, tenant_id, name, self._clock.now(), limit_micros=limit_micros)

    def tenants(self) -> Sequence[Tenant]:
        """Every tenant."""
        with self._database.read() as connection:
            return tenants.list_tenants(connection)

    def create_key(
        self,
        name: str,
        *,
        tenant_id: TenantId = LOCAL_TENANT,
        scopes: Iterable[str] = (USER,),
        budget_micros: int | None = None,
        subject_id: SubjectId | None = None,
    ) -> NewKey:
        """Make a key; its secret is in the result and nowhere else."""
        with self._database.transaction() as connection:
            now = self._clock.now()
            if tenant_id == LOCAL_TENANT:
                tenants.ensure_tenant(connection, LOCAL_TENANT, "This machine", now)
            made = keys.create_key(
                connection,
                self._hasher,
                now,
                tenant_id=tenant_id,
                name=name,
                scopes=scopes,
                budget_micros=budget_micros,
                subject_id=subject_id,
            )
        self._on_change()
        return made

    def keys(self, tenant_id: TenantId | None = None) -> Sequence[Key]:
        """Keys, newest first."""
        with self._database.read() as connection:
            return keys.list_keys(connection, tenant_id)

    def key(self, key_id: KeyId) -> Key:
        """One key. Raises `NotFound`."""
        with self._database.read() as connection:
            return keys.get_key(connection, key_id)

    def revoke_key(self, key_id: KeyId) -> Key:
        """Make a key open nothing any more. Raises `NotFound`."""
        with self._database.transaction() as connection:
            revoked = keys.revoke_key(connection, key_id, self._clock.now())
        self._on_change()
        return revoked

    def authenticate(self, secret: str) -> Principal:
        """Who a key is, read afresh: for signing in. Requests go through `Door`.

        Raises:
            NotAuthenticated: no such key, or revoked.
        """
        key_id = keys.public_id_of(secret)
        if key_id is None:
            raise NotAuthenticated("this is not one of our keys", hint="they begin with sk-ik-; ikkan key create")
        with self._database.read() as connection:
            return keys.check(self._hasher, secret, keys.find_kept(connection, key_id))

    def set_key_budget(self, key_id: KeyId, limit_micros: int | None) -> None:
        """Change how much a key may spend in all; None lifts the limit."""
        with self._database.transaction() as connection:
            tenants.set_limit(connection, key_owner(key_id), limit_micros)

    def set_tenant_budget(self, tenant_id: TenantId, limit_micros: int | None) -> None:
        """Change how much a tenant may spend in all; None lifts the limit."""
        with self._database.transaction() as connection:
            tenants.set_limit(connection, tenant_owner(tenant_id), limit_micros)

    # ---- what requests are routed by ---------------------------------------------------------------------------------

    def add_upstream(
        self,
        name: str,
        url: str,
        *,
        key_env: str | None = None,
        key: str | None = None,
        quirks: Mapping[str, Any] | None = None,
        price: Price | None = None,
        replace: bool = False,
    ) -> UpstreamRecord:
        """Make an upstream known, with the price of all its models if one is given."""
        with self._database.transaction() as connection:
            now = self._clock.now()
            record = directory.add_upstream(
                connection,
                now,
                name=name,
                url=url,
                key_env=key_env,
                key=key,
                sealer=self._sealer,
                quirks=quirks,
                replace=replace,
            )
            if price is not None:
                directory.set_price(connection, now, name, directory.ANY_MODEL, price)
        self._on_change()
        return record

    def remove_upstream(self, name: str) -> None:
        """Forget an upstream. Raises `Conflict` while an alias stands on it alone."""
        with self._database.transaction() as connection:
            directory.remove_upstream(connection, name)
        self._on_change()

    def upstreams(self) -> Sequence[UpstreamRecord]:
        """Every upstream."""
        with self._database.read() as connection:
            return directory.list_upstreams(connection)

    def set_alias(self, name: str, targets: Sequence[str] | str) -> Alias:
        """Say who stands behind a name: `upstream/model`, several for fallback (also in one string, by commas)."""
        listed = targets.split(",") if isinstance(targets, str) else targets
        with self._database.transaction() as connection:
            alias = directory.set_alias(connection, self._clock.now(), name, listed)
        self._on_change()
        return alias

    def remove_alias(self, name: str) -> None:
        """Forget an alias. Raises `NotFound`."""
        with self._database.transaction() as connection:
            directory.remove_alias(connection, name)
        self._on_change()

    def aliases(self) -> Sequence[Alias]:
        """Every alias."""
        with self._database.read() as connection:
            return directory.list_aliases(connection)

    def set_price(self, upstream: str, model: str, price: Price) -> PriceRow:
        """Say what an upstream asks for a model (`*`: all others)."""
        with self._database.transaction() as connection:
            row = directory.set_price(connection, self._clock.now(), upstream, model, price)
        self._on_change()
        return row

    def prices(self) -> Sequence[PriceRow]:
        """Every price."""
        with self._database.read() as connection:
            return directory.list_prices(connection)

    # ---- what was used -----------------------------------------------------------------------------------------------

    def usage(
        self,
        *,
        by: Sequence[By] = ("day", "model", "key"),
        since: str | None = None,
        until: str | None = None,
        tenant_id: TenantId | None = None,
        key_id: KeyId | None = None,
        limit: int = 1_000,
    ) -> Sequence[UsageLine]:
        """What was used, newest day first.

        Args:
            by: what to tell apart; `()` adds everything up into one line.
            since: first day, `2026-11-01`.
            until: the day after the last.

        Raises:
            BadInput: an unknown word in `by`.
        """
        columns = {
            "day": meter.c.day,
            "model": meter.c.model,
            "key": meter.c.key_id,
            "upstream": meter.c.upstream,
            "endpoint": meter.c.endpoint,
        }
        if not set(by) <= set(columns):
            unknown = ", ".join(sorted(set(by) - set(columns)))
            raise BadInput(f"usage cannot be told apart by {unknown}", hint=", ".join(columns))
        grouped = [columns[name] for name in columns if name in by]
        settled = meter.c.state == SETTLED

        def total(column: Any) -> Any:
            return sa.func.coalesce(sa.func.sum(column), 0)

        def count(condition: Any) -> Any:
            return total(sa.case((condition, 1), else_=0))

        statement = sa.select(
            *grouped,
            meter.c.currency,
            count(settled).label("requests"),
            count(meter.c.state == "released").label("failed"),
            total(meter.c.input_tokens).label("input_tokens"),
            total(meter.c.cached_tokens).label("cached_tokens"),
            total(meter.c.output_tokens).label("output_tokens"),
            count(sa.and_(settled, meter.c.estimated)).label("estimated"),
            count(sa.and_(settled, sa.not_(meter.c.priced))).label("unpriced"),
            total(meter.c.cost_micros).label("cost_micros"),
        ).where(meter.c.state != RESERVED)
        if since is not None:
            statement = statement.where(meter.c.day >= since)
        if until is not None:
            statement = statement.where(meter.c.day < until)
        if tenant_id is not None:
            statement = statement.where(meter.c.tenant_id == tenant_id)
        if key_id is not None:
            statement = statement.where(meter.c.key_id == key_id)
        order = [column.desc() if column is meter.c.day else column for column in grouped]
        statement = statement.group_by(*grouped, meter.c.currency).order_by(*order, meter.c.currency).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
            ids = {row["key_id"] for row in rows if row.get("key_id")}
            named = sa.select(keys_table.c.id, keys_table.c.name).where(keys_table.c.id.in_(ids))
            names = {row.id: row.name for row in connection.execute(named)} if ids else {}
        return [
            UsageLine(
                day=row.get("day"),
                model=row.get("model"),
                key_id=row.get("key_id"),
                key_name=names.get(row.get("key_id")),
                upstream=row.get("upstream"),
                endpoint=row.get("endpoint"),
                requests=int(row["requests"]),
                failed=int(row["failed"]),
                input_tokens=int(row["input_tokens"]),
                cached_tokens=int(row["cached_tokens"]),
                output_tokens=int(row["output_tokens"]),
                estimated=int(row["estimated"]),
                unpriced=int(row["unpriced"]),
                cost_micros=int(row["cost_micros"]),
                currency=row["currency"],
            )
            for row in rows
        ]

    def audit(self) -> Audit:
        """Add the whole ledger up."""
        with self._database.read() as connection:
            return self._ledger.audit(connection)

    def forget(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
        """Take a person out of this room; what was used stays, as nobody's. Returns the rows changed.

        Files they brought are destroyed, with the models that learned from them.
        """
        changed = sum(forgets(connection, tenant_id, subject_id) for forgets in self._forgets)
        for table in (meter, keys_table):
            here = sa.and_(table.c.tenant_id == tenant_id, table.c.subject_id == subject_id)
            changed += connection.execute(table.update().where(here).values(subject_id=None)).rowcount
        return changed
