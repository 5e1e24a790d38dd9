"""Whatever a meeting came from - a file in pieces, a recording, a live stream - it is drawn out by its plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps import meetings
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.upstreams.fakes import FakeUpstream

from .hearing import talk, wav
from .scripted import notes

API = "/a/meetings/v1"
LINES = ["来期の予算を話し合います。", "では百万円で決定します。", "見積もりを金曜までに送ります。"]
POINT = "来期の予算を話し合う"
ANSWER = notes(key_points=[{"text": POINT, "lines": [1]}])


@pytest.fixture(autouse=True)
def drawn_plainly() -> None:
    """Level 0 itself stands behind a model, not what other tests put in its place."""


@pytest.fixture(autouse=True)
def recogniser(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hears these lines, before the platform is put together."""
    monkeypatch.setattr(meetings, "ears", lambda settings, secret_of: Ears(lambda: FakeTranscriber(LINES)))


@pytest.fixture
def model(platform: Platform) -> FakeUpstream:
    made = FakeUpstream(name="scripted", answer=[ANSWER], offered=("tiny-1b",))
    platform.cloud.router.register("scripted", made, models=["tiny-1b"])
    platform.cloud.service.set_alias("minutes", "scripted/tiny-1b")
    return made


@pytest.fixture
def ann(platform: Platform) -> Any:
    return platform.cloud.service.create_key("ann")


@pytest.fixture
def client(platform: Platform, ann: Any) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        opened.headers["authorization"] = f"Bearer {ann.secret}"
        yield opened


def finish(platform: Platform) -> None:
    """Let the worker listen, and then do what listening asked for."""
    with platform.jobs.working():
        for name in ("meetings.hear", "meetings.draw"):
            assert platform.jobs.wait(platform.jobs.list(name=name)[0].id, timeout_s=60).state == "done"


def check(client: TestClient, platform: Platform, ann: Any, meeting_id: str) -> None:
    made = client.get(f"{API}/meetings/{meeting_id}").json()
    assert (made["state"], made["plan"]["made_level"], made["plan"]["form"]) == ("ready", 1, "board")
    assert [each["text"] for each in made["segments"]] == LINES
    assert POINT in [each["text"] for each in made["extractions"] if each["made_by"].startswith("level1:")]
    (used,) = platform.cloud.service.usage(by=("key",))
    assert used.key_id == ann.key.id and used.output_tokens > 0


def test_a_recording_that_came_in_pieces(client: TestClient, platform: Platform, ann: Any, model: FakeUpstream) -> None:
    sound = wav(talk(1.5, 1.5, 1.5, gap_s=2.0))
    asked: dict[str, Any] = {"language": "ja", "level": "1", "form": "board"}
    upload = client.post(f"{API}/uploads", json={"filename": "a.wav", "bytes": len(sound), "fields": asked}).json()
    answer = client.patch(f"{API}/uploads/{upload['id']}", content=sound, headers={"upload-offset": "0"})
    assert answer.status_code == 204
    told = client.post(f"{API}/uploads/{upload['id']}/meeting").json()
    assert told["state"] == "working" and model.requests == []
    finish(platform)
    check(client, platform, ann, told["id"])


def test_a_live_meeting(client: TestClient, platform: Platform, ann: Any, model: FakeUpstream) -> None:
    with client.websocket_connect(f"{API}/live") as socket:
        socket.send_json({"type": "start", "language": "ja", "level": 1, "form": "board"})
        meeting_id = socket.receive_json()["meeting_id"]
        assert client.post(f"{API}/meetings/{meeting_id}/draw", json={"level": 0}).status_code == 409
        for seq, text in enumerate(LINES, start=1):
            socket.send_json({"type": "caption", "seq": seq, "text": text})
            assert socket.receive_json() == {"type": "ack", "seq": seq}
            assert socket.receive_json()["text"] == text
        socket.send_json({"type": "end"})
        assert socket.receive_json()["type"] == "ended"
    finish(platform)
    check(client, platform, ann, meeting_id)


@pytest.mark.parametrize("fields", [{"level": "2"}, {"form": "no such form"}], ids=str)
def test_a_plan_nobody_could_follow_is_refused_before_anything_is_sent(
    client: TestClient, fields: dict[str, str]
) -> None:
    told = client.post(f"{API}/uploads", json={"filename": "a.txt", "bytes": 10, "fields": fields})
    assert (told.status_code, told.json()["error"]["param"]) == (400, next(iter(fields)))
