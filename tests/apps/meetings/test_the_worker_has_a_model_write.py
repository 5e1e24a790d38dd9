"""Level 1 in the whole platform: on the bill of whoever asked, shown as it goes on, stopped by a click."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.meetings.pages import WORDS
from ikkan.apps.meetings.rules.remarks import REMARKS, remark, remark_in
from ikkan.apps.meetings.service import Hooks
from ikkan.apps.meetings.service.company import company_facts
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import ChatRequest
from ikkan.ground.ids import JobId, TenantId

from .conftest import ADA, SAID
from .scripted import notes

API = "/a/meetings/v1"
POINT = {"text": "来期の予算を話し合う", "lines": [1]}
ACTION = {"text": "見積もりを金曜までに送る", "owner": "鈴木", "due": "金曜", "lines": [4]}
ANSWER = notes(key_points=[POINT], actions=[ACTION])


@pytest.fixture(autouse=True)
def drawn_plainly() -> None:
    """Level 0 itself stands behind a model, not what other tests put in its place."""


@pytest.fixture
def model(platform: Platform) -> FakeUpstream:
    """A model that everyone of this home may have write."""
    made = FakeUpstream(name="scripted", answer=[ANSWER[at : at + 30] for at in range(0, len(ANSWER), 30)],
                        offered=("tiny-1b",))  # fmt: skip
    platform.cloud.router.register("scripted", made, models=["tiny-1b"])
    platform.cloud.service.set_alias("minutes", "scripted/tiny-1b")
    return made


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


def bring(client: TestClient, **fields: str) -> dict[str, Any]:
    found: dict[str, Any] = client.post(f"{API}/meetings", files={"file": ("a.txt", SAID.encode())}, data=fields).json()
    return found


def finish(platform: Platform) -> str:
    (job, *_) = platform.jobs.list(name="meetings.draw")
    with platform.jobs.working():
        return platform.jobs.wait(JobId(job.id), timeout_s=60).state


def test_level_0_stands_there_first_and_the_models_lines_come_on_the_callers_bill(
    client: TestClient, platform: Platform, model: FakeUpstream
) -> None:
    key = platform.cloud.service.create_key("ann")
    client.headers["authorization"] = f"Bearer {key.secret}"
    told = bring(client, level="1", form="board")
    at = f"{API}/meetings/{told['id']}"
    assert told["state"] == "working"
    assert {each["made_by"] for each in client.get(at).json()["extractions"]} == {"rule"}
    assert finish(platform) == "done"
    made = client.get(at).json()
    assert (made["state"], made["plan"]["made_level"], made["plan"]["form"]) == ("ready", 1, "board")
    assert made["plan"]["model"] == "tiny-1b"
    by_model = [each for each in made["extractions"] if each["made_by"].startswith("level1:")]
    point = next(each for each in by_model if each["kind"] == "key_point")
    assert (point["text"], point["evidence"]) == (POINT["text"], ["s1"])
    action = next(each for each in by_model if each["kind"] == "action")
    assert (action["text"], action["owner"], action["evidence"]) == (ACTION["text"], "鈴木", ["s4"])
    used = {line.key_id: line.output_tokens for line in platform.cloud.service.usage(by=("key",))}
    assert used[key.key.id] > 0 and set(used) == {key.key.id}


def test_whoever_stops_keeps_what_level_0_found(client: TestClient, platform: Platform, model: FakeUpstream) -> None:
    at = f"{API}/meetings/{bring(client, level='1')['id']}"
    before = client.get(at).json()["extractions"]
    page = client.get(at.replace(API, "")).text
    assert 'id="stop"' in page and "<progress" in page
    client.cookies.clear()  # a program's request, which needs no token
    assert client.post(f"{at}/stop").json()["state"] == "ready"
    assert finish(platform) == "cancelled" and model.requests == []
    made = client.get(at).json()
    assert (made["extractions"], made["plan"]["made_level"]) == (before, 0)
    assert "was stopped" in made["plan"]["remarks"][0]
    assert (
        remark_in("ja", made["plan"]["remarks"][0])[0]
        in client.get(at.replace(API, ""), headers={"accept-language": "ja"}).text
    )


def test_a_model_in_the_middle_of_an_answer_is_stopped_too(
    client: TestClient, platform: Platform, model: FakeUpstream
) -> None:
    model.pause_s = 0.3
    at = f"{API}/meetings/{bring(client, level='1')['id']}"
    (job,) = platform.jobs.list(name="meetings.draw")
    with platform.jobs.working():
        wait_until(lambda: model.open_streams == 1)
        client.post(f"{at}/stop")
        assert platform.jobs.wait(job.id, timeout_s=60).state == "cancelled"
        wait_until(lambda: model.open_streams == 0)
    assert client.get(at).json()["plan"]["made_level"] == 0


def wait_until(holds: Any) -> None:
    async def look() -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.05)

    asyncio.run(look())


def test_nobody_has_another_tenants_meeting_written(
    client: TestClient, platform: Platform, model: FakeUpstream
) -> None:
    at = f"{API}/meetings/{bring(client, audience='tenant')['id']}"
    platform.cloud.service.create_tenant("evil", "Evil")
    secret = platform.cloud.service.create_key("eve", tenant_id=TenantId("evil")).secret
    eve = {"authorization": f"Bearer {secret}"}
    assert client.post(f"{at}/draw", json={"level": 1}, headers=eve).status_code == 404
    assert client.post(f"{at}/stop", headers=eve).status_code == 404
    assert platform.jobs.list(name="meetings.draw") == [] and model.requests == []
    own = {"file": ("b.txt", b"Eve: Our own talk is short today.")}
    brought = client.post(f"{API}/meetings", files=own, data={"level": "1"}, headers=eve)
    assert brought.json()["state"] == "working" and finish(platform) == "done"
    read = "\n".join(str(turn["content"]) for each in requests(model) for turn in each.messages)
    assert "Our own talk" in read and "予算" not in read


def requests(model: FakeUpstream) -> list[ChatRequest]:
    return [each for each in model.requests if isinstance(each, ChatRequest)]


def test_unasked_a_model_nobody_measured_writes_nothing(
    client: TestClient, platform: Platform, model: FakeUpstream
) -> None:
    told = bring(client)
    assert told["state"] == "ready" and model.requests == []
    facts = client.get(f"{API}/company").json()
    assert (facts["model"], facts["measured"], facts["level_unless_chosen"]) == ("tiny-1b", None, 0)
    client.patch(f"{API}/company", json={"level": 1})
    assert bring(client)["state"] == "working"
    assert client.patch(f"{API}/company", json={"level": None}).json()["level_unless_chosen"] == 0


def test_a_page_says_who_writes_if_nobody_chooses(client: TestClient, model: FakeUpstream) -> None:
    for path in ("/meetings", "/meetings/company"):
        told = html.unescape(client.get(path, headers={"accept-language": "en"}).text)
        assert WORDS["meetings.unless_chosen_0"]["en"].format(model="tiny-1b") in told
    client.cookies.clear()  # a program's request, which needs no token
    assert client.patch(f"{API}/company", json={"level": 1}).status_code == 200
    told = client.get("/meetings", headers={"accept-language": "ja"}).text
    assert WORDS["meetings.unless_chosen_1"]["ja"].format(model="tiny-1b") in told


@pytest.mark.parametrize(("target", "called"), [("local/default", "tiny-chat"), ("vendor/default", "default")])
async def test_our_own_engines_model_is_called_by_its_own_name(platform: Platform, target: str, called: str) -> None:
    service = platform.cloud.service
    service.prepare(upstreams={"local": "http://127.0.0.1:9/v1"})
    service.add_upstream("vendor", "http://127.0.0.1:9/v1")
    service.set_alias("default", target)
    parts: Any = SimpleNamespace(
        cloud=platform.cloud, database=platform.database, chat_model=SimpleNamespace(name="tiny-chat")
    )
    meetings: Any = SimpleNamespace(hooks=Hooks(platform.database, platform.clock, platform.keys, None))
    assert (await company_facts(parts, meetings, ADA))["model"] == called


def test_a_level_that_is_none_is_refused(client: TestClient) -> None:
    for fields in ({"level": "2"}, {"form": "poem"}):
        reply = client.post(f"{API}/meetings", files={"file": ("a.txt", SAID.encode())}, data=fields)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_input")
    assert client.get(f"{API}/meetings").json()["meetings"] == []


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_companys_page_shows_words_model_and_messages(
    client: TestClient, platform: Platform, model: FakeUpstream, language: str
) -> None:
    client.put(f"{API}/glossary", json={"terms": {"<b>": "&"}})
    first = client.patch(f"{API}/company", json={"hook_url": "https://hooks.example.com/x"}).json()
    assert first["secret"] and "secret" not in client.get(f"{API}/company").text.replace("has_secret", "")
    client.post(f"{API}/company/test")
    page = client.get("/meetings/company", headers={"accept-language": language}).text
    assert "&lt;b&gt;" in page and "https://hooks.example.com/x" in page and f'lang="{language}"' in page
    user = {"authorization": f"Bearer {platform.cloud.service.create_key('bo').secret}"}
    theirs = client.get("/meetings/company", headers=user).text
    assert "&lt;b&gt;" in theirs and "hooks.example.com" not in theirs
    assert client.get(f"{API}/deliveries", headers=user).status_code == 403
    assert client.patch(f"{API}/company", json={"level": 1}, headers=user).status_code == 403


@pytest.mark.parametrize("name", list(REMARKS))
def test_every_remark_is_read_in_three_languages(name: str) -> None:
    fields = ("recogniser", "count", "encoding", "names", "seconds", "code", "parts", "model", "notes", "of")
    given = {field: f"<{field}>" for field in fields}
    for language in ("ja", "zh"):
        told, spoken = remark_in(language, remark(name, **given))
        assert spoken == language and told == REMARKS[name][language].format(**given)
