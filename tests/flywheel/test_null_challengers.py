"""What is no better is not promoted more often than designed, however it is looked at; what is better is."""

from __future__ import annotations

import pytest

from ikkan.flywheel import REGULATED, null_challengers
from ikkan.flywheel.nulls import World


def test_of_two_hundred_candidates_that_are_no_better_at_most_one_in_twenty_is_promoted() -> None:
    tally = null_challengers(200, seed=20260601)
    assert (tally.tried, sum(tally.ends.values())) == (200, 200)
    assert tally.share <= 0.05
    # The screen is no wall: most nulls got as far as people, so it was the canary that held.
    assert tally.ends["collecting"] + tally.ends.get("live_worse", 0) > 120


def test_the_gate_alone_holds_too() -> None:
    assert null_challengers(200, seed=20260601, live=False).share <= 0.05


def test_a_candidate_that_is_better_passes() -> None:
    world = World(effect=0.25, people=800, looks=8)
    assert null_challengers(20, seed=1, world=world).share >= 0.9


def test_a_regulated_tenant_is_never_switched_without_a_signature() -> None:
    tally = null_challengers(20, seed=1, world=World(effect=0.3, people=800, looks=8), policy=REGULATED)
    assert tally.promoted == 0 and tally.ends["needs_signature"] > 10


@pytest.mark.parametrize("per_champion", [1, 10])
def test_the_same_seed_gives_the_same_tally(per_champion: int) -> None:
    world = World(people=60, looks=2)
    assert null_challengers(15, seed=4, world=world, per_champion=per_champion) == null_challengers(
        15, seed=4, world=world, per_champion=per_champion
    )
