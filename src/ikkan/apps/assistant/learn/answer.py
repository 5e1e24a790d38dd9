"""The learnable `assistant.answer`: the best known answer to a question, or "I don't know"."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from ikkan.apps.assistant.learn.examples import BACKGROUND, Asked, decode_knowledge, encode_knowledge, read_examples
from ikkan.apps.assistant.learn.fit import fit
from ikkan.apps.assistant.learn.outcome import cases, outcomes, worth
from ikkan.apps.assistant.rules.answerer import Answerer
from ikkan.apps.assistant.values import FEEDBACK, LEARNABLE, NO_ANSWER, SERVED, Knowledge
from ikkan.flywheel.contract import Budget, Examples, Fitted, Metric, Outcomes, Recipe, Scores, Shown
from ikkan.flywheel.drift import Served
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId
from ikkan.kit.letters import same_text
from ikkan.kit.taught import Embed

KIND = "assistant-answerer"
LOOKUP = "assistant-lookup"
"""The kind of a baseline: a table of questions, and what to say to all others."""


class AnswerLearnable:
    """Learns which known answer people mean. Implements `ikkan.flywheel.contract.Learnable`.

    Args:
        knowledge: what the company knows now; read once per run and kept with the dataset.
        tenant_id: whose events to learn from; None: everyone's.
        embed: texts to unit vectors, or None. Given, it must be the same function whenever artifacts are used.
        tried_on_people: whether people judge a candidate before it serves everyone; else the gate alone does.
    """

    name = LEARNABLE
    verbatim = frozenset({"after"})
    """What people type as the right answer becomes the company's answer, its phone number included."""
    metric = Metric(
        name="answer_score",
        title={
            "ja": "回答の点数 (正解 1・「わかりません」 0.25・誤り 0)",
            "en": 'score of the answer (right 1, "I don\'t know" 0.25, wrong 0)',
        },
    )

    def __init__(
        self,
        knowledge: Callable[[], Sequence[Knowledge]],
        *,
        tenant_id: TenantId | None = None,
        embed: Embed | None = None,
        tried_on_people: bool = False,
    ) -> None:
        self._tried_on_people = tried_on_people
        self._knowledge = knowledge
        self._tenant_id = tenant_id
        self._embed = embed
        self._loaded: tuple[Fitted, Answerer] | None = None

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Questions the assistant answered before `until`, with what people said about the answers."""
        entries = tuple(self._knowledge()) if background is None else decode_knowledge(background)
        return read_examples(events.read([SERVED, FEEDBACK], tenant_id=self._tenant_id, until=until), entries)

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Fit from the base. The fit is exact, so the seed changes nothing; it is recorded all the same."""
        if BACKGROUND not in examples.background:
            background = {**examples.background, BACKGROUND: encode_knowledge(self._knowledge())}
        else:
            background = dict(examples.background)
        latest = examples.take(np.arange(max(0, len(examples) - budget.examples), len(examples)))
        answerer = fit(latest, decode_knowledge(background), embed=self._embed)
        return Fitted(KIND, answerer.files(), {"lessons": int(latest.teaches.sum()), "entries": len(answerer.entries)})

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """Right 1, rightly "I don't know" 1, "I don't know" where an answer is known 0.25, wrong 0."""
        replies = self._replies(fitted, examples)
        return np.array([worth(said, truth) for said, truth in zip(replies, examples.truths, strict=True)], dtype=float)

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """Question, reply and right answer in words."""
        texts = {entry.id: entry.answer for entry in decode_knowledge(examples.background)}
        if fitted.kind == KIND:
            texts |= {entry.id: entry.answer for entry in self._answerer(fitted).entries}
        shown = []
        for asked, truth, said in zip(examples.inputs, examples.truths, self._replies(fitted, examples), strict=True):
            right = asked.corrected or texts.get(truth.right or "")
            shown.append(Shown(asked.question, texts.get(said) if said else None, right))
        return shown

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """How people fared with the answers of this model, by what they said within an hour (`outcome.py`)."""
        return outcomes(cases(events, self._knowledge(), arm, self._tenant_id), declared=self._tried_on_people)

    def served(self, events: EventReader, arm: str) -> Served:
        """How sure this model was, how often it answered at all, how people fared, and what it cost."""
        found = cases(events, self._knowledge(), arm, self._tenant_id)
        return Served(
            series={
                "confidence": np.array([case.confidence for case in found], dtype=np.float64),
                "answered": np.array([float(case.said is not None) for case in found]),
            },
            unit_ids=tuple(case.unit for case in found),
            scores=np.array([case.value for case in found], dtype=np.float64),
            yen=np.array([case.yen for case in found], dtype=np.float64),
        )

    def baselines(self) -> Mapping[str, Recipe]:
        """Say the most frequent answer to everything; say nothing to everything; know by heart what was asked."""
        return {"majority": self._majority, "never": self._never, "by_heart": self._by_heart}

    def _majority(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        taught = examples.take(examples.teaches)
        most: dict[str, str] = {}
        for lang in sorted(set(taught.slices)):
            said = [t.right for t, s in zip(taught.truths, taught.slices, strict=True) if s == lang]
            named = Counter(right for right in said if right is not None and right != NO_ANSWER)
            if named:
                most[lang] = min(named, key=lambda right: (-named[right], right))
        return _table({}, most)

    def _never(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        return _table({}, {})

    def _by_heart(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        taught = examples.take(examples.teaches)
        table = {same_text(e.question): e.id for e in decode_knowledge(examples.background) if e.question}
        table |= {same_text(a.question): t.right for a, t in zip(taught.inputs, taught.truths, strict=True) if t.right}
        return _table(table, {})

    def _replies(self, fitted: Fitted, examples: Examples) -> list[str | None]:
        """The knowledge id said to each question; None for "I don't know"."""
        asked: Sequence[Asked] = examples.inputs
        if fitted.kind == LOOKUP:
            table = json.loads(fitted.files["table.json"])
            said = [table["known"].get(same_text(each.question), table["else"].get(each.lang)) for each in asked]
            return [None if reply == NO_ANSWER else reply for reply in said]
        answerer = self._answerer(fitted)
        vectors = None
        if self._embed is not None and asked and answerer.vectors.shape[1]:
            vectors = np.asarray(self._embed([each.question for each in asked]), dtype=np.float32)
        replies = []
        for at, each in enumerate(asked):
            vector = None if vectors is None else vectors[at]
            best = answerer.reply(each.question, each.lang, vector=vector, most=1).best
            replies.append(best.entry.id if best else None)
        return replies

    def _answerer(self, fitted: Fitted) -> Answerer:
        loaded = self._loaded  # a page and a turn may ask at the same time
        if loaded is None or loaded[0] is not fitted:
            loaded = self._loaded = (fitted, Answerer.load(fitted.files))
        return loaded[1]


def _table(known: Mapping[str, Any], otherwise: Mapping[str, str]) -> Fitted:
    # Baselines live for one comparison; they are never kept as artifacts, because questions stand in them.
    table = {"known": dict(known), "else": dict(otherwise)}
    return Fitted(LOOKUP, {"table.json": json.dumps(table, ensure_ascii=False, sort_keys=True).encode()})
