"""A team shares out the units of each step; who comes late, or not at all, is not waited for and changes nothing."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from ikkan.silicon import kernels
from ikkan.silicon.kernels import aligned, pack, pack_f32, team
from ikkan.silicon.kernels.stack import Block, Cache, Shape, Stack

from .weights import activations, blocks

SHAPE = Shape(hidden=64, heads=4, kv_heads=2, head_dim=32, intermediate=96, rms_eps=1e-5, rope_theta=10_000.0)
VOCAB = 70


def stack(threads: int) -> Stack:
    """Two blocks whose matrices are of every format, with a bias."""
    s, random = SHAPE, np.random.default_rng(5)

    def matrix(format: str, rows: int, cols: int) -> kernels.PackedMatrix:
        return pack(format, blocks(format, rows, cols, int(random.integers(1000))), rows, cols)

    def block(formats: tuple[str, ...]) -> Block:
        wide, narrow = s.heads * s.head_dim, s.kv_heads * s.head_dim
        return Block(
            attention_norm=random.uniform(0.5, 2, s.hidden).astype(np.float32),
            q=matrix(formats[0], wide, s.hidden),
            k=matrix(formats[1], narrow, s.hidden),
            v=matrix(formats[2], narrow, s.hidden),
            qkv_bias=random.standard_normal(wide + 2 * narrow).astype(np.float32),
            out=matrix(formats[3], s.hidden, wide),
            ffn_norm=random.uniform(0.5, 2, s.hidden).astype(np.float32),
            gate=matrix(formats[4], s.intermediate, s.hidden),
            up=matrix(formats[5], s.intermediate, s.hidden),
            down=matrix(formats[6], s.hidden, s.intermediate),
        )

    both = [block(("Q4_0", "Q8_0", "F16", "Q4_1", "F32", "Q4_0", "Q8_0")), block(("F32",) * 3 + ("F16",) * 4)]
    embedding = pack_f32(random.standard_normal((VOCAB, s.hidden)).astype(np.float32))
    norm = np.ones(s.hidden, np.float32)
    return Stack(s, both, embedding, norm, matrix("Q8_0", VOCAB, s.hidden), threads=threads)


def answer(one: Stack, cache: Cache, tokens: list[int], slots: list[int], positions: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """The logits of every token."""
    rows = np.arange(len(tokens), dtype=np.int32)
    return one.forward(np.int32(tokens), np.int32(slots), np.int32(positions), cache, rows)


def only_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no helper is woken; one that just helped has gone to sleep."""
    monkeypatch.setattr(team, "_wake", lambda helpers: None)
    time.sleep(0.01)


def test_one_member_alone_finishes_a_multiplication(monkeypatch: pytest.MonkeyPatch) -> None:
    w = pack("Q4_1", blocks("Q4_1", 100, 64, 1), 100, 64)
    x = activations(9, 64, 2)
    expected = kernels.matmul(x, w)
    only_the_caller(monkeypatch)
    assert np.array_equal(kernels.matmul(x, w), expected)


def test_one_member_alone_finishes_a_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, slots, positions = [3, 1, 4, 1, 5, 9], [0, 0, 0, 1, 0, 1], [0, 1, 2, 0, 3, 1]
    shared = stack(threads=2)
    expected = answer(shared, shared.new_cache(2, 16), tokens, slots, positions)
    only_the_caller(monkeypatch)
    assert np.array_equal(answer(shared, shared.new_cache(2, 16), tokens, slots, positions), expected)


def test_a_forward_pass_gives_the_same_bits_however_its_tokens_are_cut(path: str) -> None:
    one = stack(threads=2)
    tokens = [int(n) for n in np.random.default_rng(0).integers(0, VOCAB, 40)]
    whole = answer(one, one.new_cache(1, 48), tokens, [0] * 40, list(range(40)))
    cache, found = one.new_cache(1, 48), []
    for first, last in ((0, 1), (1, 12), (12, 13), (13, 40)):
        found.append(answer(one, cache, tokens[first:last], [0] * (last - first), list(range(first, last))))
    assert np.isfinite(whole).all()
    assert np.array_equal(np.concatenate(found), whole)


