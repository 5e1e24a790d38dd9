"""Names as people in Japan are called: before an honorific, after a word that asks for one, or by themselves.

A run of kanji before 様 is a name more often than not, and 仕様, 皆様 and 担当者様 are why it is only that. Known
surnames count at once; an unknown run counts where nothing speaks against it (`surnames.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ikkan.assurance.recognisers.surnames import HIRAGANA, JAPANESE, KATAKANA_NOBODY, NOBODY, NOBODYS_ENDS
from ikkan.assurance.recognisers.values import Kind, Span

_HONORIFIC = re.compile(
    r"様(?![子々式相態変])|さま(?!ざま|よ)|さん(?!ぽ|ま(?![でだもしたずるこす]))|サン(?![ァ-ヺー])|氏"
    r"(?![名族神子素])|殿(?![下堂様方内])|先生|君(?![主臨子達])|(?:部|課|係|社|店|室|支店)長|主任|教授|選手|くん"
    r"|クン|ちゃん|チャン(?![ァ-ヺー])"
)
_KANJI = "一-鿿々ヶ﨑髙"
_SURNAME_END = re.compile(rf"([{_KANJI}]{{1,6}}) ?$")
_SURNAME_BEFORE = re.compile(rf"([{_KANJI}]{{1,4}}) $")
_LABEL = re.compile(
    r"(?:氏名|お名前|名前|名義人?|契約者名?|申込者名?|宛名|受取人|差出人|担当者名?|担当|患者名|署名|代表者)"
    rf"(?: ?[::] ?|は|が| )([{_KANJI}]{{1,4}} [ぁ-ゖ]{{2,5}}|[{_KANJI}]{{1,4}} ?[{_KANJI}]{{1,4}}"
    rf"|[ァ-ヺー]{{2,10}}[ 　・][ァ-ヺー]{{2,10}})"
)
_SELF = re.compile(
    rf"(?<![{_KANJI}])([{_KANJI}]{{1,4}} ?[{_KANJI}]{{0,4}})(?:と申し|と言い(?:ます|まして)|といい(?:ます|まして)"
    r"|でございます|です(?!が今|ので。))"
)
_COMPANY = re.compile(r"(?:株式会社|有限会社|合同会社|㈱|\(株\)|法人|支店|営業所|工場|部|課)$")
_OFFICES = frozenset("部課係室店社局班組様氏殿君")
_GIVEN_STOPS = frozenset("係課部長店社様等達員者業町市区村県屋会所駅線山川橋寺社")


def find(text: str, plain: str) -> Iterator[Span]:
    """Names. `plain` is `folded(text)`."""
    names: dict[str, float] = {}
    for found in _HONORIFIC.finditer(plain):
        name = _called(plain, found.start(), found[0])
        if name is not None:
            start, end, confidence = name
            if confidence >= 0.8:
                names[plain[start:end]] = confidence
            yield Span(start, end, Kind.NAME, text[start:end], confidence)
    for found in _LABEL.finditer(plain):
        start, end = found.span(1)
        named = _person(found[1].partition(" ")[0] if re.search("[ぁ-ゖ]", found[1]) else found[1].replace(" ", ""))
        if named is not None and named[0] == 0:
            end = start + len(found[1]) if " " in found[1] else start + named[1]
            names[plain[start:end]] = 0.85
            yield Span(start, end, Kind.NAME, text[start:end], 0.85)
        elif (
            " " in found[1].strip()
            and not set(found[1]) & _GIVEN_STOPS
            and not any(w in NOBODY for w in found[1].split())
        ):
            yield Span(start, end, Kind.NAME, text[start:end], 0.7)
    for found in _SELF.finditer(plain):
        named = _person(found[1].replace(" ", ""))
        plain_is = found[0].endswith("です")
        if named is not None and named[0] == 0 and not (plain_is and len(found[1]) < 2):
            start, end = found.span(1)
            names[plain[start:end]] = 0.8
            yield Span(start, end, Kind.NAME, text[start:end], 0.7 if plain_is else 0.85)
    yield from _mentioned_again(text, plain, names)


def _called(plain: str, end: int, honorific: str) -> tuple[int, int, float] | None:
    """Who is called so: start, end, confidence."""
    stop = end - (plain[end - 1 : end] == " ")
    if plain[stop - 1 : stop] in ("", *"様氏殿君"):
        return None
    kanji = _run(plain, stop, 8, _is_kanji)
    katakana = _run(plain, stop, 24, _is_katakana)
    hiragana = _run(plain, stop, 5, _is_hiragana)
    start = stop - len(kanji or katakana or hiragana)
    if kanji:
        return _in_kanji(plain, start, stop, kanji, honorific)
    if katakana:
        if honorific[-1] in "長任授手":
            return None
        words = [word for word in re.split("[・＝]", katakana) if word]
        if (
            not words
            or words[-1] in KATAKANA_NOBODY
            or len("".join(words)) < 2
            or katakana.endswith(("ザー", "ジャー", "ヤー"))
        ):
            return None
        start = stop - len(katakana.lstrip("・＝ー"))
        return start, stop, 0.75 if honorific in ("さん", "様", "氏", "先生", "ちゃん", "くん", "君") else 0.6
    # Kana runs on from the sentence, so only a known name at its end counts.
    for size in range(min(5, len(hiragana)), 1, -1):
        if hiragana[-size:] in HIRAGANA:
            surname = _surname_before(plain, stop - size)
            return (stop - size, stop, 0.7) if surname is None else (surname, stop, 0.9)
    return None


def _run(plain: str, stop: int, most: int, belongs: Callable[[str], bool]) -> str:
    start = stop
    while start > 0 and stop - start < most and belongs(plain[start - 1]):
        start -= 1
    return plain[start:stop]


def _is_kanji(letter: str) -> bool:
    return "一" <= letter <= "鿿" or letter in "々ヶ﨑"


def _is_katakana(letter: str) -> bool:
    return "ァ" <= letter <= "ヺ" or letter in "・ー＝"


def _is_hiragana(letter: str) -> bool:
    return "ぁ" <= letter <= "ゖ"


def _surname_before(plain: str, end: int) -> int | None:
    """Where the surname begins that ends here, perhaps with a space after it."""
    found = _SURNAME_END.search(plain[max(0, end - 8) : end])
    named = _person(found[1]) if found else None
    return None if found is None or named is None else max(0, end - 8) + found.start() + named[0]


def _in_kanji(plain: str, start: int, stop: int, run: str, honorific: str) -> tuple[int, int, float] | None:
    before = plain[max(0, start - 6) : start]
    apart = _SURNAME_BEFORE.search(before)
    if apart is not None and _person(apart[1] + run) is not None and len(run) <= 3:
        named = _person(apart[1])
        if named is not None and named[1] == len(apart[1]):
            return start - len(apart[1]) - 1 + named[0], stop, 0.95
    named = _person(run)
    if named is not None and (len(run) - named[0] > 1 or named[0] == 0):
        single = len(run) - named[0] == 1
        if single and (run in NOBODY or honorific in ("殿", "君", "ちゃん") or before.endswith(("お", "ご", "御"))):
            return None
        return start + named[0], stop, 0.75 if single else 0.95
    company = _COMPANY.search(run)
    if before.endswith(("お", "ご", "御")) or company is not None:
        return None
    if len(run) < 2 or len(run) > 5 or honorific in ("君", "殿") or honorific[-1] in "長任授手":
        return None
    if (
        run in NOBODY
        or run[-1] in NOBODYS_ENDS
        or run[:1] in "御各全当弊貴"
        or any(run[-size:] in NOBODY for size in (2, 3, 4))
    ):
        return None
    if run[-1] + honorific in (
        "様様",
        "同様",
        "仕様",
        "模様",
        "多様",
        "有様",
        "王様",
        "神様",
        "奥様",
        "皆様",
        "殿様",
        "何様",
        "人様",
        "両氏",
        "同氏",
        "諸氏",
        "源氏",
        "摂氏",
        "華氏",
        "彼氏",
        "某氏",
    ):
        return None
    return start, stop, 0.6


def _person(run: str) -> tuple[int, int] | None:
    """Where in a run of kanji a known surname with a plausible given name stands: start, end; None where none does."""
    for at in range(len(run)):
        for size in range(min(4, len(run) - at), 0, -1):
            given = run[at + size :]
            if run[at : at + size] not in JAPANESE or len(given) > (3 if size > 1 else 2):
                continue
            if (given and (given[-1] in _GIVEN_STOPS or given in NOBODY)) or (at and size == 1):
                continue
            # One kanji left before it belongs to a rarer surname: 小 + 早川.
            return (0 if at == 1 and run[0] not in _OFFICES else at), len(run)
    return None


def _mentioned_again(text: str, plain: str, names: dict[str, float]) -> Iterator[Span]:
    """The same people where they are spoken of without an honorific."""
    again = sorted((name for name in names if len(name) > 1), key=len, reverse=True)[:64]
    if again:
        for found in re.finditer("|".join(map(re.escape, again)), plain):
            around = plain[found.end() : found.end() + 1]
            if around not in ("市", "町", "区", "県", "駅", "村", "都", "府"):
                yield Span(found.start(), found.end(), Kind.NAME, text[found.start() : found.end()], 0.7)
