"""A small help desk: a few entries in two languages, people who ask in house words, and what they say about answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ikkan.apps.assistant.values import Knowledge
from ikkan.ground.clock import FakeClock
from ikkan.ground.events import NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId

TENANT = TenantId("local")
START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

KNOWLEDGE = (
    Knowledge(
        "k1-ja",
        "ja",
        "it",
        "社内アカウントの再発行はどう申請しますか。",
        "ポータルから申請してください。内線2201。",
        "手順書 1",
    ),
    Knowledge(
        "k2-ja", "ja", "hr", "年次有給休暇の申請期限はいつですか。", "三日前までに勤怠システムで申請します。", "規程 2"
    ),
    Knowledge(
        "k3-ja", "ja", "acc", "立替経費の精算方法を教えてください。", "領収書を添えて月末までに経理へ。", "規程 3"
    ),
    Knowledge(
        "k1-en", "en", "it", "How is a company account reissued?", "Apply in the portal, extension 2201.", "Guide 1"
    ),
    Knowledge(
        "k2-en", "en", "hr", "By when is annual leave requested?", "Three days before, in the time system.", "Rules 2"
    ),
    Knowledge(
        "k3-en", "en", "acc", "How are advanced expenses settled?", "With the receipt, to accounting.", "Rules 3"
    ),
)


class Desk:
    """Appends what happens at the help desk to an event log in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.events = FakeEvents(self.clock)
        self.asked = 0

    def ask(
        self,
        question: str,
        *reactions: dict[str, Any],
        subject: str | None = "ada",
        shown: str | None = None,
        source: str | None = None,
        origin: str | None = None,
        answer: str = "",
        finish: str = "stop",
        earlier: Sequence[Sequence[str]] = (),
        after: timedelta = timedelta(minutes=7),
    ) -> str:
        """One visit; returns the answer's id."""
        self.clock.advance(after.total_seconds())
        self.asked += 1
        request_id = f"chatcmpl-{self.asked:05d}"
        facts: dict[str, Any] = {"source": source or ("knowledge" if shown else "model"), "knowledge_id": shown}
        facts |= {"origin": origin, **({"earlier": [list(turn) for turn in earlier]} if earlier else {})}
        served = {"request_id": request_id, "model": "assistant", "question": question, "facts": facts}
        served |= {"answer": answer, "finish_reason": finish}
        self._append("InferenceServed", subject, served)
        for reaction in reactions:
            self.clock.advance(5)
            self._append("FeedbackGiven", subject, {"inference_id": request_id, **reaction})
        return request_id

    def _append(self, name: str, subject: str | None, payload: dict[str, Any]) -> None:
        who = SubjectId(subject) if subject else None
        self.events.append(NewEvent(name, 1, TENANT, who, self.clock.now(), "service", payload))

    def now(self) -> datetime:
        """A moment after everything so far."""
        self.clock.advance(1)
        return self.clock.now()


def edit(after: str) -> dict[str, Any]:
    return {"kind": "edit", "before": "…", "after": after, "value": None, "knowledge_id": None}


def choice(knowledge_id: str | None) -> dict[str, Any]:
    return {"kind": "choice", "knowledge_id": knowledge_id}


def thumb(value: int) -> dict[str, Any]:
    return {"kind": "thumb", "value": value, "knowledge_id": None}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def known() -> Callable[[], Sequence[Knowledge]]:
    return lambda: KNOWLEDGE
