"""The store as somebody walks through it: whoever they are, one person with one history, from a look to a return.

A page is asked for with what the person just did; that is told first, so the list on the very page has seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.basket import basket_of
from ikkan.apps.shop.rules.finding import found
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import (
    Address,
    Customer,
    Deed,
    Happened,
    Item,
    Language,
    Line,
    Method,
    Order,
    Payment,
    Policy,
    Ware,
)
from ikkan.apps.shop.values.goods import CANCELLED, PENDING
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import SubjectId, TenantId, new_id

OWN = "subject:"
"""Before a pseudonym, as a person's id: the signed-in person themselves, who needs no other."""
_NOWHERE = Address("", "", "", "", "", "")
_CARD = Method("card", "credit_card", None, "demo", "0000")
"""How an order of the demonstration is paid: no money moves, and support can pay it back to somewhere."""


@dataclass(frozen=True, slots=True)
class Held:
    """A line of the basket."""

    ware: Ware
    pieces: int


class Storefront:
    """A store that can be walked through.

    Args:
        carrier: knows what is offered to whom whose parcel is late.
    """

    def __init__(
        self, database: Database, clock: Clock, suggesting: Suggesting, talks: Conversation, carrier: Carrier
    ) -> None:
        self._database = database
        self._clock = clock
        self.suggesting = suggesting
        self.talks = talks
        self.carrier = carrier

    def ware(self, tenant_id: TenantId, product_id: str) -> Ware:
        """Something on the shelf.

        Raises:
            NotFound: this shop has no such thing, or has taken it from the shelf.
        """
        found = self.suggesting.shelf(tenant_id).ware(product_id)
        if found is None or not found.is_listed:
            raise NotFound("this is not on the shelf any more", hint="go back to the store: /shop")
        return found

    def did(
        self,
        tenant_id: TenantId,
        person: str,
        deed: Deed,
        product_id: str | None = None,
        *,
        impression_id: str | None = None,
        quantity: int = 1,
        query: str = "",
    ) -> None:
        """Note what somebody just did here; the next list has seen it."""
        price = None if product_id is None else self.ware(tenant_id, product_id).price_micros
        event = Happened(
            new_id("did"), person, deed, self._clock.now(), product_id, impression_id=impression_id or None,
            price_micros=price, quantity=quantity, query=query,
        )  # fmt: skip
        told = self.suggesting.tell(tenant_id, [event])
        if told.refused:
            raise BadInput(told.refused[0][1], hint="reload the page and try again")

    def basket(self, tenant_id: TenantId, person: str) -> list[Held]:
        """What is in somebody's basket and still on the shelf."""
        shelf = self.suggesting.shelf(tenant_id)
        held = basket_of(self.suggesting.history(tenant_id, person, limit=200))
        return [Held(ware, pieces) for id, pieces in held.items() if (ware := shelf.ware(id)) is not None]

    def orders(self, tenant_id: TenantId, person: str, *, most: int = 8) -> list[Order]:
        """Somebody's orders: the latest that were not dropped."""
        with self._database.read() as connection:
            return store.counter.open_orders(connection, tenant_id, (CANCELLED,), most, customer_id=person)

    def buy(self, tenant_id: TenantId, person: str, wanted: Sequence[Held], *, impression_id: str | None = None) -> str:
        """Place an order in one transaction with the news of it; returns its number.

        Raises:
            BadInput: nothing is wanted, or one of them is sold out; nothing was ordered.
        """
        if not wanted:
            raise BadInput("the basket is empty", hint="put something in first")
        gone = [each.ware.name for each in wanted if not each.ware.can_be_had]
        if gone:
            raise BadInput(f"sold out: {', '.join(gone)}", hint="take it out of the basket and order again")
        now = self._clock.now()
        order_id = _number()
        with self._database.transaction() as connection:
            for each in wanted:
                if not store.counter.take(connection, tenant_id, each.ware.product_id, each.pieces):
                    raise BadInput(f"sold out: {each.ware.name}", hint="take it out of the basket and order again")
            customer = self._customer(connection, tenant_id, person)
            items = [(self._item(connection, tenant_id, each.ware), each) for each in wanted]
            lines = tuple(
                Line(each.ware.name, each.ware.product_id, item.item_id, item.price_micros, item.options)
                for item, each in items
                for _ in range(each.pieces)
            )
            paid = sum(line.price_micros for line in lines)
            method = next(iter(customer.methods))
            store.goods.put_orders(
                connection,
                tenant_id,
                [
                    Order(
                        order_id,
                        person,
                        PENDING,
                        customer.address,
                        lines,
                        (Payment("payment", paid, method),),
                        currency=wanted[0].ware.currency,
                    )
                ],
            )
            news = [
                Happened(
                    new_id("did"), person, "bought", now, each.ware.product_id, impression_id=impression_id or None,
                    price_micros=each.ware.price_micros, quantity=each.pieces,
                )
                for each in wanted
            ]  # fmt: skip
            self.suggesting.tell(tenant_id, news, connection=connection)
        return order_id

    def find(self, tenant_id: TenantId, query: str, *, category: str = "") -> list[Ware]:
        """Wares that fit a search, the best first."""
        wares = (ware for ware in list(self.suggesting.shelf(tenant_id).wares) if ware is not None)
        return found(wares, query, category=category)

    def categories(self, tenant_id: TenantId) -> list[str]:
        """The departments of the store."""
        wares = [ware for ware in list(self.suggesting.shelf(tenant_id).wares) if ware is not None and ware.is_listed]
        return sorted({ware.category.split(" > ")[0] for ware in wares if ware.category})

    def help_with(self, tenant_id: TenantId, person: str, *, language: Language, subject_id: SubjectId | None) -> str:
        """A conversation in which the person need not say who they are: the page knows; returns its id."""
        with self._database.read() as connection:
            known = store.goods.subject_of(connection, tenant_id, person)
        return self.talks.start(
            tenant_id, language=language, subject_id=subject_id, customer_id=person if known is not None else None
        )

    def personas(self, tenant_id: TenantId, *, most: int = 60) -> list[tuple[str, str]]:
        """Customers one can shop as: id and name."""
        with self._database.read() as connection:
            return store.counter.some_people(connection, tenant_id, most)

    def _customer(self, connection: sa.Connection, tenant_id: TenantId, person: str) -> Customer:
        case = store.goods.case_of(connection, tenant_id, person, Policy())
        if case.customer is not None and case.customer.methods:
            return case.customer
        new = Customer(person, "", "", "", _NOWHERE, {_CARD.method_id: _CARD})
        store.goods.put_customers(connection, tenant_id, [new], lambda id: self.suggesting.pseudonym(tenant_id, id))
        return new

    def _item(self, connection: sa.Connection, tenant_id: TenantId, ware: Ware) -> Item:
        case = store.goods.case_of(connection, tenant_id, None, Policy(), product_id=ware.product_id)
        product = case.products.get(ware.product_id)
        can_be_had = [item for item in product.items.values() if item.is_available] if product else []
        if can_be_had:
            return min(can_be_had, key=lambda item: (item.price_micros, item.item_id))
        return Item(ware.product_id, ware.product_id, {}, ware.price_micros, True)


def _number() -> str:
    """The number of a new order: later ones sort after earlier ones."""
    digits = new_id().replace("-", "")
    return f"#X{digits[:12]}{digits[13:16]}".upper()
