"""What customers say is learned from what their conversations ended in, and heard only where it is sure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.shop.learn import SupportIntentLearnable
from ikkan.apps.shop.learn.support_intent.examples import read_wishes
from ikkan.apps.shop.learn.support_intent.made import made
from ikkan.apps.shop.rules.support import hearing
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.wishes import Wishes
from ikkan.apps.shop.values.support import CONFIRMED, HEARD, SORTED, UNDONE
from ikkan.flywheel.contract import Budget, Fitted, Given
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.events import Event
from ikkan.ground.ids import ArtifactId
from ikkan.kit.intent import as_examples

from .conftest import Desk

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
SAID = "forget about the lamp"
"""Nothing the plain rules know."""


def happened(*told: tuple[str, dict[str, Any]]) -> list[Event]:
    """Events of one customer's one conversation, a minute apart."""
    return [
        Event(
            id=f"e{number}",
            name=name,
            version=1,
            tenant_id=SHOP,
            subject_id="ada",
            occurred_at=BEGAN + timedelta(minutes=number),
            recorded_at=BEGAN + timedelta(minutes=number),
            purpose="service",
            payload={"talk_id": "talk-1", **payload},
        )
        for number, (name, payload) in enumerate(told)
    ]


def heard(text: str, read: str | None = None) -> tuple[str, dict[str, Any]]:
    return HEARD, {"text": text, "read": read, "artifact": None}


def done(tool: str, proposal: str = "ask-1") -> tuple[str, dict[str, Any]]:
    return CONFIRMED, {"tool": tool, "proposal_id": proposal}


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        pytest.param([heard(SAID), done("cancel_order")], [("cancel", False)], id="a confirmed tool says it"),
        pytest.param([heard(SAID, "swap"), done("cancel_order")], [("cancel", False)], id="a wrong reading"),
        pytest.param([heard(SAID, "swap")], [("swap", True)], id="silence is consent, and teaches nothing"),
        pytest.param([heard(SAID)], [], id="what nobody understood and nobody named is no example"),
        pytest.param([heard(SAID, "swap"), (SORTED, {"intent": "cancel"})], [("cancel", False)], id="a person says it"),
        pytest.param(
            [heard(SAID), done("cancel_order"), (UNDONE, {"proposal_id": "ask-1"})],
            [],
            id="undone",
        ),
        pytest.param(
            [heard(SAID), done("cancel_order"), heard("and the shoes", "return"), done("return_items", "ask-2")],
            [("cancel", False), ("return", False)],
            id="each deed speaks of what was said before it",
        ),
    ],
)
def test_a_conversation_says_what_its_sentences_meant(
    told: list[tuple[str, dict[str, Any]]], meant: list[tuple[str, bool]]
) -> None:
    examples = read_wishes(happened(*told))
    assert [(truth.intent, truth.silent) for truth in examples.truths] == meant
    assert examples.teaches.tolist() == [not silent for _, silent in meant]


def test_what_learned_nothing_is_the_plain_rules() -> None:
    learnable, rows = SupportIntentLearnable(), made(90)
    examples = as_examples(rows)
    rules = learnable.train(examples.take([]), Budget(), 0)
    assert learnable.likeliest(rules, examples.inputs) == [hearing.intent(text) or "" for text in examples.inputs]


def test_it_learns_what_the_rules_do_not_know_and_stays_silent_where_it_is_not_sure() -> None:
    learnable, examples = SupportIntentLearnable(), as_examples(made(900), 1)
    taught, later = examples.take(range(600)), examples.take(range(600, 900))
    fitted, rules = learnable.train(taught, Budget(), 0), learnable.baselines()["rules"](taught, Budget(), 0)
    assert learnable.score(fitted, later).mean() > learnable.score(rules, later).mean() + 0.2
    strange = learnable.read(fitted, ["qzx wvu"])
    assert not strange.answered(len(learnable.ladder(fitted).steps))[0]


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


class Kept:
    """A champion that is always given."""

    def __init__(self, artifact_id: ArtifactId) -> None:
        self._given = Given(artifact_id)

    def __call__(self, name: str, unit: str) -> Given:
        return self._given


def installed(artifacts: ArtifactStore, fitted: Fitted) -> Wishes:
    kept = artifacts.put(fitted.files, kind=fitted.kind, source="test", facts=fitted.facts)
    return Wishes(artifacts=artifacts, gives=Kept(kept.id))


def test_the_guide_hears_what_was_learned_and_asks_as_before_otherwise(
    desk: Desk, artifacts: ArtifactStore, me: str
) -> None:
    learnable = SupportIntentLearnable()
    fitted = learnable.train(as_examples(made(900), 1), Budget(), 0)
    plain, taught = Conversation(desk), Conversation(desk, installed(artifacts, fitted))
    said = "the lamp is a disappointment"
    assert hearing.intent(said) is None
    replies = [talks.say(SHOP, desk.come_in(me), said).text for talks in (plain, taught)]
    assert "1." in replies[0] and "Status of an order" in replies[0]
    assert "Status of an order" not in replies[1]
    again = taught.say(SHOP, desk.come_in(me), "qzx wvu")
    assert "Status of an order" in again.text


def test_an_artifact_that_cannot_be_read_leaves_the_rules(desk: Desk, artifacts: ArtifactStore, me: str) -> None:
    talks = Conversation(desk, installed(artifacts, Fitted("shop-support-intent", {"else": b"{}"})))
    assert "Which items?" in talks.say(SHOP, desk.come_in(me), "I want to return something").text
