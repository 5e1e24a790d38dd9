"""What does not fit together is refused in words, before any kernel touches memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.ground.errors import BadFile, BadInput, PromptTooLong
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder, load_encoder
from ikkan.models.values import Decoder

from .conftest import THREADS, Sentences


def ints(*values: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(values, dtype=np.int32)


@pytest.fixture
def decoder(tiny_decoder: Callable[[str], Decoder]) -> Decoder:
    return tiny_decoder("qwen2-tied")


@pytest.mark.parametrize(
    ("tokens", "slots", "positions", "rows"),
    [
        (ints(1, 2), ints(0), ints(0, 1), ints(1)),
        (ints(1, 2), ints(0, 0), ints(0), ints(1)),
        (ints(1, 2).reshape(1, 2), ints(0, 0).reshape(1, 2), ints(0, 1).reshape(1, 2), ints(1)),
        (ints(1, 2).astype(np.int64), ints(0, 0), ints(0, 1), ints(1)),
        (ints(1, 2), ints(0, 0), ints(0, 1), ints(2)),
        (ints(1, 2), ints(0, 0), ints(0, 1), ints(-1)),
        (ints(1, 2), ints(0, 2), ints(0, 1), ints(1)),
        (ints(1, 2), ints(0, -1), ints(0, 1), ints(1)),
    ],
    ids=["slots short", "positions short", "no list", "int64", "row beyond", "row < 0", "slot beyond", "slot < 0"],
)
def test_a_call_of_the_wrong_shape_is_our_own_mistake(
    decoder: Decoder, tokens: Any, slots: Any, positions: Any, rows: Any
) -> None:
    with pytest.raises(AssertionError):
        decoder.forward(tokens, slots, positions, decoder.new_cache(2, 8), rows)


@pytest.mark.parametrize("token", [-1, 288, 2**31 - 1])
def test_a_token_outside_the_vocabulary_is_refused(decoder: Decoder, token: int) -> None:
    with pytest.raises(BadInput):
        decoder.forward(ints(token), ints(0), ints(0), decoder.new_cache(1, 8), ints(0))


def test_a_position_beyond_the_cache_is_refused(decoder: Decoder) -> None:
    with pytest.raises(PromptTooLong):
        decoder.forward(ints(1), ints(0), ints(8), decoder.new_cache(1, 8), ints(0))


def test_a_cache_longer_than_the_model_was_trained_for_is_refused(decoder: Decoder) -> None:
    with pytest.raises(PromptTooLong):
        decoder.new_cache(1, decoder.config.context + 1)


def test_a_cache_of_another_model_is_refused(decoder: Decoder, tiny_decoder: Callable[[str], Decoder]) -> None:
    stranger = tiny_decoder("llama-wide-heads").new_cache(1, 8)
    with pytest.raises(AssertionError):
        decoder.forward(ints(1), ints(0), ints(0), stranger, ints(0))


def test_a_cache_says_how_much_memory_it_may_take(decoder: Decoder) -> None:
    cache = decoder.new_cache(3, 32)
    config = decoder.config
    numbers = 2 * config.layers * 3 * config.kv_heads * 32 * config.head_dim
    assert (cache.slots, cache.context_tokens) == (3, 32)
    assert numbers * 2 <= cache.bytes <= numbers * 4 + 4096


@pytest.mark.parametrize(
    "fields",
    [
        {"num_attention_heads": 5},
        {"num_attention_heads": 4},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 3},
        {"num_key_value_heads": 0},
        {"hidden_size": 95},
        {"hidden_size": 0},
        {"intermediate_size": 161},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": 4},
        {"num_hidden_layers": 2**31},
        {"vocab_size": 287},
        {"vocab_size": 10**9},
        {"tie_word_embeddings": False},
        {"rms_norm_eps": -1.0},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 0.0}},
        {"max_position_embeddings": 0},
    ],
    ids=str,
)
def test_a_config_that_contradicts_its_weights_is_refused(
    tampered: Callable[..., Path], fields: dict[str, Any]
) -> None:
    with pytest.raises(BadFile):
        load_decoder(open_checkpoint(tampered("qwen2-tied", **fields)), threads=THREADS)


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}},
        {"hidden_act": "relu"},
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 0},
    ],
    ids=str,
)
def test_what_we_would_compute_wrongly_is_refused(tampered: Callable[..., Path], fields: dict[str, Any]) -> None:
    with pytest.raises(BadFile):
        load_decoder(open_checkpoint(tampered("qwen2-tied", **fields)), threads=THREADS)


def test_a_decoder_is_not_an_encoder_and_the_other_way_round(
    tampered: Callable[..., Path], tiny_bert: Sentences
) -> None:
    with pytest.raises(BadInput):
        load_encoder(open_checkpoint(tampered("qwen2-tied")))
    with pytest.raises(BadInput):
        load_decoder(open_checkpoint(tiny_bert.path), threads=THREADS)


def test_the_config_is_a_plain_value(decoder: Decoder) -> None:
    assert replace(decoder.config) == decoder.config
