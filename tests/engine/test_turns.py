"""The engine one step at a time, without a server: who takes part, what is remembered, what is held."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Queue
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikkan.engine import answer, scheduler
from ikkan.engine.engine import Engine
from ikkan.engine.fakes import FakeDecoder, fake_template, fake_tokenizer
from ikkan.engine.values import Generation, Piece, Sampling
from ikkan.ground.errors import PromptTooLong, UpstreamUnreachable

GREEDY = Sampling(temperature=0)


def engine_of(decoder: FakeDecoder | None = None, **options: Any) -> Engine:
    settings = {"max_batch": 4, "context_tokens": 400, **options}
    return Engine(decoder or FakeDecoder(), fake_tokenizer(), fake_template(), **settings)


def asked(text: str, tokens: int = 10, **more: Any) -> Generation:
    return Generation(tuple(text.encode()), max_tokens=tokens, sampling=GREEDY, **more)


class Heard:
    """Collects what an engine says."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, Piece]] = []
        self._came: Queue[Piece] = Queue()

    def __call__(self, number: int, piece: Piece) -> None:
        self.pieces.append((number, piece))
        self._came.put(piece)

    def wait_for_the_end(self) -> Piece:
        return next(piece for piece in iter(lambda: self._came.get(timeout=20), None) if piece.is_last)

    def text(self, number: int = 0) -> str:
        return "".join(piece.text for told, piece in self.pieces if told == number)


def run(engine: Engine, *requests: Generation) -> Heard:
    heard = Heard()
    engine.submit(requests, heard)
    while engine.step():
        pass
    return heard


def test_a_step_reads_everybody_in_one_call() -> None:
    decoder = FakeDecoder()
    run(engine_of(decoder), asked("abc", 3), asked("defgh", 3))
    assert [len(call) for call in decoder.calls] == [8, 2, 2]
    assert [(slot, position) for _, slot, position in decoder.calls[1]] == [(0, 3), (1, 5)]


class Frugal(FakeDecoder):
    """Counts in how many turns all scores were written."""

    written = 0

    def forward(self, *arrays: Any, **more: Any) -> Any:
        self.written += 1
        return super().forward(*arrays, **more)

    def highest(self, tokens: Any, slots: Any, positions: Any, cache: Any, rows: Any, count: int, *rest: Any) -> Any:
        found = super().highest(tokens, slots, positions, cache, rows, count, *rest)
        self.written -= 1  # the pretended model looks at its scores to find them
        return found


def test_an_answer_drawn_from_the_likeliest_is_the_same_without_writing_all_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Sampling(temperature=1.5, top_k=6, top_p=0.9, seed=5)
    requests = [asked("first"), replace(asked("second"), sampling=drawn), replace(asked("third"), sampling=drawn)]
    frugal, lavish = Frugal(), Frugal()
    brief = run(engine_of(frugal), *requests)
    monkeypatch.setattr(answer, "_MOST_WANTED", 0)
    full = run(engine_of(lavish), *requests)
    assert [brief.text(number) for number in range(3)] == [full.text(number) for number in range(3)]
    assert frugal.written == 0 and lavish.written > 0


def test_the_last_token_of_an_answer_is_not_read_again() -> None:
    decoder = FakeDecoder()
    run(engine_of(decoder), asked("abc", 1))
    assert [len(call) for call in decoder.calls] == [3]


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 399])
def test_a_prompt_of_any_length_is_read_whole_in_order_and_once(length: int) -> None:
    decoder = FakeDecoder()
    run(engine_of(decoder), asked("x" * length, 1))
    assert [position for call in decoder.calls for _, _, position in call] == list(range(length))


def test_chunks_do_not_change_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a rather long beginning " * 9
    whole = run(engine_of(), asked(text, 30)).text()
    monkeypatch.setattr(scheduler, "shares", lambda unread, budget: [min(7, one) for one in unread])
    assert run(engine_of(), asked(text, 30)).text() == whole


def test_somebody_who_left_takes_part_no_more() -> None:
    engine, heard = engine_of(), Heard()
    staying, leaving = Heard(), engine.submit([asked("leaving", 50)], heard)
    engine.submit([asked("staying", 5)], staying)
    engine.step()
    leaving.cancel()
    engine.step()
    assert engine.status().slots_in_use == 1
    while engine.step():
        pass
    assert len(staying.text()) == 5
    assert len(heard.pieces) == 1


def test_a_receiver_that_breaks_does_not_end_the_others() -> None:
    engine, fine = engine_of(), Heard()

    def broken(number: int, piece: Piece) -> None:
        raise RuntimeError("the loop is closed")

    engine.submit([asked("a")], broken)
    engine.submit([asked("b")], fine)
    while engine.step():
        pass
    assert len(fine.text()) == 10
    assert engine.status().slots_in_use == 0


def test_context_tokens_never_exceed_what_the_model_was_trained_for() -> None:
    assert engine_of(FakeDecoder(context=64), context_tokens=9_999).context_tokens == 64


