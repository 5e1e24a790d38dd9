"""The model files that are raced: two shapes of Qwen2.5 with random weights, and the sample model in a second format.

Random weights cost the same arithmetic and the same bytes as trained ones. Their scale keeps activations finite, and
the embedding small beside what the layers add: with a large tied embedding every token would predict itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ikkan.cli.bench import gguf

_WRITING: Final = 2
"""Part of the file's name: another number and the file is written again."""
_BLOCKS_AT_ONCE: Final = 65_536
_SPREAD: Final = {"Q4_0": 4.32, "Q8_0": 73.3}
"""The standard deviation of a block's whole numbers when -7 to 7, or -127 to 127, are equally likely."""
_ATTENTION: Final = 0.1
"""What attention adds, beside the feed-forward part: random attention averages, and a large average would be the same
at every position and every answer one token said again and again, a gift to whoever guesses ahead."""
_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The measurements of a Qwen2.5 model."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int = 151_936
    context: int = 32_768

    @property
    def kv_width(self) -> int:
        """Columns of keys, and of values."""
        return self.hidden // self.heads * self.kv_heads


SHAPES: Final = {
    "0.5b": Shape("qwen2.5-0.5b-shaped", 896, 24, 14, 2, 4864),
    "1.5b": Shape("qwen2.5-1.5b-shaped", 1536, 28, 12, 2, 8960),
    "tiny": Shape("qwen2.5-tiny-shaped", 64, 2, 2, 1, 128, vocab=1024, context=8192),
}
"""The two that are raced, and one that is written and loaded in a second."""


def shaped(folder: Path, size: str, format: str) -> Path:
    """A GGUF file of a shape with random weights; written if it is not there (1.6 GB at most, a few seconds).

    Args:
        size: one of `SHAPES`.
        format: "Q4_0" (its embedding, which is its output too, is Q8_0) or "Q8_0".
    """
    shape = SHAPES[size]
    path = folder / f"{shape.name}-{_WRITING}.{format}.gguf"
    if not path.exists():
        gguf.write(path, _metadata(shape, format), _tensors(shape, format, np.random.default_rng(shape.hidden)))
    return path


def requantized(folder: Path, source: Path) -> Path:
    """A file's Q4_1 matrices rounded to Q4_0, everything else as it is: the format for which llama.cpp is fastest."""
    from ikkan.models import gguf as reader

    path = folder / f"{source.stem.removesuffix('.Q4_1')}-{_WRITING}.Q4_0.gguf"
    if path.exists():
        return path
    with reader.read(source) as file:
        gguf.write(
            path,
            {**file.metadata, "general.file_type": 2},
            [
                gguf.Tensor(one.name, one.shape, "Q4_0", lambda one=one: to_q4_0(one.data))
                if one.format == "Q4_1"
                else gguf.Tensor(one.name, one.shape, one.format, lambda one=one: one.data)
                for one in file.tensors.values()
            ],
        )
    return path


