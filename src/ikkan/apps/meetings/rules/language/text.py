"""One spelling for many: full-width characters, traditional characters and numbers in words.

Every replacement is one character for one, so a place in the result is the same place in what was said.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Only the characters that occur in our tables of words; names are compared after the same change.
_TRADITIONAL = (
    "這個們來開會後內號點週禮兩請麼樣還對應該議負責發給說話問題時間過檢討認決選擇覺兒嗎確進單將讓麻煩幫聯絡係報"
    "聽見畫錄靜頁介紹結論歡總經監師務處長現項標書寫準備複製測試調採購業專網頻數據預算費價計劃設備變換訂單員語為與"
    "從種類門關於東西車難誰當須跟沒場買賣實際動準則優質層級線條約種樓團隊員臺灣國際陳張劉黃趙吳馬鄭謝許鄧蕭"
    "馮葉餘潘盧蔣賈鄒閻錢湯賴龔萬嚴賀顧龍雲鳳儷麗偉傑軍國華強勝輝鋒鵬濤寧齊紅純繼續審閱顯簽終規範兒塊錯"
    "誤準啟動範圍維護運營領導組織態勢節約壓縮縫補習幾歲邊裡裏著麵願懷疑無論隨舊雙雖盡儘儲積極據廣告掛號轉達傳遞訴求"
    "證據評審資訊訓練說明談判觀看細節簡單統籌鑑別釋放鎖閉購置輸齣產權優勢創辦剛剷劃刪則並佈佔係偽傷億僅兇衝"
    "衛術衹隻製鐘鍾罷議題溝通貨碼頭電腦滿減軟體灘潔淨繪圖編輯紀錄財務營銷適閤閱覽歷曆史協調勞動獲環節穩課長廠輪賬帳"
)
_SIMPLIFIED = (
    "这个们来开会后内号点周礼两请么样还对应该议负责发给说话问题时间过检讨认决选择觉儿吗确进单将让麻烦帮联络系报"
    "听见画录静页介绍结论欢总经监师务处长现项标书写准备复制测试调采购业专网频数据预算费价计划设备变换订单员语为与"
    "从种类门关于东西车难谁当须跟没场买卖实际动准则优质层级线条约种楼团队员台湾国际陈张刘黄赵吴马郑谢许邓萧"
    "冯叶余潘卢蒋贾邹阎钱汤赖龚万严贺顾龙云凤俪丽伟杰军国华强胜辉锋鹏涛宁齐红纯继续审阅显签终规范儿块错"
    "误准启动范围维护运营领导组织态势节约压缩缝补习几岁边里里着面愿怀疑无论随旧双虽尽尽储积极据广告挂号转达传递诉求"
    "证据评审资讯训练说明谈判观看细节简单统筹鉴别释放锁闭购置输出产权优势创办刚铲划删则并布占系伪伤亿仅凶冲"
    "卫术只只制钟钟罢议题沟通货码头电脑满减软体滩洁净绘图编辑纪录财务营销适合阅览历历史协调劳动获环节稳课长厂轮账账"
)
assert len(_TRADITIONAL) == len(_SIMPLIFIED)
_FOR_CHINESE = {ord(old): new for old, new in zip(_TRADITIONAL, _SIMPLIFIED, strict=True) if old != new}
_QUOTES = {ord(old): "'" for old in "\u2019\u2018\u02bc\u00b4`"}
_DASHES = {ord(old): "-" for old in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"}

_DIGITS = {
    **{sign: value for value, sign in enumerate("〇一二三四五六七八九")},
    "零": 0,
    "两": 2,
    "俩": 2,
    "兩": 2,
    "壱": 1,
    "弐": 2,
    "参": 3,
    "仨": 3,
}


@lru_cache(maxsize=4096)
def _narrow(sign: str) -> str:
    if sign == "~":
        return sign
    plain = unicodedata.normalize("NFKC", sign).lower()
    return plain if len(plain) == 1 else sign


def flatten(text: str, language: str) -> str:
    """Spell a text one way, place for place: narrow, lower case, one apostrophe, simplified where Chinese.

    >>> flatten("３日までに、Ｂ案で", "ja")
    '3日までに、b案で'
    >>> flatten("下週五之後", "zh")
    '下周五之后'
    """
    plain = "".join(map(_narrow, text)).translate(_QUOTES).translate(_DASHES)
    # Narrowing makes full-width Japanese and Chinese marks ASCII; sentences are cut at the wide ones.
    if language == "zh":
        plain = plain.translate(_FOR_CHINESE)
    if language in ("ja", "zh"):
        plain = plain.translate({ord(","): "、" if language == "ja" else ",", ord("，"): "、"})
    return plain


def number(said: str) -> int | None:
    """The number that digits or characters spell; `None` where they spell none below ten thousand.

    >>> [number(said) for said in ("15", "十五", "二十", "三十一", "二〇二六", "两", "百二十", "半")]
    [15, 15, 20, 31, 2026, 2, 120, None]
    """
    if said.isascii():
        return int(said) if said.isdigit() and len(said) <= 4 else None
    if len(said) > 6:
        return None
    if all(sign in _DIGITS for sign in said):
        return int("".join(str(_DIGITS[sign]) for sign in said)) if len(said) <= 4 else None
    total, waiting = 0, None
    for sign in said:
        if sign in _DIGITS and waiting is None:
            waiting = _DIGITS[sign]
        elif sign in "十百" and said.count(sign) == 1:
            total, waiting = total + (1 if waiting is None else waiting) * (10 if sign == "十" else 100), None
        else:
            return None
    return total + (waiting or 0)
