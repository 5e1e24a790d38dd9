"""The first page: each of the three choices really works before it counts, and says what is wrong on its own form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ikkan.console import store
from ikkan.ground.errors import BadFile, SetupNeeded, UpstreamUnreachable
from ikkan.models.store import StoredModel

ENDPOINT = {"name": "vendor", "url": "http://127.0.0.1:9/v1", "model": "fake", "key_env": ""}


@pytest.fixture
def page(house: Any) -> Any:
    return house.visitor()


@pytest.fixture
def form(page: Any) -> dict[str, str]:
    return {"csrf": page.get("/").text.split('data-csrf="')[1].split('"')[0]}


@pytest.fixture
def vendor(house: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What answers at the endpoint a person names: the fake behind our router, instead of a socket."""
    engine, router = house.engine, house.desk.cloud.router
    monkeypatch.setattr(router, "_wire", lambda snapshot, record: engine)
    return engine


def default_of(house: Any) -> list[str]:
    return next(list(alias.targets) for alias in house.desk.cloud.service.aliases() if alias.name == "default")


def chosen_in(house: Any) -> str | None:
    with house.desk.database.read() as connection:
        return store.chosen(connection, store.THINKING)


def names_of(house: Any) -> list[str]:
    return [record.name for record in house.desk.cloud.service.upstreams()]


def test_it_is_asked_once_and_can_be_asked_again(house: Any, page: Any) -> None:
    assert "/choose/endpoint" in page.get("/").text
    with house.desk.database.transaction() as connection:
        store.choose(connection, store.THINKING, "vendor/fake", house.desk.clock.now())
    assert "/choose/endpoint" not in page.get("/").text
    assert "/choose/endpoint" in page.get("/?choose=1").text


def test_a_plain_user_is_not_asked(house: Any) -> None:
    text = house.visitor("user").get("/?choose=1").text
    assert "/choose/endpoint" not in text and 'href="/?choose=1"' not in text


def test_an_endpoint_that_answers_is_used_from_then_on(house: Any, page: Any, form: Any, vendor: Any) -> None:
    reply = page.post("/choose/endpoint", data=form | ENDPOINT)
    assert (reply.status_code, reply.headers["location"]) == (303, "/?works=vendor/fake")
    assert (default_of(house), chosen_in(house)) == (["vendor/fake"], "vendor/fake")
    assert len(vendor.requests) == 1
    assert "vendor/fake" in page.get("/?works=vendor/fake").text


def test_its_trial_stands_in_the_ledger_like_any_other_call(house: Any, page: Any, form: Any, vendor: Any) -> None:
    page.post("/choose/endpoint", data=form | ENDPOINT)
    (line,) = house.desk.cloud.service.usage(by=("model",))
    assert (line.model, line.requests) == ("vendor/fake", 1)


@pytest.mark.parametrize(
    ("trouble", "status", "said"),
    [
        (UpstreamUnreachable("nobody answers at this address", hint="is it running?"), 503, "nobody answers"),
        (SetupNeeded("it wants its key in $VENDOR_KEY", hint="export VENDOR_KEY=…"), 503, "VENDOR_KEY"),
    ],
)
def test_an_endpoint_that_fails_changes_nothing_and_keeps_the_form(
    house: Any, page: Any, form: Any, vendor: Any, trouble: Exception, status: int, said: str
) -> None:
    vendor.failure = trouble
    reply = page.post("/choose/endpoint", data=form | ENDPOINT | {"key_env": "VENDOR_KEY"})
    assert reply.status_code == trouble.status  # type: ignore[attr-defined]
    assert said in reply.text and 'role="alert"' in reply.text
    assert all(f'value="{kept}"' in reply.text for kept in ("vendor", "http://127.0.0.1:9/v1", "fake", "VENDOR_KEY"))
    assert (names_of(house), default_of(house), chosen_in(house)) == ([], ["local/default"], None)


