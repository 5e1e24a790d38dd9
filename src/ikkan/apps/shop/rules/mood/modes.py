"""Which mode somebody is in: a Bayesian filter over six modes, event by event.

Each event is told as a few signals (`signals.py`); a signal's value makes each mode more or less likely. Between events
the belief falls back to where it began, with a half-life: a mood is short. The numbers are tables, so that they can be
read, argued with and learned.

Source: the forward pass of a hidden Markov model (Rabiner 1989) whose transition is "stay, or start anew"; likelihoods
are tempered, because signals of one event are not independent (Grünwald's safe Bayes, 2012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import MODES, Mode

_Row = tuple[float, float, float, float, float, float]

PRIOR: _Row = (0.30, 0.26, 0.16, 0.12, 0.04, 0.12)
"""How common each mode is before anything was done, in the order of `MODES`."""

_LEANS: Mapping[str, Mapping[str, _Row]] = {
    #                    goal  explore compare deal  gift  replenish
    "deed": {
        "viewed": (1.0, 1.1, 1.1, 1.0, 1.0, 0.9),
        "carted": (1.3, 0.6, 0.7, 1.1, 1.1, 1.7),
        "uncarted": (0.8, 0.9, 1.7, 1.5, 1.0, 0.5),
        "bought": (1.3, 0.7, 0.7, 1.1, 1.1, 1.6),
        "searched": (1.7, 0.6, 0.8, 1.0, 1.2, 1.0),
    },
    "pace": {
        "quick": (0.9, 1.3, 1.0, 1.0, 0.8, 1.3),
        "steady": (1.0, 1.0, 1.1, 1.0, 1.0, 1.0),
        "slow": (1.1, 0.8, 1.2, 0.9, 1.2, 0.8),
    },
    "dwell": {
        "glance": (0.8, 1.5, 0.7, 1.1, 0.9, 1.2),
        "look": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        "study": (1.2, 0.6, 1.6, 0.9, 1.2, 0.5),
    },
    "step": {
        "again": (0.9, 0.3, 3.0, 1.0, 0.9, 0.8),
        "same": (1.5, 0.5, 1.6, 0.9, 0.9, 0.6),
        "near": (1.0, 1.0, 0.8, 1.0, 1.0, 0.9),
        "far": (0.5, 1.8, 0.3, 1.2, 1.3, 1.5),
    },
    "price": {
        "cheap": (0.9, 1.0, 0.9, 1.8, 0.6, 1.1),
        "usual": (1.0, 1.0, 1.0, 0.8, 1.0, 1.1),
        "dear": (1.1, 1.0, 1.2, 0.4, 1.7, 0.5),
    },
    "saving": {
        "coupon": (0.8, 0.7, 0.8, 5.0, 0.6, 1.0),
        "paid full": (1.05, 1.0, 1.0, 0.6, 1.1, 1.0),
    },
    "known": {
        "bought before": (0.6, 0.4, 0.6, 0.8, 0.3, 5.0),
        "known kind": (1.1, 0.8, 1.0, 1.0, 0.7, 1.1),
        "new kind": (1.0, 1.5, 1.0, 1.0, 2.0, 0.1),
    },
    "words": {
        "deal": (0.6, 0.4, 0.7, 8.0, 0.6, 0.8),
        "gift": (0.4, 0.4, 0.5, 0.6, 30.0, 0.2),
        "compare": (0.8, 0.5, 6.0, 0.8, 0.6, 0.3),
        "plain": (1.3, 0.9, 1.0, 0.8, 0.7, 1.0),
    },
}
"""Signal → value → how much oftener than usual it is seen in each mode. A signal without a value says nothing."""

_USUAL: Mapping[str, Mapping[str, float]] = {
    "deed": {"viewed": 0.8, "carted": 0.08, "uncarted": 0.01, "bought": 0.05, "searched": 0.06},
    "pace": {"quick": 0.3, "steady": 0.5, "slow": 0.2},
    "dwell": {"glance": 0.3, "look": 0.5, "study": 0.2},
    "step": {"again": 0.1, "same": 0.45, "near": 0.2, "far": 0.25},
    "price": {"cheap": 0.3, "usual": 0.45, "dear": 0.25},
    "saving": {"coupon": 0.1, "paid full": 0.9},
    "known": {"bought before": 0.1, "known kind": 0.6, "new kind": 0.3},
    "words": {"deal": 0.05, "gift": 0.03, "compare": 0.04, "plain": 0.88},
}
"""How often each value is seen, whatever the mode."""


def _chances() -> dict[str, dict[str, _Row]]:
    made: dict[str, dict[str, _Row]] = {}
    for signal, leans in _LEANS.items():
        weights = {value: [_USUAL[signal][value] * lean for lean in row] for value, row in leans.items()}
        sums = [sum(column) for column in zip(*weights.values(), strict=True)]
        rows = {value: [each / total for each, total in zip(row, sums, strict=True)] for value, row in weights.items()}
        made[signal] = {value: (r[0], r[1], r[2], r[3], r[4], r[5]) for value, r in rows.items()}
    return made


LIKELIHOODS: Mapping[str, Mapping[str, _Row]] = _chances()
"""Signal → value → its chance in each mode; the values of a signal sum to 1 in every mode."""

_WEEKEND: _Row = (0.95, 1.15, 1.0, 1.0, 1.1, 0.95)
_EVENING: _Row = (0.95, 1.15, 1.0, 1.0, 1.0, 0.95)
_WORKING: _Row = (1.15, 0.9, 1.0, 0.95, 1.0, 1.05)


@dataclass(frozen=True, slots=True)
class Tables:
    """The filter's numbers."""

    prior: _Row = PRIOR
    likelihoods: Mapping[str, Mapping[str, _Row]] = field(default_factory=lambda: LIKELIHOODS)
    temper: float = 0.7
    """Exponent on each likelihood; below 1 because signals of one event repeat one another."""
    half_life_s: float = 1_200.0
    """A belief is half way back to the prior after so long without news."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """One event as the filter sees it."""

    event_id: str
    at: datetime
    signals: Mapping[str, str]


def at_this_hour(at: datetime, *, hours_from_utc: float = 0.0, deal: float = 1.0, replenish: float = 1.0) -> _Row:
    """Factors on the prior: the hour and the weekday where the shop is, and what the person is wont to do.

    Args:
        deal: how much oftener than others this person buys at a discount.
        replenish: how much oftener than others this person buys the same again.
    """
    local = at + timedelta(hours=hours_from_utc)
    weekend = local.weekday() >= 5
    hour = _EVENING if local.hour >= 19 else _WORKING if 9 <= local.hour < 18 and not weekend else (1.0,) * 6
    day = _WEEKEND if weekend else (1.0,) * 6
    own = (1.0, 1.0, 1.0, deal, 1.0, replenish)
    made = [a * b * c for a, b, c in zip(hour, day, own, strict=True)]
    return (made[0], made[1], made[2], made[3], made[4], made[5])


def believe(
    noticed: Sequence[Noticed], at: datetime, *, habits: _Row = (1.0,) * 6, tables: Tables | None = None
) -> Mapping[Mode, float]:
    """How likely each mode is at `at`, given what was noticed before; sums to 1.

    Args:
        noticed: in order of time.
        habits: factors on the prior, of `at_this_hour`.

    >>> from datetime import UTC
    >>> now = datetime(2026, 5, 6, 12, tzinfo=UTC)
    >>> back = [Noticed(str(n), now, {"deed": "viewed", "step": "again"}) for n in range(4)]
    >>> max(believe(back, now).items(), key=lambda each: each[1])[0]
    'compare'
    >>> faded = believe(back, now + timedelta(hours=8))
    >>> round(faded["compare"], 2) == PRIOR[2]
    True
    """
    tables = tables or Tables()
    start = _normal(np.asarray(tables.prior) * np.asarray(habits))
    belief, last = start, None
    for each in noticed:
        if last is not None:
            belief = _faded(belief, start, (each.at - last).total_seconds(), tables.half_life_s)
        last = each.at
        weight = np.zeros(len(MODES))
        for signal, value in each.signals.items():
            row = tables.likelihoods.get(signal, {}).get(value)
            if row is not None:
                weight += np.log(row)
        belief = _normal(belief * np.exp(tables.temper * weight))
    if last is not None:
        belief = _faded(belief, start, (at - last).total_seconds(), tables.half_life_s)
    return {mode: float(share) for mode, share in zip(MODES, belief, strict=True)}


def _faded(
    belief: NDArray[np.float64], start: NDArray[np.float64], seconds: float, half_life_s: float
) -> NDArray[np.float64]:
    kept = 0.5 ** (max(seconds, 0.0) / half_life_s)
    return np.asarray(start + (belief - start) * kept)


def _normal(row: NDArray[np.float64]) -> NDArray[np.float64]:
    # A mode can become unlikely, never impossible: people change their minds.
    row = np.maximum(row, 1e-4)
    return np.asarray(row / row.sum())
