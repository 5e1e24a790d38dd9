"""Forms of minutes, as data: which sections, in which order, called what in which language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ikkan.apps.meetings.values import Kind

Layout = Literal["bullets", "numbers", "table", "chapters", "speakers"]
Texts = Mapping[str, str]
"""The same in every language meetings are held in."""


@dataclass(frozen=True, slots=True)
class Part:
    """One section of a form."""

    heading: Texts
    kind: Kind
    layout: Layout = "bullets"
    """`chapters`: topics with their key points below; `speakers`: grouped by who said it."""
    nothing: Texts | None = None
    """What stands there when there is nothing; None leaves the section out."""


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of minutes."""

    name: str
    title: Texts
    parts: tuple[Part, ...]
    asks_model: str
    """What a model is told to look for, where one writes; in English, whatever the meeting's language."""
    closing: Texts | None = None
    asks_for: tuple[Texts, ...] = ()
    """What a person fills in by hand: place, chair."""


def _texts(ja: str, en: str, zh: str) -> Texts:
    return {"ja": ja, "en": en, "zh": zh}


NONE = _texts("なし", "None", "无")
WORDS: Mapping[str, Texts] = {
    "date": _texts("日付", "Date", "日期"),
    "people": _texts("参加者", "Present", "参会人"),
    "length": _texts("時間", "Length", "时长"),
    "minutes": _texts("約{count}分", "about {count} minutes", "约{count}分钟"),
    "task": _texts("内容", "What", "内容"),
    "owner": _texts("担当", "Who", "负责人"),
    "due": _texts("期限", "By when", "期限"),
    "where": _texts("発言", "Said at", "出处"),
    "candidate": _texts("候補", "candidate", "候选"),
    "more": _texts("ほかに候補{count}件", "{count} more candidates", "另有{count}条候选"),
    "nobody": _texts("発言者不明", "Speaker unknown", "发言人不明"),
    "suggestion": _texts(
        "発言にはない提案です", "nobody said this aloud; it is a suggestion", "会上无人提出，仅为建议"
    ),
}

_SUMMARY = _texts("要点", "Key points", "要点")
_TOPICS = _texts("議題", "Topics", "议题")
_DECISIONS = _texts("決定事項", "Decisions", "决定事项")
_ACTIONS = _texts("次の行動", "Next actions", "待办事项")
_QUESTIONS = _texts("質問・確認事項", "Questions", "问题")
_PROPOSALS = _texts("提案", "Suggestions", "建议")

_ACTION_TABLE = Part(_ACTIONS, Kind.ACTION, "table", NONE)
_SUGGESTED = Part(_PROPOSALS, Kind.PROPOSAL)

STANDARD = "standard"
FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form(
            STANDARD,
            _texts("議事録", "Minutes", "会议纪要"),
            (
                Part(_texts("議題と要点", "Topics and key points", "议题与要点"), Kind.KEY_POINT, "chapters"),
                Part(_DECISIONS, Kind.DECISION, "bullets", NONE),
                _ACTION_TABLE,
                Part(_QUESTIONS, Kind.QUESTION),
                _SUGGESTED,
            ),
            "what was discussed, what came out of it, and who does what next.",
        ),
        Form(
            "formal",
            _texts("会議議事録", "Formal minutes", "正式会议纪要"),
            (
                Part(_TOPICS, Kind.TOPIC, "numbers", NONE),
                Part(_texts("議事の経過", "Proceedings", "会议过程"), Kind.KEY_POINT, "speakers", NONE),
                Part(_DECISIONS, Kind.DECISION, "numbers", NONE),
                Part(_texts("宿題事項", "Matters to be carried out", "待落实事项"), Kind.ACTION, "table", NONE),
                Part(_texts("懸案事項", "Open matters", "待议事项"), Kind.QUESTION, "numbers", NONE),
            ),
            "the matters in order, what was said for and against, and what was settled; plain and impersonal.",
            _texts("以上", "End of minutes", "以上"),
            (
                _texts("場所", "Place", "地点"),
                _texts("議長", "Chair", "主持人"),
                _texts("記録", "Minutes taken by", "记录人"),
            ),
        ),
        Form(
            "board",
            _texts("取締役会議事録", "Board minutes", "董事会会议纪要"),
            (
                Part(_texts("議案", "Agenda", "议案"), Kind.TOPIC, "numbers", NONE),
                Part(_texts("決議事項", "Resolutions", "决议事项"), Kind.DECISION, "numbers", NONE),
                Part(_texts("審議の要旨", "Deliberation", "审议要点"), Kind.KEY_POINT, "chapters"),
                _ACTION_TABLE,
                Part(_texts("質疑", "Questions raised", "质询"), Kind.QUESTION),
            ),
            "what was put to the board, the reasons given, and resolutions with their outcome; nothing of mere chat.",
            _texts("以上", "End of minutes", "以上"),
            (_texts("議長", "Chair", "主持人"), _texts("署名", "Signed", "签名")),
        ),
        Form(
            "stand-up",
            _texts("朝会メモ", "Stand-up", "站会记录"),
            (
                Part(_texts("一人ずつ", "Each person", "各人进展"), Kind.KEY_POINT, "speakers"),
                Part(_DECISIONS, Kind.DECISION),
                Part(_texts("困りごと・質問", "Blockers and questions", "阻碍与问题"), Kind.QUESTION),
                _ACTION_TABLE,
            ),
            "for each person what was done, what comes next, and what stands in the way.",
        ),
        Form(
            "sales",
            _texts("商談メモ", "Sales call", "商务洽谈记录"),
            (
                Part(_texts("お客様の要点", "What mattered", "客户要点"), Kind.KEY_POINT, "speakers"),
                Part(_texts("ご質問", "Questions asked", "客户问题"), Kind.QUESTION),
                Part(_texts("合意したこと", "Agreed", "达成共识"), Kind.DECISION, "bullets", NONE),
                Part(_texts("次の一手", "Next steps", "下一步"), Kind.ACTION, "table", NONE),
                _SUGGESTED,
            ),
            "what the customer needs, fears and asks, prices and dates that were named, and what either side promised.",
        ),
        Form(
            "interview",
            _texts("面談記録", "Interview", "面谈记录"),
            (
                Part(_texts("質問", "Questions", "提问"), Kind.QUESTION, "bullets"),
                Part(_SUMMARY, Kind.KEY_POINT, "speakers"),
                Part(_texts("申し合わせ", "Agreed", "约定"), Kind.DECISION),
                _ACTION_TABLE,
            ),
            "what was asked, what was answered, with figures as they were said, and what was arranged.",
        ),
    )
}
"""By name. `formal` is the 議事録 that is signed and filed."""
