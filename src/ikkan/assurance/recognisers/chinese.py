"""Chinese basics: mobile numbers, resident numbers, and names before 先生, 女士, 小姐 or after 我叫 and 姓名."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ikkan.assurance.recognisers.checks import resident
from ikkan.assurance.recognisers.folding import near
from ikkan.assurance.recognisers.surnames import CHINESE
from ikkan.assurance.recognisers.values import Kind, Span

_MOBILE = re.compile(r"(?<![0-9+])(?<![0-9]-)(\+86[- ]?)?1[3-9][0-9]([- ]?)[0-9]{4}\2[0-9]{4}(?!-?[0-9])")
_MOBILE_WORDS = re.compile(r"手机|手機|电话|電話|联系|聯繫|微信|致电|拨打|号码|mobile|phone", re.IGNORECASE)
_NOT_A_PHONE = re.compile(
    r"订单|訂單|快递|单号|運單|运单|编号|注文|伝票|追跡|番号|order|tracking|serial|id[: ]", re.IGNORECASE
)
_RESIDENT = re.compile(r"(?<![0-9A-Za-z])[1-8][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx](?![0-9A-Za-z])")
_SURNAME = "|".join(sorted(CHINESE, key=lambda name: (-len(name), name)))
_HAN = "一-鿿"
_CALLED = re.compile(rf"((?:{_SURNAME})[{_HAN}]{{0,2}})(?:先生|女士|小姐|老师|太太|经理|主任|医生)(?![们们])")
_SAID = re.compile(
    rf"(?:我叫|我是|我的名字是|姓名[::是为]|联系人[::是]|收件人[::是]|客户[::])\s{{0,2}}("
    rf"(?:{_SURNAME})[{_HAN}]{{1,2}})(?![{_HAN}]|的)"
)
_NOT_GIVEN = frozenset("的是在了和与或请向给对把被让你我他她它们这那位每各等从找问见")


def find(text: str, plain: str, *, is_chinese: bool) -> Iterator[Span]:
    """Spans of this file's kinds. Names only where the text `is_chinese`: ideographs and no kana."""

    def span(kind: Kind, start: int, end: int, confidence: float) -> Span:
        return Span(start, end, kind, text[start:end], confidence)

    for found in _RESIDENT.finditer(plain):
        if resident(found[0]):
            yield span(Kind.NATIONAL_ID, *found.span(), 0.97)
    for found in _MOBILE.finditer(plain):
        said = near(plain, *found.span(), 12)
        sure = found[1] is not None or found[2] != "" or _MOBILE_WORDS.search(said) is not None
        if sure or (is_chinese and not _NOT_A_PHONE.search(said)):
            yield span(Kind.PHONE, *found.span(), 0.9 if sure else 0.6)
    if is_chinese:
        for found in _CALLED.finditer(plain):
            # The longest reading may have taken a word before the title: 王的先生.
            if not _NOT_GIVEN.intersection(found[1]):
                yield span(Kind.NAME, *found.span(1), 0.85)
        for found in _SAID.finditer(plain):
            yield span(Kind.NAME, *found.span(1), 0.8)
