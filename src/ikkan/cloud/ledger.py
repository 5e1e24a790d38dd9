"""The ledger: money moves in pairs, once, and never by halves.

Every attempt to answer a request walks the same way: *reserve* the most it may cost, then *settle* for what it did
cost. Each move is two rows of `cloud_ledger` that add up to zero, written with the attempt's row in `cloud_meter` and
the balances in `cloud_budgets` in the caller's one transaction:

- hold:    `held:<payer>`  +amount, `clearing`           -amount
- release: `held:<payer>`  -amount, `clearing`           +amount
- charge:  `spent:<payer>` +cost,   `earned:<upstream>`  -cost

A hold of nothing is not written; a charge is, also of zero, so each settled attempt has exactly one. An attempt that
ends twice, or whose end arrives after `sweep` closed it, changes nothing the second time.

Source of the idea: reserve, then settle, as in TensorZero's rate limits; a counter checked before and added to after
lets every concurrent request through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.cloud.tables import budgets, ledger, meter
from ikkan.cloud.values import CURRENCY, Usage
from ikkan.ground.clock import Clock
from ikkan.ground.errors import QuotaExhausted
from ikkan.ground.ids import KeyId, RequestId, SubjectId, TenantId, new_id
from ikkan.ground.money import format_micros

NO_USAGE = Usage()
RESERVED, SETTLED, RELEASED = "reserved", "settled", "released"
TRAINING = "fine_tuning"
"""The endpoint of what a worker does for hours, whatever the gateway does meanwhile."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An attempt about to be made, and the most it may cost."""

    request_id: RequestId
    attempt: int
    """From 1; a fallback to another upstream is the next one."""
    tenant_id: TenantId
    key_id: KeyId | None
    subject_id: SubjectId | None
    endpoint: str
    model: str
    """What the client asked for."""
    upstream: str
    upstream_model: str
    amount_micros: int
    """The most this attempt may cost."""
    priced: bool = True
    """False where nobody has said what this model costs; it is then free, and the meter says so."""
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class Bill:
    """How an attempt ended."""

    outcome: str
    """`served`, `client_left`, `upstream_cut`, `content_refused`, or the code of the error that ended it."""
    usage: Usage = NO_USAGE
    cost_micros: int = 0
    upstream_model: str | None = None
    """What the upstream called the model, where it said so."""
    latency_ms: float | None = None
    first_token_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What adding everything up says. `is_sound` is the promise of this module."""

    entries: int
    unbalanced: Sequence[str]
    """Moves whose two rows are not both there, or do not add up to zero."""
    drifted: Sequence[str]
    """Owners whose balances are not what the ledger adds up to."""
    unpaired: Sequence[str]
    """Attempts whose rows do not fit their state: settled without one charge, or ended with money still held."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is out of place."""
        return not (self.unbalanced or self.drifted or self.unpaired)


def key_owner(key_id: KeyId | str) -> str:
    """The budget row of a key."""
    return f"key:{key_id}"


def tenant_owner(tenant_id: TenantId | str) -> str:
    """The budget row of a tenant."""
    return f"tenant:{tenant_id}"


def totals(connection: sa.Connection) -> dict[str, Any]:
    """What the ledger adds up to: its rows, its debits by currency, and one hash over every account's balance.

    Two ledgers with the same totals bill everyone the same.
    """
    columns = ledger.c
    debits = dict[str, int]()
    entries, hashed = 0, hashlib.sha256()
    balances = (
        sa.select(
            columns.account,
            columns.currency,
            sa.func.count().label("rows"),
            sa.func.sum(columns.amount_micros).label("balance"),
            sa.func.sum(sa.case((columns.amount_micros > 0, columns.amount_micros), else_=0)).label("debits"),
        )
        .group_by(columns.account, columns.currency)
        .order_by(columns.account, columns.currency)
    )
    for row in connection.execute(balances):
        entries += row.rows
        debits[row.currency] = debits.get(row.currency, 0) + int(row.debits)
        hashed.update(f"{row.account}\0{row.currency}\0{row.rows}\0{int(row.balance)}\n".encode())
    return {"entries": entries, "debits_micros": debits, "balances_sha256": hashed.hexdigest()}


