"""The world of meetings: people who read transcripts and say a part of the truth; the same town for the same seed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from ikkan.apps.meetings.learn import CandidateLearnable
from ikkan.apps.meetings.learn.made import made
from ikkan.apps.meetings.learn.world import MISTAKEN, MeetingsWorld
from ikkan.apps.meetings.values import Kind
from ikkan.flywheel.contract import NO_EXAMPLES, Budget, Examples
from ikkan.flywheel.gate import Champion, turn
from ikkan.flywheel.proof import Paced, Plan, Provable, joined
from ikkan.ground.errors import BadFile


@pytest.fixture(scope="module")
def town() -> MeetingsWorld:
    return CandidateLearnable(Kind.ACTION).world(None, quick=True)


def heard(town: MeetingsWorld, seed: int = 0) -> Examples:
    """What people say of all visits of a seed."""
    (visits,) = town.visits(seed, 1)
    return joined(town.warm_up(seed), town.told(visits, np.zeros(len(visits)), np.random.default_rng(seed)))


@pytest.mark.parametrize("kind", [Kind.ACTION, Kind.KEY_POINT])
def test_judgements_of_both_kinds_can_be_proved(kind: Kind) -> None:
    learnable = CandidateLearnable(kind)
    assert isinstance(learnable, Provable) and isinstance(learnable.world(None, quick=True), Paced)


def test_key_points_begin_with_the_longest_lines_and_judgements_add_to_that() -> None:
    town = CandidateLearnable(Kind.KEY_POINT).world(None, quick=True)
    first, later = town.visits(0, 2)
    for choice in later.inputs:
        lengths = [len(line.text.split()) for line in choice.lines]
        assert lengths == sorted(lengths, reverse=True)
    base = town.learnable.train(NO_EXAMPLES, Budget(), 0)
    said = town.told(first, np.zeros(len(first)), np.random.default_rng(0))
    learned = town.learnable.train(joined(town.warm_up(0), said), Budget(), 0)
    scores = [town.learnable.score(fitted, later).mean() for fitted in (base, learned)]
    assert 0.55 < scores[0] < scores[1]


def test_a_world_opens_its_file_at_the_first_visit_and_not_for_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, made(7, 1))).encode()))
    world = CandidateLearnable(Kind.ACTION).world(path)
    plan = Plan.of(world, seeds=2, rounds=3, data=path)
    assert plan.world["meetings"] == "file" and len(world.visits(0, 3)) == 3
    again = CandidateLearnable(Kind.ACTION).world(path)
    path.unlink()
    with pytest.raises(Exception, match="there is no file"):
        again.warm_up(0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "lacks"),
        (b"{}", "lacks"),
        (b"text,category\n", "holds no records"),
        (b"\x1f\x8bbroken", "holds no records"),
        (json.dumps(made(1, 1)[0]).encode(), "fewer than 6 series"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=why):
        CandidateLearnable(Kind.ACTION).world(path).visits(0, 2)


def test_more_rounds_than_series_are_refused(town: MeetingsWorld) -> None:
    with pytest.raises(BadFile, match="too few for 40 rounds"):
        town.visits(0, 40)


def test_visits_follow_each_other_series_by_series_and_nobody_was_heard_before(town: MeetingsWorld) -> None:
    warm_up, visits = town.warm_up(3), town.visits(3, 4)
    assert not warm_up.teaches.any()
    base = town.learnable.train(NO_EXAMPLES, Budget(), 0)
    assert town.learnable.train(warm_up, Budget(), 0).files == base.files
    series = [{each.lines[0].meeting[:-1] for each in part.inputs} for part in (warm_up, *visits)]
    assert sum(map(len, series)) == len(set().union(*series))
    told = town.told(visits[0], np.zeros(len(visits[0])), np.random.default_rng(0))
    assert max(warm_up.known_at) < min(visits[0].occurred_at)
    assert max(told.known_at) < min(visits[1].occurred_at)
    again = CandidateLearnable(Kind.ACTION).world(None, quick=True)
    assert again.visits(3, 4)[2].digest() == visits[2].digest() != town.visits(4, 4)[2].digest()


def test_people_take_in_what_is_wanted_beside_a_few_rejected_lines_and_err_sometimes(town: MeetingsWorld) -> None:
    (visits,) = town.visits(0, 1)
    meant = {
        id: each.lines[truth].text for id, each, truth in zip(visits.ids, visits.inputs, visits.truths, strict=True)
    }
    rng = np.random.default_rng(5)
    told = [town.told(visits, np.zeros(len(visits)), rng) for _ in range(5)]
    wrong = [
        each.lines[truth].text != meant[id]
        for said in told
        for id, each, truth in zip(said.ids, said.inputs, said.truths, strict=True)
    ]
    assert 0.3 * MISTAKEN < np.mean(wrong) < 2 * MISTAKEN
    assert 0.7 < np.mean([len(said) for said in told]) / len(visits) < 0.9
    lengths = [len(each.lines) for said in told for each in said.inputs]
    assert min(lengths) >= 2 and np.mean(lengths) < np.mean([len(each.lines) for each in visits.inputs]) / 2


def test_liars_are_the_same_people_every_time(town: MeetingsWorld) -> None:
    (visits,) = town.visits(0, 1)
    lied = town.poisoned(visits, 0.2, np.random.default_rng(0))
    turned = {u for u, then, now in zip(visits.unit_ids, visits.truths, lied.truths, strict=True) if then != now}
    honest = set(visits.unit_ids) - turned
    assert 0.1 < len(turned) / (len(turned) + len(honest)) < 0.3


def test_self_training_takes_its_own_word(town: MeetingsWorld) -> None:
    learned = town.learnable.train(heard(town), Budget(), 0)
    visits = town.visits(1, 2)[0]
    own = town.self_labelled(learned, visits)
    assert town.learnable.score(learned, own).mean() == 1.0 > town.learnable.score(learned, visits).mean()


def test_the_gate_promotes_what_judgements_taught_and_refuses_what_was_shuffled(town: MeetingsWorld) -> None:
    said = heard(town)
    base = Champion(town.learnable.train(NO_EXAMPLES, Budget(), 0), said.occurred_at[0])
    learned = turn(town.learnable, said, base, seed=0)
    assert (learned.promoted, learned.code) == (True, "better")
    shuffled = [turn(town.learnable, said.shuffled(seed), base, seed=seed) for seed in range(4)]
    assert not any(each.promoted for each in shuffled)


def test_the_trivial_way_knows_words_and_nothing_else(town: MeetingsWorld) -> None:
    name, recipe = town.trivial()
    said, visits = heard(town), town.visits(0, 1)[0]
    fitted = recipe(said, Budget(), 0)
    assert name == "words" and town.learnable.score(fitted, visits).mean() > 0.8
    assert abs(town.at_random(visits, np.random.default_rng(0)).mean() - 0.5) < 0.1
