"""What people did and what they were shown: appended, read a person at a time, followed from a number on.

`seq` grows in the order in which transactions become visible: SQLite has one writer, and on PostgreSQL whoever writes
here holds a lock until the commit. So whoever has read up to a number misses nothing by reading on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.apps.shop.store.tables import behaviour, behaviour_told, exposures, insert, merchant_rules
from ikkan.apps.shop.values import DEEDS, Happened, MerchantRule, Surface
from ikkan.ground.ids import SubjectId, TenantId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MANY = 500
_LOCK = 0x73686F70  # "shop"
_OWN = frozenset({"event_id", "person", "deed", "at", "product_id", "impression_id"})
"""Fields with a column of their own; the others are packed, where they say anything."""
_MORE: dict[str, Any] = {each.name: each.default for each in fields(Happened) if each.name not in _OWN}
_NUMBER: dict[str, int] = {deed: number for number, deed in enumerate(DEEDS)}
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it is kept."""

    tenant_id: TenantId
    subject_id: SubjectId
    event: Happened
    """`person` is the pseudonym, `at` is when it can have happened."""
    told_us: int | None = None
    """By the teller's clock, where that cannot be."""
    seq: int = 0


class Pool(msgspec.Struct, frozen=True, array_like=True):
    """What an explored place was drawn from."""

    place: int
    features: tuple[tuple[float, ...], ...]
    """A row a ware: one, then the features as served."""
    products: tuple[str, ...]
    chances: tuple[float, ...]
    blend: int
    """Which of them the blend liked best."""
    bucket: int
    """Of the person's history, as the ranker has it."""

    def chosen(self, shown: Exposure) -> int:
        """Which of them was shown."""
        return self.products.index(shown.places[self.place][0])


@dataclass(frozen=True, slots=True)
class Exposure:
    """A list that was shown."""

    impression_id: str
    subject_id: SubjectId
    surface: Surface
    at: datetime
    model: str
    places: tuple[tuple[str, float, float, str], ...]
    """Product, propensity, the chance of a click as it was expected there, and source, by place."""
    pools: tuple[Pool, ...] = ()
    """Of each explored place."""


# ---- events ----------------------------------------------------------------------------------------------------------


def lock(connection: sa.Connection) -> None:
    """Let nobody else write events until this transaction ends, so that `seq` grows in the order of commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def known(connection: sa.Connection, tenant_id: TenantId, event_ids: Sequence[str]) -> set[str]:
    """Which of these events are there already."""
    found: set[str] = set()
    for at in range(0, len(event_ids), _MANY):
        some = event_ids[at : at + _MANY]
        found |= set(connection.execute(_KNOWN, {"whose": tenant_id, "ids": some}).scalars())
    return found


def append(connection: sa.Connection, rows: Sequence[Row], recorded_at: datetime) -> None:
    """Keep events that are not there yet."""
    if rows:
        recorded_us = micros(recorded_at)
        connection.execute(_APPEND, [_columns(row, recorded_us) for row in rows])


def take_back(connection: sa.Connection, tenant_id: TenantId, event_ids: Sequence[str]) -> list[str]:
    """Remove events, as when what they told of is undone; returns whose they were."""
    mine = (behaviour.c.tenant_id == tenant_id, behaviour.c.event_id.in_(event_ids))
    whose = set(connection.execute(sa.select(behaviour.c.subject_id).where(*mine)).scalars())
    connection.execute(behaviour.delete().where(*mine))
    return sorted(whose)


def last_seq(connection: sa.Connection) -> int:
    """The number of the latest event of any shop."""
    return connection.execute(_LAST).scalar_one_or_none() or 0


def since(connection: sa.Connection, seq: int, limit: int) -> list[Row]:
    """Events after a number, of every shop, in their order."""
    return [_row(row) for row in connection.execute(_SINCE, {"seq": seq, "most": limit})]


def of_person(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId, limit: int) -> list[Row]:
    """A person's latest events, the latest last."""
    found = connection.execute(_OF_PERSON, {"whose": tenant_id, "who": subject_id, "most": limit})
    return [_row(row) for row in reversed(found.all())]


def counts(connection: sa.Connection, tenant_id: TenantId, subject_ids: Sequence[SubjectId]) -> dict[SubjectId, int]:
    """How many events there are of each of these people, at most a few hundred; of whom there are none is not in it."""
    mine = (behaviour.c.tenant_id == tenant_id, behaviour.c.subject_id.in_(subject_ids))
    counted = sa.select(behaviour.c.subject_id, sa.func.count()).where(*mine).group_by(behaviour.c.subject_id)
    return {SubjectId(subject_id): count for subject_id, count in connection.execute(counted)}


