"""Which reaction says what about which answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.learn.examples import new_answer_id
from ikkan.apps.assistant.values import NO_ANSWER, Truth
from ikkan.flywheel import Examples

from .conftest import KNOWLEDGE, Desk, choice, edit, thumb


def examples_of(desk: Desk) -> Examples:
    return AnswerLearnable(lambda: KNOWLEDGE).examples(desk.events, desk.now())


@pytest.mark.parametrize(
    ("reactions", "shown", "truth"),
    [
        ([edit("ポータルから申請して下さい（内線2201）。")], "k2-ja", Truth(right="k1-ja")),
        ([edit("総務の田中さんに聞く。")], "k2-ja", Truth(right=new_answer_id("総務の田中さんに聞く。"))),
        ([choice("k3-ja")], "k2-ja", Truth(right="k3-ja")),
        ([choice(None)], "k2-ja", Truth(right=NO_ANSWER)),
        ([thumb(1)], "k2-ja", Truth(right="k2-ja")),
        ([thumb(-1)], "k2-ja", Truth(wrong="k2-ja")),
        ([thumb(1)], None, Truth(right=NO_ANSWER)),
        ([], "k2-ja", Truth(right="k2-ja", silent=True)),
        ([], None, Truth(right=NO_ANSWER, silent=True)),
        ([thumb(-1), choice("k1-ja")], "k2-ja", Truth(right="k1-ja")),
        ([choice("k1-ja"), thumb(-1)], "k2-ja", Truth(right="k1-ja")),
        ([choice("k3-ja"), choice("k1-ja")], "k2-ja", Truth(right="k1-ja")),
    ],
)
def test_a_reaction_tells_the_truth_about_an_answer(
    desk: Desk, reactions: list[dict[str, Any]], shown: str | None, truth: Truth
) -> None:
    desk.ask("暗証を忘れた", *reactions, shown=shown)
    assert examples_of(desk).truths == (truth,)


@pytest.mark.parametrize(
    ("reactions", "shown"),
    [([thumb(-1)], None), ([choice("no-such-entry")], "k1-ja"), ([{"kind": "comment", "comment": "hm"}], "k1-ja")],
)
def test_what_says_nothing_about_the_right_answer_is_no_example(
    desk: Desk, reactions: list[dict[str, Any]], shown: str | None
) -> None:
    desk.ask("暗証を忘れた", *reactions, shown=shown)
    assert len(examples_of(desk)) == 0


def test_a_changed_number_is_another_answer(desk: Desk) -> None:
    desk.ask("暗証を忘れた", edit("ポータルから申請してください。内線2210。"), shown="k1-ja")
    (truth,) = examples_of(desk).truths
    assert truth.right not in {entry.id for entry in KNOWLEDGE}


def test_the_same_new_answer_typed_twice_is_one_answer(desk: Desk) -> None:
    desk.ask("植木の水やりは誰", edit("総務の研修生が月曜に水をやります。"))
    desk.ask("観葉植物は", edit("総務の研修生が、月曜に水をやります"), subject="bob")
    first, second = examples_of(desk).truths
    assert first.right == second.right


def test_silence_after_an_answer_judges_and_does_not_teach(desk: Desk) -> None:
    desk.ask("暗証を忘れた", shown="k1-ja")
    desk.ask("hello there", shown=None)
    assert examples_of(desk).teaches.tolist() == [False, True]


def test_a_truth_is_known_when_it_was_said_not_when_it_was_asked(desk: Desk) -> None:
    desk.ask("暗証を忘れた", choice("k1-ja"))
    seen = examples_of(desk)
    assert seen.known_at[0] > seen.occurred_at[0]


def test_what_came_with_the_sample_is_told_from_what_people_did_here(desk: Desk) -> None:
    desk.ask("暗証を忘れた", choice("k1-ja"), origin="sample")
    desk.ask("休みたい", choice("k2-ja"))
    assert examples_of(desk).own.tolist() == [False, True]


def test_people_who_refuse_teach_nothing(desk: Desk) -> None:
    desk.ask("暗証を忘れた", choice("k1-ja"), subject="ada")
    desk.ask("休みたい", choice("k2-ja"), subject="bob")
    desk.events.set_consent("local", "ada", "improve", False)  # type: ignore[arg-type]
    assert examples_of(desk).unit_ids == ("bob",)


def test_nobody_in_particular_is_one_unit_a_day(desk: Desk) -> None:
    desk.ask("暗証を忘れた", choice("k1-ja"), subject=None)
    desk.ask("休みたい", choice("k2-ja"), subject=None)
    assert len(set(examples_of(desk).unit_ids)) == 1


def test_other_models_answers_are_nobodys_business_here(desk: Desk) -> None:
    desk.ask("暗証を忘れた", choice("k1-ja"))
    desk.events.events[0].payload["model"] = "default"  # type: ignore[index]
    assert len(examples_of(desk)) == 0


def test_shuffling_permutes_what_people_said_within_a_language_and_nothing_else(desk: Desk) -> None:
    for number, entry in enumerate(KNOWLEDGE * 3):
        desk.ask(f"{entry.question} {number}", choice(entry.id), subject=f"p{number}")
    before = examples_of(desk)
    after = before.shuffled(1)
    assert sorted(t.right or "" for t in before.truths) == sorted(t.right or "" for t in after.truths)
    assert before.truths != after.truths and before.inputs == after.inputs
    for lang in ("ja", "en"):
        here = np.array([each == lang for each in before.slices])
        assert all((truth.right or "").endswith(lang) for truth in after.take(here).truths)
