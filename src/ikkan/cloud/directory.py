"""What this cloud knows by name: upstreams, aliases and prices, as rows an operator changes.

Writing is done by plain functions in the caller's transaction, each of which counts the version up; reading for the
hot path is a `Snapshot`, loaded anew when the version has changed (`freshness.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from ikkan.cloud import versions
from ikkan.cloud.tables import aliases, prices, upstreams
from ikkan.cloud.tuning.store import all_models
from ikkan.cloud.tuning.values import TunedModel
from ikkan.cloud.upstreams.openai_wire import Quirks, base_url
from ikkan.cloud.values import CURRENCY
from ikkan.ground.errors import BadInput, Conflict, NotFound
from ikkan.ground.eventlog import Keys
from ikkan.ground.money import Price

ANY_MODEL = "*"
_SEAL = b"ikkan\x00upstream key\x00"


@dataclass(frozen=True, slots=True)
class UpstreamRecord:
    """An upstream as an operator described it."""

    name: str
    url: str
    key_env: str | None
    """The environment variable its key is in."""
    has_sealed_key: bool
    """Whether a key is kept here, encrypted."""
    quirks: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that requests use, and who stands behind it."""

    name: str
    targets: Sequence[str]
    """`upstream/model`, the first that works answers."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What an upstream asks for a model, per million tokens."""

    upstream: str
    model: str
    """The upstream's own name, or `*` for every model without a price of its own."""
    price: Price


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a request is routed by, as of one version."""

    version: int
    upstreams: Mapping[str, UpstreamRecord]
    sealed_keys: Mapping[str, bytes]
    aliases: Mapping[str, Alias]
    prices: Mapping[tuple[str, str], Price]
    tuned: Mapping[str, TunedModel]
    """Every tenant's own models, by name. Whoever looks one up compares the tenant."""

    def price_of(self, upstream: str, model: str) -> Price | None:
        """What this model costs there; None where nobody has said."""
        return self.prices.get((upstream, model)) or self.prices.get((upstream, ANY_MODEL))


def load_snapshot(connection: sa.Connection) -> Snapshot:
    """Read all of it."""
    rows = connection.execute(sa.select(upstreams)).mappings().all()
    return Snapshot(
        version=versions.current(connection),
        upstreams={row["name"]: _record(row) for row in rows},
        sealed_keys={row["name"]: row["sealed_key"] for row in rows if row["sealed_key"] is not None},
        aliases={alias.name: alias for alias in list_aliases(connection)},
        prices={(row.upstream, row.model): row.price for row in list_prices(connection)},
        tuned=all_models(connection),
    )


def add_upstream(
    connection: sa.Connection,
    at: datetime,
    *,
    name: str,
    url: str,
    key_env: str | None = None,
    key: str | None = None,
    sealer: Keys | None = None,
    quirks: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> UpstreamRecord:
    """Make an upstream known.

    Args:
        key_env: the environment variable of the gateway that holds its key.
        key: or the key itself, which is then kept encrypted with `sealer`.
        quirks: fields of `openai_wire.Quirks`.
        replace: overwrite one of this name instead of refusing.

    Raises:
        BadInput: a name, address or quirk that cannot be.
        Conflict: the name is taken.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name):
        raise BadInput(f"{name!r} cannot be an upstream's name", hint="lower-case letters, digits, dots and dashes")
    if key is not None and key_env is not None:
        raise BadInput("a key, or the variable it is in, not both", hint="leave one out")
    if key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,118}", key_env):
        raise BadInput(f"{key_env!r} cannot be the name of a variable", hint="VENDOR_KEY, for example")
    assert key is None or sealer is not None, "a key is kept encrypted or not at all"
    if len(url) > 500:
        raise BadInput("this address is too long", hint="at most 500 characters")
    row = {
        "name": name,
        "url": base_url(url),
        "key_env": key_env,
        "sealed_key": seal_key(sealer, name, key) if sealer is not None and key is not None else None,
        "quirks": msgspec.to_builtins(read_quirks(quirks or {})),
        "created_at": at,
    }
    known = connection.execute(sa.select(upstreams.c.name).where(upstreams.c.name == name)).first()
    if known is not None and not replace:
        raise Conflict(f"there is an upstream {name!r} already", hint="remove it first, or choose another name")
    if known is not None:
        connection.execute(upstreams.update().where(upstreams.c.name == name).values(row))
    else:
        connection.execute(upstreams.insert(), row)
    versions.bump(connection)
    return next(record for record in list_upstreams(connection) if record.name == name)


def move_upstream(connection: sa.Connection, name: str, url: str, quirks: Mapping[str, Any]) -> None:
    """An upstream has another address now, or can do more; everything else about it stays.

    Raises:
        NotFound: no such upstream.
    """
    statement = upstreams.update().where(upstreams.c.name == name).values(url=base_url(url), quirks=dict(quirks))
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no upstream {name!r}", hint="ikkan upstream list", upstream=name)
    versions.bump(connection)


def remove_upstream(connection: sa.Connection, name: str) -> None:
    """Forget an upstream and its prices. What the meter and ledger say about it stays.

    Raises:
        NotFound: no such upstream.
        Conflict: an alias has nothing else to stand on.
    """
    holding = [
        alias.name
        for alias in list_aliases(connection)
        if alias.targets and all(target.partition("/")[0] == name for target in alias.targets)
    ]
    if holding:
        raise Conflict(
            f"{', '.join(holding)} would have nobody behind it", hint=f"ikkan alias set {holding[0]} UPSTREAM/MODEL"
        )
    if not connection.execute(upstreams.delete().where(upstreams.c.name == name)).rowcount:
        raise NotFound(f"there is no upstream {name!r}", hint="ikkan upstream list", upstream=name)
    connection.execute(prices.delete().where(prices.c.upstream == name))
    versions.bump(connection)


def list_upstreams(connection: sa.Connection) -> Sequence[UpstreamRecord]:
    """Every upstream, by name."""
    rows = connection.execute(sa.select(upstreams).order_by(upstreams.c.name)).mappings()
    return [_record(row) for row in rows]


def set_alias(connection: sa.Connection, at: datetime, name: str, targets: Sequence[str]) -> Alias:
    """Say who stands behind a name, from the next request on.

    Args:
        targets: `upstream/model` each; the first that works answers.

    Raises:
        BadInput: a name or target that cannot be.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,198}", name):
        raise BadInput(f"{name!r} cannot be an alias", hint="letters, digits, dots, colons, slashes and dashes")
    kept = [target.strip() for target in targets if target.strip()]
    if not kept or any(not all(target.partition("/")[::2]) for target in kept):
        raise BadInput(f"{', '.join(kept) or 'nothing'} does not name a model", hint="UPSTREAM/MODEL", alias=name)
    changed = connection.execute(
        aliases.update().where(aliases.c.name == name).values(targets=kept, changed_at=at)
    ).rowcount
    if not changed:
        connection.execute(aliases.insert(), {"name": name, "targets": kept, "changed_at": at})
    versions.bump(connection)
    return Alias(name, kept)


