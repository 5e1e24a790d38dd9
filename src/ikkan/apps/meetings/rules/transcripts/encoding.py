"""Bytes to text: which encoding it is, said with the doubt that is left."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ikkan.apps.meetings.rules.remarks import remark
from ikkan.ground.errors import BadFile

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_LEGACY = ("cp932", "euc_jp", "gb18030")
_SAMPLE_BYTES = 200_000
"""Enough to know an encoding by."""
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc]")
_HIRAGANA = re.compile("[\u3041-\u3096]")
_HAN = re.compile("[\u4e00-\u9fff]")
_WIDE_MARKS = re.compile("[\u3000-\u303f\uff01-\uff5e\u2014\u2018-\u201d\u2026]")
_SPACES = dict.fromkeys(map(ord, "\t\r\n\f"), " ")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, how it was read, and what was mended on the way."""

    text: str
    encoding: str
    remarks: tuple[str, ...] = ()


def decode(data: bytes) -> Decoded:
    """Read text in UTF-8, UTF-16, Shift_JIS, EUC-JP, GB18030 or Windows-1252, whichever it is.

    What cannot be read in it becomes U+FFFD and is counted in a remark.

    Raises:
        BadFile: it is no text.

    >>> decode("議題: 予算".encode("cp932")).encoding, decode("议题：预算和计划".encode("gb18030")).text
    ('cp932', '议题：预算和计划')
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _tidied(data[len(mark) :], encoding)
    sample = data[:_SAMPLE_BYTES]
    if b"\x00" in sample:
        return _tidied(data, _wide(sample))
    try:
        return Decoded(*_without_controls(data.decode("utf-8"), "utf-8"))
    except UnicodeDecodeError:
        pass
    if _mostly_utf8(sample):
        return _tidied(data, "utf-8")
    if _is_western(sample):
        return _tidied(data, "cp1252")
    found = _tidied(data, max(_LEGACY, key=lambda encoding: _likeness(sample, encoding)))
    doubt = remark("encoding", encoding=found.encoding)
    return Decoded(found.text, found.encoding, (doubt, *found.remarks))


def _wide(sample: bytes) -> str:
    """Which UTF-16 it is: the zero bytes of Latin letters and line ends stand on one side."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    written = sample.decode("utf-16-be" if even > odd else "utf-16-le", "replace")
    strange = sum(unicodedata.category(character) in ("Co", "Cn", "Cc") for character in written.translate(_SPACES))
    if max(even, odd) < 4 * min(even, odd) or strange > len(written) / 20:
        raise BadFile(
            "this is no text: it has bytes that no text has", hint="a transcript: txt, vtt, srt, docx or json"
        )
    return "utf-16-be" if even > odd else "utf-16-le"


def _tidied(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    broken = text.count("\ufffd")
    if broken > max(20, len(text) // 4):
        raise BadFile("this is no text in any encoding we know", hint="save it as UTF-8 and bring it again")
    decoded = Decoded(*_without_controls(text, encoding))
    told = (remark("unreadable_characters", count=f"{broken:,}"),) if broken else ()
    return Decoded(decoded.text, encoding, told + decoded.remarks)


def _without_controls(text: str, encoding: str) -> tuple[str, str, tuple[str, ...]]:
    clean, count = _CONTROL.subn("", text.removeprefix("\ufeff"))
    return clean, encoding, (remark("controls", count=f"{count:,}"),) if count else ()


def _mostly_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    good = sum(character > "\x7f" and character != "\ufffd" for character in text)
    return good >= 10 * text.count("\ufffd")


def _is_western(sample: bytes) -> bool:
    """Few bytes above ASCII, each alone between letters: quotation marks and accents, not Japanese or Chinese."""
    high = re.findall(rb"[\x80-\xff]+", sample)
    return sum(map(len, high)) < len(sample) / 10 and sum(len(run) == 1 for run in high) >= 0.9 * len(high)


def _likeness(sample: bytes, encoding: str) -> float:
    """How much the sample looks like text people write in this encoding."""
    text = sample.decode(encoding, "replace")
    written = [character for character in text if character > "\x7f"]
    if not written:
        return 0.0
    joined = "".join(written)
    kana, han = len(_KANA.findall(joined)), len(_HAN.findall(joined))
    hiragana, marks = len(_HIRAGANA.findall(joined)), len(_WIDE_MARKS.findall(joined))
    odd = sum(unicodedata.category(character) in ("Co", "Cn") for character in written) + joined.count("\ufffd")
    odd += sum("\uff61" <= character <= "\uff9f" for character in written)  # what misread double bytes look like
    score: float = (kana + han + marks - 4 * odd) / len(written)
    if encoding == "gb18030":
        # The first plane of hanzi is in order of frequency; kana in Chinese is misread Japanese.
        usual = len([each for each in _HAN.findall(joined) if b"\xb0" <= each.encode("gb18030")[:1] <= b"\xd7"])
        return score * (0.4 + 0.6 * usual / max(1, han)) - 2 * hiragana / len(written)
    return score if kana else score - 0.5
