"""What policy forbids is refused with its reason; what it allows does what the published actions do."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ikkan.apps.shop.rules.support import TOOLS
from ikkan.apps.shop.rules.support.tools import schema
from ikkan.apps.shop.service import published, tau
from ikkan.apps.shop.service.replay import SHOP, Task, expected, replay
from ikkan.apps.shop.values import LANGUAGES

from .conftest import FOUND, Desk, order_of, variant, way_of

ME, OTHER = list(FOUND["users"])[:2]
PENDING, DELIVERED = order_of(ME, "pending"), order_of(ME, "delivered")
THEIRS = order_of(OTHER, "delivered")
CARD, GIFT = way_of(ME, "credit_card"), way_of(ME, "gift_card")
MINE = DELIVERED["items"][0]["item_id"]
FOREIGN = next(
    item
    for found in FOUND["products"].values()
    if MINE not in found["variants"]
    for item, each in found["variants"].items()
    if each["available"]
)
NEEDLESS = "no longer needed"
PENDING_PAID_WITH = PENDING["payment_history"][0]["payment_method_id"]
PAID_WITH = DELIVERED["payment_history"][0]["payment_method_id"]
NOT_PAID_WITH = next(way for way in FOUND["users"][ME]["payment_methods"] if way not in {PAID_WITH, GIFT})
ADDRESS = FOUND["users"][ME]["address"]


def returning(**other: Any) -> tuple[str, dict[str, Any]]:
    given = {"order_id": DELIVERED["order_id"], "item_ids": [MINE], "payment_method_id": GIFT}
    return "return_delivered_order_items", given | other


def swapping(name: str = "exchange_delivered_order_items", **other: Any) -> tuple[str, dict[str, Any]]:
    given = {"order_id": DELIVERED["order_id"], "item_ids": [MINE], "new_item_ids": [variant(MINE)],
             "payment_method_id": CARD}  # fmt: skip
    return name, given | other


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("order_is_yours", ("cancel_pending_order", {"order_id": "#W0", "reason": "no longer needed"})),
        ("order_is_yours", returning(order_id=THEIRS["order_id"])),
        ("order_is_pending", ("cancel_pending_order", {"order_id": DELIVERED["order_id"], "reason": NEEDLESS})),
        ("order_is_pending", ("modify_pending_order_address", {"order_id": DELIVERED["order_id"], **ADDRESS})),
        ("order_is_pending", swapping("modify_pending_order_items")),
        ("reason_is_allowed", ("cancel_pending_order", {"order_id": PENDING["order_id"], "reason": "too dear"})),
        ("order_is_delivered", returning(order_id=PENDING["order_id"])),
        ("order_is_delivered", swapping(order_id=PENDING["order_id"])),
        ("method_is_yours", returning(payment_method_id=way_of(OTHER, "gift_card"))),
        ("method_is_yours", swapping(payment_method_id="gift_card_none")),
        ("items_are_in_the_order", returning(item_ids=[MINE] * 9)),
        ("items_are_in_the_order", returning(item_ids=[FOREIGN])),
        ("refund_goes_where_it_may", returning(payment_method_id=NOT_PAID_WITH)),
        ("new_items_are_of_the_same_product", swapping(new_item_ids=[FOREIGN])),
        ("new_items_are_others", swapping(new_item_ids=[MINE])),
        ("method_is_another", ("modify_pending_order_payment",
            {"order_id": PENDING["order_id"], "payment_method_id": PENDING_PAID_WITH})),
        ("carrier_lost_it", ("refund_lost_order", {"order_id": DELIVERED["order_id"], "method_id": GIFT})),
        ("arguments_do_not_fit", swapping(new_item_ids=[])),
        ("arguments_do_not_fit", returning(item_ids=[])),
        ("no_such_tool", ("sudo", {})),
    ],
)  # fmt: skip
def test_what_policy_forbids_is_refused_by_name(desk: Desk, code: str, action: tuple[str, dict[str, Any]]) -> None:
    talk = desk.come_in(ME)
    outcome = desk.propose(SHOP, talk, *(tau.as_call(*action) or action))
    assert (outcome.kind, outcome.code) == ("refused", code)
    assert set(outcome.says) == set(LANGUAGES)


@pytest.mark.parametrize("name", [name for name, tool in TOOLS.items() if tool.needs and "sign_in" not in name])
def test_nobody_unknown_gets_anything(desk: Desk, name: str) -> None:
    talk = desk.start(SHOP)
    given = {"order_id": PENDING["order_id"], "reason": "no longer needed", "method_id": GIFT, "item_ids": [MINE],
             "swaps": [{"item_id": MINE, "new_item_id": FOREIGN}], "product_id": "9000000", "item_id": MINE,
             "line1": "1", "line2": "", "city": "c", "state": "s", "country": "c", "zip": "1"}  # fmt: skip
    fields = TOOLS[name].takes.__dataclass_fields__
    outcome = desk.propose(SHOP, talk, name, {key: given[key] for key in fields})
    assert (outcome.kind, outcome.code) == ("refused", "signed_in")


def test_a_conversation_serves_one_customer(desk: Desk) -> None:
    talk = desk.come_in(ME)
    outcome = desk.propose(SHOP, talk, "sign_in_by_email", {"email": FOUND["users"][OTHER]["email"]})
    assert (outcome.code, desk.talk(SHOP, talk).customer_id) == ("nobody_signed_in_yet", ME)


def test_people_are_found_by_name_without_accents_or_case_but_by_the_exact_zip(desk: Desk) -> None:
    user = FOUND["users"][ME]
    given = {"first_name": user["name"]["first_name"].upper(), "last_name": f" {user['name']['last_name'].lower()}"}
    talk = desk.start(SHOP)
    wrong = desk.propose(SHOP, talk, "sign_in_by_name", {**given, "zip": "00000"})
    right = desk.propose(SHOP, talk, "sign_in_by_name", {**given, "zip": user["address"]["zip"]})
    assert (wrong.code, right.facts.get("customer_id")) == ("customer_not_found", ME)


def test_guessing_who_is_a_customer_ends_with_a_person(desk: Desk) -> None:
    talk = desk.start(SHOP)
    kinds = [
        desk.propose(SHOP, talk, "sign_in_by_email", {"email": f"guess{n}@example.com"}).kind
        for n in range(desk.policy.sign_in_tries + 1)
    ]
    assert kinds == ["refused"] * (desk.policy.sign_in_tries - 1) + ["handed_over", "refused"]
    assert [entry.reason for entry in desk.inbox(SHOP)] == ["not_signed_in"]


def test_a_lost_parcel_is_paid_back_once(desk: Desk) -> None:
    from ikkan.apps.shop import store
    from ikkan.apps.shop.store.tables import orders

    order = DELIVERED["order_id"]
    with desk.database.transaction() as connection:
        connection.execute(orders.update().where(orders.c.order_id == order).values(status="processed"))
        store.goods.carrier_said(connection, SHOP, order, "lost")
    talk = desk.come_in(ME)
    given = {"order_id": order, "method_id": GIFT}
    asked = desk.propose(SHOP, talk, "refund_lost_order", given)
    assert desk.yes(talk, asked).kind == "done"
    assert desk.propose(SHOP, talk, "refund_lost_order", given).code == "carrier_lost_it"
    case = desk.case(SHOP, talk)
    assert (case.orders[order].status, case.orders[order].payments[-1].kind) == ("refunded", "refund")


def test_after_its_items_were_changed_an_order_is_closed_to_changes(desk: Desk) -> None:
    talk, item = desk.come_in(ME), PENDING["items"][0]["item_id"]
    swap = {"order_id": PENDING["order_id"], "item_ids": [item], "new_item_ids": [variant(item)],
            "payment_method_id": CARD}  # fmt: skip
    desk.yes(talk, desk.ask(talk, "modify_pending_order_items", **swap))
    for name, more in (
        ("cancel_pending_order", {"reason": "no longer needed"}),
        ("modify_pending_order_address", ADDRESS),
        ("modify_pending_order_items", {key: swap[key] for key in swap if key != "order_id"}),
    ):
        assert desk.ask(talk, name, order_id=PENDING["order_id"], **more).code == "order_is_pending"


def test_what_a_model_may_propose_is_a_schema_without_a_way_to_confirm() -> None:
    told = json.dumps(schema())
    assert all(f'"const": "{name}"' in told for name in TOOLS)
    assert "confirm" not in told and "$ref" not in told


def random_actions(seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Six actions of one customer, some allowed and some not."""
    dice = random.Random(seed)
    user = dice.choice(list(FOUND["users"]))
    made = []
    for _ in range(6):
        order = FOUND["orders"][dice.choice(FOUND["users"][user]["orders"])]
        items = [dice.choice(order["items"])["item_id"] for _ in range(dice.randint(1, 2))]
        product = [next(p for p in FOUND["products"].values() if item in p["variants"]) for item in items]
        new = [dice.choice(list(each["variants"])) for each in product]
        way = dice.choice(list(FOUND["users"][user]["payment_methods"]))
        swap = {"item_ids": items, "new_item_ids": new, "payment_method_id": way}
        name, given = dice.choice([
            ("cancel_pending_order", {"reason": dice.choice(["no longer needed", "ordered by mistake", "none"])}),
            ("modify_pending_order_address", {**ADDRESS, "address1": f"{dice.randint(1, 9)} Street"}),
            ("modify_pending_order_payment", {"payment_method_id": way}),
            ("modify_pending_order_items", swap),
            ("return_delivered_order_items", {"item_ids": items, "payment_method_id": way}),
            ("exchange_delivered_order_items", swap),
        ])  # fmt: skip
        made.append((name, {"order_id": order["order_id"], **given}))
    return made


