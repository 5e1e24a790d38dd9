"""The part of `shop_mood.py` on Complete Journey: discounts that come next, and modes beside what happened then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from shop_mood_data import People, half_of
from shop_mood_numbers import auc, interval, log_loss, logistic, logit, reliability, say, sigmoid

from ikkan.apps.shop.rules.mood import Own, own
from ikkan.apps.shop.rules.mood.modes import believe
from ikkan.apps.shop.rules.mood.signals import notice
from ikkan.apps.shop.values import Happened


def deal(people: People) -> None:
    """Whether what comes next is bought at a discount: log-loss of the deal mood, beside the rates that need none."""
    rng = np.random.default_rng(7)
    rows: dict[str, list[tuple[float, ...]]] = {"rest of the basket": [], "next basket": []}
    outcomes: dict[str, list[bool]] = {"rest of the basket": [], "next basket": []}
    who: dict[str, list[int]] = {"rest of the basket": [], "next basket": []}
    again: list[tuple[float, bool, float, bool, int]] = []
    for person, did in people.events.items():
        sessions = [pair for pair in people.sessions[person] if pair[0] >= 8]
        for at in sorted(rng.permutation(len(sessions))[:6]):
            begin, end = sessions[at]
            past = did[max(0, begin - 200) : begin]
            usual = own(past, people.shelf.get)
            rate = (sum(event.used_coupon for event in past) + 1.2) / (len(past) + 2.0)
            if end - begin >= 2:
                modes = _modes(people, did[begin : end - 1], usual)
                last = did[end - 1]
                rows["rest of the basket"].append((1.0, logit(rate), logit(modes["deal"])))
                outcomes["rest of the basket"].append(last.used_coupon)
                who["rest of the basket"].append(int(person))
                kind = people.shelf[last.product_id or ""].category
                again.append(
                    (
                        modes["replenish"],
                        last.product_id in usual.bought,
                        modes["explore"],
                        kind not in usual.kinds,
                        int(person),
                    )
                )
            later = [pair for pair in people.sessions[person] if pair[0] >= end]
            if later:
                modes = _modes(people, did[begin:end], usual)
                rows["next basket"].append((1.0, logit(rate), logit(modes["deal"])))
                outcomes["next basket"].append(any(event.used_coupon for event in did[later[0][0] : later[0][1]]))
                who["next basket"].append(int(person))
    for what, some in rows.items():
        x, y, people_of = np.asarray(some), np.asarray(outcomes[what], float), np.asarray(who[what])
        tune = np.asarray([half_of(str(each)) == 0 for each in people_of])
        base = np.full(len(y), y[tune].mean())
        own_rate = sigmoid(x[:, :2] @ logistic(x[tune, :2], y[tune]))
        mood = sigmoid(x @ logistic(x[tune], y[tune]))
        for name, chances in (("base rate", base), ("own rate", own_rate), ("own rate and deal mood", mood)):
            say(
                "discount_next_log_loss",
                float(log_loss(chances, y)[~tune].mean()),
                "nats",
                what=what,
                by=name,
                n=int((~tune).sum()),
                rate=round(float(y[~tune].mean()), 3),
            )
        gain, low, high = interval(log_loss(own_rate, y) - log_loss(mood, y), ~tune, people_of)
        say("deal_mood_saves", gain, "nats", low=low, high=high, what=what, beside="own rate")
        shuffled = x.copy()
        for half in (tune, ~tune):
            shuffled[half, 2] = rng.permutation(shuffled[half, 2])
        placebo = sigmoid(shuffled @ logistic(x[tune], y[tune]))
        gain, low, high = interval(log_loss(own_rate, y) - log_loss(placebo, y), ~tune, people_of)
        say("deal_mood_saves", gain, "nats", low=low, high=high, what=what, beside="own rate, moods shuffled")
        reliability("deal_mood", mood[~tune], y[~tune], what=what)
    for name, column, outcome in (("replenish", 0, 1), ("explore", 2, 3)):
        believed, so = np.asarray([row[column] for row in again]), np.asarray([row[outcome] for row in again], float)
        tune = np.asarray([half_of(str(row[4])) == 0 for row in again])
        x = np.column_stack([np.ones(len(believed)), logit(believed)])
        fitted = sigmoid(x @ logistic(x[tune], so[tune]))
        say(
            "mode_auc",
            auc(believed[~tune], so[~tune]),
            "auc",
            mode=name,
            n=int((~tune).sum()),
            rate=round(float(so[~tune].mean()), 3),
            outcome="bought before" if name == "replenish" else "a category never bought",
        )
        reliability("mode", fitted[~tune], so[~tune], mode=name)


def _modes(people: People, some: Sequence[Happened], usual: Own) -> Mapping[Any, float]:
    noticed = notice(
        some, people.shelf.get, median_price_micros=usual.median_price_micros, bought=usual.bought, kinds=usual.kinds
    )
    return believe(noticed, some[-1].at)
