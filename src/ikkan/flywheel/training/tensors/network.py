"""The block that llama, qwen2 and qwen3 share, in torch, its weights frozen; low-rank pairs are what learns.

Texts lie one after another, so nothing is padded and nothing is computed for padding. q, k and v are one matrix, gate
and up another: a network of this size waits for the number of its products, not for their size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ikkan.flywheel.training.lessons import Text
from ikkan.flywheel.training.tensors.steps import Gated, Linear, Norm, Turn, attend
from ikkan.models.adapters import Adapter, Module, module_shape
from ikkan.models.checkpoint import Checkpoint
from ikkan.models.plain import read_plain
from ikkan.models.values import DecoderConfig

GROUPS: tuple[tuple[Module, ...], ...] = (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))
"""Modules that read the same input, and so are one product."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is added to one group: `(x @ a.T) @ b.T`, the scaling within b."""

    a: Tensor
    """(ranks of the group's modules one after another, in)"""
    b: Tensor
    """(outputs of the group's modules one after another, ranks likewise): zero where module and rank differ."""


Pairs = Sequence[Sequence[Pair]]
"""By layer, then in the order of `GROUPS`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts one after another."""

    ids: Tensor
    positions: Tensor
    lengths: tuple[int, ...]
    rows: Tensor
    """Where what is predicted is learned."""
    targets: Tensor
    """The token after each row."""
    texts: Tensor
    """To which text each row belongs."""
    learned: tuple[int, ...]
    """Of each text, how many rows."""

    @staticmethod
    def of(texts: Sequence[Text], device: torch.device) -> Batch:
        """Some texts, in this order."""
        rows: list[int] = []
        targets: list[int] = []
        owners: list[int] = []
        at = 0
        for number, text in enumerate(texts):
            first = max(text.begin, 1)
            rows += range(at + first - 1, at + len(text.ids) - 1)
            targets += text.ids[first:]
            owners += [number] * (len(text.ids) - first)
            at += len(text.ids)

        def tensor(values: Sequence[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        return Batch(
            tensor([one for text in texts for one in text.ids]),
            tensor([place for text in texts for place in range(len(text.ids))]),
            tuple(len(text.ids) for text in texts),
            tensor(rows),
            tensor(targets),
            tensor(owners),
            tuple(text.learned for text in texts),
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: Tensor
    qkv: Tensor
    bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Tensor
    ffn_norm: Tensor
    gate_up: Tensor
    down: Tensor


class Network:
    """Weights of one kind on one device, and the pass through them."""

    def __init__(self, checkpoint: Checkpoint, config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        self.config, self.dtype, self.device = config, dtype, device
        wide, narrow = config.heads * config.head_dim, config.kv_heads * config.head_dim

        def load(name: str, *shape: int, heads: int = 0) -> Tensor:
            found = torch.from_numpy(read_plain(checkpoint, name, shape, rotated_heads=heads))
            return found.to(device=device, dtype=dtype)

        def layer(at: str) -> _Layer:
            def qkv(kind: str, *cols: int) -> Tensor:
                return torch.cat(
                    [
                        load(f"{at}attn_q.{kind}", wide, *cols, heads=config.heads),
                        load(f"{at}attn_k.{kind}", narrow, *cols, heads=config.kv_heads),
                        load(f"{at}attn_v.{kind}", narrow, *cols),
                    ]
                )

            return _Layer(
                attention_norm=load(f"{at}attn_norm.weight", config.hidden),
                qkv=qkv("weight", config.hidden),
                bias=qkv("bias") if config.qkv_bias else None,
                q_norm=load(f"{at}attn_q_norm.weight", config.head_dim) if config.qk_norm else None,
                k_norm=load(f"{at}attn_k_norm.weight", config.head_dim) if config.qk_norm else None,
                out=load(f"{at}attn_output.weight", config.hidden, wide),
                ffn_norm=load(f"{at}ffn_norm.weight", config.hidden),
                gate_up=torch.cat(
                    [load(f"{at}ffn_{one}.weight", config.intermediate, config.hidden) for one in ("gate", "up")]
                ),
                down=load(f"{at}ffn_down.weight", config.hidden, config.intermediate),
            )

        # The last block first: a config that promises too many layers is refused before the others are read.
        self._layers = [layer(f"blk.{number}.") for number in reversed(range(config.layers))][::-1]
        self._embedding = load("token_embd.weight", config.vocab, config.hidden)
        self._norm = load("output_norm.weight", config.hidden)
        tied = config.tied_embeddings
        self.head = self._embedding if tied else load("output.weight", config.vocab, config.hidden)
        """(vocab, hidden)"""
        even = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float()
        self._frequencies = (1.0 / (config.rope_theta ** (even / config.head_dim))).to(device)

    def hidden(self, batch: Batch, pairs: Pairs, breathe: Callable[[], object] | None = None) -> Tensor:
        """What the output matrix reads `(rows, hidden)`, at the rows of the batch.

        Args:
            breathe: called between layers, on the way there and on the way back.
        """
        c = self.config
        angles = batch.positions[:, None].float() * self._frequencies[None]
        cos, sin = (one(angles)[:, None].to(self.dtype) for one in (torch.cos, torch.sin))
        x = self._embedding[batch.ids]
        for layer, (qkv, out, gate_up, down) in zip(self._layers, pairs, strict=True):
            if breathe is not None:
                _breathe(x, breathe)
            read = Norm.apply(x, layer.attention_norm, c.rms_eps)
            found = Linear.apply(read, layer.qkv, layer.bias, qkv.a, qkv.b)
            q, k, v = (
                one.unflatten(1, (-1, c.head_dim))
                for one in found.split([heads * c.head_dim for heads in (c.heads, c.kv_heads, c.kv_heads)], 1)
            )
            if layer.q_norm is not None:
                q, k = Norm.apply(q, layer.q_norm, c.rms_eps), Norm.apply(k, layer.k_norm, c.rms_eps)
            seen = attend(Turn.apply(q, cos, sin), Turn.apply(k, cos, sin), v, batch.lengths)
            x = x + Linear.apply(seen.flatten(1), layer.out, None, out.a, out.b)
            read = Norm.apply(x, layer.ffn_norm, c.rms_eps)
            both = Gated.apply(Linear.apply(read, layer.gate_up, None, gate_up.a, gate_up.b))
            x = x + Linear.apply(both, layer.down, None, down.a, down.b)
        return Norm.apply(x.index_select(0, batch.rows), self._norm, c.rms_eps)


def _breathe(x: Tensor, breathe: Callable[[], object]) -> None:
    def on_the_way_back(gradient: Tensor) -> None:  # what a hook returns would become the gradient
        breathe()

    breathe()
    if x.requires_grad:
        x.register_hook(on_the_way_back)


class Learning:
    """The numbers that learn: all pairs in one vector of float32, so that an optimiser's step is a few operations."""

    def __init__(self, config: DecoderConfig, rank: int, alpha: float, seed: int, device: torch.device) -> None:
        self.config, self.rank, self.scaling = config, rank, alpha / rank
        random = np.random.default_rng([seed, 0xADA])
        parts = []
        for _, _, half, shape in self._places():
            bound = shape[1] ** -0.5  # PEFT's: Kaiming's uniform with a slope of the root of five
            parts.append(random.uniform(-bound, bound, shape) if half == "A" else np.zeros(shape))
        flat = np.concatenate([one.reshape(-1) for one in parts]).astype(np.float32)
        self.vector = torch.from_numpy(flat).to(device).requires_grad_()

    def _places(self) -> Iterator[tuple[int, Module, str, tuple[int, int]]]:
        """Layer, module, half and shape, in the vector's order: the first halves of a group, then its second ones."""
        for layer in range(self.config.layers):
            for group in GROUPS:
                for half in ("A", "B"):
                    for module in group:
                        rows, cols = module_shape(self.config, module)
                        yield layer, module, half, ((self.rank, cols) if half == "A" else (rows, self.rank))

    def pairs(self, dtype: torch.dtype) -> Pairs:
        """As the network reads them; gradients flow back into `vector`."""
        sizes: list[int] = []
        for group in GROUPS:
            shapes = [module_shape(self.config, module) for module in group]
            sizes += [len(group) * self.rank * shapes[0][1], *(rows * self.rank for rows, _ in shapes)]
        parts = iter(self.vector.to(dtype).split(sizes * self.config.layers))
        scaled: list[list[Pair]] = []
        for _ in range(self.config.layers):
            scaled.append([])
            for group in GROUPS:
                a = next(parts).view(len(group) * self.rank, -1)
                b = torch.block_diag(*(next(parts).view(-1, self.rank) for _ in group))
                scaled[-1].append(Pair(a, b * self.scaling))
        return scaled

    def matrices(self) -> Iterator[tuple[int, Module, str, np.ndarray]]:
        """Every half, for a file."""
        flat, at = self.vector.detach().cpu().numpy(), 0
        for layer, module, half, shape in self._places():
            yield layer, module, half, flat[at : at + shape[0] * shape[1]].reshape(shape)
            at += shape[0] * shape[1]


def no_pairs(network: Network) -> Pairs:
    """The base as it is: pairs of rank 0."""
    return pairs_of(Adapter(network.config.layers, {}, ""), network)


def pairs_of(adapter: Adapter, network: Network) -> Pairs:
    """An adapter that was read from files."""

    def pair(layer: int, group: tuple[Module, ...]) -> Pair:
        shapes = [module_shape(network.config, module) for module in group]
        found = [adapter.modules.get((layer, module)) for module in group]
        a = [np.zeros((0, shapes[0][1]), np.float32) if one is None else one.a for one in found]
        b = [
            np.zeros((rows, 0), np.float32) if one is None else one.b * np.float32(one.scaling)
            for (rows, _), one in zip(shapes, found, strict=True)
        ]
        joined = torch.block_diag(*(torch.from_numpy(one) for one in b))
        first, second = (one.to(network.device, network.dtype) for one in (torch.from_numpy(np.concatenate(a)), joined))
        return Pair(first, second)

    return [[pair(layer, group) for group in GROUPS] for layer in range(network.config.layers)]
