"""What one cell says: amounts with signs and full-width digits, shares, flags, lists, deeds, carriers' news."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from ikkan.apps.shop.values import Deed
from ikkan.apps.shop.values.goods import (
    CANCELLED,
    DELIVERED,
    EXCHANGE_REQUESTED,
    LATE,
    LOST,
    PENDING,
    PROCESSED,
    REFUNDED,
    RETURN_REQUESTED,
)

ON_THE_WAY = "on the way"
MOST_MICROS = 10**15
"""A thousand million of a currency: no ware costs more."""


class NotRead(ValueError):
    """A cell cannot be read as what it should be. Its words: code, what is wrong, what to do."""

    def __init__(self, code: str, wrong: str, hint: str) -> None:
        super().__init__(wrong)
        self.code, self.wrong, self.hint = code, wrong, hint


class Amount(NamedTuple):
    """Money as a cell says it."""

    micros: int
    currency: str | None
    """None where the cell names none."""


_CODES = {
    "JPY": "円|jpy|jp¥|日元|yen",
    "USD": "$|us$|usd",
    "EUR": "€|eur",
    "GBP": "£|gbp",
    "CNY": "元|rmb|cny|cn¥|人民币",
    "TWD": "nt$|twd",
    "HKD": "hk$|hkd",
    "KRW": "₩|krw",
    "": "¥|\\",
}
_SIGNS: Mapping[str, str] = {sign: code for code, signs in _CODES.items() for sign in signs.split("|")}
"""Sign → currency; the yen sign is also the yuan's, so it says nothing by itself;
in Japanese encodings it is the backslash."""
_MONEY = re.compile(
    r"(?P<before>[^\d.,()+-]*)(?P<minus>-?)(?P<between>[^\d.,()+-]*)(?P<number>\d[\d,.' ]*|[.,]\d+)(?P<after>[^\d]*)"
)
_WHOLE_AMOUNT = re.compile(r"¥?([0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})(円?)")
_TAX = re.compile(r"[((]?(?:税込み?|税抜き?|税別|含税|incl\.? tax|excl\.? tax)[))]?|[~〜].*$")


def plain(text: str) -> str:
    """A cell without full-width signs and stray spaces.

    >>> plain("  １，２３４円　")
    '1,234円'
    """
    return unicodedata.normalize("NFKC", text).strip()


def number(text: str) -> Decimal:
    """A number as people write it; commas and points by their places.

    >>> [str(number(t)) for t in ("1,234", "1.234,50", "1 234.5", "１２", "-3", "1,5", "1.000.000")]
    ['1234', '1234.50', '1234.5', '12', '-3', '1.5', '1000000']
    """
    said = plain(text).replace(" ", "").replace("'", "").replace("\u2212", "-")
    comma, point = said.rfind(","), said.rfind(".")
    if comma >= 0 and point >= 0:
        thousands, decimal = (",", ".") if point > comma else (".", ",")
    elif comma >= 0:
        # 1,234 is a thousand; 1,5 and 1,50 are not.
        whole = re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", said)
        thousands, decimal = (",", ".") if whole else (".", ",")
    else:
        thousands, decimal = (".", ",") if said.count(".") > 1 else (",", ".")
    said = said.replace(thousands, "").replace(decimal, ".")
    try:
        found = Decimal(said)
    except InvalidOperation as exc:
        raise NotRead("not_a_number", f"{text!r} is no number", "write it like 1234 or 1,234.50") from exc
    if not found.is_finite() or abs(found) > 10**15:
        raise NotRead("not_a_number", f"{text!r} is no number we can keep", "write it like 1234 or 1,234.50")
    return found


def money(text: str) -> Amount:
    """An amount of money, with whatever sign stands beside it.

    >>> money("¥1,980"), money("１，９８０円（税込）"), money("$19.90").currency, money("€ 1.234,50").micros
    (Amount(micros=1980000000, currency=None), Amount(micros=1980000000, currency='JPY'), 'USD', 1234500000)
    """
    # Most cells are whole amounts, with or without a sign and commas.
    simple = _WHOLE_AMOUNT.fullmatch(text)
    if simple is not None:
        return Amount(int(simple[1].replace(",", "")) * 1_000_000, "JPY" if simple[2] else None)
    said = _TAX.sub("", plain(text)).strip()
    found = _MONEY.fullmatch(said)
    if found is None:
        raise NotRead("not_an_amount", f"{text!r} is no amount", "write it like 1980, ¥1,980 or 19.90 USD")
    currency: str | None = None
    for sign in (found["before"], found["between"], found["after"]):
        sign = sign.strip().casefold()
        if sign and sign not in _SIGNS:
            raise NotRead("not_an_amount", f"{text!r} is no amount", "write it like 1980, ¥1,980 or 19.90 USD")
        currency = (_SIGNS.get(sign) or currency) if sign else currency
    value = number(found["number"].rstrip(" ,."))
    if found["minus"]:
        raise NotRead("negative_amount", f"{text!r} is less than nothing", "a price is 0 or more")
    micros = int((value * 1_000_000).to_integral_value())
    if micros > MOST_MICROS:
        raise NotRead("not_an_amount", f"{text!r} is more than anything costs", "between 0 and 1,000,000,000")
    return Amount(micros, currency)


def currency(text: str) -> str:
    """A currency's code.

    >>> currency("jpy"), currency("円")
    ('JPY', 'JPY')
    """
    said = plain(text).casefold()
    known = _SIGNS.get(said) or said.upper()
    if not re.fullmatch(r"[A-Z]{3}", known):
        raise NotRead("not_a_currency", f"{text!r} is no currency", "three letters, like JPY")
    return known


def whole(text: str) -> int:
    """A whole number, not below 0.

    >>> whole("１２個"), whole("3.0")
    (12, 3)
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    value = number(
        re.sub(r"\s*(個|点|件|本|枚|台|pcs?|pieces?|件商品|只|双)\.?$", "", plain(text), flags=re.IGNORECASE)
    )
    if value != value.to_integral_value() or not 0 <= value <= 2**31 - 1:
        raise NotRead("not_whole", f"{text!r} is no whole number of 0 or more", "write it like 12")
    return int(value)


