"""What the sample store sells, in words: twelve categories of things, and what tells one of a kind from another."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of thing."""

    en: str
    ja: str
    yen: int
    """About what one costs."""
    option: str
    """What it may be chosen by: `size`, `colour`, `none`."""


class Aisle(NamedTuple):
    """A category."""

    en: str
    ja: str
    kinds: tuple[Kind, ...]
    tags: tuple[str, ...]
    """What most of it is for."""
    refill_days: int
    """After about so many days it is bought again; 0: it lasts."""


class Style(NamedTuple):
    """What tells one of a kind from another."""

    en: str
    ja: str
    times: float
    """Of the price."""
    tags: tuple[str, ...]


def _kinds(text: str) -> tuple[Kind, ...]:
    rows = (line.split("|") for line in text.strip().splitlines())
    return tuple(Kind(en.strip(), ja, int(yen), option) for en, ja, yen, option in rows)


STYLES: tuple[Style, ...] = (
    Style("Plain", "シンプルな", 0.8, ("minimal", "calm")),
    Style("Oak", "オークの", 1.4, ("natural", "calm")),
    Style("Indigo", "藍色の", 1.1, ("traditional", "calm")),
    Style("Bright", "鮮やかな", 0.9, ("colourful", "lively")),
    Style("Compact", "コンパクトな", 0.9, ("small", "travel")),
    Style("Premium", "上質な", 2.2, ("luxury", "gift")),
    Style("Everyday", "毎日の", 0.6, ("value",)),
    Style("Festival", "祭りの", 1.2, ("lively", "traditional", "gift")),
)

AISLES: tuple[Aisle, ...] = (
    Aisle("Kitchen > Coffee", "キッチン > コーヒー", _kinds("""
        Hand Coffee Mill|手挽きコーヒーミル|5200|none
        Pour-Over Kettle|ドリップケトル|6800|colour
        Coffee Dripper|コーヒードリッパー|1900|size
        Coffee Server|コーヒーサーバー|2400|none
        House Blend Beans|ブレンド豆|1500|size"""), ("coffee", "morning"), 0),
    Aisle("Kitchen > Tea", "キッチン > お茶", _kinds("""
        Teapot|急須|4200|colour
        Tea Cup|湯のみ|1600|colour
        Green Tea|煎茶|1200|size
        Matcha Set|抹茶セット|5800|none"""), ("tea", "calm"), 28),
    Aisle("Kitchen > Cookware", "キッチン > 調理器具", _kinds("""
        Frying Pan|フライパン|4800|size
        Donabe Pot|土鍋|6500|size
        Kitchen Knife|包丁|8900|none
        Cutting Board|まな板|3200|size"""), ("cooking",), 0),
    Aisle("Living > Lighting", "リビング > 照明", _kinds("""
        Desk Light|卓上ライト|5400|colour
        Paper Lantern|和紙ランタン|4600|size
        Bedside Lamp|ベッドサイドランプ|6200|colour
        Candle Set|キャンドルセット|2100|none"""), ("calm", "evening"), 0),
    Aisle("Living > Textiles", "リビング > ファブリック", _kinds("""
        Wool Blanket|ウールブランケット|9800|colour
        Linen Cushion|リネンクッション|3400|colour
        Bath Towel|バスタオル|1800|colour
        Floor Rug|ラグ|12800|size"""), ("soft", "calm"), 0),
    Aisle("Stationery", "文具", _kinds("""
        Fountain Pen|万年筆|7800|colour
        Notebook|ノート|900|size
        Letter Set|レターセット|1200|none
        Washi Tape Set|マスキングテープセット|800|none"""), ("desk", "gift"), 0),
    Aisle("Outdoor", "アウトドア", _kinds("""
        Folding Chair|折りたたみチェア|5900|colour
        Camp Mug|キャンプマグ|1700|colour
        Day Pack|デイパック|8800|size
        Headlamp|ヘッドランプ|3600|none"""), ("active", "lively"), 0),
    Aisle("Fitness", "フィットネス", _kinds("""
        Yoga Mat|ヨガマット|4400|colour
        Resistance Band|トレーニングバンド|1500|size
        Running Cap|ランニングキャップ|2600|colour
        Sports Bottle|スポーツボトル|1900|colour"""), ("active",), 0),
    Aisle("Kids", "キッズ", _kinds("""
        Wooden Blocks|積み木|4200|size
        Picture Book|絵本|1500|none
        Plush Bear|くまのぬいぐるみ|2800|size
        Crayon Set|クレヨンセット|1300|none"""), ("children", "lively", "gift"), 0),
    Aisle("Beauty", "ビューティー", _kinds("""
        Hand Cream|ハンドクリーム|1400|none
        Bath Salts|バスソルト|1100|size
        Face Lotion|化粧水|2600|size
        Hinoki Soap|ひのき石けん|900|none"""), ("care", "calm"), 35),
    Aisle("Food > Pantry", "食品 > 保存食", _kinds("""
        Miso|味噌|980|size
        Soba Noodles|そば|780|none
        Rice|お米|3200|size
        Curry Kit|カレーキット|1200|none"""), ("food", "value"), 21),
    Aisle("Audio", "オーディオ", _kinds("""
        Wireless Earphones|ワイヤレスイヤホン|12800|colour
        Bluetooth Speaker|Bluetoothスピーカー|9800|colour
        Record Player|レコードプレーヤー|24800|none
        Headphone Stand|ヘッドホンスタンド|2900|none"""), ("music",), 0),
)  # fmt: skip

OPTIONS = {"size": ("S", "M", "L"), "colour": ("white", "black", "blue"), "none": ("",)}
SELLERS = ("Kita Shoten", "Minami & Co", "Higashi Works", "Nishi Market", "Hoshi Craft")
BRANDS = ("Yama", "Kawa", "Mori", "Sora", "Umi", "Hana")
FIRST = ("Aoi", "Ben", "Chika", "Dai", "Emi", "Fumi", "Go", "Haru", "Iori", "Jun", "Kei", "Lin", "Mio", "Nao", "Rei",
         "Sho", "Toma", "Uta", "Yui", "Zen")  # fmt: skip
LAST = ("Abe", "Baba", "Chiba", "Doi", "Endo", "Fujii", "Goto", "Honda", "Ito", "Kato", "Mori", "Noda", "Ono", "Sato",
        "Tani", "Ueda", "Wada", "Yano")  # fmt: skip
TOWNS = (("Chiyoda", "Tokyo", "100-00{:02d}"), ("Naka", "Kanagawa", "231-00{:02d}"), ("Kita", "Osaka", "530-00{:02d}"),
         ("Chuo", "Hokkaido", "060-00{:02d}"), ("Hakata", "Fukuoka", "812-00{:02d}"))  # fmt: skip
