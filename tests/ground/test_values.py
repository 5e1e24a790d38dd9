"""Ids are in order, time is UTC, money is exact."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikkan.ground.clock import FakeClock, SystemClock
from ikkan.ground.ids import new_id
from ikkan.ground.money import FREE, Price, format_micros

MICROS = st.integers(0, 10**12)
TOKENS = st.integers(0, 10**9)


def test_ids_are_in_the_order_they_were_made() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made) and len(set(made)) == len(made)


def test_ids_are_version_7_and_carry_their_prefix() -> None:
    value = uuid.UUID(new_id("job").removeprefix("job-"))
    assert (value.version, value.variant) == (7, uuid.RFC_4122)


def test_ids_of_many_threads_never_meet() -> None:
    made: list[str] = []

    def make() -> None:
        made.extend([new_id() for _ in range(2_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_the_systems_clock_is_aware() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.advance(0.5)
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


@given(MICROS, MICROS, MICROS, TOKENS, TOKENS, TOKENS)
def test_a_price_is_exact_to_half_a_micro(
    fresh: int, cached: int, out: int, fresh_tokens: int, cached_tokens: int, output_tokens: int
) -> None:
    price = Price("JPY", fresh, cached, out)
    exact = Fraction(fresh * fresh_tokens + cached * cached_tokens + out * output_tokens, 1_000_000)
    cost = price.of(input_tokens=fresh_tokens + cached_tokens, cached_tokens=cached_tokens, output_tokens=output_tokens)
    assert abs(cost - exact) <= Fraction(1, 2)


def test_free_is_free() -> None:
    assert FREE.of(input_tokens=10**9, cached_tokens=0, output_tokens=10**9) == 0


@given(st.integers(-(10**18), 10**18))
def test_an_amount_can_be_read_back_from_what_people_see(micros: int) -> None:
    shown, _, currency = format_micros(micros, "JPY").partition(" ")
    assert Fraction(shown.replace(",", "")) * 1_000_000 == micros and currency == "JPY"


@pytest.mark.parametrize(("micros", "shown"), [(1_234_567_000_000, "1,234,567 JPY"), (10, "0.00001 JPY")])
def test_amounts_are_grouped_and_trimmed(micros: int, shown: str) -> None:
    assert format_micros(micros, "JPY") == shown
