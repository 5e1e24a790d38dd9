"""The support desk: proposed calls come in, the customer's own yes carries them out, and nothing else does.

`propose` reads, answers or asks; it never writes to the shop. `confirm` takes the customer's yes, which carries the
digest of exactly what was asked, and writes in one transaction; the id of the question is the idempotency key.
`undo` takes it back while nothing else has moved. Whoever proposes - a model, the guide, a program - has no way past.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest.telling import came_back
from ikkan.apps.shop.rules.support import arguments, binding, refusals, telling, tools
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.values import Address, Case, Deed, Effect, Happened, Order, Outcome, Policy, Refusal
from ikkan.apps.shop.values.support import (
    CONFIRMED,
    HANDED_OVER,
    HEARD,
    SORTED,
    UNDONE,
    Proposal,
    Said,
    Talk,
    Waiting,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, NotFound
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId, TenantId, new_id


class SupportDesk:
    """Support of every shop in this house.

    Args:
        events: where what was done is recorded; None records nothing, as in a replay.
        policy: what merchants allow.
        behaviour: is told in the same transaction what came back, so that the next suggestion knows; None: nobody is.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        events: EventLog | None = None,
        policy: Policy = Policy(),
        behaviour: Listens | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.policy = policy
        self._events = events
        self._behaviour = behaviour

    # ---- a conversation ----------------------------------------------------------------------------------------------

    def start(
        self,
        tenant_id: TenantId,
        *,
        language: str = "en",
        subject_id: SubjectId | None = None,
        customer_id: str | None = None,
    ) -> str:
        """Open a conversation; returns its id, which cannot be guessed.

        Args:
            customer_id: whom the page knows already, by its own sign-in; None: they will have to say.
        """
        with self.database.transaction() as connection:
            talk_id = store.talks.begin(connection, tenant_id, language, subject_id, self.clock.now())
            if customer_id is not None:
                store.talks.change(connection, tenant_id, talk_id, customer_id=customer_id)
            return talk_id

    def talk(self, tenant_id: TenantId, talk_id: str) -> Talk:
        """A conversation as it stands.

        Raises:
            NotFound: this shop has no such conversation.
        """
        with self.database.read() as connection:
            return _there(store.talks.get(connection, tenant_id, talk_id))

    def history(self, tenant_id: TenantId, talk_id: str) -> list[Said]:
        """Everything that was said."""
        with self.database.read() as connection:
            return store.talks.history(connection, tenant_id, talk_id)

    def case(self, tenant_id: TenantId, talk_id: str) -> Case:
        """What a decision in this conversation may look at now."""
        with self.database.read() as connection:
            talk = _there(store.talks.get(connection, tenant_id, talk_id))
            return store.goods.case_of(connection, tenant_id, talk.customer_id, self.policy)

    def waiting_for_yes(self, tenant_id: TenantId, talk_id: str) -> Proposal | None:
        """The question that waits for the customer's yes, if one does."""
        with self.database.read() as connection:
            return store.talks.latest(connection, tenant_id, talk_id, "asked")

    # ---- proposing: reads, answers, asks; writes nothing to the shop -------------------------------------------------

    def propose(self, tenant_id: TenantId, talk_id: str, name: str, given: object) -> Outcome:
        """Take a proposed call: refuse it with the reason, answer it, or ask the customer to confirm it."""
        with self.database.transaction() as connection:
            talk = _there(store.talks.lock(connection, tenant_id, talk_id))
            if talk.state != "open":
                return _refused(refusals.PERSON_IS_AT_IT, name)
            call = tools.read(name, given)
            if isinstance(call, Refusal):
                return _refused(call, name)
            case = self._case(connection, tenant_id, talk, call)
            refusal = tools.missing(call, case)
            if refusal is not None:
                return _refused(refusal, name)
            if name in (tools.SIGN_IN_BY_EMAIL, tools.SIGN_IN_BY_NAME):
                return self._sign_in(connection, tenant_id, talk, call)
            if name == tools.HAND_OVER:
                return self._hand_over(connection, tenant_id, talk, "asked", call.arguments.summary)
            if call.tool.writes:
                return self._ask(connection, tenant_id, talk, call, case)
            return Outcome("told", name, facts=self._facts(connection, tenant_id, call, case))

    def withdraw(self, tenant_id: TenantId, talk_id: str) -> None:
        """The customer said no, or something else: nothing waits for a yes any more."""
        with self.database.transaction() as connection:
            store.talks.supersede(connection, tenant_id, talk_id)

    # ---- the customer's own word: the only way in which anything is written ------------------------------------------

    def confirm(self, tenant_id: TenantId, talk_id: str, proposal_id: str, digest: str) -> Outcome:
        """Carry out what was asked, once, if this yes is to exactly that and nothing has moved since.

        Only the customer's side of a conversation may call this: a button they press, or their own answer to the
        question. What a model writes never comes here.
        """
        try:
            with self.database.transaction() as connection:
                return self._confirm(connection, tenant_id, talk_id, proposal_id, digest)
        except Conflict:
            # Another writer was first; this transaction was given up whole.
            return _refused(refusals.STATE_CHANGED, "")

    def undo(self, tenant_id: TenantId, talk_id: str, proposal_id: str | None = None) -> Outcome:
        """Take back what was done, the latest if none is named: within its time, and only where nothing moved since."""
        try:
            with self.database.transaction() as connection:
                return self._undo(connection, tenant_id, talk_id, proposal_id)
        except Conflict:
            return _refused(refusals.CANNOT_UNDO, "")

    # ---- people ------------------------------------------------------------------------------------------------------

    def hand_over(self, tenant_id: TenantId, talk_id: str, reason: str, summary: str) -> Outcome:
        """Let a person take over. What waited for a yes waits no more."""
        with self.database.transaction() as connection:
            talk = _there(store.talks.lock(connection, tenant_id, talk_id))
            return self._hand_over(connection, tenant_id, talk, reason, summary)

    def inbox(self, tenant_id: TenantId) -> list[Waiting]:
        """Who waits for a person, the longest wait first."""
        with self.database.read() as connection:
            return store.talks.waiting(connection, tenant_id)

    def answer(self, tenant_id: TenantId, talk_id: str, text: str) -> None:
        """A person's answer in a conversation that was handed over."""
        with self.database.transaction() as connection:
            _there(store.talks.get(connection, tenant_id, talk_id))
            store.talks.say(connection, tenant_id, talk_id, "person", text, self.clock.now())

    def sort(self, tenant_id: TenantId, talk_id: str, intent: str) -> None:
        """A person says what a conversation was about; whoever learns what customers want learns from it.

        Raises:
            NotFound: this shop has no such conversation.
        """
        with self.database.transaction() as connection:
            talk = _there(store.talks.get(connection, tenant_id, talk_id))
            self._tell(connection, tenant_id, talk, SORTED, {"talk_id": talk_id, "intent": intent})

    def heard(self, tenant_id: TenantId, talk: Talk, text: str, read: str | None, artifact: str | None) -> None:
        """Record how a customer's own words were read, so that it can be learned whether that was right."""
        if talk.customer_id is not None:
            payload = {"talk_id": talk.talk_id, "text": text[:2_000], "read": read, "artifact": artifact}
            with self.database.transaction() as connection:
                self._tell(connection, tenant_id, talk, HEARD, payload)

    def close(self, tenant_id: TenantId, talk_id: str, *, to_guide: bool = False) -> bool:
        """A person has dealt with it; the conversation ends, or goes back to the guide."""
        with self.database.transaction() as connection:
            store.talks.change(connection, tenant_id, talk_id, state="open" if to_guide else "closed")
            return store.talks.close(connection, tenant_id, talk_id)

    # ---- private -----------------------------------------------------------------------------------------------------

    def _case(self, connection: sa.Connection, tenant_id: TenantId, talk: Talk, call: tools.Call) -> Case:
        given = call.arguments
        return store.goods.case_of(
            connection,
            tenant_id,
            talk.customer_id,
            self.policy,
            product_id=getattr(given, "product_id", None),
            item_id=given.item_id if isinstance(given, arguments.OfItem) else None,
        )

    def _sign_in(self, connection: sa.Connection, tenant_id: TenantId, talk: Talk, call: tools.Call) -> Outcome:
        given = call.arguments
        if isinstance(given, arguments.ByEmail):
            found = store.goods.who_has_email(connection, tenant_id, given.email)
        else:
            found = store.goods.who_has_name(connection, tenant_id, given.first_name, given.last_name, given.zip)
        if len(found) == 1:
            store.talks.change(connection, tenant_id, talk.talk_id, customer_id=found[0])
            return Outcome("told", call.tool.name, facts={"customer_id": found[0]})
        tries = talk.tries + 1
        store.talks.change(connection, tenant_id, talk.talk_id, tries=tries)
        if tries < self.policy.sign_in_tries:
            return _refused(refusals.NOT_FOUND, call.tool.name)
        self._hand_over(connection, tenant_id, talk, "not_signed_in", "The customer could not be identified.")
        return replace(_refused(refusals.TOO_MANY_TRIES, call.tool.name), kind="handed_over")

    def _ask(self, connection: sa.Connection, tenant_id: TenantId, talk: Talk, call: tools.Call, case: Case) -> Outcome:
        assert case.customer is not None
        now, proposal_id = self.clock.now(), new_id("ask")
        given = arguments.plain(call.arguments)
        state = binding.state_read(case, call.arguments)
        asked = Proposal(
            proposal_id,
            talk.talk_id,
            case.customer.customer_id,
            call.tool.name,
            given,
            state,
            _digest(tenant_id, talk.talk_id, case.customer.customer_id, proposal_id, call.tool.name, given, state),
            "asked",
            now,
            now + timedelta(seconds=self.policy.confirm_within_s),
            None,
            {},
        )
        store.talks.ask(connection, tenant_id, asked)
        return Outcome(
            "asked", call.tool.name, telling.question(call, case), proposal_id=proposal_id, digest=asked.digest,
            until=asked.expires_at,
        )  # fmt: skip

    def _confirm(
        self, connection: sa.Connection, tenant_id: TenantId, talk_id: str, proposal_id: str, digest: str
    ) -> Outcome:
        talk = _there(store.talks.lock(connection, tenant_id, talk_id))
        asked = store.talks.proposal(connection, tenant_id, proposal_id)
        if asked is None or (asked.talk_id, asked.customer_id) != (talk_id, talk.customer_id):
            return _refused(refusals.NO_SUCH_QUESTION, "")
        if asked.state == "done":
            return replace(_refused(refusals.ALREADY_DONE, asked.tool), until=asked.undo_until)
        if asked.state != "asked" or talk.state != "open":
            return _refused(refusals.QUESTION_IS_GONE, asked.tool)
        exact = _digest(
            tenant_id, talk_id, asked.customer_id, proposal_id, asked.tool, asked.arguments, asked.state_sha256
        )
        if not (hmac.compare_digest(exact, asked.digest) and hmac.compare_digest(exact.encode(), digest.encode())):
            return _refused(refusals.OTHER_ARGUMENTS, asked.tool)
        now = self.clock.now()
        if now > asked.expires_at:
            store.talks.move(connection, tenant_id, proposal_id, "asked", "stale")
            return _refused(refusals.EXPIRED, asked.tool)
        call = tools.read(asked.tool, asked.arguments)
        assert isinstance(call, tools.Call), "what was asked was read before"
        case = self._case(connection, tenant_id, talk, call)
        effect = tools.judge(call, case)
        if isinstance(effect, Refusal) or binding.state_read(case, call.arguments) != asked.state_sha256:
            store.talks.move(connection, tenant_id, proposal_id, "asked", "stale")
            return _refused(refusals.STATE_CHANGED, asked.tool)
        return self._carry_out(connection, tenant_id, asked, case, effect)

    def _carry_out(
        self, connection: sa.Connection, tenant_id: TenantId, asked: Proposal, case: Case, effect: Effect
    ) -> Outcome:
        now = self.clock.now()
        undo_until = now + timedelta(seconds=self.policy.undo_within_s)
        if not store.talks.move(
            connection, tenant_id, asked.proposal_id, "asked", "done", undo_until=undo_until,
            undo=_before(case, effect),
        ):  # fmt: skip
            return _refused(refusals.ALREADY_DONE, asked.tool)
        store.goods.write(connection, tenant_id, asked.customer_id, effect)
        self._record(connection, tenant_id, asked, CONFIRMED)
        if self._behaviour is not None:
            self._behaviour.tell(tenant_id, _came_back(asked, case, now), connection=connection)
        minutes = int(self.policy.undo_within_s // 60)
        says = telling.told(lambda lang: telling.DONE[lang] + " " + telling.UNDO[lang].format(minutes=minutes))
        return Outcome("done", asked.tool, says, proposal_id=asked.proposal_id, digest=asked.digest, until=undo_until)

    def _undo(self, connection: sa.Connection, tenant_id: TenantId, talk_id: str, proposal_id: str | None) -> Outcome:
        talk = _there(store.talks.lock(connection, tenant_id, talk_id))
        if proposal_id is None:
            done = store.talks.latest(connection, tenant_id, talk_id, "done")
        else:
            done = store.talks.proposal(connection, tenant_id, proposal_id)
        if done is None or done.state != "done" or (done.talk_id, done.customer_id) != (talk_id, talk.customer_id):
            return _refused(refusals.NOTHING_TO_UNDO, "")
        assert done.undo_until is not None
        if self.clock.now() > done.undo_until:
            return _refused(refusals.UNDO_IS_OVER, done.tool)
        case = store.goods.case_of(connection, tenant_id, talk.customer_id, self.policy)
        back = _back(case, done)
        if back is None or not store.talks.move(connection, tenant_id, done.proposal_id, "done", "undone"):
            return _refused(refusals.CANNOT_UNDO, done.tool)
        store.talks.supersede(connection, tenant_id, talk_id)
        store.goods.write(connection, tenant_id, done.customer_id, back)
        self._record(connection, tenant_id, done, UNDONE)
        if self._behaviour is not None:
            told = [event.event_id for event in _came_back(done, case, self.clock.now())]
            self._behaviour.untell(tenant_id, told, connection=connection)
        return Outcome(
            "undone", done.tool, telling.told(lambda lang: telling.UNDONE[lang]), proposal_id=done.proposal_id
        )

    def _hand_over(
        self, connection: sa.Connection, tenant_id: TenantId, talk: Talk, reason: str, summary: str
    ) -> Outcome:
        entry_id = store.talks.hand_over(connection, tenant_id, talk, reason, summary, self.clock.now())
        if self._events is not None:
            subject = talk.customer_id and store.goods.subject_of(connection, tenant_id, talk.customer_id)
            payload = {"talk_id": talk.talk_id, "reason": reason, "summary": summary}
            event = NewEvent(
                HANDED_OVER, 1, tenant_id, SubjectId(subject) if subject else None, self.clock.now(), SERVICE, payload
            )
            self._events.append(connection, event)
        return Outcome("handed_over", tools.HAND_OVER, refusals.PERSON_IS_AT_IT.says, facts={"entry_id": entry_id})

    def _facts(self, connection: sa.Connection, tenant_id: TenantId, call: tools.Call, case: Case) -> dict[str, Any]:
        given = call.arguments
        found: Any
        if isinstance(given, arguments.OfOrder):
            found = case.orders[given.order_id]
        elif isinstance(given, arguments.OfProduct):
            found = case.products[given.product_id]
        elif isinstance(given, arguments.OfItem):
            found = case.item(given.item_id)
        elif call.tool.name == "list_products":
            return store.goods.product_names(connection, tenant_id)
        else:
            found = {"customer": case.customer, "orders": sorted(case.orders)}
        facts: dict[str, Any] = msgspec.to_builtins(found)
        return facts

    def _tell(
        self, connection: sa.Connection, tenant_id: TenantId, talk: Talk, name: str, payload: dict[str, Any]
    ) -> None:
        if self._events is None:
            return
        subject = talk.customer_id and store.goods.subject_of(connection, tenant_id, talk.customer_id)
        whose = SubjectId(subject) if subject else None
        self._events.append(connection, NewEvent(name, 1, tenant_id, whose, self.clock.now(), SERVICE, payload))

    def _record(self, connection: sa.Connection, tenant_id: TenantId, about: Proposal, name: str) -> None:
        if self._events is None:
            return
        payload = {
            "talk_id": about.talk_id,
            "proposal_id": about.proposal_id,
            "tool": about.tool,
            "arguments": dict(about.arguments),
            "digest": about.digest,
        }
        subject = store.goods.subject_of(connection, tenant_id, about.customer_id)
        self._events.append(connection, NewEvent(name, 1, tenant_id, subject, self.clock.now(), SERVICE, payload))


def _there(talk: Talk | None) -> Talk:
    if talk is None:
        raise NotFound("there is no such conversation", hint="start one: POST /a/shop/v1/support/talks")
    return talk


def _refused(refusal: Refusal, tool: str) -> Outcome:
    return Outcome("refused", tool, refusal.says, refusal.code)


_CAME_BACK: Mapping[str, Deed] = {
    "cancel_order": "returned",
    "return_items": "returned",
    "exchange_items": "complained",  # wanted, but not as it came
}


def _came_back(about: Proposal, case: Case, now: datetime) -> list[Happened]:
    """What a deed of support says about what the customer wants: these pieces not."""
    order = case.orders.get(str(about.arguments.get("order_id")))
    if order is None or about.tool not in _CAME_BACK:
        return []
    if about.tool == "cancel_order":
        wanted = [line.item_id for line in order.lines]
    elif about.tool == "return_items":
        wanted = list(about.arguments["item_ids"])
    else:
        wanted = [swap["item_id"] for swap in about.arguments["swaps"]]
    return came_back(about.proposal_id, order, wanted, now, deed=_CAME_BACK[about.tool])


def _digest(
    tenant_id: str, talk_id: str, customer_id: str, proposal_id: str, tool: str, given: Any, state_sha256: str
) -> str:
    return binding.digest(
        tenant_id=tenant_id, talk_id=talk_id, customer_id=customer_id, proposal_id=proposal_id, tool=tool,
        arguments=given, state_sha256=state_sha256,
    )  # fmt: skip


def _before(case: Case, effect: Effect) -> dict[str, Any]:
    """What it takes to go back."""
    assert case.customer is not None
    before = None if effect.order is None else case.orders[effect.order.order_id]
    address = None if effect.address is None else {"from": case.customer.address, "to": effect.address}
    kept: dict[str, Any] = msgspec.to_builtins({"order": before, "balances": effect.balances, "address": address})
    return kept


def _back(case: Case, done: Proposal) -> Effect | None:
    """The effect that takes it back; None where something else has moved since: the carrier, the shop, the customer."""
    order, address = None, None
    if done.undo["order"] is not None:
        before: Order = msgspec.convert(done.undo["order"], type=Order)
        now = case.orders.get(before.order_id)
        # Every change of an order, the carrier's word included, makes a new version; ours was the only one.
        if now is None or now.version != before.version + 1:
            return None
        order = replace(before, version=now.version)
    if done.undo["address"] is not None:
        moved: dict[str, Address] = msgspec.convert(done.undo["address"], type=dict[str, Address])
        if case.customer is None or case.customer.address != moved["to"]:
            return None
        address = moved["from"]
    return Effect(order, address, {method: -by for method, by in done.undo["balances"].items()})
