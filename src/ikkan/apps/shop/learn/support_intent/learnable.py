"""The learnable `shop.support_intent`: what a customer's own words want of support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ikkan.apps.shop.learn.support_intent.examples import read_wishes
from ikkan.apps.shop.learn.support_intent.made import made
from ikkan.apps.shop.rules.support import hearing
from ikkan.apps.shop.values.support import CONFIRMED, HEARD, INTENT_LEARNABLE, SORTED, UNDONE
from ikkan.flywheel.contract import Budget, Examples, Fitted, Metric, Recipe, Shown
from ikkan.ground.events import EventReader
from ikkan.kit.intent import IntentLearnable, Labelled


class SupportIntentLearnable(IntentLearnable):
    """Learns what customers want from what their conversations ended in.

    It is scored as it serves: the ladder where it is sure, else the plain rules; where neither says anything, the
    ladder's best guess, which the guide would ask about. What has learned nothing is the rules.
    """

    name = INTENT_LEARNABLE
    kind = "shop-support-intent"
    metric = Metric(
        name="share_right",
        title={"ja": "用件の正解率", "en": "share of wishes read rightly", "zh": "诉求识别正确率"},
    )

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Wishes said before `until`, with what they turned out to be."""
        return read_wishes(events.read([HEARD, CONFIRMED, UNDONE, SORTED], tenant_id=self.tenant_id, until=until))

    def made(self) -> Sequence[Labelled]:
        """Wishes to a shop, in three languages."""
        return made(6_000)

    def likeliest(self, fitted: Fitted, texts: Sequence[str]) -> list[str]:
        """What is served for each text: see the class."""
        if fitted.kind != self.kind:
            return super().likeliest(fitted, texts)
        guesses = super().likeliest(fitted, texts)
        rows = zip(texts, guesses, self._sure(fitted, texts), strict=True)
        return [guess if is_sure else hearing.intent(text) or guess for text, guess, is_sure in rows]

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """Sentence, what is heard, and what was meant; nothing is heard where the guide would ask."""
        if fitted.kind != self.kind:
            return super().show(fitted, examples)
        guesses = super().likeliest(fitted, examples.inputs)
        rows = zip(examples.inputs, guesses, self._sure(fitted, examples.inputs), examples.truths, strict=True)
        return [
            Shown(text, guess if is_sure else hearing.intent(text), meant.intent)
            for text, guess, is_sure, meant in rows
        ]

    def baselines(self) -> Mapping[str, Recipe]:
        """The plain rules, and the most frequent wish."""
        return {"rules": self._rules, **super().baselines()}

    def _rules(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        return self.train(examples.take([]), budget, seed)

    def _sure(self, fitted: Fitted, texts: Sequence[str]) -> list[bool]:
        answered: list[bool] = self.read(fitted, texts).answered(len(self.ladder(fitted).steps)).tolist()
        return answered
