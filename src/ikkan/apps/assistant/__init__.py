"""Assistant: answers from the company's own knowledge when sure, else from the model; corrections make it better.

Lives here: the knowledge, the ranking that finds an answer in it, the upstream `assistant`, the chat page, and the
learnables `assistant.answer`, `assistant.intent` and `assistant.reply_style`.
May not enter: other apps (contract "Rooms are stacked"); torch and kernels (contracts "Tensors stay below the cloud",
"The gateway never loads kernels").
Begin at `service/upstream.py`; `learn/` is what the flywheel may train.
"""

from __future__ import annotations

from ikkan.apps.assistant import pages, routes, store
from ikkan.apps.assistant.learn import AnswerLearnable, IntentLearnable, ReplyStyleLearnable
from ikkan.apps.assistant.service import AssistantUpstream, KnowledgeService, ReplyStyle, style_remark
from ikkan.apps.assistant.values import UNSEEN
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.kit import App, EventKind, Parts
from ikkan.kit.intent import TunedRecipe

__all__ = ["app"]


_UNSEEN = {
    "request_id": "chatcmpl-1",
    "artifact": "sha256:0123",
    "knowledge_id": "it-01-en",
    "confidence": 0.91,
    "lookup_ms": 2.5,
}


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""
    knowledge = KnowledgeService(
        parts.database, parts.registry, parts.artifacts, tenant_id=LOCAL_TENANT, gives=parts.gives
    )
    style = ReplyStyle(parts.registry, parts.artifacts, gives=parts.gives)
    return App(
        name="assistant",
        title={"ja": "アシスタント", "en": "Assistant"},
        erases=store.forget,
        api=routes.api(parts, knowledge),
        pages=pages.pages(parts, knowledge),
        upstreams=(
            AssistantUpstream(knowledge, parts.cloud.pipeline, parts.database, parts.events, parts.clock, style=style),
        ),
        emits=(EventKind(UNSEEN, 1, (_UNSEEN,)),),
        learns=(
            AnswerLearnable(knowledge.known, tenant_id=LOCAL_TENANT, tried_on_people=parts.settings.flywheel_canary),
            IntentLearnable(
                tenant_id=LOCAL_TENANT,
                embed=parts.embed,
                above=[TunedRecipe(parts.tunes)] if parts.tunes else (),
                yen_an_hour=parts.settings.yen_an_hour,
            ),
            ReplyStyleLearnable(
                knowledge.known,
                parts.chat_model,
                tenant_id=LOCAL_TENANT,
                remark=lambda: style_remark(style, parts.chat_model, parts.cloud.service),
            ),
        ),
        templates="ikkan.apps.assistant",
        words=pages.WORDS,
    )
