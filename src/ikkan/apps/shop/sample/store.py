"""The sample store: about 400 wares, 300 customers and what they did in eight weeks, from a seed. Nobody in it exists.

Tastes can be learned: each person likes two aisles and one style, comes back to what runs out, and looks before they
buy; the first days of a person say something of the rest. Orders are the purchases of the last weeks: most have come,
some are on their way, one is late. Products of support have the ids of the wares.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate

from ikkan.apps.shop.sample.words import AISLES, BRANDS, FIRST, LAST, OPTIONS, SELLERS, STYLES, TOWNS, Aisle
from ikkan.apps.shop.values import (
    Address,
    Customer,
    Happened,
    Item,
    Line,
    Method,
    Order,
    Payment,
    Product,
    Shipment,
    Ware,
)
from ikkan.apps.shop.values.goods import DELIVERED, PENDING, PROCESSED

DAYS = 56
_AHEAD = timedelta(days=1)
"""Nothing else is promised for earlier: in the shop's own time zone it may be tomorrow already."""
_VISITS = (5, 11)
"""A person comes so often in all, at least and at most."""


@dataclass(frozen=True, slots=True)
class Store:
    """All of it."""

    wares: tuple[Ware, ...]
    products: tuple[Product, ...]
    customers: tuple[Customer, ...]
    events: tuple[Happened, ...]
    """By time; `person` is the customer's id."""
    orders: tuple[Order, ...]
    promised: tuple[tuple[str, date], ...]
    """Order → the day it is promised for."""
    late: str
    """The order whose promised day has passed."""


@dataclass(frozen=True, slots=True)
class _Taste:
    aisles: tuple[int, int]
    style: int
    spends: float
    """How much a price puts them off: higher buys cheaper."""


def sample_store(seed: int, *, end: datetime, people: int = 300) -> Store:
    """The store from a seed: the same seed and end, the same store.

    Args:
        end: when it stands so; what people did lies in the eight weeks before.

    >>> from datetime import UTC
    >>> store = sample_store(1, end=datetime(2026, 6, 1, 12, tzinfo=UTC), people=20)
    >>> len(store.wares) > 380, len(store.customers), store == sample_store(1, end=store.events[-1].at, people=20)
    (True, 20, False)
    """
    dice = random.Random(f"store-{seed}")
    wares, products, places = _shelf(dice, end)
    customers = tuple(_customer(dice, number) for number in range(people))
    events: list[Happened] = []
    for customer in customers:
        events += _life(dice, customer.customer_id, wares, places, end)
    events.sort(key=lambda each: (each.at, each.event_id))
    orders, promised, late = _orders(dice, customers, products, events, end)
    return Store(wares, products, customers, tuple(events), orders, promised, late)


# ---- the shelf -------------------------------------------------------------------------------------------------------

_Places = list[tuple[int, int]]
"""Of each ware its aisle and style."""


def _shelf(dice: random.Random, end: datetime) -> tuple[tuple[Ware, ...], tuple[Product, ...], _Places]:
    wares: list[Ware] = []
    products: list[Product] = []
    places: _Places = []
    for aisle_at, aisle in enumerate(AISLES):
        for kind in aisle.kinds:
            for style_at, style in enumerate(STYLES):
                number = len(wares) + 1
                product_id = f"p{number:04d}"
                yen = max(100, round(kind.yen * style.times * dice.uniform(0.9, 1.1), -1))
                choices = OPTIONS[kind.option]
                items = {
                    f"{product_id}-{at}": Item(
                        f"{product_id}-{at}",
                        product_id,
                        {kind.option: choice} if choice else {},
                        int(yen * 1_000_000 * (1 + 0.15 * at * (kind.option == "size"))),
                        at == 1 or dice.random() < 0.85,
                    )
                    for at, choice in enumerate(choices, 1)
                }
                name = f"{style.en} {kind.en}"
                wares.append(
                    Ware(
                        product_id,
                        name,
                        aisle.en,
                        min(item.price_micros for item in items.values() if item.is_available),
                        "JPY",
                        end - timedelta(days=dice.choice((400, 300, 200, 100, 40, 5))),
                        f"{style.en} {kind.en.lower()} for {', '.join(aisle.tags)}.",
                        dice.choice(BRANDS),
                        SELLERS[(aisle_at + style_at) % len(SELLERS)],
                        round(dice.uniform(0.15, 0.45), 2),
                        None if aisle.refill_days else dice.choice((0, 3, 12, 40, 120, 120)),
                        {"style": style.en.lower(), "kind": kind.en.lower()},
                        tuple(dict.fromkeys((*aisle.tags, *style.tags))),
                        names={"ja": f"{style.ja}{kind.ja}", "en": name},
                    )
                )
                products.append(Product(product_id, name, items))
                places.append((aisle_at, style_at))
    return tuple(wares), tuple(products), places


