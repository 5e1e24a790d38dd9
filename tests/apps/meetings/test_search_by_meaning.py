"""Where a house wants it, what words found is put in order by meaning too; what is taken away leaves no vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from ikkan.apps.meetings import store
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.store.tables import vectors
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog

from .conftest import ADA, EVE, SAID

TOPICS = ("budget", "money", "lunch")
TALK = "\n".join(f"Ann: {'the plan for ' * 40} {topic}." for topic in ("lunch", "colours", "walls", "money"))


class Meaning:
    """Money and a budget are one thing to it; it counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        of_money = np.array([any(word in text for word in TOPICS[:2]) for text in texts], dtype=np.float32)
        return np.stack([of_money, 1 - of_money], axis=1)


@pytest.fixture
def meaning() -> Meaning:
    return Meaning()


@pytest.fixture
def reads(database: Database, clock: FakeClock, events: EventLog, meaning: Meaning) -> MeetingsService:
    return MeetingsService(database, events, clock, None, most_bytes=1 << 20, embed=meaning)


def kept(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(vectors)).scalar_one()


@pytest.fixture
def meeting_id(reads: MeetingsService) -> str:
    return reads.bring(ADA, TALK.encode(), "a.txt", language="en").id


def test_what_is_meant_stands_higher_than_by_words_alone(
    database: Database, reads: MeetingsService, service: MeetingsService, meeting_id: str
) -> None:
    def place(searches: MeetingsService) -> int:
        found = searches.searching.search(ADA, "plan for the budget", part="said").quotes
        return next(at for at, quote in enumerate(found) if "money" in quote.text)

    assert kept(database) == 4
    assert place(reads) < place(service)


def test_nobody_else_finds_it_by_meaning_either(reads: MeetingsService, meeting_id: str) -> None:
    assert reads.searching.search(EVE, "plan for the budget").quotes == ()


def test_japanese_and_chinese_are_searched_by_characters_alone(
    database: Database, reads: MeetingsService, meaning: Meaning
) -> None:
    reads.bring(ADA, SAID.encode(), "b.txt")
    assert len(reads.searching.search(ADA, "予算").quotes) == 1
    assert kept(database) == 0 and meaning.asked == []


def test_vectors_go_with_the_meeting_and_with_the_person(
    database: Database, reads: MeetingsService, meeting_id: str
) -> None:
    reads.remove(ADA, meeting_id)
    assert kept(database) == 0
    reads.bring(ADA, TALK.encode(), "a.txt", language="en")
    assert kept(database) == 4
    with database.transaction() as connection:
        store.forget(connection, ADA.tenant_id, ADA.subject_id)
    assert kept(database) == 0


def test_a_meeting_kept_before_is_found_by_words(reads: MeetingsService, service: MeetingsService) -> None:
    service.bring(ADA, TALK.encode(), "old.txt", language="en")
    assert len(reads.searching.search(ADA, "plan for the budget", part="said").quotes) == 4
