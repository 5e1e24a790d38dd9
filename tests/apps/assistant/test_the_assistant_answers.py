"""From knowledge when sure, else from the model; promotions, rollbacks and edits take effect with the next question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.assistant import store
from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.sample.values import Entry, Reaction, Visit
from ikkan.apps.assistant.service import AssistantUpstream, KnowledgeService, load_sample
from ikkan.apps.assistant.values import LEARNABLE, Knowledge
from ikkan.cloud.pipeline import DELEGATED_TO
from ikkan.cloud.values import (
    LOCAL_TENANT,
    ChatChunk,
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    Principal,
    text_chunk,
)
from ikkan.flywheel import Fitted, Flywheel, Given
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import UnknownModel
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId
from ikkan.models.registry import Registry

from .conftest import KNOWLEDGE

WEATHER = "明日の神戸の天気は？"


class FakePipeline:
    """A model that says the same to everyone, and remembers who asked for what."""

    def __init__(self, *, missing: bool = False) -> None:
        self.asked: list[Any] = []
        self.missing = missing

    async def chat(self, principal: Principal, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        self.asked.append((principal, request))
        if self.missing:
            raise UnknownModel("no model named 'default'")
        yield text_chunk("sunny", first=True)
        yield text_chunk(
            "", finish_reason="stop", facts={"upstream_model": "smol", "cost_micros": 10_000, "latency_ms": 3}
        )

    async def complete(self, principal: Principal, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        self.asked.append((principal, request))
        yield text_chunk(" and so on", finish_reason="stop")

    async def embed(self, principal: Principal, request: EmbedRequest) -> Embeddings:
        self.asked.append((principal, request))
        return Embeddings([[1.0]])


@dataclass
class House:
    database: Database
    clock: FakeClock
    events: EventLog
    registry: Registry
    artifacts: ArtifactStore
    flywheel: Flywheel
    knowledge: KnowledgeService

    def know(self, *entries: Knowledge) -> None:
        with self.database.transaction() as connection:
            store.put(connection, LOCAL_TENANT, entries, self.clock.now())


@pytest.fixture
def house(database: Database, clock: FakeClock, tmp_path: Path) -> House:
    events = EventLog(database, clock, Keys.open(tmp_path / "keys"))
    registry, artifacts = Registry(database, clock), ArtifactStore(tmp_path / "artifacts")
    knowledge = KnowledgeService(database, registry, artifacts)
    learnable = AnswerLearnable(knowledge.known, tenant_id=LOCAL_TENANT)
    flywheel = Flywheel(database, events.reader(), registry, artifacts, [learnable], clock, log=events)
    made = House(database, clock, events, registry, artifacts, flywheel, knowledge)
    made.know(*KNOWLEDGE)
    return made


def test_the_store_and_its_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_nobody_stands_in_the_knowledge(house: House) -> None:
    with house.database.transaction() as connection:
        assert store.forget(connection, LOCAL_TENANT, SubjectId("ada")) == 0


def test_without_a_champion_nothing_is_answered(house: House) -> None:
    assert house.knowledge.ask("アカウントの再発行を申請したい") is None
    assert house.knowledge.candidates("アカウント") == []


def test_a_known_question_is_answered_with_its_source(house: House) -> None:
    champion = house.flywheel.ensure_champion(LEARNABLE)
    answer = house.knowledge.ask("アカウントの再発行を申請したい")
    assert answer is not None
    assert (answer.knowledge_id, answer.source, answer.artifact_id) == ("k1-ja", "手順書 1", champion)
    assert 0.3 < answer.confidence <= 1 and house.knowledge.ask(WEATHER) is None


def test_candidates_are_offered_even_when_nothing_is_sure(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    offered = house.knowledge.candidates("申請", most=3)
    assert len(offered) == 3 and offered[0].confidence >= offered[-1].confidence


def test_an_edited_entry_is_answered_in_its_new_words_and_a_removed_one_not_at_all(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    house.know(replace(KNOWLEDGE[0], answer="内線2210へ。"))
    changed = house.knowledge.ask("アカウントの再発行を申請したい")
    assert changed is not None and changed.text == "内線2210へ。"
    with house.database.transaction() as connection:
        assert store.remove(connection, LOCAL_TENANT, "k1-ja")
    assert house.knowledge.ask("アカウントの再発行を申請したい") is None


def test_what_the_company_comes_to_know_renews_a_champion_that_has_not_learned_yet(house: House) -> None:
    first = house.flywheel.ensure_champion(LEARNABLE)
    house.know(Knowledge("k4-en", "en", "ga", "Where is the umbrella stand?", "By the lift.", "Guide 9"))
    assert house.flywheel.ensure_champion(LEARNABLE) == first
    second = house.flywheel.ensure_champion(LEARNABLE, refresh=True)
    answer = house.knowledge.ask("umbrella stand")
    assert second != first and answer is not None and answer.text == "By the lift."


def test_a_rollback_is_felt_with_the_next_question(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    house.know(Knowledge("k4-en", "en", "ga", "Where is the umbrella stand?", "By the lift.", "Guide 9"))
    house.flywheel.ensure_champion(LEARNABLE, refresh=True)
    assert house.knowledge.ask("umbrella stand") is not None
    house.flywheel.rollback(LEARNABLE)
    assert house.knowledge.ask("umbrella stand") is None


def test_two_models_stay_in_memory_those_of_a_trial(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [house.flywheel.ensure_champion(LEARNABLE)]
    for number in (1, 2):
        house.know(Knowledge(f"k9-{number}", "en", "ga", f"Where is door {number}?", f"There, {number}.", "Guide 9"))
        models.append(house.flywheel.ensure_champion(LEARNABLE, refresh=True))
    asked: list[str] = []
    read = Fitted.read
    monkeypatch.setattr(Fitted, "read", lambda artifact: (asked.append(artifact.id), read(artifact))[1])
    arm = iter([0, 1, 0, 1, 2, 1, 2, 0])
    knowledge = KnowledgeService(
        house.database, house.registry, house.artifacts, gives=lambda name, unit: Given(models[next(arm)])
    )
    for _ in range(8):
        knowledge.ask("company account reissue")
    assert asked == [models[each] for each in (0, 1, 2, 0)]


async def test_knowledge_is_streamed_with_its_facts_and_costs_no_tokens(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    pipeline = FakePipeline()
    upstream = AssistantUpstream(house.knowledge, pipeline, house.database, house.events, house.clock)  # type: ignore[arg-type]
    chunks = [
        c
        async for c in upstream.chat(ChatRequest("assistant", [{"role": "user", "content": "company account reissue"}]))
    ]
    assert "".join(chunk.text for chunk in chunks) == KNOWLEDGE[3].answer and len(chunks) > 2
    assert chunks[0].data["choices"][0]["delta"]["role"] == "assistant"
    last = chunks[-1]
    assert (last.finish_reason, last.facts["source"], last.facts["knowledge_id"]) == ("stop", "knowledge", "k1-en")
    assert last.usage is not None and last.usage.total_tokens == 0 and pipeline.asked == []


async def test_what_knowledge_does_not_answer_the_model_does(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    pipeline = FakePipeline()
    upstream = AssistantUpstream(house.knowledge, pipeline, house.database, house.events, house.clock)  # type: ignore[arg-type]
    request = ChatRequest("assistant", [{"role": "user", "content": WEATHER}], body={"temperature": 0})
    chunks = [chunk async for chunk in upstream.chat(request)]
    assert "".join(chunk.text for chunk in chunks) == "sunny"
    ((_, asked),) = pipeline.asked
    paid = {**chunks[0].facts, "source": "model", DELEGATED_TO: asked.request_id}
    assert chunks[0].facts == paid
    # Whoever deferred is written down beside the answer that somebody else gave.
    assert (paid["artifact"], paid["chance"]) == (house.flywheel.ensure_champion(LEARNABLE), 1.0)
    assert chunks[-1].facts == {**paid, "model": "smol", "spent_micros": 10_000}
    assert asked.model == "default" and asked.request_id != request.request_id and asked.body == {"temperature": 0}


async def test_without_a_model_it_says_so_in_the_persons_language(house: House) -> None:
    house.flywheel.ensure_champion(LEARNABLE)
    upstream = AssistantUpstream(house.knowledge, FakePipeline(missing=True), house.database, house.events, house.clock)  # type: ignore[arg-type]
    chunks = [c async for c in upstream.chat(ChatRequest("assistant", [{"role": "user", "content": WEATHER}]))]
    assert "わかりません" in "".join(chunk.text for chunk in chunks) and chunks[-1].facts["source"] == "none"


async def test_completions_and_embeddings_are_the_models(house: House) -> None:
    pipeline = FakePipeline()
    upstream = AssistantUpstream(house.knowledge, pipeline, house.database, house.events, house.clock)  # type: ignore[arg-type]
    texts = [chunk.text async for chunk in upstream.complete(CompletionRequest("assistant", "Once"))]
    made = await upstream.embed(EmbedRequest("assistant", ["a"]))
    assert (texts, made.vectors, list(await upstream.models())) == ([" and so on"], [[1.0]], ["assistant"])
    assert [asked.model for _, asked in pipeline.asked] == ["default", "default-embed"]
    assert (await upstream.health()).ok


class TestTheSample:
    """A sample of our own, four entries and a few dozen visits."""

    ENTRIES = tuple(Entry(e.id, e.lang, e.topic, e.question, e.answer, e.source) for e in KNOWLEDGE[:4])  # type: ignore[arg-type]

    def visits(self, house: House) -> list[Visit]:
        words = {"k1-ja": "暗証{}の件", "k2-ja": "休み{}の件", "k3-ja": "自腹{}の件", "k1-en": "login word {}"}
        return [
            Visit(
                visit_id=f"v{number}",
                at=house.clock.now() - timedelta(days=30) + timedelta(hours=number),
                subject=f"p{number % 9}",
                lang="ja",
                question=words[entry].format(number),
                knowledge_id=entry,
                corrected_id=entry,
                correction=("edit", "choice")[number % 2],  # type: ignore[arg-type]
                praises=True,
            )
            for number, entry in enumerate(list(words) * 6)
        ]

    def test_loading_it_twice_adds_it_once(self, house: House) -> None:
        counted = load_sample(
            house.database, house.events, house.flywheel, self.ENTRIES, self.visits(house), house.clock
        )
        again = load_sample(house.database, house.events, house.flywheel, self.ENTRIES, self.visits(house), house.clock)
        assert counted == {"knowledge": 0, "visits": 24, "corrections": 24}
        assert again == {"knowledge": 0, "visits": 0, "corrections": 0}

    def test_its_visits_are_examples_marked_as_not_our_own(self, house: House) -> None:
        load_sample(house.database, house.events, house.flywheel, self.ENTRIES, self.visits(house), house.clock)
        house.clock.advance(1)
        learnable = AnswerLearnable(house.knowledge.known, tenant_id=LOCAL_TENANT)
        seen = learnable.examples(house.events.reader(), house.clock.now())
        assert len(seen) == 24 and not seen.own.any()
        assert {truth.right for truth in seen.truths} == {"k1-ja", "k2-ja", "k3-ja", "k1-en"}
        assert list(seen.occurred_at) == sorted(seen.occurred_at)

    def test_a_reaction_names_its_answer(self) -> None:
        assert Reaction("choice", "k1-ja").knowledge_id == "k1-ja"
