"""Outcomes are joined to what was shown by a declared rule, in time, and never before their window has closed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ikkan.flywheel.joins import Joined, Reading, Rule, join
from ikkan.ground.clock import FakeClock
from ikkan.ground.events import NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
READING = Reading(
    text=lambda event: str(event.payload.get("text", event.payload["item"])),
    value=lambda event: float(event.payload["value"]),
    row_id=lambda event: str(event.payload["id"]),
)


class Log:
    """Events at given hours."""

    def __init__(self) -> None:
        self.events = FakeEvents(FakeClock(START))

    def shown(self, id: str, hour: float, *, item: str = "tea", who: str | None = "ada", **more: Any) -> None:
        self._add("ItemsShown", hour, who, {"id": id, "item": item, **more})

    def clicked(self, hour: float, *, item: str = "tea", who: str | None = "ada", value: float = 1.0) -> None:
        self._add("ItemClicked", hour, who, {"item": item, "value": value})

    def _add(self, name: str, hour: float, who: str | None, payload: dict[str, Any]) -> None:
        at = START + timedelta(hours=hour)
        subject = SubjectId(who) if who else None
        self.events.append(NewEvent(name, 1, TenantId("t"), subject, at, "service", payload))

    def joined(self, until: float, **more: Any) -> Joined:
        terms = {"key": ("subject_id", "item"), "window_s": 10 * HOUR, **more}
        return join(self.events, Rule("ItemsShown", "ItemClicked", **terms), READING, START + timedelta(hours=until))


def values(joined: Joined) -> dict[str, float]:
    ids = [id.decode() for id in joined.rows.ids.tolist()]
    return dict(zip(ids, joined.rows.values.tolist(), strict=True))


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_last_that_was_shown_is_credited(log: Log) -> None:
    log.shown("first", 0)
    log.shown("second", 2)
    log.clicked(3)
    assert values(log.joined(100)) == {"first": 0.0, "second": 1.0}
    assert values(log.joined(100, attribution="all")) == {"first": 1.0, "second": 1.0}


def test_what_comes_too_late_before_or_from_another_is_another_story(log: Log) -> None:
    log.clicked(0)
    log.shown("tea", 1)
    log.clicked(12)
    log.clicked(2, who="bob")
    log.clicked(2, item="cup")
    joined = log.joined(100)
    assert values(joined) == {"tea": 0.0} and joined.unclaimed == 4


def test_the_edges_of_the_window_belong_to_it(log: Log) -> None:
    log.shown("at once", 0)
    log.clicked(0)
    log.shown("at the end", 20, item="cup")
    log.clicked(30, item="cup")
    assert values(log.joined(100)) == {"at once": 1.0, "at the end": 1.0}


def test_a_row_waits_until_its_window_has_closed(log: Log) -> None:
    log.shown("early", 0)
    log.shown("late", 50)
    log.clicked(51)
    joined = log.joined(55)
    assert values(joined) == {"early": 0.0} and joined.waiting == 1
    assert values(log.joined(60)) == {"early": 0.0, "late": 1.0}


def test_a_closed_row_is_known_at_its_close(log: Log) -> None:
    log.shown("tea", 0)
    log.clicked(1)
    rows = log.joined(100).rows
    assert rows.known_us[0] - rows.occurred_us[0] == 10 * HOUR * 1e6


def test_the_latest_outcome_counts_and_all_are_evidence(log: Log) -> None:
    log.shown("other", 0, item="cup")
    log.shown("tea", 0)
    log.clicked(2, value=0.5)
    log.clicked(1, value=1.0)
    rows = log.joined(100).rows
    ids = [event.id.encode() for event in log.events.events]
    assert rows.values.tolist() == [0.0, 0.5]
    assert rows.events.tolist() == [ids[0], ids[1], ids[3], ids[2]] and rows.events_from.tolist() == [0, 1, 4]


def test_nobody_is_a_unit_of_a_day(log: Log) -> None:
    log.shown("a", 0, who=None)
    log.shown("b", 30, who=None)
    rows = log.joined(100).rows
    assert [rows.units[at] for at in rows.unit_of] == ["someone on 2026-01-01", "someone on 2026-01-02"]


def test_near_duplicates_share_a_cluster(log: Log) -> None:
    for number, text in enumerate(["VPNにつながらない", "印刷できない", "すみません、VPNにつながらない"]):
        log.shown(str(number), number, text=text)
    assert log.joined(100).rows.groups.tolist() == [0, 1, 0]


def test_an_empty_log_joins_to_nothing(log: Log) -> None:
    joined = log.joined(1)
    assert (len(joined.rows), joined.waiting, joined.unclaimed) == (0, 0, 0)


def test_weighting_what_came_early_is_right_on_average(log: Log) -> None:
    # People click in half of all cases, two hours after; the log ends while many windows are open.
    rng = random.Random(7)
    for number in range(4_000):
        hour = rng.random() * 20
        log.shown(str(number), hour, item=str(number))
        for _ in range(rng.random() < 0.5):
            log.clicked(hour + 2, item=str(number))
    until = START + timedelta(hours=20)
    log.events.events = [event for event in log.events.events if event.occurred_at < until]
    weighed, waited = log.joined(20, open_windows="weigh").rows, log.joined(20).rows
    told = float(np.average(weighed.values, weights=weighed.weights))
    naive = float(weighed.values.mean())
    assert naive > 0.6 and abs(told - 0.5) < 0.03 and len(weighed) > len(waited)


@pytest.mark.parametrize("attribution", ["last", "all"])
def test_the_fast_join_finds_what_comparing_everything_finds(log: Log, attribution: str) -> None:
    rng = random.Random(11)
    shown = [(str(at), rng.randrange(60), rng.choice("abc"), rng.choice(("ada", "bob"))) for at in range(120)]
    clicks = [(rng.randrange(80), rng.choice("abc"), rng.choice(("ada", "bob")), float(at)) for at in range(80)]
    # One moment shows one thing to one person: who was last is then never a matter of taste.
    shown = list({(hour, item, who): (id, hour, item, who) for id, hour, item, who in shown}.values())
    for id, hour, item, who in shown:
        log.shown(id, hour, item=item, who=who)
    for hour, item, who, value in clicks:
        log.clicked(hour + 0.001 * value, item=item, who=who, value=value)
    expected: dict[str, tuple[float, float]] = {}
    for hour, item, who, value in clicks:
        at = hour + 0.001 * value
        fit = sorted((h, id) for id, h, i, w in shown if (i, w) == (item, who) and 0 <= at - h <= 10)
        for _, id in fit if attribution == "all" else fit[-1:]:
            expected[id] = max(expected.get(id, (-1.0, 0.0)), (at, value))
    joined = log.joined(1_000, attribution=attribution)
    assert values(joined) == {id: expected.get(id, (0.0, 0.0))[1] for id, *_ in shown}
