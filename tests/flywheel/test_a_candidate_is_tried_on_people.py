"""Screen, shadow, canary, promotion, holdback, and every way back: on both databases, every step a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import REGULATED, REVERSIBLE, Metric, Outcomes, Policy, store, trials
from ikkan.flywheel.canary import assigned, draw
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.flywheel.rollout import Rollout
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, NotFound
from ikkan.ground.events import EventReader
from ikkan.ground.ids import SubjectId

from .conftest import NAME, TENANT, Wheel, make_wheel

SMALL = replace(REVERSIBLE, stages=(0.25, 0.5), stage_people=20, shadow_people=10, most_people=300, holdback=0.2)
STRICT = replace(REGULATED, stages=(0.25, 0.5), stage_people=20, shadow_people=10)
Make = Callable[[Policy], Wheel]


@pytest.fixture
def make(database: Database, clock: FakeClock, tmp_path: Path) -> Make:
    """A wheel over a learnable that keeps live outcomes, with a candidate that passed the screen."""

    def begin(policy: Policy) -> Wheel:
        wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME, live=True), policy)
        wheel.happen(200)
        assert wheel.flywheel.run(NAME).code == "fit_to_try"
        return wheel

    return begin


@pytest.fixture
def tried(make: Make) -> Wheel:
    return make(SMALL)


def on_people(wheel: Wheel) -> Wheel:
    """The same wheel, its shadow over."""
    wheel.visit(range(5_000, 5_012), 0.4, 0.4)
    assert wheel.flywheel.run(NAME).code == "shadow_passed"
    return wheel


def until(wheel: Wheel, code: str, champion: float, candidate: float, **more: float | None) -> Any:
    """Thirty people come, we look, and so on, until a look says `code`."""
    for first in range(0, 900, 30):
        wheel.visit(range(first, first + 30), champion, candidate, **more)
        decision = wheel.flywheel.run(NAME)
        if decision.code == code:
            return decision
    raise AssertionError(f"never {code}, at last {decision.code}: {decision.reason}")


def test_the_stores_and_their_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert trials.trials_table.name in store.metadata.tables and differences(store.metadata) == []


def test_passing_the_screen_promotes_nobody(tried: Wheel) -> None:
    champion = tried.registry.alias(NAME)
    (decision, installed) = tried.flywheel.history(NAME)
    assert (decision.decision, decision.champion, installed.candidate) == ("trying", champion, champion)
    assert tried.registry.alias(NAME, "shadow") == decision.candidate
    assert decision.dataset is not None and tried.flywheel.replay(decision.id).same
    assert {tried.flywheel.serves(NAME, f"p{n}") for n in range(50)} == {champion}


def test_better_outcomes_promote_with_a_holdback_and_every_step_says_why(tried: Wheel) -> None:
    on_people(tried)
    decision = until(tried, "live_better", 0.3, 0.6)
    assert (decision.decision, decision.lower > 0) == ("promoted", True)
    assert tried.registry.alias(NAME) == decision.candidate
    assert tried.registry.alias(NAME, "previous") == decision.champion
    assert (tried.registry.alias(NAME, "challenger"), tried.registry.alias(NAME, "shadow")) == (None, None)
    served = [tried.flywheel.serves(NAME, f"p{n}") for n in range(500)]
    assert 0.1 < served.count(decision.champion) / 500 < 0.3
    history = tried.flywheel.history(NAME)
    steps = [each.code for each in history]
    assert steps[0] == "live_better" and steps[-3:] == ["shadow_passed", "fit_to_try", "installed"]
    assert "share_grows" in steps
    assert all("{" not in each.reasons[lang] and each.reasons[lang] for each in history for lang in ("en", "ja"))


def test_whoever_was_given_the_candidate_keeps_it_while_the_share_grows(tried: Wheel) -> None:
    on_people(tried)
    people = [f"p{n}" for n in range(300)]

    def given() -> set[str]:
        trial = tried.flywheel.status(NAME).trial
        assert trial is not None
        return {who for who in people if tried.flywheel.serves(NAME, who) == trial.candidate}

    first = given()
    assert given() == first and 0.15 < len(first) / 300 < 0.35
    until(tried, "share_grows", 0.4, 0.4)
    more = given()
    until(tried, "live_better", 0.3, 0.6)
    assert first < more < given()


def test_worse_outcomes_take_it_back_by_themselves(tried: Wheel) -> None:
    champion = tried.registry.alias(NAME)
    on_people(tried)
    decision = until(tried, "live_worse", 0.7, 0.2)
    assert (decision.decision, decision.candidate) == ("rolled_back", champion) and decision.upper < 0
    assert tried.registry.alias(NAME) == champion and tried.registry.alias(NAME, "challenger") is None
    assert {tried.flywheel.serves(NAME, f"p{n}") for n in range(50)} == {champion}


def test_a_tie_is_refused_when_enough_people_came(tried: Wheel) -> None:
    on_people(tried)
    decision = until(tried, "live_not_shown_better", 0.5, 0.5)
    assert decision.decision == "refused" and decision.n >= SMALL.most_people
    assert tried.flywheel.status(NAME).trial is None
    assert tried.flywheel.run(NAME).code == "already_judged"


def test_one_intolerable_outcome_is_enough(tried: Wheel) -> None:
    on_people(tried)
    tried.visit(range(20), 0.2, 0.9, harm_candidate=1.0, harm_champion=0.0)
    decision = tried.flywheel.run(NAME)
    assert (decision.decision, decision.code) == ("rolled_back", "guardrail_broken") and "harm" in decision.reason


def test_the_champions_own_intolerable_outcomes_do_not_count_against_the_candidate(tried: Wheel) -> None:
    on_people(tried)
    tried.visit(range(20), 0.4, 0.4, harm_candidate=0.0, harm_champion=1.0)
    assert tried.flywheel.run(NAME).decision == "trying"


def test_a_guardrail_that_gets_worse_takes_back_even_a_better_candidate(tried: Wheel) -> None:
    on_people(tried)
    decision = until(tried, "guardrail_worse", 0.4, 0.45, harm_candidate=0.7, harm_champion=0.1)
    assert decision.decision == "rolled_back" and decision.numbers["guards"]["harm"]["upper"] < 0


def test_what_a_guardrail_tolerates_is_no_harm(tried: Wheel) -> None:
    on_people(tried)
    decision = until(tried, "live_better", 0.3, 0.6, harm_candidate=0.12, harm_champion=0.1)
    # Five hundredths are tolerated, two were added: in its eyes the candidate does a little better.
    assert decision.numbers["guards"]["harm"]["gain"] > 0


def test_where_less_is_better_less_wins(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    class Waiting(FakeLearnable):
        def outcome(self, events: EventReader, arm: str) -> Outcomes:
            found = super().outcome(events, arm)
            minutes = Metric("minutes_waited", 0.0, 30.0, "lower")
            return replace(found, values=30.0 * found.values, metric=minutes)

    wheel = make_wheel(database, clock, tmp_path, Waiting(NAME, live=True), SMALL)
    wheel.happen(200)
    assert wheel.flywheel.run(NAME).code == "fit_to_try"
    on_people(wheel)
    assert until(wheel, "live_better", 0.6, 0.3).lower > 0


def test_harm_in_the_shadow_reaches_nobody(tried: Wheel) -> None:
    tried.visit(range(60), 0.4, 0.4, harm_candidate=0.8, harm_champion=0.1)
    decision = tried.flywheel.run(NAME)
    assert (decision.decision, decision.code, decision.numbers["phase"]) == ("refused", "guardrail_worse", "shadow")
    assert tried.registry.alias(NAME, "shadow") is None


def test_an_app_that_reports_no_shadow_waits_a_day(tried: Wheel) -> None:
    assert tried.flywheel.run(NAME).code == "shadowing"
    tried.clock.advance(SMALL.shadow_s)
    assert tried.flywheel.run(NAME).code == "shadow_waited"


def test_harm_after_the_promotion_shows_in_the_holdback_and_is_taken_back(tried: Wheel) -> None:
    on_people(tried)
    promoted = until(tried, "live_better", 0.3, 0.6)
    back = until(tried, "live_worse", 0.7, 0.1)
    assert (back.champion, back.candidate) == (promoted.candidate, promoted.champion)
    assert tried.registry.alias(NAME) == promoted.champion and back.numbers["phase"] == "holdback"


def test_the_next_candidate_ends_the_holdback_of_the_last_and_must_be_surer(tried: Wheel) -> None:
    on_people(tried)
    promoted = until(tried, "live_better", 0.3, 0.6)
    tried.happen(300, topics=30, seed=1)
    assert tried.flywheel.run(NAME).code == "fit_to_try"
    trial = tried.flywheel.status(NAME).trial
    assert trial is not None and (trial.round, trial.champion) == (2, promoted.candidate)
    assert trial.level == pytest.approx(SMALL.alpha / 6)


def test_a_regulated_tenant_waits_for_a_signature(make: Make) -> None:
    wheel = on_people(make(STRICT))
    with pytest.raises(Conflict):
        wheel.flywheel.sign(NAME, "key-7")
    waiting = until(wheel, "needs_signature", 0.1, 0.8)
    assert waiting.decision == "awaiting" and wheel.registry.alias(NAME) == waiting.champion
    assert wheel.flywheel.run(NAME).code == "needs_signature"
    signed = wheel.flywheel.sign(NAME, "key-7", note="read the report")
    assert (signed.decision, signed.numbers["signed_by"]) == ("promoted", "key-7")
    assert "read the report" in signed.reason and wheel.registry.alias(NAME) == signed.candidate
    assert wheel.flywheel.replay(signed.id).same


def test_a_signature_may_be_refused(make: Make) -> None:
    wheel = on_people(make(STRICT))
    until(wheel, "needs_signature", 0.1, 0.8)
    refused = wheel.flywheel.sign(NAME, "key-7", accepted=False)
    assert (refused.decision, refused.code) == ("refused", "signature_refused")
    assert wheel.registry.alias(NAME) == refused.champion and wheel.flywheel.status(NAME).trial is None


def test_harm_while_it_waits_for_a_signature_cannot_be_signed_away(make: Make) -> None:
    wheel = on_people(make(STRICT))
    until(wheel, "needs_signature", 0.1, 0.8)
    wheel.visit(range(2_000, 2_060), 0.1, 0.8, harm_candidate=1.0, harm_champion=0.0)
    assert wheel.flywheel.sign(NAME, "key-7").code == "guardrail_broken"


def test_a_regulated_tenant_signs_in_an_app_without_outcomes_too(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME), STRICT)
    wheel.happen(200)
    waiting = wheel.flywheel.run(NAME)
    assert (waiting.decision, waiting.code) == ("awaiting", "better") and "signature" in waiting.reason
    assert wheel.registry.alias(NAME) == waiting.champion and wheel.flywheel.replay(waiting.id).same
    assert wheel.flywheel.run(NAME) == waiting
    signed = wheel.flywheel.sign(NAME, "key-7")
    assert (signed.decision, signed.code) == ("promoted", "signed_after_gate")
    assert wheel.registry.alias(NAME) == signed.candidate == wheel.flywheel.serves(NAME, "ada")
    assert wheel.flywheel.status(NAME).trial is None and wheel.flywheel.run(NAME).code == "nothing_new"


def test_one_click_ends_a_trial(tried: Wheel) -> None:
    champion = tried.registry.alias(NAME)
    on_people(tried)
    assert tried.flywheel.status(NAME).can_roll_back
    decision = tried.flywheel.rollback(NAME, "people complained")
    assert (decision.code, tried.registry.alias(NAME)) == ("withdrawn", champion)
    assert "people complained" in decision.reason and tried.flywheel.look(NAME) is None
    with pytest.raises(NotFound):
        tried.flywheel.replay(decision.id)


def test_one_click_after_the_promotion_brings_the_old_model_back(tried: Wheel) -> None:
    on_people(tried)
    promoted = until(tried, "live_better", 0.3, 0.6)
    decision = tried.flywheel.rollback(NAME)
    assert (decision.code, decision.candidate) == ("rolled_back", promoted.champion)
    assert tried.registry.alias(NAME) == promoted.champion and tried.flywheel.status(NAME).trial is None


def test_a_champion_that_moved_ends_the_trial(tried: Wheel) -> None:
    artifact = tried.artifacts.put({"table.json": b"{}"}, kind="other", source="test")
    with tried.database.transaction() as connection:
        tried.registry.register(connection, NAME, artifact.id)
        tried.registry.promote(connection, NAME, artifact.id, "meanwhile")
    assert tried.flywheel.serves(NAME, "ada") == artifact.id
    assert tried.flywheel.run(NAME).code == "champion_moved"
    assert tried.registry.alias(NAME) == artifact.id


def test_a_person_counts_once_however_often_they_come_and_however_often_we_look(tried: Wheel) -> None:
    on_people(tried)
    for _ in range(3):
        tried.visit(range(15), 0.4, 0.4)
        decision = tried.flywheel.run(NAME)
    assert decision.n == 15 and decision.numbers["new_people"] == 15


def test_the_same_evidence_is_recorded_once(tried: Wheel) -> None:
    on_people(tried)
    tried.visit(range(15), 0.4, 0.4)
    looks = [tried.flywheel.run(NAME).id for _ in range(3)]
    assert len(set(looks)) == 1


def test_outcomes_of_people_who_were_not_given_that_arm_are_no_evidence(tried: Wheel) -> None:
    on_people(tried)
    trial = tried.flywheel.status(NAME).trial
    assert trial is not None
    others = [f"visitor-{n}" for n in range(60) if tried.flywheel.serves(NAME, f"visitor-{n}") == trial.champion]
    for who in others:
        tried.fare(who, {"arm": trial.candidate, "value": 0.9, "harm": None})
    tried.clock.advance(60)
    assert tried.flywheel.run(NAME).n == 12


def test_every_look_can_be_computed_again_and_tampering_shows(tried: Wheel) -> None:
    on_people(tried)
    until(tried, "live_better", 0.3, 0.6)
    looks = [each for each in tried.flywheel.history(NAME) if "trial" in each.numbers]
    assert len(looks) >= 3 and all(tried.flywheel.replay(each.id).same for each in looks)
    with tried.database.transaction() as connection:
        connection.execute(trials.evidence_table.update().where(trials.evidence_table.c.place == 3).values(value=1.0))
    assert not tried.flywheel.replay(looks[0].id).same


def test_an_erased_person_leaves_the_evidence_and_a_replay_says_so(tried: Wheel) -> None:
    on_people(tried)
    tried.visit(range(15), 0.4, 0.4)
    decision = tried.flywheel.run(NAME)
    tried.events.erase(TENANT, SubjectId("visitor-3"))
    assert [tried.flywheel.forget("visitor-3") for _ in range(2)] == [1, 0]
    assert tried.flywheel.replay(decision.id).missing == 1
    tried.visit(range(15, 30), 0.4, 0.4)
    later = tried.flywheel.run(NAME)
    assert (later.n, later.numbers["counted"]) == (29, 30) and tried.flywheel.replay(later.id).same
    assert tried.flywheel.replay(decision.id).missing == 1


def test_evidence_holds_no_ones_pseudonym(tried: Wheel) -> None:
    on_people(tried)
    tried.visit(range(15), 0.4, 0.4)
    tried.flywheel.run(NAME)
    with tried.database.read() as connection:
        kept = repr(connection.execute(trials.evidence_table.select()).all())
    assert "visitor" not in kept


def test_a_look_that_dies_half_way_leaves_everything_as_it_was(tried: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    tried.visit(range(12), 0.4, 0.4)
    before = tried.flywheel.status(NAME).trial
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(tried.flywheel._book, "_announce", lambda *_: (_ for _ in ()).throw(RuntimeError("power")))
        tried.flywheel.run(NAME)
    assert tried.flywheel.status(NAME).trial == before
    assert tried.flywheel.run(NAME).code == "shadow_passed"


def test_two_looks_at_once_do_not_count_twice(tried: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    tried.visit(range(12), 0.4, 0.4)
    stale = tried.flywheel.status(NAME).trial
    tried.flywheel.run(NAME)
    monkeypatch.setattr(Rollout, "open", lambda self, name: stale)
    with pytest.raises(Conflict):
        tried.flywheel.look(NAME)


def test_two_screens_at_once_begin_one_trial(tried: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tried.flywheel.status(NAME).trial
    tried.happen(200, topics=30, seed=1)
    with monkeypatch.context() as patched, pytest.raises(Conflict):
        patched.setattr(Rollout, "open", lambda self, name: None)
        tried.flywheel.run(NAME)
    assert tried.flywheel.status(NAME).trial == before
    assert before is not None and tried.registry.alias(NAME, "shadow") == before.candidate


def test_a_drill_in_an_app_with_outcomes_starts_no_trial(make: Make) -> None:
    wheel = make(SMALL)
    wheel.flywheel.rollback(NAME)
    assert wheel.flywheel.run(NAME, shuffle=True, seed=3).decision == "refused"
    assert wheel.flywheel.status(NAME).trial is None


def test_a_policy_kept_by_another_version_can_be_read() -> None:
    kept = {**SMALL.as_json(), "of_a_later_version": 1}
    del kept["holdback_people"]
    assert Policy.read(kept) == SMALL


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.95])
def test_the_share_of_people_is_the_share_that_was_asked_for(share: float) -> None:
    given = sum(assigned(f"person-{n}", "salt", share) for n in range(20_000)) / 20_000
    assert given == pytest.approx(share, abs=0.012)


def test_another_trial_draws_other_people_and_the_order_tells_nothing_of_the_arm() -> None:
    people = [f"person-{n}" for n in range(4_000)]
    both = sum(assigned(who, "one", 0.5) and assigned(who, "two", 0.5) for who in people) / 4_000
    assert both == pytest.approx(0.25, abs=0.03)
    first = sorted(people, key=lambda who: draw(who, "one", "order"))[:2_000]
    assert sum(assigned(who, "one", 0.5) for who in first) / 2_000 == pytest.approx(0.5, abs=0.05)