_reserve_budget = (
    budgets.update()
    .where(
        budgets.c.owner == sa.bindparam("owner_"),
        sa.or_(
            budgets.c.limit_micros.is_(None),
            budgets.c.spent_micros + budgets.c.held_micros + sa.bindparam("amount") <= budgets.c.limit_micros,
        ),
    )
    .values(held_micros=budgets.c.held_micros + sa.bindparam("amount"))
    .returning(budgets.c.limit_micros)
)
_settle_budget = (
    budgets.update()
    .where(budgets.c.owner == sa.bindparam("owner_"))
    .values(
        held_micros=budgets.c.held_micros - sa.bindparam("held"),
        spent_micros=budgets.c.spent_micros + sa.bindparam("cost"),
    )
)
_close_attempt = (
    meter.update()
    .where(
        meter.c.request_id == sa.bindparam("request_"),
        meter.c.attempt == sa.bindparam("attempt_"),
        meter.c.state == RESERVED,
    )
    .values(
        state=sa.bindparam("new_state"),
        ended_at=sa.bindparam("now"),
        input_tokens=sa.bindparam("input_"),
        cached_tokens=sa.bindparam("cached"),
        output_tokens=sa.bindparam("output_"),
        estimated=sa.bindparam("estimated_"),
        cost_micros=sa.bindparam("cost"),
        outcome=sa.bindparam("how"),
        upstream_model=sa.func.coalesce(sa.bindparam("said_model", type_=sa.String), meter.c.upstream_model),
        latency_ms=sa.bindparam("latency"),
        first_token_ms=sa.bindparam("first"),
    )
    .returning(meter.c.reserved_micros, meter.c.currency, meter.c.tenant_id, meter.c.key_id, meter.c.upstream)
)


