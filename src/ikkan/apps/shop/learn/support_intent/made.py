"""Wishes to a shop's support that this project makes, in Japanese, English and Chinese, for a world without a file.

Half of them say what is wanted in words the plain rules know, half as people say it who do not think in a shop's words.
Who wrote it is nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ikkan.kit.intent.labels import Labelled

_THINGS: Mapping[str, tuple[str, ...]] = {
    "en": ("the kettle", "my headphones", "those trainers", "the lamp", "the blue jacket", "my backpack"),
    "ja": ("ケトル", "ヘッドホン", "スニーカー", "ランプ", "青い上着", "リュック"),
    "zh": ("水壶", "耳机", "运动鞋", "台灯", "蓝色外套", "背包"),
}
_SAYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "status": {
        "en": (
            "where is {}",
            "what is the status of {}",
            "has {} left your warehouse yet",
            "any news about {}",
            "i am still waiting for {}",
            "how far along is {}",
        ),
        "ja": (
            "{}の状況を教えて",
            "{}はいつ届きますか",
            "{}はもう出ましたか",
            "{}の様子が知りたい",
            "{}をまだ待っています",
            "{}はどうなっていますか",
        ),
        "zh": ("{}到哪了", "{}的状态", "{}发出来了吗", "{}有消息吗", "我还在等{}", "{}进展如何"),
    },
    "cancel": {
        "en": (
            "cancel {} please",
            "i want to cancel {}",
            "forget about {}",
            "do not send {} after all",
            "stop the order of {}",
            "call off {}",
        ),
        "ja": (
            "{}をキャンセルしたい",
            "{}の注文を取り消し",
            "{}はやっぱりいりません",
            "{}は送らないでください",
            "{}をなかったことに",
            "{}の購入をやめます",
        ),
        "zh": ("取消{}", "我要取消{}的订单", "{}不想要了", "{}别发货了", "{}不买了", "{}那单作废吧"),
    },
    "return": {
        "en": (
            "i want to return {}",
            "refund {} please",
            "{} does not suit me, take it back",
            "{} is a disappointment",
            "how do i get my money for {}",
            "{} goes back to you",
        ),
        "ja": (
            "{}を返品したい",
            "{}の返金をお願いします",
            "{}が合わないので引き取って",
            "{}にがっかりしました",
            "{}のお金を戻して",
            "{}をそちらへ送り戻します",
        ),
        "zh": ("{}要退货", "{}申请退款", "{}不合适，想还给你们", "{}让我失望", "{}的钱还给我", "{}寄还给你们"),
    },
    "swap": {
        "en": (
            "exchange {} for another size",
            "swap {} for a red one",
            "{} is too small, i need a larger one",
            "i would rather have {} in black",
            "can {} be a different model",
            "give me another {} instead",
        ),
        "ja": (
            "{}を別のサイズに交換",
            "{}を取り替えたい",
            "{}が小さいので大きいのにして",
            "{}は黒のほうがいい",
            "{}を別の型にできますか",
            "{}の代わりに違うのを",
        ),
        "zh": ("{}换货", "{}更换尺码", "{}太小了，要大一点的", "{}想要黑色的", "{}可以要别的型号吗", "{}给我另一款"),
    },
    "order_address": {
        "en": (
            "deliver to another place: {}",
            "change the address of the order with {}",
            "{} should go to my office",
            "i have moved, {} must not go to the old flat",
            "bring {} to my sister instead",
            "wrong street for {}",
        ),
        "ja": (
            "{}の届け先を変えたい",
            "{}の配送先の住所を直して",
            "{}は会社に持ってきて",
            "引っ越したので{}は前の家に送らないで",
            "{}は妹の家へお願いします",
            "{}の番地が違います",
        ),
        "zh": (
            "{}改收货地址",
            "{}的地址写错了",
            "{}送到公司",
            "我搬家了，{}别送旧家",
            "{}送到我妹妹那里",
            "{}门牌号不对",
        ),
    },
    "payment": {
        "en": (
            "change the payment method of {}",
            "pay with another card for {}",
            "charge {} to my gift card",
            "my card has expired, take the other one for {}",
            "bill {} to paypal",
            "use my new visa for {}",
        ),
        "ja": (
            "{}の支払い方法を変えたい",
            "{}のお支払いを別のカードで",
            "{}はギフト券から引いて",
            "カードが切れたので{}は別ので",
            "{}はペイパルで払います",
            "{}は新しいカードを使って",
        ),
        "zh": (
            "{}改支付方式",
            "{}的付款方式换一张卡",
            "{}用礼品卡扣",
            "卡过期了，{}用另一张",
            "{}走贝宝",
            "{}用新卡付",
        ),
    },
    "lost": {
        "en": (
            "{} is lost",
            "{} never arrived",
            "the tracker says delivered but {} is not here",
            "nobody has seen {}",
            "{} has vanished on the way",
            "the courier cannot find {}",
        ),
        "ja": (
            "{}が届きません",
            "{}が紛失したようです",
            "配達済みなのに{}がありません",
            "{}を誰も見ていません",
            "{}が途中で消えました",
            "{}が行方不明です",
        ),
        "zh": ("{}没收到", "{}丢失了", "显示签收但{}不在", "没人见过{}", "{}半路不见了", "快递找不到{}"),
    },
    "product": {
        "en": (
            "how many {} are in stock",
            "what is the price of {}",
            "what does {} cost",
            "do you have {} in green",
            "is {} sold out",
            "which sizes of {} are there",
        ),
        "ja": (
            "{}の在庫はありますか",
            "{}の値段は",
            "{}はおいくら",
            "{}に緑はありますか",
            "{}は売り切れですか",
            "{}はどのサイズがありますか",
        ),
        "zh": ("{}有库存吗", "{}多少钱", "{}怎么卖", "{}有绿色吗", "{}卖完了吗", "{}有哪些尺码"),
    },
}
_AROUND: Mapping[str, tuple[tuple[str, str], ...]] = {
    "en": (("", ""), ("hello, ", ""), ("", ", thanks"), ("sorry, ", ""), ("", " as soon as you can")),
    "ja": (("", ""), ("こんにちは。", ""), ("", "。お願いします"), ("すみません、", ""), ("", "。急いでいます")),
    "zh": (("", ""), ("你好，", ""), ("", "，谢谢"), ("麻烦问下，", ""), ("", "，比较急")),
}


def made(n: int, seed: int = 0) -> tuple[Labelled, ...]:
    """So many wishes, a third in each language; the same number and seed give the same.

    >>> rows = made(300)
    >>> len({row.intent for row in rows}), rows == made(300)
    (8, True)
    """
    rng = np.random.default_rng([seed, 0x5107])

    def pick(values: Sequence[str]) -> str:
        return values[int(rng.integers(len(values)))]

    rows = []
    for number in range(n):
        lang, intent = ("ja", "en", "zh")[number % 3], pick(tuple(_SAYS))
        before, after = _AROUND[lang][int(rng.integers(len(_AROUND[lang])))]
        text = before + pick(_SAYS[intent][lang]).format(pick(_THINGS[lang])) + after
        rows.append(Labelled(_slip(text, rng), intent))
    return tuple(rows)


def _slip(text: str, rng: np.random.Generator) -> str:
    """Every sixth text has two neighbouring letters exchanged, or one left out."""
    at, kind = int(rng.integers(1, len(text) - 1)), int(rng.integers(12))
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if kind == 1 else text