def test_random_actions_leave_the_shop_as_the_published_ones_do() -> None:
    tasks = [Task(str(seed), tuple(random_actions(seed)), {}) for seed in range(40)]
    # Where the published code is looser than the policy, the oracle follows the policy; see the next tests.
    fair = [task for task in tasks if not loose(task)]
    done = replay(fair, FOUND)
    assert sum(each.writes for each in done) > 20 and sum(len(each.refused) for each in done) > 20
    assert [each.task_id for each in done if not (each.equal and each.equal_by_policy)] == []


def test_a_recorded_action_for_another_user_is_refused() -> None:
    address = {"user_id": OTHER, **ADDRESS}
    wrong = Task("x", (("get_order_details", {"order_id": PENDING["order_id"]}), ("modify_user_address", address)), {})
    (done,) = replay([wrong], FOUND)
    assert (done.writes, done.refused, done.equal) == (0, ("change_my_address: another_customer",), False)


def loose(task: Task) -> bool:
    """Whether the published code would do what policy forbids: exchange an item for itself, cancel what was repaid."""
    paid = {given["order_id"] for name, given in task.actions if name == "modify_pending_order_payment"}
    cancelled = {given["order_id"] for name, given in task.actions if name == "cancel_pending_order"}
    itself = any(
        name == "exchange_delivered_order_items"
        and any(old == new for old, new in zip(given["item_ids"], given["new_item_ids"], strict=True))
        for name, given in task.actions
    )
    return itself or bool(paid & cancelled)


