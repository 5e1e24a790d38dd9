"""Feedback: bound to an answer of one's own organisation, and recorded as an event."""

from __future__ import annotations

import math
from typing import Any

import aiohttp
import pytest

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.events import Feedback
from ikkan.cloud.feedback import check
from ikkan.ground.errors import BadInput
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import TenantId


async def ask(url: str, **fields: Any) -> str:
    body = {"model": "fake", "messages": [{"role": "user", "content": "What jumps?"}], **fields}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=body) as reply:
        return str((await reply.json())["id"])


async def give(url: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/feedback", json=body, headers=headers) as reply,
    ):
        assert reply.headers["x-request-id"]
        return reply.status, await reply.json()


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "thumb", "value": 1},
        {"kind": "thumb", "value": -1, "comment": "no"},
        {"kind": "rating", "value": 4},
        {"kind": "edit", "before": "The fox.", "after": "The vixen."},
        {"kind": "choice", "knowledge_id": "k-7"},
        {"kind": "label", "after": "card_arrival"},
        {"kind": "comment", "comment": "ありがとう"},
    ],
    ids=lambda said: said["kind"],
)
async def test_what_people_say_is_recorded_with_the_answer_it_is_about(
    url: str, events: EventLog, said: dict[str, Any]
) -> None:
    answer_id = await ask(url)
    status, reply = await give(url, id=answer_id, **said)
    assert (status, reply["id"]) == (200, answer_id)
    (event,) = events.reader().read(["FeedbackGiven"])
    assert event.id == reply["event_id"]
    assert event.payload == {
        "inference_id": answer_id,
        "value": None,
        "before": None,
        "after": None,
        "comment": None,
        "knowledge_id": None,
        "actor": "local",
        **said,
    }


async def test_feedback_is_the_person_the_answer_was_for_unless_they_say_otherwise(url: str, events: EventLog) -> None:
    answer_id = await ask(url, user="ada")
    await give(url, id=answer_id, kind="thumb", value=1)
    await give(url, id=answer_id, kind="thumb", value=1, user="bob")
    served, *given = events.reader().read(["InferenceServed", "FeedbackGiven"])
    assert given[0].subject_id == served.subject_id is not None
    assert given[1].subject_id not in (None, served.subject_id)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"kind": "applause"}, "kind"),
        ({"kind": "thumb"}, "value"),
        ({"kind": "thumb", "value": 2}, "value"),
        ({"kind": "thumb", "value": math.nan}, "value"),
        ({"kind": "rating", "value": 0}, "value"),
        ({"kind": "rating", "value": 5.5}, "value"),
        ({"kind": "edit", "before": "x"}, "after"),
        ({"kind": "edit", "after": " "}, "after"),
        ({"kind": "choice"}, "knowledge_id"),
        ({"kind": "label"}, "after"),
        ({"kind": "comment", "comment": ""}, "comment"),
        ({"kind": "comment", "comment": "x" * 200_001}, "comment"),
    ],
)
def test_feedback_that_says_nothing_is_refused(said: dict[str, Any], param: str) -> None:
    with pytest.raises(BadInput) as caught:
        check(Feedback("chatcmpl-1", **said))
    assert caught.value.facts["param"] == param


async def test_a_refusal_reaches_the_client_and_records_nothing(url: str, events: EventLog) -> None:
    answer_id = await ask(url)
    for said, param in (({"kind": "thumb", "value": "up"}, "value"), ({}, "kind"), ({"kind": "edit"}, "after")):
        status, reply = await give(url, id=answer_id, **said)
        assert (status, reply["error"]["param"]) == (400, param)
    assert events.count("FeedbackGiven") == 0


async def test_an_answer_of_another_organisation_cannot_be_judged(url: str, cloud: Cloud, events: EventLog) -> None:
    cloud.service.create_tenant("acme", "Acme")
    secret = cloud.service.create_key("k", tenant_id=TenantId("acme")).secret
    answer_id = await ask(url)
    for unknown in (answer_id, "chatcmpl-nobody"):
        status, reply = await give(url, {"authorization": f"Bearer {secret}"}, id=unknown, kind="thumb", value=1)
        assert (status, reply["error"]["code"]) == (404, "not_found")
    assert events.count("FeedbackGiven") == 0
