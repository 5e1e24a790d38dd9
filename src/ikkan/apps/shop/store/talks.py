"""Conversations, questions that wait for a yes, and the inbox of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from ikkan.apps.shop.store.tables import inbox, proposals, said, talks
from ikkan.apps.shop.values.support import Proposal, Said, Talk, Waiting
from ikkan.ground.ids import SubjectId, TenantId, new_id


def begin(
    connection: sa.Connection, tenant_id: TenantId, language: str, subject_id: SubjectId | None, at: datetime
) -> str:
    """Open a conversation; returns its id."""
    talk_id = new_id("talk")
    connection.execute(
        talks.insert().values(
            tenant_id=tenant_id,
            talk_id=talk_id,
            subject_id=subject_id,
            customer_id=None,
            language=language,
            state="open",
            guide={},
            tries=0,
            began_at=at,
        )
    )
    return talk_id


def get(connection: sa.Connection, tenant_id: TenantId, talk_id: str) -> Talk | None:
    """A conversation as it stands; locked until the transaction ends where the database can."""
    mine = (talks.c.tenant_id == tenant_id, talks.c.talk_id == talk_id)
    row = connection.execute(sa.select(talks).where(*mine)).one_or_none()
    if row is None:
        return None
    return Talk(row.talk_id, row.subject_id, row.customer_id, row.language, row.state, row.guide, row.tries)


def lock(connection: sa.Connection, tenant_id: TenantId, talk_id: str) -> Talk | None:
    """Like `get`, and nobody else changes the conversation until this transaction ends."""
    mine = (talks.c.tenant_id == tenant_id, talks.c.talk_id == talk_id)
    connection.execute(sa.select(talks.c.talk_id).where(*mine).with_for_update())
    return get(connection, tenant_id, talk_id)


def change(connection: sa.Connection, tenant_id: TenantId, talk_id: str, **columns: Any) -> None:
    """Change some columns of a conversation."""
    connection.execute(
        talks.update().where(talks.c.tenant_id == tenant_id, talks.c.talk_id == talk_id).values(**columns)
    )


def say(
    connection: sa.Connection,
    tenant_id: TenantId,
    talk_id: str,
    who: Literal["customer", "shop", "person"],
    text: str,
    at: datetime,
) -> None:
    """Keep one turn."""
    connection.execute(
        said.insert().values(tenant_id=tenant_id, said_id=new_id(), talk_id=talk_id, who=who, text=text, at=at)
    )


def history(connection: sa.Connection, tenant_id: TenantId, talk_id: str) -> list[Said]:
    """Everything that was said, in order."""
    mine = (said.c.tenant_id == tenant_id, said.c.talk_id == talk_id)
    rows = connection.execute(sa.select(said).where(*mine).order_by(said.c.said_id))
    return [Said(row.who, row.text, row.at) for row in rows]


# ---- questions that wait for a yes -----------------------------------------------------------------------------------


def ask(connection: sa.Connection, tenant_id: TenantId, proposal: Proposal) -> None:
    """Keep a question. Whatever else waited in the same conversation waits no more."""
    supersede(connection, tenant_id, proposal.talk_id)
    values = {name: getattr(proposal, name) for name in proposals.c.keys() if name != "tenant_id"}  # noqa: SIM118
    connection.execute(proposals.insert().values(tenant_id=tenant_id, **values))


def supersede(connection: sa.Connection, tenant_id: TenantId, talk_id: str) -> None:
    """Nothing waits for a yes in this conversation any more."""
    connection.execute(
        proposals.update()
        .where(proposals.c.tenant_id == tenant_id, proposals.c.talk_id == talk_id, proposals.c.state == "asked")
        .values(state="superseded")
    )


def proposal(connection: sa.Connection, tenant_id: TenantId, proposal_id: str) -> Proposal | None:
    """A question, whatever became of it."""
    mine = (proposals.c.tenant_id == tenant_id, proposals.c.proposal_id == proposal_id)
    row = connection.execute(sa.select(proposals).where(*mine)).one_or_none()
    return None if row is None else _proposal(row)


def latest(connection: sa.Connection, tenant_id: TenantId, talk_id: str, state: str) -> Proposal | None:
    """The newest question of a conversation in this state."""
    mine = (proposals.c.tenant_id == tenant_id, proposals.c.talk_id == talk_id, proposals.c.state == state)
    chosen = sa.select(proposals).where(*mine).order_by(proposals.c.proposal_id.desc()).limit(1)
    row = connection.execute(chosen).one_or_none()
    return None if row is None else _proposal(row)


def move(
    connection: sa.Connection, tenant_id: TenantId, proposal_id: str, before: str, after: str, **columns: Any
) -> bool:
    """Take a question from one state to the next; False where somebody else was first."""
    done = connection.execute(
        proposals.update()
        .where(
            proposals.c.tenant_id == tenant_id,
            proposals.c.proposal_id == proposal_id,
            proposals.c.state == before,
        )
        .values(state=after, **columns)
    )
    return done.rowcount == 1


# ---- the inbox -------------------------------------------------------------------------------------------------------


def hand_over(
    connection: sa.Connection, tenant_id: TenantId, talk: Talk, reason: str, summary: str, at: datetime
) -> str:
    """Put a conversation into the inbox of people; returns the entry's id. Once a conversation."""
    change(connection, tenant_id, talk.talk_id, state="human")
    supersede(connection, tenant_id, talk.talk_id)
    mine = (inbox.c.tenant_id == tenant_id, inbox.c.talk_id == talk.talk_id, inbox.c.state == "open")
    there = connection.execute(sa.select(inbox.c.entry_id).where(*mine)).scalar()
    if there is not None:
        return str(there)
    entry_id = new_id("wait")
    connection.execute(
        inbox.insert().values(
            tenant_id=tenant_id,
            entry_id=entry_id,
            talk_id=talk.talk_id,
            customer_id=talk.customer_id,
            reason=reason,
            summary=summary,
            state="open",
            created_at=at,
        )
    )
    return entry_id


