"""Nothing that goes on in the engine changes an answer: who comes and goes, small pages, pieces of prompts, guesses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikkan.engine.engine import Engine, Ticket
from ikkan.engine.fakes import END, VOCAB, FakeDecoder, fake_template, fake_tokenizer
from ikkan.engine.scheduler import Costs
from ikkan.engine.values import Bits, Generation, HeldAdapter, Piece, Sampling
from ikkan.ground.errors import IkkanError, UnknownModel

GREEDY = Sampling(temperature=0)


class Vowels:
    """A constraint for tests: vowels and spaces, `n` is always followed by `ow`, and an end after some letters."""

    def __init__(self, letters: int = 14) -> None:
        self._left = letters
        self._said: list[int] = []

    def allowed(self) -> Bits | None:
        bits = np.zeros(-(-VOCAB // 32), dtype=np.uint32)
        forced = self.forced()
        for token in forced[:1] or b"aeiou n":
            bits[token // 32] |= np.uint32(1 << token % 32)
        return None if len(self._said) == 3 and not forced else bits

    def accept(self, token_id: int) -> None:
        assert not self.ended()
        assert self.forced()[:1] in ([], [token_id])
        self._said.append(token_id)

    def forced(self) -> list[int]:
        after = bytes(one for one in self._said[-2:] if one < 256)
        return list(b"ow" if after[-1:] == b"n" else b"w" if after == b"no" else b"")

    def ended(self) -> bool:
        return len(self._said) >= self._left


class Wild(Costs):
    """Reads pieces of any size and guesses whenever it likes."""

    def __init__(self, random: Random, most: int) -> None:
        super().__init__()
        self._random, self._most = random, most

    def budget(self, rows: int) -> int:
        return self._random.randint(1, self._most)

    def worth_guessing(self, rows: int, tokens: float, reading: int, chances: Sequence[float]) -> int:
        return self._random.randint(0, len(chances))


class Careful(FakeDecoder):
    """Sees to it that a page others may read is never written."""

    engine: Engine

    def forward(self, tokens: Any, slots: Any, positions: Any, cache: Any, *rest: Any, **more: Any) -> Any:
        pages = cache.tables[slots, positions // self.page_tokens].tolist()
        assert not set(pages) & set(self.engine._pages._known.values())
        places = list(zip(pages, (positions % self.page_tokens).tolist(), strict=True))
        assert len(set(places)) == len(places)
        return super().forward(tokens, slots, positions, cache, *rest, **more)


class Shelf:
    """Counts who holds which adapter."""

    def __init__(self) -> None:
        self.held: Counter[int] = Counter()

    def hold(self, name: str) -> HeldAdapter:
        if name not in ("first", "second"):
            raise UnknownModel(f"no adapter named {name!r}")
        number = 1 + (name == "second")
        self.held[number] += 1
        return HeldAdapter(number, name)

    def let_go(self, held: HeldAdapter) -> None:
        self.held[held.number] -= 1


@dataclass
class Told:
    """What one client heard."""

    text: str = ""
    ids: tuple[int, ...] = ()
    logprobs: tuple[Any, ...] = ()
    finish: str | None = None
    failure: IkkanError | None = None

    def __call__(self, number: int, piece: Piece) -> None:
        assert self.finish is None and self.failure is None, "nothing follows the last piece"
        self.text += piece.text
        self.ids += piece.token_ids
        self.logprobs += piece.logprobs
        self.finish, self.failure = piece.finish, piece.failure


def engine_of(decoder: FakeDecoder | None = None, **options: Any) -> Engine:
    decoder = decoder or Careful()
    engine = Engine(decoder, fake_tokenizer(), fake_template(), **{"max_batch": 4, "context_tokens": 120, **options})
    decoder.engine = engine  # type: ignore[attr-defined]
    return engine


def finish(engine: Engine) -> None:
    while engine.step():
        pass


def nothing_is_left(engine: Engine) -> None:
    status, pages = engine.status(), engine._pages
    assert (status.slots_in_use, status.pages_in_use, status.waiting) == (0, 0, 0)
    assert len(pages._free) + status.pages_cached == status.pages
    assert sorted([*pages._free, *pages._idle]) == list(range(status.pages))
    assert sorted(pages._known.values()) == sorted(pages._idle)
    assert not any(pages._readers) and not pages._fillers
    if isinstance(engine.adapters, Shelf):
        assert not +engine.adapters.held


SHARED = b"user: the same beginning, the same beginning, for everybody who asks "
SAMPLINGS = (
    GREEDY,
    GREEDY,
    Sampling(temperature=0.9, top_p=0.9, seed=3),
    Sampling(temperature=1.1, top_k=4, top_p=0.95, seed=6),
    Sampling(temperature=1.1, top_k=30, min_p=0.01, seed=7),
    Sampling(temperature=1.2, seed=4, repetition_penalty=1.2, top_logprobs=2),
    Sampling(temperature=0, frequency_penalty=0.4, presence_penalty=0.2, bias={97: 3.0}),
    Sampling(temperature=0, top_logprobs=0),
)


def prompt(number: int) -> tuple[int, ...]:
    """Conversations that will be echoed, so that guesses come true, and open texts, where they do not."""
    random = Random(number)
    text = SHARED[: random.choice([0, 30, 44, len(SHARED)])] + random.choice([b"", b"abcabcabcabc", b"one two three"])
    return (*text, *b"%d" % (number % 3), END) if number % 4 else (*text, *b"%d" % (number % 5))


def request(number: int) -> Generation:
    """One of a few hundred; the same number is always the same."""
    random = Random(1_000 + number)
    return Generation(
        prompt(random.randrange(8)),
        max_tokens=random.choice([1, 2, 9, 20, 30]),
        sampling=random.choice(SAMPLINGS),
        min_tokens=random.choice([0, 0, 0, 5]),
        stop=random.choice([(), (), ("beg",), (" n", "ever")]),
        ignore_eos=random.random() < 0.3,
        cache_salt=random.choice(["", "", "theirs"]),
        caller=random.choice("ab"),
        adapter=random.choice(["", "", "first", "second"]),
        constraint=Vowels(random.choice([1, 5, 14, 40])) if random.random() < 0.25 else None,
    )


@cache
def alone(number: int) -> Told:
    """What a client hears who is the only one, token by token."""
    told = Told()
    engine = engine_of(max_batch=1, guess=False, adapters=Shelf())
    engine.submit([request(number)], told)
    finish(engine)
    assert told.finish
    return told


def same(told: Told, expected: Told) -> None:
    assert expected.finish and told.failure is None
    assert (told.text, told.ids, told.logprobs, told.finish) == (
        expected.text,
        expected.ids,
        expected.logprobs,
        expected.finish,
    )


steps = st.tuples(st.just("step"), st.integers(1, 6))
arrivals = st.tuples(st.just("ask"), st.integers(0, 199))
departures = st.tuples(st.just("leave"), st.integers(0, 30))
evictions = st.tuples(st.just("forget"), st.just(0))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    happenings=st.lists(st.one_of(steps, arrivals, arrivals, departures, evictions), min_size=15, max_size=60),
    page_tokens=st.sampled_from([1, 2, 4, 8, 16]),
    spare_pages=st.integers(0, 40),
    max_batch=st.integers(1, 6),
    most=st.sampled_from([1, 5, 17, 64]),
    guess=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_an_answer_is_what_it_would_have_been_alone(
    happenings: list[tuple[str, int]],
    page_tokens: int,
    spare_pages: int,
    max_batch: int,
    most: int,
    guess: bool,
    seed: int,
) -> None:
    pages = -(-120 // page_tokens) + spare_pages
    engine = engine_of(
        Careful(page_tokens=page_tokens), max_batch=max_batch, pages=pages, guess=guess, adapters=Shelf()
    )
    engine._costs = Wild(Random(seed), most)
    asked: list[tuple[int, Told, Ticket]] = []
    left: set[int] = set()

    def ask(number: int) -> None:
        told = Told()
        asked.append((number, told, engine.submit([request(number)], told)))

    def leave(place: int) -> None:
        for index in range(len(asked))[place : place + 1]:
            left.add(index)
            asked[index][2].cancel()

    def step(count: int) -> None:
        for _ in range(count):
            engine.step()

    deeds: dict[str, Callable[[int], None]] = {
        "ask": ask,
        "leave": leave,
        "step": step,
        "forget": lambda _: engine._pages.forget_all(),
    }
    for deed, number in happenings:
        deeds[deed](number)
    finish(engine)
    for index, (number, told, _) in enumerate(asked):
        assert told.failure is None
        expected = alone(number)
        assert expected.text.startswith(told.text)
        assert told.finish or index in left
        if told.finish:
            same(told, expected)
    nothing_is_left(engine)
