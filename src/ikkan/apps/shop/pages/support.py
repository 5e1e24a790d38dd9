"""Support for whoever says who they are under `/shop/support`, the inbox of people under `/shop/inbox`."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.apps.shop.rules.support import phrases
from ikkan.apps.shop.service import SupportDesk
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.values import Language
from ikkan.ground.ids import TenantId
from ikkan.kit import Parts
from ikkan.kit.language import told_in

WORDS: dict[str, dict[str, str]] = {
    "shop.support": {"ja": "注文のサポート", "en": "Help with an order"},
    "shop.support_lead": {
        "ja": "変更は、内容を確認いただいてから行います。担当者をいつでも選べます。",
        "en": "Nothing is changed before you confirm it. You may choose a person at any time.",
    },
    "shop.language": {"ja": "会話の言語", "en": "Language of the conversation"},
    "shop.message": {"ja": "メッセージ", "en": "Message"},
    "shop.send": {"ja": "送る", "en": "Send"},
    "shop.person": {"ja": "担当者と話す", "en": "Talk to a person"},
    "shop.again": {"ja": "新しい会話", "en": "New conversation"},
    "shop.inbox": {"ja": "受信箱", "en": "Inbox"},
    "shop.inbox_lead": {
        "ja": "担当者を待っているお客様です。長くお待ちの方から順に並んでいます。",
        "en": "Customers who wait for a person, the longest wait first.",
    },
    "shop.inbox_empty": {"ja": "待っている方はいません。", "en": "Nobody is waiting."},
    "shop.since": {"ja": "受付", "en": "Since"},
    "shop.why": {"ja": "理由", "en": "Why"},
    "shop.summary": {"ja": "要約", "en": "Summary"},
    "shop.conversation": {"ja": "会話", "en": "Conversation"},
    "shop.open": {"ja": "開く", "en": "Open"},
    "shop.answer": {"ja": "返事", "en": "Your answer"},
    "shop.wanted": {
        "ja": "ご用件は(任意。次から案内が覚えます)",
        "en": "What it was about (if you like: the guide learns it)",
    },
    "shop.close": {"ja": "解決済みにする", "en": "Close it"},
    "shop.to_guide": {"ja": "案内に戻す", "en": "Back to the guide"},
    "shop.by.asked": {"ja": "お客様の希望", "en": "asked by the customer"},
    "shop.by.not_understood": {"ja": "話が通じなかった", "en": "not understood"},
    "shop.by.not_found": {"ja": "資料に答えがない", "en": "not in the documents", "zh": "资料中没有答案"},
    "shop.documents": {"ja": "資料", "en": "Documents", "zh": "资料"},
    "shop.documents_lead": {
        "ja": "サポートは、この資料の言葉で、出典を付けて答えます。",
        "en": "Support answers in the words of these documents, and says where they stand.",
        "zh": "客服用这些资料中的原文回答，并注明出处。",
    },
    "shop.documents_empty": {
        "ja": "まだありません: ikkan shop knowledge add ファイル",
        "en": "None yet: ikkan shop knowledge add FILES",
        "zh": "还没有：ikkan shop knowledge add 文件",
    },
    "shop.by.not_signed_in": {"ja": "本人確認ができない", "en": "not identified"},
    "shop.by.model_gave_up": {"ja": "モデルが進められない", "en": "the model could not go on"},
    "shop.who.customer": {"ja": "お客様", "en": "Customer"},
    "shop.who.shop": {"ja": "案内", "en": "Guide"},
    "shop.who.person": {"ja": "担当者", "en": "Person"},
}

TALK_WORDS: dict[str, dict[str, str]] = {
    "yes": {"ja": "はい、この内容で", "en": "Yes, exactly this"},
    "no": {"ja": "いいえ", "en": "No"},
    "undo": {"ja": "元に戻す", "en": "Undo"},
    "no_thanks": {"ja": "今はいりません", "en": "Not now"},
}
"""What the page's own script says."""


def pages(parts: Parts, desk: SupportDesk, knowledge: ShopKnowledge) -> tuple[BaseRoute, ...]:
    """Support, the inbox and one conversation of it, and the documents that support answers from."""

    async def support(request: Request) -> Response:
        session = parts.frame.require(request)
        language = parts.frame.language(request)
        # A shop's own people may look as a customer; everybody else is shown what is theirs.
        customer = request.query_params.get("customer", "")[:80] if session.is_admin else ""
        words = {name: told_in(texts, language) for name, texts in TALK_WORDS.items()}
        return parts.frame.render(
            request, "shop/support.html", talk_words=words, talk_id="", choices=[], customer=customer
        )

    async def inbox(request: Request) -> Response:
        tenant_id = TenantId(parts.frame.require(request, admin=True).tenant_id)
        waiting = await parts.database.run(desk.inbox, tenant_id)
        return parts.frame.render(request, "shop/inbox.html", waiting=waiting)

    def intents(request: Request) -> list[tuple[str, str]]:
        language = cast(Language, parts.frame.language(request))
        return [(name, says[language]) for name, says in phrases.INTENTS.items()]

    async def talk(request: Request) -> Response:
        if request.method == "POST":
            return await act(request)
        tenant_id, talk_id = (
            TenantId(parts.frame.require(request, admin=True).tenant_id),
            request.path_params["talk_id"],
        )
        found = await parts.database.run(desk.talk, tenant_id, talk_id)
        turns = await parts.database.run(desk.history, tenant_id, talk_id)
        return parts.frame.render(request, "shop/talk.html", talk=found, turns=turns, intents=intents(request))

    async def act(request: Request) -> Response:
        session = await parts.frame.require_post(request, admin=True)
        tenant_id, talk_id = TenantId(session.tenant_id), request.path_params["talk_id"]
        form = await request.form()
        text = str(form.get("text", "")).strip()
        if text:
            await parts.database.run(desk.answer, tenant_id, talk_id, text[:4_000])
        intent = str(form.get("intent", ""))
        if intent in phrases.INTENTS:
            await parts.database.run(desk.sort, tenant_id, talk_id, intent)
        deed = form.get("deed")
        if deed in ("close", "guide"):
            await parts.database.run(desk.close, tenant_id, talk_id, to_guide=deed == "guide")
            return parts.frame.go("/shop/inbox")
        return parts.frame.go(f"/shop/inbox/{talk_id}")

    async def documents(request: Request) -> Response:
        tenant_id = TenantId(parts.frame.require(request).tenant_id)
        found = await parts.database.run(knowledge.documents, tenant_id)
        return parts.frame.render(request, "shop/documents.html", documents=found)

    async def document(request: Request) -> Response:
        tenant_id = TenantId(parts.frame.require(request).tenant_id)
        found = await parts.database.run(knowledge.document, tenant_id, request.path_params["document_id"])
        return parts.frame.render(request, "shop/document.html", document=found)

    return (
        Route("/support", support),
        Route("/documents", documents),
        Route("/documents/{document_id}", document),
        Route("/inbox", inbox),
        Route("/inbox/{talk_id}", talk, methods=["GET", "POST"]),
    )
