"""What no mood is ever built on: facets that tell of health, belief, politics, sex, origin, need or crime.

A list errs; this one errs towards leaving out. A shop that sells medicine gets no mood from its medicine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

NEVER: Mapping[str, tuple[str, ...]] = {
    "health": (
        "health", "healthcare", "medical", "medicine", "medication", "pharmacy", "pharmaceutical", "drug", "disease",
        "illness", "mental illness", "disability", "disabled", "wheelchair", "diabetic", "diabetes", "cancer", "hiv",
        "aids", "depression", "anxiety", "therapy", "pregnancy", "pregnant", "fertility", "contraception",
        "contraceptive", "condom", "incontinence", "weight loss", "diet", "addiction", "alcoholism", "suicide",
        "hearing aid", "prescription", "symptom", "vitamin", "first aid",
        "健康", "医療", "医薬", "薬", "病", "障害", "障がい", "妊娠", "妊婦", "不妊", "避妊", "糖尿", "うつ", "介護",
        "ダイエット", "サプリ", "医疗", "药", "疾病", "残疾", "怀孕", "孕妇", "避孕", "抑郁", "减肥", "保健",
    ),
    "religion": (
        "religion", "religious", "faith", "church", "christian", "christianity", "catholic", "bible", "jesus", "jewish",
        "judaism", "kosher", "islam", "islamic", "muslim", "halal", "quran", "koran", "ramadan", "hindu", "hinduism",
        "buddhist", "buddhism", "shinto", "sikh", "atheist", "atheism", "prayer", "hijab", "rosary",
        "宗教", "信仰", "教会", "聖書", "キリスト", "仏教", "仏壇", "神道", "イスラム", "ハラル", "コーラン", "礼拝",
        "教堂", "圣经", "基督", "佛教", "伊斯兰", "清真", "古兰经",
    ),
    "politics": (
        "politics", "political", "politician", "election", "democrat", "republican", "communist", "communism",
        "socialist", "socialism", "fascism", "nazi", "left-wing", "right-wing", "protest", "trade union", "labor union",
        "abortion", "gun control",
        "政治", "選挙", "政党", "労働組合", "右翼", "左翼", "共産", "选举", "工会", "共产",
    ),
    "sex": (
        "sex", "sexual", "sexuality", "erotic", "erotica", "porn", "pornography", "nudity", "lingerie", "fetish",
        "gay", "lesbian", "bisexual", "transgender", "lgbt", "lgbtq", "queer", "adult toys", "adultery",
        "homosexuality",
        "アダルト", "性的", "性別", "性愛", "同性愛", "ゲイ", "レズ", "トランスジェンダー", "下着", "色情", "同性恋",
        "情趣", "性别", "成人用品",
    ),
    "origin": (
        "race", "racial", "racism", "ethnic", "ethnicity", "nationality", "immigrant", "immigration", "refugee",
        "skin colour", "skin color", "indigenous", "caste", "tribe", "holocaust", "slavery",
        "人種", "民族", "国籍", "移民", "難民", "部落", "种族", "难民",
    ),
    "need": (
        "debt", "bankruptcy", "payday", "welfare", "food stamps", "income", "marital status", "age group", "gender",
        "借金", "破産", "生活保護", "年収", "婚姻", "债务", "破产", "低保", "收入",
    ),
    "crime": ("criminal record", "prison", "victim", "domestic violence", "犯罪歴", "前科", "服役", "家庭暴力"),
}  # fmt: skip
"""Theme → words of it. Words in Latin letters are whole words, in singular or plural; others count anywhere."""

_LATIN = re.compile(
    r"(?<![a-z])(?:"
    + "|".join(
        sorted((re.escape(word) for words in NEVER.values() for word in words if word.isascii()), key=len, reverse=True)
    )
    + r")(?:e?s)?(?![a-z])"
)
_OTHER = tuple(word for words in NEVER.values() for word in words if not word.isascii())


@lru_cache(maxsize=65_536)
def is_sensitive(text: str) -> bool:
    """Whether a facet, a category or a sentence touches something no mood may be built on.

    >>> [is_sensitive(each) for each in ("tag=religion", "category=Health & Beauty", "性別=女性", "colour=red")]
    [True, True, True, False]
    >>> is_sensitive("tag=Essex"), is_sensitive("brand=Racer")
    (False, False)
    """
    folded = text.casefold().replace("_", " ")
    return bool(_LATIN.search(folded)) or any(word in folded for word in _OTHER)
