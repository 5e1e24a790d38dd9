"""One row of a file as a value, or everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ikkan.apps.shop.rules.importing import cells, times
from ikkan.apps.shop.rules.importing.cells import NotRead
from ikkan.apps.shop.rules.importing.fields import FIELDS
from ikkan.apps.shop.rules.importing.guess import ATTRIBUTE
from ikkan.apps.shop.values import Address, Happened, Ware
from ikkan.apps.shop.values.importing import CellKind, Reading, SheetKind, Trouble

SKEW = timedelta(days=1)
"""So far ahead a clock may be before what it says is refused."""
_HIDDEN = frozenset({"email", "first_name", "last_name", "zip", "line1", "line2", "query"})
"""Fields whose wrong values are not kept in reports: they may name a person."""
_MOST = {"name": 300, "description": 20_000, "category": 300, "brand": 200, "seller": 200, "query": 500}
_MAYBE_MISSING = {"-", "－", "n/a", "na", "null", "none", "なし", "nan", "#n/a", "\\n"}
"""What exports write where there is nothing, in fields that are not needed and no plain text."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of a file of orders: a piece of an order, with what it says of the whole order."""

    order_id: str
    customer_id: str
    product_id: str
    item_id: str
    name: str
    price_micros: int
    quantity: int
    currency: str
    ordered_at: datetime | None
    status: str
    promised_on: date | None
    tracking: str
    payment: str
    person: Person


@dataclass(frozen=True, slots=True)
class Person:
    """A customer as a file knows them; empty where it does not say."""

    customer_id: str
    email: str
    first_name: str
    last_name: str
    address: Address


@dataclass(frozen=True, slots=True)
class News:
    """What a carrier says of an order."""

    order_id: str
    news: str
    """Empty: only another promised day."""
    promised_on: date | None
    said_at: datetime | None


Value = Ware | Happened | OrderLine | Person | News


