"""Numbers and addresses as people in Japan write them. Names: `honorifics.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ikkan.assurance.recognisers.checks import my_number
from ikkan.assurance.recognisers.folding import digits, near, spoken
from ikkan.assurance.recognisers.values import Kind, Span

_FREE = r"(?<![0-9A-Za-z])(?<![0-9][-.])"
"""Nothing before it that would make it part of a longer number. Not `\\b`: kana beside a digit is no boundary to it."""
_CALL = r"(?:(?<![0-9A-Za-z])|(?<=TEL)|(?<=Tel)|(?<=FAX)|(?<=Fax))(?<![0-9][-.])"
_DONE = r"(?!-?[0-9])"
_MOBILE = re.compile(rf"{_CALL}0[5789]0(?:([- ]?)[0-9]{{4}}\1|\([0-9]{{4}}\))[0-9]{{4}}{_DONE}")
_FREE_CALL = re.compile(
    rf"{_CALL}(?:0120([- ]?)(?:[0-9]{{3}}\1[0-9]{{3}}|[0-9]{{2}}-[0-9]{{4}})|0(?:800"
    rf"|570)-[0-9]{{3}}-[0-9]{{3,4}}){_DONE}"
)
_FIXED = re.compile(
    rf"{_CALL}(?:0[1-9][0-9]{{0,3}}([- ])[0-9]{{1,4}}\1[0-9]{{4}}|0[1-9][0-9]{{0,3}}\([0-9]{{1,4}}\)[0-9]{{4}}"
    rf"|\(0[1-9][0-9]{{0,3}}\) ?[0-9]{{1,4}}-?[0-9]{{4}}){_DONE}"
)
_BARE = re.compile(rf"{_CALL}0[1-9][0-9]{{8}}{_DONE}")
_FROM_ABROAD = re.compile(rf"(?<![0-9])\+81[- ]?(?:\(0\))?[1-9][0-9]{{0,3}}[- ]?[0-9]{{1,4}}[- ]?[0-9]{{4}}{_DONE}")
_PHONE_WORDS = re.compile(r"電話|携帯|連絡先|ファッ?クス|FAX|TEL|☎|℡|スマホ|内線|番号は|かけ", re.IGNORECASE)
_NOT_A_PHONE = re.compile(
    r"注文|伝票|追跡|受付番号|お問い合わせ番号|問合せ番号|型番|品番|製造|シリアル|管理番号|会員番号|予約番号|JAN"
    r"|ISBN|法人番号|order|tracking|serial|part (?:no|number)|invoice|ticket",
    re.IGNORECASE,
)
_POSTAL = re.compile(rf"{_FREE}[0-9]{{3}}-[0-9]{{4}}{_DONE}")
_MARKED_POSTAL = re.compile(rf"〒 ?([0-9]{{3}}-?[0-9]{{4}}){_DONE}")
_POSTAL_WORDS = re.compile(r"郵便番号|〒|住所|宛先|送付先|お届け先|配送先")
_MY_NUMBER = re.compile(rf"{_FREE}[0-9]{{4}}([- ]?)[0-9]{{4}}\1[0-9]{{4}}{_DONE}")
_MY_NUMBER_WORDS = re.compile(r"マイナンバ|個人番号|my ?number|individual number", re.IGNORECASE)
_SEVEN = re.compile(rf"{_FREE}[0-9]{{7}}{_DONE}")
_SIX_TO_EIGHT = re.compile(rf"{_FREE}[0-9]{{6,8}}{_DONE}")
_BRANCH_WORDS = re.compile(r"銀行|信用金庫|信金|信用組合|信組|農協|労金|支店|出張所|普通|当座|貯蓄|口座|振込|振り込")
_ACCOUNT_WORDS = re.compile(r"口座(?:番号)?[^0-9\n]{0,6}$|(?:普通|当座|貯蓄)(?:預金|口座)?[^0-9\n]{0,4}$")
_YUCHO = re.compile(
    rf"記号[^0-9\n]{{0,4}}(1[0-9]{{4}}(?:-[0-9])?)[^0-9\n]{{0,8}}番号[^0-9\n]{{0,4}}([0-9]{{2,8}}){_DONE}"
)
_LICENCE = re.compile(rf"{_FREE}[0-9]{{12}}{_DONE}")
_LICENCE_WORDS = re.compile(r"免許")
_PASSPORT = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2} ?[0-9]{7}(?![A-Za-z0-9])")
_PASSPORT_WORDS = re.compile(r"旅券|パスポート|渡航", re.IGNORECASE)
_RESIDENCE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{8}[A-Z]{2}(?![A-Za-z0-9])")
_PENSION = re.compile(rf"{_FREE}[0-9]{{4}}-[0-9]{{6}}{_DONE}")
_PENSION_WORDS = re.compile(r"年金")
_BORN = re.compile(
    r"(?:生年月日|誕生日|生まれ(?:た日)?)(?:は|が|:| |/|\(){0,3}((?:(?:19|20)[0-9]{2}|(?:明治|大正|昭和|平成|令和"
    r"|[MTSHR])(?:[0-9]{1,2}|元))(?:[年./-])[0-9]{1,2}(?:[月./-])[0-9]{1,2}日?)"
    r"|((?:(?:19|20)[0-9]{2}|(?:明治|大正|昭和|平成)(?:[0-9]{1,2}|元))(?:[年./-])[0-9]{1,2}"
    r"(?:[月./-])[0-9]{1,2}日?)(?=(?: |\()?(?:生まれ|生(?![産徒活物じ])))"
)
_PREFECTURE = (
    r"(?:北海道|(?:青森|岩手|宮城|秋田|山形|福島|茨城|栃木|群馬|埼玉|千葉|神奈川|新潟|富山|石川|福井|山梨|長野"
    r"|岐阜|静岡|愛知|三重|滋賀|"
    r"兵庫|奈良|和歌山|鳥取|島根|岡山|広島|山口|徳島|香川|愛媛|高知|福岡|佐賀|長崎|熊本|大分|宮崎|鹿児島|沖縄)県"
    r"|東京都|(?:京都|大阪)府)"
)
_PLACE = r"[一-鿿々ぁ-ゖァ-ヺーヶ]"
_NUMBER = r"[0-9一二三四五六七八九十]{1,5}"
_HOUSE = (
    rf"(?:(?:[北南東西]?[0-9]{{1,3}}条[北南東西]? ?)?{_NUMBER}丁目(?: ?{_NUMBER}(?:番地?|-)?(?:[の-]?{_NUMBER}号?)?)?"
    rf"|{_NUMBER}番地?(?: ?の?{_NUMBER}(?:[の-]{_NUMBER})?)?号?"
    r"|[0-9]{1,4}-[0-9]{1,4}(?:-[0-9]{1,5}){0,2})"
)
_BUILDING = (
    r"(?: {0,1}[ァ-ヺーA-Za-z一-鿿]{1,20}(?:ビル|マンション|ハイツ|コーポ|荘|アパート|タワー|ハウス|レジデンス)"
    r"(?: ?[0-9A-Z]{1,5}(?:号室|階|F)?)?| ?[0-9]{1,5}号室)?"
)
_ADDRESS = re.compile(rf"{_PREFECTURE} ?{_PLACE}{{1,12}}?[市区町村郡] ?{_PLACE}{{0,16}}? ?{_HOUSE}{_BUILDING}{_DONE}")
_HOUSE_ALONE = re.compile(rf"(?<![0-9]){_HOUSE}{_BUILDING}{_DONE}")
_TOWN_BEFORE = re.compile(rf"(?:^|[^一-鿿々ァ-ヺー])({_PLACE}{{1,8}}?[市区町村郡] ?{_PLACE}{{0,16}}? ?)$")
_NOT_A_TOWN = re.compile(rf"[^市区町村郡]{{1,6}}(?:には|では|[はがをに])(?={_PLACE})")


def find(text: str, plain: str) -> Iterator[Span]:
    """Spans of this file's kinds. `plain` is `folded(text)`."""

    def span(kind: Kind, start: int, end: int, confidence: float) -> Span:
        return Span(start, end, kind, text[start:end], confidence)

    yield from _phones(text, plain)
    said = spoken(text)
    if said is not None:
        yield from _phones(text, said)
    for found in _MARKED_POSTAL.finditer(plain):
        yield span(Kind.POSTAL_CODE, *found.span(1), 0.98)
    for found in _POSTAL.finditer(plain):
        after = plain[found.end() : found.end() + 6].lstrip()
        if _POSTAL_WORDS.search(near(plain, *found.span(), 12)) or re.match(_PREFECTURE, after):
            yield span(Kind.POSTAL_CODE, *found.span(), 0.9)
    for found in _MY_NUMBER.finditer(plain) if _MY_NUMBER_WORDS.search(plain) else ():
        if my_number(digits(found[0])) and _MY_NUMBER_WORDS.search(near(plain, *found.span(), 30, 20)):
            yield span(Kind.MY_NUMBER, *found.span(), 0.99)
    yield from _accounts(text, plain)
    for pattern, words, before in (
        (_LICENCE, _LICENCE_WORDS, 20),
        (_PASSPORT, _PASSPORT_WORDS, 20),
        (_PENSION, _PENSION_WORDS, 16),
    ):
        for found in pattern.finditer(plain) if words.search(plain) else ():
            if words.search(near(plain, *found.span(), before, 8)):
                yield span(Kind.DOCUMENT, *found.span(), 0.9)
    for found in _RESIDENCE.finditer(plain):
        yield span(Kind.DOCUMENT, *found.span(), 0.85)
    for found in _BORN.finditer(plain) if "生" in plain else ():
        yield span(Kind.BIRTH_DATE, *found.span(1 if found[1] else 2), 0.9)
    yield from _addresses(text, plain)


