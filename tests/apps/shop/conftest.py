"""An invented shop with a support desk, on both databases; and the recorded cases, where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.shop.sample.goods import invented
from ikkan.apps.shop.service import SupportDesk, replay, tau
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import Ask, Happened, Told, Ware
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId, TenantId

HOUSE = Path(__file__).parents[3]
FOUND = invented(3, people=4)
"""Four people; each has something pending, something delivered, and something pending again."""


class Desk(SupportDesk):
    """The desk, with shorter ways to say what tests say."""

    def come_in(self, user: str, *, language: str = "en") -> str:
        """A conversation in which a customer has said who they are."""
        talk_id = self.start(SHOP, language=language)
        self.propose(SHOP, talk_id, "sign_in_by_email", {"email": FOUND["users"][user]["email"]})
        return talk_id

    def ask(self, talk_id: str, name: str, **given: Any) -> Any:
        """Propose one of the published actions."""
        call = tau.as_call(name, given)
        assert call is not None
        return self.propose(SHOP, talk_id, *call)

    def yes(self, talk_id: str, asked: Any) -> Any:
        """The customer's yes to exactly this question."""
        return self.confirm(SHOP, talk_id, asked.proposal_id, asked.digest)

    def shop(self) -> dict[str, Any]:
        """Everything there is, in the retail format."""
        return tau.taken_out(self.database, SHOP, FOUND)


@pytest.fixture
def desk(database: Database, clock: FakeClock) -> Desk:
    tau.bring_in(database, SHOP, FOUND)
    return Desk(database, clock)


@pytest.fixture
def talks(desk: Desk) -> Conversation:
    return Conversation(desk)


@pytest.fixture
def me() -> str:
    """A customer whose gift card covers one of two open orders."""
    return next(iter(FOUND["users"]))


@pytest.fixture
def other() -> str:
    return list(FOUND["users"])[1]


@pytest.fixture(scope="module")
def hostile_shop() -> Iterator[replay.Shops]:
    """A shop in which some products are called by sentences that want to be obeyed."""
    with replay.shops(invented(7, hostile=True)) as shop:
        yield shop


@pytest.fixture(scope="session")
def retail() -> Path:
    """The recorded cases, beside the repository or where IKKAN_TEST_DATA says."""
    root = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    folder = root / "shop" / "tau2" / "retail"
    if not (folder / "tasks_train.json").is_file():
        pytest.skip(
            f"the retail cases of tau2-bench are not here: {folder}; set IKKAN_TEST_DATA to the folder with them"
        )
    return folder


@pytest.fixture(scope="session")
def journey() -> Path:
    """The Complete Journey, beside the repository or where IKKAN_TEST_DATA says."""
    root = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    folder = root / "shop" / "completejourney"
    if not (folder / "products.rda").is_file():
        pytest.skip(f"the Complete Journey is not here: {folder}; set IKKAN_TEST_DATA to the folder with it")
    return folder


def order_of(user: str, status: str, *, at: int = 0) -> dict[str, Any]:
    """The customer's order in this state, the first or a later one."""
    found = [FOUND["orders"][each] for each in FOUND["users"][user]["orders"]]
    order: dict[str, Any] = [each for each in found if each["status"] == status][at]
    return order


def way_of(user: str, kind: str) -> str:
    """The customer's way to pay of this kind."""
    return next(name for name, way in FOUND["users"][user]["payment_methods"].items() if way["source"] == kind)


def variant(item_id: str, *, available: bool = True) -> str:
    """Another item of the same product."""
    product = next(found for found in FOUND["products"].values() if item_id in found["variants"])
    return next(
        each for each, found in product["variants"].items() if found["available"] is available and each != item_id
    )


# ---- suggestions -----------------------------------------------------------------------------------------------------

LEAVES = ("Kitchen > Coffee", "Kitchen > Tea", "Tools > Saws", "Garden > Seeds")


def a_ware(number: int, **said: Any) -> Ware:
    """The number decides category, brand, seller and price; everything was on the shelf for long."""
    told: dict[str, Any] = {
        "product_id": f"w{number}",
        "name": f"thing {number}",
        "category": LEAVES[number % 4],
        "price_micros": 1_000_000 * (1 + number % 7),
        "currency": "EUR",
        "added_at": datetime(2026, 1, 1, tzinfo=UTC),
        "brand": f"brand {number % 5}",
        "seller": f"seller {number % 3}",
    }
    return Ware(**{**told, **said})


def pseudonym(tenant_id: TenantId, person: str) -> SubjectId:
    return SubjectId(f"s-{tenant_id}-{person}")


class Suggester(Suggesting):
    """The service, with shorter ways to say what tests say."""

    def did(self, person: str, deed: Any, *products: str, ago_s: float = 0.0, **more: Any) -> Told:
        """This person did this to these, one second apart, the last so long ago."""
        now = self.clock.now() - timedelta(seconds=ago_s + len(products))
        return self.tell(
            SHOP,
            [
                Happened(f"{person}-{deed}-{each}-{ago_s}", person, deed, now + timedelta(seconds=at), each, **more)
                for at, each in enumerate(products)
            ],
        )

    def ids(self, person: str, surface: Any = "home", **more: Any) -> list[str]:
        """What this person is shown."""
        more.setdefault("n", 8)
        return [place.ware.product_id for place in self.suggest(SHOP, Ask(person, surface, **more)).places]


def suggester(database: Database, clock: FakeClock, folder: Path, **more: Any) -> Suggester:
    """A service with an event log of its own."""
    log = EventLog(database, clock, Keys.open(folder / "keys"))
    return Suggester(database, clock, events=log, pseudonym=pseudonym, **more)


@pytest.fixture
def here(_fresh_sqlite: Any, tmp_path: Path) -> Iterator[Database]:
    """A database of one kind, where the kind makes no difference."""
    with _fresh_sqlite(tmp_path) as url:
        opened = Database(url)
        yield opened
        opened.close()


@pytest.fixture
def shop(here: Database, clock: FakeClock, tmp_path: Path) -> Iterator[Suggester]:
    """A shop with forty wares in four categories."""
    service = suggester(here, clock, tmp_path)
    service.put_wares(SHOP, [a_ware(number) for number in range(40)])
    yield service
    service.flush()
