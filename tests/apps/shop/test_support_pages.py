"""Support over HTTP: a browser's conversation, the inbox, and whose conversation it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import ikkan.apps.shop as room
from ikkan.apps.shop.pages import TALK_WORDS, WORDS
from ikkan.apps.shop.rules.support.phrases import PRESSED
from ikkan.apps.shop.service import tau
from ikkan.apps.shop.values.support import CONFIRMED, HANDED_OVER, UNDONE
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER

from .conftest import FOUND, order_of

TALKS = "/a/shop/v1/support/talks"


@pytest.fixture
def page(platform: Platform) -> Iterator[TestClient]:
    """A browser at this machine, with an invented shop."""
    tau.bring_in(
        platform.database, LOCAL_TENANT, FOUND, lambda each: platform.cloud.subjects.pseudonym(LOCAL_TENANT, each)
    )
    origin = "http://127.0.0.1:8700"
    with TestClient(
        asgi(platform),
        base_url=origin,
        client=("127.0.0.1", 5000),
        headers={"origin": origin, "sec-fetch-site": "same-origin"},
    ) as browser:
        browser.headers["x-csrf-token"] = browser.get("/shop/support").text.split('data-csrf="')[1].split('"')[0]
        yield browser


def begin(page: TestClient, user: str | None = None, language: str = "en") -> str:
    talk: str = page.post(TALKS, json={"language": language}).json()["talk_id"]
    if user is not None:
        say(page, talk, FOUND["users"][user]["email"])
    return f"{TALKS}/{talk}"


def say(page: TestClient, talk: str, text: str, **more: str) -> dict[str, Any]:
    path = talk if talk.startswith("/") else f"{TALKS}/{talk}"
    reply = page.post(f"{path}/say", json={"text": text, **more})
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def test_a_customer_cancels_and_takes_it_back(page: TestClient, platform: Platform, me: str) -> None:
    talk = begin(page, me)
    asked = say(page, talk, f"cancel {order_of(me, 'pending')['order_id']}, it is no longer needed")["outcome"]
    yes = {"proposal_id": asked["proposal_id"], "digest": asked["digest"]}
    forged = page.post(f"{talk}/confirm", json={**yes, "digest": "0" * 64}).json()["outcome"]
    assert forged["code"] == "other_arguments"
    assert page.post(f"{talk}/confirm", json=yes).json()["outcome"]["kind"] == "done"
    assert page.post(f"{talk}/confirm", json=yes).json()["outcome"]["code"] == "already_done"
    assert page.post(f"{talk}/undo", json={}).json()["outcome"]["kind"] == "undone"
    events = list(platform.events.reader().read([CONFIRMED, UNDONE]))
    assert [event.name for event in events] == [CONFIRMED, UNDONE]
    assert {event.subject_id for event in events} == {platform.cloud.subjects.pseudonym(LOCAL_TENANT, me)}
    kept = page.get(talk).json()["turns"]
    assert [turn["who"] for turn in kept] == ["shop", "customer"] * 6 + ["shop"]
    assert kept[-2]["text"] == PRESSED["undo"]["en"]


def test_a_program_may_propose_and_is_told_why_not(page: TestClient, me: str) -> None:
    talk = begin(page, me)
    wrong = page.post(f"{talk}/propose", json={"tool": "cancel_order", "arguments": {"order_id": "#W0"}}).json()
    assert (wrong["kind"], wrong["code"]) == ("refused", "arguments_do_not_fit")
    given = {"order_id": order_of(me, "delivered")["order_id"], "reason": "no longer needed"}
    assert page.post(f"{talk}/propose", json={"tool": "cancel_order", "arguments": given}).json()["code"] == (
        "order_is_pending"
    )
    tools = page.get("/a/shop/v1/support/tools").json()
    assert {"cancel_order", "hand_over"} <= {tool["name"] for tool in tools["tools"]}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_person_answers_from_the_inbox(page: TestClient, platform: Platform, language: str) -> None:
    talk = begin(page, language=language)
    assert page.post(f"{talk}/hand-over").json()["state"] == "human"
    lang = {"accept-language": language}
    listed = page.get("/shop/inbox", headers=lang).text
    assert WORDS["shop.by.asked"][language] in listed
    one = re.findall(r'href="(/shop/inbox/[^"]+)"', listed)[0]
    form = {"text": "Hello <b>there</b>", "deed": "say", "csrf": page.headers["x-csrf-token"]}
    assert page.post(one, data=form, follow_redirects=False).status_code == 303
    assert "Hello &lt;b&gt;there&lt;/b&gt;" in page.get(one, headers=lang).text
    assert page.get(talk).json()["turns"][-1]["who"] == "person"
    assert page.post(one, data={**form, "text": "", "deed": "close"}).status_code == 200
    assert WORDS["shop.inbox_empty"][language] in page.get("/shop/inbox", headers=lang).text
    assert [event.name for event in platform.events.reader().read([HANDED_OVER])] == [HANDED_OVER]


def test_a_conversation_is_seen_by_whoever_opened_it(page: TestClient, platform: Platform, me: str) -> None:
    talk = begin(page, me)
    keys = [platform.cloud.service.create_key(name, scopes=(USER,)).secret for name in ("one", "two")]
    one, two = (TestClient(asgi(platform), headers={"authorization": f"Bearer {key}"}) for key in keys)
    own = one.post(TALKS, json={}).json()["talk_id"]
    assert one.get(f"{TALKS}/{own}").status_code == 200
    assert [two.get(f"{TALKS}/{own}").status_code, one.get(talk).status_code] == [404, 404]
    assert two.post(f"{TALKS}/{own}/say", json={"text": "yes"}).status_code == 404
    assert one.get("/a/shop/v1/support/inbox").status_code == 403
    assert page.get(f"{TALKS}/{own}").status_code == 200


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_page_speaks_both_languages_and_runs_no_inline_script(page: TestClient, language: str) -> None:
    text = page.get("/shop/support", headers={"accept-language": language}).text
    assert WORDS["shop.support"][language] in text and TALK_WORDS["yes"][language] in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)


def test_every_word_of_the_pages_is_used() -> None:
    folder = Path(room.__path__[0])
    text = "".join(each.read_text(encoding="utf-8") for each in sorted((folder / "templates/shop").glob("*.html")))
    text += "".join(each.read_text(encoding="utf-8") for each in (folder / "pages").glob("[ms]*.py"))
    script = (folder / "static/support.js").read_text(encoding="utf-8")
    # The rest of these keys is a deed, a state, a place or a kind.
    open_ended = ("shop.by.", "shop.who.", "shop.deed.", "shop.status.", "shop.surface.", "shop.rule.", "nav.")
    plain = {key for key in WORDS if not key.startswith(open_ended)}
    assert plain <= set(re.findall(r"""["'](shop\.[a-z_.]+)["']""", text))
    assert set(re.findall(r"""\bt\(["'](shop\.[a-z_.]+)["'][,)]""", text)) <= WORDS.keys()
    assert set(re.findall(r"\bwords\.(\w+)", script)) == set(TALK_WORDS)
