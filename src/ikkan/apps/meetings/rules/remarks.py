"""What is remarked of a meeting - how its file was mended, how a model failed - in every language of the pages.

A remark is kept as its English sentence, as exports and the API have it; `remark_in` reads it back in another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from re import Pattern

REMARKS: Mapping[str, Mapping[str, str]] = {
    "encoding": {
        "en": "read as {encoding}, which the file does not say",
        "ja": "文字コードの記載がないため、{encoding}として読みました",
        "zh": "文件未注明编码，按{encoding}读取",
    },
    "unreadable_characters": {
        "en": "{count} characters could not be read and stand as \ufffd",
        "ja": "読めない文字が{count}個あり、\ufffdで示しました",
        "zh": "有{count}个字符无法读取，以\ufffd表示",
    },
    "controls": {
        "en": "{count} control characters were left out",
        "ja": "制御文字{count}個を除きました",
        "zh": "已略去{count}个控制字符",
    },
    "ends_before": {
        "en": "{count} ends came before their beginning and were left out",
        "ja": "始まりより前の終了時刻{count}件を除きました",
        "zh": "{count}个结束时间早于开始时间，已略去",
    },
    "clock_again": {
        "en": "the clock began again {count} time(s); times go on after the part before",
        "ja": "時刻が{count}回最初に戻っていたため、前の部分に続けました",
        "zh": "时间有{count}次从头开始，已接在前一部分之后",
    },
    "backwards": {
        "en": "times ran backwards {count} time(s); what was said is in the order of its times",
        "ja": "時刻が{count}回逆行していたため、発言を時刻の順に並べました",
        "zh": "时间倒退{count}次，已按时间重新排序",
    },
    "same_name": {
        "en": "several people have one name and got numbers: {names}",
        "ja": "同じ名前の人が複数いるため、番号を付けました:{names}",
        "zh": "有人重名，已加编号：{names}",
    },
    "language_asked": {
        "en": "the language is asked of the words",
        "ja": "言語は聞き取った言葉から決めます",
        "zh": "语言由听到的话判断",
    },
    "heard_by": {
        "en": "recognised by {recogniser}",
        "ja": "{recogniser}が聞き取りました",
        "zh": "由{recogniser}识别",
    },
    "heard_by_demo": {
        "en": "{recogniser} is of demo grade: expect many wrong words",
        "ja": "{recogniser}はお試し用のため、多くの誤りがあります",
        "zh": "{recogniser}仅供试用，错误较多",
    },
    "made_up": {
        "en": "{count} lines that recognisers make up were left out",
        "ja": "認識器が作り出しがちな{count}行を除きました",
        "zh": "已略去识别器常凭空写出的{count}行",
    },
    "no_model": {
        "en": "no language model is there for minutes; these were drawn out without one (Level 0)",
        "ja": "議事録を書く言語モデルがないため、モデルなしで取り出しました(レベル0)",
        "zh": "没有可写纪要的语言模型，已改为不用模型提取（0级）",
    },
    "too_slow": {
        "en": "the language model did not answer within {seconds} seconds; these were drawn out without one (Level 0)",
        "ja": "言語モデルが{seconds}秒以内に答えなかったため、モデルなしで取り出しました(レベル0)",
        "zh": "语言模型在{seconds}秒内没有回答，已改为不用模型提取（0级）",
    },
    "refused": {
        "en": "the language model could not be asked ({code}); these were drawn out without one (Level 0)",
        "ja": "言語モデルに質問できなかったため({code})、モデルなしで取り出しました(レベル0)",
        "zh": "无法向语言模型提问（{code}），已改为不用模型提取（0级）",
    },
    "unreadable": {
        "en": "the language model's answers could not be read ({parts} part(s), each asked twice); "
        "these were drawn out without one (Level 0)",
        "ja": "言語モデルの答えを読み取れなかったため({parts}か所、各2回)、モデルなしで取り出しました(レベル0)",
        "zh": "无法读取语言模型的回答（{parts}处，各问两次），已改为不用模型提取（0级）",
    },
    "nothing_held": {
        "en": "nothing that {model} wrote held against the words; these were drawn out without it (Level 0)",
        "ja": "{model}が書いた内容は発言と照らして残らなかったため、モデルなしで取り出しました(レベル0)",
        "zh": "{model}所写内容均与发言不符，已改为不用模型提取（0级）",
    },
    "stopped": {
        "en": "the language model was stopped; these were drawn out without one (Level 0)",
        "ja": "言語モデルによる作成を中止し、モデルなしで取り出しました(レベル0)",
        "zh": "已停止语言模型，改为不用模型提取（0级）",
    },
    "dropped": {
        "en": "{notes} note(s) of the language model were dropped: the words they cite do not hold them",
        "ja": "言語モデルが書いた{notes}件は、根拠とした発言と合わないため除きました",
        "zh": "语言模型所写的{notes}条与所引发言不符，已删除",
    },
    "parts_left": {
        "en": "{parts} of {of} parts were drawn out without the language model, whose answers could not be read",
        "ja": "{of}か所のうち{parts}か所は、言語モデルの答えを読み取れず、モデルなしで取り出しました",
        "zh": "{of}部分中有{parts}部分无法读取语言模型的回答，未用模型提取",
    },
}


def remark(name: str, /, **values: object) -> str:
    """A remark as it is kept.

    >>> remark("clock_again", count=2)
    'the clock began again 2 time(s); times go on after the part before'
    """
    return REMARKS[name]["en"].format(**values)


def remark_in(language: str, told: str) -> tuple[str, str]:
    """A kept remark in another language, and the language it is in: English where it is none of ours.

    >>> remark_in("ja", remark("clock_again", count=2))
    ('時刻が2回最初に戻っていたため、前の部分に続けました', 'ja')
    >>> remark_in("ja", "written by hand")
    ('written by hand', 'en')
    """
    for name, pattern in _patterns():
        found = pattern.fullmatch(told)
        if found is not None and language in REMARKS[name]:
            return REMARKS[name][language].format(**found.groupdict()), language
    return told, "en"


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, Pattern[str]], ...]:
    return tuple((name, _pattern(texts["en"])) for name, texts in REMARKS.items())


def _pattern(template: str) -> Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(rf"(?P<{each}>.*)" if place % 2 else re.escape(each) for place, each in enumerate(pieces))
    )
