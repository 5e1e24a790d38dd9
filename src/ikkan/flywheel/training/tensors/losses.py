"""What is minimised. Equal to TRL's (`tests/flywheel/training/test_losses_are_trls.py`)."""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS: Final = 64
"""Rows of logits that are in float32 at once: a vocabulary is wide."""


class LogProbs(torch.autograd.Function):
    """The log-probability `(n,)` of each target, from hidden states `(n, hidden)` and the frozen output matrix."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        logits = hidden @ head.t()
        total = torch.cat([part.float().logsumexp(-1) for part in logits.split(_ROWS)])
        ctx.save_for_backward(logits, head, targets, total)
        return logits.gather(1, targets[:, None])[:, 0].float() - total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, head, targets, total = ctx.saved_tensors
        for at in range(0, len(logits), _ROWS):
            rows = slice(at, at + _ROWS)
            wide = (logits[rows].float() - total[rows, None]).exp_().mul_(-grad[rows, None])
            wide.scatter_add_(1, targets[rows, None], grad[rows, None])
            logits[rows] = wide.to(logits.dtype)  # kept for this only, and used once
        return logits @ head, None, None


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
