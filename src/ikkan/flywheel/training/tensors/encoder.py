"""A BERT encoder in torch, its weights frozen; low-rank pairs are what learns. Twin of `models/families/bert.py`.

Texts of like length go together and are padded to the longest; what is padding is looked at by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ikkan.flywheel.training.tensors.steps import Linear
from ikkan.models.adapters import LowRank
from ikkan.models.checkpoint import Checkpoint
from ikkan.models.plain import read_plain
from ikkan.models.values import ENCODER_MODULES, EncoderConfig, EncoderModule

Pairs = Mapping[tuple[int, EncoderModule], tuple[Tensor, Tensor]]
"""By layer and module: (rank, in) and (out, rank), the scaling within the second."""
_UNSEEN = -1e4
"""Added to the scores of padding: nothing is left of them, in bfloat16 too."""


@dataclass(frozen=True, slots=True)
class _Layer:
    weights: Mapping[EncoderModule, tuple[Tensor, Tensor]]
    """Each with its bias."""
    attention_norm: tuple[Tensor, Tensor]
    norm: tuple[Tensor, Tensor]


class Encoder:
    """Weights of one kind on one device, and the pass through them."""

    def __init__(self, checkpoint: Checkpoint, config: EncoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        self.config, self.dtype, self.device = config, dtype, device
        hidden = config.hidden

        def load(name: str, *shape: int) -> Tensor:
            return torch.from_numpy(read_plain(checkpoint, name, shape)).to(device=device, dtype=dtype)

        def linear(name: str, rows: int, cols: int) -> tuple[Tensor, Tensor]:
            return load(f"{name}.weight", rows, cols), load(f"{name}.bias", rows)

        def norm(name: str) -> tuple[Tensor, Tensor]:
            return load(f"{name}.weight", hidden), load(f"{name}.bias", hidden)

        def layer(at: str) -> _Layer:
            parts = [linear(f"{at}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")]
            return _Layer(
                {
                    "qkv": (torch.cat([one for one, _ in parts]), torch.cat([one for _, one in parts])),
                    "out": linear(f"{at}.attention.output.dense", hidden, hidden),
                    "up": linear(f"{at}.intermediate.dense", config.intermediate, hidden),
                    "down": linear(f"{at}.output.dense", hidden, config.intermediate),
                },
                norm(f"{at}.attention.output.LayerNorm"),
                norm(f"{at}.output.LayerNorm"),
            )

        # The last block first: a config that promises too many layers is refused before the others are read.
        self._layers = [layer(f"encoder.layer.{number}") for number in reversed(range(config.layers))][::-1]
        self._words = load("embeddings.word_embeddings.weight", config.vocab, hidden)
        types = load("embeddings.token_type_embeddings.weight", config.types, hidden)
        self._positions = load("embeddings.position_embeddings.weight", config.context, hidden) + types[0]
        self._norm = norm("embeddings.LayerNorm")

    def vectors(self, texts: Sequence[Sequence[int]], pairs: Pairs) -> Tensor:
        """One vector of length one a text, in float32: the mean over its tokens."""
        c, n, longest = self.config, len(texts), max(map(len, texts))
        padded = np.zeros((n, longest), np.int64)
        for row, text in enumerate(texts):
            padded[row, : len(text)] = text
        ids = torch.from_numpy(padded).to(self.device)
        lengths = torch.tensor([len(text) for text in texts], device=self.device)
        there = torch.arange(longest, device=self.device) < lengths[:, None]
        unseen = torch.zeros(n, 1, 1, longest, dtype=self.dtype, device=self.device)
        unseen.masked_fill_(~there[:, None, None], _UNSEEN)
        x = self._normed((self._words[ids] + self._positions[:longest]).view(n * longest, c.hidden), self._norm)
        for number, layer in enumerate(self._layers):

            def through(x: Tensor, module: EncoderModule, number: int = number, layer: _Layer = layer) -> Tensor:
                a, b = pairs[number, module]
                return Linear.apply(x, *layer.weights[module], a, b)

            split = through(x, "qkv").view(n, longest, 3, c.heads, -1).permute(2, 0, 3, 1, 4)
            q, k, v = split.unbind(0)
            shares = torch.softmax((q @ k.transpose(-1, -2)).mul_(k.shape[-1] ** -0.5).add_(unseen), -1)
            seen = (shares @ v).transpose(1, 2).reshape(n * longest, c.hidden)
            x = self._normed(x + through(seen, "out"), layer.attention_norm)
            x = self._normed(x + through(F.gelu(through(x, "up")), "down"), layer.norm)
        summed = (x.view(n, longest, c.hidden).float() * there[..., None]).sum(1)
        return F.normalize(summed / lengths[:, None], dim=1)

    def _normed(self, x: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(x, (self.config.hidden,), *norm, self.config.norm_eps)


class Learning:
    """The numbers that learn: all pairs in one vector of float32, so that an optimiser's step is a few operations."""

    def __init__(self, config: EncoderConfig, rank: int, alpha: float, seed: int, device: torch.device) -> None:
        self.config, self.rank, self.scaling = config, rank, alpha / rank
        random = np.random.default_rng([seed, 0xE4C])
        parts = []
        for _, module in self._places():
            rows, cols = config.shape(module)
            bound = cols**-0.5
            parts += [random.uniform(-bound, bound, rank * cols), np.zeros(rows * rank)]
        self.vector = torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(device).requires_grad_()

    def _places(self) -> Iterator[tuple[int, EncoderModule]]:
        for layer in range(self.config.layers):
            for module in ENCODER_MODULES:
                yield layer, module

    def pairs(self, dtype: torch.dtype) -> Pairs:
        """As the network reads them; gradients flow back into `vector`."""
        sizes: list[int] = []
        for _, module in self._places():
            rows, cols = self.config.shape(module)
            sizes += [self.rank * cols, rows * self.rank]
        parts = iter(self.vector.to(dtype).split(sizes))
        return {
            place: (next(parts).view(self.rank, -1), next(parts).view(-1, self.rank) * self.scaling)
            for place in self._places()
        }

    def kept(self) -> dict[tuple[int, EncoderModule], LowRank]:
        """As whoever serves reads them, in half precision's numbers: the same before and after they are stored."""
        found = {}
        for place, (a, b) in self.pairs(torch.float32).items():
            halves = [one.detach().cpu().numpy().astype(np.float16).astype(np.float32) for one in (a, b)]
            found[place] = LowRank(*halves, 1.0)
        return found
