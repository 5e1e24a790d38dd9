"""When two ways of writing a name mean the same person."""

from __future__ import annotations

import re
from re import Pattern

from ikkan.apps.meetings.rules.language.owners.marks import Marks

_REMARK = re.compile(r"[((\[【<].*$")
_SPACES = re.compile(r"[\s・·,]+")


class Names:
    """The people of a meeting by every name they may be called."""

    def __init__(self, speakers: tuple[str, ...], marks: Marks, text: str) -> None:
        self._marks = marks
        self._labels: dict[str, set[str]] = {}
        whole: dict[str, str] = {}
        for label in speakers:
            plain = _REMARK.sub("", marks.spelled(label).lower()).strip()
            bare = marks.titles.sub("", plain).strip() or plain
            parts = [part for part in _SPACES.split(bare) if part]
            whole["".join(parts)] = label
            for alias in {plain, bare, "".join(parts), *parts, *self._ends(parts)}:
                if alias:
                    self._labels.setdefault(alias, set()).add(label)
        for alias, label in whole.items():
            self._labels[alias] = {label}
        shown = sorted((alias for alias in self._labels), key=len, reverse=True)
        spelled = [marks.shown(alias, text) for alias in shown]
        self.known = "|".join(filter(None, spelled)) or r"(?!)"

    def _ends(self, parts: list[str]) -> list[str]:
        """Surnames and given names of a label written in one: its beginnings and ends."""
        if not self._marks.joined or len(parts) != 1 or not 2 <= len(parts[0]) <= 7 or parts[0].isascii():
            return []
        name = parts[0]
        return [*(name[:size] for size in range(1, len(name))), *(name[-size:] for size in range(1, len(name)))]

    def first(self, patterns: tuple[Pattern[str], ...], flat: str, text: str) -> str | None:
        """The person of the first pattern that finds one."""
        for pattern in patterns:
            for match in pattern.finditer(flat):
                group = "name" if match["name"] is not None else "other"
                start, end = match.span(group)
                person = self._person(flat[start:end], text[start:end])
                if person is not None:
                    return person
        return None

    def masked(self, pattern: Pattern[str], flat: str, text: str) -> str:
        """The text with a `ɴ` for each character of a name."""
        signs = list(text)
        for match in pattern.finditer(flat):
            start, end = match.span("name")
            if self._person(flat[start:end], text[start:end]) is not None:
                signs[start:end] = "ɴ" * (end - start)
        return "".join(signs)

    def _person(self, flat: str, said: str) -> str | None:
        plain = flat.lower().strip()
        called = self._marks.titles.sub("", plain).strip()
        familiar = self._marks.nicknames.sub("", called) if self._marks.nicknames else called
        for name in (plain, called, familiar):
            labels = self._labels.get(name) or self._labels.get(_SPACES.sub("", name)) or set()
            if len(labels) == 1:
                return next(iter(labels))
        if self._marks.no_name.fullmatch(plain) or self._marks.no_name.fullmatch(called):
            return None
        if not called:
            return None
        ends = [alias for alias in self._labels if len(alias) >= 2 and called.endswith(alias) and self._marks.joined]
        labels = self._labels[max(ends, key=len)] if ends else set()
        if len(labels) == 1:
            return next(iter(labels))
        # The bare name, as written: titles do not change length when spelled, so the same place is taken out.
        at = plain.find(called)
        return said.strip()[at : at + len(called)] or None
