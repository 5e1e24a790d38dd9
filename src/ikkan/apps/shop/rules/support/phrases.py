"""What the guide says, in three languages."""

from __future__ import annotations

from collections.abc import Mapping

from ikkan.apps.shop.values import Language

Texts = Mapping[Language, str]

HELLO: Texts = {
    "ja": "ご用件をどうぞ。まず、メールアドレス、またはお名前と郵便番号でご本人を確認します。"
    "担当者との会話をご希望なら、いつでも「担当者」とお書きください。",
    "en": "How can I help? First, who are you: your email address, or first name, last name and zip code. "
    "If you would rather talk to a person, say so at any time.",
    "zh": "请问有什么可以帮您？请先提供电子邮箱，或姓名和邮政编码以确认身份。如需人工客服，请随时输入“人工”。",
}
HELLO_AGAIN: Texts = {
    "ja": "ご用件をどうぞ。担当者との会話をご希望なら、いつでも「担当者」とお書きください。",
    "en": "How can I help? If you would rather talk to a person, say so at any time.",
    "zh": "请问有什么可以帮您？如需人工客服，请随时输入“人工”。",
}
"""To whom the page knows already."""
WELCOME: Texts = {
    "ja": "{name} 様、確認できました。ご用件は何でしょうか。",
    "en": "Thank you, {name}. What can I do for you?",
    "zh": "{name}，身份已确认。请问需要办理什么？",
}
LATE: Texts = {
    "ja": "ご注文 {order} のお届けが遅れています。申し訳ありません。状況の確認や担当者へのおつなぎができます。",
    "en": "I am sorry: your order {order} is late. I can tell you how it stands, or let a person help.",
    "zh": "很抱歉，您的订单 {order} 延误了。可为您查询状态或转接人工客服。",
}
LOST: Texts = {
    "ja": "ご注文 {order} は配送会社から紛失の知らせがありました。申し訳ありません。"
    "「紛失の返金」とお書きくだされば返金します。",
    "en": 'I am sorry: the carrier says your order {order} is lost. Say "refund the lost parcel" and I pay it back.',
    "zh": "很抱歉，承运商表示您的订单 {order} 已丢失。回复“丢失退款”即可办理退款。",
}
WHO: Texts = {
    "ja": "メールアドレス、またはお名前と郵便番号をお知らせください。",
    "en": "Please tell me your email address, or first name, last name and zip code.",
    "zh": "请提供电子邮箱，或姓名和邮政编码。",
}
MENU: Texts = {
    "ja": "次のことができます。番号か、ご自分の言葉でどうぞ。",
    "en": "This is what I can do. Say the number, or use your own words.",
    "zh": "我可以办理以下事项，请输入编号或直接描述。",
}
INTENTS: Mapping[str, Texts] = {
    "status": {"ja": "注文の状況", "en": "Status of an order", "zh": "订单状态"},
    "cancel": {"ja": "注文のキャンセル", "en": "Cancel an order", "zh": "取消订单"},
    "return": {"ja": "返品", "en": "Return items", "zh": "退货"},
    "swap": {"ja": "商品の交換・変更", "en": "Exchange or change items", "zh": "换货或修改商品"},
    "order_address": {"ja": "注文のお届け先の変更", "en": "Send an order elsewhere", "zh": "修改订单地址"},
    "my_address": {"ja": "登録住所の変更", "en": "Change my default address", "zh": "修改默认地址"},
    "payment": {"ja": "支払い方法の変更", "en": "Pay an order in another way", "zh": "更改支付方式"},
    "product": {"ja": "商品の在庫と価格", "en": "Stock and price of a product", "zh": "商品库存与价格"},
    "lost": {"ja": "届かない荷物の返金", "en": "Refund of a lost parcel", "zh": "丢失包裹退款"},
    "person": {"ja": "担当者と話す", "en": "Talk to a person", "zh": "人工客服"},
}
ASK: Mapping[str, Texts] = {
    "order_id": {"ja": "どのご注文ですか。", "en": "Which order?", "zh": "是哪个订单？"},
    "reason": {"ja": "キャンセルの理由はどちらですか。", "en": "Why do you cancel it?", "zh": "取消的原因是？"},
    "item_ids": {
        "ja": "どの商品ですか。複数なら「1, 3」のように、すべてなら「全部」とお書きください。",
        "en": "Which items? Several are written 1, 3; or say all.",
        "zh": "是哪些商品？多个请写作“1, 3”，全部请回复“全部”。",
    },
    "new_item_id": {
        "ja": "「{line}」を何に変えますか。仕様(色やサイズなど)をお書きください。",
        "en": "What should the {line} become? Say the options, such as colour or size.",
        "zh": "“{line}”要换成什么？请写明规格（颜色、尺寸等）。",
    },
    "method_id": {"ja": "どのお支払い方法を使いますか。", "en": "Which payment method?", "zh": "使用哪种支付方式？"},
    "address": {
        "ja": "住所をカンマで区切ってお書きください: 番地, 建物(なければ -), 市区町村, 都道府県, 郵便番号, 国",
        "en": "Write the address with commas: street, apartment (or -), city, state, zip code, country.",
        "zh": "请按顺序用逗号分隔填写地址：街道, 单元(没有则填 -), 城市, 省/州, 邮编, 国家",
    },
    "product": {"ja": "どの商品ですか。", "en": "Which product?", "zh": "是哪个商品？"},
}
NOT_HEARD: Texts = {
    "ja": "すみません、分かりませんでした。",
    "en": "Sorry, I did not get that.",
    "zh": "抱歉，没有听懂。",
}
NOT_FOUND: Texts = {
    "ja": "資料の中に答えが見つかりません。担当者がお答えしましょうか。(はい / いいえ)",
    "en": "I do not find that in our documents. Shall a person answer? (yes / no)",
    "zh": "资料中没有找到答案。需要人工客服回答吗？（是 / 否）",
}
CITED: Texts = {"ja": "{text}\n(出典: {where})", "en": "{text}\n(From: {where})", "zh": "{text}\n（来源：{where}）"}
NONE_FITS: Texts = {
    "ja": "その手続きができるご注文が見つかりません。",
    "en": "None of your orders is in a state in which this can be done.",
    "zh": "您没有可办理此事项的订单。",
}
ANYTHING_ELSE: Texts = {"ja": "ほかにご用件はありますか。", "en": "Is there anything else?", "zh": "还有其他需要吗？"}
WITHDRAWN: Texts = {"ja": "何も変えていません。", "en": "Nothing was changed.", "zh": "未作任何更改。"}
PERSON: Texts = {
    "ja": "担当者に引き継ぎました。これまでの内容は伝えてあります。",
    "en": "A person takes over now. They can read what you told me.",
    "zh": "已转接人工客服，之前的内容已一并转达。",
}
PRESSED: Mapping[str, Texts] = {
    "yes": {"ja": "[はい、この内容で]", "en": "[Yes, exactly this]", "zh": "[是，按此内容]"},
    "undo": {"ja": "[元に戻す]", "en": "[Undo]", "zh": "[撤销]"},
    "person": {"ja": "[担当者と話す]", "en": "[Talk to a person]", "zh": "[人工客服]"},
}
"""How a pressed button is kept among the words of a conversation."""
GONE: Texts = {"ja": "この会話は終わりました。", "en": "This conversation is over.", "zh": "本次会话已结束。"}
STATUS: Texts = {
    "ja": "ご注文 {order}: {status}{carrier}。{lines}",
    "en": "Order {order}: {status}{carrier}. {lines}",
    "zh": "订单 {order}：{status}{carrier}。{lines}",
}
PRODUCT: Texts = {
    "ja": "「{name}」は {count} 種類のうち {stock} 種類が在庫あり、価格は {low} から {high} です。",
    "en": "{name}: {stock} of {count} variants are available, from {low} to {high}.",
    "zh": "“{name}”共 {count} 种规格，{stock} 种有货，价格 {low} 至 {high}。",
}
STATUSES: Mapping[str, Texts] = {
    "pending": {"ja": "受付済み", "en": "pending", "zh": "待处理"},
    "pending (item modified)": {"ja": "受付済み(変更済み)", "en": "pending, items changed", "zh": "待处理（已修改）"},
    "processed": {"ja": "発送手続き中", "en": "on its way", "zh": "已发货"},
    "delivered": {"ja": "お届け済み", "en": "delivered", "zh": "已送达"},
    "cancelled": {"ja": "キャンセル済み", "en": "cancelled", "zh": "已取消"},
    "return requested": {"ja": "返品手続き中", "en": "return requested", "zh": "退货中"},
    "exchange requested": {"ja": "交換手続き中", "en": "exchange requested", "zh": "换货中"},
    "refunded": {"ja": "返金済み", "en": "refunded", "zh": "已退款"},
}
