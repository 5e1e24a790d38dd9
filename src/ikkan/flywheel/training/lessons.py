"""From lessons to token ids, and in which order they are seen. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ikkan.flywheel.training.values import Lesson, Plan
from ikkan.models.template import ChatTemplate, encode_chat
from ikkan.models.tokenizer import Tokenizer

STEP_TOKENS: Final = 1024
"""Of a step's lessons, so many tokens go through the network together: enough to use its matrices well."""


@dataclass(frozen=True, slots=True)
class Text:
    """A conversation as ids, and where what is learned begins: ids before `begin` are only read."""

    ids: tuple[int, ...]
    begin: int

    @property
    def learned(self) -> int:
        """Tokens that have something before them to be told from."""
        return len(self.ids) - max(self.begin, 1)


@dataclass(frozen=True, slots=True)
class Pages:
    """A lesson as the network reads it."""

    answer: Text
    rejected: Text | None
    weight: float

    @property
    def texts(self) -> tuple[Text, ...]:
        """The answer, and what should not be said."""
        return (self.answer,) if self.rejected is None else (self.answer, self.rejected)


def paged(lesson: Lesson, tokenizer: Tokenizer, template: ChatTemplate | None, max_tokens: int) -> Pages:
    """A lesson's texts, written as the model's own template writes a conversation.

    What is learned is the answer and the control token that ends it. A model without a template reads the turns one
    after another, without a word between them.

    Raises:
        BadTemplate: the template refuses this conversation.
    """
    messages = [{"role": turn.role, "content": turn.content} for turn in lesson.turns]
    if template is not None:
        prompt = encode_chat(tokenizer, template, messages)
    else:
        prompt = [
            *tokenizer.encode("", special=True)[:1],
            *tokenizer.encode("".join(one["content"] for one in messages)),
        ]

    def text(answer: str) -> Text:
        return _cut(prompt, [*tokenizer.encode(answer), *_ending(messages, answer)], max_tokens)

    def _ending(messages: list[dict[str, str]], answer: str) -> list[int]:
        """The token that the template writes when an answer is over."""
        if template is None:
            return sorted(tokenizer.eos_ids)[:1]
        whole = encode_chat(
            tokenizer, template, [*messages, {"role": "assistant", "content": answer}], add_generation_prompt=False
        )
        # Whoever typed a control token typed text, so the last one there is the template's own.
        return next(([one] for one in reversed(whole) if one in tokenizer.eos_ids), sorted(tokenizer.eos_ids)[:1])

    rejected = None if lesson.rejected is None else text(lesson.rejected)
    return Pages(text(lesson.answer), rejected, lesson.weight)


def _cut(prompt: Sequence[int], answer: Sequence[int], max_tokens: int) -> Text:
    """The answer's beginning, and before it as much of the prompt's end as there is room for, at least one token.

    >>> _cut([1, 2, 3], [4, 5], 4)
    Text(ids=(2, 3, 4, 5), begin=2)
    >>> _cut([1, 2, 3], [4, 5, 6, 7], 3)
    Text(ids=(3, 4, 5), begin=1)
    """
    kept = answer[: max_tokens - min(1, len(prompt))]
    before = prompt[max(0, len(prompt) + len(kept) - max_tokens) :]
    return Text((*before, *kept), len(before))


def steps(count: int, plan: Plan) -> list[tuple[int, ...]]:
    """Which lessons each optimiser step sees: every epoch all of them, in an order of its own.

    >>> [sorted(one) for one in steps(3, Plan(epochs=1, batch=3))]
    [[0, 1, 2]]
    >>> len(steps(9, Plan(epochs=2, batch=4))), len(steps(9, Plan(epochs=2, batch=4, max_steps=5)))
    (6, 5)
    """
    found: list[tuple[int, ...]] = []
    for epoch in range(plan.epochs):
        order = np.random.default_rng([plan.seed, epoch]).permutation(count).tolist()
        found += [tuple(order[at : at + plan.batch]) for at in range(0, count, plan.batch)]
    return found[: plan.max_steps]


def together(lengths: Sequence[int], most: int = STEP_TOKENS) -> Iterator[list[int]]:
    """Which of some texts go through the network at once: those of like length, up to so many tokens.

    >>> list(together([5, 900, 7, 300], 1000))
    [[0, 2, 3], [1]]
    """
    group: list[int] = []
    tokens = 0
    for one in sorted(range(len(lengths)), key=lambda one: (lengths[one], one)):
        if group and tokens + lengths[one] > most:
            yield group
            group, tokens = [], 0
        group.append(one)
        tokens += lengths[one]
    if group:
        yield group


def learning_rate(step: int, count: int, highest: float) -> float:
    """Of one of `count` steps, counted from 0: it rises for a tenth of them, at most ten, and falls to nothing.

    >>> [round(learning_rate(step, 20, 1.0), 2) for step in (0, 1, 2, 11, 19)]
    [0.5, 1.0, 1.0, 0.5, 0.06]
    """
    rising = min(10, math.ceil(count / 10))
    if step < rising:
        return highest * (step + 1) / rising
    return highest * (count - step) / (count - rising)
