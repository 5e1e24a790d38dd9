"""Words by which people ask, assign and decide: rules, for want of labels of most languages and most firms."""

from __future__ import annotations

import re

SAID_OUTRIGHT = 0.9
"""Confidence where a speaker names the kind himself: "Action item: …"."""
STRONG, WEAK = 0.5, 0.25
"""Confidence of a cue. Set by hand, measured on no labels."""


_DAY = (
    r"(?:(?:next|this) (?:week|month|meeting)|tomorrow|tonight|today|noon|(?:next |this )?(?:mon|tues|wednes|thurs|fri|"
    r"satur|sun)day|(?:the )?end of (?:the |this |next )?(?:day|week|month|quarter|year)|\d{1,2} ?[ap]m|"
    r"the next meeting)\b"
)
_WILL = (
    r"(?:'ll|(?:'m|'re| am| are| is|'s) (?:going to|gonna)|,? will|,? shall|,? must|,? should|,? can|,? could|"
    r" (?:have|has|need|needs) to)"
)
_DO = (
    r"(?:send|write|prepare|check|ask|call|e-?mail|fill|finish|complete|update|share|contact|find out|bring|post|"
    r"work on|set up|schedule|arrange|follow up|organi[sz]e|draft|review|book|order|report|look into|talk to|get back|"
    r"make sure)\b"
)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_OUTRIGHT = {
    "action": _any(
        r"^\W*(?:action(?: items?| points?)?|to-?do|next steps?)\s*[:：]",
        r"^\W*(?:宿題|タスク|アクション(?:アイテム)?|待办(?:事项)?|行动项)\s*[:：]",
    ),
    "decision": _any(
        r"^\W*(?:decisions?|decided)\s*[:：]",
        r"^\W*(?:決定(?:事項)?|合意事項|决定(?:事项)?|决议)\s*[:：]",
    ),
    "question": _any(r"^\W*(?:(?:open )?questions?|質問|論点|问题)\s*[:：]"),
}
_STRONG = {
    ("action", "en"): _any(
        rf"\b[a-z]+{_WILL} .{{0,120}}\b(?:by|before|until) {_DAY}",
        rf"\bplease (?:\w+ )?{_DO}",
        rf"\b(?:can|could|will|would) you (?:please )?{_DO}",
    ),
    ("action", "ja"): _any(
        r"までに|宿題|[がで]担当|お願い(?:します|できます|いたします)|てください|て(?:おき|もらい|いただき)ます|しておく",
        r"(?:確認|対応|準備|共有|連絡|作成|提出|手配|調査|修正|報告|検討|送付|用意)し(?:ます|て)",
        r"送ります|調べます|進めます|やります|まとめます",
    ),
    ("action", "zh"): _any(
        r"负责|跟进|前(?:完成|提交|发|给|做|交)",
        r"(?:请|麻烦).{0,12}(?:准备|整理|确认|发|提交|做|安排|联系|更新|看)",
        r"我(?:来|会|去|明天|下周|今天).{0,8}(?:做|写|发|整理|准备|确认|联系|安排|更新|处理|跟|查)",
    ),
    ("decision", "ja"): _any(
        r"決定(?:です|します|しました|で)|決まりました|に決め|ということで(?:決|進め|いき|行き)",
        r"[でに](?:いき|行き)ましょう|に(?:します|しましょう)|採用[しで]|合意|承認",
    ),
    ("decision", "zh"): _any(
        r"决定|定了|就这么|就这样(?:定|办|吧)|一致同意|都同意|通过了|确定(?:用|为|下来|采用)|达成一致|就[用选按]",
    ),
}
_WEAK = {
    ("action", "en"): _any(rf"\b[a-z]+{_WILL} (?:\w+ )?{_DO}"),
    ("action", "ja"): _any(r"(?:来週|明日|今週|月末|次回|[一-九\d]日).{0,20}ます|しましょう|必要があります|しないと"),
    ("action", "zh"): _any(
        r"(?:下周|明天|本周|周[一二三四五六日]|月底|下次).{0,16}(?:做|完成|提交|讨论|开|给)",
        r"需要.{0,12}(?:做|完成|准备)",
    ),
    ("decision", "ja"): _any(r"そうしましょう|賛成|異議なし|ということで"),
    ("decision", "zh"): _any(r"没问题.{0,4}就|可以.{0,2}就这|我们[用选]"),
}
_QUESTIONS = {
    "en": _any(
        r"\?\s*$",
        r"^(?:(?:so|and|but|okay|well) )*(?:who|what|when|where|why|how|which)\b(?!.*[.,;!]$)",
        r"^(?:(?:so|and|but|okay|well) )*(?:(?:shall|should|do|can|could) we|(?:is|are) there)\b(?!.*[.,;!]$)",
    ),
    "ja": _any(
        r"[?？]\s*$",
        r"(?:ます|です|でしょう|ません|ました|でした)か(?:ね)?[。\s]*$",
        r"(?:どう|いつ|誰|何|どこ|なぜ).{0,30}か[。\s]*$",
    ),
    "zh": _any(r"[?？]\s*$|[吗呢][。\s]*$", r"(?:什么|怎么|谁|哪|几时|多少|是不是|能不能|要不要).{0,20}$"),
}


def cue(kind: str, text: str, language: str) -> float:
    """How surely this is an `action`, a `decision` or a `question` by its words alone; 0.0 where nothing says so.

    >>> cue("action", "見積もりは金曜までに送ります", "ja"), cue("decision", "Decision: blue.", "en")
    (0.5, 0.9)
    """
    if _OUTRIGHT[kind].search(text):
        return SAID_OUTRIGHT
    if kind == "question":
        return STRONG if _QUESTIONS.get(language, _QUESTIONS["en"]).search(text) else 0.0
    for patterns, confidence in ((_STRONG, STRONG), (_WEAK, WEAK)):
        pattern = patterns.get((kind, language))
        if pattern and pattern.search(text):
            return confidence
    return 0.0
