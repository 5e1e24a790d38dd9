"""Which column is what: by its name, by what its values look like, and by meaning where an embedder is at hand.

A name that is known decides; a name that is only like one decides where nothing better does; values alone decide for
what cannot be mistaken (an email address, a web address, the words carriers use). A known name over values that do not
fit is doubted. Every guess says why, and how sure it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.importing import cells, times
from ikkan.apps.shop.rules.importing.cells import NotRead
from ikkan.apps.shop.rules.importing.fields import FIELDS, folded, names_of
from ikkan.apps.shop.values.importing import CellKind, Field, Guess, SheetKind

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
ATTRIBUTE = "attribute:"
"""A field of this prefix is an attribute of a ware, under the name that follows."""
SURE = 0.5
"""A guess below is shown and not taken by itself."""

_KNOWN, _SAVED, _SAID = 0.95, 0.98, 1.0
_LIKE, _MEANT = 0.7, 0.55
_MEANING_FROM = 0.62
"""Cosine between a header and what a field is about, from which they may mean the same."""
_TELLING: Mapping[CellKind, float] = {
    "email": 0.6, "url": 0.5, "news": 0.6, "deed": 0.6, "status": 0.5, "when": 0.45, "day": 0.35,
}  # fmt: skip
"""How much values alone say, where all of them can be read so."""
_PREFIXES = ("属性", "attribute", "attr", "option", "仕様", "规格", "属性名")
_SAMPLES = 5
_TRIED = 200


def guess(
    kind: SheetKind,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    said: Mapping[str, str] = {},
    saved: Mapping[str, str] = {},
    embed: Embed | None = None,
) -> tuple[Guess, ...]:
    """A column for each field that seems to have one, the surer first.

    Args:
        rows: the first rows of the file, as text.
        said: field → column, by the person who brings the file; always right. An empty column: the file has none.
        saved: as it was for this shop's last file of the kind; taken where those columns exist.

    >>> found = guess("events", ["ユーザーID", "日時", "商品コード"], [["u1", "2026-05-01 10:00", "A1"]])
    >>> {each.field: each.column for each in found}
    {'at': '日時', 'product_id': '商品コード', 'person': 'ユーザーID'}
    """
    columns = {header: [row[at] for row in rows[:_TRIED] if at < len(row) and row[at].strip()]
               for at, header in reversed(list(enumerate(headers)))}  # fmt: skip
    scored: list[tuple[float, bool, int, str, str, str]] = []
    meaning = _meanings(kind, list(columns), embed)
    for order, field in enumerate(FIELDS[kind]):
        for header, values in columns.items():
            sure, why = _score(kind, field, header, values)
            close = meaning.get((field.name, header), 0.0)
            if sure < _MEANT and close >= _MEANING_FROM and (not values or _fits(field.reads, values) > 0.5):
                sure, why = _MEANT, "meaning"
            if sure > 0:
                scored.append((sure, field.is_required, -order, field.name, header, why))
    for header in columns:
        name = _attribute(header)
        if name and kind == "catalogue":
            scored.append((0.9, False, -99, f"{ATTRIBUTE}{name}", header, "name"))
    for field_name, header in saved.items():
        if header in columns:
            scored.append((_SAVED, False, 0, field_name, header, "saved"))
    for field_name, header in said.items():
        if header in columns:
            scored.append((_SAID, True, 1, field_name, header, "said"))
    taken: dict[str, Guess] = {}
    used: set[str] = set()
    # A column that two fields could have goes to the one that is needed.
    for sure, _, _, field_name, header, why in sorted(
        scored, key=lambda each: (each[0] + 0.1 * each[1], each), reverse=True
    ):
        spoken = field_name in said
        if field_name in taken or (header in used and why != "said") or (spoken and why != "said"):
            continue
        used.add(header)
        samples = tuple(dict.fromkeys(value[:80] for value in columns[header]))[:_SAMPLES]
        taken[field_name] = Guess(field_name, header, round(sure, 2), why, samples)  # type: ignore[arg-type]
    return tuple(sorted(taken.values(), key=lambda each: -each.confidence))


def mapping(guesses: Sequence[Guess]) -> dict[str, str]:
    """Field → column, of those guesses that are sure enough."""
    return {each.field: each.column for each in guesses if each.confidence >= SURE}


def missing(kind: SheetKind, chosen: Mapping[str, str]) -> tuple[str, ...]:
    """Fields that are needed and have no column."""
    return tuple(each.name for each in FIELDS[kind] if each.is_required and each.name not in chosen)


def is_field(kind: SheetKind, name: str) -> bool:
    """Whether a file of this kind may tell this."""
    known = {each.name for each in FIELDS[kind]}
    return name in known or (kind == "catalogue" and name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE))


def kind_of(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> SheetKind | None:
    """What kind of file this seems to be; None where nothing fits or two fit alike.

    >>> kind_of(["商品コード", "商品名", "販売価格", "在庫数"], [])
    'catalogue'
    """
    scores: dict[SheetKind, float] = {}
    for kind in FIELDS:
        found = guess(kind, headers, rows)
        chosen = mapping(found)
        if not missing(kind, chosen):
            scores[kind] = sum(each.confidence for each in found if each.field in chosen) - 0.05 * len(headers)
    if "carrier" in scores and "news" not in mapping(guess("carrier", headers, rows)):
        del scores["carrier"]
    best = sorted(scores, key=lambda each: -scores[each])
    return best[0] if best and (len(best) == 1 or scores[best[0]] > scores[best[1]] + 0.3) else None


# ---- private ---------------------------------------------------------------------------------------------------------


def _score(kind: SheetKind, field: Field, header: str, values: Sequence[str]) -> tuple[float, str]:
    name, known = folded(header), names_of(kind, field.name)
    fits = _fits(field.reads, values) if values else 1.0
    # A name that says what it is, over values that cannot be that, is doubted rather than believed.
    doubt = 1.0 if fits >= 0.5 else 0.4
    if name in known:
        return (_KNOWN - 0.01 * min(known.index(name), 20)) * doubt, "name"
    like = max((_alike(name, each) for each in known), default=0.0)
    if like > 0.84:
        return _LIKE * like * doubt, "similar name"
    telling = _TELLING.get(field.reads, 0.0)
    # Digits alone are numbers of anything before they are seconds since 1970.
    if telling and values and fits >= 0.9 and not all(value.strip().isdigit() for value in values[:50]):
        return telling * (
            1.0 if field.is_required or field.reads in ("email", "url", "news", "deed") else 0.8
        ), "values"
    return 0.0, ""


def _alike(name: str, known: str) -> float:
    if len(known) >= 3 and (known in name or (len(name) >= 3 and name in known)):
        return 0.85 + 0.15 * min(len(known), len(name)) / max(len(known), len(name))
    return difflib.SequenceMatcher(None, name, known).ratio() if min(len(name), len(known)) > 4 else 0.0


_UTC = times.offset("Z")
_TRIES: Mapping[CellKind, Callable[[str], object]] = {
    "id": cells.key,
    "money": cells.money,
    "currency": cells.currency,
    "when": lambda text: times.when(text, _UTC),
    "day": lambda text: times.when(text, _UTC),
    "whole": cells.whole,
    "share": cells.share,
    "number": cells.number,
    "flag": cells.flag,
    "deed": cells.deed,
    "news": cells.news,
    "status": cells.status,
    "url": cells.url,
    "email": cells.email,
}


def _fits(reads: CellKind, values: Sequence[str]) -> float:
    read = _TRIES.get(reads)
    if read is None or not values:
        return 1.0
    return sum(_reads(read, value) for value in values[:50]) / min(len(values), 50)


def _reads(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except (NotRead, times.NoTime):
        return False
    return True


def _attribute(header: str) -> str:
    for mark in (":", "：", "_", " "):
        before, found, after = header.partition(mark)
        if found and folded(before) in _PREFIXES and after.strip():
            return after.strip()[:80]
    return ""


def _meanings(kind: SheetKind, headers: Sequence[str], embed: Embed | None) -> Mapping[tuple[str, str], float]:
    strange = [header for header in headers if not any(folded(header) in names_of(kind, f.name) for f in FIELDS[kind])]
    if embed is None or not strange:
        return {}
    fields = FIELDS[kind]
    vectors = embed([*strange, *(field.about["en"] for field in fields)])
    near = vectors[: len(strange)] @ vectors[len(strange) :].T
    return {
        (field.name, header): float(near[row, column])
        for row, header in enumerate(strange)
        for column, field in enumerate(fields)
    }