def latest(connection: sa.Connection, tenant_id: TenantId, until_seq: int, limit: int) -> list[Row]:
    """A shop's latest events up to a number, the latest last."""
    mine = (behaviour.c.tenant_id == tenant_id, behaviour.c.seq <= until_seq)
    chosen = sa.select(*_RAW).where(*mine).order_by(behaviour.c.seq.desc()).limit(limit)
    return [_row(row) for row in reversed(connection.execute(chosen).all())]


def between(
    connection: sa.Connection, tenant_id: TenantId, since: datetime, until: datetime, deeds: Iterable[str]
) -> Iterator[Row]:
    """A shop's events of these kinds, by time."""
    mine = (
        behaviour.c.tenant_id == tenant_id,
        behaviour.c.at_us >= micros(since),
        behaviour.c.at_us < micros(until),
        behaviour.c.deed.in_([_NUMBER[deed] for deed in deeds]),
    )
    for row in connection.execute(sa.select(*_RAW).where(*mine).order_by(behaviour.c.at_us, behaviour.c.seq)):
        yield _row(row)


def told_until(connection: sa.Connection) -> int:
    """Up to which number the event log has them too."""
    return connection.execute(_TOLD).scalar_one_or_none() or 0


def set_told(connection: sa.Connection, seq: int) -> None:
    """The event log has them up to this number."""
    if not connection.execute(_SET_TOLD, {"now": seq}).rowcount:
        connection.execute(behaviour_told.insert().values(id=1, seq=seq))


# ---- what was shown --------------------------------------------------------------------------------------------------


def keep_exposures(connection: sa.Connection, tenant_id: TenantId, shown: Sequence[Exposure]) -> list[str]:
    """Keep lists that were shown; returns the ids of those that are new."""
    found: set[str] = set()
    ids = [each.impression_id for each in shown]
    for at in range(0, len(ids), _MANY):
        found |= set(connection.execute(_SHOWN, {"whose": tenant_id, "ids": ids[at : at + _MANY]}).scalars())
    fresh = {each.impression_id: each for each in shown if each.impression_id not in found}
    if fresh:
        rows = [
            {
                "tenant_id": tenant_id,
                "impression_id": each.impression_id,
                "subject_id": each.subject_id,
                "surface": each.surface,
                "at_us": micros(each.at),
                "model": each.model,
                "places": _pack(each.places),
                "pools": _pack(each.pools) if each.pools else None,
            }
            for each in fresh.values()
        ]
        connection.execute(_KEEP[connection.dialect.name], rows)
    return list(fresh)


def shown_to(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId, limit: int) -> list[Exposure]:
    """The latest lists a person was shown, the latest last."""
    found = connection.execute(_SHOWN_TO, {"whose": tenant_id, "who": subject_id, "most": limit})
    return [_exposure(row) for row in reversed(found.all())]


def shown_between(
    connection: sa.Connection, tenant_id: TenantId, since: datetime, until: datetime, limit: int
) -> list[Exposure]:
    """The lists a shop showed, by time; the latest, where there are more than `limit`."""
    mine = (
        exposures.c.tenant_id == tenant_id,
        exposures.c.at_us >= micros(since),
        exposures.c.at_us < micros(until),
    )
    chosen = sa.select(exposures).where(*mine).order_by(exposures.c.at_us.desc()).limit(limit)
    return [_exposure(row) for row in reversed(connection.execute(chosen).all())]


# ---- merchants' rules ------------------------------------------------------------------------------------------------


def put_rule(connection: sa.Connection, tenant_id: TenantId, rule: MerchantRule, at: datetime) -> None:
    """Add a rule, or replace the one of this id."""
    told = msgspec.to_builtins(rule)
    row = {"tenant_id": tenant_id, "rule_id": rule.rule_id, "rule": told, "is_dropped": False, "changed_us": micros(at)}
    statement = insert(connection, merchant_rules).values(row)
    changed = {name: row[name] for name in ("rule", "is_dropped", "changed_us")}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "rule_id"], set_=changed))


def drop_rule(connection: sa.Connection, tenant_id: TenantId, rule_id: str, at: datetime) -> bool:
    """Drop a rule; False where it is not there. The row stays, so that others see it go."""
    mine = (merchant_rules.c.tenant_id == tenant_id, merchant_rules.c.rule_id == rule_id)
    done = connection.execute(
        merchant_rules.update()
        .where(*mine, merchant_rules.c.is_dropped.is_(False))
        .values(is_dropped=True, changed_us=micros(at))
    )
    return bool(done.rowcount)