def _phones(text: str, plain: str) -> Iterator[Span]:
    for pattern, sure in ((_MOBILE, 0.9), (_FREE_CALL, 0.9), (_FIXED, 0.9), (_FROM_ABROAD, 0.95), (_BARE, 0.4)):
        for found in pattern.finditer(plain):
            number = digits(found[0])
            if pattern is _FIXED and len(number) != 10:
                continue
            confidence = sure
            if _NOT_A_PHONE.search(near(plain, *found.span(), 14)):
                confidence = 0.2
            elif _PHONE_WORDS.search(near(plain, *found.span(), 14, 6)):
                confidence = max(sure, 0.95)
            yield Span(found.start(), found.end(), Kind.PHONE, text[found.start() : found.end()], confidence)


def _accounts(text: str, plain: str) -> Iterator[Span]:
    for found in _YUCHO.finditer(plain):
        for group in (1, 2):
            start, end = found.span(group)
            yield Span(start, end, Kind.BANK_ACCOUNT, text[start:end], 0.95)
    for pattern, before, words, most in (
        (_SEVEN, 24, _BRANCH_WORDS, 2),
        (_SIX_TO_EIGHT, 12, _ACCOUNT_WORDS, 1),
    ):
        for found in pattern.finditer(plain) if words.search(plain) else ():
            said = plain[max(0, found.start() - before) : found.start()].rpartition("\n")[2]
            if len(set(words.findall(said))) >= most:
                yield Span(found.start(), found.end(), Kind.BANK_ACCOUNT, text[found.start() : found.end()], 0.9)


def _addresses(text: str, plain: str) -> Iterator[Span]:
    for found in _ADDRESS.finditer(plain) if any(mark in plain for mark in "都道府県") else ():
        yield Span(found.start(), found.end(), Kind.ADDRESS, text[found.start() : found.end()], 0.95)
    for found in _HOUSE_ALONE.finditer(plain):
        if "丁目" not in found[0] and "番" not in found[0] and found[0].count("-") < 2:
            continue
        first = max(0, found.start() - 28)
        before = _TOWN_BEFORE.search(plain[first : found.start()])
        if before is None:
            continue
        start = first + before.start(1)
        prefix = _NOT_A_TOWN.match(plain, start, found.start())
        start = prefix.end() if prefix else start
        confidence = 0.85 if "丁目" in found[0] or "番" in found[0] else 0.65
        yield Span(start, found.end(), Kind.ADDRESS, text[start : found.end()], confidence)