@pytest.mark.parametrize(("prompt", "most", "room"), [(10, None, 390), (399, None, 1), (300, 100, 100)])
def test_an_answer_may_be_as_long_as_fits(prompt: int, most: int | None, room: int) -> None:
    assert engine_of().check(prompt, most) == room


@pytest.mark.parametrize(("prompt", "most"), [(400, None), (300, 101)])
def test_what_does_not_fit_is_refused(prompt: int, most: int | None) -> None:
    with pytest.raises(PromptTooLong):
        engine_of().check(prompt, most)


class CountedLease:
    """Says how often it was taken and whether it is held."""

    def __init__(self) -> None:
        self.taken, self.held = 0, False

    @contextmanager
    def interactive(self) -> Iterator[None]:
        self.taken, self.held = self.taken + 1, True
        yield
        self.held = False


def test_the_processor_is_held_while_answers_run_and_let_go_after() -> None:
    lease, heard = CountedLease(), Heard()
    engine = engine_of(lease=lease)
    engine.start()
    assert not lease.held
    engine.submit([asked("a", 50), asked("b", 50)], heard)
    assert [heard.wait_for_the_end().finish for _ in range(2)] == ["length", "length"]
    engine.call(lambda: None).result(20)
    engine.stop()
    assert not lease.held
    assert 1 <= lease.taken <= 3


def test_an_idle_engine_computes_nothing() -> None:
    engine, decoder = engine_of(), FakeDecoder()
    engine.start()
    thread = engine._thread
    assert thread is not None
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    engine.call(lambda: None).result(20)
    before = time.clock_gettime_ns(clock)
    engine.call(lambda: None).result(20)
    once = time.clock_gettime_ns(clock) - before
    time.sleep(0.3)
    idle = time.clock_gettime_ns(clock) - before - once
    engine.stop()
    assert idle <= once + 1_000_000  # it woke for nothing
    assert not decoder.calls


def test_an_errand_runs_on_the_compute_thread_and_its_error_comes_back() -> None:
    engine = engine_of()
    engine.start()
    assert engine.call(threading.current_thread).result(20).name == "ikkan-engine"
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda: 1 // 0).result(20)
    engine.stop()
    with pytest.raises(UpstreamUnreachable):
        engine.call(lambda: None)


def test_should_the_compute_thread_die_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(unread: list[int], budget: int) -> list[int]:
        raise ArithmeticError("a fault of ours")

    monkeypatch.setattr(scheduler, "shares", broken)
    engine, heard, died = engine_of(), Heard(), threading.Event()
    engine.start(on_death=died.set)
    engine.submit([asked("a")], heard)
    assert isinstance(heard.wait_for_the_end().failure, UpstreamUnreachable)
    assert died.wait(20) and engine.died
    with pytest.raises(UpstreamUnreachable):
        engine.submit([asked("a")], heard)


def test_warming_up_leaves_nothing_behind() -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder)
    engine.start()
    engine.warm_up()
    engine.stop()
    assert decoder.calls
    status = engine.status()
    assert (status.slots_in_use, status.pages_in_use, status.pages_cached) == (0, 0, 0)


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=16), st.integers(16, 256))
def test_shares_keep_answers_going_and_waste_nothing(unread: list[int], budget: int) -> None:
    takes = scheduler.shares(unread, budget)
    few = [(take, waiting) for take, waiting in zip(takes, unread, strict=True) if waiting <= scheduler.FEW]
    reading = [(take, waiting) for take, waiting in zip(takes, unread, strict=True) if waiting > scheduler.FEW]
    assert all(take == waiting for take, waiting in few)
    assert all(0 <= take <= waiting for take, waiting in reading)
    assert sum(take for take, _ in reading) == min(budget, sum(waiting for _, waiting in reading))
    for take, waiting in reading[:1]:
        assert take >= min(waiting, budget // 2)
    unfinished = [waiting for take, waiting in reading[1:] if take < waiting]
    assert all(waiting <= min(unfinished, default=waiting) for take, waiting in reading[1:] if take)


def test_a_fake_decoder_gives_the_same_bits_alone_and_in_company() -> None:
    decoder = FakeDecoder()
    alone, crowd = decoder.new_cache(1, 32), decoder.new_cache(3, 32)
    tokens = np.array([5, 6, 7], dtype=np.int32)
    nothing, places = np.zeros(3, dtype=np.int32), np.arange(3, dtype=np.int32)
    one = decoder.forward(tokens, nothing, places, alone, np.array([2], dtype=np.int32))
    all_slots = np.repeat(np.array([2, 0], dtype=np.int32), 3)
    both = decoder.forward(
        np.concatenate([tokens, tokens + 1]), all_slots, np.tile(places, 2), crowd, np.array([5, 2], dtype=np.int32)
    )
    assert both[1].tobytes() == one[0].tobytes()


@pytest.mark.parametrize("module", ["pydantic", "fastapi", "torch", "sqlalchemy", "numba"])
def test_the_engines_door_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, ikkan.engine.serve; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
