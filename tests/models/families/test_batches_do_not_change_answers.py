"""A row's logits are the same bits whoever shares the call, however the prompt was cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.models.values import Decoder, KVCache

from .conftest import Tiny

NAMES = [
    "qwen2-tied",
    "qwen2-f16",
    "llama-q8_0",
    "llama-q4_0",
    "qwen2-q4_1",
    "llama-q4_1-wide",
    "qwen2-odd-sizes",
    "qwen3-tied",
    "qwen2-k-mixed",
]


def step(
    decoder: Decoder, cache: KVCache, parts: Sequence[tuple[int, int, Sequence[int]]]
) -> list[NDArray[np.float32]]:
    """One call for `(slot, first position, tokens)` parts; each part's logits, all of its rows."""
    tokens = np.array([token for _, _, ids in parts for token in ids], dtype=np.int32)
    slots = np.array([slot for slot, _, ids in parts for _ in ids], dtype=np.int32)
    positions = np.array([first + n for _, first, ids in parts for n in range(len(ids))], dtype=np.int32)
    logits = decoder.forward(tokens, slots, positions, cache, np.arange(len(tokens), dtype=np.int32))
    return np.split(logits, np.cumsum([len(ids) for _, _, ids in parts])[:-1])


def greedy(decoder: Decoder, prompt: Sequence[int], tokens: int) -> list[int]:
    cache, text, read = decoder.new_cache(1, 64), list(prompt), 0
    while len(text) < len(prompt) + tokens:
        (logits,) = step(decoder, cache, [(0, read, text[read:])])
        read = len(text)
        text.append(int(logits[-1].argmax()))
    return text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cuts", [[7], [1, 2, 3], [8, 16, 24, 32], list(range(1, 40))], ids=str)
def test_a_prompt_read_in_pieces_gives_the_same_bits(
    name: str, cuts: list[int], tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    decoder, ids = tiny_decoder(name), tiny(name).ids[:40].tolist()
    (whole,) = step(decoder, decoder.new_cache(1, 40), [(0, 0, ids)])
    cache, pieces = decoder.new_cache(1, 40), []
    for first, last in zip([0, *cuts], [*cuts, 40], strict=True):
        pieces += step(decoder, cache, [(0, first, ids[first:last])])
    assert np.array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("name", NAMES)
def test_strangers_in_the_batch_change_nothing(
    name: str, tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    decoder, ids = tiny_decoder(name), tiny(name).ids.tolist()
    alone = decoder.new_cache(1, 64)
    (prompt_alone,) = step(decoder, alone, [(0, 0, ids[:20])])
    (next_alone,) = step(decoder, alone, [(0, 20, ids[20:21])])

    shared = decoder.new_cache(5, 64)
    step(decoder, shared, [(1, 0, ids[5:25]), (4, 0, ids[3:4])])
    prompt_shared = step(decoder, shared, [(4, 1, ids[4:5]), (3, 0, ids[:20]), (1, 20, ids[25:26])])[1]
    next_shared = step(decoder, shared, [(1, 21, ids[:11]), (0, 0, ids[30:31]), (3, 20, ids[20:21])])[2]

    assert np.array_equal(prompt_alone, prompt_shared)
    assert np.array_equal(next_alone, next_shared)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_answers_repeat(name: str, tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]) -> None:
    prompt = tiny(name).ids[:13].tolist()
    assert greedy(tiny_decoder(name), prompt, 20) == greedy(tiny_decoder(name), prompt, 20)


def test_a_slot_used_again_forgets_its_last_guest(
    tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    decoder, ids = tiny_decoder("qwen2-tied"), tiny("qwen2-tied").ids.tolist()
    used = decoder.new_cache(1, 64)
    step(decoder, used, [(0, 0, ids[10:60])])
    (again,) = step(decoder, used, [(0, 0, ids[:9])])
    (fresh,) = step(decoder, decoder.new_cache(1, 64), [(0, 0, ids[:9])])
    assert np.array_equal(again, fresh)


def test_only_the_rows_asked_for_come_back_in_the_order_asked(
    tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    decoder, ids = tiny_decoder("llama-q8_0"), tiny("llama-q8_0").ids[:12]
    positions = np.arange(12, dtype=np.int32)

    def ask(rows: list[int]) -> NDArray[np.float32]:
        cache = decoder.new_cache(1, 12)
        return decoder.forward(ids, np.zeros_like(ids), positions, cache, np.array(rows, dtype=np.int32))

    everything = ask(list(range(12)))
    assert np.array_equal(ask([11, 3]), everything[[11, 3]])
    assert ask([]).shape == (0, decoder.config.vocab)
