"""Above the bottom rungs stands one whose embedder learns: where there is time, torch, and enough to learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.bootstrap.embedding import HomeEmbedder
from ikkan.bootstrap.platform import Platform
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import Usage
from ikkan.flywheel import Budget, Fitted
from ikkan.flywheel.training import Sorter, SortingPlan
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.money import Price
from ikkan.kit.intent import Labelled, Larger, TunedRecipe, as_examples, report
from ikkan.kit.intent.fit import EXAMPLES_A_SECOND, FOLDS
from ikkan.kit.intent.ladder import Tuned
from ikkan.kit.intent.tuned import FEWEST, TEXTS_A_SECOND
from ikkan.models.adapters import LowRank
from ikkan.models.values import EncoderPairs

from .test_intents import banking, minilm

__all__ = ["banking", "minilm"]

BOTTOM, WHOLE = ["nearest", "linear"], ["nearest", "linear", "tuned"]
INTENTS = ("card late", "card lost", "refund late", "refund lost")
PLENTY = Budget(seconds=60.0)


def written(n: int, seed: int) -> list[Labelled]:
    """Whether the sum of a number's digits is odd decides, which no spelling tells."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        at = number % len(INTENTS)
        digits = random.integers(10, size=4).tolist()
        digits.append((sum(digits) + at) % 2)
        text = "".join(map(str, random.permutation(digits).tolist()))
        rows.append(Labelled(f"{INTENTS[at].split()[0]} no {text}", INTENTS[at]))
    return rows


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """It knows the thing, and not what happened to it."""
    return unit(np.array([["card" in text, "refund" in text] for text in texts], dtype=np.float32))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class Learns:
    """A stand-in for an embedder that learns: with its pairs it knows what happened, too."""

    def __init__(self, *, can_learn: bool = True) -> None:
        self.can_learn = can_learn
        self.taught: list[int] = []
        self.read: list[int] = []

    def learn(self, texts: Sequence[str], classes: Sequence[int], count: int, plan: SortingPlan) -> Sorter:
        self.taught.append(len(texts))
        vectors = self.adapted({})(texts)
        sums = np.zeros((count, vectors.shape[1]), np.float32)
        np.add.at(sums, np.array(classes), vectors)
        head = np.concatenate([20 * unit(sums).T, np.zeros((1, count), np.float32)])
        half = np.full((1, 2), 0.1 + plan.seed, np.float16).astype(np.float32)
        return Sorter({(0, "out"): LowRank(half, half.T.copy(), 1.0)}, np.asarray(head, np.float32), (1.0,))

    def adapted(self, pairs: EncoderPairs) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        def knowing(texts: Sequence[str]) -> NDArray[np.float32]:
            self.read.append(len(texts))
            sums = [sum(map(int, text[-5:])) for text in texts]
            odd = np.array([[one % 2, (one + 1) % 2] for one in sums], dtype=np.float32)
            return unit(np.concatenate([embed(texts), odd], axis=1))

        return knowing


def whole(learns: Learns, fewest: int = 100) -> IntentLearnable:
    return IntentLearnable(embed=embed, above=[TunedRecipe(learns, fewest=fewest)])


def rungs(fitted: Fitted) -> Any:
    return fitted.facts["rungs"]


def test_what_lower_rungs_leave_the_rung_above_knows() -> None:
    taught, judges = as_examples(written(900, 1)), as_examples(written(200, 2))
    bottom = IntentLearnable(embed=embed)
    learnable = whole(Learns())
    fitted = learnable.train(taught, PLENTY, 0)
    before = bottom.score(bottom.train(taught, PLENTY, 0), judges).mean()
    found = report(learnable, fitted, judges, yen_an_hour=3.6)
    assert rungs(fitted) == WHOLE
    assert found.accuracy > 0.95 > 0.8 > before
    assert found.coverage > 0.9 and found.accuracy_answered >= 0.97
    assert found.rungs[2].answered == found.rungs[2].reached > 150
    assert found.rungs[2].yen_per_success is not None


def test_what_is_dear_to_learn_is_judged_by_one_part_only() -> None:
    learns = Learns()
    whole(learns).train(as_examples(written(300, 1)), PLENTY, 0)
    judged, all_of_them = learns.taught
    assert all_of_them == 300 and judged == pytest.approx(300 * (FOLDS - 1) / FOLDS, abs=10)
    assert learns.read.count(300 - judged) == 1


def test_the_rung_above_reads_only_what_was_left_to_it() -> None:
    learns = Learns()
    learnable = whole(learns)
    fitted = learnable.train(as_examples(written(900, 1)), PLENTY, 0)
    del learns.read[:]
    read = learnable.read(fitted, [row.text for row in written(20, 3)])
    assert learns.read == [20] and set(read.step.tolist()) == {2}


@pytest.mark.parametrize(
    ("budget", "can_learn", "fewest"),
    [
        (Budget(seconds=300 / EXAMPLES_A_SECOND + 300 / TEXTS_A_SECOND - 0.1), True, 100),
        (PLENTY, False, 100),
        (PLENTY, True, FEWEST),
    ],
    ids=["no time", "no torch", "too few texts"],
)
def test_where_it_cannot_learn_the_ladder_is_what_it_was(budget: Budget, can_learn: bool, fewest: int) -> None:
    learns, taught = Learns(can_learn=can_learn), as_examples(written(300, 1))
    fitted = whole(learns, fewest).train(taught, budget, 0)
    assert rungs(fitted) == BOTTOM and learns.taught == []
    assert fitted.files == IntentLearnable(embed=embed).train(taught, budget, 0).files


