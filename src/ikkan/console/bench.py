"""The last race beside other programs, as `ikkan bench engine` left it in this home: for the page of this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

_MOST_BYTES: Final = 16 * 2**20
_DRAWN: Final = (".decode-0", ".prefill-512")
"""Of each model, the cells that stand under the roof: one token after another, and a prompt."""


class Place(msgspec.Struct, frozen=True):
    """Where a cell's work sits under the roof."""

    operations_per_byte: float
    gops: float


class Facts(msgspec.Struct, frozen=True):
    """When and where it was measured."""

    machine: str = ""
    at: str = ""


class Raced(msgspec.Struct, frozen=True):
    """One cell of the file; what else it says is not for this page."""

    cell: str
    unit: str
    ikkan: float | None = None
    peers: dict[str, float | None] = {}
    ratio_to_best: float | None = None
    share_of_bound: float | None = None
    better: str = "more"
    roofline: Place | None = None
    facts: Facts = Facts()


def last_race(home: Path) -> list[Raced]:
    """The cells of the last race; none if there was none or its file cannot be read."""
    path = home / "bench" / "engine.json"
    try:
        if path.stat().st_size > _MOST_BYTES:
            return []
        return msgspec.json.decode(path.read_bytes(), type=list[Raced])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return []


def drawn(cells: Sequence[Raced]) -> list[Raced]:
    """Those that are drawn as points, in the order of the file."""
    return [one for one in cells if one.cell.endswith(_DRAWN) and one.roofline is not None and _drawable(one.roofline)]


def race_points(cells: Sequence[Raced]) -> list[dict[str, Any]]:
    """The points to draw, each with its letter in the table."""
    points = ((one.cell, one.roofline) for one in drawn(cells))
    return [
        {"name": cell, "letter": letter(number), "x": place.operations_per_byte, "y": round(place.gops, 3)}
        for number, (cell, place) in enumerate(points)
        if place is not None
    ]


def race_view(cells: Sequence[Raced], say: Callable[..., str]) -> list[dict[str, str]]:
    """Every cell as a line of the table: ours, the best other program, how they compare."""
    letters = {one.cell: letter(number) for number, one in enumerate(drawn(cells))}
    return [
        {
            "letter": letters.get(one.cell, ""),
            "cell": one.cell,
            "ours": _spoken(one.ikkan),
            "peer": _best_peer(one),
            "unit": one.unit,
            "ratio": say("machine.times", n=f"{one.ratio_to_best:.2f}") if one.ratio_to_best is not None else "–",
            "behind": "yes" if one.ratio_to_best is not None and one.ratio_to_best < 1 else "",
            "share": f"{100 * one.share_of_bound:.0f} %" if one.share_of_bound is not None else "–",
        }
        for one in cells
    ]


def letter(number: int) -> str:
    """The name of a point on the chart, beside the numbers of the marks.

    >>> letter(0), letter(25), letter(26)
    ('a', 'z', 'a1')
    """
    return chr(ord("a") + number % 26) + (str(number // 26) if number >= 26 else "")


def _drawable(place: Place) -> bool:
    return all(math.isfinite(value) and value > 0 for value in (place.operations_per_byte, place.gops))


def _best_peer(one: Raced) -> str:
    reached = {name: value for name, value in one.peers.items() if value is not None}
    if not reached:
        return "–"
    best = (min if one.better == "less" else max)(reached, key=lambda name: reached[name])
    return f"{best} {_spoken(reached[best])}"


def _spoken(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
