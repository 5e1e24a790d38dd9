"""Near-duplicates are found in any language, and never stand on both sides of the cut-off."""

from __future__ import annotations

import hashlib
import itertools
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.flywheel.contract import Examples
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.split import check, clusters, normalised, shingles, split
from ikkan.ground.errors import LeakFound

START = datetime(2026, 1, 1, tzinfo=UTC)


def examples(*rows: tuple[str, int]) -> Examples:
    """Texts and the hours at which they were asked and understood."""
    moments = tuple(START + timedelta(hours=hour) for _, hour in rows)
    n = len(rows)
    return Examples(
        ids=tuple(f"e{number}" for number in range(n)),
        unit_ids=tuple(f"u{number}" for number in range(n)),
        occurred_at=moments,
        known_at=moments,
        slices=("all",) * n,
        keys=tuple(text for text, _ in rows),
        inputs=(None,) * n,
        truths=(None,) * n,
        teaches=np.ones(n, dtype=bool),
        own=np.zeros(n, dtype=bool),
        evidence=((),) * n,
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VPNにつながらない", "すみません、ＶＰＮ に つながらない。"),
        ("how do I reset my password", "sorry - How do I reset my password?? thanks"),
        ("how do I reset my password", "how do I rest my password"),
        ("如何重置公司账户的密码", "请问，如何重置公司账户的密码？"),
        ("スマホを電車に忘れました", "至急 スマホを電車に忘れましした"),
        ("印刷", "印刷！"),
    ],
)
def test_the_same_question_in_other_clothes_is_the_same(one: str, other: str) -> None:
    assert len(set(clusters([one, other]).tolist())) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VPNにつながらない", "自宅から社内のサーバーに入れない"),
        ("how do I reset my password", "can't sign in, forgot it"),
        ("有休の残りを見たい", "有休の申請はいつまで"),
        ("印刷", "印刷できない"),
        ("vpn", "vpn token lost"),
    ],
)
def test_other_words_are_another_question(one: str, other: str) -> None:
    assert len(set(clusters([one, other]).tolist())) == 2


def test_likeness_passes_through_a_middle() -> None:
    texts = ["abcdefghijkl", "abcdefghijklmno", "fghijklmno"]
    assert len(set(clusters(texts).tolist())) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("あいうえお漢字カナabcdef ", max_size=14), max_size=25))
def test_the_fast_join_finds_what_comparing_everything_finds(texts: list[str]) -> None:
    plain = [normalised(text) for text in texts]
    sets = [shingles(text) for text in plain]
    group = list(range(len(texts)))
    for a in range(len(texts)):
        for b in range(len(texts)):
            smaller = min(sets[a], sets[b], key=len)
            alike = len(smaller) >= 4 and len(sets[a] & sets[b]) >= 0.8 * len(smaller)
            joined = plain[a] == plain[b] or alike
            group = [group[a] if each == group[b] and joined else each for each in group]
    fast = clusters(texts)
    assert [[fast[a] == fast[b] for b in range(len(texts))] for a in range(len(texts))] == [
        [group[a] == group[b] for b in range(len(texts))] for a in range(len(texts))
    ]


def test_many_likely_texts_are_joined_as_comparing_everything_joins_them() -> None:
    rng = random.Random(5)
    bases = ["".join(rng.choices("経費精算申請方法期限印刷書類給与明細端末交通出張abcdef ", k=14)) for _ in range(40)]
    greeted = [
        rng.choice(["", "至急", "please "]) + rng.choice(bases) + rng.choice(["", "を教えて", "!"]) for _ in range(90)
    ]
    texts = [*greeted, *(text[:at] + text[at + 1 :] for text in greeted for at in (rng.randrange(len(text)),))]
    plain = [normalised(text) for text in texts]
    sets = [shingles(text) for text in plain]
    group = list(range(len(texts)))
    for a, b in itertools.combinations(range(len(texts)), 2):
        smaller = min(sets[a], sets[b], key=len)
        alike = len(smaller) >= 4 and len(sets[a] & sets[b]) >= 0.8 * len(smaller)
        low, high = sorted((group[a], group[b]))
        joins = low != high and (plain[a] == plain[b] or alike)
        group = [low if joins and each == high else each for each in group]
    assert clusters(texts).tolist() == group
    assert 10 < len(set(group)) < 90


def test_a_later_question_whose_like_was_taught_does_not_judge() -> None:
    seen = examples(
        ("how do I reset my password", 0), ("where is the scanner", 9), ("hey, how do i reset my password?", 9)
    )
    parted = split(seen, START + timedelta(hours=5), clusters(seen.keys))
    assert parted.teach.tolist() == [True, False, False]
    assert (parted.judge.tolist(), parted.too_similar) == ([False, True, False], 1)


def test_what_the_champion_was_taught_does_not_judge_either() -> None:
    seen = examples(
        ("how do I reset my password", 6), ("hey, how do i reset my password?", 9), ("where is the scanner", 9)
    )
    taught = np.array([True, False, False])
    parted = split(seen, START + timedelta(hours=5), clusters(seen.keys), taught)
    assert parted.judge.tolist() == [False, False, True]


def test_sealed_people_only_judge_and_are_always_the_same() -> None:
    seen = examples(*((hashlib.sha256(b"%d" % at).hexdigest(), at) for at in range(200)))
    terms = Terms(sealed_share=0.2, salt="s")
    sealed = terms.seals(seen)
    parted = split(seen, START + timedelta(hours=100), np.arange(200), None, sealed)
    assert 0.1 < sealed.mean() < 0.3 and not (parted.teach & sealed).any() and (parted.judge & sealed).any()
    assert parted.teach.sum() == 101 - sealed[:101].sum()
    later = terms.seals(seen.take(np.arange(50, 200)))
    assert later.tolist() == sealed[50:].tolist()
    assert Terms(sealed_share=0.2, salt="other").seals(seen).tolist() != sealed.tolist()
    assert not Terms().seals(seen).any()


def test_what_was_asked_before_and_understood_after_is_on_neither_side() -> None:
    seen = examples(("where is the scanner", 1), ("vpn does not connect", 8))
    late = Examples(**{**{name: getattr(seen, name) for name in seen.__slots__}, "known_at": (seen.known_at[1],) * 2})
    parted = split(late, START + timedelta(hours=5), clusters(late.keys))
    assert (parted.teach.any(), parted.judge.tolist(), parted.in_between) == (False, [False, True], 1)


@pytest.mark.parametrize(
    ("teach", "judge", "fact"),
    [
        ([("where is the scanner", 0)], [("um, where is the scanner?", 9)], "alike"),
        ([("where is the scanner", 7)], [("vpn does not connect", 9)], "late"),
        ([("where is the scanner", 0)], [("vpn does not connect", 1)], "early"),
    ],
)
def test_a_build_that_would_leak_is_refused(
    teach: list[tuple[str, int]], judge: list[tuple[str, int]], fact: str
) -> None:
    with pytest.raises(LeakFound) as caught:
        check(examples(*teach), examples(*judge), START + timedelta(hours=5))
    assert caught.value.facts[fact]
