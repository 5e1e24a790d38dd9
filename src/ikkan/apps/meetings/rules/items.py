"""Extractions get names that stay, so that reading a meeting again brings no duplicates and undoes no decision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ikkan.apps.meetings.values import Extraction, Item, Kind, Segment

SPEECH_ORDER = tuple(Kind)


def itemised(extractions: Iterable[Extraction]) -> tuple[Item, ...]:
    """Each extraction with its id; a second one of the same kind and evidence gets a number behind it.

    >>> one = Extraction(Kind.ACTION, "Send it", ("s4",), "rule")
    >>> first, second = itemised([one, one])
    >>> first.id == itemised([one])[0].id, second.id == f"{first.id}-2"
    (True, True)
    """
    seen: dict[str, int] = {}
    items = []
    for extraction in extractions:
        said = f"{extraction.kind}\x00{' '.join(extraction.evidence)}"
        name = hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
        seen[name] = seen.get(name, 0) + 1
        items.append(Item(name if seen[name] == 1 else f"{name}-{seen[name]}", extraction))
    return tuple(items)


def in_order(items: Iterable[Item], segments: Iterable[Segment]) -> tuple[Item, ...]:
    """In the order of what they rest on."""
    place = {segment.id: number for number, segment in enumerate(segments)}
    return tuple(sorted(items, key=lambda item: place.get(item.extraction.evidence[0], len(place))))


def renamed(segments: Iterable[Segment], names: Mapping[str, str]) -> tuple[Segment, ...]:
    """Segments with speakers called as people here call them; two labels of one name are one speaker."""
    return tuple(replace(each, speaker=names.get(each.speaker, each.speaker)) for each in segments)


def clock(seconds: float | None) -> str:
    """A moment of a meeting as people write it; empty where there is none.

    >>> clock(63.4), clock(3723), clock(None)
    ('1:03', '1:02:03', '')
    """
    if seconds is None:
        return ""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
