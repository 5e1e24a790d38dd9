"""Questions are answered in the words of the merchant's documents, with the place; what is not in there is not said."""

from __future__ import annotations

import io
import zipfile

import pytest

from ikkan.apps.shop.rules.knowledge import Document, Index, Passage, answer, read
from ikkan.apps.shop.rules.support import phrases
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.values import Language
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile, HostileFile, NotFound
from ikkan.ground.ids import TenantId

from .conftest import Desk

RETURNS = """# Returns

## How long

You can return unused things within 30 days. After that we repair what is broken.

## Who pays

We pay the postage if the thing arrived broken.
"""
SHIPPING = """# 配送について

## 送料

送料は全国一律500円です。5,000円以上のご注文は無料になります。

## 日数

ご注文から三日以内に発送します。
"""
WARRANTY = "# 保修\n\n## 保修期\n\n所有商品保修两年。电池保修一年。\n"


@pytest.fixture
def knowledge(database: Database, clock: FakeClock) -> ShopKnowledge:
    found = ShopKnowledge(database, clock)
    for name, text in (("returns.md", RETURNS), ("shipping.md", SHIPPING), ("warranty.md", WARRANTY)):
        found.add(SHOP, name, text.encode())
    return found


def test_a_document_is_read_in_passages_under_their_headings() -> None:
    found = read("returns.md", RETURNS.encode())
    assert (found.title, [passage.headings for passage in found.passages]) == (
        "Returns",
        [("How long",), ("Who pays",)],
    )
    page = b"<html><head><title>FAQ</title><script>x()</script></head><body><h2>Pay</h2><p>By card.</p></body></html>"
    assert read("faq.html", page) == Document("FAQ", (Passage(("Pay",), "By card."),))
    assert read("note.txt", "返品は30日以内です。".encode("cp932")).passages[0].text == "返品は30日以内です。"


def test_what_is_no_document_is_refused_with_a_reason() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", '<!DOCTYPE x [<!ENTITY a "b">]><w/>')
    with pytest.raises(HostileFile):
        read("a.docx", bomb.getvalue())
    with pytest.raises(BadFile, match="nothing here reads"):
        read("a.exe", b"MZ")
    with pytest.raises(BadFile, match="has no text"):
        read("empty.md", b"# Title only\n")


@pytest.mark.parametrize(
    ("question", "says", "where"),
    [
        ("Within how many days can I return things?", "within 30 days", "Returns / How long"),
        ("送料はいくらですか", "全国一律500円", "配送について / 送料"),
        ("电池保修多久？", "电池保修一年", "保修 / 保修期"),
    ],
)
def test_an_answer_is_a_sentence_of_a_document_with_its_place(
    knowledge: ShopKnowledge, question: str, says: str, where: str
) -> None:
    found = knowledge.ask(SHOP, question)
    assert found is not None and says in found.text
    assert f"{found.cited.title} / {found.cited.heading}" == where
    passage = knowledge.document(SHOP, found.cited.document_id).passages[found.cited.place]
    assert all(sentence in passage.text for sentence in found.text.split(" ") if len(sentence) > 12)


def test_what_the_documents_do_not_say_is_not_said(knowledge: ShopKnowledge) -> None:
    for question in ("Do you sell gift wrapping for weddings?", "駐車場はありますか", "你们有实体店吗？", "", "?!"):
        assert knowledge.ask(SHOP, question) is None
    assert knowledge.ask(TenantId("other"), "送料はいくらですか") is None
    assert answer(Index({}), "anything") is None


def test_a_changed_document_answers_in_its_new_words_at_once(knowledge: ShopKnowledge, clock: FakeClock) -> None:
    clock.advance(1.0)
    kept = knowledge.add(SHOP, "returns.md", RETURNS.replace("30 days", "90 days").encode())
    found = knowledge.ask(SHOP, "Within how many days can I return things?")
    assert found is not None and "90 days" in found.text
    knowledge.remove(SHOP, kept.document_id)
    assert knowledge.ask(SHOP, "Within how many days can I return things?") is None
    with pytest.raises(NotFound):
        knowledge.remove(SHOP, kept.document_id)


@pytest.mark.parametrize(
    ("language", "question", "says"),
    [
        ("en", "How long can I return things?", "within 30 days"),
        ("ja", "送料はいくらですか", "500円"),
        ("zh", "电池保修多久？", "一年"),
    ],
)
def test_support_answers_a_question_before_anybody_signs_in(
    desk: Desk, knowledge: ShopKnowledge, language: Language, question: str, says: str
) -> None:
    talks = Conversation(desk, knowledge=knowledge)
    reply = talks.say(SHOP, talks.start(SHOP, language=language), question)
    assert says in reply.text and reply.cited is not None and reply.cited.title in reply.text


def test_what_is_not_found_is_offered_to_a_person(desk: Desk, knowledge: ShopKnowledge, me: str) -> None:
    talks = Conversation(desk, knowledge=knowledge)
    talk = desk.come_in(me)
    assert talks.say(SHOP, talk, "Do you offer gift wrapping for weddings?").text == phrases.NOT_FOUND["en"]
    assert talks.say(SHOP, talk, "yes").state == "human"
    assert [waiting.reason for waiting in desk.inbox(SHOP)] == ["not_found"]
    again = desk.come_in(me)
    talks.say(SHOP, again, "Do you offer gift wrapping for weddings?")
    assert talks.say(SHOP, again, "no").text == phrases.ANYTHING_ELSE["en"]


def test_an_action_stays_an_action_and_a_form_is_not_interrupted(desk: Desk, knowledge: ShopKnowledge, me: str) -> None:
    talks = Conversation(desk, knowledge=knowledge)
    talk = desk.come_in(me)
    assert talks.say(SHOP, talk, "I want to return something").cited is None
    asked = talks.say(SHOP, talk, "1")
    assert (asked.cited is None and asked.outcome is not None) or "?" in asked.text


def test_a_pdf_is_read_where_pypdf_is(database: Database, clock: FakeClock) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    made = io.BytesIO()
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(made)
    with pytest.raises(BadFile, match="has no text"):
        ShopKnowledge(database, clock).add(SHOP, "scan.pdf", made.getvalue())
    with pytest.raises(BadFile, match="cannot be read"):
        ShopKnowledge(database, clock).add(SHOP, "broken.pdf", b"%PDF-1.7 nothing")