def remove_alias(connection: sa.Connection, name: str) -> None:
    """Forget an alias.

    Raises:
        NotFound: no such alias.
    """
    if not connection.execute(aliases.delete().where(aliases.c.name == name)).rowcount:
        raise NotFound(f"there is no alias {name!r}", hint="ikkan alias list", alias=name)
    versions.bump(connection)


def list_aliases(connection: sa.Connection) -> Sequence[Alias]:
    """Every alias, by name."""
    rows = connection.execute(sa.select(aliases).order_by(aliases.c.name))
    return [Alias(row.name, tuple(row.targets)) for row in rows]


def set_price(connection: sa.Connection, at: datetime, upstream: str, model: str, price: Price) -> PriceRow:
    """Say what an upstream asks for a model, from the next request on.

    Args:
        model: the upstream's own name, or `*` for every model without a price of its own.

    Raises:
        BadInput: another currency than the ledger's, or a negative price.
    """
    if price.currency != CURRENCY:
        raise BadInput(
            f"the ledger is kept in {CURRENCY}, not {price.currency}", hint="convert the vendor's price list first"
        )
    if min(price.input_micros, price.cached_micros, price.output_micros) < 0:
        raise BadInput("a price cannot be negative", hint="0 is free")
    values = {
        "currency": price.currency,
        "input_micros": price.input_micros,
        "cached_micros": price.cached_micros,
        "output_micros": price.output_micros,
        "changed_at": at,
    }
    here = sa.and_(prices.c.upstream == upstream, prices.c.model == model)
    if not connection.execute(prices.update().where(here).values(values)).rowcount:
        connection.execute(prices.insert(), {"upstream": upstream, "model": model, **values})
    versions.bump(connection)
    return PriceRow(upstream, model, price)


def list_prices(connection: sa.Connection) -> Sequence[PriceRow]:
    """Every price, by upstream and model."""
    rows = connection.execute(sa.select(prices).order_by(prices.c.upstream, prices.c.model))
    return [
        PriceRow(row.upstream, row.model, Price(row.currency, row.input_micros, row.cached_micros, row.output_micros))
        for row in rows
    ]


def read_quirks(found: Mapping[str, Any]) -> Quirks:
    """Quirks from a configuration.

    Raises:
        BadInput: a field we do not know, or of another type.
    """
    unknown = set(found) - set(Quirks.__slots__)
    if unknown:
        raise BadInput(f"unknown quirk: {', '.join(sorted(unknown))}", hint=f"known: {', '.join(Quirks.__slots__)}")
    try:
        return msgspec.convert(dict(found), Quirks)
    except msgspec.ValidationError as exc:
        raise BadInput(f"a quirk is not what it should be: {exc}", hint="see Quirks in openai_wire.py") from exc


def seal_key(sealer: Keys, upstream: str, key: str) -> bytes:
    """An upstream's key, closed with the master key and bound to its upstream."""
    return sealer.seal(sealer.master, key.encode(), _SEAL + upstream.encode())


def unseal_key(sealer: Keys, upstream: str, sealed: bytes) -> str:
    """The key again."""
    return sealer.unseal(sealer.master, sealed, _SEAL + upstream.encode()).decode()


def _record(row: sa.RowMapping) -> UpstreamRecord:
    return UpstreamRecord(
        name=row["name"],
        url=row["url"],
        key_env=row["key_env"],
        has_sealed_key=row["sealed_key"] is not None,
        quirks=row["quirks"] or {},
        created_at=row["created_at"],
    )
