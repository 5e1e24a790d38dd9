"""The OpenAI wire's routes under `/v1`, and feedback. Decode, pipeline, encode; nothing else happens here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.routing import BaseRoute, Route

from ikkan.cloud.door import Door, Subjects
from ikkan.cloud.events import Feedback
from ikkan.cloud.exchange import Desk, Exchange
from ikkan.cloud.feedback import FeedbackBook
from ikkan.cloud.pipeline import Pipeline
from ikkan.cloud.router import Offered, Router
from ikkan.cloud.tuning.service import TuningService
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Principal
from ikkan.cloud.wires import openai
from ikkan.ground.db import Database
from ikkan.ground.errors import NotAllowed, NotFound, UnknownModel
from ikkan.ground.ids import EventId


class OpenAIRoutes:
    """Handlers of the OpenAI wire."""

    def __init__(
        self,
        door: Door,
        pipeline: Pipeline,
        router: Router,
        feedback: FeedbackBook,
        subjects: Subjects,
        database: Database,
        tuning: TuningService | None = None,
    ) -> None:
        self._door = door
        self._pipeline = pipeline
        self._router = router
        self._feedback = feedback
        self._subjects = subjects
        self._database = database
        self._tuning = tuning
        self._since = int(time.time())

    def routes(self) -> list[BaseRoute]:
        """What to mount at the root. Unknown paths below `/v1` are answered in the wire's own words."""
        return [
            Route("/v1/chat/completions", Desk({"POST": self.chat})),
            Route("/v1/completions", Desk({"POST": self.complete})),
            Route("/v1/embeddings", Desk({"POST": self.embed})),
            Route("/v1/feedback", Desk({"POST": self.give_feedback})),
            Route("/v1/models", Desk({"GET": self.list_models})),
            Route("/v1/models/{model:path}", Desk({"GET": self.show_model, "DELETE": self.delete_model})),
            Route("/v1/{rest:path}", Desk(dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), self.unknown))),
        ]

    async def chat(self, exchange: Exchange) -> None:
        """POST /v1/chat/completions"""
        principal = await exchange.admit(self._door)
        pseudonym = partial(self._subjects.pseudonym, principal.tenant_id)
        request = openai.read_chat(await exchange.body(), principal, pseudonym, exchange.deadline_s)
        exchange.request_id = request.request_id
        answer = self._pipeline.chat(request.principal, request, exchange.trace)
        await exchange.attended(self._answer(exchange, request, answer))

    async def complete(self, exchange: Exchange) -> None:
        """POST /v1/completions"""
        principal = await exchange.admit(self._door)
        pseudonym = partial(self._subjects.pseudonym, principal.tenant_id)
        request = openai.read_completion(await exchange.body(), principal, pseudonym, exchange.deadline_s)
        exchange.request_id = request.request_id
        answer = self._pipeline.complete(request.principal, request, exchange.trace)
        await exchange.attended(self._answer(exchange, request, answer))

    async def embed(self, exchange: Exchange) -> None:
        """POST /v1/embeddings"""
        principal = await exchange.admit(self._door)
        pseudonym = partial(self._subjects.pseudonym, principal.tenant_id)
        raw = await exchange.body()
        request, as_base64 = openai.read_embed(raw, principal, pseudonym, exchange.deadline_s)
        exchange.request_id = request.request_id

        async def answer() -> None:
            made = await self._pipeline.embed(request.principal, request, exchange.trace)
            await exchange.reply(openai.embeddings(made, request, as_base64=as_base64))

        await exchange.attended(answer())

    async def list_models(self, exchange: Exchange) -> None:
        """GET /v1/models"""
        principal = await exchange.admit(self._door)
        data = [self._model(offered) for offered in await self._router.offered(principal.tenant_id)]
        await exchange.reply({"object": "list", "data": data})

    async def show_model(self, exchange: Exchange) -> None:
        """GET /v1/models/{model}: slashes may come as they are or as %2F."""
        principal = await exchange.admit(self._door)
        asked = exchange.path_params["model"]
        await self._router.resolve(asked, principal.tenant_id)
        listed = {offered.id: offered for offered in await self._router.offered(principal.tenant_id)}
        # A name that is not listed may still be one that can be asked for.
        await exchange.reply(self._model(listed.get(asked, Offered(asked, "ikkan"))))

    async def delete_model(self, exchange: Exchange) -> None:
        """DELETE /v1/models/{model}: one of the tenant's own."""
        principal = await exchange.admit(self._door)
        asked = exchange.path_params["model"]
        if self._tuning is None:
            raise NotAllowed("only fine-tuned models are deleted", hint="there are none here")
        try:
            await self._database.run(self._tuning.delete_model, principal.tenant_id, asked)
        except UnknownModel:
            await self._router.resolve(asked, principal.tenant_id)
            raise NotAllowed(f"{asked!r} is not yours to delete", hint="only fine-tuned models are deleted") from None
        await exchange.reply({"id": asked, "object": "model", "deleted": True})

    async def give_feedback(self, exchange: Exchange) -> None:
        """POST /v1/feedback"""
        principal = await exchange.admit(self._door)
        feedback, person = openai.read_feedback(await exchange.body())
        if person:
            subject_id = self._subjects.pseudonym(principal.tenant_id, person)
            principal = Principal(principal.tenant_id, principal.key_id, subject_id, principal.scopes)
        event_id = await self._database.run(self._give, principal, feedback)
        await exchange.reply({"object": "feedback", "id": feedback.inference_id, "event_id": event_id})

    async def unknown(self, exchange: Exchange) -> None:
        """Anything else below /v1."""
        await exchange.admit(self._door)
        raise NotFound(f"there is no /v1/{exchange.path_params['rest']} here", hint="chat/completions, embeddings, …")

    async def _answer(
        self,
        exchange: Exchange,
        request: ChatRequest | CompletionRequest,
        answer: AsyncGenerator[ChatChunk, None],
    ) -> None:
        async with aclosing(answer) as chunks:
            if not request.stream:
                await exchange.reply(openai.whole([chunk async for chunk in chunks]))
                return
            begun = False
            async for chunk in chunks:
                if not begun:
                    # Only now, so that what fails before the first piece is a proper error with its status.
                    await exchange.stream()
                    begun = True
                await exchange.push(openai.frame(chunk.data))
            await exchange.push(openai.DONE, last=True)

    def _give(self, principal: Principal, feedback: Feedback) -> EventId:
        with self._database.transaction() as connection:
            return self._feedback.give(connection, principal, feedback)

    def _model(self, offered: Offered) -> dict[str, object]:
        created = self._since if offered.created is None else offered.created
        return {"id": offered.id, "object": "model", "created": created, "owned_by": offered.owned_by}
