"""What people do to the model's answers, as examples of how this house writes."""

from __future__ import annotations

from typing import Any

import pytest

from ikkan.apps.assistant.learn.reply_style.examples import Wanted, read_edits
from ikkan.flywheel.contract import Examples
from ikkan.flywheel.training.values import Turn

from .conftest import KNOWLEDGE, Desk, edit, thumb

SAID = "The parking is at the back."
WANTED = "Dear colleague, park at the back."


def read(desk: Desk) -> Examples:
    names = ["InferenceServed", "FeedbackGiven"]
    return read_edits(desk.events.read(names, until=desk.now()), KNOWLEDGE)


@pytest.mark.parametrize(
    ("reactions", "wanted"),
    [
        ([edit(WANTED)], [WANTED]),
        ([edit("Other."), edit(WANTED)], [WANTED]),
        ([thumb(1)], [SAID]),
        ([thumb(1), edit(WANTED)], [WANTED]),
        ([edit(WANTED), thumb(-1)], [WANTED]),
        ([thumb(-1)], []),
        ([thumb(1), thumb(-1)], []),
        ([thumb(-1), thumb(1)], [SAID]),
        ([edit("  ")], []),
        ([edit("Dear Ms. [NAME], call [PHONE2].")], []),
        ([edit("[氏名]様、裏手です。")], []),
        ([edit("Apply in the portal, extension 2201.")], []),
        ([edit("apply in the portal extension 2201")], []),
        ([{"kind": "label", "after": "parking"}], []),
        ([{"kind": "choice", "knowledge_id": "k1-en"}], []),
        ([], []),
    ],
)
def test_the_last_edit_is_what_was_wanted_or_else_a_thumb_up(
    desk: Desk, reactions: list[dict[str, Any]], wanted: list[str]
) -> None:
    desk.ask("Where do I park?", *reactions, answer=SAID)
    found = read(desk)
    assert [truth.text for truth in found.truths] == wanted
    assert found.teaches.all()


@pytest.mark.parametrize(
    "more",
    [{"shown": "k1-en"}, {"source": "none"}, {"finish": "client_left"}],
    ids=["from knowledge", "from nobody", "broken off"],
)
def test_a_thumb_up_confirms_only_what_the_model_wrote_to_its_end(desk: Desk, more: dict[str, Any]) -> None:
    desk.ask("Where do I park?", thumb(1), answer=SAID, **more)
    assert len(read(desk)) == 0


def test_an_example_knows_who_asked_what_after_what_and_in_which_language(desk: Desk) -> None:
    earlier = [("user", "Hello"), ("assistant", "Good morning.")]
    desk.ask("Where do I park?", edit(WANTED), answer=SAID, earlier=earlier, subject="bo")
    desk.ask("駐車場は？", edit("裏手です。"), answer="Back.", origin="sample", subject=None)
    found = read(desk)
    assert found.inputs == (
        (Turn("user", "Hello"), Turn("assistant", "Good morning."), Turn("user", "Where do I park?")),
        (Turn("user", "駐車場は？"),),
    )
    assert found.keys == ("Where do I park?", "駐車場は？")
    assert found.slices == ("en", "ja")
    assert found.unit_ids == ("bo", "someone on 2026-03-02")
    assert found.own.tolist() == [True, False]
    assert found.truths == (Wanted(WANTED), Wanted("裏手です。"))
    assert [len(evidence) for evidence in found.evidence] == [2, 2]
    assert all(known > asked for known, asked in zip(found.known_at, found.occurred_at, strict=True))


@pytest.mark.parametrize("earlier", [[["robot", "Hi"]], [["user"]], [[1, 2]]])
def test_an_answer_whose_conversation_cannot_be_read_teaches_nothing(desk: Desk, earlier: Any) -> None:
    desk.ask("Where do I park?", edit(WANTED), answer=SAID, earlier=earlier)
    assert len(read(desk)) == 0
