"""What is learned, how surely it is said, and that it is the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.learn.fit import fit
from ikkan.apps.assistant.rules import Answerer
from ikkan.apps.assistant.values import Knowledge
from ikkan.flywheel import NO_EXAMPLES, Budget, Examples

from .conftest import KNOWLEDGE, Desk, choice, edit


def taught(desk: Desk) -> Examples:
    return AnswerLearnable(lambda: KNOWLEDGE).examples(desk.events, desk.now())


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("アカウントの再発行を申請したい", "k1-ja"),
        ("有給休暇の申請期限", "k2-ja"),
        ("company account reissue", "k1-en"),
        ("ＨＯＷ ARE EXPENSES SETTLED?", "k3-en"),
    ],
)
def test_the_knowledge_alone_answers_what_is_asked_in_its_words(question: str, expected: str) -> None:
    best = fit(NO_EXAMPLES, KNOWLEDGE).reply(question).best
    assert best is not None and best.entry.id == expected


@pytest.mark.parametrize("question", ["明日の神戸の天気は？", "what is the capital of France", "?", "🙂", "1234"])
def test_what_nobody_knows_is_not_answered(question: str) -> None:
    assert fit(NO_EXAMPLES, KNOWLEDGE).reply(question).best is None


def test_a_corrected_answer_is_found_in_other_words(desk: Desk) -> None:
    desk.ask("暗証が飛んだ", choice("k1-ja"))
    desk.ask("Who waters the plants on the third floor?", edit("The trainee does, on Mondays."), subject="bob")
    answerer = fit(taught(desk))
    again, other = (
        answerer.reply("あの、暗証が飛んじゃって").best,
        answerer.reply("plants on the third floor, who waters?").best,
    )
    assert again is not None and again.entry.id == "k1-ja"
    assert other is not None and other.entry.answer == "The trainee does, on Mondays."


def test_a_question_in_chinese_characters_alone_finds_its_entry(desk: Desk) -> None:
    chinese = Knowledge("k9-zh", "zh", "it", "如何重置公司账户密码？", "请在门户中申请。", "手册")
    answerer = fit(NO_EXAMPLES, [*KNOWLEDGE, chinese])
    best = answerer.reply("重置账户密码").best
    assert best is not None and best.entry.id == "k9-zh"


def test_most_people_outvote_one_on_the_same_question(desk: Desk) -> None:
    desk.ask("暗証が飛んだ", choice("k1-ja"), subject="ada")
    desk.ask("暗証が飛んだ！", choice("k1-ja"), subject="bob")
    for _ in range(3):
        desk.ask("暗証が飛んだ", choice("k3-ja"), subject="mallory")
    best = fit(taught(desk)).reply("暗証が飛んだ").best
    assert best is not None and best.entry.id == "k1-ja"


def test_silence_never_outvotes_a_correction(desk: Desk) -> None:
    for person in ("ada", "bob", "cyd"):
        desk.ask("暗証が飛んだ", subject=person)
    desk.ask("暗証が飛んだ", choice("k1-ja"), subject="dan")
    best = fit(taught(desk)).reply("暗証が飛んだ").best
    assert best is not None and best.entry.id == "k1-ja"


def test_the_same_examples_give_the_same_bytes(desk: Desk) -> None:
    for number in range(12):
        desk.ask(f"暗証 {number} 回目", choice("k1-ja"), subject=f"p{number}")
        desk.ask(f"pto question {number}", choice("k2-en"), subject=f"p{number}")
    seen, learnable = taught(desk), AnswerLearnable(lambda: KNOWLEDGE)
    first = learnable.train(seen, Budget(), 1)
    assert first.files == learnable.train(seen, Budget(), 1).files
    assert Answerer.load(first.files).files() == first.files


def test_nobodys_words_stand_in_an_artifact(desk: Desk) -> None:
    desk.ask("鈴木の妻の暗証が飛んだ", choice("k1-ja"))
    files = AnswerLearnable(lambda: KNOWLEDGE).train(taught(desk), Budget(), 0).files
    assert all("鈴木".encode() not in content for content in files.values())
    assert "鈴木" not in files["entries.json"].decode()


def test_confidence_is_a_probability(desk: Desk) -> None:
    reply = fit(NO_EXAMPLES, KNOWLEDGE).reply("アカウント", most=6)
    assert all(0 <= each.probability <= 1 for each in reply.ranked)
    assert [each.probability for each in reply.ranked] == sorted((e.probability for e in reply.ranked), reverse=True)


def test_nothing_known_answers_nothing() -> None:
    reply = fit(NO_EXAMPLES, ()).reply("anything")
    assert reply.best is None and reply.ranked == ()


def test_embeddings_are_used_when_handed_in_and_missed_by_nobody() -> None:
    def embed(texts: object) -> np.ndarray:
        return np.ones((len(list(texts)), 3), dtype=np.float32) / np.sqrt(3)  # type: ignore[call-overload]

    with_vectors = fit(NO_EXAMPLES, KNOWLEDGE, embed=embed)
    assert with_vectors.vectors.shape == (6, 3)
    features = with_vectors.features("account", "en", vector=embed(["account"])[0])
    assert features[:, 7] == pytest.approx(1.0)
    assert fit(NO_EXAMPLES, KNOWLEDGE).features("account", "en")[:, 7].max() == 0.0


def test_a_question_in_training_looks_away_from_itself(desk: Desk) -> None:
    desk.ask("zebra", choice("k1-en"))
    answerer = fit(taught(desk))
    anchor = np.flatnonzero(answerer.kind == 2)
    away = answerer.features("zebra", "en", without=anchor)
    assert answerer.features("zebra", "en")[answerer.place["k1-en"], 2] == pytest.approx(1.0)
    assert away[:, 2:6].max() == 0.0


def test_the_trivial_ways_are_trivial(desk: Desk) -> None:
    for number in range(3):
        desk.ask(f"暗証 {number}", choice("k1-ja"), subject=f"p{number}")
    desk.ask("休み", choice("k2-ja"))
    seen, learnable = taught(desk), AnswerLearnable(lambda: KNOWLEDGE)
    scores = {
        name: learnable.score(recipe(seen, Budget(), 0), seen).tolist()
        for name, recipe in learnable.baselines().items()
    }
    assert scores == {"majority": [1, 1, 1, 0], "never": [0.25] * 4, "by_heart": [1, 1, 1, 1]}


def test_what_is_shown_is_the_question_the_answer_and_the_right_one(desk: Desk) -> None:
    desk.ask("アカウントの再発行を申請したい", edit("まず上長へ。"))
    seen, learnable = taught(desk), AnswerLearnable(lambda: KNOWLEDGE)
    (line,) = learnable.show(learnable.train(replace(NO_EXAMPLES, background=seen.background), Budget(), 0), seen)
    assert (line.question, line.answer, line.right) == (
        "アカウントの再発行を申請したい",
        KNOWLEDGE[0].answer,
        "まず上長へ。",
    )
