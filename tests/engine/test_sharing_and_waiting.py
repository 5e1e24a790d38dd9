"""Who reads what once, who waits for whom, and what happens when there is not enough of something."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ikkan.engine.engine import Engine
from ikkan.engine.fakes import END, FakeDecoder, fake_template, fake_tokenizer
from ikkan.engine.scheduler import Costs
from ikkan.engine.values import Generation, Sampling
from ikkan.ground.errors import BadInput, DeadlineMissed, Internal, RateLimited, UnknownModel

from .test_whatever_happens import Shelf, Told, finish, nothing_is_left

LONG = "a long beginning that everybody has, word after word after word; "


def engine_of(decoder: FakeDecoder | None = None, **options: Any) -> Engine:
    settings = {"max_batch": 8, "context_tokens": 400, "guess": False, **options}
    return Engine(decoder or FakeDecoder(), fake_tokenizer(), fake_template(), **settings)


def asked(text: str, tokens: int = 5, **more: Any) -> Generation:
    return Generation(tuple(text.encode()), max_tokens=tokens, sampling=Sampling(temperature=0), **more)


def tell(engine: Engine, *requests: Generation) -> list[Told]:
    """Ask one after the other, without a step between them."""
    told = [Told() for _ in requests]
    for one, request in zip(told, requests, strict=True):
        engine.submit([request], one)
    return told


def alone(request: Generation) -> str:
    engine = engine_of(max_batch=1)
    (told,) = tell(engine, request)
    finish(engine)
    return told.text


def read(decoder: FakeDecoder) -> int:
    return sum(map(len, decoder.calls))


# --- what is shared ---------------------------------------------------------------------------------------------------


def test_eight_who_come_together_read_what_they_share_once() -> None:
    decoder = FakeDecoder(page_tokens=8)
    engine = engine_of(decoder)
    requests = [asked(LONG + str(number), 1) for number in range(8)]
    told = tell(engine, *requests)
    finish(engine)
    whole = len(LONG) // 8 * 8
    tails = 8 * (len(LONG) + 1 - whole)
    assert read(decoder) == whole + tails
    assert len(decoder.calls) == 2  # the tails are read all at once
    assert [one.text for one in told] == [alone(request) for request in requests]
    nothing_is_left(engine)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [({}, {"cache_salt": "theirs"}), ({}, {"adapter": "first"}), ({"adapter": "second"}, {"adapter": "first"})],
)
def test_nothing_is_shared_between_salts_or_adapters(ours: dict[str, str], theirs: dict[str, str]) -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder, adapters=Shelf())
    tell(engine, asked(LONG, 1, **ours), asked(LONG, 1, **theirs))
    finish(engine)
    tell(engine, asked(LONG, 1, **theirs))
    finish(engine)
    last = (len(LONG) - 1) // 4 * 4
    assert read(decoder) == 2 * len(LONG) + len(LONG) - last


def test_an_answer_in_the_making_is_shared_too() -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder)
    (first,) = tell(engine, asked(LONG, 40))
    for _ in range(30):
        engine.step()
    so_far = LONG + first.text
    decoder.calls.clear()
    tell(engine, asked(so_far + "!", 1))
    engine.step()
    assert len(decoder.calls[0]) - 1 <= 2 * decoder.page_tokens
    finish(engine)
    nothing_is_left(engine)


def test_whoever_waits_for_a_page_reads_it_when_its_reader_leaves() -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder)
    engine._costs.budget = lambda rows: 16  # type: ignore[method-assign]
    leaving = engine.submit([asked(LONG, 9)], Told())
    (staying,) = tell(engine, asked(LONG + "?", 9))
    engine.step()
    assert {slot for call in decoder.calls for _, slot, _ in call} == {0}
    leaving.cancel()
    finish(engine)
    assert staying.text == alone(asked(LONG + "?", 9))
    nothing_is_left(engine)


def test_pages_of_an_answer_that_failed_are_not_remembered() -> None:
    decoder = FakeDecoder(fail_when=lambda text: len(text) > len(LONG) + 3)
    engine = engine_of(decoder)
    (told,) = tell(engine, asked(LONG, 9))
    finish(engine)
    assert isinstance(told.failure, Internal)
    assert engine.status().pages_cached == 0
    nothing_is_left(engine)


# --- not enough pages -------------------------------------------------------------------------------------------------


def test_the_youngest_gives_way_and_goes_on_later_as_if_nothing_had_happened() -> None:
    engine = engine_of(FakeDecoder(), context_tokens=120, pages=32)
    requests = [asked(f"{number} is here", 100, ignore_eos=True) for number in range(3)]
    told = tell(engine, *requests)
    ends: list[int] = []
    while engine.step():
        ends += [number for number, one in enumerate(told) if one.finish and number not in ends]
    assert engine.status().preemptions > 0
    assert ends[0] == 0
    assert [one.text for one in told] == [alone(request) for request in requests]
    assert b"ikkan_engine_preemptions_total" in engine.metrics.text()
    nothing_is_left(engine)


def test_the_page_that_was_left_longest_ago_is_overwritten_first() -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder, context_tokens=40, pages=20)
    texts = [str(number) * 20 for number in range(5)]
    for text in texts:
        tell(engine, asked(text, 1))
        finish(engine)
    decoder.calls.clear()
    for text in (texts[4], texts[3], texts[0]):
        tell(engine, asked(text, 1))
        finish(engine)
    assert [len(call) for call in decoder.calls] == [1, 1, 20]  # only what the scores are needed of is read again


def test_a_text_without_room_waits_until_there_is_some() -> None:
    engine = engine_of(FakeDecoder(), context_tokens=120, pages=30)
    told = tell(engine, asked("a" * 60, 30, ignore_eos=True), asked("b" * 60, 30, ignore_eos=True))
    engine.step()
    status = engine.status()
    assert (status.slots_in_use, status.waiting) == (1, 1)
    finish(engine)
    assert [len(one.ids) for one in told] == [30, 30]
    assert engine.status().preemptions == 0


# --- taking turns -----------------------------------------------------------------------------------------------------


def test_callers_take_turns_however_much_one_of_them_asks_for() -> None:
    engine = engine_of(max_batch=1)
    order: list[str] = []

    def ask(name: str, caller: str) -> None:
        engine.submit([asked(name, 2, caller=caller)], lambda _, piece: order.append(name) if piece.is_last else None)

    for number in range(4):
        ask(f"flood {number}", "a")
    ask("one", "b")
    ask("two", "b")
    ask("only", "c")
    finish(engine)
    assert order == ["flood 0", "one", "only", "flood 1", "two", "flood 2", "flood 3"]


def test_a_caller_with_nothing_running_goes_before_one_with_much() -> None:
    engine = engine_of(max_batch=3)
    tell(engine, *[asked(f"{number}", 20, caller="a", ignore_eos=True) for number in range(2)])
    engine.step()
    tell(engine, *[asked(f"more {number}", 5, caller="a") for number in range(2)], asked("b", 5, caller="b"))
    engine.step()
    assert sorted(one.request.caller for one in engine._seated) == ["a", "a", "b"]


def test_whoever_fills_the_line_does_not_close_the_door_to_others() -> None:
    engine = engine_of(max_batch=1, max_waiting=4)
    tell(engine, *[asked(str(number), 2, caller="a") for number in range(5)])
    with pytest.raises(RateLimited) as caught:
        tell(engine, asked("one more", caller="a"))
    assert 0.1 <= caught.value.facts["retry_after_s"] <= 20
    (other,) = tell(engine, asked("b", 2, caller="b"))
    with pytest.raises(RateLimited):
        tell(engine, asked("b", 2, caller="b"))
    finish(engine)
    assert other.finish == "length"


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_a_deadline_that_is_over_is_refused_at_once() -> None:
    with pytest.raises(DeadlineMissed):
        tell(engine_of(), asked("late", deadline_s=time.monotonic() - 1))


def test_an_answer_that_is_late_ends_with_an_error_and_frees_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()
    now = time.monotonic()
    late, fine = tell(engine, asked("late", 50, deadline_s=now + 100, ignore_eos=True), asked("fine", 5))
    engine.step()
    monkeypatch.setattr(time, "monotonic", lambda: now + 101)
    finish(engine)
    assert isinstance(late.failure, DeadlineMissed) and late.text
    assert fine.finish == "length"
    assert 'finish="late"' in engine.metrics.text().decode()
    nothing_is_left(engine)


def test_a_prompt_that_cannot_be_read_in_time_is_not_begun() -> None:
    engine, decoder = engine_of(), FakeDecoder()
    engine._costs.note(1, 100, 100.0)  # a second a token
    (told,) = tell(engine, asked("x" * 60, deadline_s=time.monotonic() + 30))
    finish(engine)
    assert isinstance(told.failure, DeadlineMissed)
    assert not decoder.calls
    nothing_is_left(engine)


# --- adapters ---------------------------------------------------------------------------------------------------------


def test_an_adapter_reads_only_the_texts_that_name_it() -> None:
    engine = engine_of(adapters=Shelf())
    requests = [asked(LONG, 8), asked(LONG, 8, adapter="first"), asked(LONG, 8, adapter="second")]
    told = tell(engine, *requests)
    finish(engine)
    assert len({one.text for one in told}) == 3
    again = tell(engine, requests[1])
    finish(engine)
    assert again[0].text == told[1].text
    nothing_is_left(engine)


def test_an_adapter_that_is_not_loaded_is_an_unknown_model() -> None:
    with pytest.raises(UnknownModel):
        tell(engine_of(), asked("hello", adapter="first"))
    shelf = Shelf()
    engine = engine_of(adapters=shelf)
    with pytest.raises(UnknownModel):
        engine.submit([asked("hello", adapter="first"), asked("hello", adapter="third")], Told())
    assert not +shelf.held


def test_an_adapter_is_let_go_whatever_happens_to_its_answer() -> None:
    shelf = Shelf()
    engine = engine_of(adapters=shelf, max_batch=1, max_waiting=1)
    ticket = engine.submit([asked("one", adapter="first"), asked("two", adapter="first")], Told())
    with pytest.raises(RateLimited):
        tell(engine, asked("three", adapter="first"))
    with pytest.raises(BadInput):
        engine.submit([asked("many", adapter="first")] * 3, Told())
    assert shelf.held[1] == 2
    engine.step()
    ticket.cancel()
    engine.step()
    nothing_is_left(engine)


# --- guesses ----------------------------------------------------------------------------------------------------------


def echoed(text: str, tokens: int) -> Generation:
    prompt = (*f"user: {text}".encode(), END)
    return Generation(prompt, max_tokens=tokens, sampling=Sampling(temperature=0))


def test_an_answer_that_copies_takes_a_fraction_of_the_calls() -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder, guess=True)
    engine._costs.note(1, 0, 1.0)  # every row more is hoped to cost little
    engine._costs.note = lambda rows, reading, seconds: None  # type: ignore[method-assign]
    text = "This sentence is going to be repeated word by word, all of it, to its very end."
    (told,) = tell(engine, echoed(text, 100))
    finish(engine)
    assert told.text == text
    assert len(decoder.calls) < len(text) / 5
    assert len(text) / 2 < counted(engine, "accepted") <= counted(engine, "drafted")


def counted(engine: Engine, what: str) -> float:
    name = f"\nikkan_engine_{what}_tokens_total "
    return float(engine.metrics.text().decode().split(name)[1].split("\n")[0])


@pytest.mark.parametrize(("guess", "row_s"), [(False, 0.0), (True, 1.0)])
def test_nothing_is_guessed_when_told_so_or_where_rows_are_dear(guess: bool, row_s: float) -> None:
    decoder = FakeDecoder()
    engine = engine_of(decoder, guess=guess)
    for rows in (*range(1, 9), 10, 12, 14, 16, 18):
        engine._costs.note(rows, 0, 1.0 + row_s * (rows - 1))
    engine._costs.note = lambda rows, reading, seconds: None  # type: ignore[method-assign]
    tell(engine, echoed("say this again, say this again", 40))
    finish(engine)
    assert {len(call) for call in decoder.calls[1:]} == {1}


def test_guesses_stop_where_they_are_never_right() -> None:
    decoder = FakeDecoder(certainty=0.0)  # goes on in random letters
    engine = engine_of(decoder, guess=True)
    engine._costs.note(1, 0, 1.0)
    engine._costs.note(17, 0, 2.0)
    engine._costs.note = lambda rows, reading, seconds: None  # type: ignore[method-assign]
    text = "".join(chr(32 + first) + chr(32 + second) for first in range(15) for second in range(12))
    tell(engine, Generation(tuple(text.encode()[:300]), max_tokens=90, sampling=Sampling(temperature=0)))
    finish(engine)
    assert sum(len(call) - 1 for call in decoder.calls[-40:]) <= 4


def test_costs_follow_the_machine() -> None:
    costs = Costs(target_s=0.06)
    for _ in range(60):
        costs.note(1, 0, 0.004)
        costs.note(1, 64, 0.004 + 64 * 0.001)
    assert costs.of(1) == pytest.approx(0.004, rel=0.05)
    assert costs.budget(1) == 48
    for _ in range(60):
        costs.note(1, 64, 0.004 + 64 * 0.01)
    assert costs.budget(1) == 16
    assert costs.budget(0) == 16
