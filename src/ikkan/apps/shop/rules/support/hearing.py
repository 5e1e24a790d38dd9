"""What a customer's sentence says, as far as plain rules can tell: Japanese, English and Chinese. Unsure means nothing.

Nothing here decides anything: what was heard fills a form, and the form is judged by the tools like any other proposal.
A yes is only a sentence that says yes and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from ikkan.apps.shop.values import Address, Case, Customer, Item, Line, Order, Product

_YES = {
    "yes", "y", "yes please", "yep", "yeah", "ok", "okay", "sure", "i confirm", "confirm", "confirmed", "correct",
    "yes i confirm", "yes go ahead", "go ahead", "please go ahead", "yes please go ahead", "that is right",
    "yes that is right", "yes that is correct", "that is correct",
    "はい", "ええ", "はい お願いします", "お願いします", "はい それでお願いします", "それでお願いします", "了解です",
    "はい 間違いありません",
    "是", "是的", "好", "好的", "确认", "我确认", "可以", "对", "对的", "是的 确认", "好的 请办理",
}  # fmt: skip
_NO = {
    "no", "n", "no thanks", "no thank you", "nope", "stop", "do not", "no do not", "no stop",
    "いいえ", "いや", "やめます", "やめてください", "違います", "いいえ やめます", "結構です",
    "否", "不", "不是", "不要", "不用", "算了", "不用了",
}  # fmt: skip

_PERSON = re.compile(
    r"\b(human|representative|real person|operator|live agent|to an? (agent|person)|a person|someone real)\b"
    r"|^person$|担当者|オペレーター|人間|人と話|有人|人工|真人|客服人员",
    re.IGNORECASE,
)
_UNDO = re.compile(r"\b(undo|take (it|that) back|revert)\b|元に戻|取り消して|撤销|撤回", re.IGNORECASE)

_INTENTS: Sequence[tuple[str, re.Pattern[str]]] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("lost", r"\b(lost|never arrived|missing (order|parcel|package))\b|紛失|届かない|届きません|丢失|没收到"),
        ("return", r"\b(return|send back|refund)\w*\b|返品|返金|退货|退款|退回"),
        ("swap", r"\b(exchange|swap|replace|upgrade)\w*\b|交換|取り替え|换货|更换|换成|换一"),
        (
            "payment",
            r"\b(payment( method)?|pay (with|by)|paid with)\b|支払い方法|支払方法|お支払い|支付方式|付款方式|改用",
        ),
        (
            "my_address",
            r"\b(my|default|user|profile|account) (default )?(address)\b|登録(の)?住所|自宅の住所|默认地址|我的地址",
        ),
        ("order_address", r"\b(address|ship(ping)? to|deliver(y)? to)\b|届け先|配送先|送り先|住所|收货地址|地址"),
        ("cancel", r"\bcancel\w*\b|キャンセル|取り消し|取消"),
        ("swap", r"\b(change|modify)\b.*\b(item|size|colou?r|option|variant)|変更|変えたい|修改|更改"),
        ("status", r"\b(status|track\w*|where is|when will)\b|状況|いつ届|追跡|どこ|状态|物流|到哪"),
        ("product", r"\b(product|price|stock|available|how many|options)\b|在庫|価格|値段|いくら|库存|价格|多少钱"),
        ("swap", r"\b(change|modify)\b"),
    )
)

_QUESTION = re.compile(
    r"^\W*(what|how|which|who|why|when|do you|does|is there|are there|are your|is your|can (i|one)|may i|until when)\b"
    r"|[?？]\s*$|(です|ます|でしょう|ません|ない|ある|いい|の)か[。.]?\s*$|(吗|呢|多久|多少|哪些|如何|什么|怎么办)[。.]?\s*$",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(my|this|that|the) (order|parcel|package|item|refund|return|delivery)s?\b|\bwhere is\b"
    r"|\bi (want|would like|need)\b|注文した|私の|この|届かない|届いていない|我的|这个|这单|没收到|到哪",
    re.IGNORECASE,
)
"""What speaks of somebody's own things."""

