"""Replaying τ-style gold actions through our tools, confirmations included, beside what the published actions do.

A fresh shop for each task; each action is proposed, and where the desk asks, its own digest is given back as the
customer's yes. Equal means: the sha256 of the whole database afterwards is the oracle's.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ikkan.apps.shop.service import published, tau
from ikkan.apps.shop.service.desk import SupportDesk
from ikkan.apps.shop.service.tau import Json, Task
from ikkan.apps.shop.values import Outcome
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.ids import TenantId

SHOP = TenantId("replay")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One task, done by our tools."""

    task_id: str
    equal: bool
    """Whether the database is the one the published actions make, their fault included."""
    equal_by_policy: bool
    """Whether it is the one of the policy document, where each changed item has its own price."""
    ours_sha256: str
    published_sha256: str
    writes: int
    refused: tuple[str, ...]
    """Actions our tools refused, with the reason: `cancel_order: order_is_pending`."""
    left_out: int
    """Actions that touch no data and have no tool of ours."""
    signed_in_for: bool
    """Whether the actions did not say who the customer is, so that the owner of what they name was signed in."""


class Shops:
    """One shop, as new for each task: loaded once, then put back as a file."""

    def __init__(self, found: Json, folder: Path) -> None:
        self.found = found
        self.prints = tau.Fingerprints(found)
        self._template, self._path = folder / "template.db", folder / "shop.db"
        url = f"sqlite:///{self._template}"
        upgrade(url)
        database = Database(url)
        tau.bring_in(database, SHOP, found)
        database.close()
        # One engine for all tasks: it remembers how statements are written.
        self._database = Database(f"sqlite:///{self._path}")

    def fresh(self) -> Database:
        """The shop as nobody has touched it. What was taken from here before must not be used any more."""
        self.close()
        for beside in ("-wal", "-shm"):
            self._path.with_name(self._path.name + beside).unlink(missing_ok=True)
        shutil.copyfile(self._template, self._path)
        return self._database

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


@contextmanager
def shops(found: Json) -> Iterator[Shops]:
    """A retail database as a shop, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ikkan-replay-") as folder:
        made = Shops(found, Path(folder))
        try:
            yield made
        finally:
            made.close()


def replay(
    tasks: Sequence[Task], found: Json, *, tell: Callable[[int, int], None] = lambda done, total: None
) -> list[Replayed]:
    """Every task on a fresh shop."""
    made = []
    with shops(found) as shop:
        for task in tasks:
            made.append(_one(task, shop))
            tell(len(made), len(tasks))
    return made


def expected(found: Json, actions: Sequence[tuple[str, Json]], *, own_prices: bool = False) -> Json:
    """The database after the published actions. What they cannot reach is shared with `found`, which stays as it is."""
    made = {name: dict(rows) for name, rows in found.items()}
    for name, given in actions:
        for table, key in (("orders", given.get("order_id")), ("users", given.get("user_id"))):
            _own(made, table, key)
            if table == "orders" and key in made[table]:
                _own(made, "users", made[table][key]["user_id"])
        published.apply(made, name, given, own_prices=own_prices)
    return made


def _own(made: Json, table: str, key: str | None) -> None:
    if key in made[table]:
        made[table][key] = copy.deepcopy(made[table][key])


def _one(task: Task, shop: Shops) -> Replayed:
    database = shop.fresh()
    desk = SupportDesk(database, SystemClock())
    talk_id = desk.start(SHOP)
    signed_in_for = False
    outcomes: list[tuple[tuple[str, Json], Outcome]] = []
    left_out = 0
    for name, given in task.actions:
        call = tau.as_call(name, given)
        if call is None:
            left_out += 1
            continue
        owner = tau.owner_of(shop.found, [(name, given)])
        if owner is not None and desk.talk(SHOP, talk_id).customer_id is None:
            signed_in_for = True
            desk.propose(SHOP, talk_id, "sign_in_by_email", {"email": shop.found["users"][owner]["email"]})
        if _is_anothers(desk, talk_id, given):
            outcomes.append(((name, given), Outcome("refused", call[0], code="another_customer")))
            continue
        outcome = desk.propose(SHOP, talk_id, *call)
        if outcome.kind == "asked":
            outcome = desk.confirm(SHOP, talk_id, outcome.proposal_id, outcome.digest)
        outcomes.append(((name, given), outcome))
    ours = tau.taken_out(database, SHOP, shop.found)
    done = [action for action, outcome in outcomes if outcome.kind == "done"]
    prints = shop.prints
    theirs = prints.of(expected(shop.found, task.actions))
    by_policy = prints.of(expected(shop.found, task.actions, own_prices=True))
    plain, dialect = prints.of(ours), prints.of(with_last_prices(ours, done))
    return Replayed(
        task.task_id,
        dialect == theirs,
        plain == by_policy,
        plain,
        theirs,
        len(done),
        tuple(f"{outcome.tool}: {outcome.code}" for _, outcome in outcomes if outcome.kind == "refused"),
        left_out,
        signed_in_for,
    )


def _is_anothers(desk: SupportDesk, talk_id: str, given: Json) -> bool:
    """Whether an action names a user who is not the one of this conversation. Ours take that from the sign-in alone."""
    return given.get("user_id") not in {None, desk.talk(SHOP, talk_id).customer_id}


def with_last_prices(ours: Json, done: Sequence[tuple[str, Json]]) -> Json:
    """Our database as the published code would show it: see `published` for its one fault.

    Only lines that a change of several items brought get another price and other options; all else must be equal.
    """
    made = {name: dict(rows) for name, rows in ours.items()}
    for name, given in done:
        if name == "modify_pending_order_items" and len(given["new_item_ids"]) > 1:
            _own(made, "orders", given["order_id"])
            order, last = made["orders"][given["order_id"]], given["new_item_ids"][-1]
            source = next(each for each in order["items"] if each["item_id"] == last)
            for line in order["items"]:
                if line["item_id"] in given["new_item_ids"]:
                    line |= {"price": source["price"], "options": source["options"]}
    return made
