"""Leave one out: the reason is what the suggestion would fall furthest without.

All histories, the whole one and those without one event, are scored in one batch; a mood is one more thing that may be
left out. A reason is given only where leaving it out takes a fair part of the chance; popular, new and pinned only
where the thing came from there. Otherwise nothing is said.

Source: counterfactual explanation by deletion, as in ACCENT (Tran et al. 2021), over events instead of features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.explain import phrases
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.values import Because, Deed, Happened, Mood, Ware

LAST = 20
"""So many of the last events are tried; what lies further back is never named."""
LEAST_SHARE = 0.05
"""Below this part of the chance nothing is the reason."""

ScoreWithout = Callable[[NDArray[np.bool_]], NDArray[np.floating]]
"""Which events are kept `(variants, events)` → the log-odds of each place `(variants, places)`, in one batch."""


@dataclass(frozen=True, slots=True)
class Drops:
    """What leaving each event out does to each place."""

    events: tuple[Happened, ...]
    """The events tried, in order."""
    whole: NDArray[np.float64]
    """`(places,)`: log-odds with all events."""
    without: NDArray[np.float64]
    """`(events, places)`: log-odds with one event less."""

    @property
    def fall(self) -> NDArray[np.float64]:
        """`(events, places)`: how far each place falls without each event; negative where it rises."""
        return np.asarray(self.whole[None, :] - self.without)


def drops(events: Sequence[Happened], score: ScoreWithout, *, last: int = LAST) -> Drops:
    """Score the places with all events and without each of the last ones, in one batch of at most `last + 1` variants.

    Events that name no product are never left out: they are not what anybody looked at.
    """
    tried = [at for at, event in enumerate(events) if event.product_id is not None][-last:]
    kept = np.ones((len(tried) + 1, len(events)), np.bool_)
    kept[np.arange(1, len(tried) + 1), tried] = False
    odds = np.asarray(score(kept), np.float64)
    return Drops(tuple(events[at] for at in tried), odds[0], odds[1:])


def because(
    places: Sequence[tuple[Ware, str]],
    events: Sequence[Happened],
    score: ScoreWithout,
    mood: Mood | None = None,
    *,
    ware_of: Callable[[str], Ware | None],
    lifts: NDArray[np.floating] | None = None,
    least: float = LEAST_SHARE,
) -> list[Because | None]:
    """The reason for each place, or None where there is no true one to give.

    Args:
        places: each a ware and where the candidate came from (`Suggested.source`).
        events: what the person did, newest last.
        ware_of: what an event was about, to be named.
        lifts: by how much the mood raised the log-odds of each place.
    """
    strongest: list[tuple[Happened | None, float]] = [(None, 0.0)] * len(places)
    whole = [0.0] * len(places)
    found = drops(events, score) if places and events else None
    if found is not None:
        whole = found.whole.tolist()
        if found.events:
            fall = found.fall
            at = fall.argmax(0)
            falls = fall[at, np.arange(len(places))].tolist()
            strongest = [(found.events[each], fell) for each, fell in zip(at.tolist(), falls, strict=True)]
    lifted: list[float] = [0.0] * len(places) if lifts is None else lifts.tolist()
    return [
        _reason(ware, source, *each, odds, lift, mood, least, ware_of)
        for (ware, source), each, odds, lift in zip(places, strongest, whole, lifted, strict=True)
    ]


def _reason(
    ware: Ware, source: str, event: Happened | None, fell: float, whole: float, lift: float, mood: Mood | None,
    least: float, ware_of: Callable[[str], Ware | None],
) -> Because | None:  # fmt: skip
    """The reason of one place."""
    if source in {"pinned", "new"}:
        return Because("pinned", phrases.PINNED) if source == "pinned" else Because("new", phrases.NEW)
    if mood is not None and lift > max(fell, 0.0):
        share = _share(whole + lift, lift)
        if share >= least:
            return Because("mood", phrases.of_mood(ware, mood), share=share)
    share = _share(whole, fell)
    if event is not None and share >= least:
        about = ware_of(event.product_id or "")
        words = None if about is None else _told(about, event.deed)
        # Where the true reason cannot be told, the second best would not be true.
        if about is None or words is None:
            return None
        if about.product_id == ware.product_id and event.deed == "bought":
            return Because("replenish", phrases.filled(phrases.AGAIN, about), about.product_id, event.event_id, share)
        return Because("event", words, about.product_id, event.event_id, share)
    return Because("popular", phrases.POPULAR) if source == "popular" else None


_TOLD: dict[tuple[int, Deed], tuple[Ware, Mapping[str, str] | None]] = {}
"""What was told last: the same few wares are the reason for most places."""
_TOLD_MOST = 10_000


def _told(about: Ware, deed: Deed) -> Mapping[str, str] | None:
    """How it is told that somebody did this to a ware; None where it cannot be told."""
    known = _TOLD.get((id(about), deed))
    if known is not None and known[0] is about:
        return known[1]
    words = None
    if deed in phrases.DEEDS_TOLD and not is_sensitive(f"{about.name} {about.category} {' '.join(about.tags)}"):
        words = phrases.filled(phrases.DEEDS_TOLD[deed], about)
    if len(_TOLD) >= _TOLD_MOST:
        _TOLD.clear()
    _TOLD[id(about), deed] = about, words  # the ware is kept with it, so its id is nobody else's
    return words


def _share(odds: float, fell: float) -> float:
    """Of the chance at these log-odds, the part that goes when they fall so far."""
    if fell <= 0:
        return 0.0
    # After over before; one over a chance is 1 + exp(-odds).
    return 1.0 - (1.0 + math.exp(min(-odds, 700.0))) / (1.0 + math.exp(min(fell - odds, 700.0)))
