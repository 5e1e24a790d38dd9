"""A correction with the company's telephone is the company's answer; a question loses whose telephone it names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.values import FEEDBACK, MODEL, SERVED, Knowledge
from ikkan.flywheel import Examples
from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.ground.clock import FakeClock
from ikkan.ground.events import NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId

AT = datetime(2026, 1, 1, tzinfo=UTC)
DESK = Knowledge("k1", "ja", "窓口", "窓口の電話は", "総務の電話は03-1234-5678です。", "人事規程")


def read(*said: str) -> Examples:
    events, learnable = FakeEvents(FakeClock(AT)), AnswerLearnable(lambda: [DESK])
    events.append(*_events(said))
    return learnable.examples(ScrubbedEvents(events, learnable.verbatim), datetime(2026, 2, 1, tzinfo=UTC))


def _events(said: Iterable[str]) -> Iterable[NewEvent]:
    for number, after in enumerate(said):
        asked: dict[str, Any] = {
            "request_id": f"chatcmpl-{number}",
            "upstream": MODEL,
            "question": "佐藤です。090-1111-2222に折り返してもらう窓口は？",
            "facts": {"source": "model"},
        }
        edit = {"inference_id": f"chatcmpl-{number}", "kind": "edit", "after": after}
        for name, payload in ((SERVED, asked), (FEEDBACK, edit)):
            yield NewEvent(name, 1, TenantId("local"), SubjectId("ada"), AT, "service", payload)


def test_a_correction_with_a_telephone_is_matched_with_what_is_known() -> None:
    assert [truth.right for truth in read(DESK.answer).truths] == ["k1"]


def test_a_new_answer_keeps_its_telephone_and_loses_a_my_number() -> None:
    (asked,) = read("担当は内線ではなく03-9999-8888です。個人番号は123456789018。").inputs
    assert asked.corrected == "担当は内線ではなく03-9999-8888です。個人番号は[個人番号]。"


def test_a_question_is_learned_without_who_asked_it() -> None:
    examples = read(DESK.answer)
    assert (
        examples.keys == ("[氏名]です。[電話]に折り返してもらう窓口は？",) and "090" not in examples.inputs[0].question
    )
