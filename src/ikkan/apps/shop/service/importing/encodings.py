"""In which encoding a text file is: by its mark, by what can be read at all, by what the words then look like."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ikkan.apps.shop.rules.importing.fields import FIELDS, folded, names_of
from ikkan.ground.errors import BadFile, BadInput, UnsupportedFormat

_PIECE = 1 << 20
_SAMPLE = 1 << 16
_ASIAN = ("cp932", "gb18030", "euc-jp", "big5")
ALLOWED = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", *_ASIAN, "shift_jis", "cp1252", "latin-1")
_BROKEN_SHARE = 1e-3
"""So few bytes that cannot be read are rows to report; more, and it is another encoding."""


def encoding_of(path: Path, said: str = "") -> str:
    """The encoding of a file.

    Args:
        said: by whoever brings it; taken as it is.

    Raises:
        BadInput: `said` is no encoding we read.
        UnsupportedFormat: this is no text.
        BadFile: no encoding fits.
    """
    if said:
        name = said.strip().lower().replace("_", "-").replace("shift-jis", "cp932").replace("sjis", "cp932")
        if name not in ALLOWED:
            raise BadInput(f"{said!r} is no encoding we read", hint=", ".join(ALLOWED), param="encoding")
        return "utf-8-sig" if name == "utf-8" else name
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    nothing = head.count(0)
    if nothing:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        wide = "utf-16-le" if odd > even else "utf-16-be"
        is_wide = min(even, odd) <= max(even, odd) // 20 and _broken(path, wide, enough=1) == 0
        if is_wide and _printable(head[: len(head) // 2 * 2], wide):
            return wide
        raise UnsupportedFormat("this is no text file", hint="export it as CSV or Parquet")
    broken = _broken(path, "utf-8")
    if broken == 0:
        return "utf-8"
    readable = [name for name in _ASIAN if _broken(path, name, enough=1) == 0]
    if readable:
        return max(readable, key=lambda name: _likeness(head, name))
    if broken <= max(1, int(path.stat().st_size * _BROKEN_SHARE)):
        return "utf-8"
    mended = [name for name in ("cp932", "gb18030") if _broken(path, name) <= path.stat().st_size * _BROKEN_SHARE]
    if mended:
        return max(mended, key=lambda name: _likeness(head, name))
    if _printable(head, "cp1252"):
        return "cp1252"
    raise BadFile("no encoding we know fits this file", hint="save it as CSV in UTF-8, or say --encoding")


def _broken(path: Path, encoding: str, *, enough: int = 1 << 30) -> int:
    """How many places cannot be read; stops at `enough`."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    strict = codecs.getincrementaldecoder(encoding)()
    count = 0
    for piece, is_last in _pieces(path):
        if count == 0:
            # Strict is much the faster; only a file that has a broken place is counted through.
            state = strict.getstate()
            try:
                strict.decode(piece, is_last)
                continue
            except UnicodeDecodeError:
                if enough == 1:
                    return 1
                decoder.setstate(state)
        count += decoder.decode(piece, is_last).count("\ufffd")
        if count >= enough:
            break
    return count


def _pieces(path: Path) -> Iterator[tuple[bytes, bool]]:
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        while piece:
            after = file.read(_PIECE)
            yield piece, not after
            piece = after


def _likeness(head: bytes, encoding: str) -> float:
    """How much a text looks like one of its language: known headers, kana, everyday characters."""
    text = head.decode(encoding, errors="replace")
    first = text.splitlines()[0] if text.strip() else ""
    words = {folded(word) for mark in ",;\t|" for word in first.replace('"', "").split(mark)}
    known = {name for kind, fields in FIELDS.items() for field in fields for name in names_of(kind, field.name)}
    found = 3.0 * sum(1 for word in words & known if not word.isascii())
    strange = [sign for sign in text if ord(sign) > 127]
    return found + (sum(_everyday(sign, encoding) for sign in strange) / len(strange) if strange else 0.0)


def _everyday(sign: str, encoding: str) -> float:
    code = ord(sign)
    if 0xFF61 <= code <= 0xFF9F or unicodedata.category(sign) in ("Co", "Cn", "So"):
        return -1.0  # half-width kana and private signs are what another encoding's bytes become
    if 0x3040 <= code <= 0x30FF:
        return 1.0 if encoding in ("cp932", "euc-jp") else 0.0
    try:
        lead = sign.encode("gb2312" if encoding == "gb18030" else encoding)[0]
    except UnicodeEncodeError:
        return -0.5
    first_level = {"gb18030": (0xB0, 0xD7), "cp932": (0x88, 0x97), "euc-jp": (0xB0, 0xCF), "big5": (0xA4, 0xC6)}[
        encoding
    ]
    return 0.8 if first_level[0] <= lead <= first_level[1] else 0.1


def _printable(head: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign in "\r\n\t" for sign in text)
