"""The retail format of τ²-bench: its database as our goods and back, its actions as calls of our tools.

Source: sierra-research/tau2-bench (MIT), `data/tau2/domains/retail`. Test material: read, never shipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.support.binding import sha256
from ikkan.apps.shop.values import (
    Address,
    Customer,
    Item,
    Line,
    Method,
    Order,
    Payment,
    Product,
    Shipment,
)
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile
from ikkan.ground.ids import SubjectId, TenantId

Json = dict[str, Any]

NAMES: Mapping[str, str] = {
    "find_user_id_by_email": "sign_in_by_email",
    "find_user_id_by_name_zip": "sign_in_by_name",
    "get_user_details": "my_details",
    "get_order_details": "order_status",
    "get_product_details": "product_details",
    "get_item_details": "item_details",
    "list_all_product_types": "list_products",
    "cancel_pending_order": "cancel_order",
    "modify_pending_order_address": "change_order_address",
    "modify_pending_order_payment": "change_order_payment",
    "modify_pending_order_items": "change_order_items",
    "return_delivered_order_items": "return_items",
    "exchange_delivered_order_items": "exchange_items",
    "modify_user_address": "change_my_address",
    "transfer_to_human_agents": "hand_over",
}
"""Their names of actions → ours. What is not here, like `calculate`, touches no data and is left out."""

_ARGUMENTS = {"payment_method_id": "method_id", "address1": "line1", "address2": "line2"}
_ADDRESS = (
    ("address1", "line1"), ("address2", "line2"), ("city", "city"), ("state", "state"),
    ("country", "country"), ("zip", "zip"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """One customer's wish, and the actions that fulfil it."""

    task_id: str
    actions: tuple[tuple[str, Json], ...]
    scenario: Json


def read_database(path: Path) -> Json:
    """A retail database.

    Raises:
        BadFile: it is none.
    """
    found = _json(path)
    if not isinstance(found, dict) or not {"products", "users", "orders"} <= set(found):
        raise BadFile(f"{path.name} is no retail database", hint="JSON with products, users and orders")
    return found


def read_tasks(path: Path) -> list[Task]:
    """Tasks with gold actions.

    Raises:
        BadFile: these are none.
    """
    found = _json(path)
    try:
        return [
            Task(
                str(task["id"]),
                tuple((each["name"], dict(each["arguments"])) for each in task["evaluation_criteria"]["actions"] or ()),
                (task.get("user_scenario") or {}).get("instructions") or {},
            )
            for task in found
        ]
    except (KeyError, TypeError) as exc:
        raise BadFile(f"{path.name} holds no tasks", hint="a list with evaluation_criteria.actions each") from exc


def bring_in(
    database: Database,
    tenant_id: TenantId,
    found: Json,
    pseudonym: Callable[[str], SubjectId] = lambda customer: SubjectId(sha256([customer])[:32]),
) -> None:
    """Put a retail database into our tables, as one shop.

    Args:
        pseudonym: of a customer's id, as the house makes it; the default is for shops that are thrown away.
    """
    with database.transaction() as connection:
        store.goods.put_products(connection, tenant_id, [_product(each) for each in found["products"].values()])
    with database.transaction() as connection:
        people = [_customer(each) for each in found["users"].values()]
        store.goods.put_customers(connection, tenant_id, people, pseudonym)
    orders = [_order(each) for each in found["orders"].values()]
    for at in range(0, len(orders), 500):
        with database.transaction() as connection:
            store.goods.put_orders(connection, tenant_id, orders[at : at + 500])


def taken_out(database: Database, tenant_id: TenantId, base: Json) -> Json:
    """Our tables as a retail database. `base` gives what support never touches: products, parcels, lists of orders."""
    with database.read() as connection:
        people = store.goods.all_customers(connection, tenant_id)
        orders = store.goods.all_orders(connection, tenant_id)
    assert {each.order_id for each in orders} == set(base["orders"]), "every order is there"
    users = {
        person.customer_id: {
            **base["users"][person.customer_id],
            "address": _address_out(person.address),
            "payment_methods": {name: _method_out(way) for name, way in person.methods.items()},
        }
        for person in people
    }
    bought = {order.order_id: {**base["orders"][order.order_id], **_order_out(order)} for order in orders}
    return {**base, "users": users, "orders": bought}


def as_call(name: str, given: Json) -> tuple[str, Json] | None:
    """One of their actions as a call of our tools; None where it touches no data."""
    if name not in NAMES:
        return None
    renamed = {_ARGUMENTS.get(key, key): value for key, value in given.items()}
    if "new_item_ids" in renamed:
        old, new = renamed.pop("item_ids"), renamed.pop("new_item_ids")
        # Lists of different length are no pairs: as given, they are refused at the door.
        renamed |= (
            {"swaps": [{"item_id": a, "new_item_id": b} for a, b in zip(old, new, strict=True)]}
            if len(old) == len(new)
            else {"item_ids": old, "new_item_ids": new}
        )
    if NAMES[name] in ("my_details", "change_my_address"):
        renamed.pop("user_id", None)  # whose it is, is settled by signing in
    return NAMES[name], renamed