def share(text: str) -> float:
    """A share from 0 to 1; percent are taken as such.

    >>> share("30%"), share("0.3"), share("30")
    (0.3, 0.3, 0.3)
    """
    said = plain(text)
    value = number(said.rstrip("%％割 "))
    if said.endswith("割"):
        value = value / 10
    elif said.endswith("%") or value > 1:
        value = value / 100
    if not 0 <= value <= 1:
        raise NotRead("not_a_share", f"{text!r} is no share", "between 0 and 100 %")
    return float(value)


_YES_WORDS = (
    "1|true|t|yes|y|on|active|published|listed|visible|available|○|〇|◯|有|有効|公開|公開中|販売中|掲載中|表示|はい|"
    "利用|是|上架|在售|真"
)
_NO_WORDS = (
    "0|false|f|no|n|off|inactive|draft|unlisted|hidden|archived|deleted|×|✕|無|無効|非公開|停止|販売停止|販売終了|終了|"
    "非表示|いいえ|なし|否|下架|停售|假"
)
_YES, _NO = frozenset(_YES_WORDS.split("|")), frozenset(_NO_WORDS.split("|"))


def flag(text: str) -> bool:
    """Yes or no.

    >>> flag("公開中"), flag("draft"), flag("○")
    (True, False, True)
    """
    said = plain(text).casefold()
    if said in _YES:
        return True
    if said in _NO:
        return False
    raise NotRead("not_yes_or_no", f"{text!r} is neither yes nor no", "write yes or no, 1 or 0, 公開 or 非公開")


def parts(text: str) -> tuple[str, ...]:
    """A list in one cell.

    >>> parts("calm, gift、静か|calm")
    ('calm', 'gift', '静か')
    """
    found = (each.strip() for each in re.split(r"[,、，;；|/\n]", text.strip().strip("[]")))
    return tuple(dict.fromkeys(each.strip("\"' ") for each in found if each.strip("\"' ")))


def category(text: str) -> str:
    """A way from general to special, written our way.

    >>> category("キッチン＞コーヒー/ミル")
    'キッチン > コーヒー > ミル'
    """
    return " > ".join(each.strip() for each in re.split(r"\s*(?:>|＞|»|/|\||→|\\)\s*", text.strip()) if each.strip())


_DEEDS: Mapping[Deed, str] = {
    "viewed": (
        "viewed|view|pv|click|clicked|page view|pageview|product view|view item|detail|閲覧|表示|クリック|"
        "商品閲覧|浏览|点击|查看"
    ),
    "carted": (
        "carted|cart|add to cart|addtocart|add|basket|カート|カート追加|カートに追加|買い物かご|加购|加入购物车|购物车"
    ),
    "uncarted": "uncarted|remove from cart|removefromcart|remove|カート削除|カートから削除|移出购物车",
    "bought": (
        "bought|buy|purchase|purchased|order|ordered|transaction|sale|checkout|購入|注文|買上|購買|购买|下单|支付|成交"
    ),
    "returned": "returned|return|refund|refunded|返品|返金|退货|退款",
    "complained": "complained|complaint|苦情|クレーム|投诉",
    "disliked": "disliked|dislike|not interested|thumbs down|hide|興味なし|非表示|不感兴趣|不喜欢",
    "searched": "searched|search|query|検索|搜索",
}
_DEED: Mapping[str, Deed] = {name: deed for deed, names in _DEEDS.items() for name in names.split("|")}


def deed(text: str) -> Deed:
    """What a person did.

    >>> deed("Add_To_Cart"), deed("購入"), deed("浏览")
    ('carted', 'bought', 'viewed')
    """
    found = _DEED.get(text) or _DEED.get(re.sub(r"[\s_-]+", " ", plain(text).casefold()))
    if found is None:
        raise NotRead("unknown_deed", f"{text!r} is nothing we know people do", f"one of {', '.join(_DEEDS)}")
    return found