def to_q4_0(q4_1: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blocks of Q4_1 as blocks of Q4_0: one scale, so that the number farthest from zero is kept exactly.

    >>> block = np.concatenate([np.float16([1, -8]).view(np.uint8), np.full(16, 0x80, np.uint8)])  # 0 and 8, less 8
    >>> to_q4_0(block)[:2].view(np.float16).tolist(), to_q4_0(block)[2:4].tolist()
    ([1.0], [128, 128])
    """
    blocks = q4_1.reshape(-1, 20)
    both = np.ascontiguousarray(blocks[:, :4]).view(np.float16).astype(np.float32)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    numbers = nibbles * both[:, :1] + both[:, 1:]
    farthest = np.take_along_axis(numbers, np.abs(numbers).argmax(axis=1)[:, None], axis=1)
    scale = (farthest / -8).astype(np.float16)
    inverse = np.divide(1, scale, out=np.zeros_like(farthest), where=scale != 0)
    rounded = np.clip(np.floor(numbers * inverse + 8.5), 0, 15).astype(np.uint8)
    packed = rounded[:, :16] | rounded[:, 16:] << 4
    return np.concatenate([scale.view(np.uint8).reshape(-1, 2), packed], axis=1).reshape(-1)


def vocabulary(size: int) -> tuple[tuple[str, ...], NDArray[np.int32], tuple[str, ...]]:
    """A byte-level vocabulary of `size` tokens: their spellings, their kinds, and the merges that make them.

    Every byte, then pairs and triples of ASCII letters, then Qwen2.5's control tokens, then gaps, as its files have.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    letters = [chr(byte) for byte in plain] + [chr(0x100 + n) for n in range(len(others))]
    ascii = [letter for letter in letters if letter < "\x7f"]  # so that answers are text, whatever comes out
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    gaps = max(1, size // 512)
    room = size - len(letters) - len(control) - gaps
    pairs = list(product(ascii, ascii))
    merges = list(islice(chain(pairs, product(("".join(pair) for pair in pairs), ascii)), room))
    tokens = [*letters, *(left + right for left, right in merges), *control, *(f"[PAD{n}]" for n in range(gaps))]
    kinds = [1] * (size - gaps - len(control)) + [3] * len(control) + [5] * gaps
    assert len(tokens) == len(set(tokens)) == size
    return tuple(tokens), np.array(kinds, dtype=np.int32), tuple(f"{left} {right}" for left, right in merges)


def _metadata(shape: Shape, format: str) -> dict[str, Any]:
    tokens, kinds, merges = vocabulary(shape.vocab)
    end = tokens.index("<|im_end|>")
    return {
        "general.architecture": "qwen2",
        "general.name": shape.name,
        "general.file_type": {"Q4_0": 2, "Q8_0": 7}[format],
        "general.quantization_version": 2,
        "qwen2.block_count": shape.layers,
        "qwen2.context_length": shape.context,
        "qwen2.embedding_length": shape.hidden,
        "qwen2.feed_forward_length": shape.intermediate,
        "qwen2.attention.head_count": shape.heads,
        "qwen2.attention.head_count_kv": shape.kv_heads,
        "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen2.rope.freq_base": 1e6,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.padding_token_id": end - 2,
        "tokenizer.ggml.bos_token_id": end - 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": _TEMPLATE,
    }


def _tensors(shape: Shape, format: str, seeds: np.random.Generator) -> Iterator[gguf.Tensor]:
    def matrix(name: str, rows: int, cols: int, kind: str = format, deviation: float | None = None) -> gguf.Tensor:
        numbers = np.random.default_rng(seeds.integers(2**63))
        wanted = cols**-0.5 if deviation is None else deviation
        return gguf.Tensor(name, (rows, cols), kind, lambda: _random(numbers, rows * cols, kind, wanted))

    def vector(name: str, length: int, content: Callable[[int], NDArray[Any]]) -> gguf.Tensor:
        return gguf.Tensor(name, (length,), "F32", lambda: content(length).astype(np.float32).view(np.uint8))

    def bias(length: int) -> NDArray[Any]:
        return np.random.default_rng(length).normal(0, 0.02, length)

    hidden, inner, keys = shape.hidden, shape.intermediate, shape.kv_width
    yield matrix("token_embd.weight", shape.vocab, hidden, "Q8_0", 0.02)
    for number in range(shape.layers):
        block = f"blk.{number}."
        yield vector(f"{block}attn_norm.weight", hidden, np.ones)
        for name, width in (("attn_q", hidden), ("attn_k", keys), ("attn_v", keys)):
            yield matrix(f"{block}{name}.weight", width, hidden)
            yield vector(f"{block}{name}.bias", width, bias)
        yield matrix(f"{block}attn_output.weight", hidden, hidden, deviation=_ATTENTION * hidden**-0.5)
        yield vector(f"{block}ffn_norm.weight", hidden, np.ones)
        yield matrix(f"{block}ffn_gate.weight", inner, hidden)
        yield matrix(f"{block}ffn_up.weight", inner, hidden)
        yield matrix(f"{block}ffn_down.weight", hidden, inner)
    yield vector("output_norm.weight", hidden, np.ones)


def _random(numbers: np.random.Generator, count: int, format: str, deviation: float) -> NDArray[np.uint8]:
    """Blocks whose whole numbers are uniform and whose scales differ by a fifth, as those of trained models do."""
    _, block, size = gguf.FORMATS[format]
    blocks = np.empty((count // block, size), dtype=np.uint8)
    scales = deviation / _SPREAD[format] * numbers.uniform(0.9, 1.1, len(blocks))
    blocks[:, :2] = scales.astype(np.float16).view(np.uint8).reshape(-1, 2)
    for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
        part = blocks[start : start + _BLOCKS_AT_ONCE, 2:]
        if format == "Q8_0":
            part[:] = numbers.integers(-127, 128, part.shape, dtype=np.int8).view(np.uint8)
        else:  # as many below zero as above: a mean other than zero adds up over a row and drowns everything else
            low, high = numbers.integers(1, 16, (2, *part.shape), dtype=np.uint8)
            part[:] = low | high << 4
    return blocks.reshape(-1)
