"""The encoder as torch trains it: gated pre-norm blocks over packed histories, and a softmax over the whole catalogue.

Histories are short (often five events), so nothing is padded: all events of a batch lie in one long row of states, and
only attention looks at them history by history, in groups of like length. The softmax over all items is computed a few
hundred states at a time, so that its scores stay in the processor's cache and never reach memory.

Sources: shifted sequence and full softmax, Klenitskiy & Vasilev 2023; gated pre-norm blocks, Borisyuk et al. 2025
(LiGR); their union, eSASRec 2025 (arXiv 2508.06450); loss and gradient in one pass over chunks, Hsu et al. 2024
(Liger).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikkan.apps.shop.learn.next_item.dial import Shape
from ikkan.apps.shop.rules.next_item.encoder import GAPS, KINDS

CHUNK_STATES = 512
"""States whose scores over the catalogue are held at a time."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Some histories in one row, oldest event first, one history after the other."""

    items: Tensor
    """(events,) rows of items."""
    gaps: Tensor
    """(events,) how long after this event the next was asked for, as a step of `encoder.gap_steps`."""
    kinds: Tensor
    """(events,) kinds of event."""
    groups: tuple[Group, ...]
    """The same events, laid out for attention."""
    back: Tensor
    """(events,) where each event lies when the groups are laid end to end."""


@dataclass(frozen=True, slots=True)
class Group:
    """Histories of like length, each from the left of its own line."""

    places: Tensor
    """(histories * longest,) which event of the row lies here; where a history is shorter, the first of it again."""
    count: int
    longest: int


class Network(nn.Module):
    """Histories in, one state per event out; the next item is the one whose vector agrees with the state most."""

    def __init__(self, shape: Shape, attribute_rows: Tensor | None = None, attribute_values: int = 0) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.items = nn.Parameter(torch.randn(shape.items, width) * shape.spread)
        self.gaps = nn.Parameter(torch.zeros(GAPS, width))
        self.kinds = nn.Parameter(torch.zeros(KINDS, width))
        # Row 0 is no value: items have unlike numbers of them.
        self.values = (
            nn.Parameter(torch.randn(attribute_values + 1, width) * shape.spread) if attribute_values else None
        )
        self.attribute_rows = attribute_rows
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.last_norm = nn.LayerNorm(width)
        self.dropout = Dropout(shape.dropout)

    def vectors(self) -> Tensor:
        """One vector an item: its own, and what its attributes say of it. In training some items have only these."""
        if self.values is None or self.attribute_rows is None:
            return self.items
        told = F.embedding_bag(self.attribute_rows, self.values, mode="sum", padding_idx=0)
        own: Tensor = self.items
        if self.training and self.shape.id_dropout:
            own = own * (torch.rand(len(own), 1) >= self.shape.id_dropout)
        return own + told

    def forward(self, packed: Packed, vectors: Tensor) -> Tensor:
        states = self.dropout(F.embedding(packed.items, vectors) * self.shape.width**0.5
                              + self.gaps[packed.gaps] + self.kinds[packed.kinds])  # fmt: skip
        for block in self.blocks:
            states = block(states, packed)
        return self.last_norm(states)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention, then a gated feed-forward; a gate on each decides how much of it a state takes in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, inner = shape.width, shape.inner
        self.heads = shape.heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.distance = nn.Parameter(torch.zeros(shape.heads, shape.longest))
        self.attention_gate, self.forward_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * inner), nn.Linear(inner, width)
        self.dropout = Dropout(shape.dropout)

    def forward(self, states: Tensor, packed: Packed) -> Tensor:
        mixed = self.attend(self.attention_norm(states), packed)
        states = states + torch.sigmoid(self.attention_gate(states)) * self.dropout(mixed)
        one, other = self.up(self.forward_norm(states)).chunk(2, dim=-1)
        fed = self.down(self.dropout(F.silu(one) * other))
        return states + torch.sigmoid(self.forward_gate(states)) * self.dropout(fed)  # type: ignore[no-any-return]

    def attend(self, states: Tensor, packed: Packed) -> Tensor:
        """Every event looks at itself and at what came before in its own history."""
        width = states.shape[-1]
        qkv = self.qkv(states)
        parts = []
        places = torch.cat([each.places for each in packed.groups])
        laid = Laid.apply(qkv, places, packed.back)  # type: ignore[no-untyped-call]
        start = 0
        for group in packed.groups:
            count, longest = group.count, group.longest
            query, key, value = (
                laid[start : start + count * longest]
                .view(count, longest, 3, self.heads, width // self.heads)
                .permute(2, 0, 3, 1, 4)
            )
            start += count * longest
            at = torch.arange(longest)
            apart = at[:, None] - at[None, :]
            bias = self.distance[:, apart.clamp(min=0)].masked_fill(apart < 0, float("-inf"))
            # Histories begin at the left, so what lies right of an event's own place is never looked at.
            weights = torch.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5 + bias, dim=-1)
            parts.append((weights.to(value.dtype) @ value).transpose(1, 2).reshape(count * longest, width))
        mixed = Laid.apply(torch.cat(parts), packed.back, None)  # type: ignore[no-untyped-call]
        return self.out(mixed)  # type: ignore[no-any-return]


