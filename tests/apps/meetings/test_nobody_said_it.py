"""Proposals without a model: few, by rule, each with the words it rests on, and marked wherever they are shown."""

from __future__ import annotations

from datetime import date

import pytest

from ikkan.apps.meetings.rules.items import itemised
from ikkan.apps.meetings.rules.level0.proposals import MOST_OF_ACTIONS, MOST_OF_QUESTIONS, proposals
from ikkan.apps.meetings.rules.minutes import markdown, minutes
from ikkan.apps.meetings.values import Extraction, Kind, Segment, Transcript


def said(*goes: str, language: str = "en") -> Transcript:
    """`A: words` each."""
    cut = [each.partition(": ") for each in goes]
    return Transcript(tuple(Segment(f"s{n}", who, text) for n, (who, _, text) in enumerate(cut, 1)), language)


def action(owner: str | None = None, due: date | None = None, confidence: float = 0.5) -> Extraction:
    return Extraction(Kind.ACTION, "Send it", ("s1",), "rule", confidence, owner, due)


@pytest.mark.parametrize(
    ("owner", "due", "told"),
    [
        (None, None, ["Agree who does this and by when: Send it"]),
        ("Ann", None, ["Agree by when: Send it"]),
        (None, date(2026, 6, 5), ["Agree who does this: Send it"]),
        ("Ann", date(2026, 6, 5), []),
    ],
)
def test_what_an_action_lacks_is_to_be_agreed(owner: str | None, due: date | None, told: list[str]) -> None:
    assert [one.text for one in proposals([action(owner, due)], said("Ann: Send it"))] == told


@pytest.mark.parametrize(
    ("language", "told"),
    [("ja", "担当と期限を決める:Send it"), ("zh", "确定负责人和期限：Send it")],
)
def test_a_proposal_speaks_the_meetings_language(language: str, told: str) -> None:
    assert proposals([action()], said("A: Send it", language=language))[0].text == told


@pytest.mark.parametrize(
    ("goes", "rests_on"),
    [
        (("A: Who pays?", "B: I'll check with legal."), ("s1", "s2")),
        (("A: 誰が払いますか", "B: 確認します"), ("s1", "s2")),
        (("A: 谁付款？", "B: 我不知道"), ("s1", "s2")),
        (("A: Who pays?", "A: Well."), ("s1",)),
        (("A: Who pays?", "B: The tenant pays."), None),
        ((": Who pays?", ": The tenant pays."), None),
    ],
)
def test_a_question_put_off_is_to_be_answered(goes: tuple[str, ...], rests_on: tuple[str, ...] | None) -> None:
    asked = Extraction(Kind.QUESTION, goes[0], ("s1",), "rule", 0.5)
    assert next((one.evidence for one in proposals([asked], said(*goes))), None) == rests_on


def test_they_are_few_and_never_of_what_is_doubtful() -> None:
    many = [action() for _ in range(20)] + [Extraction(Kind.QUESTION, "Who?", ("s1",), "rule", 0.5) for _ in range(20)]
    assert len(proposals(many, said("Ann: Send it"))) == MOST_OF_ACTIONS + MOST_OF_QUESTIONS
    assert proposals([action(confidence=0.1)], said("Ann: Send it")) == ()


@pytest.mark.parametrize(("language", "mark"), [("en", "it is a suggestion"), ("ja", "発言にはない提案です")])
def test_they_are_marked_in_the_minutes(language: str, mark: str) -> None:
    meeting = said("Ann: Send it", language=language)
    assert mark in markdown(minutes(meeting, itemised(proposals([action()], meeting))))
