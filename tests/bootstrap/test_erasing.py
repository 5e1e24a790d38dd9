"""A person of the sample firm is erased from the real learnables, by job, command line and API; and after a restore."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan import bootstrap
from ikkan.apps.assistant import sample, service
from ikkan.bootstrap.erasing import Erasing, go_on, wait
from ikkan.bootstrap.platform import Platform, asgi, build, forget_again
from ikkan.cli.erasure import lineage
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.flywheel.erasure import verify
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import upgrade
from ikkan.ground.errors import NotFound
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId
from ikkan.ground.settings import GIB, Machine, Settings, load_settings

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PERSON = SubjectId("shionagi-010")
LEARNABLES = ("assistant.answer", "assistant.intent")
VISITS = 450


def settings_in(folder: Path) -> Settings:
    machine = Machine(cores=2, cores_reason="test", memory_bytes=8 * GIB, memory_reason="test")
    return load_settings({"IKKAN_HOME": str(folder / "home")}, machine=machine)


def used(folder: Path, *, without: SubjectId | None = None) -> Platform:
    """A home with weeks of visits, many labelled with what they were about; both wheels turned once."""
    settings = settings_in(folder)
    settings.home.mkdir(parents=True)
    upgrade(settings.database_url)
    platform = build(settings, clock=FakeClock(NOW))
    visits = [visit for visit in sample.visits(1, end=NOW)[-VISITS:] if visit.subject != without]
    service.load_sample(
        platform.database, platform.events, platform.flywheel, sample.knowledge(), visits, platform.clock
    )
    topics = {entry.entry_id: entry.topic for entry in sample.knowledge()}
    labels = [
        NewEvent("FeedbackGiven", 1, LOCAL_TENANT, SubjectId(visit.subject), visit.at, SERVICE,
                 {"inference_id": f"chatcmpl-{visit.visit_id}", "kind": "label", "after": topics[visit.knowledge_id]})
        for visit in visits
        if visit.knowledge_id is not None and (visit.subject == PERSON or visit.visit_id.endswith(("0", "3", "6")))
    ]  # fmt: skip
    with platform.database.transaction() as connection:
        platform.events.append(connection, *labels)
    platform.clock.advance(1)  # type: ignore[attr-defined]
    intent = platform.apps[0].learns[1]
    # So few texts cannot show that reading intents beats what is trivial; what is tested here is the erasing.
    intent.baselines = dict  # type: ignore[method-assign, assignment]
    for name in LEARNABLES:
        decision = platform.flywheel.run(name, seed=3)
        assert decision.decision == "promoted", decision.reason
    return platform


def close(platform: Platform) -> None:
    platform.jobs.close()
    platform.database.close()


def champions(platform: Platform) -> dict[str, Any]:
    return {name: platform.registry.alias(name) for name in LEARNABLES}


@dataclass
class Template:
    """A home that was used, as files, and its backup; and who serves in it."""

    home: Path
    archive: Path
    champions: dict[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("used")
    platform = used(folder)
    found = champions(platform)
    close(platform)
    archive = bootstrap.back_up(platform.settings, folder / "backup.tar").path
    return Template(folder / "home", archive, found)


@pytest.fixture
def platform(template: Template, tmp_path: Path) -> Iterator[Platform]:
    """A copy of that home, opened."""
    shutil.copytree(template.home, tmp_path / "home")
    opened = build(settings_in(tmp_path), clock=FakeClock(NOW))
    opened.clock.advance(10)  # type: ignore[attr-defined]
    yield opened
    close(opened)


@pytest.fixture(scope="module")
def never_there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Who serves in a home where the person never was."""
    platform = used(tmp_path_factory.mktemp("without"), without=PERSON)
    found = champions(platform)
    close(platform)
    return found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Platform]:
    """A home that knows one person, from whom nothing was learned."""
    settings = settings_in(tmp_path)
    settings.home.mkdir()
    upgrade(settings.database_url)
    opened = build(settings)
    with opened.database.transaction() as connection:
        seen = NewEvent("Seen", 1, LOCAL_TENANT, PERSON, opened.clock.now(), SERVICE, {})
        opened.events.append(connection, seen)
    yield opened
    close(opened)


