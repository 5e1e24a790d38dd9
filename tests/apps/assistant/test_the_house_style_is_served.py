"""Who writes the model's answers: the champion of `assistant.reply_style`, from the next request on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.apps.assistant.service import (
    AssistantUpstream,
    KnowledgeService,
    ReplyStyle,
    known_intents,
    style_remark,
)
from ikkan.apps.assistant.values import INTENT, REPLY_STYLE, REPLY_STYLE_KIND
from ikkan.cloud.directory import Alias, UpstreamRecord
from ikkan.cloud.upstreams.mannered import MANNER
from ikkan.cloud.values import ChatChunk, ChatRequest, Manner, Principal, text_chunk
from ikkan.flywheel import Given
from ikkan.flywheel.contract import Budget
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import ArtifactId
from ikkan.kit.fakes import FakeTaught
from ikkan.kit.intent import Labelled, as_examples
from ikkan.models.adapters import CONFIG, WEIGHTS
from ikkan.models.registry import Registry

ADAPTER = {CONFIG: b"{}", WEIGHTS: b"numbers"}
QUIRKS: dict[str, dict[str, Any]] = {"local": {"adapters": True}, "vendor": {}}
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = {"plain.json": b"{}"}


class Model:
    """Behind `default`: says which manner it was asked for, and did."""

    async def chat(self, principal: Principal, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        manner = request.manner.artifact_id if request.manner else "plain"
        facts = {MANNER: manner} if request.manner else {}
        yield text_chunk(manner, first=True, facts=facts)
        yield text_chunk("", finish_reason="stop", facts={**facts, "upstream_model": "smol", "cost_micros": 3})


@dataclass
class House:
    database: Database
    registry: Registry
    artifacts: ArtifactStore
    upstream: AssistantUpstream
    said: list[ChatChunk] = field(default_factory=list)

    def promote(self, files: Mapping[str, bytes], **facts: Any) -> ArtifactId:
        made = self.artifacts.put(files, kind=REPLY_STYLE_KIND, source="test", facts=facts)
        with self.database.transaction() as connection:
            self.registry.register(connection, REPLY_STYLE, made.id, {})
            self.registry.promote(connection, REPLY_STYLE, made.id, "better")
        return made.id

    async def ask(self, *before: str) -> str:
        earlier = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(before)]
        request = ChatRequest("assistant", [*earlier, {"role": "user", "content": "Hello?"}])
        self.said = [chunk async for chunk in self.upstream.chat(request)]
        return "".join(chunk.text for chunk in self.said)


@dataclass
class Names:
    """What the house calls its models."""

    targets: tuple[str, ...]

    def aliases(self) -> list[Alias]:
        return [Alias("default", self.targets)] if self.targets else []

    def upstreams(self) -> list[UpstreamRecord]:
        made = [
            UpstreamRecord(name, f"http://{name}/v1", None, False, quirks, SINCE) for name, quirks in QUIRKS.items()
        ]
        return made


@pytest.fixture
def house(database: Database, clock: FakeClock, tmp_path: Path) -> House:
    events = EventLog(database, clock, Keys.open(tmp_path / "keys"))
    registry, artifacts = Registry(database, clock), ArtifactStore(tmp_path / "artifacts")
    knowledge = KnowledgeService(database, registry, artifacts)
    style = ReplyStyle(registry, artifacts)
    model: Any = Model()
    return House(
        database, registry, artifacts, AssistantUpstream(knowledge, model, database, events, clock, style=style)
    )


async def test_before_anybody_edited_anything_the_model_answers_as_it_is(house: House) -> None:
    assert await house.ask() == "plain"
    house.promote(PLAIN)
    assert await house.ask() == "plain"
    assert "style" not in house.said[-1].facts


async def test_a_promotion_and_a_rollback_are_felt_with_the_next_answer(house: House) -> None:
    house.promote(PLAIN)
    taught = house.promote(ADAPTER, base="smol")
    assert await house.ask() == taught
    assert house.said[-1].facts["style"] == taught, "what answered is recorded"
    with house.database.transaction() as connection:
        house.registry.rollback(connection, REPLY_STYLE, "no")
    assert await house.ask() == "plain"


async def test_an_adapter_that_is_gone_is_no_reason_to_go_without_an_answer(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.artifacts.delete(house.promote(ADAPTER, base="smol"))
    assert await house.ask() == "plain"
    assert "answering in no style" in caplog.text


async def test_what_was_said_before_is_recorded_once_with_the_end_of_the_answer(house: House) -> None:
    await house.ask("Good morning", "Good morning to you")
    assert [chunk.facts.get("earlier") for chunk in house.said] == [
        None,
        [["user", "Good morning"], ["assistant", "Good morning to you"]],
    ]


def test_every_person_may_be_given_an_artifact_of_their_own(house: House) -> None:
    made = house.artifacts.put(ADAPTER, kind=REPLY_STYLE_KIND, source="test", facts={"base": "smol"}).id
    style = ReplyStyle(house.registry, house.artifacts, gives=lambda name, unit: Given(made) if unit == "ada" else None)
    assert (style.manner("ada"), style.manner("bo")) == (Manner(made, "smol"), None)


@pytest.mark.parametrize(
    ("targets", "base", "told"),
    [
        (("local/default",), "smol", ""),
        (("vendor/big",), "smol", "vendor"),
        (("local/default",), "larger", "larger"),
        ((), "smol", "-"),
    ],
    ids=["it is used", "a vendor", "another base", "nobody"],
)
def test_status_says_why_what_was_learned_is_not_used(
    house: House, targets: tuple[str, ...], base: str, told: str
) -> None:
    style, directory = ReplyStyle(house.registry, house.artifacts), Names(targets)
    model = FakeTaught(base)
    assert style_remark(style, model, directory) == {}, "nothing was learned"
    house.promote(ADAPTER, base="smol")
    remark = style_remark(style, model, directory)
    assert set(remark) == {"ja", "en"} - ({"ja", "en"} if not told else set())
    assert told in remark.get("en", "")


def test_known_intents_are_those_of_the_champion(house: House) -> None:
    assert known_intents(house.registry, house.artifacts) == ()
    fitted = IntentLearnable().train(as_examples([Labelled("a", "b"), Labelled("c", "a")]), Budget(), 0)
    made = house.artifacts.put(fitted.files, kind=fitted.kind, source="test").id
    with house.database.transaction() as connection:
        house.registry.register(connection, INTENT, made, {})
        house.registry.promote(connection, INTENT, made, "first")
    assert known_intents(house.registry, house.artifacts) == ("a", "b")
