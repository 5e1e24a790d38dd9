"""Guards: asked about every text, in and out, before anyone sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.guards import PASS, GuardedText, Verdict
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import LOCAL, ChatRequest
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ContentRefused
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.money import Price


@dataclass
class Censor:
    """Lets nothing pass that, with what came before it, holds a word."""

    word: str
    name: str = "censor"
    seen: list[str] = field(default_factory=list)

    async def inspect(self, chunk: GuardedText) -> Verdict:
        self.seen.append(f"{chunk.direction} {chunk.text}")
        return {True: Verdict(False, "not that word"), False: PASS}[self.word in chunk.before + chunk.text]


@pytest.fixture
def censor() -> Censor:
    return Censor("k brown")


@pytest.fixture
async def guarded(
    database: Database, clock: FakeClock, events: EventLog, keys: Keys, fake: FakeUpstream, censor: Censor
) -> AsyncIterator[Cloud]:
    cloud = assemble(database, clock, events, keys, guards=[censor])
    cloud.service.prepare()
    cloud.router.register("fake", fake, models=["fake"], price=Price("JPY", 0, 0, 2_000_000))
    yield cloud
    await cloud.close()


async def test_a_question_that_is_refused_reaches_nobody(guarded: Cloud, fake: FakeUpstream) -> None:
    request = ChatRequest("fake", [{"role": "user", "content": "a quick brown bear"}])
    with pytest.raises(ContentRefused, match="not that word"):
        [chunk async for chunk in guarded.pipeline.chat(LOCAL, request)]
    assert fake.requests == []
    (line,) = guarded.service.usage(by=())
    assert (line.requests, line.failed, line.cost_micros) == (0, 1, 0)


async def test_an_answer_is_stopped_at_the_piece_that_completes_the_word(
    guarded: Cloud, fake: FakeUpstream, censor: Censor
) -> None:
    heard = []
    with pytest.raises(ContentRefused):
        async for chunk in guarded.pipeline.chat(LOCAL, ChatRequest("fake", [], stream=True)):
            heard.append(chunk.text)
    assert heard == ["The", " quick"]
    assert censor.seen == ["out The", "out  quick", "out  brown"]
    assert fake.open_streams == 0
    (line,) = guarded.service.usage(by=())
    assert (line.requests, line.output_tokens) == (1, 3)
    assert guarded.service.audit().is_sound


async def test_what_a_guard_lets_pass_is_untouched(guarded: Cloud, censor: Censor) -> None:
    censor.word = "never said"
    said = [chunk.text async for chunk in guarded.pipeline.chat(LOCAL, ChatRequest("fake", [], stream=True))]
    assert "".join(said) == "The quick brown fox."
