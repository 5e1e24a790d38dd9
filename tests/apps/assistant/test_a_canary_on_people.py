"""A candidate is tried on people: who is given it, what is written down, how they fare, and who takes it back."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from ikkan import bootstrap
from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.learn.outcome import WINDOW_S
from ikkan.apps.assistant.values import LEARNABLE, UNSEEN
from ikkan.bootstrap.platform import Platform, asgi, build
from ikkan.flywheel import SHADOW, Given
from ikkan.flywheel.outcomes import Between
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import upgrade
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId
from ikkan.ground.settings import Settings, load_settings

from .conftest import KNOWLEDGE, START, TENANT, Desk, choice, edit, thumb

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ONE, TWO = "sha256:one", "sha256:two"


# ---- how people fared ------------------------------------------------------------------------------------------------


@pytest.fixture
def learnable(known: Callable[[], Sequence[Any]]) -> AnswerLearnable:
    return AnswerLearnable(known, tenant_id=TENANT, tried_on_people=True)


def served(desk: Desk, shown: str | None, *reactions: dict[str, Any], artifact: str = ONE, subject: str = "ada") -> str:
    """An answer that this model gave, or left to the language model."""
    answer_id = desk.ask("…", subject=subject, shown=shown)
    facts = {"source": "knowledge" if shown else "model", "knowledge_id": shown, "artifact": artifact}
    more = {"confidence": 0.9 if shown else None, "lookup_ms": 4.0}
    more |= {} if shown else {"spent_micros": 30_000}
    payload = {"request_id": answer_id, "model": "assistant", "question": "How?", "facts": facts | more}
    desk._append("InferenceServed", subject, payload | {"latency_ms": 250.0})
    for reaction in reactions:
        desk.clock.advance(5)
        desk._append("FeedbackGiven", subject, {"inference_id": answer_id, **reaction})
    return answer_id


def later(desk: Desk, seconds: float = WINDOW_S + 1) -> Between:
    desk.clock.advance(seconds)
    return Between(desk.events, START, desk.clock.now())


@pytest.mark.parametrize(
    ("shown", "reactions", "value", "complained"),
    [
        ("k1-en", [], 1.0, 0.0),
        ("k1-en", [thumb(1)], 1.0, 0.0),
        ("k1-en", [thumb(-1)], 0.0, 1.0),
        ("k1-en", [choice("k2-en")], 0.0, 1.0),
        ("k1-en", [choice("k1-en")], 1.0, 0.0),
        ("k1-en", [edit("Something new altogether.")], 0.0, 1.0),
        ("k1-en", [{"kind": "comment", "comment": "hm"}], 1.0, 0.0),
        (None, [], 1.0, 0.0),
        (None, [thumb(1)], 1.0, 0.0),
        (None, [thumb(-1)], 0.25, 0.0),
        (None, [edit("Apply in the portal, extension 2201.")], 0.25, 0.0),
    ],
)
def test_what_people_say_within_an_hour_is_how_they_fared_and_silence_counts(
    desk: Desk, learnable: AnswerLearnable, shown: str | None, reactions: list[Any], value: float, complained: float
) -> None:
    served(desk, shown, *reactions)
    came = learnable.outcome(later(desk), ONE)
    assert (came.unit_ids, came.values.tolist(), came.kept) == (("ada",), [value], True)
    assert came.guards["complaints"].values.tolist() == [complained]
    assert came.guards["wait_s"].values.tolist() == [0.25]
    assert came.guards["lookup_s"].values.tolist() == [pytest.approx(0.004)]


def test_a_case_is_open_for_an_hour_whatever_was_said(desk: Desk, learnable: AnswerLearnable) -> None:
    served(desk, "k1-en", thumb(-1))
    assert len(learnable.outcome(later(desk, 1_800), ONE).values) == 0
    assert len(learnable.outcome(later(desk, 1_800), ONE).values) == 1


def test_what_is_said_after_the_hour_does_not_count(desk: Desk, learnable: AnswerLearnable) -> None:
    answer_id = served(desk, "k1-en")
    desk.clock.advance(WINDOW_S + 60)
    desk._append("FeedbackGiven", "ada", {"inference_id": answer_id, **thumb(-1)})
    assert learnable.outcome(later(desk), ONE).values.tolist() == [1.0]


def test_each_arm_has_only_its_own_people(desk: Desk, learnable: AnswerLearnable) -> None:
    served(desk, "k1-en", subject="ada")
    served(desk, "k1-en", subject="bob", artifact=TWO)
    desk.ask("Who answered this nobody knows", shown="k1-en")
    window = later(desk)
    assert learnable.outcome(window, ONE).unit_ids == ("ada",)
    assert learnable.outcome(window, TWO).unit_ids == ("bob",)
    assert learnable.outcome(window, "sha256:three").kept  # declared, though nobody came


def test_the_shadow_is_judged_by_what_people_said_of_the_answer_they_saw(
    desk: Desk, learnable: AnswerLearnable
) -> None:
    for would_say, reaction in (("k1-en", thumb(1)), ("k2-en", choice("k2-en")), ("k3-en", thumb(1)), (None, thumb(1))):
        answer_id = served(desk, "k1-en", reaction)
        told = {"request_id": answer_id, "artifact": TWO, "knowledge_id": would_say, "lookup_ms": 9.0}
        desk.events.append(NewEvent(UNSEEN, 1, TENANT, SubjectId("ada"), desk.clock.now(), "improve", told))
    came = learnable.outcome(later(desk), SHADOW + TWO)
    assert came.values.tolist() == [1.0, 1.0, 0.0, 0.25]
    assert came.guards["complaints"].values.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert set(came.guards) == {"complaints", "lookup_s"}, "nobody waited for the shadow"


def test_where_people_are_not_asked_the_gate_alone_decides(known: Callable[[], Sequence[Any]], desk: Desk) -> None:
    assert not AnswerLearnable(known, tenant_id=TENANT).outcome(desk.events, ONE).kept


def test_what_was_served_can_be_watched_for_drift(desk: Desk, learnable: AnswerLearnable) -> None:
    served(desk, "k1-en", thumb(-1))
    served(desk, None)
    seen = learnable.served(later(desk), ONE)
    assert seen.scores.tolist() == [0.0, 1.0] and seen.series["answered"].tolist() == [1.0, 0.0]
    assert seen.yen_per_success(learnable.metric) == pytest.approx(0.03), "both cases were paid for, one went well"
    assert np.allclose(seen.series["confidence"], [0.9, math.nan], equal_nan=True)


# ---- the whole house -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sample, at noon of 1 June 2026."""
    home = tmp_path_factory.mktemp("sample") / "home"
    settings = load_settings({"IKKAN_HOME": str(home)})
    home.mkdir(parents=True)
    upgrade(settings.database_url)
    platform = build(settings, clock=FakeClock(NOON))
    bootstrap.load_sample(platform)
    platform.jobs.close()
    platform.database.close()
    return home


