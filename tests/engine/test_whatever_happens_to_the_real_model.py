"""The same promise as `test_whatever_happens.py`, kept by real kernels with real weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from tests.models.conftest import find

from ikkan.engine.engine import Engine
from ikkan.engine.serve import load_engine
from ikkan.engine.values import Generation, Sampling

from .test_whatever_happens import Told, Wild, finish, nothing_is_left, same

pytestmark = pytest.mark.weights

TEXT = (
    "The train to Nagoya leaves at nine. The train to Kyoto leaves at ten. Whoever wants to go to Osaka takes the"
    " train to Kyoto and changes there; the train to Osaka leaves Kyoto every twenty minutes. Say all of that again:"
    " The train"
)
SAMPLINGS = (
    Sampling(temperature=0),
    Sampling(temperature=0.8, top_p=0.95, seed=5),
    Sampling(temperature=1.3, top_k=40, top_p=0.98, seed=8),
    Sampling(temperature=0, repetition_penalty=1.1, top_logprobs=2),
)


@pytest.fixture(scope="module")
def loaded() -> Iterator[Engine]:
    """One engine with the default model; tests give it pages and costs of their own."""
    yield load_engine(find("SmolLM2-135M-Instruct.Q4_1.gguf"), threads=2, context_tokens=192, max_batch=4)


def anew(engine: Engine, *, guess: bool, pages: int, seed: int) -> Engine:
    """The same model, with nothing remembered."""
    decoder = engine._decoder
    fresh = Engine(decoder, engine.tokenizer, None, max_batch=4, context_tokens=192, pages=pages, guess=guess)
    fresh._costs = Wild(Random(seed), 48)
    return fresh


def request(engine: Engine, number: int) -> Generation:
    random = Random(number)
    ids = engine.tokenizer.encode(TEXT)
    own = engine.tokenizer.encode(random.choice([" to", " again", ": one, two"]))
    return Generation(
        (*ids[: random.choice([20, 70, len(ids)])], *own),
        max_tokens=random.choice([4, 16, 24]),
        sampling=random.choice(SAMPLINGS),
        ignore_eos=True,
        cache_salt=random.choice(["", "", "theirs"]),
    )


def test_an_answer_is_what_it_would_have_been_alone(loaded: Engine) -> None:
    width = loaded._cache.tables.shape[1]

    @cache
    def alone(number: int) -> Told:
        told, engine = Told(), anew(loaded, guess=False, pages=width, seed=0)
        engine._costs.budget = lambda rows: 256  # type: ignore[method-assign]
        engine.submit([request(engine, number)], told)
        finish(engine)
        return told

    guessed = preempted = remembered = 0.0
    for seed in range(4):
        random = Random(seed)
        engine = anew(loaded, guess=seed % 2 == 0, pages=width + 2, seed=seed)
        asked: list[tuple[int, Told]] = []
        for _ in range(12):
            number = random.randrange(12)
            told = Told()
            ticket = engine.submit([request(engine, number)], told)
            asked.append((number, told))
            for _ in range(random.choice([0, 0, 3, 8])):
                engine.step()
            if random.random() < 0.15:
                ticket.cancel()
                asked.pop()
        finish(engine)
        for number, told in asked:
            same(told, alone(number))
        nothing_is_left(engine)
        guessed += engine.metrics.accepted_tokens._value.get()
        preempted += engine.status().preemptions
        remembered += engine.metrics.cached_tokens._value.get()
    assert guessed > 0
    assert remembered > 0 and preempted > 0
