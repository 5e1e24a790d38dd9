"""Events as examples: which question, who asked, and what people said the right answer was.

| what happened | truth | teaches |
|---|---|---|
| edit: "it should say this" | the known answer that says the same, else a new one | yes |
| choice: "this one is right" | that entry; nothing chosen (`knowledge_id` null): no known answer | yes |
| thumb up on a known answer | that entry | yes |
| thumb up on a model's answer | no known answer: deferring was right | yes |
| thumb down on a known answer | not that entry | yes |
| no reaction to a known answer | that entry: silence is consent | no, it only judges |
| no reaction to a model's answer | no known answer: silence is consent | only how readily to defer |

The last two lines keep the gate honest. People correct what is wrong more readily than they praise what is right;
judged on corrections alone, any change would look like progress. Counting silence as consent leans the other way,
towards the model that is serving. Of several reactions to one answer, the latest that names a right answer counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ikkan.apps.assistant.rules.text import meaning
from ikkan.apps.assistant.values import FEEDBACK, FROM_SAMPLE, MODEL, NO_ANSWER, SERVED, Knowledge, Truth, unit_of
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event
from ikkan.kit.letters import language_of, same_text

BACKGROUND = "knowledge.json"
"""The file in a dataset's background that holds what the company knew."""
LABEL = "label"
"""The kind of feedback that says what a question was about, and nothing of its answer."""
MOST_LETTERS = 2_000
"""Longer questions are cut: past this they are documents, not questions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One example's input."""

    question: str
    lang: str
    corrected: str | None = None
    """The answer somebody typed, when the truth is a new answer."""


def encode_knowledge(entries: Sequence[Knowledge]) -> bytes:
    """What the company knows, as bytes that are the same for the same knowledge."""
    rows = [[e.id, e.lang, e.topic, e.question, e.answer, e.source] for e in sorted(entries, key=lambda e: e.id)]
    return json.dumps(rows, ensure_ascii=False).encode()


def decode_knowledge(background: Mapping[str, bytes]) -> tuple[Knowledge, ...]:
    """What `encode_knowledge` wrote."""
    return tuple(Knowledge(*row) for row in json.loads(background.get(BACKGROUND, b"[]")))


def new_answer_id(text: str) -> str:
    """The id of an answer that came from a correction: the same answer, typed twice, has one id.

    >>> new_answer_id("内線2210へ。") == new_answer_id("内線 2210 へ")
    True
    """
    return f"said-{hashlib.sha256(same_text(text).encode()).hexdigest()[:20]}"


class Matcher:
    """Finds the known answer that says the same as a text somebody typed (`rules.text.nearly_the_same`)."""

    def __init__(self, entries: Iterable[Knowledge]) -> None:
        self._known: dict[tuple[str, ...] | str, str] = {}
        for entry in entries:
            self._learn(entry.answer, entry.id)

    def match(self, text: str) -> str:
        """A knowledge id, or the id of a new answer, with which later typings are then matched."""
        found = self._known.get(same_text(text)) or self._known.get(meaning(text))
        if found is None:
            found = new_answer_id(text)
            self._learn(text, found)
        return found

    def _learn(self, text: str, known_id: str) -> None:
        self._known.setdefault(same_text(text), known_id)
        if words := meaning(text):
            self._known.setdefault(words, known_id)


def read_examples(events: Iterable[Event], entries: Sequence[Knowledge]) -> Examples:
    """The examples in these events, in the order in which the questions were asked."""
    served: dict[str, Event] = {}
    reactions: dict[str, list[Event]] = {}
    for event in events:
        if event.name == SERVED and MODEL in (event.payload.get("upstream"), event.payload.get("model")):
            served[str(event.payload.get("request_id"))] = event
        elif event.name == FEEDBACK and event.payload.get("kind") != LABEL:
            reactions.setdefault(str(event.payload.get("inference_id")), []).append(event)
    matcher = Matcher(entries)
    known = {entry.id for entry in entries}
    languages = {entry.lang for entry in entries}
    rows: list[tuple[Event, list[Event], Truth, Asked]] = []
    for request_id, event in served.items():
        question = str(event.payload.get("question") or "").strip()[:MOST_LETTERS]
        if not question:
            continue
        said = reactions.get(request_id, [])
        read = read_truth(event, said, matcher, known)
        if read is not None:
            truth, corrected = read
            rows.append((event, said, truth, Asked(question, _language(question, languages), corrected)))
    rows.sort(key=lambda row: (row[0].occurred_at, row[0].id))
    return Examples(
        ids=tuple(str(event.payload["request_id"]) for event, *_ in rows),
        unit_ids=tuple(unit_of(event.subject_id, event.occurred_at) for event, *_ in rows),
        occurred_at=tuple(event.occurred_at for event, *_ in rows),
        known_at=tuple(max([event.occurred_at, *(each.occurred_at for each in said)]) for event, said, *_ in rows),
        slices=tuple(asked.lang for *_, asked in rows),
        keys=tuple(asked.question for *_, asked in rows),
        inputs=tuple(asked for *_, asked in rows),
        truths=tuple(truth for _, _, truth, _ in rows),
        teaches=np.array([_teaches(truth) for _, _, truth, _ in rows], dtype=np.bool_),
        own=np.array([facts_of(event).get("origin") != FROM_SAMPLE for event, *_ in rows], dtype=np.bool_),
        evidence=tuple((event.id, *(each.id for each in said)) for event, said, *_ in rows),
        background={BACKGROUND: encode_knowledge(entries)},
    )


def read_truth(
    event: Event, said: Sequence[Event], matcher: Matcher, known: set[str]
) -> tuple[Truth, str | None] | None:
    """What these reactions say, and the text of a new answer if one was typed. None when they say nothing."""
    shown = facts_of(event).get("knowledge_id")
    from_model = facts_of(event).get("source") in ("model", "none")
    if not said:
        if shown in known:
            return Truth(right=str(shown), silent=True), None
        return (Truth(right=NO_ANSWER, silent=True), None) if from_model else None
    right: str | None = None
    wrong: str | None = None
    corrected: str | None = None
    for each in said:
        kind, payload = each.payload.get("kind"), each.payload
        if kind in ("edit", "choice") and str(payload.get("after") or "").strip():
            after = str(payload["after"]).strip()
            right, wrong = matcher.match(after), None
            corrected = after if right not in known else None
        elif kind == "choice":
            chosen = payload.get("knowledge_id")
            if not chosen or chosen in known:
                right, wrong, corrected = (chosen or NO_ANSWER), None, None
        elif kind == "thumb":
            up = _is_up(payload.get("value"))
            if up and right is None and (shown in known or from_model):
                right, wrong = str(shown) if shown in known else NO_ANSWER, None
            elif not up and (right is None or right == shown) and shown is not None:
                right, wrong, corrected = None, str(shown), None
    if right is None and wrong is None:
        return None
    return Truth(right, wrong), corrected


def _language(question: str, known: set[str]) -> str:
    """The question's language; ideographs alone are Japanese where nothing is known in Chinese."""
    lang = language_of(question)
    return "ja" if lang == "zh" and "zh" not in known else lang


def _teaches(truth: Truth) -> bool:
    return not truth.silent or truth.right == NO_ANSWER


def _is_up(value: object) -> bool:
    return value in ("up", True) or (isinstance(value, int | float) and value > 0)


def facts_of(event: Event) -> Mapping[str, Any]:
    """What whoever answered said about the answer."""
    facts = event.payload.get("facts")
    return facts if isinstance(facts, Mapping) else {}