@pytest.fixture
def opened(sample: Path, settings: Settings) -> Iterator[Callable[..., Platform]]:
    """Opens a copy of that home with these settings."""
    platforms = []
    shutil.copytree(sample, settings.home, dirs_exist_ok=True)

    def open_with(**changed: Any) -> Platform:
        platform = build(replace(settings, **changed), clock=FakeClock(NOON + timedelta(minutes=1)))
        platforms.append(platform)
        return platform

    yield open_with
    for platform in platforms:
        platform.jobs.close()
        platform.database.close()


def at_this_machine(platform: Platform) -> TestClient:
    return TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000))


def events_of(platform: Platform, name: str) -> list[dict[str, Any]]:
    since = platform.clock.now() - timedelta(seconds=30)
    return [dict(event.payload) for event in platform.events.reader().read([name], since=since)]


def test_a_trial_from_the_shadow_to_a_person_who_takes_it_back(opened: Callable[..., Platform]) -> None:
    question = "How is a company account reissued?"
    tried = opened(flywheel_canary=True)
    flywheel, clock = tried.flywheel, tried.clock
    assert isinstance(clock, FakeClock)
    decision = flywheel.run(LEARNABLE)
    assert (decision.decision, decision.code) == ("trying", "fit_to_try")

    with at_this_machine(tried) as client:

        def ask(person: str) -> dict[str, Any]:
            body = {"model": "assistant", "messages": [{"role": "user", "content": question}], "user": person}
            reply = client.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            return events_of(tried, "InferenceServed")[-1]["facts"]

        # The shadow: the champion answers, the candidate is computed beside it and shown to nobody.
        trial = flywheel.status(LEARNABLE).trial
        assert trial is not None
        facts = ask("ada")
        assert (facts["artifact"], facts["chance"]) == (trial.champion, 1.0)
        for _ in range(100):
            client.get("/health/gateway")
            if unseen := events_of(tried, UNSEEN):
                break
        assert unseen[0]["artifact"] == trial.candidate and unseen[0]["lookup_ms"] > 0
        assert trial.candidate not in str(facts)

        # The canary: a few people, always the same ones, are given it; each answer says whose it was, and its chance.
        clock.advance(90_000)
        looked = flywheel.look(LEARNABLE)
        assert looked is not None and looked.code == "shadow_waited"
        people = [f"person-{number}" for number in range(80)]
        first = {person: ask(person) for person in people}
        given = {person for person, facts in first.items() if facts["artifact"] == trial.candidate}
        assert 0 < len(given) < 20
        assert {facts["chance"] for person, facts in first.items() if person in given} == {0.05}
        assert {facts["chance"] for person, facts in first.items() if person not in given} == {0.95}
        somebody = sorted(given)[0]
        assert ask(somebody)["artifact"] == trial.candidate

        # How they fared is counted once the hour is over: silence is consent.
        clock.advance(WINDOW_S + 60)
        flywheel.look(LEARNABLE)
        standing = flywheel.status(LEARNABLE).standing
        assert standing is not None and (standing.people, standing.people_with_candidate) == (80, len(given))
        assert {"complaints", "lookup_s", "wait_s"} == set(standing.guards)

        # A person ends it: the very next answer is the champion's again.
        flywheel.rollback(LEARNABLE, "enough seen")
        assert ask(somebody)["artifact"] == trial.champion
        assert flywheel.given(LEARNABLE, "anyone") == Given(trial.champion)


