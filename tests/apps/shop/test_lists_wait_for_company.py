"""Whoever comes alone waits for nobody; where many ask, one waits until as many are there as lately, for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import batching
from ikkan.apps.shop.service.suggesting.batching import Batches
from ikkan.apps.shop.values import Ask

LONG_S = 30.0
"""Whoever waited so long would have failed the test."""


class Fake:
    """Knows everybody, and notes who was answered together."""

    def __init__(self) -> None:
        self.together: list[list[str]] = []

    def at_hand(self, tenant_id: Any, ask: Ask) -> bool:
        return True

    def suggest_at_once(self, tenant_id: Any, asks: Sequence[Ask], **more: Any) -> list[Any]:
        self.together.append([ask.person for ask in asks])
        return [ask.person for ask in asks]


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def batches(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Batches:
    monkeypatch.setattr(batching, "GATHERS_S", LONG_S)
    monkeypatch.setattr(batching, "BUSY_S", 2 * LONG_S)
    return Batches(fake)  # type: ignore[arg-type]


async def asked(batches: Batches, *people: str) -> None:
    """At once, by all of them."""
    async with asyncio.timeout(LONG_S / 2):
        await asyncio.gather(*(batches.suggest(SHOP, Ask(each)) for each in people))


async def test_whoever_asks_alone_again_and_again_never_waits(batches: Batches, fake: Fake) -> None:
    for person in ("ada", "bob", "eve"):
        await asked(batches, person)
    assert fake.together == [["ada"], ["bob"], ["eve"]]


async def test_the_last_of_as_many_as_before_ends_the_waiting(batches: Batches, fake: Fake) -> None:
    await asked(batches, "ada", "bob", "eve")
    early = [asyncio.ensure_future(batches.suggest(SHOP, Ask(each))) for each in ("ada", "bob")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(fake.together) == 1
    await asked(batches, "eve")
    await asyncio.gather(*early)
    assert fake.together[1:] == [["ada", "bob", "eve"]]


async def test_who_waits_for_company_that_does_not_come_is_answered_and_next_time_waits_for_fewer(
    batches: Batches, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(batches, "ada", "bob")
    monkeypatch.setattr(batching, "GATHERS_S", 0.001)
    await asked(batches, "ada")
    monkeypatch.setattr(batching, "GATHERS_S", LONG_S)
    await asked(batches, "ada")
    assert fake.together == [["ada", "bob"], ["ada"], ["ada"]]


async def test_after_a_quiet_moment_nobody_waits(batches: Batches, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    await asked(batches, "ada", "bob")
    monkeypatch.setattr(batching, "BUSY_S", 0.0)
    await asked(batches, "ada")
    assert fake.together == [["ada", "bob"], ["ada"]]