# ---- people ----------------------------------------------------------------------------------------------------------


def _customer(dice: random.Random, number: int) -> Customer:
    first, last = dice.choice(FIRST), dice.choice(LAST)
    customer_id = f"c{number:04d}"
    town, state, code = dice.choice(TOWNS)
    ways = {f"credit_card_{customer_id}": Method(f"credit_card_{customer_id}", "credit_card", None, "jcb", "0000")}
    if number % 3 == 0:
        ways[f"gift_card_{customer_id}"] = Method(f"gift_card_{customer_id}", "gift_card", 5_000_000_000)
    where = Address(f"{dice.randint(1, 9)}-{dice.randint(1, 20)}", "", town, state, "Japan", code.format(number % 100))
    return Customer(customer_id, first, last, f"{first.lower()}.{last.lower()}.{number}@store.example", where, ways)


def _life(dice: random.Random, person: str, wares: Sequence[Ware], places: _Places, end: datetime) -> list[Happened]:
    first, second = dice.sample(range(len(AISLES)), 2)
    taste = _Taste((first, second), dice.randrange(len(STYLES)), dice.uniform(0.2, 1.2))
    weights = [_likes(taste, ware, place) for ware, place in zip(wares, places, strict=True)]
    total = list(accumulate(weights))
    told: list[Happened] = []
    owned: set[str] = set()
    times = sorted(end - timedelta(days=dice.uniform(0, DAYS)) for _ in range(dice.randint(*_VISITS)))
    for visit, began in enumerate(times):
        at, session = began, f"{person}-s{visit}"

        def tell(deed: str, ware: Ware, at: datetime = began, session: str = session, **more: object) -> None:
            told.append(
                Happened(
                    f"{person}-{len(told):04d}", person, deed, at, ware.product_id, session,  # type: ignore[arg-type]
                    price_micros=ware.price_micros, **more,  # type: ignore[arg-type]
                )
            )  # fmt: skip

        for _ in range(dice.randint(1, 5)):
            found = dice.choices(range(len(wares)), cum_weights=total)[0]
            ware = wares[found]
            if not ware.can_be_had or (ware.product_id in owned and not AISLES[places[found][0]].refill_days):
                continue
            wish = weights[found] / (weights[found] + 3.0)
            at += timedelta(seconds=dice.randint(20, 200))
            tell("viewed", ware, at, dwell_s=round(dice.uniform(5, 20) + 60 * wish, 1))
            if dice.random() < 0.1 + 0.35 * wish:
                at += timedelta(seconds=dice.randint(5, 60))
                tell("carted", ware, at)
                if dice.random() < 0.55:
                    at += timedelta(seconds=dice.randint(30, 300))
                    tell("bought", ware, at, used_coupon=dice.random() < taste.spends / 4)
                    owned.add(ware.product_id)
                    _afterwards(dice, told, person, ware, AISLES[places[found][0]], wish, at, end)
    return [each for each in told if each.at <= end]


