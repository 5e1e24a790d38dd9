"""An encoder learns to sort texts: with torch, and whoever serves needs numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ikkan.flywheel.training import Sorter, SortingPlan, call, learn_to_sort
from ikkan.flywheel.training.tensors import sorting
from ikkan.flywheel.training.tensors.encoder import Encoder, Learning
from ikkan.ground.errors import BadInput, MissingPackage, NothingToLearn, TrainingDiverged, UnsupportedFormat
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_encoder

PLAN = SortingPlan(epochs=8, batch=8, rank=4, alpha=8.0, learning_rate=4e-3, dtype="float32")
CPU = torch.device("cpu")


def told_apart_by_pairs(n: int, seed: int) -> tuple[list[str], list[int]]:
    """Two words of six: whether both are of one half decides, so that no word says anything by itself."""
    random = np.random.default_rng(seed)
    texts, classes = [], []
    for _ in range(n):
        first, second = random.choice(6, 2, replace=False).tolist()
        around = [f"w{random.integers(10, 60)}" for _ in range(int(random.integers(0, 4)))]
        texts.append(" ".join([f"w{first}", f"w{second}", *around]))
        classes.append(int(first // 3 == second // 3))
    return texts, classes


def share_right(path: Path, found: Sorter, texts: list[str], classes: list[int]) -> float:
    """As it is served: numpy, the pairs added to the base's own matrices."""
    with open_checkpoint(path) as checkpoint:
        encoder = load_encoder(checkpoint).adapted(found.pairs)
        vectors = encoder.embed([checkpoint.tokenizer.encode_for_embedding(text, 64) for text in texts])
    scores = vectors @ found.head[:-1] + found.head[-1]
    return float((scores.argmax(axis=1) == np.array(classes)).mean())


@pytest.mark.parametrize("spread", [0.0, 0.1], ids=["as it came", "with pairs"])
def test_torch_and_numpy_see_the_same_vectors(tiny_encoder: Path, spread: float) -> None:
    ids = [[2, 9, 4, 3], [2, 3], list(range(4, 60)), [2, 7, 7, 8, 3]]
    with open_checkpoint(tiny_encoder) as checkpoint:
        config: Any = checkpoint.config
        learning = Learning(config, 4, 8.0, 0, CPU)
        with torch.no_grad():
            learning.vector.add_(
                torch.randn(learning.vector.shape, generator=torch.Generator().manual_seed(1)) * spread
            )
            pairs = {
                place: (torch.from_numpy(one.a), torch.from_numpy(one.b)) for place, one in learning.kept().items()
            }
            ours = Encoder(checkpoint, config, torch.float32, CPU).vectors(ids, pairs).numpy()
        plain = load_encoder(checkpoint)
    served = plain.adapted(learning.kept()).embed(ids)
    assert np.abs(ours - served).max() < 1e-5
    assert (np.abs(served - plain.embed(ids)).max() > 1e-3) == (spread > 0)


def test_what_it_learned_it_knows_of_other_texts_too(tiny_encoder: Path) -> None:
    texts, classes = told_apart_by_pairs(240, 1)
    others, truths = told_apart_by_pairs(100, 2)
    found = learn_to_sort(tiny_encoder, texts, classes, 2, PLAN)
    untrained = replace(found, pairs={}, head=head_of_means(tiny_encoder, texts, classes))
    assert share_right(tiny_encoder, found, others, truths) > 0.95
    assert share_right(tiny_encoder, untrained, others, truths) < 0.9
    assert np.mean(found.losses[-10:]) < np.mean(found.losses[:10]) / 2
    assert found.facts["texts"] == 240 and found.facts["dtype"] == "float32"


def head_of_means(path: Path, texts: list[str], classes: list[int]) -> np.ndarray[Any, Any]:
    with open_checkpoint(path) as checkpoint:
        vectors = load_encoder(checkpoint).embed(
            [checkpoint.tokenizer.encode_for_embedding(text, 64) for text in texts]
        )
    means = np.stack([vectors[np.array(classes) == one].mean(axis=0) for one in range(2)], axis=1)
    return np.concatenate([means / np.linalg.norm(means, axis=0), np.zeros((1, 2), np.float32)])


def numbers(found: Sorter) -> bytes:
    return b"".join([found.head.tobytes(), *(one.a.tobytes() + one.b.tobytes() for one in found.pairs.values())])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_texts_and_plan_give_the_same_numbers(tiny_encoder: Path, dtype: Any) -> None:
    texts, classes = told_apart_by_pairs(40, 1)
    plan = replace(PLAN, epochs=1, dtype=dtype)
    first, again = (learn_to_sort(tiny_encoder, texts, classes, 2, plan) for _ in range(2))
    other = learn_to_sort(tiny_encoder, texts, classes, 2, replace(plan, seed=1))
    assert numbers(first) == numbers(again) != numbers(other)


def test_pairs_are_the_same_after_they_are_kept_in_half_precision(tiny_encoder: Path) -> None:
    texts, classes = told_apart_by_pairs(40, 1)
    found = learn_to_sort(tiny_encoder, texts, classes, 2, replace(PLAN, epochs=1))
    halves = [half for one in found.pairs.values() for half in (one.a, one.b)]
    assert all(np.array_equal(half, half.astype(np.float16).astype(np.float32)) for half in halves)
    assert any(one.b.any() for one in found.pairs.values())


def test_every_text_is_seen_once_an_epoch_beside_others_of_its_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 100).tolist()
    plan = SortingPlan(epochs=2, batch=8)
    batches = list(sorting._batches(lengths, plan))
    half = len(batches) // 2
    assert all(sorted(chain(*part)) == list(range(100)) for part in (batches[:half], batches[half:]))
    assert batches[:half] != batches[half:]
    padded = sum(len(batch) * max(lengths[one] for one in batch) for batch in batches)
    assert padded < 1.2 * 2 * sum(lengths)


def test_a_waiting_person_is_let_through_between_steps(tiny_encoder: Path) -> None:
    texts, classes = told_apart_by_pairs(16, 1)
    breaths: list[int] = []
    learn_to_sort(tiny_encoder, texts, classes, 2, replace(PLAN, epochs=1), breathe=lambda: breaths.append(1))
    assert len(breaths) == 2


@pytest.mark.parametrize(
    ("plan", "texts", "error"),
    [
        (PLAN, 0, NothingToLearn),
        (replace(PLAN, rank=0), 4, BadInput),
        (replace(PLAN, max_tokens=2), 4, BadInput),
        (replace(PLAN, learning_rate=1e30), 40, TrainingDiverged),
    ],
    ids=["no texts", "no rank", "no room", "runs away"],
)
def test_what_cannot_be_learned_says_why(
    tiny_encoder: Path, plan: SortingPlan, texts: int, error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        learn_to_sort(tiny_encoder, *told_apart_by_pairs(texts, 1), 2, plan)
    assert str(refused.value)


def test_a_model_that_continues_text_does_not_sort(tiny: Callable[[str], Any]) -> None:
    with pytest.raises(UnsupportedFormat, match="does not embed"):
        learn_to_sort(tiny("llama").path, ["a"], [0], 1, PLAN)


def test_without_torch_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "find_spec", lambda name: None)
    assert not call.can_train()
    with pytest.raises(MissingPackage, match=r"ikkan\[train\]"):
        learn_to_sort(Path("any"), ["a"], [0], 1, PLAN)
