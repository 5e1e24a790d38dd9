"""Sentence embeddings are those of `transformers`, whoever shares the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ikkan.ground.errors import BadInput, HostileFile, PromptTooLong
from ikkan.models.adapters import LowRank
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_encoder

from .conftest import Sentences


@pytest.mark.weights
def test_minilm_embeddings_point_where_transformers_does(minilm: Sentences) -> None:
    got = load_encoder(open_checkpoint(minilm.path)).embed(minilm.ids)
    cosine = np.sum(got * minilm.embeddings, axis=1)
    assert np.allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)
    assert cosine.min() >= 0.9999


@pytest.mark.weights
def test_minilm_tells_a_paraphrase_from_another_matter(minilm: Sentences) -> None:
    checkpoint = open_checkpoint(minilm.path)
    sentences = ["How do I return a parcel?", "I want to send an item back.", "The ferry leaves at noon."]
    ids = [checkpoint.tokenizer.encode(text, special=True) for text in sentences]
    question, paraphrase, other = load_encoder(checkpoint).embed(ids)
    assert question @ paraphrase > question @ other + 0.2


def test_a_tiny_random_encoder_agrees_to_float_precision(tiny_bert: Sentences) -> None:
    got = load_encoder(open_checkpoint(tiny_bert.path)).embed(tiny_bert.ids)
    assert np.abs(got - tiny_bert.embeddings).max() < 1e-5


def test_an_embedding_depends_on_its_batch_by_no_more_than_rounding(tiny_bert: Sentences) -> None:
    encoder = load_encoder(open_checkpoint(tiny_bert.path))
    together = encoder.embed(tiny_bert.ids)
    alone = np.concatenate([encoder.embed([ids]) for ids in tiny_bert.ids])
    assert np.abs(together - alone).max() < 1e-6
    assert np.array_equal(together, encoder.embed(tiny_bert.ids))


def test_no_sentences_give_no_rows(tiny_bert: Sentences) -> None:
    assert load_encoder(open_checkpoint(tiny_bert.path)).embed([]).shape == (0, 48)


def test_a_sentence_longer_than_the_context_is_refused(tiny_bert: Sentences) -> None:
    encoder = load_encoder(open_checkpoint(tiny_bert.path))
    with pytest.raises(PromptTooLong):
        encoder.embed([[1] * (encoder.context + 1)])


@pytest.mark.parametrize("ids", [[[]], [[64]], [[-1, 3]]], ids=["empty", "beyond the vocabulary", "negative"])
def test_impossible_ids_are_refused(ids: list[list[int]], tiny_bert: Sentences) -> None:
    with pytest.raises(BadInput):
        load_encoder(open_checkpoint(tiny_bert.path)).embed(ids)


def test_pairs_change_a_copy_and_leave_the_encoder_as_it_is(tiny_bert: Sentences) -> None:
    encoder = load_encoder(open_checkpoint(tiny_bert.path))
    before = encoder.embed(tiny_bert.ids)
    pair = LowRank(np.full((2, 48), 0.1, np.float32), np.full((80, 2), 0.1, np.float32), 2.0)
    changed = encoder.adapted({(1, "up"): pair}).embed(tiny_bert.ids)
    assert np.abs(changed - before).max() > 1e-3
    assert np.array_equal(encoder.embed(tiny_bert.ids), before)
    assert np.array_equal(encoder.adapted({}).embed(tiny_bert.ids), before)


@pytest.mark.parametrize(
    ("layer", "module", "a", "b"),
    [
        (3, "up", (2, 48), (80, 2)),
        (-1, "up", (2, 48), (80, 2)),
        (0, "gate", (2, 48), (80, 2)),
        (0, "up", (2, 47), (80, 2)),
        (0, "up", (2, 48), (80, 3)),
        (0, "qkv", (2, 48), (48, 2)),
    ],
)
def test_pairs_of_another_model_are_refused(
    tiny_bert: Sentences, layer: int, module: Any, a: tuple[int, int], b: tuple[int, int]
) -> None:
    encoder = load_encoder(open_checkpoint(tiny_bert.path))
    with pytest.raises(HostileFile, match="does not fit"):
        encoder.adapted({(layer, module): LowRank(np.zeros(a, np.float32), np.zeros(b, np.float32), 1.0)})
