"""The pages as a person meets them: real headless Chromium, a real platform; screenshots stay in `test-output/`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ikkan.silicon.device import DeviceProfile, save

from .conftest import Running

OUTPUT = Path(__file__).parents[2] / "test-output" / "screens"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         # A microphone that beeps, and nobody who must be asked for it.
         "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # fmt: skip

pytestmark = [pytest.mark.browser, pytest.mark.weights]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(params=[("en", "light"), ("ja", "dark")], ids=["en-light", "ja-dark"])
def look(request: pytest.FixtureRequest) -> tuple[str, str]:
    return tuple(request.param)


@pytest.fixture
def page(browser: Browser, running: Running, look: tuple[str, str]) -> Iterator[Page]:
    language, scheme = look
    context = browser.new_context(
        base_url=running.url,
        locale={"en": "en-GB", "ja": "ja-JP"}[language],
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 1180, "height": 860},
    )
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    yield opened
    context.close()
    # A blocked inline script, a missing asset or a JavaScript error would be here.
    assert troubles == []


def shot(page: Page, name: str, look: tuple[str, str]) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=OUTPUT / f"{name}-{look[0]}-{look[1]}.png", full_page=True)


@pytest.mark.parametrize(
    "path", ["/", "/?choose=1", "/assistant", "/wheel", "/usage", "/models", "/keys", "/machine", "/events"]
)
def test_every_page_opens_in_the_persons_language(page: Page, look: tuple[str, str], path: str) -> None:
    reply = page.goto(path)
    assert reply is not None and reply.status == 200
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    expect(page.locator("html")).to_have_attribute("lang", look[0])
    expect(page.locator("h1").first).to_be_visible()
    shot(page, "page" + re.sub(r"\W+", "-", path).rstrip("-"), look)


def test_a_question_is_answered_from_knowledge_and_names_its_source(page: Page, look: tuple[str, str]) -> None:
    page.goto("/assistant")
    page.locator(".starter").first.click()
    answer = page.locator(".answered").last
    expect(answer.locator(".tag.good")).to_be_visible(timeout=30_000)
    expect(answer.locator(".meter")).to_contain_text("JPY", timeout=30_000)
    shot(page, "chat-knowledge", look)


def test_an_unknown_question_goes_to_the_model_and_is_marked_so(page: Page, look: tuple[str, str]) -> None:
    page.goto("/assistant")
    page.locator("#question").fill("Write one sentence about the moon and the sea.")
    page.keyboard.press("Enter")
    answer = page.locator(".answered").last
    expect(answer.locator(".tag.note")).to_be_visible(timeout=60_000)
    expect(answer.locator(".meter")).not_to_be_empty(timeout=90_000)
    shot(page, "chat-model", look)


def test_a_person_can_correct_by_keyboard_alone(page: Page, look: tuple[str, str]) -> None:
    page.goto("/assistant")
    page.locator(".starter").first.click()
    answer = page.locator(".answered").last
    expect(answer.locator(".marks")).to_be_visible(timeout=60_000)
    answer.locator(".correct").focus()
    page.keyboard.press("Enter")
    field = answer.locator(".correction textarea")
    expect(field).to_be_focused()
    kept = field.input_value()
    field.fill(kept + "。")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_be_visible()
    expect(answer.locator(".correction")).to_be_hidden()


def test_a_starter_chosen_from_the_list_counts_as_a_choice(page: Page) -> None:
    page.goto("/assistant")
    page.locator(".starter").last.click()
    answer = page.locator(".answered").last
    expect(answer.locator(".marks")).to_be_visible(timeout=180_000)
    answer.locator(".others").click()
    answer.locator(".candidate").first.click(timeout=180_000)
    expect(page.locator(".notice")).to_be_visible(timeout=30_000)


def test_a_key_is_shown_once_and_can_be_revoked(page: Page, look: tuple[str, str]) -> None:
    page.goto("/keys")
    page.locator("input[name=name]").fill(f"browser-{look[0]}")
    page.locator("form.card button").click()
    expect(page.locator("#made-key")).to_contain_text("sk-ik-")
    page.goto("/keys")
    expect(page.locator("#made-key")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("tr", has_text=f"browser-{look[0]}").locator("button").click()
    expect(page.locator("tr", has_text=f"browser-{look[0]}").locator(".tag.bad")).to_be_visible()


def test_turning_the_wheel_shows_progress_and_then_what_was_measured(page: Page, look: tuple[str, str]) -> None:
    page.goto("/wheel")
    page.locator("#turn").click()
    expect(page.locator("#turning .job")).to_be_visible(timeout=10_000)
    expect(page.locator("#turning .job progress")).to_have_count(0, timeout=120_000)
    expect(page.locator("#judged")).to_be_visible()
    shot(page, "wheel-turned", look)


def test_a_decision_is_reached_and_computed_again_by_keyboard_alone(page: Page, look: tuple[str, str]) -> None:
    page.goto("/wheel?learnable=assistant.answer")
    page.locator(".decisions a").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/wheel/decisions/"))
    expect(page.locator("#why")).to_be_visible()
    page.locator("#replay").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[role=status].good, [role=status].note, [role=alert].note")).to_be_visible(timeout=60_000)
    shot(page, "decision", look)


def test_the_wheel_fits_a_telephone_and_forcing_asks_why(page: Page, look: tuple[str, str]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/wheel?learnable=assistant.answer")
    expect(page.locator("svg.loop.phone")).to_be_visible()
    expect(page.locator("svg.loop.desk")).to_be_hidden()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.locator("#force summary").focus()
    page.keyboard.press("Enter")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("#promote").click()
    assert asked == [], "without a reason the form does not go"
    expect(page.locator("#reason:invalid")).to_be_visible()
    page.locator("#reason").fill("to see")
    with page.expect_event("dialog"):
        page.locator("#promote").click()
    assert len(asked) == 1
    shot(page, "wheel-telephone", look)


def test_a_stranger_without_a_key_is_sent_to_sign_in(running: Running, browser: Browser) -> None:
    key = running.ikkan("key", "create", "--name", "signs-in", "--scope", "admin", "--json")["key"]
    context = browser.new_context(base_url=running.url, extra_http_headers={"x-forwarded-for": "203.0.113.9"})
    stranger = context.new_page()
    stranger.goto("/wheel")
    expect(stranger).to_have_url(re.compile("/sign-in"))
    stranger.locator("#key").fill("sk-ik-wrong-wrong")
    stranger.keyboard.press("Enter")
    expect(stranger.locator("[role=alert]")).to_be_visible()
    stranger.locator("#key").fill(key)
    stranger.keyboard.press("Enter")
    expect(stranger).to_have_url(re.compile("/wheel$"))
    context.close()


def test_the_last_race_is_drawn_under_the_roof(page: Page, look: tuple[str, str], running: Running) -> None:
    profile = DeviceProfile("A processor", 2, 2, ("avx2",), 2**34, 2**33, (), 40.0, 2.0, "avx2", datetime.now(UTC))
    save(profile, running.home / "device.json")
    cells = [
        {
            "cell": f"0.5b-q4_0.{name}", "unit": "tokens/s", "ikkan": rate, "peers": {"openvino": 100.0},
            "ratio_to_best": rate / 100, "share_of_bound": 0.9, "facts": {"machine": "A processor, 2 cores"},
            "roofline": {"operations_per_byte": operations, "gops": gops},
        }
        for name, rate, operations, gops in (("decode-0", 80.0, 7.1, 250.0), ("prefill-512", 900.0, 3600.0, 1700.0))
    ]  # fmt: skip
    (running.home / "bench").mkdir(exist_ok=True)
    (running.home / "bench" / "engine.json").write_text(json.dumps(cells))
    page.goto("/machine")
    expect(page.locator("#roofline canvas")).to_be_visible()
    expect(page.locator("#race tbody tr")).to_have_count(2)
    expect(page.locator("#race .bad")).to_have_count(1)
    shot(page, "machine-race", look)