class Laid(torch.autograd.Function):
    """Rows in another order, some of them twice. The way back is known, so no gradient is scattered."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, back: Tensor | None) -> Tensor:
        ctx.save_for_backward(places, back)
        ctx.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        places, back = ctx.saved_tensors
        if back is None:
            return torch.zeros(ctx.count, gradients[0].shape[1], dtype=gradients[0].dtype).index_copy_(
                0, places, gradients[0]), None, None  # fmt: skip
        return gradients[0].index_select(0, back), None, None


class Dropout(nn.Module):
    """Dropout whose dice are a byte each: torch's own throws one at a time, and that was a quarter of a step."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.below = round(share * 256)
        self.dice = np.random.Generator(np.random.SFC64(int(torch.randint(2**31, ()))))

    def forward(self, states: Tensor) -> Tensor:
        if not self.training or not self.below:
            return states
        thrown = np.frombuffer(self.dice.bytes(states.numel()), dtype=np.uint8)
        kept = torch.from_numpy(thrown >= self.below).view(states.shape)
        return states * kept.to(states.dtype).mul_(256 / (256 - self.below))


class Softmax(torch.autograd.Function):
    """Mean softmax loss over items, with both gradients, a chunk of states at a time."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, vectors: Tensor, targets: Tensor, rarity: Tensor | None) -> Tensor:
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        against = vectors.to(kind)
        by_states, by_vectors = torch.empty_like(states), torch.zeros_like(vectors)
        total, count = torch.zeros(()), len(states)
        for start in range(0, count, CHUNK_STATES):
            some = states[start : start + CHUNK_STATES].to(kind)
            wanted = targets[start : start + CHUNK_STATES, None]
            scores = some @ against.T
            if rarity is not None:
                # A drawn item stands for as many as were not; the wanted one stands for itself.
                scores += rarity.to(kind)
                scores.scatter_add_(1, wanted, -rarity.to(kind)[wanted])
            chances = torch.softmax(scores, dim=-1)
            own = chances.gather(1, wanted).float()
            total -= own.clamp(min=1e-30).log().sum()
            chances.scatter_(1, wanted, (own - 1).to(kind))
            by_states[start : start + CHUNK_STATES] = chances @ against
            by_vectors += chances.T @ some
        ctx.save_for_backward(by_states / count, by_vectors / count)
        return total / count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        by_states, by_vectors = ctx.saved_tensors
        return by_states * gradients[0], by_vectors * gradients[0], None, None


def pack(
    histories: list[np.ndarray[Any, Any]],
    gaps: list[np.ndarray[Any, Any]] | None,
    kinds: list[np.ndarray[Any, Any]] | None,
    longest: int,
) -> Packed:
    """Lay histories into one row and sort them by length, so that attention pads at most to the next power of two."""
    lengths = np.array([len(each) for each in histories])
    starts = np.cumsum(lengths) - lengths
    steps = np.ceil(np.log2(np.maximum(lengths, 4))).astype(int)
    groups, order = [], np.empty(lengths.sum(), dtype=np.int64)
    end = 0
    for step in np.unique(steps):
        which = np.flatnonzero(steps == step)
        width = min(int(lengths[which].max()), longest)
        at = np.arange(width)
        there = at < lengths[which, None]
        places = np.where(there, starts[which, None] + at, starts[which, None]).ravel()
        order[places[there.ravel()]] = end + np.flatnonzero(there)
        end += len(places)
        groups.append(Group(torch.from_numpy(places), len(which), width))
    row = np.concatenate(histories).astype(np.int64)
    none = np.zeros(len(row), dtype=np.int64)
    return Packed(
        torch.from_numpy(row),
        torch.from_numpy(none if gaps is None else np.concatenate(gaps).astype(np.int64)),
        torch.from_numpy(none if kinds is None else np.concatenate(kinds).astype(np.int64)),
        tuple(groups),
        torch.from_numpy(order),
    )
