"""Edits as examples: what was asked, and the text that people wanted instead of what the model wrote.

| what happened to an answer of the model | wanted text | teaches |
|---|---|---|
| edit | what the person made of it; of several edits the last | yes |
| thumb up, and no edit | the answer as it was | yes |
| edit into an answer that knowledge has | none: knowledge gives it, and `assistant.answer` learns when | |
| thumb down, and no edit | none: nobody said what was wanted | |
| a wanted text in which personal data stood | none: a blank in its place would be learned as style | |
| an answer from knowledge, a stopped or an empty one | none | |

A thumb down takes back an earlier thumb up. It does not judge: a number for "not this" would reward every change, for
better or worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ikkan.apps.assistant.learn.examples import BACKGROUND, MOST_LETTERS, encode_knowledge, facts_of
from ikkan.apps.assistant.rules.text import nearly_the_same
from ikkan.apps.assistant.values import EARLIER, FEEDBACK, FROM_SAMPLE, MODEL, SERVED, Knowledge, unit_of
from ikkan.assurance.recognisers.scrubbing import PLACEHOLDERS
from ikkan.flywheel.contract import Examples
from ikkan.flywheel.training.values import Turn
from ikkan.ground.events import Event
from ikkan.kit.letters import language_of, same_text

_WORDS = sorted({word for words in PLACEHOLDERS.values() for word in words.values()})
_BLANK = re.compile(rf"\[(?:{'|'.join(map(re.escape, _WORDS))})\d*\]")
"""What the wheel's reader leaves where personal data stood."""
_ENDED = ("stop", "length", None)
"""How an answer ends that was not broken off."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The text that people wanted."""

    text: str


def read_edits(events: Iterable[Event], entries: Sequence[Knowledge]) -> Examples:
    """The examples in these events, in the order in which the questions were asked."""
    served: dict[str, Event] = {}
    reactions: dict[str, list[Event]] = {}
    for event in events:
        if event.name == SERVED and MODEL in (event.payload.get("upstream"), event.payload.get("model")):
            served[str(event.payload.get("request_id"))] = event
        elif event.name == FEEDBACK and event.payload.get("kind") in ("edit", "thumb"):
            reactions.setdefault(str(event.payload.get("inference_id")), []).append(event)
    known = {same_text(entry.answer) for entry in entries}
    rows: list[tuple[Event, list[Event], tuple[Turn, ...], Wanted]] = []
    for request_id, event in served.items():
        said = reactions.get(request_id, [])
        turns = _turns(event)
        text = _wanted(event, said)
        if not turns or not text or same_text(text) in known or _BLANK.search(text):
            continue
        if any(nearly_the_same(text, entry.answer) for entry in entries):
            continue
        rows.append((event, said, turns, Wanted(text)))
    rows.sort(key=lambda row: (row[0].occurred_at, row[0].id))
    return Examples(
        ids=tuple(str(event.payload["request_id"]) for event, *_ in rows),
        unit_ids=tuple(unit_of(event.subject_id, event.occurred_at) for event, *_ in rows),
        occurred_at=tuple(event.occurred_at for event, *_ in rows),
        known_at=tuple(max(each.occurred_at for each in (event, *said)) for event, said, *_ in rows),
        slices=tuple(language_of(wanted.text) for *_, wanted in rows),
        keys=tuple(turns[-1].content for _, _, turns, _ in rows),
        inputs=tuple(turns for _, _, turns, _ in rows),
        truths=tuple(wanted for *_, wanted in rows),
        teaches=np.ones(len(rows), dtype=np.bool_),
        own=np.array([facts_of(event).get("origin") != FROM_SAMPLE for event, *_ in rows], dtype=np.bool_),
        evidence=tuple((event.id, *(each.id for each in said)) for event, said, *_ in rows),
        background={BACKGROUND: encode_knowledge(entries)},
    )


def _wanted(event: Event, said: Sequence[Event]) -> str:
    """The text that people wanted of this answer; empty where nobody said."""
    if facts_of(event).get("source") != "model":
        return ""
    answer = _text(event.payload.get("answer"))
    wanted, edited = "", False
    for each in said:
        after = _text(each.payload.get("after"))
        value = each.payload.get("value")
        if each.payload.get("kind") == "edit" and after:
            wanted, edited = after, True
        elif each.payload.get("kind") == "thumb" and not edited:
            up = isinstance(value, int | float) and value > 0
            wanted = answer if up and event.payload.get("finish_reason") in _ENDED else ""
    return wanted[: 2 * MOST_LETTERS]


def _turns(event: Event) -> tuple[Turn, ...]:
    """The conversation up to and with the question; empty where there is none."""
    question = _text(event.payload.get("question"))[:MOST_LETTERS]
    if not question:
        return ()
    earlier: Any = facts_of(event).get(EARLIER)
    turns = []
    for each in earlier if isinstance(earlier, list) else ():
        match each:
            case [("user" | "assistant" | "system") as role, str() as content]:
                turns.append(Turn(role, content))
            case _:
                return ()
    return (*turns, Turn("user", question))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
