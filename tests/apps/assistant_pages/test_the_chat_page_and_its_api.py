"""The chat page and its API: asked, answered in a stream, corrected; by a signed-in browser and by nobody else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.apps.assistant.pages import CHAT_WORDS, STARTERS, WORDS, ModelWatch
from ikkan.apps.assistant.values import FEEDBACK, INTENT, LEARNABLE, REPLY_STYLE, SERVED
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.flywheel.contract import Budget
from ikkan.ground.errors import UpstreamUnreachable
from ikkan.kit.intent import Labelled, as_examples

ASK, MARK, CANDIDATES, INTENTS = (f"/a/assistant/v1/{name}" for name in ("ask", "feedback", "candidates", "intents"))


@pytest.fixture
def engine(platform: Platform) -> FakeUpstream:
    """What answers for the alias `default`."""
    fake = FakeUpstream(name="local", offered=["default"])
    platform.cloud.router.register("local", fake, models=[])
    platform.cloud.service.prepare(aliases={"default": ["local/default"]})
    return fake


@pytest.fixture
def page(platform: Platform, engine: FakeUpstream) -> Iterator[TestClient]:
    """A browser at this machine, with a few things known to the company."""
    from ikkan.apps.assistant import sample, store
    from ikkan.apps.assistant.values import Knowledge

    entries = [Knowledge(e.entry_id, e.lang, e.topic, e.question, e.answer, e.source) for e in sample.knowledge()]
    with platform.database.transaction() as connection:
        from ikkan.cloud.values import LOCAL_TENANT

        store.put(connection, LOCAL_TENANT, entries, platform.clock.now())
    platform.flywheel.ensure_champion(LEARNABLE)
    with TestClient(
        asgi(platform),
        base_url="http://127.0.0.1:8700",
        client=("127.0.0.1", 5000),
        headers={"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"},
    ) as browser:
        yield browser


def token(page: TestClient) -> dict[str, str]:
    return {"x-csrf-token": page.get("/assistant").text.split('data-csrf="')[1].split('"')[0]}


def frames(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert data[-1] == "[DONE]"
    return [json.loads(line) for line in data[:-1]]


def said(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_page_speaks_both_languages(page: TestClient, language: str) -> None:
    text = page.get("/assistant", headers={"accept-language": language}).text
    assert f'<html lang="{language}"' in text and WORDS["assistant.send"][language] in text
    first = text.split('class="starter"')[1]
    assert STARTERS[language][0] in first
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_first_question_to_begin_with_is_known_on_the_first_day(page: TestClient, language: str) -> None:
    chunks = frames(page.post(ASK, json={"question": STARTERS[language][0]}, headers=token(page)).text)
    about = chunks[-2]["ikkan"]
    assert (about["source"], bool(about["title"]), about["cost"]) == ("knowledge", True, "0 JPY")
    assert len(said(chunks)) > 20 and chunks[-1]["usage"]["completion_tokens"] == 0


def test_what_nobody_knows_goes_to_the_model_with_the_conversation(page: TestClient, engine: FakeUpstream) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = {"question": "Write about the moon and the sea", "history": history}
    chunks = frames(page.post(ASK, json=asked, headers=token(page)).text)
    assert said(chunks) == "The quick brown fox."
    about = next(chunk["ikkan"] for chunk in reversed(chunks) if chunk.get("ikkan"))
    assert (about["source"], chunks[-1]["usage"]["completion_tokens"]) == ("model", 4)
    messages = engine.requests[0].messages  # type: ignore[union-attr]
    assert [message["content"] for message in messages] == ["Hi", "Hello", asked["question"]]


def test_a_model_that_cannot_be_reached_is_told_as_an_error(page: TestClient, engine: FakeUpstream) -> None:
    engine.failure = UpstreamUnreachable("the engine is not there", hint="ikkan up")
    reply = page.post(ASK, json={"question": "Write about the moon and the sea"}, headers=token(page))
    assert reply.status_code >= 500
    assert reply.json()["error"]["message"] == "the engine is not there (ikkan up)"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"question": "  "},
        {"question": "x" * 8001},
        {"question": "x", "history": [{"role": "system", "content": "y"}]},
        {"question": "x", "model": "vendor/expensive"},
    ],
)
def test_only_questions_are_asked(page: TestClient, engine: FakeUpstream, wrong: dict[str, Any]) -> None:
    reply = page.post(ASK, json=wrong, headers=token(page))
    assert (reply.status_code, reply.json()["error"]["code"], engine.requests) == (400, "bad_input", [])


def test_candidates_are_whole_answers_to_choose_from(page: TestClient) -> None:
    found = page.get(CANDIDATES, params={"question": STARTERS["en"][1]}).json()["candidates"]
    assert 1 <= len(found) <= 5
    assert all(set(each) == {"knowledge_id", "question", "answer", "source", "confidence"} for each in found)


def test_a_correction_is_an_event_of_the_same_person(page: TestClient, platform: Platform) -> None:
    headers = token(page)
    answer_id = frames(page.post(ASK, json={"question": STARTERS["en"][1]}, headers=headers).text)[0]["id"]
    mark = {"answer_id": answer_id, "kind": "choice", "knowledge_id": "acc-008-en"}
    assert page.post(MARK, json=mark, headers=headers).json()["id"] == answer_id
    events = list(platform.events.reader().read([SERVED, FEEDBACK]))
    (feedback,) = [event for event in events if event.name == FEEDBACK]
    served = next(event for event in events if event.payload.get("request_id") == answer_id)
    assert feedback.payload["knowledge_id"] == "acc-008-en"
    assert feedback.subject_id == served.subject_id is not None


def test_an_edit_of_the_models_answer_is_a_lesson_with_the_conversation_it_stood_in(
    page: TestClient, platform: Platform
) -> None:
    headers = token(page)
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = {"question": "Write about the moon and the sea", "history": history}
    answer_id = frames(page.post(ASK, json=asked, headers=headers).text)[0]["id"]
    mark = {"answer_id": answer_id, "kind": "edit", "before": "The quick brown fox.", "after": "Dear all: the sea."}
    assert page.post(MARK, json=mark, headers=headers).status_code == 200
    (learnable,) = [each for app in platform.apps for each in app.learns if each.name == REPLY_STYLE]
    found = learnable.examples(platform.events.reader(), platform.clock.now() + timedelta(seconds=1))
    ((turns, wanted),) = zip(found.inputs, found.truths, strict=True)
    assert [turn.content for turn in turns] == ["Hi", "Hello", asked["question"]]
    assert wanted.text == "Dear all: the sea."


def test_a_person_says_what_a_question_was_about_among_the_intents_known(page: TestClient, platform: Platform) -> None:
    assert page.get(INTENTS).json() == {"intents": []}
    fitted = IntentLearnable().train(as_examples([Labelled("a", "vpn"), Labelled("c", "leave")]), Budget(), 0)
    made = platform.artifacts.put(fitted.files, kind=fitted.kind, source="test").id
    with platform.database.transaction() as connection:
        platform.registry.register(connection, INTENT, made, {})
        platform.registry.promote(connection, INTENT, made, "first")
    assert page.get(INTENTS).json() == {"intents": ["leave", "vpn"]}
    headers = token(page)
    answer_id = frames(page.post(ASK, json={"question": STARTERS["en"][1]}, headers=headers).text)[0]["id"]
    mark = {"answer_id": answer_id, "kind": "label", "after": "leave"}
    assert page.post(MARK, json=mark, headers=headers).status_code == 200
    (learnable,) = [each for app in platform.apps for each in app.learns if each.name == INTENT]
    found = learnable.examples(platform.events.reader(), platform.clock.now() + timedelta(seconds=1))
    assert [(text, meant.intent) for text, meant in zip(found.inputs, found.truths, strict=True)] == [
        (STARTERS["en"][1], "leave")
    ]


@pytest.mark.parametrize(
    ("mark", "status"),
    [
        ({"answer_id": "chatcmpl-none", "kind": "thumb", "value": 1}, 404),
        ({"answer_id": "chatcmpl-none", "kind": "thumb", "value": 7}, 400),
        ({"answer_id": "chatcmpl-none", "kind": "shout"}, 400),
        ({"answer_id": "chatcmpl-none", "kind": "edit", "after": " "}, 400),
        ({"kind": "thumb", "value": 1}, 400),
    ],
)
def test_a_mark_that_means_nothing_is_refused(page: TestClient, mark: dict[str, Any], status: int) -> None:
    assert page.post(MARK, json=mark, headers=token(page)).status_code == status


@pytest.mark.parametrize("path", [ASK, MARK])
def test_another_sites_page_asks_nothing_in_our_name(page: TestClient, path: str) -> None:
    token(page)
    for headers in ({}, {"x-csrf-token": "guess"}):
        assert page.post(path, json={"question": "x"}, headers=headers).status_code == 403


async def test_the_model_is_not_asked_how_it_is_for_every_visitor() -> None:
    calls: list[str] = []

    class Router:
        async def resolve(self, model: str) -> Any:
            calls.append(model)
            raise UpstreamUnreachable("gone")

    watch = ModelWatch(Router())  # type: ignore[arg-type]
    assert [await watch.ready(), await watch.ready()] == [False, False]
    assert calls == ["default"]


def test_every_word_of_the_chat_is_in_both_languages_and_used() -> None:
    from pathlib import Path

    import ikkan.apps.assistant as room

    folder = Path(room.__path__[0])
    template = (folder / "templates/assistant/chat.html").read_text(encoding="utf-8")
    script = (folder / "static/chat.js").read_text(encoding="utf-8")
    assert all(set(texts) >= {"ja", "en"} for texts in [*WORDS.values(), *CHAT_WORDS.values()])
    assert set(re.findall(r"""\bt\(["']([\w.]+)["'][,)]""", template)) == set(WORDS)
    assert set(re.findall(r"\bwords\.(\w+)", script)) == set(CHAT_WORDS)
