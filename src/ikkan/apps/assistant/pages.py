"""The chat page, under `/assistant`."""

from __future__ import annotations

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
    "stopped": {"ja": "途中で止めました", "en": "stopped"},
    "thanks": {"ja": "ありがとうございます。記録しました。", "en": "Thank you. Recorded."},
    "recorded": {
        "ja": "記録しました。「ループ」を回すと、次から使われます。",
        "en": "Recorded. Turn the wheel, and it is used from then on.",
    },
    "none": {"ja": "近いものが見つかりません。「直す」で書いてください。", "en": "Nothing similar. Use Correct to write it."},
}
"""What the page's own script says."""
