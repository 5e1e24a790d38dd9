"""Snippets with and without personal data, by hand and from templates with a seed. All people are invented.

Personal data stands in 〈kind:value〉. What is marked must be found; nothing else may be.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

MARK = re.compile(r"〈([a-z_]+):([^〉]+)〉")


@dataclass(frozen=True)
class Snippet:
    """A text, and the places of the personal data in it."""

    text: str
    marked: tuple[tuple[str, int, int], ...]


def read(marked: str) -> Snippet:
    """A snippet from its marked form."""
    text, spans, done = "", [], 0
    for found in MARK.finditer(marked):
        text += marked[done : found.start()]
        spans.append((found[1], len(text), len(text) + len(found[2])))
        text += found[2]
        done = found.end()
    return Snippet(text + marked[done:], tuple(spans))


BY_HAND = """
〈name:田中〉様から折り返しのお電話がありました。
本日〈name:佐藤一郎〉様が来社されます。
担当の〈name:鈴木〉さんに確認してください。
営業部〈name:高橋〉さんへ転送済みです
〈name:山本　花子〉様のご予約を承りました
〈name:渡辺 健太〉さんの有休は残り何日ですか
〈name:長谷川〉先生の診察は午後からです
〈name:小林〉氏の講演資料を送ってください
〈name:中村〉君に任せています
〈name:佐々木〉くんの席はどこですか
昨日〈name:伊藤〉さんと話しました。
〈name:ジョンソン〉さんから英語のメールが来ました
〈name:マリア〉様のお部屋は302です
〈name:ゆうこ〉ちゃんの誕生日会
〈name:斎藤〉殿　下記のとおり通知します
私は〈name:吉田〉と申します。
お世話になっております、〈name:松本〉でございます。
氏名：〈name:加藤 美咲〉
担当：〈name:山田太郎〉
お名前：〈name:井上 さくら〉
〈name:田中〉さんの件です。〈name:田中〉に連絡してください。
〈name:ミュラー〉氏が来日する
〈name:森〉さんは休みです
〈name:林〉様、お待たせしました
受付で〈name:五十嵐〉様をお呼びください
株式会社青空の〈name:大野〉様
〈name:木村〉部長ではなく〈name:木村拓也〉さんの方です
〈name:Smith〉さんに英文で返信を
請求書の宛名は〈name:岡田 健〉様でお願いします
電話は〈phone:03-1234-5678〉です
〈phone:090-1234-5678〉に折り返してください
携帯 〈phone:08012345678〉 へお願いします
TEL：〈phone:０６−６１２３−４５６７〉
連絡先〈phone:０９０ー９８７６ー５４３２〉まで
〈phone:(03)3456-7890〉におかけください
〈phone:03(3456)7890〉
フリーダイヤル〈phone:0120-123-456〉
〈phone:0120-12-3456〉へどうぞ
お問い合わせは〈phone:0570-012-345〉
IP電話は〈phone:050-3456-7890〉です
海外からは〈phone:+81-3-1234-5678〉
〈phone:+81 90 1234 5678〉にショートメッセージを
番号は〈phone:〇九〇ー一二三四ー五六七八〉です
市外局番から〈phone:0467-12-3456〉です
至急〈phone:045-123-4567〉へ
私の携帯は〈phone:070 1234 5678〉
〈phone:0312345678〉に電話した
FAX 〈phone:052-123-4567〉
会社(〈phone:092-123-4567〉)に電話
〒〈postal_code:100-0001〉
郵便番号は〈postal_code:150-0002〉です
〒〈postal_code:１６０００２２〉 新宿へ
住所: 〈postal_code:530-0001〉 〈address:大阪府大阪市北区梅田1丁目2番3号〉
〈postal_code:231-0005〉 〈address:神奈川県横浜市中区本町1-2-3〉
自宅は〈address:東京都千代田区丸の内1-9-2〉です
〈address:京都府京都市下京区烏丸通塩小路下ル東塩小路町901番地〉へ送付
荷物は〈address:福岡県福岡市博多区博多駅前2-1-1 101号室〉に
〈address:北海道札幌市中央区北1条西2丁目〉の事務所
住所は〈address:名古屋市中村区名駅4丁目7番1号〉
〈address:埼玉県川口市本町四丁目1番8号〉に引っ越しました
〈address:千葉県船橋市湊町2-10-25〉
実家は〈address:長野県松本市丸の内3番7号〉
マイナンバーは〈my_number:123456789018〉です
個人番号：〈my_number:1234 5678 9018〉
個人番号カードの番号〈my_number:１２３４−５６７８−９０１８〉を登録
みずほ銀行 新宿支店 普通 〈bank_account:1234567〉
三菱UFJ銀行渋谷支店 普通預金 口座番号〈bank_account:7654321〉
振込先は口座番号：〈bank_account:0123456〉
○○信用金庫 本店 当座 〈bank_account:0011223〉 へ振込
ゆうちょ 記号〈bank_account:10120〉 番号〈bank_account:12345671〉
メールは〈email:taro.yamada@example.co.jp〉へ
〈email:info@example.com〉までご連絡ください
宛先：〈email:ｓａｔｏ＠ｅｘａｍｐｌｅ．ｊｐ〉
カード番号 〈card:4111 1111 1111 1111〉 が使えません
〈card:5555555555554444〉で払いました
JCBの〈card:3530-1113-3330-0000〉
AMEX 〈card:378282246310005〉
運転免許証の番号は〈document:301234567890〉です
パスポート番号〈document:TK1234567〉
在留カード〈document:AB12345678CD〉の写し
基礎年金番号 〈document:1234-567890〉
生年月日は〈birth_date:1985年3月2日〉です
生年月日：〈birth_date:昭和60年12月1日〉
〈birth_date:平成3年4月5日〉生まれの男性
誕生日は〈birth_date:1990/1/2〉
サーバー接続元は〈ip_address:203.0.113.45〉でした
〈ip_address:2001:db8:85a3::8a2e:370:7334〉からのアクセス
Please ask Mr. 〈name:Johnson〉 about it.
Dr. 〈name:Emily Carter〉 will call you back.
Ms 〈name:O'Brien〉 left a message
My name is 〈name:Robert Miller〉 and I lost my card.
Dear 〈name:Alice Cooper〉, thank you for your order.
Forward it to 〈name:Tanaka〉-san please
Prof. 〈name:Alan Grant〉 teaches on Monday
call me at 〈phone:(415) 555-2671〉
My cell is 〈phone:212-555-0187〉.
Reach us on 〈phone:+1 650 253 0000〉
London office 〈phone:+44 20 7946 0958〉
Berlin: 〈phone:+49 30 901820〉
My SSN is 〈national_id:536-22-8913〉
social security number: 〈national_id:078-05-1120〉
Ship to 〈address:221 Baker Street〉
She lives at 〈address:1600 Amphitheatre Parkway Drive, Mountain View, CA 94043〉
IBAN 〈bank_account:GB82 WEST 1234 5698 7654 32〉
Pay to 〈bank_account:DE89370400440532013000〉 today
My passport number is 〈document:X1234567〉
driver's license 〈document:D1234567〉
born on 〈birth_date:1990-05-17〉
DOB: 〈birth_date:05/17/1990〉
Login from 〈ip_address:198.51.100.7〉 was refused
Write to 〈email:bob+news@mail.example.org〉 please
我的手机是〈phone:13812345678〉
请致电〈phone:139-1234-5678〉
电话：〈phone:+86 13712345678〉
身份证号码〈national_id:11010519491231002X〉
〈name:王〉先生已经付款
请联系〈name:李小明〉女士
〈name:张〉小姐的订单
我叫〈name:陈伟〉。
联系人：〈name:刘洋〉
昨夜〈name:西村〉さんが電話に出ませんでした
〈name:黒木 亮〉様へ見積もりを出す
〈name:大塚〉社長が視察に来る
このたびは〈name:岩田由紀〉様にご愛顧いただき
管理部の〈name:山下〉ですが、鍵をなくしました
〈name:エリザベス〉さんの入館証
〈name:小早川〉様がお見えです
〈name:鵜飼〉さんに渡して
契約者：〈name:藤井 聡〉
経理の〈name:村上〉さん、〈name:石井〉さん、〈name:和田〉さん
折り返しは 〈phone:048-987-6543〉 にお願いします
〈phone:080-2222-3333〉〈name:原〉さん
〈phone:0120-444-444〉（受付時間9:00-17:00）
〈phone:03-6666-7777〉内線21
〈postal_code:812-0011〉福岡県の方
〒〈postal_code:060-8588〉〈address:北海道札幌市中央区北3条西6丁目〉
会社は〈address:横浜市西区みなとみらい2-2-1〉です
〈address:東京都渋谷区道玄坂二丁目10番7号新大宗ビル〉
三井住友銀行 本店営業部 普通 〈bank_account:2345678〉
名義 〈name:タナカ ハナコ〉
my mobile 〈phone:(646) 555-0199〉 thanks
Contact: 〈name:Maria Lopez〉
Mrs. 〈name:Robinson〉 arrived
ＴＥＬ〈phone:０１２０－９９９－８８８〉
旅券番号は〈document:MZ7654321〉
〈name:赵敏〉女士，您好
手机号码：〈phone:186 2345 6789〉
姓名：〈name:周杰〉
"""

HARMLESS = """
お客様の声をお聞かせください
皆様のご協力に感謝します
皆さん、こんにちは
神様にお願いする
奥様向けのプラン
担当者様へお渡しください
ご担当者様
御社のサービスについて
仕様を確認したい
多様な働き方
同様の手順で設定します
模様替えの予定
様子を見ます
様式第3号に記入
様々な意見がある
沢山の人が来た
たくさんあります
お父さんとお母さん
おじいさんの古時計
赤ちゃん用品の返品
奥さんに相談する
患者さんの待ち時間
看護師さんを呼ぶ
お医者さんに行く
本屋さんで買った
業者さんに依頼
社長さんの挨拶
店員さんが親切
大家さんへ連絡
ユーザーさんからの要望
メーカー様に問い合わせ
スタッフさんの対応
ワンちゃん同伴可
お嬢さん向け
氏名を記入してください
氏名：未記入
摂氏30度になる
華氏と摂氏
彼氏ができた
両氏が合意した
源氏物語を読む
平氏と源氏
宮殿の見学
御殿場へ行く
殿堂入り
沈殿した
先生に聞く
校長先生のお話
担任の先生
理科の先生
君の名は
君主制
諸君の健闘を祈る
暴君
利用者様の声
保護者様各位
取引先様へ送付
会員様限定
お取引先様
貴社様
関係者各位
来店者様
お隣さん
八百屋さん
花屋さんの前
運転手さん
警備員さん
散歩に行く
参加者の一覧
産業医の面談
酸素ボンベ
三田線に乗る
山田町の天気
東京都の天気
大阪府の人口
神奈川県横浜市の観光案内
京都市内の渋滞
3丁目の夕日
1番地下鉄に近い出口
2番ホームの電車
一番大きいサイズ
三番目の資料
10-20-30の法則
注文番号 090-1234-5678 を確認
伝票番号1234-5678-9018の追跡
追跡番号 123456789018
問い合わせ番号 3456-7890-1234
型番ABC-123-4567
品番 03-1234-5678
会員番号12345678
予約番号 1234567
社員番号1234567の変更
法人番号7000012050002
JANコード4901234567894
ISBN978-4-00-310101-8
2026-11-29の会議
2026年11月29日
11/29 10:30から
10:30-11:45
12,345,678円
1234567円の請求
価格は¥1,234,567です
1,000,000件のイベント
残高 1234567
100-0001回
部品 123-4567
部屋番号 302
内線2210へ
内線 4567
電話が鳴らない
電話番号を変更したい
住所変更の手続き
口座を開設したい
普通預金と定期預金の違い
マイナンバーカードの申請方法
マイナンバー制度は2016年から
マイナンバー123456789012
個人番号の提出は必要ですか
免許証の更新
パスポートの申請
生年月日を入力
バージョン1.2.3.4
ver 10.0.19.1
v2.0.1.5に更新
127.0.0.1で待機
0.0.0.0
円周率3.14159265358979
GPU 8GB 4090
1234 5678 9012 3456
0000 0000 0000 0000
123-45-6789
ファイル 20261129-1234567.csv
シリアル 4111-1111-1111-1111
第1234567号
1-2-3
24-7サポート
A4用紙 100枚
30分-60分
室温 20-25度
0から9まで
09時00分
00-1234-5678
1 2 3 4 5 6 7 8 9 0 1 2
The quick brown fox
Mr. Right
Dr Pepper in the machine
Dear Customer,
Dear Sir or Madam
Dear Hiring Manager
Dear All
Miss the train
Please press the button
version 4.3.2.1
release 1.10.0.2
Order 415-555
order number 4111 1111 1111 1111
tracking number 123456789012
Invoice 2026-00123
ISO 9001:2015
10:20:30
12:34:56:78
555-1234
123 test cases passed
5 New Messages
100 Best Practices
3 Ways To Win
at 10 Downing
Wi-Fi password reset
my password is lost
name: required
My name is on the list
user@localhost
@mention someone
price: $1,234.56
+1
+81
1+1=2
各位先生，大家好
女士优先
先生们
订单号13812345678901
快递单号 13812345678
2026年11月29日
价格是12345元
王国的历史
白色的衣服
我叫外卖
姓名必填
请问如何重置密码
会议室在三楼
鈴木商店さんの納品書
東京電力様からの請求
会議は10-12時です
担当者さんがいません
この件は弁護士先生に
山の手線さんぽ
先生方へのお知らせ
仕入先様
隊員さん
常連さん
新人さん向け研修
お子様ランチ
王様のブランチ
国産さんま
1945-08-15
部屋は 3-12-4 です
型式 ABC-1234-5678
123-4567個
"""

_PEOPLE = (
    "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 清水 長谷川 佐々木 三浦 服部 阿部 本多 和田 藤原 土屋",
    "太郎 花子 健一 美咲 翔太 陽菜 誠 由美子 大輔 恵 拓也 愛 修 さくら",
    "スミス ジョン マイケル アンナ グエン シュミット カルロス ファティマ ペドロ キム",
)
_SURNAMES, _GIVEN, _KATAKANA = (names.split() for names in _PEOPLE)
_NAME_FRAMES = (
    "〈name:{n}〉{h}からお問い合わせがありました",
    "昨日の件、〈name:{n}〉{h}に伝えました。",
    "営業課〈name:{n}〉{h}宛に送付",
    "（〈name:{n}〉{h}）",
    "「〈name:{n}〉{h}は元気ですか？」",
    "次回は〈name:{n}〉{h}、お願いします",
    "弊社の〈name:{n}〉{h}が伺います",
)
_PHONE_FRAMES = (
    "〈phone:{p}〉に電話して",
    "電話:〈phone:{p}〉",
    "連絡先は〈phone:{p}〉です。",
    "（〈phone:{p}〉）まで",
    "番号は「〈phone:{p}〉」",
)
_ADDRESS_FRAMES = (
    "住所は〈address:{a}〉です",
    "〈address:{a}〉へ配送",
    "送付先：〈address:{a}〉",
    "「〈address:{a}〉」に住んでいます",
)
_TOWNS = (
    "東京都新宿区西新宿",
    "東京都港区六本木",
    "大阪府堺市堺区南瓦町",
    "愛知県名古屋市中区三の丸",
    "広島県広島市中区基町",
    "宮城県仙台市青葉区本町",
    "兵庫県神戸市中央区加納町",
    "岡山県倉敷市西中新田",
    "沖縄県那覇市泉崎",
    "新潟県長岡市大手通",
    "石川県金沢市広坂",
    "静岡県浜松市中央区元城町",
)
_HARMLESS_FRAMES = (
    "注文番号{d12}の状況",
    "{y}年{m}月{d}日に発送",
    "{d4}-{m}の部品",
    "合計 {d4},{d3} 円",
    "{m}時{d}分に開始",
    "伝票 {d4}-{d4}-{d4}",
    "管理番号{d12}",
    "製造番号 {d10}",
    "第{m}章 {d}ページ",
    "気温{m}.{d}度",
    "型番 {d3}-{d4}",
    "v{m}.{d}.{d3}",
    "{d3}名様のご予約",
    "会員番号{d10}",
    "クーポン{d4} {d4} {d4}",
    "{m}-{d}-{y}の記録",
    "在庫 {d7} 個",
    "商品コード{d7}",
    "{d}番の{m}号車",
    "受付番号 0{d3}-{d3}-{d4}",
)


def _my_number(rng: random.Random) -> str:
    digits = [rng.randrange(10) for _ in range(11)]
    rest = sum(d * w for d, w in zip(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
    return "".join(map(str, digits)) + str(0 if rest <= 1 else 11 - rest)


def _phone(rng: random.Random) -> str:
    def some(n: int) -> str:
        return "".join(rng.choices("0123456789", k=n))

    shape = rng.choice(
        (
            "090-{4}-{4}",
            "080{4}{4}",
            "070 {4} {4}",
            "03-{4}-{4}",
            "06({4}){4}",
            "0{2}-{3}-{4}",
            "050-{4}-{4}",
            "+81-90-{4}-{4}",
        )
    )
    phone = re.sub(r"\{(\d)\}", lambda found: some(int(found[1])), shape)
    phone = re.sub(r"^00", "04", phone)
    wide = str.maketrans("0123456789-", "０１２３４５６７８９ー")
    return phone.translate(wide) if rng.random() < 0.25 else phone


def made(seed: int, n: int) -> list[Snippet]:
    """Positives from templates."""
    rng = random.Random(seed)
    snippets = []
    for at in range(n):
        kind = at % 5
        if kind in (0, 1):
            native = rng.choice(_SURNAMES) + rng.choice(["", rng.choice(_GIVEN), " " + rng.choice(_GIVEN[:12])])
            name = native if kind == 0 or rng.random() < 0.5 else rng.choice(_KATAKANA)
            frame = rng.choice(_NAME_FRAMES).format(n=name, h=rng.choice(("様", "さん", "氏", "先生")))
        elif kind == 2:
            frame = rng.choice(_PHONE_FRAMES).format(p=_phone(rng))
        elif kind == 3:
            house = rng.choice(("{}丁目{}番{}号", "{}-{}-{}", "{}番地{}の{}", "{}丁目{}-{}"))
            town = rng.choice(_TOWNS) + house.format(*(rng.randrange(1, 20) for _ in range(3)))
            frame = rng.choice(_ADDRESS_FRAMES).format(a=town)
        else:
            word = rng.choice(("マイナンバーは", "個人番号：", "個人番号は「", "My number: "))
            frame = f"{word}〈my_number:{_my_number(rng)}〉"
        snippets.append(read(frame))
    return snippets


def harmless(seed: int, n: int) -> list[Snippet]:
    """Hard negatives from templates: numbers of every length that name nobody."""
    rng = random.Random(seed)
    snippets = []
    for _ in range(n):
        numbers = {f"d{size}": "".join(rng.choices("123456789", k=size)) for size in (3, 4, 7, 10)}
        # A right check digit without its word: one of ten random numbers has it.
        text = rng.choice(_HARMLESS_FRAMES).format(
            d12=_my_number(rng), y=rng.randrange(1990, 2027), m=rng.randrange(1, 13), d=rng.randrange(1, 29), **numbers
        )
        snippets.append(Snippet(text, ()))
    return snippets


POSITIVE = [read(line) for line in BY_HAND.strip().splitlines()]
NEGATIVE = [Snippet(line, ()) for line in HARMLESS.strip().splitlines()]
