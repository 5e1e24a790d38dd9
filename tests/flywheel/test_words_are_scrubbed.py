"""A learnable never sees personal data, whoever wrote it where, and things keep their names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.ground.clock import FakeClock
from ikkan.ground.events import EventReader, NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId

from .conftest import NAME, Wheel

AT = datetime(2026, 1, 1, tzinfo=UTC)
SAID = "佐藤さんの電話は090-1234-5678です"


def reader(payload: dict[str, Any], verbatim: frozenset[str] = frozenset()) -> EventReader:
    events = FakeEvents(FakeClock(AT))
    events.append(NewEvent("Said", 1, TenantId("t"), SubjectId("ada"), AT, "service", payload))
    return ScrubbedEvents(events, verbatim)


def seen(payload: dict[str, Any], verbatim: frozenset[str] = frozenset()) -> Mapping[str, Any]:
    (event,) = reader(payload, verbatim).read(["Said"])
    return event.payload


def test_words_are_scrubbed_wherever_they_stand() -> None:
    payload = seen({"question": SAID, "facts": {"note": SAID, "all": [SAID, {"deep": SAID}]}})
    clean = "[氏名]さんの電話は[電話]です"
    assert payload["question"] == payload["facts"]["note"] == clean
    assert payload["facts"]["all"][0] == payload["facts"]["all"][1]["deep"] == clean


@pytest.mark.parametrize("name", ["request_id", "knowledge_id", "id", "artifact", "item_ids", "occurred_at"])
def test_names_of_things_stay_as_they_are(name: str) -> None:
    assert seen({name: "090-1234-5678"})[name] == "090-1234-5678"


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ""])
def test_what_is_no_text_stays_as_it_is(value: Any) -> None:
    assert seen({"value": value})["value"] == value


def test_words_to_be_served_keep_their_telephone_but_no_my_number() -> None:
    after = "窓口は03-1234-5678、個人番号は123456789018"
    payload = seen({"after": after, "comment": after}, frozenset({"after"}))
    assert payload["after"] == "窓口は03-1234-5678、個人番号は[個人番号]"
    assert payload["comment"] == "窓口は[電話]、個人番号は[個人番号]"


def test_a_payload_can_be_read_like_any_other() -> None:
    payload = seen({"a": 1, "b": SAID})
    assert (len(payload), "b" in payload, payload.get("c"), list(payload)) == (2, True, None, ["a", "b"])


def test_the_wheel_hands_out_scrubbed_events_only(wheel: Wheel) -> None:
    wheel.happen(60, seed=1, text=SAID, right="田中様へ", topic="t")
    learnable, keys = wheel.learnable, []
    examples = learnable.examples

    def watched(events: EventReader, *words: Any, **more: Any) -> Any:
        read = examples(events, *words, **more)
        keys.extend([*read.keys, *read.truths])
        return read

    learnable.examples = watched  # type: ignore[method-assign]
    wheel.flywheel.run(NAME)
    wheel.flywheel.status(NAME)
    assert set(keys) == {"[氏名]さんの電話は[電話]です", "[氏名]様へ"}