def rules(connection: sa.Connection, tenant_id: TenantId) -> list[MerchantRule]:
    """The rules of a shop, by id."""
    mine = (merchant_rules.c.tenant_id == tenant_id, merchant_rules.c.is_dropped.is_(False))
    chosen = sa.select(merchant_rules.c.rule).where(*mine).order_by(merchant_rules.c.rule_id)
    return [msgspec.convert(told, MerchantRule) for told in connection.execute(chosen).scalars()]


def rules_stamp(connection: sa.Connection, tenant_id: TenantId) -> tuple[int, int]:
    """Differs once a rule was put or dropped."""
    count, changed = connection.execute(_STAMP, {"whose": tenant_id}).one()
    return int(count), int(changed or 0)


# ---- a person who is erased ------------------------------------------------------------------------------------------


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove what a person did and was shown; returns the rows removed."""
    gone = 0
    for table in (behaviour, exposures):
        mine = (table.c.tenant_id == tenant_id, table.c.subject_id == subject_id)
        gone += connection.execute(table.delete().where(*mine)).rowcount
    return gone


# ---- private ---------------------------------------------------------------------------------------------------------

_RAW = [
    sa.type_coerce(behaviour.c[name], sa.types.NullType()).label(name)
    for name in (
        "seq", "tenant_id", "event_id", "subject_id", "deed", "at_us", "told_us", "product_id", "impression_id", "more",
    )
]  # fmt: skip


# What is asked at every click and every few lists is put together once: that costs as much as asking.
_WHOSE, _WHO = sa.bindparam("whose"), sa.bindparam("who")
_IDS, _MOST = sa.bindparam("ids", expanding=True), sa.bindparam("most", type_=sa.Integer)
_KNOWN = sa.select(behaviour.c.event_id).where(behaviour.c.tenant_id == _WHOSE, behaviour.c.event_id.in_(_IDS))
_SHOWN = sa.select(exposures.c.impression_id).where(
    exposures.c.tenant_id == _WHOSE, exposures.c.impression_id.in_(_IDS)
)
_APPEND = behaviour.insert()
_LAST = sa.select(sa.func.max(behaviour.c.seq))
_TOLD = sa.select(behaviour_told.c.seq)
_SINCE = sa.select(*_RAW).where(behaviour.c.seq > sa.bindparam("seq")).order_by(behaviour.c.seq).limit(_MOST)
_OF_PERSON = (
    sa.select(*_RAW)
    .where(behaviour.c.tenant_id == _WHOSE, behaviour.c.subject_id == _WHO)
    .order_by(behaviour.c.at_us.desc(), behaviour.c.seq.desc())
    .limit(_MOST)
)
_SHOWN_TO = (
    sa.select(exposures)
    .where(exposures.c.tenant_id == _WHOSE, exposures.c.subject_id == _WHO)
    .order_by(exposures.c.at_us.desc())
    .limit(_MOST)
)
_STAMP = sa.select(sa.func.count(), sa.func.max(merchant_rules.c.changed_us)).where(
    merchant_rules.c.tenant_id == _WHOSE
)
_SET_TOLD = behaviour_told.update().values(seq=sa.bindparam("now"))
_KEEP = {
    "sqlite": sqlite.insert(exposures).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(exposures).on_conflict_do_nothing(),
}


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """The other way."""
    return _EPOCH + timedelta(microseconds=at_us)


def _columns(row: Row, recorded_us: int) -> dict[str, Any]:
    event = row.event
    more = {name: value for name in _MORE if (value := getattr(event, name)) != _MORE[name]}
    return {
        "tenant_id": row.tenant_id,
        "event_id": event.event_id,
        "subject_id": row.subject_id,
        "deed": _NUMBER[event.deed],
        "at_us": micros(event.at),
        "told_us": row.told_us,
        "product_id": event.product_id,
        "impression_id": event.impression_id,
        "more": _pack(more) if more else None,
        "recorded_us": recorded_us,
    }


def _row(row: Any) -> Row:
    seq, tenant_id, event_id, subject_id, deed, at_us, told_us, product_id, impression_id, more = row
    said = {} if more is None else _unpack(more)
    event = Happened(event_id, subject_id, DEEDS[deed], moment(at_us), product_id, impression_id=impression_id, **said)
    return Row(tenant_id, subject_id, event, told_us, seq)


_pools = msgspec.msgpack.Decoder(tuple[Pool, ...]).decode


def _exposure(row: Any) -> Exposure:
    places = tuple((product, propensity, score, source) for product, propensity, score, source in _unpack(row.places))
    pools = () if row.pools is None else _pools(row.pools)
    return Exposure(row.impression_id, row.subject_id, row.surface, moment(row.at_us), row.model, places, pools)
