"""The storefront over HTTP: what is done on one page is known to the next, and whose visit it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from ikkan.apps.shop import store
from ikkan.apps.shop.pages.words import WORDS
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.store.behaviour import Exposure
from ikkan.apps.shop.values import Ware
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER
from ikkan.ground.ids import SubjectId, TenantId

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ware(number: int, category: str, *, stock: int | None = None) -> Ware:
    name = f"{category.split(' > ')[-1]} {number}"
    return Ware(
        f"w{number}", name, category, (number + 1) * 1_000_000_000, "JPY", NOW, stock=stock, names={"ja": f"品{number}"}
    )


WARES = [ware(at, "Kitchen > Mugs") for at in range(12)] + [ware(at, "Outdoor > Tents") for at in range(12, 24)]
RARE = ware(99, "Kitchen > Mugs", stock=1)


@pytest.fixture
def browser(platform: Platform) -> Iterator[TestClient]:
    """A browser at this machine, before a full shelf."""
    shelf = Suggesting(platform.database, platform.clock, pseudonym=platform.cloud.subjects.pseudonym)
    shelf.put_wares(LOCAL_TENANT, [*WARES, RARE])
    origin = "http://127.0.0.1:8700"
    with TestClient(
        asgi(platform),
        base_url=origin,
        client=("127.0.0.1", 5000),
        headers={"origin": origin, "sec-fetch-site": "same-origin", "accept-language": "en"},
    ) as opened:
        yield opened


def csrf(page: str) -> str:
    return page.split('data-csrf="')[1].split('"')[0]


def listed(page: str) -> list[str]:
    """The products of the first list of a page, in its order."""
    first = page.split('class="suggested"', 1)[1].split("</section>", 1)[0]
    return re.findall(r'data-product="([^"]+)"', first)


def do(browser: TestClient, product: str, deed: str, back: str = "/shop") -> str:
    token = csrf(browser.get("/shop").text)
    reply = browser.post(f"/shop/p/{product}/deed", data={"csrf": token, "deed": deed, "back": back})
    assert reply.status_code == 200, reply.text
    return reply.text


def test_the_next_page_has_seen_what_was_looked_at(browser: TestClient) -> None:
    before = listed(browser.get("/shop").text)
    for product in ("w14", "w15", "w16"):
        browser.get(f"/shop/p/{product}")
    after = listed(browser.get("/shop").text)
    assert after != before
    assert sum(int(each[1:]) in range(12, 24) for each in after[:6]) > 3


def test_a_basket_becomes_an_order_that_support_knows(browser: TestClient) -> None:
    do(browser, "w3", "carted")
    do(browser, "w4", "carted", "/shop/basket")
    basket = browser.get("/shop/basket").text
    assert "¥9,000" in basket
    browser.post("/shop/basket", data={"csrf": csrf(basket)})
    assert WORDS["shop.basket_empty"]["en"] in browser.get("/shop/basket").text
    assert re.search(r"#X[0-9A-F]+</a> pending", browser.get("/shop").text)
    talk = re.search(r'data-talk="([^"]+)"', browser.get("/shop/help").text)
    assert talk is not None
    said = browser.post(
        f"/a/shop/v1/support/talks/{talk[1]}/say",
        json={"text": "where is my order"},
        headers={"x-csrf-token": csrf(browser.get("/shop").text)},
    )
    assert "Mugs 3" in said.json()["text"], said.text


def test_what_was_bought_is_not_suggested_again(browser: TestClient) -> None:
    bought = listed(browser.get("/shop").text)[0]
    assert bought not in listed(do(browser, bought, "bought"))


def test_the_last_piece_is_sold_once(browser: TestClient) -> None:
    do(browser, "w99", "bought")
    token = csrf(browser.get("/shop").text)
    reply = browser.post("/shop/p/w99/deed", data={"csrf": token, "deed": "bought"})
    assert reply.status_code == 400
    assert "sold out" in reply.text


def test_what_is_not_for_me_is_gone_at_once(browser: TestClient) -> None:
    first = listed(browser.get("/shop").text)[0]
    assert first not in listed(do(browser, first, "disliked"))


def test_search_finds_by_words_and_by_pairs_of_signs(browser: TestClient) -> None:
    assert set(listed(browser.get("/shop/search", params={"q": "tents"}).text)) <= {f"w{at}" for at in range(12, 24)}
    assert "w7" in listed(browser.get("/shop/search", params={"q": "品7"}).text)
    assert WORDS["shop.not_found"]["en"] in browser.get("/shop/search", params={"q": "<script>"}).text


def test_a_late_parcel_brings_an_offer_before_anyone_asks(browser: TestClient) -> None:
    do(browser, "w5", "bought")
    desk = browser.get("/shop/merchant").text
    order = re.search(r'data-order="(#X[^"]+)"', desk)
    assert order is not None
    browser.post("/shop/merchant/carrier", data={"csrf": csrf(desk), "order": order[1], "news": "late"})
    page = browser.get("/shop").text
    assert "is late" in page
    offered = re.search(r"/shop/help\?offer=([^\"]+)", page)
    assert offered is not None
    helped = browser.get(f"/shop/help?offer={offered[1]}").text
    assert "Cancel" in helped
    # Taken once; the page does not ask again.
    assert "/shop/help?offer=" not in browser.get("/shop").text


def test_a_merchants_rule_holds_in_the_next_list_and_is_dropped_by_a_press(browser: TestClient) -> None:
    page = browser.get("/shop/merchant/rules").text
    rule = {"csrf": csrf(page), "kind": "pin", "product_id": "w20", "amount": "0", "surface": "home"}
    kept = browser.post("/shop/merchant/rules", data=rule).text
    assert listed(browser.get("/shop").text)[0] == "w20"
    drop = re.search(r'name="drop" value="([^"]+)"', kept)
    assert drop is not None
    browser.post("/shop/merchant/rules", data={"csrf": csrf(page), "drop": drop[1]})
    assert WORDS["shop.rules_none"]["en"] in browser.get("/shop/merchant/rules").text


def test_a_merchant_reads_names_in_the_language_of_the_page(browser: TestClient) -> None:
    browser.get("/shop/p/w20")
    told = {language: browser.get("/shop/merchant/live", params={"lang": language}).text for language in ("ja", "en")}
    assert "品20" in told["ja"] and WORDS["shop.deed.viewed"]["ja"] in told["ja"]
    assert "品20" not in told["en"] and WORDS["shop.deed.viewed"]["en"] in told["en"]


def test_the_tester_asks_as_somebody_and_leaves_no_trace(browser: TestClient) -> None:
    page = browser.get("/shop/merchant/tester", params={"person": "anna", "surface": "home"}).text
    assert page.count("<tr>") > 10
    assert WORDS["shop.live_none"]["en"] in browser.get("/shop/merchant/live").text


def test_the_merchant_sees_whether_what_was_expected_happened(browser: TestClient, platform: Platform) -> None:
    assert 'id="calibration"' not in browser.get("/shop/merchant").text
    at = platform.clock.now() - timedelta(hours=1)
    places = tuple((f"w{number}", 1.0, 0.02 + 0.01 * number, "popular") for number in range(10))
    shown = [Exposure(f"list-{each}", SubjectId(f"p{each}"), "home", at, "none", places) for each in range(20)]
    with platform.database.transaction() as connection:
        store.behaviour.keep_exposures(connection, LOCAL_TENANT, shown)
    table = browser.get("/shop/merchant").text.split('id="calibration"')[1].split("</table>")[0]
    assert table.count("<tr>") == 11 and WORDS["shop.expected"]["en"] in table
    assert re.search(r"11\.0 %</td>\s*<td class=\"num\">0\.0 % ", table), (
        "eleven in a hundred were expected of the last"
    )
    japanese = browser.get("/shop/merchant", headers={"accept-language": "ja"}).text
    assert "見込みと実際の差は平均 6.5 ポイント" in japanese


@pytest.mark.parametrize("path", ["/shop/merchant", "/shop/merchant/tester", "/shop/merchant/rules", "/shop/inbox"])
def test_the_merchants_pages_are_for_administrators(platform: Platform, path: str) -> None:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", follow_redirects=False) as stranger:
        secret = platform.cloud.service.create_key("clerk", scopes=(USER,)).secret
        reply = stranger.get(path, headers={"authorization": f"Bearer {secret}"})
    assert reply.status_code == 403


def test_another_house_sees_nothing_of_this_shelf(platform: Platform, browser: TestClient) -> None:
    service = platform.cloud.service
    service.create_tenant(TenantId("elsewhere"), "Elsewhere")
    secret = service.create_key("theirs", tenant_id=TenantId("elsewhere"), scopes=(USER,)).secret
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700") as stranger:
        stranger.headers["authorization"] = f"Bearer {secret}"
        assert WORDS["shop.empty"]["en"] in stranger.get("/shop", headers={"accept-language": "en"}).text
        assert stranger.get("/shop/p/w1").status_code == 404