_NEWS: Mapping[str, str] = {
    LATE: "late|delayed|delay|遅延|遅れ|遅延中|配達遅延|配送遅延|延误|延迟|晚点",
    LOST: "lost|missing|紛失|不明|所在不明|荷物紛失|丢失|遗失|丢件",
    ON_THE_WAY: (
        "on the way|in transit|shipped|out for delivery|picked up|dispatched|label created|輸送中|配送中|"
        "発送済み|出荷済み|配達中|持ち出し中|引受|集荷|运输中|已发货|派送中|揽收"
    ),
    DELIVERED: "delivered|配達完了|配達済み|お届け済み|到着|投函完了|受取済み|已签收|已送达|妥投|签收",
}
_HEARD: Mapping[str, str] = {name: news for news, names in _NEWS.items() for name in names.split("|")}


def news(text: str) -> str:
    """What a carrier says: late, lost, on the way or delivered.

    >>> news("配達完了"), news("In-Transit"), news("延误")
    ('delivered', 'on the way', 'late')
    """
    found = _HEARD.get(re.sub(r"[\s_-]+", " ", plain(text).casefold()))
    if found is None:
        raise NotRead("unknown_news", f"{text!r} is no news we know of carriers", f"one of {', '.join(_NEWS)}")
    return found


_STATUSES: Mapping[str, str] = {
    PENDING: (
        "pending|open|new|paid|unfulfilled|awaiting shipment|processing|受付|受付済み|新規受付|入金待ち|入金済み|"
        "発送待ち|未発送|处理中|待发货|待付款|已付款"
    ),
    PROCESSED: "processed|shipped|fulfilled|in transit|dispatched|発送済み|出荷済み|発送済|配送中|已发货|运输中",
    DELIVERED: (
        "delivered|complete|completed|closed|配達完了|お届け済み|完了|配送完了|取引完了|已签收|已完成|交易成功|已送达"
    ),
    CANCELLED: "cancelled|canceled|void|voided|キャンセル|キャンセル済み|取消|已取消|交易关闭",
    RETURN_REQUESTED: "return requested|returned|返品|返品中|返品手続き中|退货中|退货",
    EXCHANGE_REQUESTED: "exchange requested|交換|交換中|换货中",
    REFUNDED: "refunded|返金|返金済み|已退款|退款成功",
}
_STATUS: Mapping[str, str] = {name: status for status, names in _STATUSES.items() for name in names.split("|")}


def status(text: str) -> str:
    """How an order stands.

    >>> status("発送済み"), status("Fulfilled"), status("已完成")
    ('processed', 'processed', 'delivered')
    """
    found = _STATUS.get(re.sub(r"[\s_-]+", " ", plain(text).casefold()))
    if found is None:
        raise NotRead("unknown_status", f"{text!r} is no state of an order we know", f"one of {', '.join(_STATUSES)}")
    return found


def key(text: str) -> str:
    """An id: any text of 1 to 80 signs that can be printed. A number that a spreadsheet made of it is mended.

    >>> key(" A-1 "), key("10023.0")
    ('A-1', '10023')
    """
    said = text.strip()
    if said.isascii() and said.isalnum() and len(said) <= 80:
        return said
    said = plain(said)
    if re.fullmatch(r"\d+\.0+", said):
        return said.partition(".")[0]
    if not said:
        raise NotRead("missing", "this is needed and is empty", "fill it in, or leave the row out")
    if re.fullmatch(r"\d(\.\d+)?e\+?\d+", said.casefold()):
        raise NotRead(
            "rounded_id", f"{text!r} was rounded by a spreadsheet", "format the column as text and export again"
        )
    if len(said) > 80 or not said.isprintable():
        raise NotRead("bad_id", f"{said[:60]!r} is no id", "1 to 80 signs that can be printed")
    return said


def words(text: str, *, most: int) -> str:
    """Text without control signs, of bounded length."""
    said = "".join(sign for sign in text if sign.isprintable() or sign in "\n\t").strip()
    if len(said) > most:
        raise NotRead("too_long", f"{len(said):,} signs are more than {most:,}", f"at most {most:,}")
    return said


def url(text: str) -> str:
    """An address of the web, or a path of the merchant's own site.

    >>> url("https://shop.example/a.jpg")
    'https://shop.example/a.jpg'
    """
    said = text.strip()
    if len(said) > 1_000 or not re.fullmatch(r"(?:https?://|/)[^\s<>\"'\\]+", said):
        raise NotRead("bad_address", f"{said[:60]!r} is no web address", "https://… or /…")
    return said


def email(text: str) -> str:
    """An email address.

    >>> email("ＡＤＡ@example.com")
    'ADA@example.com'
    """
    said = plain(text)
    if len(said) > 320 or not re.fullmatch(r"[^\s@<>\"]+@[^\s@<>\".]+(?:\.[^\s@<>\".]+)+", said):
        raise NotRead("bad_email", "this is no email address", "name@example.com")
    return said
