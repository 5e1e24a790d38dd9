"""One allowance of error for all rounds there will ever be: whoever tries often must be surer each time.

A candidate that is no better passes its round with at most the probability spent on it; over an endless row of rounds
these add up to the allowance. Because evidence is bought with logarithms, the hundredth round needs about three
times the people of the first, not ten thousand times.
"""

from __future__ import annotations


def spend(total: float, round_number: int) -> float:
    """What the n-th round (from 1) may spend of `total`: 1/2, 1/6, 1/12, 1/20 … of it, all of them together 1.

    Source: alpha spending, Lan and DeMets, Biometrika 1983; over rounds by the union bound, with the telescoping
    series 1/k - 1/(k + 1). With Ville's inequality each round may be looked at as often as one likes.

    >>> [round(spend(0.03, n), 4) for n in (1, 2, 3)]
    [0.015, 0.005, 0.0025]
    """
    assert 0 < total < 1 and round_number >= 1, "a share of error, and rounds from 1"
    return total / (round_number * (round_number + 1))


def spent(total: float, rounds: int) -> float:
    """What the first `rounds` rounds have spent together; never all of it.

    >>> spent(0.03, 2), spent(0.03, 10**9) < 0.03
    (0.02, True)
    """
    return total * rounds / (rounds + 1)
