"""The chat page, under `/assistant`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.apps.assistant.service import KnowledgeService
from ikkan.cloud.router import Router
from ikkan.ground.errors import IkkanError
from ikkan.kit import Parts
from ikkan.kit.language import told_in

WORDS: dict[str, dict[str, str]] = {
    "assistant.chat": {"ja": "チャット", "en": "Chat"},
    "assistant.lead": {
        "ja": "社内の質問と回答 {knowledge} 件から確かなものは出典つきで、それ以外はモデルが答えます。",
        "en": "Answers come from {knowledge} company questions when sure, with their source; otherwise from the model.",
    },
    "assistant.new": {"ja": "新しい会話", "en": "New conversation"},
    "assistant.export": {"ja": "書き出す", "en": "Export"},
    "assistant.no_model": {
        "ja": "言語モデルがまだ応答していません。社内知識からの回答は使えます。",
        "en": "The language model does not answer yet. Answers from the company's knowledge work.",
    },
    "assistant.question": {"ja": "質問", "en": "Question"},
    "assistant.placeholder": {"ja": "質問を入力", "en": "Ask anything"},
    "assistant.send": {"ja": "送る", "en": "Send"},
    "assistant.stop": {"ja": "止める", "en": "Stop"},
    "assistant.keys": {
        "ja": "Enter で送信、Shift+Enter で改行、Esc で停止。",
        "en": "Enter sends, Shift+Enter starts a new line, Esc stops.",
    },
    "assistant.thumb_up": {"ja": "役に立った", "en": "Helpful"},
    "assistant.thumb_down": {"ja": "役に立たなかった", "en": "Not helpful"},
    "assistant.correct": {"ja": "直す", "en": "Correct"},
    "assistant.others": {"ja": "正しい回答を選ぶ", "en": "Pick the right answer"},
    "assistant.right_answer": {"ja": "正しい回答", "en": "The right answer"},
    "assistant.edit_keys": {
        "ja": "そのまま直せます。Ctrl+Enter で保存、Esc でやめる。モデルの回答の直しは、次からの書き方になります。",
        "en": "Edit it as it stands. Ctrl+Enter saves, Esc leaves. Edits of the model's answers teach it how to write.",
    },
    "assistant.about": {"ja": "何の質問か", "en": "What was this about?"},
    "assistant.about_what": {"ja": "何についての質問でしたか", "en": "What was the question about?"},
    "assistant.save": {"ja": "保存", "en": "Save"},
    "assistant.cancel": {"ja": "やめる", "en": "Cancel"},
}

CHAT_WORDS: dict[str, dict[str, str]] = {
    "knowledge": {"ja": "社内知識", "en": "company knowledge"},
    "model": {"ja": "モデルの回答", "en": "model answer"},
    "from": {"ja": "出典: {title}(確からしさ {sure}%)", "en": "Source: {title} ({sure} % sure)"},
    "by": {"ja": "{model}", "en": "{model}"},
    "meter": {
        "ja": "入力 {input}・出力 {output} トークン、{seconds} 秒、{cost}",
        "en": "{input} in, {output} out, {seconds} s, {cost}",
    },
    "nobody": {"ja": "答えなし", "en": "no answer"},
    "stopped": {"ja": "途中で止めました", "en": "stopped"},
    "thanks": {"ja": "ありがとうございます。記録しました。", "en": "Thank you. Recorded."},
    "recorded": {
        "ja": "記録しました。「ループ」を回すと、次から使われます。",
        "en": "Recorded. Turn the wheel, and it is used from then on.",
    },
    "none": {
        "ja": "近いものが見つかりません。「直す」で書いてください。",
        "en": "Nothing similar. Use Correct to write it.",
    },
}
"""What the page's own script says."""

STARTERS: dict[str, tuple[str, ...]] = {
    "ja": ("パスワードを忘れて入れません。再発行してもらえますか", "出張で泊まるホテル代はいくらまで出ますか"),
    "en": ("I lost a receipt. Can I still claim the expense?", "How much may a hotel cost on a trip in Japan?"),
}
"""Questions to begin with, in nobody's official wording. The first of each language is known on the first day; the
second is worth correcting."""

HEALTH_TOLD_FOR_S = 5.0
HEALTH_WITHIN_S = 1.0


def pages(parts: Parts, knowledge: KnowledgeService) -> tuple[BaseRoute, ...]:
    """The one page there is."""
    model = ModelWatch(parts.cloud.router)

    async def chat(request: Request) -> Response:
        parts.frame.require(request)
        language = parts.frame.language(request)
        count, ready = await asyncio.gather(parts.database.run(knowledge.count), model.ready())
        return parts.frame.render(
            request,
            "assistant/chat.html",
            knowledge_count=f"{count:,}",
            model_ready=ready,
            starters=starters(language) if count else [],
            chat_words={name: told_in(texts, language) for name, texts in CHAT_WORDS.items()},
        )

    return (Route("/", chat),)


def starters(language: str) -> list[dict[str, str]]:
    """The questions to begin with, the person's own language first.

    >>> [question["lang"] for question in starters("en")]
    ['en', 'en', 'ja', 'ja']
    """
    order = sorted(STARTERS, key=lambda lang: lang != language)
    return [{"lang": lang, "text": text} for lang in order for text in STARTERS[lang]]


@dataclass
class ModelWatch:
    """Whether the model behind `default` answers; asked every few seconds at most, and never waited for long."""

    router: Router
    told: bool = True
    asked_at: float = field(default=float("-inf"))

    async def ready(self) -> bool:
        """True when it answers now, as far as was heard lately."""
        now = time.monotonic()
        if now - self.asked_at >= HEALTH_TOLD_FOR_S:
            self.asked_at = now
            self.told = await self._ask()
        return self.told

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(HEALTH_WITHIN_S):
                targets = await self.router.resolve("default")
                return (await targets[0].upstream.health()).ok
        except (IkkanError, TimeoutError):
            return False
