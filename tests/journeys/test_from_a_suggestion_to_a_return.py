"""One person, one history: suggested, bought, late, helped before they ask, returned, and the next list has changed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import Running
from .test_the_pages_in_a_real_browser import browser, look, page, shot

__all__ = ["browser", "look", "page"]

pytestmark = [pytest.mark.browser, pytest.mark.weights]


@pytest.fixture(scope="module")
def shop(running: Running) -> Running:
    running.ikkan("shop", "load", "--sample")
    return running


def listed(page: Page) -> list[str]:
    page.goto("/shop")
    wares = page.locator(".suggested[data-surface=home] .ware")
    expect(wares.first).to_be_visible()
    return [str(ware.get_attribute("data-product")) for ware in wares.all()]


def carrier_says(page: Page, news: str) -> None:
    page.goto("/shop/merchant")
    page.locator(f"tr[data-order^='#X'] button[value={news}]").first.click()
    expect(page.locator("#parcels")).to_be_visible()


def test_a_suggestion_leads_to_a_purchase_to_help_to_a_return_and_to_another_list(
    page: Page, look: tuple[str, str], shop: Running
) -> None:
    at_first = listed(page)
    shot(page, "shop-home", look)

    # A suggestion is bought; the page after it has seen that.
    page.locator(".suggested[data-surface=home] .ware a").first.click()
    shot(page, "shop-product", look)
    page.locator("button[value=bought]").click()
    bought = at_first[0]
    after_buying = listed(page)
    assert bought not in after_buying

    # The carrier says late. Nobody asked, and help is offered on the store's own page.
    carrier_says(page, "late")
    shot(page, "shop-merchant", look)
    listed(page)
    offer = page.locator(".offer")
    expect(offer).to_be_visible()
    shot(page, "shop-late", look)
    offer.locator("a").click()
    expect(page.locator(".talk li").last).to_contain_text("#X")
    expect(page.locator(".talk li button").first).to_be_visible()

    # It comes after all, and goes back: the person is known, the question is exact, the yes is a press.
    carrier_says(page, "delivered")
    before_return = listed(page)
    page.goto("/shop/help")
    page.locator(".talk button", has_text={"en": "Return items", "ja": "返品"}[look[0]]).click()
    page.locator(".talk button.primary").click()
    expect(page.locator(".talk li").last).to_contain_text({"en": "Done", "ja": "手続き"}[look[0]])
    shot(page, "shop-returned", look)

    after_return = listed(page)
    assert after_return != before_return
    assert bought not in after_return
    expect(page.locator("#lately")).to_contain_text({"en": "returned", "ja": "返した"}[look[0]])
    shot(page, "shop-after", look)