class Fingerprints:
    """sha256 of retail databases that are mostly the same: of what is as in `base`, the digest is known already.

    Amounts count to the cent: theirs are floats with dust in them.

    >>> base = {"orders": {"#1": {"amount": 0.3}}}
    >>> prints = Fingerprints(base)
    >>> prints.of({"orders": {"#1": {"amount": 0.1 + 0.2}}}) == prints.of(base)
    True
    >>> prints.of({"orders": {"#1": {"amount": 0.31}}}) == prints.of(base)
    False
    """

    def __init__(self, base: Json) -> None:
        self._base = base
        self._known = {name: {key: sha256(_cents(row)) for key, row in rows.items()} for name, rows in base.items()}

    def of(self, database: Json) -> str:
        """The digest of every table's every row."""
        return sha256(
            {name: {key: self._row(name, key, row) for key, row in rows.items()} for name, rows in database.items()}
        )

    def _row(self, table: str, key: str, row: Json) -> str:
        if self._base.get(table, {}).get(key) == row:
            return self._known[table][key]
        return sha256(_cents(row))


def _cents(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cents(inside) for key, inside in value.items() if inside is not None}
    if isinstance(value, list):
        return [_cents(inside) for inside in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{round(value, 2) + 0.0:.2f}"
    return value


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise BadFile(f"{path} cannot be read as JSON: {exc}", hint="name the file", path=str(path)) from exc


def _micros(amount: float) -> int:
    return int((Decimal(str(amount)) * 1_000_000).to_integral_value())


def _amount(micros: int) -> float:
    return micros / 1_000_000


def _address(found: Json) -> Address:
    return Address(**{ours: found[theirs] for theirs, ours in _ADDRESS})


def _address_out(address: Address) -> Json:
    return {theirs: getattr(address, ours) for theirs, ours in _ADDRESS}


def _product(found: Json) -> Product:
    items = {
        each["item_id"]: Item(
            each["item_id"], found["product_id"], each["options"], _micros(each["price"]), each["available"]
        )
        for each in found["variants"].values()
    }
    return Product(found["product_id"], found["name"], items)


def _customer(found: Json) -> Customer:
    methods = {
        way["id"]: Method(
            way["id"],
            way["source"],
            _micros(way["balance"]) if "balance" in way else None,
            way.get("brand", ""),
            way.get("last_four", ""),
        )
        for way in found["payment_methods"].values()
    }
    name = found["name"]
    return Customer(
        found["user_id"], name["first_name"], name["last_name"], found["email"], _address(found["address"]), methods
    )


def _method_out(way: Method) -> Json:
    out: Json = {"source": way.kind, "id": way.method_id}
    if way.balance_micros is not None:
        out["balance"] = _amount(way.balance_micros)
    if way.kind == "credit_card":
        out |= {"brand": way.brand, "last_four": way.last_four}
    return out


def _order(found: Json) -> Order:
    return Order(
        found["order_id"],
        found["user_id"],
        found["status"],
        _address(found["address"]),
        tuple(
            Line(each["name"], each["product_id"], each["item_id"], _micros(each["price"]), each["options"])
            for each in found["items"]
        ),
        tuple(
            Payment(each["transaction_type"], _micros(each["amount"]), each["payment_method_id"])
            for each in found["payment_history"]
        ),
        tuple(Shipment(tuple(each["tracking_id"]), tuple(each["item_ids"])) for each in found["fulfillments"]),
    )


def _order_out(order: Order) -> Json:
    out: Json = {
        "status": order.status,
        "address": _address_out(order.address),
        "items": [_line_out(line) for line in order.lines],
        "payment_history": [
            {
                "transaction_type": payment.kind,
                "amount": _amount(payment.amount_micros),
                "payment_method_id": payment.method_id,
            }
            for payment in order.payments
        ],
    }
    if order.cancel_reason is not None:
        out["cancel_reason"] = order.cancel_reason
    if order.returned is not None:
        out["return_items"] = sorted(order.returned.item_ids)
        out["return_payment_method_id"] = order.returned.method_id
    if order.exchanged is not None:
        out["exchange_items"] = sorted(swap.item_id for swap in order.exchanged.swaps)
        out["exchange_new_items"] = sorted(swap.new_item_id for swap in order.exchanged.swaps)
        out["exchange_payment_method_id"] = order.exchanged.method_id
        out["exchange_price_difference"] = _amount(order.exchanged.difference_micros)
    return out


def _line_out(line: Line) -> Json:
    return {
        "name": line.name,
        "product_id": line.product_id,
        "item_id": line.item_id,
        "price": _amount(line.price_micros),
        "options": dict(line.options),
    }


def owner_of(found: Json, actions: Sequence[tuple[str, Json]]) -> str | None:
    """Whose conversation this is, by the first user or order the actions name."""
    for _, given in actions:
        if given.get("user_id") in found["users"]:
            return str(given["user_id"])
        if given.get("order_id") in found["orders"]:
            return str(found["orders"][given["order_id"]]["user_id"])
    return None