class Ledger:
    """Writes the moves, at `clock`'s time. Every method works inside the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def reserve(self, connection: sa.Connection, hold: Hold) -> bool:
        """Open an attempt, and hold the most it may cost against the key's and the tenant's budget.

        Returns:
            Whether any of those budgets has a limit, so that the attempt must keep to what it reserved.

        Raises:
            QuotaExhausted: a budget does not have that much left. Let the transaction roll back.
        """
        assert hold.amount_micros >= 0 and hold.attempt >= 1, "attempts count from one, amounts from zero"
        now = self._clock.now()
        limited = False
        if hold.amount_micros:
            for owner in _owners(hold.tenant_id, hold.key_id):
                values = {"owner_": owner, "amount": hold.amount_micros}
                row = connection.execute(_reserve_budget, values).one_or_none()
                if row is None:
                    raise _exhausted(connection, owner, hold)
                limited = limited or row.limit_micros is not None
        connection.execute(
            meter.insert(),
            {
                "request_id": hold.request_id,
                "attempt": hold.attempt,
                "state": RESERVED,
                "tenant_id": hold.tenant_id,
                "key_id": hold.key_id,
                "subject_id": hold.subject_id,
                "endpoint": hold.endpoint,
                "model": hold.model[:300],
                "upstream": hold.upstream,
                "upstream_model": hold.upstream_model[:300],
                "day": now.date().isoformat(),
                "started_at": now,
                "input_tokens": 0,
                "cached_tokens": 0,
                "output_tokens": 0,
                "estimated": False,
                "priced": hold.priced,
                "reserved_micros": hold.amount_micros,
                "cost_micros": 0,
                "currency": hold.currency,
            },
        )
        if hold.amount_micros:
            held = _Move("hold", f"held:{_payer(hold.tenant_id, hold.key_id)}", "clearing", hold.amount_micros)
            _write(connection, hold.request_id, hold.attempt, hold.currency, now, [held])
        return limited

    def settle(self, connection: sa.Connection, request_id: RequestId, attempt: int, bill: Bill) -> bool:
        """Close an attempt that was answered, wholly or in part: give back the hold, charge the cost.

        Returns:
            False if the attempt was already closed; then nothing was changed.
        """
        return self._close(connection, request_id, attempt, SETTLED, bill)

    def release(self, connection: sa.Connection, request_id: RequestId, attempt: int, bill: Bill) -> bool:
        """Close an attempt that delivered nothing: give back the hold, charge nothing. Returns as `settle`."""
        assert bill.cost_micros == 0, "what was not delivered costs nothing"
        return self._close(connection, request_id, attempt, RELEASED, bill)

    def sweep(self, connection: sa.Connection, *, before: datetime | None = None, limit: int = 200) -> int:
        """Release attempts that a dead process left open; returns how many.

        Nobody knows how much of them was sent, so nothing is charged. Trainings are a worker's: they stay.

        Args:
            before: only those begun earlier; None for all, where no other gateway works on this database.
            limit: at most so many, to keep the transaction short. Call again until it returns 0.
        """
        left = sa.select(meter.c.request_id, meter.c.attempt).where(
            meter.c.state == RESERVED, meter.c.endpoint != TRAINING
        )
        if before is not None:
            left = left.where(meter.c.started_at < before)
        rows = connection.execute(left.order_by(meter.c.started_at).limit(limit)).all()
        return sum(self.release(connection, row.request_id, row.attempt, Bill("swept")) for row in rows)

    def audit(self, connection: sa.Connection) -> Audit:
        """Add everything up. Reads every row: for tests, `ikkan meter --audit`, and after an accident."""
        columns = ledger.c
        entries = connection.execute(sa.select(sa.func.count()).select_from(ledger)).scalar_one()
        moves = (
            sa.select(columns.request_id, columns.attempt, columns.kind)
            .group_by(columns.request_id, columns.attempt, columns.kind)
            .having(
                sa.or_(
                    sa.func.count() != 2,
                    sa.func.sum(columns.amount_micros) != 0,
                    sa.func.min(columns.currency) != sa.func.max(columns.currency),
                )
            )
        )
        unbalanced = [f"{row.request_id}/{row.attempt} {row.kind}" for row in connection.execute(moves)]
        return Audit(entries, unbalanced, self._drifted(connection), self._unpaired(connection))

    def _drifted(self, connection: sa.Connection) -> list[str]:
        statement = sa.select(
            meter.c.tenant_id,
            meter.c.key_id,
            sa.func.sum(sa.case((meter.c.state == RESERVED, meter.c.reserved_micros), else_=0)).label("held"),
            sa.func.sum(meter.c.cost_micros).label("spent"),
        ).group_by(meter.c.tenant_id, meter.c.key_id)
        held: dict[str, int] = {}
        spent: dict[str, int] = {}
        by_payer: dict[str, tuple[int, int]] = {}
        for row in connection.execute(statement):
            by_payer[_payer(row.tenant_id, row.key_id)] = (int(row.held), int(row.spent))
            for owner in _owners(row.tenant_id, row.key_id):
                held[owner] = held.get(owner, 0) + int(row.held)
                spent[owner] = spent.get(owner, 0) + int(row.spent)
        drifted = [
            row.owner
            for row in connection.execute(sa.select(budgets))
            if (row.held_micros, row.spent_micros) != (held.get(row.owner, 0), spent.get(row.owner, 0))
        ]
        accounts = sa.select(ledger.c.account, sa.func.sum(ledger.c.amount_micros).label("balance"))
        balances = {row.account: int(row.balance) for row in connection.execute(accounts.group_by(ledger.c.account))}
        for payer, (payer_held, payer_spent) in by_payer.items():
            if balances.get(f"held:{payer}", 0) != payer_held or balances.get(f"spent:{payer}", 0) != payer_spent:
                drifted.append(payer)
        return drifted

    def _unpaired(self, connection: sa.Connection) -> list[str]:
        def count(kind: str) -> Any:
            return (
                sa.select(sa.func.count())
                .select_from(ledger)
                .where(
                    ledger.c.request_id == meter.c.request_id,
                    ledger.c.attempt == meter.c.attempt,
                    ledger.c.kind == kind,
                )
                .scalar_subquery()
            )

        has_hold = sa.case((meter.c.reserved_micros > 0, 2), else_=0)
        has_release = sa.case((meter.c.state == RESERVED, 0), else_=has_hold)
        has_charge = sa.case((meter.c.state == SETTLED, 2), else_=0)
        statement = sa.select(meter.c.request_id, meter.c.attempt, meter.c.state).where(
            sa.or_(count("hold") != has_hold, count("release") != has_release, count("charge") != has_charge)
        )
        return [f"{row.request_id}/{row.attempt} {row.state}" for row in connection.execute(statement)]

    def _close(self, connection: sa.Connection, request_id: RequestId, attempt: int, state: str, bill: Bill) -> bool:
        assert bill.cost_micros >= 0, "an answer does not earn the client money"
        now = self._clock.now()
        row = connection.execute(
            _close_attempt,
            {
                "request_": request_id,
                "attempt_": attempt,
                "new_state": state,
                "now": now,
                "input_": bill.usage.input_tokens,
                "cached": bill.usage.cached_tokens,
                "output_": bill.usage.output_tokens,
                "estimated_": bill.usage.estimated,
                "cost": bill.cost_micros,
                "how": bill.outcome,
                "said_model": bill.upstream_model[:300] if bill.upstream_model else None,
                "latency": bill.latency_ms,
                "first": bill.first_token_ms,
            },
        ).one_or_none()
        if row is None:
            return False
        payer = _payer(row.tenant_id, row.key_id)
        moves = []
        if row.reserved_micros:
            moves.append(_Move("release", f"held:{payer}", "clearing", -row.reserved_micros))
        if state == SETTLED:
            moves.append(_Move("charge", f"spent:{payer}", f"earned:{row.upstream}", bill.cost_micros))
        _write(connection, request_id, attempt, row.currency, now, moves)
        if row.reserved_micros or bill.cost_micros:
            for owner in _owners(row.tenant_id, row.key_id):
                values = {"owner_": owner, "held": row.reserved_micros, "cost": bill.cost_micros}
                changed = connection.execute(_settle_budget, values)
                assert changed.rowcount == 1, "whoever pays has a budget row"
        return True


@dataclass(frozen=True, slots=True)
class _Move:
    kind: str
    debit: str
    credit: str
    amount_micros: int


def _write(
    connection: sa.Connection,
    request_id: RequestId,
    attempt: int,
    currency: str,
    now: datetime,
    moves: Sequence[_Move],
) -> None:
    """Both rows of each move, in one statement."""
    rows = [
        {
            "id": new_id(),
            "request_id": request_id,
            "attempt": attempt,
            "kind": move.kind,
            "side": side,
            "account": account,
            "amount_micros": amount_micros,
            "currency": currency,
            "at": now,
        }
        for move in moves
        for side, account, amount_micros in (
            ("debit", move.debit, move.amount_micros),
            ("credit", move.credit, -move.amount_micros),
        )
    ]
    if rows:
        connection.execute(ledger.insert(), rows)


def open_budget(connection: sa.Connection, owner: str, *, limit_micros: int | None, currency: str = CURRENCY) -> None:
    """Give an owner a budget row; without a limit it only keeps count."""
    row = {
        "owner": owner,
        "currency": currency,
        "limit_micros": limit_micros,
        "held_micros": 0,
        "spent_micros": 0,
    }
    connection.execute(budgets.insert(), row)


def _owners(tenant_id: str, key_id: str | None) -> tuple[str, ...]:
    # Always in this order, so that two transactions never wait for each other.
    return (tenant_owner(tenant_id),) if key_id is None else (key_owner(key_id), tenant_owner(tenant_id))


def _payer(tenant_id: str, key_id: str | None) -> str:
    return tenant_owner(tenant_id) if key_id is None else key_owner(key_id)


def _exhausted(connection: sa.Connection, owner: str, hold: Hold) -> QuotaExhausted:
    row = connection.execute(sa.select(budgets).where(budgets.c.owner == owner)).one_or_none()
    assert row is not None, "whoever pays has a budget row"
    left = row.limit_micros - row.spent_micros - row.held_micros
    who = "this key's" if owner.startswith("key:") else "your organisation's"
    return QuotaExhausted(
        f"this request may cost up to {format_micros(hold.amount_micros, row.currency)}, and of {who} budget of "
        f"{format_micros(row.limit_micros, row.currency)} only {format_micros(max(left, 0), row.currency)} is left",
        hint="ask for fewer tokens (max_tokens), or have the budget raised",
        owner=owner,
        left_micros=left,
        asked_micros=hold.amount_micros,
    )