def erasing(platform: Platform) -> Erasing:
    return Erasing(platform.eraser, platform.cloud.subjects, platform.jobs)


def test_both_models_become_byte_for_byte_those_of_a_house_where_the_person_never_was(
    platform: Platform, template: Template, never_there: dict[str, Any]
) -> None:
    assert all(template.champions[name] != never_there[name] for name in LEARNABLES), "the person is in both"
    begun = erasing(platform).begin(LOCAL_TENANT, PERSON)
    assert begun.job_id is not None
    told: list[tuple[float, str]] = []
    status = wait(platform.jobs, begun.job_id, lambda done, said: told.append((done, said)))
    assert (status.state, status.error) == ("done", None)
    assert champions(platform) == never_there
    receipt = verify(status.result, public=platform.eraser.public_key)
    assert {one["new"] for one in receipt["artifacts"]} == set(never_there.values())
    assert set(template.champions.values()) <= set(receipt["destroyed"])
    assert receipt == platform.eraser.erasure(begun.erasure.id).receipt
    assert not platform.eraser.lineage(LOCAL_TENANT, PERSON)
    assert platform.apps[0].upstreams  # and it still answers:
    assert all(platform.flywheel.champion(name).files for name in LEARNABLES)


def test_a_worker_killed_in_the_middle_goes_on_and_ends_with_the_same_models(
    platform: Platform, never_there: dict[str, Any]
) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
    environ["IKKAN_HOME"] = str(platform.settings.home)

    def worker() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "ikkan", "worker"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    begun = erasing(platform).begin(LOCAL_TENANT, PERSON)
    assert begun.job_id is not None
    killed = worker()
    deadline = time.monotonic() + 120
    while not platform.jobs.status(begun.job_id).message.startswith("making"):
        assert time.monotonic() < deadline and killed.poll() is None, "it did not begin"
        time.sleep(0.05)
    killed.kill()
    killed.wait(10)
    before = champions(platform)
    assert all(platform.flywheel.champion(name).files for name in LEARNABLES), "somebody serves at every moment"
    again = worker()
    status = platform.jobs.wait(begun.job_id, timeout_s=120)
    again.terminate()
    again.wait(20)
    assert (status.state, status.error) == ("done", None)
    assert champions(platform) == never_there != before
    for name in LEARNABLES:
        told = [one.code for one in platform.flywheel.history(name)]
        assert sum(code.startswith("rebuilt") for code in told) == 1, "decided once"


def test_a_restored_backup_from_before_the_erasure_serves_no_model_that_learned_from_them(
    platform: Platform, template: Template, never_there: dict[str, Any], tmp_path: Path
) -> None:
    platform.eraser.begin(LOCAL_TENANT, PERSON)  # the tombstone is up; the models would come later
    there = replace(settings_in(tmp_path / "second"), erasures=platform.settings.erasures)
    restored = bootstrap.restore(there, template.archive)
    assert restored.erased_again == 1
    with bootstrap.opened(there) as again:
        assert champions(again) == never_there
        (erasure,) = again.eraser.erasures()
        assert (erasure.cause, erasure.state) == ("returned", "done") and erasure.receipt is not None
        assert verify(erasure.receipt, public=again.eraser.public_key)["nothing_to_rebuild"] is False
        kept = {artifact.id for artifact in again.artifacts.list()}
        assert not kept & set(template.champions.values())
        assert forget_again(again) == 0 and len(again.eraser.erasures()) == 1


