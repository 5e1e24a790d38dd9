"""Meetings as a person meets them: real headless Chromium, a real platform; screenshots stay in `test-output/`."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from .test_the_pages_in_a_real_browser import browser, look, page, shot

__all__ = ["browser", "look", "page"]

pytestmark = [pytest.mark.browser, pytest.mark.weights]

SAID = """[00:00:05] 佐藤：来期の予算を話し合います。
[00:01:05] 鈴木：広告費の上限は百万円でいいですか？
[00:01:10] 佐藤：では百万円で決定します。
[00:02:05] 鈴木：来週の金曜日までに、私が見積もりを三社から取ります。
"""


def test_a_transcript_becomes_judged_lines_by_keyboard_alone(page: Page, look: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "予算会議.txt"
    file.write_text(SAID, encoding="utf-8")
    page.goto("/meetings")
    page.locator("#bring input[name=file]").set_input_files(file)
    page.locator("#bring input[name=held_on]").fill("2026-06-01")
    page.locator("#bring button.primary").click()
    expect(page.locator("h1")).to_have_text("予算会議", timeout=60_000)

    # A line of one's own from the last thing that was said.
    page.locator("#s4 .add").focus()
    page.keyboard.press("Enter")
    page.locator(".edit-form textarea").fill(f"三社から見積もり {look[0]}")
    page.locator(".edit-form input[name=due]").fill("2026-06-12")
    page.keyboard.press("Control+Enter")
    line = page.locator(".item[data-kind=action]", has_text=f"三社から見積もり {look[0]}")
    expect(line).to_have_attribute("data-status", "accepted", timeout=30_000)
    shot(page, "meeting", look)

    line.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#s4")).to_be_focused()
    line.focus()
    page.keyboard.press("r")
    expect(line).to_be_hidden()
    page.keyboard.press("u")
    expect(line).to_be_visible()
    expect(line).to_have_attribute("data-status", "accepted")
    line.focus()
    page.keyboard.press("e")
    page.locator(".edit-form textarea").fill(f"四社から見積もり {look[0]}")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".item[data-status=edited] .text")).to_have_text(f"四社から見積もり {look[0]}")

    page.goto("/meetings/actions")
    task = page.locator(".task", has_text=f"四社から見積もり {look[0]}")
    expect(task).to_contain_text("2026-06-12")
    shot(page, "meetings-actions", look)
    task.locator("a").click()
    expect(page.locator("#s4")).to_be_visible()


def test_speakers_are_renamed_and_words_found(page: Page, look: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "定例.txt"
    file.write_text(SAID, encoding="cp932")
    page.goto("/meetings")
    page.locator("#bring input[name=file]").set_input_files(file)
    page.locator("#bring button.primary").click()
    expect(page.locator(".said li")).to_have_count(4, timeout=60_000)
    page.locator("details:has(#speakers) summary").click()
    page.locator("#speakers input[name=鈴木]").fill("鈴木一郎")
    page.locator("#speakers button").click()
    expect(page.locator("#s4")).to_contain_text("鈴木一郎", timeout=30_000)
    page.goto("/meetings")
    page.locator("input[type=search]").fill("見積もり")
    page.keyboard.press("Enter")
    expect(page.locator(".quote").first).to_contain_text("見積もり")
    shot(page, "meetings-search", look)


def test_an_upload_shows_how_far_it_is(page: Page, look: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "朝会.txt"
    file.write_text(SAID, encoding="utf-8")
    page.goto("/meetings")
    page.locator("#bring input[name=file]").set_input_files(file)
    held: list[Route] = []
    page.route("**/a/meetings/v1/uploads/*", lambda route: held.append(route))
    with page.expect_request(lambda request: request.method == "PATCH"):
        page.locator("#bring button.primary").click()
    expect(page.locator("#sending progress")).to_be_visible()
    shot(page, "meetings-sending", look)
    held[0].continue_()
    expect(page.locator("h1")).to_have_text("朝会", timeout=60_000)


def test_lines_typed_live_beside_the_microphone_become_a_meeting(page: Page, look: tuple[str, str]) -> None:
    reply = page.goto("/meetings/live")
    assert reply is not None and "microphone=(self)" in reply.headers["permissions-policy"]
    shot(page, "meetings-live-begin", look)
    page.locator("#begin input[name=title]").fill(f"その場 {look[0]}")
    page.locator("#begin select[name=language]").select_option("ja")
    page.locator("#begin input[name=consent]").check()
    page.locator("#begin button.primary").click()
    caption = page.locator("#caption input[name=text]")
    page.locator("#caption input[name=speaker]").fill("鈴木")
    for text in ("では百万円で決定します。", "来週の金曜日までに、私が見積もりを三社から取ります。"):
        caption.fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text(text, timeout=30_000)
    expect(page.locator("#captions-only")).to_be_visible()
    shot(page, "meetings-live", look)
    page.locator("#end").click()
    expect(page.locator("h1")).to_have_text(f"その場 {look[0]}", timeout=60_000)
    expect(page.locator(".item[data-kind=action]")).to_contain_text("三社から", timeout=60_000)
    expect(page.locator("#sound")).to_be_visible()
    shot(page, "meeting-with-sound", look)


def test_a_term_of_the_company_is_added_and_taken_away(page: Page, look: tuple[str, str]) -> None:
    page.goto("/meetings/company")
    page.locator("#term input[name=heard]").fill("見積り")
    page.locator("#term input[name=written]").fill("見積もり")
    page.locator("#term button").click()
    row = page.locator("#terms tr", has_text="見積り")
    expect(row).to_be_visible(timeout=30_000)
    shot(page, "meetings-company", look)
    row.locator(".remove").click()
    expect(row).to_have_count(0, timeout=30_000)
