"""Refusals that are about the question and the yes, not about the shop's policy."""

from __future__ import annotations

from ikkan.apps.shop.values import Refusal

NO_SUCH_QUESTION = Refusal(
    "no_such_question",
    {
        "ja": "この会話には、その確認はありません。",
        "en": "This conversation has no such question to confirm.",
        "zh": "本次会话中没有这个待确认的问题。",
    },
)
ALREADY_DONE = Refusal(
    "already_done",
    {
        "ja": "その手続きはもう済んでいます。二度は行いません。",
        "en": "That was done already, and is not done twice.",
        "zh": "该操作已经完成，不会重复执行。",
    },
)
QUESTION_IS_GONE = Refusal(
    "question_is_gone",
    {
        "ja": "その確認はもう有効ではありません。もう一度お申し付けください。",
        "en": "That question no longer stands. Please ask again.",
        "zh": "该确认已失效，请重新提出。",
    },
)
OTHER_ARGUMENTS = Refusal(
    "other_arguments",
    {
        "ja": "確認いただいた内容と違うため、何もしていません。",
        "en": "That yes was not to exactly this; nothing was done.",
        "zh": "与您确认的内容不一致，未执行任何操作。",
    },
)
EXPIRED = Refusal(
    "question_expired",
    {
        "ja": "確認の時間が過ぎました。もう一度お申し付けください。",
        "en": "Too much time has passed since the question. Please ask again.",
        "zh": "确认已超时，请重新提出。",
    },
)
STATE_CHANGED = Refusal(
    "state_changed",
    {
        "ja": "確認のあとに状況が変わったため、何もしていません。もう一度お申し付けください。",
        "en": "Something changed since the question, so nothing was done. Please ask again.",
        "zh": "确认之后情况有变化，未执行任何操作，请重新提出。",
    },
)
PERSON_IS_AT_IT = Refusal(
    "person_is_at_it",
    {
        "ja": "担当者が引き継いでいます。担当者からの返事をお待ちください。",
        "en": "A person has taken over. They will answer you.",
        "zh": "人工客服已接手，请等待回复。",
    },
)
NOT_FOUND = Refusal(
    "customer_not_found",
    {
        "ja": "その内容に合うお客様が見つかりませんでした。",
        "en": "I found no customer with these details.",
        "zh": "未找到符合这些信息的顾客。",
    },
)
TOO_MANY_TRIES = Refusal(
    "too_many_tries",
    {
        "ja": "ご本人の確認ができませんでした。担当者に引き継ぎます。",
        "en": "I could not find out who you are. A person takes over.",
        "zh": "无法确认您的身份，已转接人工客服。",
    },
)
UNDO_IS_OVER = Refusal(
    "undo_is_over",
    {
        "ja": "元に戻せる時間が過ぎました。担当者におつなぎできます。",
        "en": "The time to take it back is over. A person may still help.",
        "zh": "撤销时限已过，可为您转接人工客服。",
    },
)
CANNOT_UNDO = Refusal(
    "cannot_undo",
    {
        "ja": "その後に状況(配送や残高など)が変わったため、元に戻せません。担当者におつなぎできます。",
        "en": "Things have moved since - the carrier, the balance or the order itself - so it cannot be taken back. "
        "A person may still help.",
        "zh": "之后情况（物流、余额或订单）已变化，无法撤销，可为您转接人工客服。",
    },
)
NOTHING_TO_UNDO = Refusal(
    "nothing_to_undo",
    {
        "ja": "元に戻せる手続きがありません。",
        "en": "There is nothing to take back.",
        "zh": "没有可撤销的操作。",
    },
)