def test_a_forward_pass_gives_the_same_bits_whoever_shares_it_and_with_any_threads(path: str) -> None:
    one, other = stack(threads=1), stack(threads=2)
    alone = answer(one, one.new_cache(1, 16), [7, 8, 9], [0] * 3, [0, 1, 2])
    cache = other.new_cache(3, 32)
    answer(other, cache, [1, 2, 3, 4], [0, 0, 2, 2], [0, 1, 0, 1])
    tokens, slots, positions = [5, 7, 8, 9, 6], [0, 1, 1, 1, 2], [2, 0, 1, 2, 2]
    assert np.array_equal(answer(other, cache, tokens, slots, positions)[1:4], alone)


def test_more_tokens_than_a_chunk_and_logits_in_any_order() -> None:
    one = stack(threads=2)
    tokens = np.arange(300, dtype=np.int32) % VOCAB
    slots, positions = np.zeros(300, np.int32), np.arange(300, dtype=np.int32)
    asked = np.int32([299, 0, 128, 127, 0])
    every = one.forward(tokens, slots, positions, one.new_cache(1, 300), positions)
    assert np.array_equal(one.forward(tokens, slots, positions, one.new_cache(1, 300), asked), every[asked])


def test_calls_from_several_python_threads_take_turns() -> None:
    w = pack_f32(np.eye(64, dtype=np.float32))
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    right: list[bool] = []

    def work() -> None:
        right.extend(np.array_equal(kernels.matmul(x, w), x) for _ in range(50))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert right == [True] * 200


def test_hurried_calls_and_helpers_that_come_late_or_twice_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "_threads", [6])  # more than a small machine has cores: somebody is always late
    w = pack("Q8_0", blocks("Q8_0", 70, 32, 3), 70, 32)
    x = activations(3, 32, 4)
    expected = kernels.matmul(x, w)
    assert all(np.array_equal(kernels.matmul(x, w), expected) for _ in range(2000))


def test_memory_for_kernels_starts_on_a_cache_line() -> None:
    assert [aligned(count).ctypes.data % 64 for count in (1, 63, 1000)] == [0] * 3


@pytest.mark.parametrize("threads", [1, 2])
def test_the_highest_logits_are_found_without_writing_the_others(path: str, threads: int) -> None:
    one = stack(threads=threads)
    tokens = np.random.default_rng(1).integers(0, VOCAB, 150).astype(np.int32)
    slots, positions = np.zeros(150, np.int32), np.arange(150, dtype=np.int32)
    every = one.forward(tokens, slots, positions, one.new_cache(1, 160), positions)
    order = np.argsort(-every, axis=1, kind="stable")
    for count, rows in ((1, positions), (40, positions[::-1].copy()), (7, positions[-1:]), (VOCAB, positions[:3])):
        found = one.forward(tokens, slots, positions, one.new_cache(1, 160), rows, result=count)
        assert found["token"].tolist() == order[rows, :count].tolist()
        assert found["logit"].tolist() == np.take_along_axis(every, order, 1)[rows, :count].tolist()


def test_of_equal_logits_the_first_are_the_highest_and_of_no_numbers_none() -> None:
    one = stack(threads=2)
    zero = np.zeros(1, np.int32)
    cache = one.new_cache(1, 8)
    one._norms[-1] = 0.0  # every logit becomes 0
    assert one.forward(zero, zero, zero, cache, zero, result=3)["token"].tolist() == [[0, 1, 2]]
    one._norms[-1] = np.nan
    assert one.forward(zero, zero, zero, cache, zero, result=2)["token"].tolist() == [[-1, -1]]