def waiting(connection: sa.Connection, tenant_id: TenantId, *, limit: int = 200) -> list[Waiting]:
    """Who waits for a person, the longest wait first."""
    mine = (inbox.c.tenant_id == tenant_id, inbox.c.state == "open")
    rows = connection.execute(sa.select(inbox).where(*mine).order_by(inbox.c.created_at).limit(limit))
    return [
        Waiting(row.entry_id, row.talk_id, row.customer_id, row.reason, row.summary, row.state, row.created_at)
        for row in rows
    ]


def close(connection: sa.Connection, tenant_id: TenantId, talk_id: str) -> bool:
    """A person has dealt with it; False where it did not wait."""
    mine = (inbox.c.tenant_id == tenant_id, inbox.c.talk_id == talk_id, inbox.c.state == "open")
    return bool(connection.execute(inbox.update().where(*mine).values(state="closed")).rowcount)


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId, customer_ids: Sequence[str]) -> int:
    """Remove conversations of a person, as customer or as whoever opened them; returns the rows removed."""
    theirs = sa.or_(talks.c.subject_id == subject_id, talks.c.customer_id.in_(list(customer_ids)))
    ids = list(connection.execute(sa.select(talks.c.talk_id).where(talks.c.tenant_id == tenant_id, theirs)).scalars())
    gone = 0
    for table in (said, proposals, inbox, talks):
        done = connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.talk_id.in_(ids)))
        gone += done.rowcount
    return gone


def _proposal(row: Any) -> Proposal:
    arguments: Mapping[str, Any] = row.arguments
    return Proposal(
        row.proposal_id,
        row.talk_id,
        row.customer_id,
        row.tool,
        arguments,
        row.state_sha256,
        row.digest,
        row.state,
        row.asked_at,
        row.expires_at,
        row.undo_until,
        row.undo,
    )
