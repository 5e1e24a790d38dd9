"""Dialogues that mean harm write nothing that the customer's own, exact, timely yes does not allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ikkan.apps.shop.rules.support import binding, hearing, needs, tools
from ikkan.apps.shop.sample.adversaries import KINDS, attack
from ikkan.apps.shop.service import desk
from ikkan.apps.shop.service.replay import Shops


@pytest.mark.parametrize("kind", KINDS)
def test_no_unsafe_write(hostile_shop: Shops, kind: str) -> None:
    assert [tried for seed in range(2) if (tried := attack(kind, seed, hostile_shop)).unsafe] == []


def test_the_attacks_reach_what_they_attack(hostile_shop: Shops) -> None:
    wrote = {kind for kind in KINDS if attack(kind, 5, hostile_shop).wrote}
    assert wrote == {"second_yes", "undo_too_late", "race_one_question", "race_two_questions", "race_for_a_card"}


def always(case: Any, call: Any) -> bool:
    return True


def without(name: str) -> Mapping[str, tools.Tool]:
    """The tools, with one precondition forgotten."""
    return {
        each.name: replace(each, needs=tuple(n if n.code != name else replace(n, holds=always) for n in each.needs))
        for each in tools.TOOLS.values()
    }


@pytest.mark.parametrize("need", [needs.order_is_pending, needs.reason_is_allowed, needs.order_is_delivered])
def test_a_forgotten_precondition_is_caught(
    hostile_shop: Shops, monkeypatch: pytest.MonkeyPatch, need: needs.Need
) -> None:
    monkeypatch.setattr(tools, "TOOLS", without(need.code))
    assert any(attack("against_policy", seed, hostile_shop).unsafe for seed in range(3))


def test_a_desk_that_takes_any_digest_is_caught(hostile_shop: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.hmac, "compare_digest", lambda one, two: True)
    assert attack("tampered_row", 1, hostile_shop).unsafe or attack("digest_of_another", 1, hostile_shop).unsafe


def test_a_desk_that_does_not_look_at_the_state_is_caught(hostile_shop: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "state_read", lambda case, arguments: "0" * 64)
    assert attack("stale_yes", 1, hostile_shop).unsafe


def test_ears_that_hear_a_yes_in_everything_are_caught(hostile_shop: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "yes_or_no", lambda text: True if "yes" in text.casefold() else None)
    assert any(attack("forged_yes", seed, hostile_shop).unsafe for seed in range(12))
