"""The door: a key opens it, another site's form does not, and nobody is sent away to a stranger's address."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.kit.session import COOKIE

ELSEWHERE = [
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "\\\\evil",
    "/\t/evil.example",
    "javascript:1",
    "",
]


def key_of(house: Any, scopes: tuple[str, ...] = ("user", "admin")) -> str:
    return str(house.desk.cloud.service.create_key("me", scopes=scopes).secret)


def token(page: TestClient, path: str = "/keys") -> str:
    return str(page.get(path).text.split('data-csrf="')[1].split('"')[0])


def test_a_key_signs_in_and_leads_back(house: Any) -> None:
    page = house.visitor("stranger")
    reply = page.post("/sign-in", data={"key": key_of(house), "next": "/wheel?learnable=assistant.answer"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/wheel?learnable=assistant.answer")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert page.get("/keys").status_code == 200


def test_a_wrong_key_stays_at_the_door(house: Any) -> None:
    reply = house.visitor("stranger").post("/sign-in", data={"key": "sk-ik-wrong", "next": "/wheel"})
    assert (reply.status_code, COOKIE in reply.headers.get("set-cookie", "")) == (401, False)
    assert 'value="/wheel"' in reply.text and "sk-ik-wrong" not in reply.text


@pytest.mark.parametrize("onward", ELSEWHERE)
def test_nobody_is_sent_to_another_site(house: Any, onward: str) -> None:
    page = house.visitor("stranger")
    assert page.post("/sign-in", data={"key": key_of(house), "next": onward}).headers["location"] == "/"
    assert page.post("/preferences", data={"lang": "ja", "back": onward}).headers["location"] == "/"
    assert 'name="next" value="/"' in page.get("/sign-in", params={"next": onward}).text


def test_another_sites_sign_in_form_is_refused(house: Any) -> None:
    page = house.visitor("stranger")
    for foreign in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        reply = page.post("/sign-in", data={"key": key_of(house)}, headers=foreign)
        assert (reply.status_code, COOKIE in reply.headers.get("set-cookie", "")) == (403, False)


def test_signing_out_forgets_the_session(house: Any) -> None:
    page = house.visitor("stranger")
    page.post("/sign-in", data={"key": key_of(house)})
    assert page.post("/sign-out", data={"csrf": "guess"}).status_code == 403
    assert page.post("/sign-out", data={"csrf": token(page)}).headers["location"] == "/sign-in"
    assert page.get("/keys").status_code == 303


POSTS = ["/choose/endpoint", "/choose/file", "/choose/sample", "/wheel/run", "/wheel/shuffle", "/wheel/rollback",
         "/models/alias", "/models/use", "/models/pull", "/keys", "/keys/some/revoke", "/machine/measure",
         "/sign-out"]  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("csrf", ["", "guess"])
def test_no_form_is_taken_without_its_token(house: Any, path: str, csrf: str) -> None:
    page = house.visitor()
    page.get("/")
    assert page.post(path, data={"csrf": csrf}).status_code == 403
    assert house.jobs.started == [] and house.wheel.rolled_back == []


@pytest.mark.parametrize("path", [post for post in POSTS if post != "/sign-out"])
def test_no_form_is_taken_from_a_plain_user(house: Any, path: str) -> None:
    page = house.visitor("user")
    assert page.post(path, data={"csrf": token(page, "/")}).status_code == 403


def test_a_token_of_one_session_is_none_of_another(house: Any) -> None:
    mine, yours = house.visitor(), house.visitor()
    theirs = token(yours)
    token(mine)
    assert mine.post("/keys", data={"csrf": theirs, "name": "x"}).status_code == 403


def test_a_stale_cookie_is_replaced_so_that_forms_work_again(house: Any) -> None:
    page = house.visitor()
    page.cookies.set(COOKIE, "of.yesterday")
    fresh = token(page)
    assert page.post("/keys", data={"csrf": fresh, "name": "works"}).status_code == 200


def test_language_and_theme_are_remembered(house: Any) -> None:
    page = house.visitor()
    back = page.post("/preferences", data={"lang": "ja", "back": "/wheel?lang=en"})
    page.post("/preferences", data={"theme": "dark", "back": "/"})
    assert back.headers["location"] == "/wheel"
    assert '<html lang="ja" data-theme="dark"' in page.get("/wheel", headers={"accept-language": "en"}).text


def test_only_known_preferences_are_kept(house: Any) -> None:
    reply = house.visitor().post("/preferences", data={"lang": "xx", "theme": "neon; domain=evil", "back": "/"})
    assert "set-cookie" not in reply.headers


def test_a_fragment_for_nobody_loads_the_sign_in_page(house: Any) -> None:
    reply = house.visitor("stranger", **{"hx-request": "true"}).get("/models/jobs/job-1")
    assert (reply.status_code, reply.headers["hx-redirect"]) == (401, "/sign-in")
