"""Recorded visits: the same from a seed, in time order, in new words each week, honest about what is right."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ikkan.apps.assistant.sample import (
    SAMPLE_END,
    VISITS,
    Reaction,
    Visit,
    knowledge,
    outside,
    paraphrases,
    shuffled,
    visits,
)

SEEDS = [0, 7, 2026]
LANG_OF = {entry.entry_id: entry.lang for entry in knowledge()}


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def trigrams(text: str) -> set[str]:
    text = plain(text)
    return {text[at : at + 3] for at in range(len(text) - 2)} or {text}


def overlap(left: set[str], right: set[str]) -> float:
    return len(left & right) / len(left | right)


def visit(**changes: object) -> Visit:
    facts: dict[str, object] = {
        "visit_id": "visit-0-0001",
        "at": SAMPLE_END,
        "subject": "shionagi-001",
        "lang": "ja",
        "question": "暗証忘れた",
        "knowledge_id": "it-001-ja",
        "corrected_id": "it-001-ja",
        "correction": "choice",
        "praises": True,
    }
    return Visit(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_repeats_its_visits(seed: int) -> None:
    assert visits(seed) == visits(seed)
    assert visits(seed) != visits(seed + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_visits_are_in_time_order_over_eight_weeks_and_end_in_time(seed: int) -> None:
    recorded = visits(seed)
    times = [visit.at for visit in recorded]
    assert len(recorded) == VISITS >= 600
    assert times == sorted(times)
    assert all(at.tzinfo is UTC for at in times)
    assert SAMPLE_END - timedelta(weeks=8) <= times[0] < times[-1] <= SAMPLE_END
    assert times[-1] - times[0] > timedelta(weeks=7)


def test_visits_end_where_they_are_told_to_and_keep_their_words() -> None:
    japan = timezone(timedelta(hours=9))
    end = datetime(2027, 2, 10, 12, 0, tzinfo=japan)
    recorded = visits(3, n=200, end=end)
    assert end - timedelta(weeks=8) <= recorded[0].at
    assert recorded[-1].at <= end
    assert {visit.at.astimezone(japan).weekday() for visit in recorded} == {0, 1, 2, 3, 4}
    assert all(8 <= visit.at.astimezone(japan).hour < 19 for visit in recorded)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_truth_exists_in_the_language_of_the_visit(seed: int) -> None:
    known = [visit for visit in visits(seed) if visit.knowledge_id is not None]
    assert all(LANG_OF[visit.knowledge_id or ""] == visit.lang for visit in known)
    assert all(LANG_OF[visit.corrected_id or ""] == visit.lang for visit in known)


@pytest.mark.parametrize("seed", SEEDS)
def test_some_visits_have_no_answer_here(seed: int) -> None:
    lost = [visit for visit in visits(seed) if visit.knowledge_id is None]
    assert 0.04 <= len(lost) / VISITS <= 0.12
    assert all(visit.corrected_id is None and not visit.corrects for visit in lost)


@pytest.mark.parametrize("seed", SEEDS)
def test_60_to_90_employees_ask_and_both_languages_are_about_even(seed: int) -> None:
    recorded = visits(seed)
    assert 60 <= len({visit.subject for visit in recorded}) <= 90
    assert 0.42 <= sum(visit.lang == "ja" for visit in recorded) / VISITS <= 0.58


@pytest.mark.parametrize("seed", SEEDS)
def test_few_corrections_are_slips_and_slips_stay_in_the_topic(seed: int) -> None:
    correcting = [visit for visit in visits(seed) if visit.corrects]
    slips = [visit for visit in correcting if visit.corrected_id != visit.knowledge_id]
    assert 0.02 <= len(slips) / len(correcting) <= 0.065
    assert all((v.corrected_id or "").split("-")[0] == (v.knowledge_id or "").split("-")[0] for v in slips)


@pytest.mark.parametrize("seed", SEEDS)
def test_popular_entries_come_back_and_most_entries_come_at_all(seed: int) -> None:
    asked = Counter(visit.knowledge_id for visit in visits(seed) if visit.knowledge_id is not None)
    assert max(asked.values()) >= 12
    assert len(asked) >= 200


@pytest.mark.parametrize("seed", SEEDS)
def test_most_late_questions_are_about_entries_asked_before_in_other_words(seed: int) -> None:
    recorded = visits(seed)
    early, late = recorded[: VISITS * 2 // 3], [visit for visit in recorded[VISITS * 2 // 3 :] if visit.knowledge_id]
    before = {visit.knowledge_id for visit in early}
    shingles = [(visit.lang, trigrams(visit.question)) for visit in early]
    nearest = [
        max(overlap(trigrams(visit.question), other) for lang, other in shingles if lang == visit.lang)
        for visit in late
    ]
    assert sum(visit.knowledge_id in before for visit in late) / len(late) >= 0.7
    assert sum(overlapping >= 0.7 for overlapping in nearest) / len(late) <= 0.02
    assert not {plain(visit.question) for visit in early} & {plain(visit.question) for visit in late}


def test_a_wording_is_not_used_twice_while_others_are_unused() -> None:
    wordings = sum(len(texts) for texts in paraphrases().values()) + len(outside())
    assert wordings > 2 * VISITS
    assert len({plain(visit.question) for visit in visits(1)}) == VISITS


def test_shuffling_moves_beliefs_within_a_language_and_nothing_else() -> None:
    recorded = visits(5)
    mixed = shuffled(recorded, 5)
    assert mixed == shuffled(recorded, 5) != shuffled(recorded, 6)
    assert [(v.visit_id, v.at, v.subject, v.question, v.knowledge_id, v.correction) for v in mixed] == [
        (v.visit_id, v.at, v.subject, v.question, v.knowledge_id, v.correction) for v in recorded
    ]
    assert Counter((v.lang, v.corrected_id) for v in mixed) == Counter((v.lang, v.corrected_id) for v in recorded)
    believing = [v for v in mixed if v.corrected_id is not None]
    assert sum(v.corrected_id == v.knowledge_id for v in believing) / len(believing) < 0.05
    assert all(LANG_OF[v.corrected_id or ""] == v.lang for v in believing)
    assert [v.corrected_id is None for v in mixed] == [v.corrected_id is None for v in recorded]


@pytest.mark.parametrize(
    ("changes", "shown_id", "expected"),
    [
        ({}, "it-001-ja", Reaction("thumb_up", "it-001-ja")),
        ({"praises": False}, "it-001-ja", None),
        ({}, "it-002-ja", Reaction("choice", "it-001-ja")),
        ({}, None, Reaction("choice", "it-001-ja")),
        ({"correction": "edit"}, "it-002-ja", Reaction("edit", "it-001-ja")),
        ({"correction": "thumb_down"}, "it-002-ja", Reaction("thumb_down", None)),
        ({"correction": None}, "it-002-ja", None),
        ({"corrected_id": "it-002-ja"}, "it-001-ja", Reaction("choice", "it-002-ja")),
        ({"knowledge_id": None, "corrected_id": None}, "it-001-ja", Reaction("thumb_down", None)),
        ({"knowledge_id": None, "corrected_id": None}, None, None),
    ],
)
def test_people_react_to_what_they_believe(changes: dict[str, object], shown_id: str | None, expected: object) -> None:
    assert visit(**changes).reaction(shown_id) == expected