def _afterwards(
    dice: random.Random, told: list[Happened], person: str, ware: Ware, aisle: Aisle, wish: float, at: datetime,
    end: datetime,
) -> None:  # fmt: skip
    """What comes of a purchase: it runs out and is bought again, or it was not what was wanted and goes back."""

    def tell(deed: str, when: datetime) -> None:
        told.append(
            Happened(f"{person}-{len(told):04d}", person, deed, when, ware.product_id,  # type: ignore[arg-type]
                     price_micros=ware.price_micros)
        )  # fmt: skip

    if aisle.refill_days:
        again = at
        while dice.random() < 0.7:
            again += timedelta(days=aisle.refill_days * dice.uniform(0.8, 1.2))
            if again >= end:
                break
            tell("bought", again)
    elif dice.random() < 0.3 * (1 - wish):
        back = at + timedelta(days=dice.uniform(4, 12))
        if back < end:
            tell("returned", back)


def _likes(taste: _Taste, ware: Ware, place: tuple[int, int]) -> float:
    aisle, style = place
    like = 12.0 if aisle == taste.aisles[0] else 6.0 if aisle == taste.aisles[1] else 0.25
    if style == taste.style:
        like *= 4.0
    elif set(STYLES[style].tags) & set(STYLES[taste.style].tags):
        like *= 1.8
    return like * (3_000_000_000 / max(ware.price_micros, 300_000_000)) ** (taste.spends * 0.5)


# ---- orders ----------------------------------------------------------------------------------------------------------


def _orders(
    dice: random.Random,
    customers: Sequence[Customer],
    products: Sequence[Product],
    events: Sequence[Happened],
    end: datetime,
) -> tuple[tuple[Order, ...], tuple[tuple[str, date], ...], str]:
    people = {each.customer_id: each for each in customers}
    known = {each.product_id: each for each in products}
    returned = {(each.person, each.product_id) for each in events if each.deed == "returned"}
    baskets: dict[tuple[str, str], list[Happened]] = {}
    for each in events:
        if each.deed == "bought":
            baskets.setdefault((each.person, each.session_id or each.event_id), []).append(each)
    made: list[Order] = []
    promised: list[tuple[str, date]] = []
    late = ""
    for number, ((person, _), bought) in enumerate(sorted(baskets.items(), key=lambda each: each[1][0].at), 1):
        age_days = (end - bought[0].at).total_seconds() / 86_400
        went_back = any((person, each.product_id) in returned for each in bought)
        status = DELIVERED if age_days > 4 or went_back else PROCESSED if age_days > 1 else PENDING
        due = bought[0].at.date() + timedelta(days=dice.randint(3, 5))
        if not late and status == DELIVERED and 5 < age_days < 8 and not went_back:
            status, late, due = PROCESSED, f"#S{number:05d}", end.date() - timedelta(days=2)
        order = _order(dice, people[person], known, f"#S{number:05d}", status, bought)
        made.append(order)
        if status != DELIVERED:
            promised.append((order.order_id, max(due, end.date() + _AHEAD) if order.order_id != late else due))
    return tuple(made), tuple(promised), late


def _order(
    dice: random.Random, customer: Customer, known: dict[str, Product], order_id: str, status: str,
    bought: Sequence[Happened],
) -> Order:  # fmt: skip
    lines = []
    for each in bought:
        product = known[str(each.product_id)]
        item = dice.choice([item for item in product.items.values() if item.is_available] or [*product.items.values()])
        lines.append(Line(product.name, product.product_id, item.item_id, item.price_micros, item.options))
    total = sum(line.price_micros for line in lines)
    method = next(iter(customer.methods))
    sent = status in (DELIVERED, PROCESSED)
    shipments = (Shipment((f"T{order_id[2:]}",), tuple(line.item_id for line in lines)),) if sent else ()
    return Order(
        order_id, customer.customer_id, status, customer.address, tuple(lines), (Payment("payment", total, method),),
        shipments, "JPY", "on the way" if status == PROCESSED else "",
    )  # fmt: skip
