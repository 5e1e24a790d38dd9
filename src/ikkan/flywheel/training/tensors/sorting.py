"""How an encoder learns to sort texts into classes: cross-entropy over a head that begins as the classes' means.

Who begins there is right on most texts before the first step, and three times through them are enough.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ikkan.flywheel.training.tensors.base import chosen_device, chosen_dtype, threads_allowed
from ikkan.flywheel.training.tensors.encoder import Encoder, Learning
from ikkan.flywheel.training.values import Sorter, SortingPlan
from ikkan.ground.errors import BadInput, NothingToLearn, TrainingDiverged, UnsupportedFormat
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.values import EncoderConfig

log = logging.getLogger(__name__)

SCALE: Final = 20.0
"""A text whose vector is nearer to one class's mean by 0.05 finds it e times as likely, before anything is learned."""
_SORTED: Final = 16
"""So many batches are filled at once, their texts by length, so that little is padded."""
_RISING: Final = 0.06
_DECAY: Final = 0.01

Ids = Sequence[Sequence[int]]


def learn(
    path: Path,
    texts: Sequence[str],
    classes: Sequence[int],
    count: int,
    plan: SortingPlan,
    breathe: Callable[[], object] | None,
) -> Sorter:
    """See `call.learn_to_sort`."""
    if not texts:
        raise NothingToLearn("there are no texts to sort", hint="wait until people have said what texts are about")
    if min(plan.epochs, plan.batch, plan.rank) < 1 or plan.max_tokens < 3:
        raise BadInput("a plan has at least one epoch, text a step and rank, and three tokens a text")
    assert len(texts) == len(classes) and min(classes) >= 0 and max(classes) < count
    began = time.perf_counter()
    with threads_allowed(), open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        if not isinstance(config, EncoderConfig):
            raise UnsupportedFormat(f"a {config.family} model does not embed texts", hint="name an embedding model")
        device = chosen_device(plan.device)
        encoder = Encoder(checkpoint, config, chosen_dtype(plan.dtype, device), device)
        most = min(plan.max_tokens, config.context)
        ids = [checkpoint.tokenizer.encode_for_embedding(text, most) for text in texts]
        learning = Learning(config, plan.rank, plan.alpha, plan.seed, device)
        wanted = torch.tensor(classes, dtype=torch.int64, device=device)
        head = _means(encoder, learning, ids, wanted, count).requires_grad_()
        losses = _steps(encoder, learning, head, ids, wanted, plan, breathe)
    seconds = time.perf_counter() - began
    facts = {
        "texts": len(texts),
        "seconds": round(seconds, 2),
        "texts_per_second": round(len(texts) * plan.epochs / seconds, 1),
        "dtype": str(encoder.dtype).removeprefix("torch."),
        "device": str(device),
    }
    log.info("an encoder learned to sort", extra=facts)
    return Sorter(learning.kept(), np.ascontiguousarray(head.detach().cpu().numpy().T), losses, facts)


def _steps(
    encoder: Encoder,
    learning: Learning,
    head: Tensor,
    ids: Ids,
    wanted: Tensor,
    plan: SortingPlan,
    breathe: Callable[[], object] | None,
) -> tuple[float, ...]:
    groups = [
        {"params": [learning.vector], "lr": plan.learning_rate},
        {"params": [head], "lr": plan.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=_DECAY)
    losses: list[float] = []
    batches = list(_batches([len(text) for text in ids], plan))
    for number, batch in enumerate(batches):
        if breathe is not None:
            breathe()
        for group, highest in zip(optimizer.param_groups, (plan.learning_rate, plan.head_rate), strict=True):
            group["lr"] = highest * min((number + 1) / (_RISING * len(batches)), 1 - number / len(batches))
        vectors = encoder.vectors([ids[one] for one in batch], learning.pairs(encoder.dtype))
        loss = F.cross_entropy(F.linear(vectors, head[:, :-1], head[:, -1]), wanted[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainingDiverged(
                "the loss is no number: the training diverged", hint="train with a smaller learning_rate", step=number
            )
    return tuple(losses)


@torch.no_grad()
def _means(encoder: Encoder, learning: Learning, ids: Ids, wanted: Tensor, count: int) -> Tensor:
    """(classes, hidden + 1): each class's mean direction times `SCALE`, and no preference for any."""
    sums = np.zeros((count, encoder.config.hidden + 1), np.float32)
    order = sorted(range(len(ids)), key=lambda one: (len(ids[one]), one))
    pairs, classes = learning.pairs(encoder.dtype), wanted.cpu().numpy()
    for start in range(0, len(order), 64):
        some = order[start : start + 64]
        vectors = encoder.vectors([ids[one] for one in some], pairs).cpu().numpy()
        np.add.at(sums[:, :-1], classes[some], vectors)
    return F.normalize(torch.from_numpy(sums), dim=1).mul_(SCALE).to(encoder.device)


def _batches(lengths: Sequence[int], plan: SortingPlan) -> Iterator[list[int]]:
    """Which texts each step sees: every epoch all of them, in an order of its own, like lengths together."""
    for epoch in range(plan.epochs):
        random = np.random.default_rng([plan.seed, epoch])
        order, batches = random.permutation(len(lengths)).tolist(), []
        for start in range(0, len(order), plan.batch * _SORTED):
            some = sorted(order[start : start + plan.batch * _SORTED], key=lambda one: lengths[one])
            batches += [some[at : at + plan.batch] for at in range(0, len(some), plan.batch)]
        for at in random.permutation(len(batches)).tolist():
            yield batches[at]
