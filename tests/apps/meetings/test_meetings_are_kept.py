"""Meetings are kept, judged, renamed and forgotten; on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from ikkan.apps.meetings import store
from ikkan.apps.meetings.service import MeetingsService, drawing
from ikkan.apps.meetings.values import ADDED, EXTRACTED, JUDGED, Audience, Change, Kind, State, Status
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotAllowed, NotFound, RequestTooLarge
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import SubjectId

from .conftest import ADA, ADMIN, BO, EVE, SAID

HELD = date(2026, 6, 1)


@pytest.fixture
def meeting_id(service: MeetingsService) -> str:
    return service.bring(ADA, SAID.encode(), "予算.txt", held_on=HELD).id


def item_of(service: MeetingsService, meeting_id: str, kind: Kind) -> str:
    return next(item.id for item in service.get(ADA, meeting_id).items if item.extraction.kind is kind)


def test_the_store_and_its_migration_agree(differences: Callable[..., list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_what_was_brought_is_there_with_everything_in_it(service: MeetingsService, meeting_id: str) -> None:
    kept = service.get(ADA, meeting_id)
    assert (kept.meeting.title, kept.meeting.language, kept.meeting.state) == ("予算", "ja", State.READY)
    assert (kept.meeting.segments, kept.meeting.length_s, kept.meeting.held_on) == (4, 125.0, HELD)
    assert [segment.speaker for segment in kept.transcript] == ["佐藤", "鈴木", "佐藤", "鈴木"]
    assert [item.extraction.kind for item in kept.items] == [Kind.DECISION, Kind.ACTION, Kind.QUESTION]
    assert kept.items[1].extraction.due == date(2026, 6, 5)
    assert [meeting.id for meeting in service.listed(ADA)] == [meeting_id]


def test_judging_keeps_the_change_and_undoing_brings_it_back(service: MeetingsService, meeting_id: str) -> None:
    item_id = item_of(service, meeting_id, Kind.ACTION)
    before, after = service.judging.change(ADA, meeting_id, item_id, Change(text="見積書を送る", owner="", due=""))
    assert (after.status, after.extraction.owner, after.extraction.due) == (Status.EDITED, None, None)
    said = before.extraction
    undo = Change(before.status, said.text, said.owner or "", said.due or "", before.is_done)
    _, again = service.judging.change(ADA, meeting_id, item_id, undo)
    assert again == replace(before, extraction=replace(said, due_words=None))


def test_drawing_out_again_doubles_nothing_and_undoes_nothing(service: MeetingsService, meeting_id: str) -> None:
    action, decision = (item_of(service, meeting_id, kind) for kind in (Kind.ACTION, Kind.DECISION))
    service.judging.change(ADA, meeting_id, action, Change(text="見積書を送る"))
    service.judging.change(ADA, meeting_id, decision, Change(status=Status.REJECTED))
    own = service.judging.add(ADA, meeting_id, Kind.ACTION, "会議室を取る", ["s1"])
    service.draw_again(ADA, meeting_id)
    stands = {item.id: (item.extraction.text, item.status) for item in service.get(ADA, meeting_id).items}
    assert len(stands) == 4
    assert stands[action] == ("見積書を送る", Status.EDITED)
    assert stands[decision][1] is Status.REJECTED
    assert stands[own.id] == ("会議室を取る", Status.ACCEPTED)


def test_another_day_counts_days_again(service: MeetingsService) -> None:
    meeting_id = service.bring(ADA, SAID.encode(), "a.txt").id
    assert service.get(ADA, meeting_id).items[1].extraction.due is None
    service.change(ADA, meeting_id, title="予算会議", held_on=HELD)
    kept = service.get(ADA, meeting_id)
    assert (kept.meeting.title, kept.items[1].extraction.due) == ("予算会議", date(2026, 6, 5))


def test_speakers_are_renamed_and_merged_everywhere(service: MeetingsService, meeting_id: str) -> None:
    kept = service.name_speakers(ADA, meeting_id, {"鈴木": "鈴木一郎"})
    assert kept.transcript.speakers == ("佐藤", "鈴木一郎") and kept.items[1].extraction.owner == "鈴木一郎"
    merged = service.name_speakers(ADA, meeting_id, {"鈴木": "佐藤"})
    assert merged.transcript.speakers == ("佐藤",)
    assert service.name_speakers(ADA, meeting_id, {"鈴木": "鈴木"}).transcript.speakers == ("佐藤", "鈴木")
    with pytest.raises(BadInput):
        service.name_speakers(ADA, meeting_id, {"だれか": "x"})


def test_actions_of_all_meetings_stand_in_one_list(service: MeetingsService, meeting_id: str) -> None:
    other = service.bring(ADA, SAID.encode(), "b.txt").id
    for each in (other, meeting_id):
        service.judging.change(ADA, each, item_of(service, each, Kind.ACTION), Change(status=Status.ACCEPTED))
    service.name_speakers(ADA, other, {"鈴木": "田中"})
    rows = service.actions(ADA)
    assert [(row.meeting_id, row.item.extraction.owner) for row in rows] == [(meeting_id, "鈴木"), (other, "田中")]
    assert [segment.text for segment in rows[0].transcript] == ["見積もりを金曜までに送ります。"]
    assert [row.meeting_id for row in service.actions(ADA, owner="田中")] == [other]
    service.judging.change(ADA, meeting_id, rows[0].item.id, Change(is_done=True))
    assert [row.meeting_id for row in service.actions(ADA, is_done=False)] == [other]
    assert [row.meeting_id for row in service.actions(ADA, due_before=date(2026, 7, 1))] == [meeting_id]
    assert service.actions(BO) == []


@pytest.mark.parametrize("audience", list(Audience))
def test_another_tenants_meeting_is_never_found(service: MeetingsService, meeting_id: str, audience: Audience) -> None:
    service.share(ADA, meeting_id, audience, [SubjectId("bo"), SubjectId("ada")])
    service.judging.change(ADA, meeting_id, item_of(service, meeting_id, Kind.ACTION), Change(status=Status.ACCEPTED))
    assert service.listed(EVE) == [] and service.actions(EVE) == []
    assert service.searching.search(EVE, "予算").quotes == ()
    assert service.searching.search(EVE, "広告費", part="decision").quotes == ()
    for ask in (
        lambda: service.get(EVE, meeting_id),
        lambda: service.remove(EVE, meeting_id),
        lambda: service.share(EVE, meeting_id, Audience.TENANT),
        lambda: service.name_speakers(EVE, meeting_id, {"佐藤": "x"}),
        lambda: service.judging.change(EVE, meeting_id, "0", Change(status=Status.ACCEPTED)),
        lambda: service.judging.add(EVE, meeting_id, Kind.ACTION, "x", ["s1"]),
        lambda: service.draw_again(EVE, meeting_id),
    ):
        with pytest.raises(NotFound):
            ask()


@pytest.mark.parametrize(
    ("audience", "people", "expected"),
    [(Audience.OWNER, [], 0), (Audience.PEOPLE, ["cy"], 0), (Audience.PEOPLE, ["bo"], 1), (Audience.TENANT, [], 1)],
)
def test_inside_a_tenant_its_audience_decides(
    service: MeetingsService, meeting_id: str, audience: Audience, people: list[str], expected: int
) -> None:
    service.share(ADA, meeting_id, audience, [SubjectId(person) for person in people])
    assert len(service.listed(BO)) == expected
    assert len(service.searching.search(BO, "予算").quotes) == expected
    assert len(service.listed(ADMIN)) == (audience is Audience.TENANT)


def test_only_its_owner_shares_and_deletes(service: MeetingsService, meeting_id: str) -> None:
    service.share(ADA, meeting_id, Audience.TENANT)
    for viewer in (BO, ADMIN):
        with pytest.raises(NotAllowed):
            service.remove(viewer, meeting_id)
        with pytest.raises(NotAllowed):
            service.share(viewer, meeting_id, Audience.OWNER)
    service.remove(ADA, meeting_id)
    assert service.listed(ADA) == [] and service.searching.search(ADA, "予算").quotes == ()


def test_decisions_are_found_by_asking_what_was_decided(service: MeetingsService, meeting_id: str) -> None:
    found = service.searching.search(ADA, "広告費について何を決めましたか？")
    assert (found.part, found.words) == ("decision", "広告費")
    (quote,) = found.quotes
    assert (quote.text, quote.start_s, quote.evidence) == ("広告費は百万円", 70.0, ("s3",))
    assert quote.item is not None and quote.item.status is Status.OPEN
    service.judging.change(ADA, meeting_id, quote.item.id, Change(status=Status.ACCEPTED))
    (again,) = service.searching.search(ADA, "広告費について何を決めましたか？").quotes
    assert again.item is not None and (again.item.id, again.item.status) == (quote.item.id, Status.ACCEPTED)
    (said,) = service.searching.search(ADA, "広告費", part="said").quotes
    assert said.item is None
    service.judging.change(ADA, meeting_id, item_of(service, meeting_id, Kind.DECISION), Change(status=Status.REJECTED))
    assert service.searching.search(ADA, "広告費について何を決めましたか？").quotes == ()


def test_what_is_too_large_or_empty_is_not_kept(service: MeetingsService) -> None:
    with pytest.raises(RequestTooLarge):
        service.bring(ADA, b"x" * ((1 << 20) + 1), "a.txt")
    with pytest.raises(BadInput):
        service.bring(ADA, b" ", "a.txt")
    assert service.listed(ADA) == []


def test_what_cannot_be_drawn_out_is_kept_and_can_be_tried_again(
    service: MeetingsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(drawing, "level0", SimpleNamespace(extract=lambda transcript, **more: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            service.bring(ADA, SAID.encode(), "a.txt")
    (meeting,) = service.listed(ADA)
    assert (meeting.state, len(service.searching.search(ADA, "予算").quotes)) == (State.FAILED, 1)
    assert service.draw_again(ADA, meeting.id).state is State.READY


def test_the_log_hears_what_was_proposed_and_what_became_of_it(
    service: MeetingsService, meeting_id: str, events: EventLog
) -> None:
    item_id = item_of(service, meeting_id, Kind.ACTION)
    service.judging.change(ADA, meeting_id, item_id, Change(status=Status.ACCEPTED))
    read = {event.name: event for event in events.reader().read([ADDED, EXTRACTED, JUDGED])}
    assert read[ADDED].payload["segments"] == 4
    shown, judged = read[EXTRACTED].payload, read[JUDGED].payload
    assert judged["impression_id"] == shown["impression_id"] and judged["item"] == item_id
    assert {offer["item"]: offer["features"]["confidence"] for offer in shown["offers"]}[item_id] == 0.8
    assert (judged["verdict"], judged["value"], judged["kind"]) == ("accepted", 1.0, "action")
    assert [word["text"] for word in judged["words"]][-1] == "見積もりを金曜までに送ります。"
    assert "見積" not in str(shown), "words are told only with a judgement"


def test_a_forgotten_persons_own_meetings_go_and_shared_ones_lose_their_author(
    service: MeetingsService, meeting_id: str, database: Database
) -> None:
    shared = service.bring(ADA, SAID.encode(), "b.txt", audience=Audience.TENANT).id
    with database.transaction() as connection:
        assert store.forget(connection, ADA.tenant_id, SubjectId("ada")) >= 2
    assert [meeting.id for meeting in service.listed(BO)] == [shared]
    assert service.listed(BO)[0].owner_id is None
    service.remove(ADMIN, shared)
    with pytest.raises(NotFound):
        service.get(ADA, meeting_id)


def test_a_forgotten_speakers_words_go_out_of_the_meeting(
    service: MeetingsService, meeting_id: str, database: Database
) -> None:
    service.share(ADA, meeting_id, Audience.TENANT)
    service.claim_speaker(BO, meeting_id, "鈴木", is_me=True)
    with pytest.raises(NotAllowed):
        service.claim_speaker(ADA, meeting_id, "鈴木", is_me=True)
    with database.transaction() as connection:
        assert store.forget(connection, EVE.tenant_id, SubjectId("bo")) == 0, "of another tenant"
        assert store.forget(connection, BO.tenant_id, SubjectId("bo")) > 0
    kept = service.get(ADA, meeting_id)
    assert "鈴木" not in str(kept.transcript) and "見積" not in str(kept)
    assert [item.extraction.kind for item in kept.items] == [Kind.DECISION]
    assert service.searching.search(ADA, "見積もり").quotes == ()
    assert len(service.searching.search(ADA, "来期").quotes) == 1
