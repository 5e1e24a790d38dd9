"""One loop for answers, preferences and distillation: seeded, bounded, and the same bytes however often it was killed.

A step sees its lessons in groups of like length. Which lessons a step sees, and so what it learns, does not depend on
that: every group's loss is a share of the step's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ikkan.flywheel.training import lessons as pages
from ikkan.flywheel.training.lessons import Pages, Text
from ikkan.flywheel.training.tensors import files, losses, saved
from ikkan.flywheel.training.tensors.base import Base, threads_allowed
from ikkan.flywheel.training.tensors.network import Batch, Learning, Network, Pairs, no_pairs, pairs_of
from ikkan.flywheel.training.values import Lesson, Likelihood, Plan, Step, Tell, Trained
from ikkan.ground.errors import BadInput, NothingToLearn, TrainingDiverged

log = logging.getLogger(__name__)

_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8
_LARGEST_GRADIENT: Final = 1.0
_PATIENCE: Final = 5
"""Steps in a row that may be far worse than the first before a training is given up."""

Breathe = Callable[[], object]


def train(
    base: Base,
    lessons: Sequence[Lesson],
    plan: Plan,
    *,
    teacher: Base | None,
    checkpoint: Path | None,
    tell: Tell | None,
    breathe: Breathe | None,
) -> Trained:
    """See `call.train`."""
    with threads_allowed():
        return _Training(base, lessons, plan, teacher, breathe).run(checkpoint, tell)


def likelihoods(
    base: Base,
    adapter_files: Mapping[str, bytes] | None,
    lessons: Sequence[Lesson],
    *,
    max_tokens: int,
    dtype: str,
    device: str,
    breathe: Breathe | None,
) -> list[Likelihood]:
    """See `call.likelihoods`."""
    with threads_allowed(), torch.inference_mode():
        network = base.network(dtype, device)
        room = min(max_tokens, base.config.context)
        found = [pages.paged(one, base.tokenizer, base.template, room) for one in lessons]
        pairs = (
            no_pairs(network) if adapter_files is None else pairs_of(files.read(adapter_files, base.config), network)
        )
        texts = [text for one in found for text in one.texts]
        sums = iter(zip(_sums(network, pairs, texts, breathe), texts, strict=True))
        judged = []
        for one in found:
            answer, text = next(sums)
            rejected = next(sums) if one.rejected is not None else None
            judged.append(
                Likelihood(answer, text.learned)
                if rejected is None
                else Likelihood(answer, text.learned, rejected[0], rejected[1].learned)
            )
        return judged


def _sums(network: Network, pairs: Pairs, texts: Sequence[Text], breathe: Breathe | None) -> list[float]:
    """Of each text, the sum of the log-probabilities of what is learned of it."""
    found = [0.0] * len(texts)
    for group in pages.together([len(text.ids) for text in texts]):
        batch = Batch.of([texts[one] for one in group], network.device)
        logprobs = losses.LogProbs.apply(network.hidden(batch, pairs, breathe), network.head, batch.targets)
        for one, total in zip(group, _by_text(logprobs, batch).tolist(), strict=True):
            found[one] = total
    return found


def _by_text(values: Tensor, batch: Batch) -> Tensor:
    # Sums in a fixed order: adding by index would not have one on every device.
    return torch.stack([part.sum() for part in values.split(batch.learned)])


@dataclass(slots=True)
class _Progress:
    """What changes from step to step, besides the numbers that learn."""

    losses: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    """Of runs before this one."""


class _Training:
    def __init__(
        self, base: Base, lessons: Sequence[Lesson], plan: Plan, teacher: Base | None, breathe: Breathe | None
    ) -> None:
        _check(plan, lessons)
        self.base, self.plan, self.breathe = base, plan, breathe
        self.network = base.network(plan.dtype, plan.device)
        room = min(plan.max_tokens, base.config.context)
        # Only a preference reads what should not be said.
        read = [one if plan.method == "dpo" else replace(one, rejected=None) for one in lessons]
        every = [pages.paged(one, base.tokenizer, base.template, room) for one in read]
        self.lessons = [one for one in every if all(text.learned > 0 for text in one.texts) and one.weight > 0]
        self.skipped = len(every) - len(self.lessons)
        if not self.lessons:
            raise NothingToLearn(
                f"none of {len(lessons):,} lessons has a token to learn",
                hint="give lessons whose answers are not empty, and a weight above zero",
            )
        self.steps = pages.steps(len(self.lessons), plan)
        # Logits can only be compared number by number where they are about the same tokens.
        same = teacher is not None and teacher.config.vocab == base.config.vocab and _same_words(teacher, base)
        self.teacher = teacher.network(plan.dtype, plan.device) if teacher is not None and same else None
        self.learning = Learning(base.config, plan.rank, plan.alpha, plan.seed, self.network.device)
        self.moments = [torch.zeros_like(self.learning.vector, requires_grad=False) for _ in range(2)]
        self.recipe = self._recipe(teacher)
        self.before = self._before() if plan.method == "dpo" else {}

    def run(self, checkpoint: Path | None, tell: Tell | None) -> Trained:
        progress, resumed, over = self._resume(checkpoint)
        started = time.perf_counter()

        def seconds() -> float:
            return progress.seconds + time.perf_counter() - started

        for number in range(len(progress.losses), len(self.steps)):
            seen = [self.lessons[one] for one in self.steps[number]]
            loss = self._step(number, self.steps[number])
            progress.losses.append(loss)
            progress.tokens += sum(len(text.ids) for one in seen for text in one.texts)
            self._check_course(progress.losses)
            taken = number + 1
            if checkpoint is not None and taken % self.plan.checkpoint_steps == 0 and taken < len(self.steps):
                saved.keep(self._standing(progress, seconds()), checkpoint)
            if tell is not None:
                tell(Step(taken, len(self.steps), loss, progress.tokens, seconds()))
        if checkpoint is not None and resumed < len(self.steps):
            saved.keep(self._standing(progress, seconds()), checkpoint)
        facts: dict[str, Any] = {
            "method": self.plan.method,
            "base": self.base.name,
            "base_sha256": self.base.digest,
            "lessons": len(self.lessons),
            "skipped": self.skipped,
            "tokens": progress.tokens,
            "seconds": seconds(),
            "tokens_per_second": progress.tokens / max(seconds(), 1e-9),
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "device": str(self.network.device),
            "resumed_at": resumed,
        }
        if over:
            facts["started_over"] = over
        if self.plan.method == "distill":
            facts["distilled_by"] = "logits" if self.teacher is not None else "answers"
        return Trained(files.written(self.learning, self.plan.alpha, self.base.name), tuple(progress.losses), facts)

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self, number: int, chosen: tuple[int, ...]) -> float:
        vector, plan = self.learning.vector, self.plan
        vector.grad = None
        total = torch.zeros((), dtype=torch.float64)
        shares = self._preferences(chosen) if plan.method == "dpo" else self._answers(chosen)
        for share in shares:
            share.backward()
            total += share.detach().double().cpu()
            if self.breathe is not None:
                self.breathe()
        assert vector.grad is not None
        loss, size = float(total), float(vector.grad.norm())
        if not (math.isfinite(loss) and math.isfinite(size)):
            raise _diverged(f"the loss of step {number + 1} is no finite number", number + 1)
        with torch.no_grad():
            gradient = vector.grad.mul_(min(1.0, _LARGEST_GRADIENT / (size + 1e-6)))
            first, second = self.moments
            first.lerp_(gradient, 1 - _BETAS[0])
            second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            rate = pages.learning_rate(number, len(self.steps), plan.learning_rate) / (1 - _BETAS[0] ** (number + 1))
            spread = second.div(1 - _BETAS[1] ** (number + 1)).sqrt_().add_(_EPSILON)
            vector.addcdiv_(first, spread, value=-rate)
        return loss

    def _answers(self, chosen: tuple[int, ...]) -> Iterator[Tensor]:
        """Shares of the step's loss: of expected tokens, or of the teacher's expectations."""
        seen = [self.lessons[one] for one in chosen]
        total = sum(one.weight * one.answer.learned for one in seen)
        for group in pages.together([len(one.answer.ids) for one in seen]):
            batch = Batch.of([seen[one].answer for one in group], self.network.device)
            weights = torch.tensor([seen[one].weight for one in group], device=self.network.device)[batch.texts]
            hidden = self.network.hidden(batch, self.learning.pairs(self.network.dtype), self.breathe)
            if self.teacher is None:
                logprobs = losses.LogProbs.apply(hidden, self.network.head, batch.targets)
                yield losses.supervised(logprobs, weights, total)
            else:
                with torch.no_grad():
                    told = self.teacher.hidden(batch, no_pairs(self.teacher), self.breathe) @ self.teacher.head.t()
                apart = losses.divergence(hidden @ self.network.head.t(), told, self.plan.temperature)
                yield (apart * weights).sum() / total

    def _preferences(self, chosen: tuple[int, ...]) -> Iterator[Tensor]:
        """Shares of the step's loss: of pairs, both halves of a pair in one group."""
        total = sum(self.lessons[one].weight for one in chosen)
        for group in pages.together([_length(self.lessons[one]) for one in chosen]):
            numbers = [chosen[one] for one in group]
            seen = [self.lessons[one] for one in numbers]
            batch = Batch.of([text for one in seen for text in one.texts], self.network.device)
            hidden = self.network.hidden(batch, self.learning.pairs(self.network.dtype), self.breathe)
            logprobs = losses.LogProbs.apply(hidden, self.network.head, batch.targets)
            answers, rejected = _by_text(logprobs, batch).view(-1, 2).unbind(1)
            before = torch.tensor([self.before[one] for one in numbers], device=self.network.device)
            apart = losses.preference(answers, rejected, before[:, 0], before[:, 1], self.plan.beta)
            yield (apart * torch.tensor([one.weight for one in seen], device=self.network.device)).sum() / total

    def _before(self) -> dict[int, tuple[float, float]]:
        """What the base thinks of both answers; asked in one order, whether or not the training was resumed."""
        used = sorted({one for step in self.steps for one in step})
        texts = [text for one in used for text in self.lessons[one].texts]
        with torch.no_grad():
            sums = _sums(self.network, no_pairs(self.network), texts, self.breathe)
        return {one: (sums[2 * at], sums[2 * at + 1]) for at, one in enumerate(used)}

    # --- staying on course, and coming back -------------------------------------------------------------------------

    def _check_course(self, taken: list[float]) -> None:
        # The first lessons may have been easy ones.
        bound = 3.0 + 2.0 * taken[0]
        if len(taken) > _PATIENCE and min(taken[-_PATIENCE:]) > bound:
            raise _diverged(f"the loss went from {taken[0]:.2f} to {taken[-1]:.2f}", len(taken))

    def _standing(self, progress: _Progress, seconds: float) -> saved.Standing:
        vectors = {"vector": self.learning.vector.detach(), "first": self.moments[0], "second": self.moments[1]}
        found = {name: one.cpu().numpy() for name, one in vectors.items()}
        return saved.Standing(self.recipe, found, tuple(progress.losses), progress.tokens, seconds)

    def _resume(self, checkpoint: Path | None) -> tuple[_Progress, int, str]:
        """Where to go on, after how many steps that is, and why a checkpoint was not used."""
        found = None if checkpoint is None else saved.find(checkpoint, self.recipe)
        if found is None:
            return _Progress(), 0, ""
        size = self.learning.vector.shape
        if not isinstance(found, str) and all(found.vectors.get(one, _EMPTY).shape == size for one in _VECTORS):
            with torch.no_grad():
                for name, one in zip(_VECTORS, (self.learning.vector, *self.moments), strict=True):
                    one.copy_(torch.from_numpy(found.vectors[name]))
            log.info("training resumed", extra={"step": len(found.losses), "steps": len(self.steps)})
            return _Progress(list(found.losses), found.tokens, found.seconds), len(found.losses), ""
        reason = found if isinstance(found, str) else "the checkpoint is damaged"
        log.warning("training starts over", extra={"reason": reason})
        return _Progress(), 0, reason

    def _recipe(self, teacher: Base | None) -> str:
        """A digest of everything that decides the bytes of the result on one machine."""
        plan = {name: value for name, value in asdict(self.plan).items() if name != "checkpoint_steps"}
        kept = [self.base.digest, teacher.digest if teacher else "", str(self.network.dtype), str(self.network.device)]
        content = json.dumps([plan, kept, torch.__version__, torch.get_num_threads()], sort_keys=True)
        counted = hashlib.sha256(content.encode())
        for one in self.lessons:
            texts = [[text.begin, *text.ids] for text in one.texts]
            counted.update(json.dumps([one.weight, texts]).encode())
        return counted.hexdigest()


