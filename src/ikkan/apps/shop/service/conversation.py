"""A conversation in words: the guide hears, the desk decides. A yes counts only while its question waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.knowledge import Cited
from ikkan.apps.shop.rules.support import dialogue, hearing, phrases, refusals, telling
from ikkan.apps.shop.rules.support.dialogue import Guide, Move
from ikkan.apps.shop.service.desk import SupportDesk
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.apps.shop.service.wishes import Ear, Wishes
from ikkan.apps.shop.values import Case, Language, Outcome
from ikkan.apps.shop.values.support import Talk
from ikkan.ground.ids import SubjectId, TenantId

_SUMMARY: phrases.Texts = {
    "ja": "お客様: {who}。ご用件: {what}。最近の発言: {said}",
    "en": "Customer: {who}. Wants: {what}. Said last: {said}",
    "zh": "顾客：{who}。事项：{what}。最近的话：{said}",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the shop answers."""

    text: str
    outcome: Outcome | None = None
    """What became of a proposal or a yes in this turn, if there was one."""
    state: str = "open"
    cited: Cited | None = None
    """Where an answer from the merchant's documents stands."""


class Conversation:
    """Talks with customers on behalf of a desk."""

    def __init__(self, desk: SupportDesk, wishes: Wishes | None = None, knowledge: ShopKnowledge | None = None) -> None:
        self.desk = desk
        self._wishes = wishes or Wishes()
        self._knowledge = knowledge

    def start(
        self,
        tenant_id: TenantId,
        *,
        language: Language = "en",
        subject_id: SubjectId | None = None,
        customer_id: str | None = None,
    ) -> str:
        """Open a conversation; the first words are the shop's. Returns its id.

        Args:
            customer_id: whom the page knows already; they need not say who they are.
        """
        talk_id = self.desk.start(tenant_id, language=language, subject_id=subject_id, customer_id=customer_id)
        hello = phrases.HELLO if customer_id is None else phrases.HELLO_AGAIN
        self._keep(tenant_id, talk_id, "shop", hello[language])
        return talk_id

    def say(self, tenant_id: TenantId, talk_id: str, text: str, *, answers: str | None = None) -> Reply:
        """The customer says something; hear it and answer.

        Args:
            answers: the id of the question this is said to, where a page knows it. A yes to another one is none.

        Raises:
            NotFound: this shop has no such conversation.
        """
        talk = self.desk.talk(tenant_id, talk_id)
        self._keep(tenant_id, talk_id, "customer", text)
        if talk.state != "open":
            # Kept for the person who reads it; the guide stays silent.
            texts = refusals.PERSON_IS_AT_IT.says if talk.state == "human" else phrases.GONE
            return Reply(texts[talk.language], state=talk.state)
        reply = self._hear(tenant_id, talk, text, answers)
        self._keep(tenant_id, talk_id, "shop", reply.text)
        return replace(reply, state=self.desk.talk(tenant_id, talk_id).state)

    def confirm(self, tenant_id: TenantId, talk_id: str, proposal_id: str, digest: str) -> Reply:
        """The customer pressed yes."""
        self._pressed(tenant_id, talk_id, "yes")
        return self._after(tenant_id, talk_id, self.desk.confirm(tenant_id, talk_id, proposal_id, digest))

    def undo(self, tenant_id: TenantId, talk_id: str, proposal_id: str | None = None) -> Reply:
        """The customer wants back what was."""
        self._pressed(tenant_id, talk_id, "undo")
        return self._after(tenant_id, talk_id, self.desk.undo(tenant_id, talk_id, proposal_id))

    def hand_over(self, tenant_id: TenantId, talk_id: str, reason: str = "asked") -> Reply:
        """The customer would rather talk to a person, or nothing else helps."""
        talk = self.desk.talk(tenant_id, talk_id)
        if reason == "asked":
            self._pressed(tenant_id, talk_id, "person")
        reply = self._to_person(tenant_id, talk, Guide(), reason)
        self._keep(tenant_id, talk_id, "shop", reply.text)
        return reply

    # ---- for a model that proposes in the guide's place --------------------------------------------------------------

    def is_open_wish(self, tenant_id: TenantId, talk_id: str, text: str) -> bool:
        """Whether this sentence is one a model may have: of a known customer, outside of any form or question.

        A plain yes or no, a wish to undo, to see a person, or somebody else's order number never is.
        """
        talk = self.desk.talk(tenant_id, talk_id)
        guide = msgspec.convert(talk.guide, type=Guide) if talk.guide else Guide()
        plain = hearing.yes_or_no(text) is not None or hearing.wants_undo(text) or hearing.wants_person(text)
        if talk.state != "open" or talk.customer_id is None or plain or guide.asking:
            return False
        if self._knowledge is not None and hearing.asks(text) and self._knowledge.ask(tenant_id, text) is not None:
            return False  # the documents answer it themselves, with the place
        return hearing.strange_order(text, self.desk.case(tenant_id, talk_id)) is None

    def heard(self, tenant_id: TenantId, talk_id: str, text: str) -> None:
        """Keep a customer's sentence that a model answers. What waited for a yes does not wait through it."""
        self.desk.withdraw(tenant_id, talk_id)
        self._keep(tenant_id, talk_id, "customer", text)

    def answered(self, tenant_id: TenantId, talk_id: str, text: str) -> Reply:
        """What a model says; only words."""
        self._remember(tenant_id, talk_id, Guide())
        self._keep(tenant_id, talk_id, "shop", text)
        return Reply(text)

    def asked(self, tenant_id: TenantId, talk_id: str, outcome: Outcome) -> Reply:
        """What the desk made of a model's proposal, as the last words of the conversation."""
        talk = self.desk.talk(tenant_id, talk_id)
        self._remember(tenant_id, talk_id, Guide(shown=outcome.proposal_id))
        reply = self._told(outcome, talk.language)
        self._keep(tenant_id, talk_id, "shop", reply.text)
        return replace(reply, state=talk.state)

    # ---- private -----------------------------------------------------------------------------------------------------

    def _hear(self, tenant_id: TenantId, talk: Talk, text: str, answers: str | None) -> Reply:
        language = talk.language
        guide = msgspec.convert(talk.guide, type=Guide) if talk.guide else Guide()
        asked = self.desk.waiting_for_yes(tenant_id, talk.talk_id)
        if asked is not None:
            said = hearing.yes_or_no(text)
            if said is True and asked.proposal_id == guide.shown == (answers or guide.shown):
                done = self.desk.confirm(tenant_id, talk.talk_id, asked.proposal_id, asked.digest)
                return self._told(done, language)
            # No, or anything that is not a plain yes: the question does not wait for a later one.
            self.desk.withdraw(tenant_id, talk.talk_id)
            if said is not None:
                return Reply(f"{phrases.WITHDRAWN[language]} {phrases.ANYTHING_ELSE[language]}")
        if hearing.wants_undo(text):
            return self._told(self.desk.undo(tenant_id, talk.talk_id), language)
        with self.desk.database.read() as connection:
            names = store.goods.product_names(connection, tenant_id)
        case = self.desk.case(tenant_id, talk.talk_id)
        ear = self._wishes.ear(talk.subject_id or talk.customer_id or "")
        answered = self._from_documents(tenant_id, talk, guide, text, ear)
        if answered is not None:
            return answered
        if dialogue.is_wish(guide, text, case):
            self.desk.heard(tenant_id, talk, text, ear.hears(text), ear.artifact_id)
        after, move = dialogue.step(guide, text, case, language, names, ear.hears)
        self._remember(tenant_id, talk.talk_id, after)
        if move.person:
            return self._to_person(tenant_id, talk, guide, move.person)
        if move.tool:
            return self._propose(tenant_id, talk, case, move, names)
        return Reply(move.text)

    def _from_documents(self, tenant_id: TenantId, talk: Talk, guide: Guide, text: str, ear: Ear) -> Reply | None:
        """What the merchant's documents say; where they do not, and it was a question, a person is offered."""
        if self._knowledge is None or not dialogue.is_question(guide, text, ear.hears):
            return None
        found = self._knowledge.ask(tenant_id, text)
        if found is not None:
            self._remember(tenant_id, talk.talk_id, Guide())
            where = " > ".join(filter(None, (found.cited.title, found.cited.heading)))
            said = phrases.CITED[talk.language].format(text=found.text, where=where)
            return Reply(f"{said}\n{phrases.ANYTHING_ELSE[talk.language]}", cited=found.cited)
        asks_about_us = hearing.asks(text) and ear.hears(text) is None
        if not asks_about_us or self._knowledge.is_empty(tenant_id):
            return None
        self._remember(tenant_id, talk.talk_id, Guide(asking="person"))
        return Reply(phrases.NOT_FOUND[talk.language])

    def _propose(self, tenant_id: TenantId, talk: Talk, case: Case, move: Move, names: Mapping[str, str]) -> Reply:
        language = talk.language
        given = dict(move.arguments)
        if move.tool == "product_details" and given["product_id"] not in names.values():
            low = str(given["product_id"]).casefold()
            given["product_id"] = next((names[name] for name in names if name.casefold() in low), given["product_id"])
        outcome = self.desk.propose(tenant_id, talk.talk_id, move.tool, given)
        if outcome.code == refusals.NOT_FOUND.code and move.tool == "sign_in_by_name" and language != "en":
            # Family names come first where people write them so.
            turned = {**given, "first_name": given["last_name"], "last_name": given["first_name"]}
            outcome = self.desk.propose(tenant_id, talk.talk_id, move.tool, turned)
        if outcome.kind == "told" and move.tool.startswith("sign_in"):
            return Reply(dialogue.welcome(self.desk.case(tenant_id, talk.talk_id), language), outcome)
        if outcome.kind == "told":
            text = dialogue.told(move.tool, case, outcome.facts, language)
            return Reply(f"{text} {phrases.ANYTHING_ELSE[language]}", outcome)
        if outcome.kind == "asked":
            self._remember(tenant_id, talk.talk_id, Guide(shown=outcome.proposal_id))
        return self._told(outcome, language)

    def _told(self, outcome: Outcome, language: Language) -> Reply:
        text = outcome.says[language]
        if outcome.kind == "asked":
            text = f"{text} {telling.YES_NO[language]}"
        elif outcome.kind in {"done", "undone", "refused"} and not outcome.tool.startswith("sign_in"):
            text = f"{text} {phrases.ANYTHING_ELSE[language]}"
        return Reply(text, outcome)

    def _to_person(self, tenant_id: TenantId, talk: Talk, guide: Guide, reason: str) -> Reply:
        case = self.desk.case(tenant_id, talk.talk_id)
        said = [turn.text for turn in self.desk.history(tenant_id, talk.talk_id) if turn.who == "customer"]
        summary = dialogue.summary(guide, case, said, _SUMMARY, talk.language)
        outcome = self.desk.hand_over(tenant_id, talk.talk_id, reason, summary)
        return Reply(phrases.PERSON[talk.language], outcome, "human")

    def _after(self, tenant_id: TenantId, talk_id: str, outcome: Outcome) -> Reply:
        talk = self.desk.talk(tenant_id, talk_id)
        reply = self._told(outcome, talk.language)
        self._keep(tenant_id, talk_id, "shop", reply.text)
        return replace(reply, state=talk.state)

    def _remember(self, tenant_id: TenantId, talk_id: str, guide: Guide) -> None:
        with self.desk.database.transaction() as connection:
            store.talks.change(connection, tenant_id, talk_id, guide=msgspec.to_builtins(guide))

    def _pressed(self, tenant_id: TenantId, talk_id: str, button: str) -> None:
        language = self.desk.talk(tenant_id, talk_id).language
        self._keep(tenant_id, talk_id, "customer", phrases.PRESSED[button][language])

    def _keep(self, tenant_id: TenantId, talk_id: str, who: Any, text: str) -> None:
        with self.desk.database.transaction() as connection:
            store.talks.say(connection, tenant_id, talk_id, who, text, self.desk.clock.now())
