"""How far a mood is followed is learned from visits that went on; where moods say nothing, nothing is followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ikkan.apps.shop.learn import MoodLearnable
from ikkan.apps.shop.learn.mood.sessions import FEWEST, read_sessions
from ikkan.apps.shop.rules.mood.steering import PULLS, pulls_in
from ikkan.apps.shop.values import Happened, Ware
from ikkan.flywheel.contract import Budget, Examples

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
SHELF = [Ware(f"w{row}", f"Ware {row}", f"Kind {row % 6}", 5_000_000, "EUR", BEGAN) for row in range(60)]


def town(people: int, follows: bool) -> Examples:
    """Everybody comes four times, looks at things of one kind, and then at more of it, or at anything."""
    rng, events = np.random.default_rng(4), list[Happened]()
    for person in range(people):
        for visit in range(4):
            kind, at = int(rng.integers(6)), BEGAN + timedelta(hours=6 * visit, minutes=3 * person)
            first = [kind + 6 * int(row) for row in rng.permutation(10)[:6]]
            rows = first if follows else first[:3] + rng.choice(60, 3, replace=False).tolist()
            for step, row in enumerate(rows):
                when = at + timedelta(minutes=step)
                events.append(Happened(f"{person}-{visit}-{step}", f"p{person}", "viewed", when, f"w{row}"))
    return read_sessions(sorted(events, key=lambda event: (event.at, event.event_id)), SHELF)


@pytest.fixture
def learnable() -> MoodLearnable:
    return MoodLearnable(lambda: SHELF)


def test_a_visit_is_cut_in_two_and_says_nothing_of_whose_it_was() -> None:
    sessions = town(3, follows=True)
    assert 9 <= len(sessions) <= 12
    assert {event.person for session in sessions.inputs for event in session.events} == {""}
    assert all(set(then.product_ids) for then in sessions.truths)
    short = [Happened(f"e{at}", "ada", "viewed", BEGAN, f"w{at}") for at in range(FEWEST - 1)]
    assert len(read_sessions(short, SHELF)) == 0


def test_where_visits_go_on_as_they_began_moods_are_followed_and_help(learnable: MoodLearnable) -> None:
    sessions = town(24, follows=True)
    early = np.array([int(unit[1:]) < 14 for unit in sessions.unit_ids])
    taught, later = sessions.take(early), sessions.take(~early)
    fitted = learnable.train(taught, Budget(), 0)
    none = learnable.baselines()["no_mood"](taught, Budget(), 0)
    assert pulls_in(fitted.files).facets > 0
    assert learnable.score(fitted, later).mean() > learnable.score(none, later).mean() + 0.2
    assert learnable.show(fitted, later)[0].answer is not None


@pytest.mark.parametrize("placebo", ["shuffled", "anything"])
def test_a_placebo_teaches_to_follow_nothing(learnable: MoodLearnable, placebo: str) -> None:
    sessions = town(24, follows=placebo == "shuffled")
    taught = sessions.shuffled(3) if placebo == "shuffled" else sessions
    assert pulls_in(learnable.train(taught, Budget(), 0).files).facets <= 0.25


def test_without_examples_the_rules_own_pulls_serve(learnable: MoodLearnable) -> None:
    base = learnable.train(town(2, follows=True).take([]), Budget(), 0)
    assert pulls_in(base.files) == PULLS
