"""What each kind of file may tell, and the names its columns go by in Japanese, English and Chinese exports."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from ikkan.apps.shop.values.importing import CellKind, Field, SheetKind


def _f(name: str, reads: CellKind, ja: str, en: str, *, needed: bool = False) -> Field:
    return Field(name, reads, needed, {"ja": ja, "en": en})


FIELDS: Mapping[SheetKind, tuple[Field, ...]] = {
    "catalogue": (
        _f("product_id", "id", "商品コード", "Product id", needed=True),
        _f("name", "text", "商品名", "Name", needed=True),
        _f("price", "money", "価格", "Price", needed=True),
        _f("category", "text", "カテゴリ", "Category, from general to special, parted by >"),
        _f("currency", "currency", "通貨", "Currency"),
        _f("description", "text", "説明", "Description"),
        _f("brand", "text", "ブランド", "Brand"),
        _f("seller", "text", "販売者", "Seller"),
        _f("margin", "share", "粗利率", "Margin, as a share or in percent"),
        _f("stock", "whole", "在庫数", "Stock, in pieces"),
        _f("tags", "list", "タグ", "Tags, parted by commas"),
        _f("image", "url", "画像", "Address of a picture"),
        _f("added_at", "when", "登録日", "On sale since"),
        _f("is_listed", "flag", "公開", "Whether it is on sale"),
        _f("name_ja", "text", "日本語の商品名", "Name in Japanese"),
        _f("name_en", "text", "英語の商品名", "Name in English"),
        _f("name_zh", "text", "中国語の商品名", "Name in Chinese"),
    ),
    "orders": (
        _f("order_id", "id", "注文番号", "Order number", needed=True),
        _f("customer_id", "id", "顧客番号", "Customer", needed=True),
        _f("product_id", "id", "商品コード", "Product id", needed=True),
        _f("item_id", "id", "SKU", "Item or SKU; the product itself where there is none"),
        _f("item_name", "text", "商品名", "Name of the product"),
        _f("price", "money", "単価", "Price of one piece", needed=True),
        _f("quantity", "whole", "数量", "Pieces"),
        _f("currency", "currency", "通貨", "Currency"),
        _f("ordered_at", "when", "注文日時", "When it was ordered"),
        _f("status", "status", "状態", "How it stands"),
        _f("promised_on", "day", "お届け予定日", "The day it was promised for"),
        _f("tracking", "text", "追跡番号", "Tracking number"),
        _f("payment", "text", "支払い方法", "How it was paid"),
        _f("email", "email", "メールアドレス", "The customer's email address"),
        _f("first_name", "text", "名", "First name"),
        _f("last_name", "text", "姓", "Last name"),
        _f("zip", "text", "郵便番号", "Zip code"),
        _f("state", "text", "都道府県", "State"),
        _f("city", "text", "市区町村", "City"),
        _f("line1", "text", "番地", "Street"),
        _f("line2", "text", "建物", "Apartment"),
        _f("country", "text", "国", "Country"),
    ),
    "events": (
        _f("person", "id", "顧客番号", "Visitor or customer", needed=True),
        _f("deed", "deed", "行動", "What they did: viewed, carted, bought …"),
        _f("at", "when", "日時", "When", needed=True),
        _f("product_id", "id", "商品コード", "Product id"),
        _f("event_id", "id", "イベントID", "Id of the event"),
        _f("session_id", "id", "セッション", "Session"),
        _f("price", "money", "価格", "Price"),
        _f("quantity", "whole", "数量", "Pieces"),
        _f("rating", "number", "評価", "Rating"),
        _f("used_coupon", "flag", "クーポン", "Whether a coupon was used"),
        _f("dwell", "number", "滞在秒数", "Seconds spent"),
        _f("query", "text", "検索語", "What was searched for"),
    ),
    "carrier": (
        _f("order_id", "id", "注文番号", "Order number", needed=True),
        _f("news", "news", "配送状況", "late, lost, on the way, delivered"),
        _f("promised_on", "day", "お届け予定日", "The day it is now promised for"),
        _f("said_at", "when", "更新日時", "When the carrier said so"),
    ),
    "customers": (
        _f("customer_id", "id", "顧客番号", "Customer", needed=True),
        _f("email", "email", "メールアドレス", "Email address"),
        _f("first_name", "text", "名", "First name"),
        _f("last_name", "text", "姓", "Last name"),
        _f("zip", "text", "郵便番号", "Zip code"),
        _f("state", "text", "都道府県", "State"),
        _f("city", "text", "市区町村", "City"),
        _f("line1", "text", "番地", "Street"),
        _f("line2", "text", "建物", "Apartment"),
        _f("country", "text", "国", "Country"),
    ),
}
"""Kind of file → what it may tell, the needed first."""

_ANY: Mapping[str, str] = {
    "product_id": (
        "product id|productid|product code|product number|item id|itemid|item code|sku|asin|jan|goods id|"
        "商品コード|商品番号|商品id|商品管理番号|品番|管理番号|janコード|型番|商品编号|商品编码|商品代码|货号|"
        "宝贝id|产品编号"
    ),
    "name": (
        "name|title|product name|item name|product title|商品名|商品名称|品名|名称|製品名|タイトル|宝贝标题|"
        "产品名称|标题"
    ),
    "price": (
        "price|unit price|amount|sale price|list price|selling price|retail price|sales value|価格|単価|売価|"
        "販売価格|税込価格|定価|金額|通常購入販売価格|価格(税込)|単価(税込)|价格|单价|售价|销售价|金额|一口价"
    ),
    "category": (
        "category|categories|product type|product category|department|genre|genres|カテゴリ|カテゴリー|分類|"
        "商品分類|ジャンル|部門|类目|分类|品类|商品分类"
    ),
    "currency": "currency|currency code|通貨|通貨コード|币种|货币",
    "description": (
        "description|body|body html|details|product description|説明|商品説明|商品説明文|詳細|描述|商品描述|详情"
    ),
    "brand": "brand|maker|manufacturer|ブランド|メーカー|ブランド名|製造元|品牌|厂商",
    "seller": "seller|vendor|merchant|store|shop|販売者|出品者|店舗|ショップ|販売元|仕入先|卖家|商家|店铺|供应商",
    "margin": "margin|margin share|gross margin|profit margin|粗利|粗利率|利益率|毛利|毛利率|利润率",
    "stock": (
        "stock|inventory|quantity available|qty|in stock|stock quantity|variant inventory qty|在庫|在庫数|"
        "在庫数量|库存|库存数量"
    ),
    "tags": "tags|labels|keywords|タグ|キーワード|ラベル|标签|关键词",
    "image": "image|image url|picture|photo|image src|thumbnail|画像|画像url|商品画像|商品画像url|图片|主图|图片链接",
    "added_at": (
        "added at|created at|created|on sale since|published at|release date|登録日|登録日時|発売日|公開日|"
        "販売開始日|上架时间|创建时间"
    ),
    "is_listed": (
        "is listed|listed|active|published|status|visible|公開|販売中|掲載|表示|公開状態|販売ステータス|上架|是否上架"
    ),
    "name_ja": "name ja|japanese name|日本語名|日本語の商品名|商品名(日本語)|日文名称",
    "name_en": "name en|english name|英語名|英語の商品名|商品名(英語)|英文名称",
    "name_zh": "name zh|chinese name|中国語名|中国語の商品名|商品名(中国語)|中文名称",
    "order_id": (
        "order id|order number|order no|order|order name|basket id|transaction id|invoice|注文番号|注文id|"
        "受注番号|伝票番号|オーダー番号|订单号|订单编号|订单id"
    ),
    "customer_id": (
        "customer id|customer number|customer|user id|user|member id|client id|household id|buyer id|顧客番号|"
        "顧客id|会員番号|会員id|お客様番号|ユーザーid|得意先コード|客户编号|会员编号|用户id|买家id|客户id"
    ),
    "item_id": "item id|variant id|variant sku|sku|sku id|sku code|skuコード|バリエーションid|规格编码|sku编码",
    "item_name": "item name|product name|lineitem name|name|title|商品名|商品名称|品名|宝贝标题",
    "quantity": "quantity|qty|count|pieces|units|lineitem quantity|数量|個数|点数|件数|购买数量|件",
    "ordered_at": (
        "ordered at|order date|date|created at|purchase date|purchased at|transaction timestamp|注文日|注文日時|"
        "受注日|受注日時|購入日|購入日時|下单时间|订单时间|付款时间|创建时间"
    ),
    "status": (
        "status|order status|state of order|fulfillment status|状態|注文状態|ステータス|注文ステータス|"
        "受注ステータス|订单状态|状态"
    ),
    "promised_on": (
        "promised on|promised date|promised|delivery date|expected delivery|eta|estimated delivery|due date|"
        "お届け予定日|配達予定日|配送予定日|到着予定日|納品予定日|お届け日|预计送达|预计到达|承诺送达日|"
        "预计送达日期"
    ),
    "tracking": (
        "tracking|tracking number|tracking id|追跡番号|お問い合わせ番号|送り状番号|配送番号|快递单号|运单号|物流单号"
    ),
    "payment": "payment|payment method|paid with|支払い方法|支払方法|お支払い方法|決済方法|支付方式|付款方式",
    "email": "email|e mail|mail|email address|メール|メールアドレス|mailアドレス|eメール|邮箱|电子邮箱|邮件",
    "first_name": "first name|given name|名|お名前(名)|名前(名)|名字",
    "last_name": "last name|family name|surname|姓|氏|苗字|お名前(姓)|名前(姓)|姓氏",
    "zip": "zip|zip code|postal code|postcode|郵便番号|〒|邮编|邮政编码",
    "state": "state|province|prefecture|region|都道府県|県|省份|省",
    "city": "city|town|市区町村|市町村|住所1|城市|市",
    "line1": "line1|address|address1|street|street address|番地|住所|住所2|丁目番地|地址|详细地址|街道",
    "line2": "line2|address2|apartment|building|建物|建物名|住所3|マンション名|楼栋|门牌",
    "country": "country|country code|国|国名|国コード|国家",
    "person": (
        "person|visitor|visitor id|user|user id|userid|customer|customer id|member id|household id|client id|"
        "顧客番号|顧客id|会員番号|会員id|ユーザーid|訪問者id|お客様番号|用户id|用户|会员编号|访客id|客户编号"
    ),
    "deed": (
        "deed|event|event type|action|behavior|behaviour|behavior type|type|activity|行動|イベント|イベント種別|"
        "種別|アクション|行为|行为类型|事件|事件类型|动作"
    ),
    "at": (
        "at|time|timestamp|datetime|date|event time|occurred at|created at|transaction timestamp|日時|時刻|日付|"
        "発生日時|アクセス日時|タイムスタンプ|时间|时间戳|日期|发生时间"
    ),
    "event_id": "event id|id|log id|イベントid|ログid|事件id|日志id",
    "session_id": "session|session id|visit id|basket id|セッション|セッションid|訪問id|会话|会话id",
    "rating": "rating|score|stars|評価|評点|レビュー点|评分|星级",
    "used_coupon": "used coupon|coupon|with coupon|クーポン|クーポン利用|优惠券|是否用券",
    "dwell": "dwell|dwell s|dwell time|seconds|duration|time on page|滞在秒数|滞在時間|閲覧秒数|停留时间|停留秒数",
    "query": "query|search|search term|keyword|search query|検索語|検索キーワード|検索ワード|搜索词|搜索关键词",
    "news": (
        "news|status|delivery status|carrier status|shipping status|tracking status|配送状況|配送状態|"
        "配送ステータス|状況|ステータス|状態|物流状态|配送状态|状态"
    ),
    "said_at": "said at|updated at|update time|event time|timestamp|date|更新日時|更新日|最終更新|更新时间|时间",
}
"""Field → the names its column goes by, as `folded` writes them; the likelier first."""


def folded(header: str) -> str:
    """A header as it is compared: one width, one case, no marks between words.

    >>> folded("Product_ID"), folded(" 商品コード* "), folded("unitPrice"), folded("価格（税込）")
    ('product id', '商品コード', 'unit price', '価格(税込)')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", header))
    return " ".join(re.sub(r"[^\w()〒]+|_", " ", parted.casefold()).split())


def names_of(kind: SheetKind, field: str) -> tuple[str, ...]:
    """The names a field's column goes by, the likelier first; its own name first of all."""
    assert any(each.name == field for each in FIELDS[kind]), f"{kind} tells no {field}"
    return (folded(field), *_ANY[field].split("|"))
