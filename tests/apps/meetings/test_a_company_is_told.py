"""Messages to a company's own systems: signed, tried again, logged, and never into this network unasked."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.meetings.rules.hooks import WAITS_S
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.hooks import DELIVER, Hooks
from ikkan.apps.meetings.service.posting import Posted, post
from ikkan.apps.meetings.store import forget
from ikkan.apps.meetings.values import Audience, Change, DeliveryState, Kind, Meeting, Status
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotAllowed, NotFound
from ikkan.ground.eventlog import EventLog, Keys

from .conftest import ADMIN, BO, EVE, SAID

URL = "https://hooks.example.com/minutes"


class Receiver:
    """Takes messages as it is told to."""

    def __init__(self) -> None:
        self.answers: list[Posted] = [Posted(True, "HTTP 200")]
        self.got: list[tuple[str, dict[str, Any], dict[str, str], bytes]] = []

    async def __call__(self, url: str, body: bytes, headers: dict[str, str], *, allow_private: bool) -> Posted:
        self.got.append((url, json.loads(body), dict(headers), body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Queue:
    """Remembers what is to be done, and when."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, str]] = []

    def job(self, name: str) -> Any:
        return lambda function: function

    def start_once(self, name: str, key: str, /, **kwargs: Any) -> str:
        assert name == DELIVER and key == kwargs["delivery_id"]
        self.waiting = [*(each for each in self.waiting if each != (0.0, key)), (0.0, key)]
        return key

    def start_later(self, name: str, after_s: float, /, **kwargs: Any) -> str:
        self.waiting.append((after_s, kwargs["delivery_id"]))
        return name


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def hooks(database: Database, clock: FakeClock, tmp_path: Path, receiver: Receiver, queue: Queue) -> Hooks:
    return Hooks(database, clock, Keys.open(tmp_path / "keys"), queue, send=receiver)  # type: ignore[arg-type]


@pytest.fixture
def told(database: Database, events: EventLog, clock: FakeClock, hooks: Hooks) -> MeetingsService:
    return MeetingsService(database, events, clock, None, most_bytes=1 << 20, hooks=hooks)


def bring(service: MeetingsService, audience: Audience = Audience.TENANT) -> Meeting:
    return service.bring(ADMIN, SAID.encode(), "予算.txt", audience=audience)


def send_all(hooks: Hooks, queue: Queue) -> list[DeliveryState]:
    waiting, queue.waiting = queue.waiting, []
    return [hooks.deliver(delivery_id) for _, delivery_id in waiting]


def test_finished_minutes_and_accepted_actions_are_told_signed(
    told: MeetingsService, hooks: Hooks, receiver: Receiver, queue: Queue, clock: FakeClock
) -> None:
    secret = hooks.set_url(ADMIN, URL)
    assert secret is not None and hooks.set_url(ADMIN, URL) is None, "shown once"
    meeting = bring(told)
    clock.advance(1.0)
    action = next(each for each in told.get(ADMIN, meeting.id).items if each.extraction.kind is Kind.ACTION)
    told.judging.change(ADMIN, meeting.id, action.id, Change(status=Status.ACCEPTED))
    told.judging.change(ADMIN, meeting.id, action.id, Change(text="見積もりをメールで送る"))
    assert send_all(hooks, queue) == [DeliveryState.SENT] * 2
    (_, accepted, _, _), (url, minutes, headers, body) = sorted(receiver.got, key=lambda each: each[1]["event"])
    assert url == URL and minutes["event"] == "minutes.ready" and "# 予算" in minutes["minutes_markdown"]
    assert "segments" not in minutes and minutes["meeting"]["id"] == meeting.id
    # An action is told once, as it is when it is sent.
    assert (accepted["event"], accepted["action"]["text"]) == ("action.accepted", "見積もりをメールで送る")
    at_s = int(clock.now().timestamp())
    signed = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-ikkan-signature"] == f"t={at_s},v1={signed}"
    assert [(each.event, each.state, each.told) for each in hooks.log(ADMIN)] == [
        ("action.accepted", DeliveryState.SENT, "HTTP 200"),
        ("minutes.ready", DeliveryState.SENT, "HTTP 200"),
    ]


def test_a_meeting_that_not_everyone_may_see_is_not_told(
    told: MeetingsService, hooks: Hooks, receiver: Receiver, queue: Queue
) -> None:
    hooks.set_url(ADMIN, URL)
    meeting = bring(told, Audience.OWNER)
    assert queue.waiting == [] and hooks.log(ADMIN) == []
    told.share(ADMIN, meeting.id, Audience.TENANT)
    told.share(ADMIN, meeting.id, Audience.OWNER)
    assert send_all(hooks, queue) == [DeliveryState.DROPPED] and receiver.got == []


def test_what_was_erased_meanwhile_is_not_told(
    told: MeetingsService, hooks: Hooks, receiver: Receiver, queue: Queue, database: Database
) -> None:
    hooks.set_url(ADMIN, URL)
    meeting = bring(told)
    told.claim_speaker(ADMIN, meeting.id, "鈴木", is_me=True)
    assert ADMIN.subject_id is not None
    with database.transaction() as connection:
        forget(connection, ADMIN.tenant_id, ADMIN.subject_id)
    send_all(hooks, queue)
    assert "見積もり" not in json.dumps(receiver.got[0][1], ensure_ascii=False)