def test_an_endpoint_that_says_nothing_does_not_work(house: Any, page: Any, form: Any, vendor: Any) -> None:
    vendor.answer = ("", " ")
    assert "answered with nothing" in page.post("/choose/endpoint", data=form | ENDPOINT).text
    assert names_of(house) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Not a name"},
        {"name": "local"},
        {"url": "ftp://x"},
        {"url": ""},
        {"model": ""},
        {"key_env": "not a name"},
    ],
)
def test_a_field_that_cannot_be_is_told_on_the_form(house: Any, page: Any, form: Any, vendor: Any, wrong: Any) -> None:
    reply = page.post("/choose/endpoint", data=form | ENDPOINT | wrong)
    assert (reply.status_code in {400, 409}, 'role="alert"' in reply.text) == (True, True)
    assert (names_of(house), vendor.requests) == ([], [])


def test_an_endpoint_known_already_is_tried_again_and_stays_when_it_fails(
    house: Any, page: Any, form: Any, vendor: Any
) -> None:
    page.post("/choose/endpoint", data=form | ENDPOINT)
    vendor.failure = UpstreamUnreachable("nobody answers", hint="")
    page.post("/choose/endpoint", data=form | ENDPOINT)
    assert (names_of(house), default_of(house)) == (["vendor"], ["vendor/fake"])
    other = page.post("/choose/endpoint", data=form | ENDPOINT | {"url": "http://127.0.0.1:10/v1"})
    assert other.status_code == 409


def stored(name: str, role: Any = "chat") -> StoredModel:
    return StoredModel(name, Path(name), "file:x", "0" * 64, 95_000_000, "Apache-2.0", "Small.", "小さい。", role)


def test_a_model_file_is_taken_served_and_asked_for(
    house: Any, page: Any, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        type(house.desk.store), "pull", lambda self, reference: asked.append(reference) or stored("mine")
    )
    monkeypatch.setattr(type(house.desk.store), "get", lambda self, name: stored("mine"))
    house.desk.cloud.service.add_upstream("vendor", "http://127.0.0.1:9/v1")
    house.desk.cloud.service.set_alias("default", ["vendor/big"])
    reply = page.post("/choose/file", data=form | {"path": "/data/mine.gguf"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/?works=mine")
    assert (asked, house.served) == (["file:/data/mine.gguf"], ["mine"])
    assert (default_of(house), chosen_in(house)) == (["local/default"], "local/mine")


def test_a_file_that_cannot_be_read_is_told_on_the_form(
    house: Any, page: Any, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, reference: str) -> StoredModel:
        raise BadFile("its header lies", hint="download it again")

    monkeypatch.setattr(type(house.desk.store), "pull", refuse)
    reply = page.post("/choose/file", data=form | {"path": "/data/bad.gguf"})
    assert (reply.status_code, "its header lies" in reply.text, 'value="/data/bad.gguf"' in reply.text) == (
        400,
        True,
        True,
    )
    assert house.served == []


def test_a_model_that_cannot_talk_is_not_chosen(
    house: Any, page: Any, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(house.desk.store), "get", lambda self, name: stored("minilm", "embed"))
    page_reply = page.post("/models/use", data=form | {"name": "minilm"})
    assert (page_reply.status_code, house.served, chosen_in(house)) == (400, [], None)


def test_the_sample_is_pulled_where_it_is_missing(house: Any, page: Any, form: Any) -> None:
    assert page.post("/choose/sample", data=form).headers["location"] == "/models"
    assert house.jobs.started == [("models.pull", {"reference": "smollm2-135m-instruct", "use": True})]


def test_the_sample_is_used_where_it_is(house: Any, page: Any, form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(house.desk.store), "get", lambda self, name: stored("smollm2-135m-instruct"))
    assert page.post("/choose/sample", data=form).headers["location"] == "/"
    assert (house.served, chosen_in(house)) == (["smollm2-135m-instruct"], "local/smollm2-135m-instruct")
    assert "小さい。" in page.get("/", headers={"accept-language": "ja"}).text


def test_nobody_can_make_the_page_praise_what_is_not_there(page: Any, house: Any) -> None:
    with house.desk.database.transaction() as connection:
        store.choose(connection, store.THINKING, "local/x", house.desk.clock.now())
    assert "call 0120" not in page.get("/?works=Your+key+expired,+call+0120").text
