"""Small accidents of writing: courtesies, slips of the finger, widths of letters. The words themselves stay."""

from __future__ import annotations

import random

from ikkan.apps.assistant.sample.values import Lang

OPENINGS: dict[Lang, tuple[str, ...]] = {
    "ja": ("すみません、", "お疲れさまです。", "ちょっと質問。", "教えてください、", "至急 ", "えっと、", "あの、"),
    "en": ("hi, ", "quick q: ", "sorry - ", "hey, ", "morning! ", "urgent: ", "um, "),
}
CLOSINGS: dict[Lang, tuple[str, ...]] = {
    "ja": ("。お願いします", "、どうすれば？", "（東京支店です）", "…", "です。", "！", " よろしく"),
    "en": (" thanks", " (tokyo office)", "?", "...", " please", "!!", " cheers"),
}
OPENING_SHARE = 0.18
CLOSING_SHARE = 0.18
SLIP_OF_FINGER_SHARE = 0.12
WIDTH_SHARE = 0.06

_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def reworded(text: str, lang: Lang, rng: random.Random) -> str:
    """The text as one more person would have typed it.

    >>> reworded("where is the scanner", "en", random.Random(8))
    'urgent: where is the scanner (tokyo office)'
    """
    if rng.random() < SLIP_OF_FINGER_SHARE:
        text = _slip_ja(text, rng) if lang == "ja" else _slip_en(text, rng)
    if rng.random() < WIDTH_SHARE:
        text = text.translate(_WIDE) if lang == "ja" else text.upper()
    if rng.random() < OPENING_SHARE:
        text = rng.choice(OPENINGS[lang]) + text
    if rng.random() < CLOSING_SHARE and text[-1] not in "?？。！":
        text += rng.choice(CLOSINGS[lang])
    return text


def _slip_en(text: str, rng: random.Random) -> str:
    """Two neighbouring letters swapped, one doubled, or one left out."""
    places = [at for at in range(1, len(text) - 2) if text[at].isalpha() and text[at + 1].isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + (text[at] * 2 if kind == 1 else "") + text[at + 1 :]


def _slip_ja(text: str, rng: random.Random) -> str:
    """A particle dropped, as people do in chat, or a kana typed twice."""
    places = [at for at in range(1, len(text) - 1) if text[at] in "がはをにで" and "一" <= text[at - 1] <= "鿿"]
    if places:
        at = rng.choice(places)
        return text[:at] + text[at + 1 :]
    kana = [at for at in range(1, len(text) - 1) if "ぁ" <= text[at] <= "ん"]
    if not kana:
        return text
    at = rng.choice(kana)
    return text[:at] + text[at] * 2 + text[at + 1 :]
