"""The API of support, under `/a/shop/v1/support`: start, say, propose, confirm, undo, hand over, and the inbox.

A conversation belongs to whoever opened it; a key of scope admin sees all of its own shop. `propose` is for programs
and models: it can ask, never confirm. `confirm` is for the customer's own button, and carries the digest of exactly
what was asked.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from ikkan.apps.shop.rules.support import phrases
from ikkan.apps.shop.rules.support import tools as tool_shelf
from ikkan.apps.shop.service.conversation import Conversation, Reply
from ikkan.apps.shop.service.model import Modelled
from ikkan.apps.shop.values import Outcome
from ikkan.ground.errors import NotFound
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.kit import Parts, Session

_Id = Annotated[str, Field(min_length=1, max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Start(_Body):
    """In which language the shop speaks."""

    language: Literal["ja", "en", "zh"] = "en"


class Say(_Body):
    """A customer's sentence."""

    text: Annotated[str, Field(min_length=1, max_length=4_000)]
    answers: _Id | None = None
    """The question it answers, where the page shows one."""


class Propose(_Body):
    """A call of a tool, by whoever thinks it is wanted."""

    tool: Annotated[str, Field(min_length=1, max_length=80)]
    arguments: dict[str, Any] = {}


class Confirm(_Body):
    """The customer's yes, to exactly what was asked."""

    proposal_id: _Id
    digest: Annotated[str, Field(min_length=64, max_length=64)]


class Undo(_Body):
    """Which deed; none: the latest."""

    proposal_id: _Id | None = None


class Answer(_Body):
    """A person's answer from the inbox."""

    text: Annotated[str, Field(min_length=1, max_length=4_000)]


class Sort(_Body):
    """What a conversation was about."""

    intent: Literal[
        "status", "cancel", "return", "swap", "order_address", "my_address", "payment", "product", "lost", "person"
    ]


class Close(_Body):
    """Whether the guide goes on with the conversation."""

    to_guide: bool = False


def join(door: FastAPI, parts: Parts, talks: Conversation, modelled: Modelled) -> None:
    """Support as an API. Session, key and CSRF token are checked at the door of `kit.api`."""
    desk, run = talks.desk, parts.database.run

    async def mine(request: Request, talk_id: str) -> TenantId:
        """The caller's shop, if the conversation is theirs."""
        session = parts.frame.require(request)
        tenant_id = TenantId(session.tenant_id)
        talk = await run(desk.talk, tenant_id, talk_id)
        if not (session.is_admin or talk.subject_id == session.subject_id):
            raise NotFound("there is no such conversation", hint="start one: POST /a/shop/v1/support/talks")
        return tenant_id

    def person(request: Request) -> TenantId:
        session: Session = parts.frame.require(request, admin=True)
        return TenantId(session.tenant_id)

    @door.get("/support/tools")
    async def tools() -> dict[str, Any]:
        return {
            "tools": [
                {"name": tool.name, "about": tool.about, "writes": tool.writes, "needs": [n.code for n in tool.needs]}
                for tool in tool_shelf.TOOLS.values()
            ],
            "schema": tool_shelf.schema(),
        }

    @door.post("/support/talks")
    async def start(request: Request, body: Start) -> dict[str, str]:
        session = parts.frame.require(request)
        subject = None if session.subject_id is None else SubjectId(session.subject_id)
        talk_id = await run(talks.start, TenantId(session.tenant_id), language=body.language, subject_id=subject)
        return {"talk_id": talk_id, "text": phrases.HELLO[body.language]}

    @door.get("/support/talks/{talk_id}")
    async def history(request: Request, talk_id: str) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        talk, turns = await run(desk.talk, tenant_id, talk_id), await run(desk.history, tenant_id, talk_id)
        return {"state": talk.state, "language": talk.language, "turns": [asdict(turn) for turn in turns]}

    @door.post("/support/talks/{talk_id}/say")
    async def say(request: Request, talk_id: str, body: Say) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        principal = parts.frame.require(request).principal
        return _reply(await modelled.say(principal, tenant_id, talk_id, body.text, answers=body.answers))

    @door.post("/support/talks/{talk_id}/propose")
    async def propose(request: Request, talk_id: str, body: Propose) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        return _outcome(await run(desk.propose, tenant_id, talk_id, body.tool, body.arguments))

    @door.post("/support/talks/{talk_id}/confirm")
    async def confirm(request: Request, talk_id: str, body: Confirm) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        return _reply(await run(talks.confirm, tenant_id, talk_id, body.proposal_id, body.digest))

    @door.post("/support/talks/{talk_id}/undo")
    async def undo(request: Request, talk_id: str, body: Undo) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        return _reply(await run(talks.undo, tenant_id, talk_id, body.proposal_id))

    @door.post("/support/talks/{talk_id}/hand-over")
    async def hand_over(request: Request, talk_id: str) -> dict[str, Any]:
        tenant_id = await mine(request, talk_id)
        return _reply(await run(talks.hand_over, tenant_id, talk_id))

    @door.get("/support/inbox")
    async def inbox(request: Request) -> dict[str, Any]:
        waiting = await run(desk.inbox, person(request))
        return {"waiting": [asdict(each) for each in waiting]}

    @door.post("/support/inbox/{talk_id}/answer")
    async def answer(request: Request, talk_id: str, body: Answer) -> dict[str, bool]:
        await run(desk.answer, person(request), talk_id, body.text)
        return {"said": True}

    @door.post("/support/inbox/{talk_id}/sort")
    async def sort(request: Request, talk_id: str, body: Sort) -> dict[str, bool]:
        await run(desk.sort, person(request), talk_id, body.intent)
        return {"sorted": True}

    @door.post("/support/inbox/{talk_id}/close")
    async def close(request: Request, talk_id: str, body: Close) -> dict[str, bool]:
        return {"closed": await run(desk.close, person(request), talk_id, to_guide=body.to_guide)}


def _reply(reply: Reply) -> dict[str, Any]:
    made: dict[str, Any] = {"text": reply.text, "state": reply.state}
    if reply.cited is not None:
        made["cited"] = {
            **asdict(reply.cited),
            "page": f"/shop/documents/{reply.cited.document_id}#p{reply.cited.place}",
        }
    if reply.outcome is not None:
        made["outcome"] = _outcome(reply.outcome)
    return made


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """As JSON, without what is empty."""
    return {name: value for name, value in asdict(outcome).items() if value}