def test_a_message_that_fails_is_tried_again_later_and_then_given_up(
    told: MeetingsService, hooks: Hooks, receiver: Receiver, queue: Queue
) -> None:
    hooks.set_url(ADMIN, URL)
    receiver.answers = [Posted(False, "HTTP 503")]
    bring(told)
    waits = []
    while queue.waiting:
        waits.append(queue.waiting[0][0])
        send_all(hooks, queue)
    assert waits == [0.0, *WAITS_S]
    (failed,) = hooks.log(ADMIN)
    assert (failed.state, failed.tries, failed.told) == (DeliveryState.FAILED, len(WAITS_S) + 1, "HTTP 503")
    assert len({headers["x-ikkan-delivery"] for _, _, headers, _ in receiver.got}) == 1
    receiver.answers = [Posted(True, "HTTP 204")]
    hooks.again(ADMIN, failed.id)
    assert send_all(hooks, queue) == [DeliveryState.SENT]


def test_what_a_crash_left_is_found(told: MeetingsService, hooks: Hooks, queue: Queue) -> None:
    hooks.set_url(ADMIN, URL)
    bring(told)
    queue.waiting.clear()
    hooks.test(ADMIN)
    assert send_all(hooks, queue) == [DeliveryState.SENT] * 2


def test_only_administrators_decide_and_only_for_their_own_company(told: MeetingsService, hooks: Hooks) -> None:
    hooks.set_url(ADMIN, URL)
    bring(told)
    for deed in (lambda: hooks.set_url(BO, URL), lambda: hooks.log(BO), lambda: hooks.renew_secret(BO)):
        with pytest.raises(NotAllowed):
            deed()
    assert hooks.log(EVE) == [] and hooks.policy(EVE.tenant_id).hook_url == ""
    with pytest.raises(NotFound):
        hooks.again(EVE, hooks.log(ADMIN)[0].id)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x",
        "example.com",
        "http://example.com/x",
        "https://user:secret@example.com/x",
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://example.com:99999/x",
    ],
)
def test_an_address_inside_this_network_is_refused(hooks: Hooks, url: str) -> None:
    with pytest.raises(BadInput):
        hooks.set_url(ADMIN, url)


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on loopback: /ok takes, /moved points elsewhere, /gone is gone."""
    got: list[dict[str, Any]] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response({"/ok": 204, "/moved": 302, "/gone": 410}[self.path])
            self.send_header("location", "/ok")
            self.end_headers()

        def log_message(self, *told: Any) -> None:
            pass

    door = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=door.serve_forever)
    thread.start()
    yield f"http://localhost:{door.server_port}", got
    door.shutdown()
    thread.join()
    door.server_close()


def posted(url: str, *, allow_private: bool) -> Posted:
    return asyncio.run(post(url, b'{"a": 1}', {"content-type": "application/json"}, allow_private=allow_private))


def test_over_a_real_wire(server: tuple[str, list[dict[str, Any]]]) -> None:
    base, got = server
    assert posted(f"{base}/ok", allow_private=True) == Posted(True, "HTTP 204")
    assert posted(f"{base}/moved", allow_private=True) == Posted(False, "HTTP 302"), "no redirect is followed"
    assert posted(f"{base}/gone", allow_private=True) == Posted(False, "HTTP 410", is_final=True)
    assert got == [{"a": 1}] * 3
    # The name is judged when it is resolved, whatever it pointed to when it was set.
    refused = posted(f"{base.replace('http:', 'https:')}/ok", allow_private=False)
    assert not refused.is_taken and refused.is_final and "leads into a network" in refused.told
    assert len(got) == 3


def test_nobody_there_is_an_answer_too() -> None:
    told = posted("http://127.0.0.1:9/x", allow_private=True)
    assert not told.is_taken and not told.is_final and "127.0.0.1" in told.told


def test_a_test_message_tells_of_nothing(hooks: Hooks, queue: Queue, receiver: Receiver, clock: FakeClock) -> None:
    with pytest.raises(BadInput):
        hooks.test(ADMIN)
    hooks.set_url(ADMIN, URL)
    made = hooks.test(ADMIN)
    clock.advance(1.0)
    assert send_all(hooks, queue) == [DeliveryState.SENT]
    assert receiver.got[0][1] == {"id": made, "event": "test", "at": hooks.log(ADMIN)[0].created_at.isoformat()}


def test_the_secret_is_sealed_where_it_is_kept(hooks: Hooks) -> None:
    secret = hooks.set_url(ADMIN, URL)
    other = hooks.renew_secret(ADMIN)
    kept = hooks.policy(ADMIN.tenant_id).hook_secret
    assert secret is not None and other != secret and kept is not None
    assert other.encode() not in kept and other not in repr(hooks.policy(ADMIN.tenant_id))