_REASONS: Mapping[str, re.Pattern[str]] = {
    "no longer needed": re.compile(
        r"no longer|not? need|don'?t (need|want)|do not (need|want)|不要|要らな|いらな|不再|不需要", re.IGNORECASE
    ),
    "ordered by mistake": re.compile(r"mistake|accident|wrong(ly)?|間違|誤|误|错", re.IGNORECASE),
}
_ALL = re.compile(r"\b(all|everything|both|entire|whole)\b|すべて|全部|全て|両方|所有", re.IGNORECASE)
_METHODS: Mapping[str, re.Pattern[str]] = {
    "gift_card": re.compile(r"gift ?card|ギフト|礼品卡", re.IGNORECASE),
    "paypal": re.compile(r"pay ?pal|ペイパル", re.IGNORECASE),
    "credit_card": re.compile(r"credit ?card|クレジット|クレカ|信用卡", re.IGNORECASE),
}
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_ZIP = re.compile(r"(?<![\w#])(\d{3}-?\d{4}|\d{5,6}(-\d{4})?)(?!\w)")
_ORDER = re.compile(r"#\s?(\w{4,})|(?<!\w)([A-Z]{1,3}-?\d{5,})(?!\w)", re.IGNORECASE)
_FILLER = re.compile(
    r"\b(hello|hi|my|name|is|i'?m|i|am|and|zip|code|zipcode|the|in|live|it'?s|postal|address)\b|名前は|名前|郵便番号は"
    r"|郵便番号|です|と申します|私は|我叫|我是|姓名|邮编|邮政编码|是",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """A sentence without case, width and punctuation.

    >>> plain("ＹＥＳ, please!"), plain("はい、お願いします。")
    ('yes please', 'はい お願いします')
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'s ", " is ")
    return " ".join(re.sub(r"[^\w#@.+-]+", " ", folded).replace("。", " ").strip(" .").split())


def yes_or_no(text: str) -> bool | None:
    """True or False where the whole sentence says so; None for everything else, a "yes, but" included.

    >>> [yes_or_no(text) for text in ("Yes.", "はい、お願いします", "好的！", "No!", "yes, but to my other card", "")]
    [True, True, True, False, None, None]
    """
    if "?" in text or "?" in text:
        return None
    said = plain(text)
    return True if said in _YES else False if said in _NO else None


def wants_person(text: str) -> bool:
    """Whether the customer would rather talk to a person."""
    return bool(_PERSON.search(text))


def wants_undo(text: str) -> bool:
    """Whether the customer wants to take back what was just done."""
    return bool(_UNDO.search(text))


def intent(text: str) -> str | None:
    """What the customer wants, or None where nothing says so.

    >>> [intent(t) for t in ("I'd like to return the lamp", "注文をキャンセルしたい", "我想修改收货地址", "hello")]
    ['return', 'cancel', 'order_address', None]
    """
    return next((name for name, pattern in _INTENTS if pattern.search(text)), None)


def asks(text: str) -> bool:
    """Whether a sentence is a question about how things are done here, rather than about somebody's own order.

    >>> [asks(t) for t in ("How long can I return things?", "送料はいくらですか", "保修多久？", "Where is my order?")]
    [True, True, True, False]
    >>> [asks(t) for t in ("I want to return the lamp", "返品したい", "can you cancel #W123?", "yes")]
    [False, False, False, False]
    """
    return bool(_QUESTION.search(text)) and not _OWN.search(text) and not _ORDER.search(text)


def reason(text: str) -> str | None:
    """A reason to cancel, of those a policy may allow."""
    return next((name for name, pattern in _REASONS.items() if pattern.search(text)), None)


def says_all(text: str) -> bool:
    """Whether all of something is meant."""
    return bool(_ALL.search(text))


def email(text: str) -> str | None:
    """An email address in the text."""
    found = _EMAIL.search(text)
    return found.group() if found else None


def name_and_zip(text: str) -> tuple[str, str, str] | None:
    """Two words of a name and a zip code.

    >>> name_and_zip("My name is Yusuf Rossi and my zip code is 19122."), name_and_zip("Yusuf Rossi")
    (('Yusuf', 'Rossi', '19122'), None)
    """
    found = _ZIP.search(text)
    if found is None:
        return None
    rest = _FILLER.sub(" ", text[: found.start()] + " " + text[found.end() :])
    words = re.findall(r"[^\W\d_][\w'-]*", rest)
    return (words[0], words[1], found.group()) if len(words) >= 2 else None


def orders(text: str, case: Case) -> list[str]:
    """The customer's orders that the text names by number, in the order of the text."""
    found = [(text.casefold().find(order_id.lstrip("#").casefold()), order_id) for order_id in case.orders]
    return [order_id for at, order_id in sorted(found) if at >= 0]


def strange_order(text: str, case: Case) -> str | None:
    """An order number in the text that is none of the customer's.

    >>> strange_order("cancel #W123456", Case()), strange_order("return W7654321 please", Case())
    ('#W123456', '#W7654321')
    """
    own = {order_id.lstrip("#").casefold() for order_id in case.orders}
    named = (found.group(1) or found.group(2) for found in _ORDER.finditer(text))
    return next((f"#{each}" for each in named if each.casefold() not in own), None)


def lines(text: str, candidates: Iterable[Line]) -> list[Line]:
    """The pieces of an order that the text names: by item number, else by name and options.

    Of several pieces with the same name those stay whose options the text mentions most; "all" and "both" keep all.
    """
    pool = list(candidates)
    by_number = [line for line in pool if line.item_id in text]
    if by_number:
        return by_number
    low, found = text.casefold(), []
    names: dict[str, list[Line]] = {}
    for line in pool:
        names.setdefault(line.name, []).append(line)
    for name, same in names.items():
        if not _mentions(low, name):
            continue
        scores = [sum(_mentions(low, value) for value in line.options.values()) for line in same]
        best = max(scores)
        few = (
            same if says_all(text) or best == 0 else [x for x, score in zip(same, scores, strict=True) if score == best]
        )
        found += few
    return found


def variants(text: str, product: Product, now: Line) -> list[Item]:
    """The available items a piece may become by what the text says, the most alike to the piece as it is.

    An item number decides. Options that are mentioned are kept to; of the rest as many as possible stay.
    """
    others = [item for item in product.items.values() if item.is_available and item.item_id != now.item_id]
    named = [item for item in others if item.item_id in text]
    if named:
        return named
    low = text.casefold()
    wanted: dict[str, set[str]] = {}
    for item in product.items.values():
        for option, value in item.options.items():
            if _mentions(low, value):
                wanted.setdefault(option, set()).add(value)
    for option, values in wanted.items():
        if len(values) > 1:
            # "larger than M: L" names the present one as well; the new one is meant.
            wanted[option] = values - {now.options.get(option, "")} or values
    fitting = [item for item in others if all(item.options.get(name) in values for name, values in wanted.items())]
    if not wanted or not fitting:
        return []
    kept = [sum(item.options.get(name) == value for name, value in now.options.items()) for item in fitting]
    return [item for item, same in zip(fitting, kept, strict=True) if same == max(kept)]


def methods(text: str, customer: Customer, allowed: Iterable[str]) -> list[str]:
    """The customer's ways to pay, of those allowed, that the text names."""
    pool = list(allowed)
    exact = [way for way in pool if way in text or (customer.methods[way].last_four or "-") in text]
    if exact:
        return exact
    kinds = {kind for kind, pattern in _METHODS.items() if pattern.search(text)}
    return [way for way in pool if customer.methods[way].kind in kinds]


def address(text: str, case: Case) -> Address | None:
    """An address: written out with commas, the default one, or that of another order.

    >>> address("1 Main St, -, Denver, CO, 80201, USA", Case())
    Address(line1='1 Main St', line2='', city='Denver', state='CO', country='USA', zip='80201')
    """
    parts = [part.strip() for part in re.split(r"[,，、\n]", text)]
    if len(parts) == 6 and all(parts[at] for at in (0, 2, 3, 4, 5)):
        line2 = "" if parts[1] in {"", "-", "none", "なし", "无"} else parts[1]
        return Address(parts[0], line2, parts[2], parts[3], parts[5], parts[4])
    if case.customer is not None and re.search(r"\bdefault\b|登録|自宅|默认", text, re.IGNORECASE):
        return case.customer.address
    named = orders(text, case)
    return case.orders[named[0]].address if len(named) == 1 else None


def numbers(text: str, count: int) -> list[int]:
    """Places in a numbered list, from 0: `1, 3` or `2番`. Empty where the text is more than numbers.

    >>> numbers("1, 3", 3), numbers("2", 3), numbers("9", 3), numbers("5 lamps", 9)
    ([0, 2], [1], [], [])
    """
    said = unicodedata.normalize("NFKC", text)
    if re.search(r"[^\d\s,.、，と和&番号第个]", said):
        return []
    found = [int(each) - 1 for each in re.findall(r"\d+", said)]
    return found if found and all(0 <= each < count for each in found) else []


def with_items(text: str, case: Case, pool: Iterable[Order]) -> list[Order]:
    """Of these orders the ones that hold something the text names; all of them where it names nothing."""
    every = list(pool)
    having = [order for order in every if lines(text, order.lines)]
    return having or every


def _mentions(low: str, value: str) -> bool:
    word = value.casefold()
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}(s|es)?(?![a-z0-9])", low) is not None
