"""What people accept and reject becomes lessons; a promotion changes what is proposed, a rollback takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.apps.meetings.learn import CandidateLearnable
from ikkan.apps.meetings.learn.examples import Choice, read_judgements
from ikkan.apps.meetings.learn.learnable import KIND
from ikkan.apps.meetings.rules.items import itemised
from ikkan.apps.meetings.rules.level0 import extract
from ikkan.apps.meetings.rules.level0.correction import FILE, Correction, corrected
from ikkan.apps.meetings.rules.level0.features import rows
from ikkan.apps.meetings.rules.level0.model import shipped
from ikkan.apps.meetings.rules.level0.offered import BASE, candidate, offered, place_of
from ikkan.apps.meetings.rules.level0.units import units
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.corrections import Corrections
from ikkan.apps.meetings.values import (
    ACTION_ITEMS,
    EXTRACTED,
    JUDGED,
    Change,
    Kind,
    Segment,
    Status,
    Transcript,
    Viewer,
)
from ikkan.flywheel.contract import NO_EXAMPLES, Budget, Examples, Fitted
from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import Event
from ikkan.models.registry import Registry

from .conftest import ADA, BO

LATER = datetime(2100, 1, 1, tzinfo=UTC)
WANTED = ("見積もりを送ります", "見積もりの表を直して送ります", "見積もりを印刷して送ります")
UNWANTED = ("明日電話します", "来週また電話します", "念のため電話します")
TALK = "佐藤：天気の話をしました。\n鈴木：昨日は寒かったですね。\n"


@pytest.fixture
def drawn_plainly() -> None:
    """Here meetings are drawn out in earnest."""


@dataclass
class House:
    service: MeetingsService
    registry: Registry
    artifacts: ArtifactStore
    database: Database
    events: EventLog
    learnable: CandidateLearnable

    def bring(self, number: int, viewer: Viewer = ADA) -> str:
        """A meeting in which three things are said that people want, and three that they do not."""
        wanted, unwanted = [each[number % 3 :] + each[: number % 3] for each in (WANTED, UNWANTED)]
        said = "".join(f"鈴木：{no}。\n{TALK}佐藤：{yes}。\n" for yes, no in zip(wanted, unwanted, strict=True))
        return self.service.bring(viewer, said.encode(), f"{number}.txt").id

    def actions(self, meeting_id: str, viewer: Viewer = ADA) -> list[Any]:
        kept = self.service.get(viewer, meeting_id)
        return [item for item in kept.items if item.extraction.kind is Kind.ACTION]

    def judge(self, meeting_id: str, viewer: Viewer = ADA) -> None:
        for item in self.actions(meeting_id, viewer):
            status = Status.ACCEPTED if "見積" in item.extraction.text else Status.REJECTED
            self.service.judging.change(viewer, meeting_id, item.id, Change(status=status))

    def examples(self) -> Examples:
        return self.learnable.examples(ScrubbedEvents(self.events.reader()), LATER)

    def serve(self, fitted: Fitted) -> None:
        artifact_id = self.artifacts.put(fitted.files, kind=fitted.kind, source="test").id
        with self.database.transaction() as connection:
            self.registry.register(connection, ACTION_ITEMS, artifact_id, {})
            self.registry.promote(connection, ACTION_ITEMS, artifact_id, "test")


@pytest.fixture
def house(database: Database, clock: FakeClock, events: EventLog, tmp_path: Path) -> House:
    registry, artifacts = Registry(database, clock), ArtifactStore(tmp_path / "artifacts")
    service = MeetingsService(
        database, events, clock, None, most_bytes=1 << 20, corrections=Corrections(registry, artifacts)
    )
    return House(service, registry, artifacts, database, events, CandidateLearnable(Kind.ACTION))


def ordered(items: Sequence[Any]) -> list[bool]:
    """Whether each line is a wanted one, the surest first."""
    return ["見積" in item.extraction.text for item in items]


def test_a_promotion_changes_what_the_next_meeting_proposes_and_a_rollback_takes_it_back(house: House) -> None:
    house.serve(house.learnable.train(NO_EXAMPLES, Budget(), 0))
    for number in range(4):
        house.judge(house.bring(number))
    before = house.actions(house.bring(5))
    house.serve(house.learnable.train(house.examples(), Budget(), 0))
    after = house.actions(house.bring(5))
    assert ordered(after) == [True] * 3 + [False] * 3 != ordered(before)
    with house.database.transaction() as connection:
        house.registry.rollback(connection, ACTION_ITEMS)
    again = house.actions(house.bring(5))
    assert [item.extraction for item in again] == [item.extraction for item in before]


def test_what_was_proposed_says_which_model_chose(house: House) -> None:
    house.serve(house.learnable.train(NO_EXAMPLES, Budget(), 0))
    house.bring(0)
    (shown,) = [event.payload for event in house.events.reader().read([EXTRACTED])]
    champion = house.registry.alias(ACTION_ITEMS)
    assert (shown["artifact"], shown["artifact_ids"]) == (champion, {ACTION_ITEMS: champion})


def test_each_line_taken_in_is_a_lesson_beside_the_rejected_ones_of_its_meeting(house: House) -> None:
    meeting_id = house.bring(0)
    first, second, *others = house.actions(meeting_id)
    house.service.judging.change(ADA, meeting_id, first.id, Change(status=Status.ACCEPTED))
    assert len(house.examples()) == 0
    house.service.judging.change(ADA, meeting_id, others[0].id, Change(status=Status.REJECTED))
    house.service.judging.change(ADA, meeting_id, second.id, Change(text="直した"))
    house.service.judging.change(ADA, meeting_id, others[1].id, Change(status=Status.ACCEPTED))
    house.service.judging.change(ADA, meeting_id, others[1].id, Change(status=Status.OPEN))
    house.service.judging.add(ADA, meeting_id, Kind.ACTION, "会議室を取る", ["s1"])
    examples = house.examples()
    taken = {each.lines[each.wanted(truth)].text for each, truth in zip(examples.inputs, examples.truths, strict=True)}
    assert len(examples) == 2 and {len(each.lines) for each in examples.inputs} == {2}
    assert taken == {item.extraction.text for item in (first, second)}
    # How they were proposed, that one was taken in, and that the other was rejected.
    assert set(examples.slices) == {"ja"} and {len(each) for each in examples.evidence} == {3}


def test_a_person_who_is_taken_out_leaves_what_was_learned_without_them(house: House) -> None:
    for number, viewer in enumerate((ADA, BO, ADA)):
        house.judge(house.bring(number, viewer), viewer)
    everything = list(house.events.reader().read([EXTRACTED, JUDGED]))

    def taught(events: Sequence[Event]) -> bytes:
        return house.learnable.train(read_judgements(events, Kind.ACTION), Budget(), 0).files[FILE]

    without = [event for event in everything if event.subject_id != BO.subject_id]
    with house.database.transaction() as connection:
        house.events.erase(connection, BO.tenant_id, BO.subject_id)
    left = list(house.events.reader().read([EXTRACTED, JUDGED]))
    assert taught(left) == taught(without) != taught(everything)


def test_nothing_of_a_person_stands_in_a_lesson(house: House) -> None:
    said = f"鈴木：見積もりを田中様の携帯 090-1234-5678 に送ります。\n{TALK}鈴木：明日電話します。\n"
    meeting_id = house.service.bring(ADA, said.encode(), "a.txt").id
    for item in house.actions(meeting_id):
        status = Status.ACCEPTED if "見積" in item.extraction.text else Status.REJECTED
        house.service.judging.change(ADA, meeting_id, item.id, Change(status=status))
    (choice,) = house.examples().inputs
    words = " ".join(text for line in choice.lines for text in line.said)
    assert "090" not in words and "田中" not in words and "見積もり" in words


def transcript() -> Transcript:
    texts = [f"we talked about item number {n} for a while and moved on" for n in range(40)]
    texts[30] = "bob you will send the offer to the printer by friday"
    texts[33] = "it would be nice to have another colour " * 8
    return Transcript(tuple(Segment(f"s{n}", "AB"[n % 2], text) for n, text in enumerate(texts)), "en")


def test_a_line_reads_the_same_from_the_words_around_it_as_in_its_whole_meeting() -> None:
    said = transcript()
    items = itemised(extract(said))
    known, whole = offered(said, items), units(said)
    table = rows(whole)
    for item in (each for each in items if each.id in known):
        at, line = place_of(whole, item.extraction), int(item.extraction.evidence[0][1:])
        near = said.segments[max(0, line - 5) : line + 6]
        found = candidate("m", "en", near, item.extraction, known[item.id])
        assert found is not None and at is not None
        row, here = found.row(), slice(table.starts[at], table.starts[at + 1])
        assert set(zip(row.columns, row.values, strict=True)) == set(
            zip(table.columns[here], table.values[here], strict=True)
        )
    assert {known[item.id][BASE] for item in items if item.id in known}


def test_what_the_base_says_is_kept_whatever_serves() -> None:
    said = transcript()
    weights = np.zeros(1 << 18, dtype=np.float32)
    weights[rows(units(said)).columns] = 0.25
    turned = corrected(shipped(), {"actions": Correction.of(weights)})
    plain, other = itemised(extract(said)), itemised(extract(said, model=turned))
    first = {item.id: item.extraction.confidence for item in plain if item.extraction.kind is Kind.ACTION}
    then = {item.id: item.extraction.confidence for item in other if item.extraction.kind is Kind.ACTION}
    assert first != then
    both = first.keys() & then.keys()
    assert both and all(offered(said, plain)[id] == offered(said, other)[id] for id in both)


def test_nobodys_judgement_gives_the_shipped_weights_and_the_same_lessons_the_same_bytes(house: House) -> None:
    base = house.learnable.train(NO_EXAMPLES, Budget(), 0)
    assert (base.kind, base.files[FILE]) == (KIND, Correction.none().pack())
    house.judge(house.bring(0))
    examples = house.examples()
    learned = [house.learnable.train(examples, Budget(), seed).files[FILE] for seed in (0, 1)]
    assert learned[0] == learned[1] != base.files[FILE]
    known = house.learnable.score(house.learnable.train(examples, Budget(), 0), examples)
    assert known.mean() > house.learnable.score(base, examples).mean()
    alike = house.learnable.baselines()["all_alike"](examples, Budget(), 0)
    assert (house.learnable.score(alike, examples) == 0.5).all()
    shown = house.learnable.show(base, examples)
    assert all("見積" in (each.right or "") for each in shown)


def test_a_truth_of_a_longer_list_counts_on_from_the_top() -> None:
    line = candidate("m", "en", transcript().segments, extract(transcript())[-1], {BASE: 0.0})
    assert line is not None and Choice((line, line)).wanted(5) == 1


def test_how_people_fared_counts_the_first_lines_once_their_week_is_over(house: House, clock: FakeClock) -> None:
    house.serve(house.learnable.train(NO_EXAMPLES, Budget(), 0))
    arm = house.registry.alias(ACTION_ITEMS)
    assert arm is not None
    house.judge(house.bring(0))

    class Until:
        until = clock.now() + timedelta(days=1)
        read = staticmethod(house.events.reader().read)

    assert len(house.learnable.outcome(Until(), arm).values) == 0
    Until.until = clock.now() + timedelta(days=8)
    fared = house.learnable.outcome(Until(), arm)
    assert fared.unit_ids == (ADA.subject_id,) and fared.values.tolist() == [0.5]
    assert fared.guards["rejected"].values.tolist() == [0.5]
    assert len(house.learnable.outcome(Until(), "sha256:other").values) == 0
    assert not fared.declared and replace(fared, declared=True).kept
