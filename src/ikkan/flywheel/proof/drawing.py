"""Curves with their bands, and intervals side by side, as SVG that stands in the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 480, 300, 44, 10, 104, 28
_COLOURS = 6
_DASHES = ("", "", "6 3", "2 3", "8 3 2 3", "1 3")
"""Beside colour, so that lines are told apart without it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm, round by round: mean, lower and upper end."""

    name: Mapping[str, str]
    points: Sequence[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One arm's gain and its interval."""

    name: Mapping[str, str]
    gain: float
    lower: float
    upper: float


def curves(lines: Sequence[Line]) -> str:
    """Lines over rounds, each with its band and its name at the end."""
    low = min(point[1] for line in lines for point in line.points)
    high = max(point[2] for line in lines for point in line.points)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    last = max(len(line.points) for line in lines) - 1

    def x(number: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * number / max(last, 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / max(high - low, 1e-12)

    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="var(--line)"/>'
        f'<text class=faint x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in ticks
    ]
    parts += [
        f'<text class=faint x="{x(number):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{number + 1}</text>'
        for number in range(last + 1)
    ]
    heights = _apart([y(line.points[-1][0]) for line in lines], 14.0, _HEIGHT - _BOTTOM)
    for at, (line, height) in enumerate(zip(lines, heights, strict=True)):
        colour = f"var(--c{at % _COLOURS})"
        above = [f"{x(number):.1f},{y(point[2]):.1f}" for number, point in enumerate(line.points)]
        below = [f"{x(number):.1f},{y(point[1]):.1f}" for number, point in enumerate(line.points)]
        middle = " ".join(f"{x(number):.1f},{y(point[0]):.1f}" for number, point in enumerate(line.points))
        parts.append(
            f'<polygon points="{" ".join([*above, *reversed(below)])}" fill="{colour}" opacity="0.14"/>'
            f'<polyline points="{middle}" fill="none" stroke="{colour}" stroke-width="2"'
            f' stroke-dasharray="{_DASHES[at % len(_DASHES)]}"/>'
            f'<line x1="{x(last) + 2:.1f}" x2="{x(last) + 10:.1f}" y1="{y(line.points[-1][0]):.1f}" y2="{height:.1f}"'
            f' stroke="{colour}"/>{_name(line.name, x(last) + 13, height + 4, "start")}'
        )
    return _svg(_WIDTH, _HEIGHT, parts)


def forest(bars: Sequence[Bar]) -> str:
    """Each gain as a point on its interval, beside no gain at all."""
    width, row, left = 720, 24, 130
    low, high = min(0.0, *(bar.lower for bar in bars)), max(0.0, *(bar.upper for bar in bars))
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = row * len(bars) + 34

    def x(value: float) -> float:
        return left + (width - left - 20) * (value - low) / max(high - low, 1e-12)

    parts = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="6" y2="{height - 24}" stroke="var(--line)"/>'
        f'<text class=faint x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle">{_signed(tick)}</text>'
        for tick in ticks
    ]
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="6" y2="{height - 24}" stroke="var(--ink)"/>')
    for at, bar in enumerate(bars):
        y = 20 + row * at
        colour = "var(--good)" if bar.lower > 0 else "var(--bad)" if bar.upper < 0 else "var(--c0)"
        parts.append(
            f"{_name(bar.name, left - 10, y + 4, 'end')}"
            f'<line x1="{x(bar.lower):.1f}" x2="{x(bar.upper):.1f}" y1="{y}" y2="{y}" stroke="{colour}"'
            ' stroke-width="3"/>'
            f'<circle cx="{x(bar.gain):.1f}" cy="{y}" r="5" fill="{colour}"/>'
        )
    return f"<div class=card>{_svg(width, height, parts)}</div>"


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def _name(name: Mapping[str, str], x: float, y: float, anchor: str) -> str:
    return "".join(
        f'<text class=said lang="{lang}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(name[lang])}</text>'
        for lang in ("ja", "en")
    )


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`.

    >>> _ticks(0.13, 0.58)
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    """
    span = max(high - low, 1e-6)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step = next(step * times for times in (1, 2, 5, 10) if span / (step * times) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _apart(heights: Sequence[float], least: float, floor: float) -> list[float]:
    """The same heights, moved so that none is nearer to another than `least`, and none below `floor`."""
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    placed = list(heights)
    for before, at in pairwise(order):
        placed[at] = max(placed[at], placed[before] + least)
    over = max(0.0, placed[order[-1]] - floor) if order else 0.0
    return [height - over for height in placed]
