"""The typed arguments of every tool, checked at the one door through which a call comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

import msgspec

from ikkan.apps.shop.values import Address, Swap

A = TypeVar("A")
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Blank = Annotated[str, msgspec.Meta(max_length=200)]
Items = Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=50)]
Swaps = Annotated[tuple[Swap, ...], msgspec.Meta(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A tool that needs to be told nothing."""


@dataclass(frozen=True, slots=True)
class ByEmail:
    email: Word


@dataclass(frozen=True, slots=True)
class ByName:
    first_name: Word
    last_name: Word
    zip: Word


@dataclass(frozen=True, slots=True)
class OfOrder:
    order_id: Id


@dataclass(frozen=True, slots=True)
class OfProduct:
    product_id: Id


@dataclass(frozen=True, slots=True)
class OfItem:
    item_id: Id


@dataclass(frozen=True, slots=True)
class Cancel:
    order_id: Id
    reason: Word


@dataclass(frozen=True, slots=True)
class ToAddress:
    line1: Word
    line2: Blank
    city: Word
    state: Word
    country: Word
    zip: Word

    @property
    def address(self) -> Address:
        """As a value."""
        return Address(self.line1, self.line2, self.city, self.state, self.country, self.zip)


@dataclass(frozen=True, slots=True)
class OrderToAddress(ToAddress):
    order_id: Id


@dataclass(frozen=True, slots=True)
class OrderToMethod:
    order_id: Id
    method_id: Id


@dataclass(frozen=True, slots=True)
class SwapItems:
    order_id: Id
    swaps: Swaps
    method_id: Id


@dataclass(frozen=True, slots=True)
class ReturnItems:
    order_id: Id
    item_ids: Items
    method_id: Id


@dataclass(frozen=True, slots=True)
class ToPerson:
    summary: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


def read(kind: type[A], given: object) -> A:
    """Arguments as the tool's own type.

    Raises:
        ValueError: something is missing, of another type, too long, or not asked for; the message says where.

    >>> read(Cancel, {"order_id": "#W1", "reason": "no longer needed"})
    Cancel(order_id='#W1', reason='no longer needed')
    >>> read(Cancel, {"order_id": "#W1", "reason": "no longer needed", "confirmed": True})
    Traceback (most recent call last):
    ValueError: 'confirmed' is no argument of this tool
    """
    if not isinstance(given, Mapping):
        raise ValueError("arguments are an object")
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no argument of this tool")
    try:
        return msgspec.convert(dict(given), type=kind, strict=True)
    except msgspec.ValidationError as exc:
        raise ValueError(str(exc)) from exc


def plain(arguments: Any) -> dict[str, Any]:
    """Arguments as JSON values; `read` makes them again."""
    made: dict[str, Any] = msgspec.to_builtins(arguments)
    return made