class RowReader:
    """Reads rows of one file.

    Args:
        mapping: field → column; every column is one of `headers`.
        now: what lies after it has not happened yet.
        day_first: columns in which 3/4/2026 is the third of April.
    """

    def __init__(
        self,
        kind: SheetKind,
        headers: Sequence[str],
        mapping: Mapping[str, str],
        reading: Reading,
        now: datetime,
        *,
        day_first: frozenset[str] = frozenset(),
    ) -> None:
        self.kind = kind
        self._reading = reading
        self._latest = now + SKEW
        self._now = now
        self._zone = times.offset(reading.utc_offset)
        self._day_first = day_first
        places = {header: at for at, header in reversed(list(enumerate(headers)))}
        self._cells = [
            (field.name, places[mapping[field.name]], self._read(field.name, field.reads), field.is_required,
             field.reads in ("text", "list"))
            for field in FIELDS[kind] if field.name in mapping
        ]  # fmt: skip
        self._attributes = [
            (name.removeprefix(ATTRIBUTE), places[column])
            for name, column in mapping.items()
            if name.startswith(ATTRIBUTE)
        ]
        self._make: Callable[[dict[str, Any], Sequence[str]], Value] = {
            "catalogue": self._ware,
            "orders": self._order,
            "events": self._event,
            "carrier": self._news,
            "customers": self._person,
        }[kind]  # type: ignore[assignment]

    def read(self, row: int, given: Sequence[str]) -> Value | list[Trouble]:
        """A value, or everything that is wrong."""
        said: dict[str, Any] = {}
        wrong: list[Trouble] = []
        for name, at, read, is_required, is_words in self._cells:
            text = given[at] if at < len(given) else ""
            if not text or text.isspace():
                if is_required:
                    wrong.append(_trouble(row, name, "", "missing", "this is needed and is empty",
                                          "fill it in, or leave the row out"))  # fmt: skip
                continue
            if not is_required and not is_words and len(text) < 8 and text.strip().casefold() in _MAYBE_MISSING:
                continue
            try:
                said[name] = read(text)
            except NotRead as exc:
                wrong.append(_trouble(row, name, text, exc.code, exc.wrong, exc.hint))
            except times.NoTime:
                wrong.append(_trouble(row, name, text, "not_a_time", f"{text[:60]!r} is no day or time",
                                      "write it like 2026-05-01 or 2026-05-01 09:30"))  # fmt: skip
        if wrong:
            return wrong
        try:
            return self._make(said, given)
        except NotRead as exc:
            field, _, code = exc.code.partition(":")
            return [_trouble(row, field, str(said.get(field, "")), code, exc.wrong, exc.hint)]

    # ---- private -----------------------------------------------------------------------------------------------------

    def _read(self, name: str, reads: CellKind) -> Callable[[str], Any]:
        most = _MOST.get(name, 300)
        first = name in self._day_first
        plain: Mapping[CellKind, Callable[[str], Any]] = {
            "id": cells.key,
            "text": cells.category if name == "category" else lambda text: cells.words(text, most=most),
            "money": cells.money,
            "currency": cells.currency,
            "when": lambda text: times.when(text, self._zone, day_first=first),
            "day": lambda text: times.day(text, self._zone, day_first=first),
            "whole": cells.whole,
            "share": cells.share,
            "number": lambda text: float(cells.number(text)),
            "flag": cells.flag,
            "list": lambda text: cells.parts(cells.words(text, most=2_000)),
            "deed": cells.deed,
            "news": cells.news,
            "status": cells.status,
            "url": cells.url,
            "email": cells.email,
        }
        return plain[reads]

    def _ware(self, said: dict[str, Any], given: Sequence[str]) -> Ware:
        price: cells.Amount = said["price"]
        attributes = {
            name: cells.words(given[at], most=300)
            for name, at in self._attributes
            if at < len(given) and given[at].strip()
        }
        names = {lang: said[f"name_{lang}"] for lang in ("ja", "en", "zh") if f"name_{lang}" in said}
        return Ware(
            said["product_id"],
            said["name"],
            said.get("category", "")[:300],
            price.micros,
            said.get("currency") or price.currency or self._reading.currency,
            self._past("added_at", said.get("added_at")) or self._now,
            said.get("description", ""),
            said.get("brand", ""),
            said.get("seller", ""),
            said.get("margin"),
            said.get("stock"),
            attributes,
            said.get("tags", ()),
            said.get("image", ""),
            said.get("is_listed", True),
            names,
        )

    def _event(self, said: dict[str, Any], given: Sequence[str]) -> Happened:
        at = self._past("at", said["at"])
        assert at is not None
        product_id, deed, query = said.get("product_id"), said.get("deed", self._reading.deed), said.get("query", "")
        if product_id is None and deed != "searched":
            raise NotRead("product_id:missing", "nothing is said of what it was done to", "name the product")
        price: cells.Amount | None = said.get("price")
        micros, quantity = None if price is None else price.micros, said.get("quantity", 1)
        event_id = said.get("event_id")
        if event_id is None:
            told = f"{said['person']}\0{deed}\0{at.timestamp()}\0{product_id}\0{micros}\0{quantity}\0{query}"
            event_id = "f-" + hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
        return Happened(
            event_id, said["person"], deed, at, product_id, said.get("session_id"), None, micros, max(1, quantity),
            said.get("rating"), said.get("used_coupon", False), said.get("dwell"), query,
        )  # fmt: skip

    def _order(self, said: dict[str, Any], given: Sequence[str]) -> OrderLine:
        price: cells.Amount = said["price"]
        quantity = said.get("quantity", 1)
        if not 1 <= quantity <= 1_000:
            raise NotRead("quantity:not_a_quantity", f"{quantity} pieces cannot be ordered", "between 1 and 1,000")
        return OrderLine(
            said["order_id"],
            said["customer_id"],
            said["product_id"],
            said.get("item_id", said["product_id"]),
            said.get("item_name", said["product_id"]),
            price.micros,
            quantity,
            said.get("currency") or price.currency or self._reading.currency,
            self._past("ordered_at", said.get("ordered_at")),
            said.get("status", "pending"),
            said.get("promised_on"),
            said.get("tracking", ""),
            said.get("payment", ""),
            self._person(said, given),
        )

    def _news(self, said: dict[str, Any], given: Sequence[str]) -> News:
        if "news" not in said and "promised_on" not in said:
            raise NotRead("news:missing", "neither news nor a promised day", "fill in one of them")
        said_at = self._past("said_at", said.get("said_at"))
        return News(said["order_id"], said.get("news", ""), said.get("promised_on"), said_at)

    def _person(self, said: dict[str, Any], given: Sequence[str]) -> Person:
        where = Address(*(said.get(name, "") for name in ("line1", "line2", "city", "state", "country", "zip")))
        return Person(
            said["customer_id"], said.get("email", ""), said.get("first_name", ""), said.get("last_name", ""), where
        )

    def _past(self, field: str, at: datetime | None) -> datetime | None:
        if at is not None and at > self._latest:
            raise NotRead(f"{field}:in_the_future", "this has not happened yet", "check the year and the time zone")
        return at


def _trouble(row: int, field: str, value: str, code: str, wrong: str, hint: str) -> Trouble:
    hidden = field in _HIDDEN and bool(value)
    shown = "…" if hidden else value.strip()[:200]
    said = "this cannot be used here" if hidden and value.strip()[:20] in wrong else wrong
    return Trouble(row, field, "".join(each if each.isprintable() else "�" for each in shown), code, said, hint)