def test_a_start_finishes_what_a_restore_was_stopped_in(
    platform: Platform, never_there: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with platform.database.transaction() as connection:
        platform.events.erase(connection, LOCAL_TENANT, PERSON)  # as an earlier release did: data only

    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(platform.eraser, "run", cut)
    with pytest.raises(KeyboardInterrupt):
        forget_again(platform)
    monkeypatch.undo()
    forget_again(platform)
    assert champions(platform) == never_there


def test_the_api_forgets_at_once_and_answers_with_the_job(small: Platform) -> None:
    client = TestClient(asgi(small), client=("127.0.0.1", 5000), base_url="http://127.0.0.1")
    reply = client.delete(f"/admin/v1/subjects/{PERSON}")
    assert reply.status_code == 202
    begun = reply.json()
    assert begun["erasure"]["state"] == "begun" and begun["erasure"]["receipt"] is None
    unknown = client.delete("/admin/v1/subjects/nobody@example.com?tenant=acme")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    stranger = TestClient(asgi(small), client=("203.0.113.9", 5000))
    assert stranger.delete(f"/admin/v1/subjects/{PERSON}").status_code == 401
    wait(small.jobs, begun["job"], lambda done, said: None)
    found = client.get(f"/admin/v1/erasures/{begun['erasure']['id']}").json()
    assert found["state"] == "done" and found["receipt"]["signature"]
    assert client.get("/admin/v1/erasures").json()["data"][0]["id"] == found["id"]
    again = client.delete(f"/admin/v1/subjects/{PERSON}")
    assert (again.status_code, again.json()["job"]) == (200, None)
    assert again.json()["erasure"]["receipt"] == found["receipt"]


def test_a_job_that_failed_is_started_again_by_the_next_worker(
    small: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(small.eraser, "_destroy", full)
        begun = erasing(small).begin(LOCAL_TENANT, PERSON)
        assert begun.job_id is not None
        status = wait(small.jobs, begun.job_id, lambda done, said: None)
    assert status.state == "failed" and small.eraser.erasure(begun.erasure.id).state == "swapped"
    (again,) = go_on(small.eraser, small.jobs)
    assert again != begun.job_id
    assert wait(small.jobs, again, lambda done, said: None).result["nothing_to_rebuild"] is True
    assert go_on(small.eraser, small.jobs) == []


def test_a_person_may_be_named_as_clients_name_them(small: Platform) -> None:
    subject = small.cloud.subjects.pseudonym(LOCAL_TENANT, "ada@example.com")
    with small.database.transaction() as connection:
        event = NewEvent("Seen", 1, LOCAL_TENANT, subject, small.clock.now(), SERVICE, {})
        small.events.append(connection, event)
    with pytest.raises(NotFound):
        erasing(small).begin(LOCAL_TENANT, "bob@example.com")
    begun = erasing(small).begin(LOCAL_TENANT, "ada@example.com")
    assert begun.erasure.subject_id == subject
    # A power cut between the transaction and the job: the next worker starts it.
    assert go_on(small.eraser, small.jobs) == [begun.job_id]


def test_the_command_line_erases_shows_and_verifies(small: Platform, tmp_path: Path) -> None:
    def ikkan(*words: str, status: int = 0, **more: str) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
        environ |= {"IKKAN_HOME": str(small.settings.home), **more}
        found = subprocess.run(
            [sys.executable, "-m", "ikkan", "flywheel", *words],
            env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert found.returncode == status, found.stderr
        return found.stdout or found.stderr

    receipt = json.loads(ikkan("erase", PERSON, "--json"))
    assert receipt["nothing_to_rebuild"] is True
    assert "作り直すものはありませんでした" in ikkan("erase", PERSON, IKKAN_TERMINAL_LANGUAGE="ja")
    assert "nothing is known" in ikkan("erase", "nobody", status=2)
    file = tmp_path / "receipt.json"
    file.write_text(ikkan("receipt", "show", receipt["id"]))
    assert json.loads(ikkan("receipt", "verify", str(file), "--json"))["valid"] is True
    file.write_text(file.read_text().replace('"evidence": 0', '"evidence": 1'))
    published = str(small.settings.keys_dir / "receipts.pub")
    assert "changed" in ikkan("receipt", "verify", str(file), "--key", published, status=2)


def test_the_command_line_shows_what_a_person_is_in(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bootstrap, "settings", lambda: platform.settings)
        lineage(PERSON)
        spoken = capsys.readouterr().out
        lineage(PERSON, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert "2 datasets" in spoken and "champion" in spoken
    assert {one["learnable"] for one in told["artifacts"]} == set(LEARNABLES)
