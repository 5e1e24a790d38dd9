"""The learnable `assistant.reply_style`, with a chat model small enough to see through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ikkan.apps.assistant.learn import ReplyStyleLearnable
from ikkan.apps.assistant.learn.reply_style.made import made
from ikkan.apps.assistant.learn.reply_style.world import as_examples
from ikkan.apps.assistant.values import REPLY_STYLE
from ikkan.flywheel import Fitted, Flywheel, datasets
from ikkan.flywheel.contract import Budget, Slow
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.db import Database
from ikkan.ground.errors import SetupNeeded
from ikkan.kit.fakes import FakeTaught
from ikkan.models.adapters import CONFIG, WEIGHTS
from ikkan.models.registry import Registry

from .conftest import Desk, edit

HOUR = Budget(3_600.0, 500)


@pytest.fixture
def base() -> FakeTaught:
    return FakeTaught()


@pytest.fixture
def learnable(base: FakeTaught) -> ReplyStyleLearnable:
    return ReplyStyleLearnable(lambda: (), base, remark=lambda: {"en": "by a vendor"})


def test_no_examples_give_the_model_as_it_is_also_where_there_is_none() -> None:
    plain = ReplyStyleLearnable(lambda: (), None).train(as_examples(()), HOUR, 0)
    assert dict(plain.files) == {"plain.json": b"{}"}
    assert ReplyStyleLearnable(lambda: (), None).score(plain, as_examples(())).shape == (0,)


def test_training_where_there_is_no_chat_model_says_what_to_do() -> None:
    with pytest.raises(SetupNeeded) as caught:
        ReplyStyleLearnable(lambda: (), None).train(as_examples(made(4)), HOUR, 0)
    assert "model pull" in str(caught.value.hint)


def test_an_artifact_is_an_adapter_that_names_its_base(learnable: ReplyStyleLearnable, base: FakeTaught) -> None:
    fitted = learnable.train(as_examples(made(8)), HOUR, 3)
    assert set(fitted.files) == {CONFIG, WEIGHTS}
    assert (fitted.facts["base"], fitted.facts["base_digest"], fitted.facts["lessons"]) == ("fake", base.digest, 8)
    assert base.trained[0].seed == 3


def test_the_budget_bounds_steps_and_keeps_the_latest_examples(
    learnable: ReplyStyleLearnable, base: FakeTaught
) -> None:
    examples = as_examples(made(40))
    latest = learnable.train(examples, Budget(40.0, 10), 0)
    assert latest.files == learnable.train(examples.take(np.arange(30, 40)), Budget(40.0, 10), 0).files
    assert base.trained[0].max_steps == 10
    assert isinstance(learnable, Slow) and learnable.budget.seconds > Budget().seconds


def test_edits_make_what_people_want_likelier_and_every_score_is_in_range(learnable: ReplyStyleLearnable) -> None:
    examples = as_examples(made(60))
    lessons, judges = examples.take(np.arange(40)), examples.take(np.arange(40, 60))
    plain, taught = learnable.train(lessons.take([]), HOUR, 0), learnable.train(lessons, HOUR, 0)
    before, after = learnable.score(plain, judges), learnable.score(taught, judges)
    assert (after > before).all()
    assert ((before >= 0) & (after <= 1)).all()


def test_an_adapter_of_another_base_is_scored_as_it_would_serve(learnable: ReplyStyleLearnable) -> None:
    examples = as_examples(made(20))
    taught, plain = learnable.train(examples, HOUR, 0), learnable.train(examples.take([]), HOUR, 0)
    moved = ReplyStyleLearnable(lambda: (), FakeTaught("another", "a" * 64))
    assert moved.score(taught, examples).tolist() == moved.score(plain, examples).tolist()


def test_people_are_shown_question_text_and_what_was_wanted(learnable: ReplyStyleLearnable) -> None:
    examples = as_examples(made(8))
    shown = learnable.show(learnable.train(examples, HOUR, 0), examples)
    assert [each.question for each in shown] == list(examples.keys)
    assert [each.right for each in shown] == [wanted.text for wanted in examples.truths]
    first, last = shown[0].answer, shown[-1].answer
    assert first == "…", "only the latest are written out"
    assert last is not None and last.startswith(examples.keys[-1])


def test_showing_the_latest_edit_is_the_simple_way_to_do_it(learnable: ReplyStyleLearnable) -> None:
    examples = as_examples(made(8))
    shown = learnable.shown(examples, HOUR, 0)
    assert learnable.adapter(shown) is None
    assert learnable.score(shown, examples).shape == (8,)
    assert b"Dear" in shown.files["shown.json"]


def test_a_turn_of_the_wheel_promotes_what_people_taught_and_a_rollback_takes_it_back(
    database: Database, tmp_path: Path, learnable: ReplyStyleLearnable, desk: Desk
) -> None:
    registry, artifacts = Registry(database, desk.clock), ArtifactStore(tmp_path / "artifacts")
    wheel = Flywheel(database, desk.events, registry, artifacts, [learnable], desk.clock)
    plain = wheel.ensure_champion(REPLY_STYLE)
    rows = as_examples(made(200))
    for number, (key, wanted) in enumerate(zip(rows.keys, rows.truths, strict=True)):
        desk.ask(key, edit(wanted.text), answer="No.", subject=f"person-{number % 40}")
    desk.now()
    decision = wheel.run(REPLY_STYLE)
    assert decision.decision == "promoted", decision.reasons["en"]
    assert decision.dataset is not None
    assert datasets.facts(artifacts, decision.dataset)["budget"]["seconds"] == learnable.budget.seconds
    assert wheel.replay(decision.id).same
    assert wheel.status(REPLY_STYLE).remark == {"en": "by a vendor"}
    champion = wheel.champion(REPLY_STYLE)
    assert isinstance(champion, Fitted) and WEIGHTS in champion.files
    assert wheel.run(REPLY_STYLE).decision == "refused"
    assert wheel.rollback(REPLY_STYLE).candidate == plain == registry.alias(REPLY_STYLE)
