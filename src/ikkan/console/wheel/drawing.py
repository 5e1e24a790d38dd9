"""The arithmetic of the wheel's drawings: where stations, intervals and curves stand. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ikkan.flywheel.stops import STOPS
from ikkan.flywheel.values import Decision

STEP = 170
"""From one station of the loop to the next, side by side."""
DOWN = 112
"""The same, one below the other."""
LEFT, RIGHT = 190.0, 430.0
"""Where intervals are drawn, in the drawing's own units: names stand left of it, figures right."""
WIDE, NARROW = 640, 350
"""The two widths in which a curve is drawn: for a desk, and for a telephone."""
HEIGHT = 230
_MARGIN_LEFT, _MARGIN_RIGHT, _TOP, _BOTTOM = 52, 14, 14, 34
_TICKS = 4

Size = Literal["wide", "narrow"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A gain and what is known about it."""

    name: str
    n: int
    gain: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A gain with its interval, somewhere along a curve."""

    at: float
    gain: float
    lower: float
    upper: float
    label: str
    """Below the axis; empty where there is no room."""
    told: str
    """For whoever hovers or listens."""
    state: str = ""
    """How it looks."""
    href: str = ""


def intervals(rows: Sequence[Measured], size: Size = "wide") -> dict[str, Any]:
    """Where to draw each gain and its interval, on one scale that always shows zero.

    At a desk name, interval and figures stand side by side; on a telephone below one another.

    >>> drawn = intervals([Measured("all", 40, 0.2, 0.1, 0.3)])
    >>> drawn["zero_x"], [(bar["x1"], bar["x"], bar["x2"], bar["state"]) for bar in drawn["intervals"]]
    (200.9, [(273.6, 346.4, 419.1, 'above')])
    """
    left, right, row_height = (LEFT, RIGHT, 30) if size == "wide" else (6.0, NARROW - 6.0, 66)
    known = [row for row in rows if row.gain is not None and row.lower is not None and row.upper is not None]
    low = min([0.0, *(row.lower for row in known if row.lower is not None)])
    high = max([0.0, *(row.upper for row in known if row.upper is not None)])
    margin = (high - low) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def place(value: float | None) -> float:
        assert value is not None, "only what is known is drawn"
        return round(left + (value - low) / (high - low) * (right - left), 1)

    return {
        "size": size,
        "width": WIDE if size == "wide" else NARROW,
        "height": 34 + row_height * len(known),
        "zero_x": place(0.0),
        "intervals": [
            {
                "name": row.name,
                "n": row.n,
                "x": place(row.gain),
                "x1": place(row.lower),
                "x2": place(row.upper),
                "name_y": row_height * at + (26 if size == "wide" else 16),
                "text_x": WIDE - 4 if size == "wide" else 0,
                "text_y": row_height * at + (26 if size == "wide" else 33),
                "y": row_height * at + (21 if size == "wide" else 48),
                "state": side(row),
                "text": f"{signed(row.gain)}  {span(row.lower, row.upper)}",
            }
            for at, row in enumerate(known)
        ],
    }


def curve(points: Sequence[Point], size: Size, *, spread: bool) -> dict[str, Any]:
    """Where to draw gains with their intervals along an axis, on one scale that always shows zero.

    Args:
        spread: points stand evenly apart, in their order; else where `at` says.

    >>> points = [Point(0, 0.1, -0.1, 0.3, "a", "first"), Point(9, 0.2, 0.1, 0.3, "b", "second")]
    >>> drawn = curve(points, "wide", spread=True)
    >>> [point["x"] for point in drawn["points"]], drawn["points"][0]["y"] > drawn["points"][1]["y"]
    ([195.5, 482.5], True)
    """
    width = WIDE if size == "wide" else NARROW
    ends = [end for point in points for end in (point.lower, point.upper, point.gain)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    room = width - _MARGIN_LEFT - _MARGIN_RIGHT
    farthest = max([point.at for point in points], default=0.0) or 1.0

    def across(place: int, point: Point) -> float:
        share = (place + 0.5) / len(points) if spread else point.at / farthest
        return round(_MARGIN_LEFT + share * room, 1)

    def up(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    drawn = [
        {
            "x": across(place, point),
            "y": up(point.gain),
            "y1": up(point.upper),
            "y2": up(point.lower),
            "label": point.label,
            "told": point.told,
            "state": point.state,
            "href": point.href,
        }
        for place, point in enumerate(points)
    ]
    _keep_labels_apart(drawn, 78)
    there = [f"{each['x']},{each['y1']}" for each in drawn]
    back = [f"{each['x']},{each['y2']}" for each in reversed(drawn)]
    return {
        "size": size,
        "width": width,
        "height": HEIGHT,
        "left": _MARGIN_LEFT,
        "right": width - _MARGIN_RIGHT,
        "bottom": HEIGHT - _BOTTOM,
        "zero_y": up(0.0),
        "ticks": [{"y": up(tick), "text": signed(tick, 2) if tick else "0"} for tick in ticks],
        "points": drawn,
        "band": " ".join(there + back),
        "line": " ".join(f"{each['x']},{each['y']}" for each in drawn),
    }


def curves(points: Sequence[Point], *, spread: bool) -> list[dict[str, Any]]:
    """The same curve for a desk and for a telephone; the style sheet shows one of them. None without points.

    A telephone has room for the latest few only, where they stand evenly apart.
    """
    if not points:
        return []
    return [curve(points, "wide", spread=spread), curve(points[-6:] if spread else points, "narrow", spread=spread)]


def side(row: Measured) -> str:
    """On which side of zero the whole interval lies, if it does."""
    if row.lower is not None and row.lower > 0:
        return "above"
    return "below" if row.upper is not None and row.upper < 0 else ""


def shade(decision: Decision) -> str:
    """How a decision looks: a drill is good when it is refused, and a turn that broke off is not."""
    if decision.code in STOPS:
        return "bad"
    if decision.drill:
        return "good" if decision.decision == "refused" else "bad"
    return "good" if decision.decision in ("promoted", "kept") else "note"


def signed(value: float | None, digits: int = 3) -> str:
    """A gain with its sign.

    >>> signed(0.1234), signed(-0.5), signed(None)
    ('+0.123', '−0.500', '–')
    """
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def span(lower: float | None, upper: float | None) -> str:
    """An interval; empty where there is none."""
    return f"[{signed(lower)}, {signed(upper)}]" if lower is not None and upper is not None else ""


def score(value: float | None) -> str:
    """A mean score."""
    return "–" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.05), percent(0.125)
    ('5', '12.5')
    """
    return f"{100 * share:.3g}"


def short(artifact: str | None) -> str:
    """Enough of an artifact's id to tell it from another.

    >>> short("sha256:0123456789abcdef"), short(None)
    ('0123456789', '–')
    """
    return artifact.rpartition(":")[2][:10] if artifact else "–"


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers from below `low` to above `high`, zero among them.

    >>> _ticks(-0.13, 0.31)
    [-0.2, 0.0, 0.2, 0.4]
    """
    span_ = high - low or 1.0
    raw = span_ / _TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * count, 10) for count in range(first, max(last, first + 1) + 1)]


def _keep_labels_apart(drawn: list[dict[str, Any]], apart: float) -> None:
    """Leave out labels that would stand over one another; the last one stays."""
    taken = math.inf
    for each in reversed(drawn):
        if taken - each["x"] < apart:
            each["label"] = ""
        else:
            taken = each["x"]