_VECTORS: Final = ("vector", "first", "second")
_EMPTY: Final = np.zeros(0, np.float32)


def _length(one: Pages) -> int:
    return sum(len(text.ids) for text in one.texts)


def _same_words(one: Base, other: Base) -> bool:
    return all(
        one.tokenizer.spelling_of(number) == other.tokenizer.spelling_of(number)
        for number in range(max(one.tokenizer.vocab_size, other.tokenizer.vocab_size))
    )


def _check(plan: Plan, lessons: Sequence[Lesson]) -> None:
    if not lessons:
        raise NothingToLearn("there are no lessons", hint="wait until people have corrected something")
    if min(plan.epochs, plan.batch, plan.rank, plan.checkpoint_steps) < 1 or plan.max_tokens < 2:
        raise BadInput("a plan has at least one epoch, lesson a step, rank and step a checkpoint, and two tokens")
    if plan.max_steps is not None and plan.max_steps < 1:
        raise BadInput("a plan has at least one step", hint="leave max_steps out to train whole epochs")
    positive = (plan.learning_rate, plan.alpha, plan.beta, plan.temperature)
    if not all(0 < one < math.inf for one in positive):
        raise BadInput("learning_rate, alpha, beta and temperature are positive numbers")
    if any(not math.isfinite(one.weight) or one.weight < 0 for one in lessons):
        raise BadInput("a lesson's weight is a number that is not below zero")
    if plan.method == "dpo" and any(one.rejected is None for one in lessons):
        raise BadInput(
            "a lesson for `dpo` has an answer and a rejected one", hint='leave such lessons out, or train with "sft"'
        )


def _diverged(what: str, step: int) -> TrainingDiverged:
    return TrainingDiverged(
        f"{what}: the training diverged",
        hint="train with a smaller learning_rate, or look for a lesson that is no language",
        step=step,
    )
