"""The mood of a shopper, under `/a/shop/v1/mood`: see it, edit it, say it, switch it off with one tap.

It is the caller's own; a key of scope admin (the shop's own server) may name the person it acts for. `panel` is the
same as a fragment of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ikkan.apps.shop.rules.mood.telling import panel
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.storefront import OWN
from ikkan.apps.shop.values import LANGUAGES, Happened, Language, Mood
from ikkan.ground.errors import BadInput, IkkanError, NotAllowed
from ikkan.ground.ids import TenantId
from ikkan.kit import Parts

_Person = Annotated[str | None, Query(min_length=1, max_length=200)]
_Text = Annotated[str, Field(min_length=1, max_length=400)]
_RECENT = 200

History = Callable[[TenantId, str, int], Sequence[Happened]]
"""What a person did, newest last: `Suggesting.history`."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Say(_Body):
    """A chip's name or a sentence."""

    text: _Text
    language: Literal["ja", "en", "zh"] = "en"


class Edit(_Body):
    """What is to be otherwise; what is left out stays."""

    mode: Literal["goal", "explore", "compare", "deal", "gift", "replenish"] | None = None
    facets: Annotated[dict[str, Annotated[float, Field(ge=-1, le=1)]], Field(max_length=20)] | None = None
    price_bias: Annotated[float, Field(ge=-1, le=1)] | None = None
    novelty: Annotated[float, Field(ge=0, le=1)] | None = None
    energy: Annotated[float, Field(ge=0, le=1)] | None = None


def join(door: FastAPI, parts: Parts, moods: Moods, history: History) -> None:
    """Adds these paths to the door."""
    run = parts.database.run

    def who(request: Request, person: str | None) -> tuple[TenantId, str]:
        session = parts.frame.require(request)
        own = f"{OWN}{session.subject_id or session.tenant_id}"
        if person is not None and person != own and not session.is_admin:
            raise NotAllowed("this is another person's mood", hint="leave `person` out, or use a key of scope admin")
        return TenantId(session.tenant_id), person or own

    def now(tenant_id: TenantId, person: str) -> Mood | None:
        return moods.now(tenant_id, person, history(tenant_id, person, _RECENT), moods.clock.now())

    def seen(tenant_id: TenantId, person: str, language: Language) -> dict[str, Any]:
        mood, is_off = now(tenant_id, person), moods.is_off(tenant_id, person)
        return {"mood": None if mood is None else asdict(mood), "is_off": is_off} | panel(mood, is_off, language)

    def reads(request: Request) -> Language:
        found = parts.frame.language(request)
        return found if found in LANGUAGES else "en"

    @door.get("/mood")
    async def see(request: Request, person: _Person = None) -> dict[str, Any]:
        return await run(seen, *who(request, person), reads(request))

    @door.put("/mood")
    async def edit(request: Request, body: Edit, person: _Person = None) -> dict[str, Any]:
        tenant_id, of = who(request, person)

        def change() -> dict[str, Any]:
            moods.edit(tenant_id, of, now(tenant_id, of), **body.model_dump(exclude_unset=True))
            return seen(tenant_id, of, reads(request))

        return await run(change)

    @door.post("/mood/say")
    async def say(request: Request, body: Say, person: _Person = None) -> dict[str, Any]:
        tenant_id, of = who(request, person)
        await run(moods.say, tenant_id, of, body.text, body.language)
        return await run(seen, tenant_id, of, body.language)

    @door.delete("/mood")
    async def off(request: Request, person: _Person = None) -> dict[str, bool]:
        """One tap: no mood is used from the next list on, and what was said is gone."""
        await run(moods.off, *who(request, person))
        return {"is_off": True}

    @door.post("/mood/on")
    async def on(request: Request, person: _Person = None) -> dict[str, bool]:
        await run(moods.on, *who(request, person))
        return {"is_off": False}

    @door.get("/mood/panel")
    async def show(request: Request, person: _Person = None) -> Response:
        return await shown(request, person)

    @door.post("/mood/panel")
    async def act(request: Request, person: _Person = None) -> Response:
        tenant_id, of = who(request, person)
        form = await request.form()
        said, deed = str(form.get("said", ""))[:400].strip(), str(form.get("deed", "say"))
        wrong = ""
        try:
            if deed in {"off", "on"}:
                await run(moods.off if deed == "off" else moods.on, tenant_id, of)
            elif said:
                await run(moods.say, tenant_id, of, said, reads(request))
        except IkkanError as error:
            # Beside the field, where the person can say it otherwise.
            wrong = error.hint if isinstance(error, BadInput) else str(error)
        return await shown(request, person, wrong)

    async def shown(request: Request, person: str | None, wrong: str = "") -> Response:
        view = await run(seen, *who(request, person), reads(request))
        return parts.frame.render(request, "shop/mood_panel.html", view=view, wrong=wrong, person=person)
