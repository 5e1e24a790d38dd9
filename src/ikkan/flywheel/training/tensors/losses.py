"""What is minimised. Equal to TRL's (`tests/flywheel/training/test_losses_are_trls.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS: Final = 32
"""Rows of logits that are in float32 at once: a vocabulary is wide."""


class LogProbs(torch.autograd.Function):
    """The log-probability `(n,)` of each target, from hidden states `(n, hidden)` and the frozen output matrix."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        logits = hidden @ head.t()
        total = torch.empty(len(logits), device=logits.device)
        for rows, wide in _wide(logits):
            highest = wide.copy_(logits[rows]).amax(-1, keepdim=True)
            total[rows] = wide.sub_(highest).exp_().sum(-1).log_() + highest[:, 0]
        ctx.save_for_backward(logits, head, targets, total)
        return logits.gather(1, targets[:, None])[:, 0].float() - total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, head, targets, total = ctx.saved_tensors
        for rows, wide in _wide(logits):
            wide.copy_(logits[rows]).sub_(total[rows, None]).exp_().mul_(-grad[rows, None])
            wide.scatter_add_(1, targets[rows, None], grad[rows, None])
            logits[rows] = wide  # kept for this only, and used once
        return logits @ head, None, None


def _wide(logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some rows at a time, and room for them in float32, the same again and again."""
    room = torch.empty(_ROWS, logits.shape[1], device=logits.device)
    for at in range(0, len(logits), _ROWS):
        yield slice(at, at + _ROWS), room[: len(logits) - at]


def supervised(logprobs: Tensor, weights: Tensor, total: float) -> Tensor:
    """Mean over tokens of what is not yet expected: this part's share of a step whose weights sum to `total`."""
    return -(logprobs * weights).sum() / total


def preference(chosen: Tensor, rejected: Tensor, before: Tensor, before_rejected: Tensor, beta: float) -> Tensor:
    """DPO's sigmoid loss a pair, from sums of log-probabilities now and before training.

    Source: Rafailov et al. 2023.
    """
    return -F.logsigmoid(beta * ((chosen - before) - (rejected - before_rejected)))


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far each row is from the teacher's: KL(teacher || student), both softened by a temperature.

    Source: Hinton et al. 2015; the forward end (beta = 0) of Agarwal et al. 2023's generalised divergence.
    """
    parts = [
        F.kl_div(
            F.log_softmax(ours.float() / temperature, -1),
            F.log_softmax(theirs.float() / temperature, -1),
            reduction="none",
            log_target=True,
        ).sum(-1)
        for ours, theirs in zip(logits.split(_ROWS), teacher.split(_ROWS), strict=True)
    ]
    return torch.cat(parts)
