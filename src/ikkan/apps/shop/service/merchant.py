"""What a merchant looks at: the shelf's health, what happens now, and what the loops of this shop learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest.shelf import Shelf
from ikkan.apps.shop.service.storefront import Storefront
from ikkan.apps.shop.values import Order
from ikkan.apps.shop.values.goods import CANCELLED, DELIVERED
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.ids import TenantId
from ikkan.models.registry import Registry

_WEEK = timedelta(days=7)
_LISTS = 20_000
"""So many of the latest lists are looked through."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the shelf is."""

    wares: int
    can_be_had: int
    sold_out: int
    never_shown: int
    """Could be had, and no list of the last seven days had it."""
    without_description: int
    without_attributes: int


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happens now. Who it was stays a pseudonym."""

    at: datetime
    who: str
    deed: str
    what: str


class Merchant:
    """The merchant's desk.

    Args:
        standing: what the flywheel says of this app's learnables, by name; asked each time.
    """

    def __init__(
        self, database: Database, clock: Clock, front: Storefront, standing: Callable[[], Sequence[Mapping[str, str]]]
    ) -> None:
        self._database = database
        self._clock = clock
        self.front = front
        self.suggesting = front.suggesting
        self._standing = standing

    def health(self, tenant_id: TenantId) -> Health:
        """How the shelf is now."""
        wares = [ware for ware in list(self.suggesting.shelf(tenant_id).wares) if ware is not None and ware.is_listed]
        with self._database.read() as connection:
            now = self._clock.now()
            lists = store.behaviour.shown_between(connection, tenant_id, now - _WEEK, now, _LISTS)
        shown = {product_id for each in lists for product_id, *_ in each.places}
        have = [ware for ware in wares if ware.can_be_had]
        return Health(
            len(wares),
            len(have),
            len(wares) - len(have),
            sum(ware.product_id not in shown for ware in have),
            sum(not ware.description for ware in wares),
            sum(not ware.attributes for ware in wares),
        )

    def lately(self, tenant_id: TenantId, language: str, most: int = 20) -> list[Happening]:
        """What happened last, the newest first, with names of wares in a language."""
        shelf = self.suggesting.shelf(tenant_id)
        with self._database.read() as connection:
            newest = store.behaviour.last_seq(connection)
            rows = store.behaviour.latest(connection, tenant_id, newest, most)[::-1]
        return [
            Happening(
                row.event.at,
                row.subject_id[-6:],
                row.event.deed,
                row.event.query or _named(shelf, row.event.product_id or "", language),
            )
            for row in rows
        ]

    def on_their_way(self, tenant_id: TenantId, language: str, most: int = 12) -> list[Order]:
        """Orders that were not delivered yet, the newest first, with names of wares in a language."""
        shelf = self.suggesting.shelf(tenant_id)
        with self._database.read() as connection:
            orders = store.counter.open_orders(connection, tenant_id, (DELIVERED, CANCELLED), most)
        return [
            replace(
                order,
                lines=tuple(
                    replace(line, name=_named(shelf, line.product_id, language, line.name)) for line in order.lines
                ),
            )
            for order in orders
        ]

    def learns(self) -> Sequence[Mapping[str, str]]:
        """Where each learnable of this app stands."""
        return self._standing()


def _named(shelf: Shelf, product_id: str, language: str, otherwise: str = "") -> str:
    ware = shelf.ware(product_id)
    return otherwise or product_id if ware is None else ware.name_in(language)


def standings(registry: Registry, names: Sequence[str]) -> list[dict[str, str]]:
    """Who serves of each learnable, and whether somebody is being tried, in words."""
    found = []
    for name in names:
        aliases = registry.aliases(name)
        champion, challenger = aliases.get("champion"), aliases.get("challenger")
        says = {
            "en": f"serving {_short(champion)}" if champion else "nothing learned yet",
            "ja": f"稼働中 {_short(champion)}" if champion else "まだ学んでいません",
        }
        if challenger:
            says = {
                "en": f"{says['en']}, trying {_short(challenger)}",
                "ja": f"{says['ja']}、試行中 {_short(challenger)}",
            }
        found.append({"name": name, "says_en": says["en"], "says_ja": says["ja"]})
    return found


def _short(artifact_id: str) -> str:
    return artifact_id.removeprefix("sha256:")[:12]
