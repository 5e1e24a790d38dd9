"""The learnable `assistant.reply_style`: the chat model writes as the people here rewrite it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from ikkan.apps.assistant.learn.examples import decode_knowledge
from ikkan.apps.assistant.learn.reply_style.examples import read_edits
from ikkan.apps.assistant.learn.reply_style.world import PLAN as SMALL
from ikkan.apps.assistant.learn.reply_style.world import Remembering, ReplyStyleWorld, digest_of
from ikkan.apps.assistant.values import FEEDBACK, REPLY_STYLE, REPLY_STYLE_KIND, SERVED, Knowledge
from ikkan.flywheel.contract import (
    NO_OUTCOMES,
    Budget,
    Examples,
    Fitted,
    Metric,
    Outcomes,
    Recipe,
    Scores,
    Shown,
)
from ikkan.flywheel.training.values import Lesson, Plan, Turn
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId
from ikkan.kit.taught import Taught

SHOWN = "assistant-reply-style-shown"
"""The kind of a baseline: the latest edit in each language, shown to the model before the question."""
PLAIN = "plain.json"
"""The one file of an artifact without an adapter: the model as it is."""
PLAN = Plan(epochs=2, batch=4, max_tokens=512, rank=16, alpha=32.0, learning_rate=5e-4)
SECONDS_A_STEP = 4.0
"""A budget in seconds, in steps: about what one takes on two busy cores, and the same everywhere, so that the same
budget learns the same."""
SHOWN_TOKENS = 128
SHOWN_TEXTS = 4
_NOT_WRITTEN = "…"


class ReplyStyleLearnable:
    """Learns how people here want answers written. Implements `ikkan.flywheel.contract.Learnable`.

    An artifact is an adapter in PEFT's format, or nothing at all. An adapter of another base than the chat model of
    now is scored as it would serve: not at all, so the plain model is.

    Args:
        knowledge: what the company knows; edits into it are left to `assistant.answer`.
        base: the chat model; None where there is none.
        tenant_id: whose events to learn from; None: everyone's.
        plan: how to train; its seed and steps are overwritten.
        remark: what there is to say about how the champion serves now.
    """

    name = REPLY_STYLE
    metric = Metric(
        name="wanted_text_likelihood",
        title={
            "ja": "望まれた文面をモデル自身が書く見込み (1トークンあたりの確率の幾何平均)",
            "en": "how far the model itself would have written the wanted text (probability a token, geometric mean)",
        },
    )
    budget = Budget(seconds=1_800.0, examples=500)
    """Half an hour on two cores, where the wheel's default would be over before a step."""

    def __init__(
        self,
        knowledge: Callable[[], Sequence[Knowledge]],
        base: Taught | None,
        *,
        tenant_id: TenantId | None = None,
        plan: Plan = PLAN,
        remark: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._knowledge = knowledge
        self._base = base
        self._tenant_id = tenant_id
        self._plan = plan
        self._remark = remark
        self._shown: dict[tuple[str, tuple[tuple[Turn, ...], ...]], Sequence[str]] = {}

    @property
    def base(self) -> Taught:
        """The chat model.

        Raises:
            SetupNeeded: there is none here.
        """
        if self._base is None:
            raise SetupNeeded("there is no chat model here to be taught", hint="ikkan model pull default")
        return self._base

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Answers of the model that people edited or confirmed before `until`."""
        entries = tuple(self._knowledge()) if background is None else decode_knowledge(background)
        return read_edits(events.read([SERVED, FEEDBACK], tenant_id=self._tenant_id, until=until), entries)

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """An adapter for the base from these edits; the latest, where they are more than the budget has time for."""
        lessons = self.lessons(examples)[-budget.examples :]
        if not lessons:
            return Fitted(REPLY_STYLE_KIND, {PLAIN: b"{}"}, {"lessons": 0})
        plan = self.plan(budget, seed)
        made = self.base.train(lessons, plan)
        facts = {
            "lessons": len(lessons),
            "steps": len(made.losses),
            "first_loss": round(made.losses[0], 4),
            "last_loss": round(made.losses[-1], 4),
            "base": self.base.name,
            "base_digest": self.base.digest,
        }
        return Fitted(REPLY_STYLE_KIND, made.files, facts)

    def plan(self, budget: Budget, seed: int) -> Plan:
        """How to train within a budget."""
        steps = max(1, int(budget.seconds / SECONDS_A_STEP))
        return replace(self._plan, seed=seed, max_steps=steps)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """The geometric mean of the probabilities that the model gives the wanted text's tokens, one after another."""
        if not len(examples):
            return np.zeros(0)
        lessons = self.lessons(examples, self._before(fitted))
        found = self.base.likelihoods(self.adapter(fitted), lessons, max_tokens=self._plan.max_tokens)
        return np.exp(np.array([each.per_token for each in found], dtype=np.float64))

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """Question, what the model writes now, and the wanted text. Only the last few are written out: it takes time,
        and somebody waits."""
        first = max(0, len(examples) - SHOWN_TEXTS)
        asked = [lesson.turns for lesson in self.lessons(examples, self._before(fitted))[first:]]
        written = [_NOT_WRITTEN] * first
        if asked:
            written += self._written(self.adapter(fitted), asked)
        return [
            Shown(turns[-1].content, text.strip() or None, wanted.text)
            for turns, text, wanted in zip(examples.inputs, written, examples.truths, strict=True)
        ]

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """None are kept: an edit is an opinion about one text, and silence about a text is none."""
        return NO_OUTCOMES

    def remark(self) -> Mapping[str, str]:
        """Whether the champion writes the model's answers at all. See `flywheel.contract.Remarks`."""
        return self._remark()

    def baselines(self) -> Mapping[str, Recipe]:
        """The base as it is. Showing it an edit before the question is measured in the proof and not asked for here:
        it learns from the same people, so that to ask for proof against it would stop the wheel."""
        return {"untaught": lambda examples, budget, seed: Fitted(REPLY_STYLE_KIND, {PLAIN: b"{}"}, {})}

    def shown(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """The latest edit in each language, to be shown before the question: nothing is trained."""
        latest = {
            lang: [turns[-1].content, wanted.text]
            for lang, turns, wanted in zip(examples.slices, examples.inputs, examples.truths, strict=True)
        }
        return Fitted(SHOWN, {"shown.json": json.dumps(latest, ensure_ascii=False, sort_keys=True).encode()})

    def world(self, data: Path | None, *, quick: bool = False) -> ReplyStyleWorld:
        """Where it can be proved that people's edits teach. See `proof.Provable`."""
        taught = None if self._base is None else Remembering(self._base)
        return ReplyStyleWorld(ReplyStyleLearnable(lambda: (), taught, plan=SMALL), data, quick=quick)

    def adapter(self, fitted: Fitted) -> Mapping[str, bytes] | None:
        """An artifact's adapter, if it has one and it is for the chat model of now."""
        if PLAIN in fitted.files or fitted.kind != REPLY_STYLE_KIND:
            return None
        return fitted.files if fitted.facts.get("base_digest") == self.base.digest else None

    def lessons(self, examples: Examples, before: Mapping[str, Sequence[Turn]] | None = None) -> list[Lesson]:
        """Examples as the trainer reads them, with turns by language put before each conversation."""
        first = before or {}
        rows = zip(examples.inputs, examples.truths, examples.slices, strict=True)
        return [Lesson((*first.get(lang, ()), *turns), wanted.text) for turns, wanted, lang in rows]

    def _written(self, adapter: Mapping[str, bytes] | None, asked: Sequence[Sequence[Turn]]) -> Sequence[str]:
        """What was asked for last is remembered: a page is opened more than once."""
        key = (digest_of(adapter), tuple(tuple(turns) for turns in asked))
        if key not in self._shown:
            texts = self.base.write(adapter, asked, max_tokens=SHOWN_TOKENS)
            if any(texts):
                self._shown = dict([*self._shown.items(), (key, texts)][-SHOWN_TEXTS:])
            return texts
        return self._shown[key]

    def _before(self, fitted: Fitted) -> Mapping[str, Sequence[Turn]]:
        if fitted.kind != SHOWN:
            return {}
        latest = json.loads(fitted.files["shown.json"])
        return {lang: (Turn("user", asked), Turn("assistant", said)) for lang, (asked, said) in latest.items()}
