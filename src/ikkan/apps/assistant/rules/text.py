"""How a text becomes numbers: pieces of characters, hashed, so that no language needs a dictionary."""

from __future__ import annotations

import re
from collections import Counter

from ikkan.kit.letters import plain, same_text

_COURTESY_JA = re.compile(
    "お疲れ(?:さま|様)(?:です)?|お世話になって(?:い|お)ります|すみません(?:が)?|教えて(?:ください|下さい|ほしい)?"
    "|お願い(?:します|いたします|致します)?|よろしく(?:です)?|ちょっと質問|質問(?:です|があります)|至急|急ぎ(?:です)?"
    "|どうすれば(?:いい|よい)?(?:ですか)?|どうしたら(?:いい|よい)?(?:ですか)?|(?:ます|です|でしょう)か|ください|下さい"
)
"""Japanese that asks or greets without a subject of its own."""
_WORDS_EN = """
a an and are as at be but by can could did do does for from get got had has have hi hey how i if in is it
its me my of on or our please so some that the their them there they this to was we were what when where
which who why will with would you your thanks cheers morning sorry quick q um urgent
"""
_COMMON_EN = frozenset(_WORDS_EN.split())
"""English words that carry no subject; single characters do this job in Japanese through their frequency."""


def is_faint(piece: str) -> bool:
    """Whether a piece is hiragana only: mostly grammar, so it counts for less.

    >>> is_faint("\x02なく"), is_faint("\x02印刷")
    (True, False)
    """
    return piece[0] in "\x01\x02\x03" and all(_is_hiragana(letter) for letter in piece[1:])


def pieces(text: str) -> Counter[str]:
    """The pieces of a text and how often each occurs: characters, pairs and triples of CJK, word parts elsewhere.

    >>> sorted(pieces("印刷"))
    ['\\x01刷', '\\x01印', '\\x02印刷']
    >>> sorted(pieces("the pdf"))
    ['<pd', '<pdf', 'df>', 'pdf', 'pdf>', 'w:pdf']
    """
    found: Counter[str] = Counter()
    text = _COURTESY_JA.sub(" ", plain(text))
    for run in re.findall(r"[\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+", text):
        for at, letter in enumerate(run):
            if not _is_hiragana(letter):
                found[f"\x01{letter}"] += 1
            if at + 2 <= len(run):
                found[f"\x02{run[at : at + 2]}"] += 1
            if at + 3 <= len(run):
                found[f"\x03{run[at : at + 3]}"] += 1
    for word in re.findall(r"[^\W_\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+", text):
        if word in _COMMON_EN:
            continue
        found[f"w:{word}"] += 1
        framed = f"<{word}>"
        for length in (3, 4):
            for at in range(len(framed) - length + 1):
                found[framed[at : at + length]] += 1
    return found


def nearly_the_same(one: str, other: str) -> bool:
    """Whether two answers differ only in grammar and punctuation: the same content words, numbers and negations.

    >>> nearly_the_same("内線2201へ連絡してください。", "内線２２０１へご連絡下さい")
    True
    >>> nearly_the_same("三日前までに申請します", "五日前までに申請します")
    False
    >>> nearly_the_same("申請できます。", "申請できません。"), nearly_the_same("Ask Aya, please.", "Please ask Ben.")
    (False, False)
    """
    return same_text(one) == same_text(other) or (bool(meaning(one)) and meaning(one) == meaning(other))


def meaning(text: str) -> tuple[str, ...]:
    """What carries the meaning of a text, in order. Hiragana is grammar here, except where it says no."""
    text = _COURTESY_JA.sub(" ", plain(text))
    found = re.findall(
        r"[\u3400-\u9fff\uf900-\ufaff\u3005]|[\u30a0-\u30ff]+|ません|ない|なく|ずに|[^\W_\u3005\u3040-\u30ff\u3400-\u9fff]+",
        text,
    )
    return tuple(word for word in found if word not in _COMMON_EN and word != "御")


def _is_hiragana(letter: str) -> bool:
    return "\u3040" <= letter <= "\u309f"
