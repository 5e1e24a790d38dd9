"""From a sealed log to the bytes of a dataset: however it is read, what is built stays what it was."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ikkan.flywheel import datasets, scrubbing
from ikkan.flywheel.joins import Reading, Rule, join
from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys, reading
from ikkan.ground.eventlog import log as recording
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId, TenantId

START = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantId("t")
RULE = Rule("Asked", "Judged", key=("request_id",), outcome_key=("about_id",), window_s=86_400.0)
READING = Reading(
    text=lambda event: str(event.payload["question"]),
    value=lambda event: float(event.payload["value"] or 0.0),
    slice=lambda event: str(event.payload["facts"]["source"]),
    row_id=lambda event: str(event.payload["request_id"]),
)
SHA256 = "8af6c23a77896f1f4af1b89855b8384fb50d3b044921dc0a561df662fe1ed157"
"""Of the rows, as the release built them that asked SQLAlchemy for every value. It must not change."""
QUESTIONS = [
    "経費の申請方法を教えてください",
    "すみません、経費の申請方法を教えてください",
    "VPNにつながらない。佐藤さんの電話は090-1234-5678です",
    "VPNにつながらない。鈴木さんの電話は080-1234-5678です",
    "印刷できない",
    "how do i request a new laptop",
    "hi, how do i request a new laptop thanks",
    "please mail ada@example.com about it",
]


@pytest.fixture
def log(database: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EventLog:
    keys, numbers = Keys.open(tmp_path / "keys"), itertools.count()
    monkeypatch.setattr(recording, "new_id", lambda: f"00000000-0000-7000-8000-{next(numbers):012x}")
    log, rng = EventLog(database, clock, keys), random.Random(5)
    for n in range(60):
        at = START + timedelta(hours=n, microseconds=n % 3)
        who = rng.choice((SubjectId("ada"), SubjectId("bob"), SubjectId("eve"), None))
        asked = {"request_id": f"r{n}", "question": rng.choice(QUESTIONS), "facts": {"source": rng.choice("ab")}}
        told = {"about_id": f"r{rng.randrange(n + 1)}", "value": rng.choice((None, 1, -1, 0.5))}
        with database.transaction() as connection:
            log.append(connection, NewEvent("Asked", 1, TENANT, who, at, "service", asked))
            log.append(connection, NewEvent("Judged", 1, TENANT, who, at + timedelta(hours=1), "service", told))
        clock.advance(n % 2)
    with database.transaction() as connection:
        log.set_consent(connection, TENANT, SubjectId("bob"), "improve", False)
        log.erase(connection, TENANT, SubjectId("eve"))
    return log


@pytest.mark.parametrize(("page", "remembered"), [(2_000, 1 << 24), (7, 1 << 24), (2_000, 300)])
def test_a_dataset_is_what_it_always_was(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int, remembered: int
) -> None:
    monkeypatch.setattr(reading, "PAGE", page)
    monkeypatch.setattr(scrubbing, "_REMEMBERED", remembered)
    joined = join(ScrubbedEvents(log.reader()), RULE, READING, datetime(2026, 12, 1, tzinfo=UTC))
    artifacts = ArtifactStore(tmp_path / "artifacts")
    parted = datasets.part(joined.rows, START + timedelta(hours=40))
    kept = datasets.write(artifacts, joined.rows, parted, {})
    told = datasets.facts(artifacts, kept.id)
    assert (told["counts"], joined.unclaimed) == ({"aside": 15, "judge": 3, "teach": 5}, 15)
    assert told["rows_sha256"] == SHA256