def test_just_enough_time_is_enough() -> None:
    budget = Budget(seconds=300 / EXAMPLES_A_SECOND + 300 / TEXTS_A_SECOND + 0.1)
    assert rungs(whole(Learns()).train(as_examples(written(300, 1)), budget, 0)) == WHOLE


def test_a_rung_that_learned_reads_the_same_after_it_was_stored_where_nothing_can_learn() -> None:
    learnable = whole(Learns())
    fitted = learnable.train(as_examples(written(300, 1)), PLENTY, 0)
    again = whole(Learns()).train(as_examples(written(300, 1)), PLENTY, 0)
    assert fitted.files == again.files
    texts = [row.text for row in written(40, 2)]
    stored = replace(fitted, files=dict(fitted.files))
    here, there = learnable.read(fitted, texts), whole(Learns(can_learn=False)).read(stored, texts)
    assert np.array_equal(here.probability, there.probability)


def test_pairs_come_back_as_they_were_written() -> None:
    pairs: EncoderPairs = {
        (layer, module): LowRank(np.full((2, 3), layer + 0.5, np.float32), np.ones((4, 2), np.float32), 2.0)
        for layer in (0, 11)
        for module in ("qkv", "down")
    }
    rung = Tuned(embed, pairs, np.ones((3, 2), np.float32))
    seen: list[EncoderPairs] = []

    def adapted(found: EncoderPairs) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        seen.append(found)
        return embed

    back = Tuned.load(rung.files(), adapted)
    assert back.files() == rung.files()
    assert {place: (one.a.tolist(), (one.b * one.scaling).tolist()) for place, one in seen[0].items()} == {
        place: (one.a.tolist(), (one.b * one.scaling).tolist()) for place, one in pairs.items()
    }


def test_a_rung_that_cannot_be_read_here_is_named() -> None:
    fitted = whole(Learns()).train(as_examples(written(300, 1)), PLENTY, 0)
    with pytest.raises(SetupNeeded, match="'tuned'") as refused:
        IntentLearnable(embed=embed).read(fitted, ["card no 00001"])
    assert refused.value.hint


def one_cloud(platform: Platform, answer: Sequence[str]) -> FakeUpstream:
    """A larger model that says the same to everybody, at two micros a token."""
    platform.cloud.service.prepare()
    fake = FakeUpstream(answer=answer, usage=Usage(10, 0, 5))
    platform.cloud.router.register("large", fake, models=["fake"], price=Price("JPY", 2_000_000, 0, 2_000_000))
    return fake


@pytest.mark.parametrize(
    ("answer", "answered"), [('{"intent": "card late"}', True), ("refund lost", True), ("who knows", False)]
)
def test_what_is_deferred_may_be_asked_of_a_larger_model_at_the_ledgers_price(
    platform: Platform, answer: str, answered: bool
) -> None:
    fake = one_cloud(platform, [answer])
    learnable = IntentLearnable(embed=embed)
    fitted = learnable.train(as_examples(written(300, 1)), PLENTY, 0)
    judges = as_examples(written(40, 2))
    before = report(learnable, fitted, judges, yen_an_hour=3.6)
    larger = Larger(platform.cloud.pipeline.chat, model="fake")
    found = report(learnable, fitted, judges, yen_an_hour=3.6, larger=larger)
    assert before.deferred.reached == found.deferred.reached == len(fake.requests) == 40
    assert found.deferred.name == "fake" and found.deferred.answered == 40 * answered
    assert found.deferred.right == 10 * answered
    assert found.deferred.yen == pytest.approx(40 * 30 / 1e6)
    assert (found.accuracy == 0.25) if answered else (found.accuracy == before.accuracy)
    assert found.coverage_at_97 == before.coverage_at_97
    schema: Any = fake.requests[0].body["response_format"]
    assert schema["json_schema"]["schema"]["properties"]["intent"]["enum"] == list(INTENTS)


@pytest.mark.weights
def test_the_default_embedder_learns_four_intents_of_banking77(
    banking: tuple[Labelled, ...], minilm: HomeEmbedder
) -> None:
    pytest.importorskip("torch", reason="training is not installed: pip install 'ikkan[train]'")
    four = sorted({row.intent for row in banking})[:4]
    examples = as_examples([row for row in banking if row.intent in four], 0)
    taught, judges = examples.take(np.arange(120)), examples.take(np.arange(120, 200))
    recipe = TunedRecipe(minilm, plan=SortingPlan(epochs=2), fewest=100)
    learnable = IntentLearnable(embed=minilm, above=[recipe])
    fitted = learnable.train(taught, PLENTY, 0)
    assert rungs(fitted) == WHOLE
    asked = learnable.asked(judges.inputs)
    tuned = learnable.ladder(fitted).steps[2].rung.logits(asked).argmax(axis=1)
    right = [four[at] == meant.intent for at, meant in zip(tuned.tolist(), judges.truths, strict=True)]
    assert np.mean(right) > 0.9
    assert sum(map(len, fitted.files.values())) < 3 * 2**20
