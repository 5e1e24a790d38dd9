"""Prompts in bfloat16: the right numbers, and the same bits whoever shares the call."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.silicon import kernels
from ikkan.silicon.kernels import amx, lanes, pack, prompts
from ikkan.silicon.kernels.compiled import addressed
from ikkan.silicon.kernels.formats import FORMATS, record_bytes
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.multiply import set_path
from ikkan.silicon.kernels.stack import Cache, Stack
from ikkan.silicon.kernels.walk import PROMPT_CHUNK

from .test_team import VOCAB, stack
from .weights import activations, blocks

Float32 = NDArray[np.float32]
pytestmark = pytest.mark.skipif(not amx.available(), reason="this processor has no matrix registers")


@pytest.fixture(autouse=True)
def best_path() -> Iterator[None]:
    set_path(None)
    yield
    set_path(None)


@addressed(2)
def _multiply(block: int, thread: int) -> None:
    word = lanes.word
    amx.configure(word(block + 96))
    prompts.multiply(
        0, word(block), word(block + 8), word(block + 16), word(block + 24), word(block + 32), word(block + 40),
        word(block + 48), word(block + 56), word(block + 64), word(block + 72), 4 * word(block + 32),
        word(block + 80), word(block + 88), word(block + 104),
    )  # fmt: skip
    amx.release()


def bfloat16(x: Float32) -> NDArray[np.uint16]:
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def product(x: Float32, w: kernels.PackedMatrix, bias: Float32 | None = None, held: Float32 | None = None) -> Float32:
    """`x @ W.T (+ bias) (+ held)` as a prompt's step computes it; at most so many rows as are taken together."""
    n, stride = len(x), record_bytes(w.cols)
    room = -(-n // 32) * 32
    given = aligned(room * stride, np.uint8, zero=True).reshape(room, stride)
    given[:n, : 2 * w.cols] = bfloat16(x).view(np.uint8)
    out = aligned(room * w.rows, np.float32, zero=True).reshape(room, w.rows)
    if held is not None:
        out[:n] = held
    own = aligned(prompts.bytes_of_room(n))
    panels = -(-w.rows // prompts.PANEL_ROWS)
    assert panels <= prompts.MOST_PANELS
    at = 0 if bias is None else bias.ctypes.data
    words = [
        panels, prompts.unpackers([w.code]), w.code, w.address, w.rows, w.cols, n, given.ctypes.data, stride,
        out.ctypes.data, at, held is not None, amx.configuration() + 64, own.ctypes.data,
    ]  # fmt: skip
    block = np.array(words, np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(_multiply.address)(block.ctypes.data, 0)
    return out[:n].copy()


def expected(x: Float32, w: kernels.PackedMatrix) -> NDArray[np.float64]:
    """In float64, with weights and activations rounded to bfloat16."""

    def rounded(y: Float32) -> NDArray[np.float64]:
        return (bfloat16(y).astype(np.uint32) << 16).view(np.float32).astype(np.float64)

    return rounded(x) @ rounded(kernels.dequantize(w)).T


@pytest.mark.parametrize("name", sorted(one.name for one in FORMATS.values() if one.code in prompts.FORMATS_READ))
@pytest.mark.parametrize(("rows", "cols", "n"), [(64, 256, 1), (90, 512, 37), (16, 768, 64)])
def test_every_format_gives_what_float64_gives(name: str, rows: int, cols: int, n: int) -> None:
    w, x = pack(name, blocks(name, rows, cols, 7), rows, cols), activations(n, cols, 8)
    right = expected(x, w)
    # Ties between two bfloat16 may be broken the other way: half a unit in the last of eight bits, on few weights.
    assert np.abs(product(x, w) - right).max() < 0.004 * np.abs(right).max() + 1e-6


def test_bias_and_what_was_there_are_added() -> None:
    for rows in (64, 90):
        w, x = pack("Q4_1", blocks("Q4_1", rows, 512, 1), rows, 512), activations(37, 512, 2)
        bias, held = activations(1, rows, 3)[0], activations(37, rows, 4)
        plain = product(x, w).astype(np.float64)
        size = np.abs(plain).max()
        assert np.abs(product(x, w, bias) - plain - bias).max() < 1e-5 * size
        assert np.abs(product(x, w, None, held) - plain - held).max() < 1e-5 * size
        assert np.abs(product(x, w, bias, held) - plain - bias - held).max() < 1e-5 * size


def test_a_row_has_the_same_bits_whoever_stands_beside_it() -> None:
    w, x = pack("Q4_0", blocks("Q4_0", 96, 768, 1), 96, 768), activations(70, 768, 2)
    together = product(x, w)
    assert np.array_equal(np.concatenate([product(x[n : n + 1], w) for n in range(70)]), together)
    x[:40] = np.nan
    assert np.array_equal(product(x, w)[40:], together[40:])


# A whole stack: roles.


@pytest.fixture(scope="module")
def one() -> Stack:
    from ikkan.silicon.kernels.stack import Block, Shape

    s = Shape(hidden=96, heads=4, kv_heads=2, head_dim=32, intermediate=160, rms_eps=1e-5, rope_theta=10_000.0)

    def matrix(name: str, rows: int, cols: int) -> kernels.PackedMatrix:
        return pack(name, blocks(name, rows, cols, rows * cols), rows, cols)

    def block(a: str, b: str) -> Block:
        return Block(
            attention_norm=np.ones(96, np.float32), q=matrix(a, 128, 96), k=matrix(b, 64, 96), v=matrix(a, 64, 96),
            qkv_bias=activations(1, 256, 5)[0], out=matrix(b, 96, 128), ffn_norm=np.ones(96, np.float32),
            gate=matrix(a, 160, 96), up=matrix(b, 160, 96), down=matrix(a, 96, 160),
        )  # fmt: skip

    embedding = kernels.pack_f32(np.random.default_rng(1).standard_normal((VOCAB, 96)).astype(np.float32))
    norm = np.ones(96, np.float32)
    return Stack(
        s, [block("Q4_0", "Q8_0"), block("Q4_1", "BF16")], embedding, norm, matrix("Q8_0", VOCAB, 96), threads=2
    )


def read(one: Stack, cache: Cache, parts: list[tuple[int, int, list[int], int]]) -> list[Float32]:
    """`(slot, first position, tokens, tokens of the prompt)` in one call: each part's logits."""
    tokens = np.int32([token for _, _, ids, _ in parts for token in ids])
    slots = np.int32([slot for slot, _, ids, _ in parts for _ in ids])
    positions = np.int32([first + n for _, first, ids, _ in parts for n in range(len(ids))])
    prompt = np.array([first + n < asked for _, first, ids, asked in parts for n in range(len(ids))])
    rows = np.arange(len(tokens), dtype=np.int32)
    out = one.forward(tokens, slots, positions, cache, rows, None, prompt)
    return np.split(out, np.cumsum([len(ids) for _, _, ids, _ in parts])[:-1])


def text(length: int, seed: int) -> list[int]:
    return [int(n) for n in np.random.default_rng(seed).integers(0, VOCAB, length)]


def test_a_prompt_has_the_same_bits_however_it_is_cut(one: Stack) -> None:
    ids = text(PROMPT_CHUNK + 50, 1)
    (whole,) = read(one, one.new_cache(1, len(ids)), [(0, 0, ids, len(ids))])
    assert np.isfinite(whole).all()
    cuts, cache, found = [0, 1, 33, 34, 70, 200, len(ids)], one.new_cache(1, len(ids)), []
    for first, last in pairwise(cuts):
        found += read(one, cache, [(0, first, ids[first:last], len(ids))])
    assert np.array_equal(np.concatenate(found), whole)


def test_prompts_and_answers_share_a_call_and_change_nothing_for_each_other(one: Stack) -> None:
    a, b, c = text(60, 2), text(20, 3), text(9, 4)
    alone = [read(one, one.new_cache(1, 64), [(0, 0, ids, asked)])[0] for ids, asked in ((a, 60), (b, 12), (c, 0))]
    cache = one.new_cache(3, 64)
    first = read(one, cache, [(0, 0, a[:30], 60), (1, 0, b[:14], 12), (2, 0, c[:3], 0)])
    second = read(one, cache, [(1, 14, b[14:], 12), (2, 3, c[3:], 0), (0, 30, a[30:], 60)])
    assert np.array_equal(np.concatenate([first[0], second[2]]), alone[0])
    assert np.array_equal(np.concatenate([first[1], second[0]]), alone[1])
    assert np.array_equal(np.concatenate([first[2], second[1]]), alone[2])


def test_a_prompt_read_as_one_differs_a_little_from_an_answer_of_the_same_tokens(one: Stack) -> None:
    ids = text(40, 5)
    (prompt,), (answer,) = (read(one, one.new_cache(1, 64), [(0, 0, ids, asked)]) for asked in (40, 0))
    assert one.reads_prompts_apart
    assert not np.array_equal(prompt, answer)
    assert np.abs(prompt - answer).mean() < 0.05 * answer.std()


def test_where_nothing_may_be_rounded_or_registers_are_missing_prompts_are_like_answers(one: Stack) -> None:
    floats = stack(threads=2)
    assert not floats.reads_prompts_apart
    ids = text(20, 6)
    (prompt,), (answer,) = (read(floats, floats.new_cache(1, 32), [(0, 0, ids, asked)]) for asked in (20, 0))
    assert np.array_equal(prompt, answer)
    set_path("avx512vnni")
    assert not one.reads_prompts_apart
