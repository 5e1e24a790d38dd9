"""A meeting is at work only while somebody works: whatever order things end in, and whoever is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store.tables import meetings
from ikkan.apps.meetings.values import State
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.ground.errors import DatabaseUnready
from ikkan.ground.ids import JobId, made_at, new_id

API = "/a/meetings/v1"
LONG = "\n".join(f"S{n % 3}: word {n}" for n in range(2_100)).encode()
OLD = "job-01800000-0000-7000-8000-000000000000"
"""Made in April 2022."""


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


def bring(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post(f"{API}/meetings", files={"file": ("long.txt", LONG)}).json()
    return found


def put(platform: Platform, **facts: Any) -> None:
    with platform.database.transaction() as connection:
        connection.execute(meetings.update().values(**facts))


@pytest.fixture
def over_at_once(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A worker so fast that each job is over before whoever started it is told its id."""
    real: Callable[..., JobId] = platform.jobs.start_once
    ended: list[str] = []

    def start_once(*args: Any, **kwargs: Any) -> JobId:
        job_id = real(*args, **kwargs)
        with platform.jobs.working():
            ended.append(platform.jobs.wait(job_id, timeout_s=60).state)
        return job_id

    monkeypatch.setattr(platform.jobs, "start_once", start_once)
    return ended


def test_a_job_that_is_over_before_its_id_is_known_has_the_last_word(
    client: TestClient, platform: Platform, over_at_once: list[str]
) -> None:
    told = bring(client)
    assert over_at_once == ["done"]
    with platform.database.read() as connection:
        (kept,) = connection.execute(meetings.select())
        meeting = store.by_number(connection, kept.number)
    assert meeting is not None and (meeting.state, told["state"]) == (State.READY, "ready")
    assert meeting.job_id == platform.jobs.list(name="meetings.draw")[0].id


def test_a_job_that_was_cancelled_in_the_queue_is_not_waited_for(client: TestClient, platform: Platform) -> None:
    at = f"{API}/meetings/{bring(client)['id']}"
    assert client.get(at).json()["state"] == "working"
    (job,) = platform.jobs.list(name="meetings.draw")
    platform.jobs.cancel(job.id)
    assert [each["state"] for each in client.get(f"{API}/meetings").json()["meetings"]] == ["failed"]
    assert client.get(at).json()["state"] == "failed"
    assert client.post(f"{at}/draw", json={"level": 0}).json()["state"] == "working"


def test_the_page_of_a_job_that_is_gone_is_loaded_anew(client: TestClient, platform: Platform) -> None:
    meeting_id = bring(client)["id"]
    put(platform, job_id=OLD)
    assert client.get(f"/meetings/{meeting_id}/progress").headers["hx-refresh"] == "true"
    assert client.get(f"{API}/meetings/{meeting_id}").json()["state"] == "failed"


@pytest.mark.parametrize("job_id", [OLD, ""])
def test_whoever_was_killed_before_handing_over_can_try_again(
    client: TestClient, platform: Platform, job_id: str
) -> None:
    at = f"{API}/meetings/{bring(client)['id']}"
    put(platform, job_id=job_id, created_at=made_at(OLD))
    assert client.post(f"{at}/draw", json={"level": 0}).json()["state"] == "working"


@pytest.mark.parametrize("noted", ["an id", ""])
def test_a_job_that_comes_into_the_queue_is_waited_for(client: TestClient, platform: Platform, noted: str) -> None:
    at = f"{API}/meetings/{bring(client)['id']}"
    put(platform, job_id=noted and new_id("job"))
    assert client.get(at).json()["state"] == "working"


def test_a_queue_that_takes_nothing_leaves_nobody_waiting(
    client: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> JobId:
        raise DatabaseUnready("the queue is closed", hint="later")

    monkeypatch.setattr(platform.jobs, "start_once", refuse)
    assert client.post(f"{API}/meetings", files={"file": ("long.txt", LONG)}).status_code == 503
    assert [each["state"] for each in client.get(f"{API}/meetings").json()["meetings"]] == ["failed"]


def test_somebody_who_is_at_it_already_is_named(client: TestClient, platform: Platform) -> None:
    at = f"{API}/meetings/{bring(client)['id']}"
    (job,) = platform.jobs.list(name="meetings.draw")
    assert client.patch(at, json={"held_on": "2026-06-01"}).status_code == 200
    assert [each.id for each in platform.jobs.list(name="meetings.draw")] == [job.id]
    with platform.database.read() as connection:
        assert connection.execute(meetings.select()).one().job_id == job.id