def test_the_oracle_gives_each_changed_item_the_last_price_only_where_the_published_code_does() -> None:
    shop = {
        "products": {"1": {"variants": {
            "a": {"price": 1.0, "options": {"c": "a"}, "available": True},
            "b": {"price": 2.0, "options": {"c": "b"}, "available": True},
            "c": {"price": 4.0, "options": {"c": "c"}, "available": True}}}},
        "users": {"u": {"payment_methods": {"card": {"source": "gift_card", "balance": 9.0}}}},
        "orders": {"#1": {"user_id": "u", "status": "pending", "payment_history": [], "items": [
            {"item_id": "a", "product_id": "1", "price": 1.0, "options": {"c": "a"}},
            {"item_id": "a", "product_id": "1", "price": 1.0, "options": {"c": "a"}}]}},
    }  # fmt: skip
    swap = {"item_ids": ["a", "a"], "new_item_ids": ["b", "c"], "payment_method_id": "card"}
    change = ("modify_pending_order_items", {"order_id": "#1", **swap})
    theirs, policy = expected(shop, [change]), expected(shop, [change], own_prices=True)
    assert [item["price"] for item in theirs["orders"]["#1"]["items"]] == [4.0, 4.0]
    assert [item["price"] for item in policy["orders"]["#1"]["items"]] == [2.0, 4.0]
    assert theirs["users"]["u"]["payment_methods"]["card"]["balance"] == 5.0
    assert shop["orders"]["#1"]["status"] == "pending" and not published.apply(shop, "calculate", {})