def test_by_default_the_gate_alone_decides_and_the_next_answer_is_the_new_models(
    opened: Callable[..., Platform],
) -> None:
    platform = opened()
    before = platform.flywheel.ensure_champion(LEARNABLE)
    decision = platform.flywheel.run(LEARNABLE)
    assert (decision.decision, platform.flywheel.status(LEARNABLE).policy) == ("promoted", "reversible")
    with at_this_machine(platform) as client:
        body = {"model": "assistant", "messages": [{"role": "user", "content": KNOWLEDGE[3].question}]}

        def artifact() -> str:
            client.post("/v1/chat/completions", json=body).raise_for_status()
            return str(events_of(platform, "InferenceServed")[-1]["facts"]["artifact"])

        assert artifact() == decision.candidate
        platform.flywheel.rollback(LEARNABLE)
        assert artifact() == before


def test_a_regulated_home_waits_for_a_signature_after_the_gate(opened: Callable[..., Platform]) -> None:
    platform = opened(flywheel_policy="regulated")
    decision = platform.flywheel.run(LEARNABLE)
    assert decision.decision == "awaiting"
    assert platform.flywheel.given(LEARNABLE, "ada") == Given(decision.champion)
    platform.flywheel.sign(LEARNABLE, "key:k1", note="read it")
    assert platform.flywheel.given(LEARNABLE, "ada") == Given(decision.candidate)
