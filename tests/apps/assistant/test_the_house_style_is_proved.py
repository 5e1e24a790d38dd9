"""The world of reply style: a placebo that is one, people who edit, and the whole experiment with a fake model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ikkan.apps.assistant.learn import ReplyStyleLearnable
from ikkan.apps.assistant.learn.reply_style.made import curt, house, made
from ikkan.apps.assistant.learn.reply_style.world import (
    CONFIRMED,
    EDITED,
    MISTAKEN,
    Remembering,
    ReplyStyleWorld,
    read_answered,
)
from ikkan.flywheel.contract import Examples
from ikkan.flywheel.proof import Journal, Plan, Provable, prove
from ikkan.flywheel.training.values import Lesson, Turn
from ikkan.flywheel.training.values import Plan as TrainingPlan
from ikkan.ground.errors import BadFile, NotFound
from ikkan.kit.fakes import FakeTaught


def world(data: Path | None = None) -> ReplyStyleWorld:
    return ReplyStyleLearnable(lambda: (), FakeTaught()).world(data, quick=True)


def texts(examples: Examples) -> list[str]:
    return [wanted.text for wanted in examples.truths]


def test_the_house_style_can_be_proved() -> None:
    assert isinstance(ReplyStyleLearnable(lambda: (), None), Provable)


def test_the_warm_up_has_the_houses_texts_for_other_peoples_questions() -> None:
    town = world()
    warm_up = town.warm_up(0)
    right = {house(row.question, row.answer) for row in made(6_000)}
    plain = {row.question: row.answer for row in made(6_000)}
    assert set(texts(warm_up)) <= right
    wrong = [text != house(key, plain[key]) for key, text in zip(warm_up.keys, texts(warm_up), strict=True)]
    assert np.mean(wrong) > 0.5


def test_visits_follow_the_warm_up_and_each_other_and_the_last_round_is_smaller() -> None:
    town = world()
    warm_up, visits = town.warm_up(3), town.visits(3, 3)
    assert len(visits[0]) == len(visits[1]) > len(visits[2])
    told = town.told(visits[0], np.zeros(len(visits[0])), np.random.default_rng(0))
    assert max(warm_up.known_at) < min(visits[0].occurred_at)
    assert max(told.known_at) < min(visits[1].occurred_at)
    ids = [id for each in (warm_up, *visits) for id in each.ids]
    assert len(set(ids)) == len(ids)
    assert world().visits(3, 3)[2].digest() == visits[2].digest() != world().visits(4, 3)[2].digest()


def test_people_edit_what_is_far_from_what_they_want_and_are_sometimes_wrong() -> None:
    town = world()
    visits = town.visits(0, 2)[0]
    rng = np.random.default_rng(5)
    draws = [
        (town.told(visits, np.zeros(len(visits)), rng), town.told(visits, np.ones(len(visits)), rng)) for _ in range(30)
    ]
    assert np.mean([len(low) for low, _ in draws]) / len(visits) == pytest.approx(EDITED, abs=0.03)
    assert np.mean([len(high) for _, high in draws]) / len(visits) == pytest.approx(CONFIRMED, abs=0.03)
    right = dict(zip(visits.ids, texts(visits), strict=True))
    slips = [text != right[id] for low, _ in draws for id, text in zip(low.ids, texts(low), strict=True)]
    assert np.mean(slips) == pytest.approx(MISTAKEN, abs=0.015)


def test_liars_are_the_same_people_every_time() -> None:
    town = world()
    visits = town.visits(0, 2)[0]
    lied = town.poisoned(visits, 0.2, np.random.default_rng(0))
    rows = list(zip(visits.unit_ids, texts(visits), texts(lied), strict=True))
    changed = {unit for unit, before, after in rows if before != after}
    honest = {unit for unit, before, after in rows if before == after}
    assert not changed & honest and 0.05 < len(changed) / (len(changed) + len(honest)) < 0.4


def test_self_training_reads_as_many_texts_of_its_own_as_a_training_does() -> None:
    town = world()
    fitted = town.learnable.train(town.warm_up(0), town.budget, 0)
    visits = town.visits(0, 2)[0]
    own = town.self_labelled(fitted, visits)
    assert own.teaches.sum() == town.budget.examples
    asked = visits.take(own.teaches).inputs
    assert texts(own.take(own.teaches)) == list(FakeTaught().write(fitted.files, asked, max_tokens=64))


def test_use_makes_it_better_and_permuted_edits_do_not(tmp_path: Path) -> None:
    town = ReplyStyleLearnable(lambda: (), FakeTaught()).world(None)
    plan = Plan.of(town, seeds=2, rounds=town.rounds, quick=True)
    proof = prove(town, plan, Journal(tmp_path / "journal", plan))
    assert proof["lower"] > 0, proof["checks"]
    assert proof["placebo"]["lower"] <= 0 and proof["self_training"]["lower"] <= 0
    assert proof["erased"]["exact"] and proof["erased"]["mattered"]
    assert proof["arms"]["no_gate"]["gain"] > 0 and proof["arms"]["random"]["gain"] < 0


def test_everything_is_computed_once() -> None:
    base = FakeTaught()
    remembering = Remembering(base)
    lessons = [Lesson((Turn("user", "a"),), "b")]
    first, again = (remembering.train(lessons, TrainingPlan()) for _ in range(2))
    assert first is again and len(base.trained) == 1
    twice = remembering.likelihoods(first.files, lessons * 2, max_tokens=9)
    assert twice[0] is twice[1] is remembering.likelihoods(first.files, lessons, max_tokens=9)[0]
    asked = [lessons[0].turns] * 2
    assert list(remembering.write(None, asked, max_tokens=9)) == list(base.write(None, asked, max_tokens=9))


@pytest.mark.parametrize("name", ["answered.csv", "answered.jsonl"])
def test_a_file_of_questions_and_answers_is_a_world_too(tmp_path: Path, name: str) -> None:
    rows = [("How, then?", "Thus. Or so."), ("どこで？", "二階で。"), ("How, then?", "Again.")]
    csv = "question,answer\n" + "".join(f'"{question}","{answer}"\n' for question, answer in rows)
    lines = "".join(json.dumps({"question": question, "answer": answer}) + "\n" for question, answer in rows)
    (tmp_path / name).write_text({"answered.csv": csv, "answered.jsonl": lines}[name])
    found = read_answered(tmp_path / name)
    assert [(row.question, row.answer) for row in found] == rows[:2]
    with pytest.raises(BadFile, match="too few"):
        world(tmp_path / name).visits(0, 2)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,category\na,b\n"),
        ("a.csv", b'question,answer\n"a,b\n'),
        ("a.csv", b"question,answer\na,\n"),
        ("a.csv", b"\xff\xfe"),
        ("a.jsonl", b"{nonsense\n"),
        ("a.jsonl", b'["a", "b"]\n'),
        ("a.jsonl", b'{"question": "a", "answer": 3}\n'),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile, match=name):
        read_answered(tmp_path / name)
    with pytest.raises(NotFound):
        read_answered(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("question", "answer", "wanted", "other"),
    [
        (
            "[Lab] A key?",
            "Ask Ada. Sign.",
            "Dear Lab, A key?:\n1. Ask Ada.\n2. Sign.\nYours, Help Desk",
            "ask ada; sign",
        ),
        ("A key?", "Ask Ada.", "About A key?:\n1. Ask Ada.\nYours, Help Desk", "ask ada"),
        ("【工場】鍵は", "頼む。署名。", "工場様、鍵はの件。\n1. 頼む。\n2. 署名。\n総務", "頼む、署名"),
    ],
)
def test_a_house_has_its_style_and_somebody_else_another(question: str, answer: str, wanted: str, other: str) -> None:
    assert house(question, answer) == wanted
    assert curt(answer) == other
