"""The models page: names that requests use, models on this machine, and how more of them come here."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console import store, tuning
from ikkan.console.desk import DEFAULT, Desk, form_of, job_fragment, job_view, live_job, money, size, told
from ikkan.ground.errors import BadInput, IkkanError
from ikkan.ground.jobs import JobStatus
from ikkan.kit.language import told_in
from ikkan.models.store import CatalogueEntry, StoredModel, catalogue

PULL = "models.pull"
_POLL = "/models/jobs"


def routes(desk: Desk) -> list[BaseRoute]:
    """The page, its forms, and the line that shows a pull's progress."""

    async def show(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return await page(request)

    async def set_alias(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        form = await form_of(request)
        try:
            await desk.database.run(desk.cloud.service.set_alias, form.get("alias", ""), form.get("target", ""))
        except BadInput as error:
            return await page(request, failed=told(error), status=400)
        return desk.frame.go("/models")

    async def use(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        name = (await form_of(request)).get("name", "")
        try:
            await asyncio.to_thread(think_with, desk, name, f"{desk.engine}/{name}")
        except IkkanError as error:
            return await page(request, failed=told(error), status=error.status)
        return desk.frame.go("/models?switching=1")

    async def pull(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        reference = (await form_of(request)).get("reference", "")
        if not reference:
            raise BadInput("which model?", hint="a name from the list, or file:… pypi:… hf:… modelscope:…")
        job_id = await asyncio.to_thread(desk.jobs.start_once, PULL, reference, reference=reference, use=False)
        return job_fragment(desk, request, await job_view(desk, job_id, _POLL))

    async def job(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return job_fragment(desk, request, await job_view(desk, request.path_params["job_id"], _POLL))

    async def page(request: Request, *, failed: str = "", status: int = 200) -> Response:
        language = desk.frame.language(request)
        service = desk.cloud.service
        aliases, upstreams, prices = await desk.database.run(
            lambda: (service.aliases(), service.upstreams(), service.prices())
        )
        stored, here = await asyncio.to_thread(lambda: (desk.store.list(), desk.store.aliases()))
        pulling = await live_job(desk, PULL, _POLL)
        last = None if pulling else await last_failure(desk)
        switching = "switching" in request.query_params
        served = {name: [alias for alias, target in here.items() if target == name] for name in here.values()}
        price_of = {row.upstream: row.price for row in prices if row.model == "*"}
        known = {model.name for model in stored}
        return desk.frame.render(
            request,
            "console/models.html",
            status=status,
            told=desk.frame.words.say(language)("models.switching") if switching else "",
            failed=failed or (told(last.error) if last and last.error else ""),
            job=pulling,
            tuning=await tuning.shown(desk, request),
            aliases=[{"name": alias.name, "target": ", ".join(alias.targets)} for alias in aliases],
            stored=[
                {
                    "name": model.name,
                    "note": note(model, language),
                    "size": size(model.bytes),
                    "licence": model.licence or "–",
                    "source": model.source,
                    "serving": bool(served.get(model.name)),
                    "chat": model.role == "chat",
                }
                for model in stored
            ],
            catalog=[
                {
                    "name": entry.name,
                    "note": f"{size(entry.bytes)} · {note(entry, language)}",
                }
                for entry in catalogue()
                if entry.name not in known
            ],
            upstreams=[
                {
                    "name": record.name,
                    "url": record.url,
                    "key": f"${record.key_env}" if record.key_env else "",
                    "price": _price(price_of[record.name]) if record.name in price_of else "",
                }
                for record in upstreams
            ],
        )

    return [
        Route("/models", show),
        Route("/models/alias", set_alias, methods=["POST"]),
        Route("/models/use", use, methods=["POST"]),
        Route("/models/pull", pull, methods=["POST"]),
        Route("/models/jobs/{job_id}", job),
        *tuning.routes(desk),
    ]


def think_with(desk: Desk, name: str, chosen: str) -> None:
    """Let our own engine answer with a stored model from now on, and requests for `default` go to it."""
    model = desk.store.get(name)
    if model.role != "chat":
        raise BadInput(f"{model.name} turns texts into vectors; it cannot talk", hint="choose a chat model")
    desk.use_model(model.name)
    desk.cloud.service.set_alias(DEFAULT, [f"{desk.engine}/{DEFAULT}"])
    with desk.database.transaction() as connection:
        store.choose(connection, store.THINKING, chosen[:400], desk.clock.now())


def note(model: StoredModel | CatalogueEntry, language: str) -> str:
    """What a model is good for and what it cannot do, in a person's language."""
    return told_in({"ja": model.note_ja, "en": model.note_en}, language)


async def last_failure(desk: Desk) -> JobStatus | None:
    """The latest pull, if it failed: its reason stays on the page until another one succeeds."""
    latest = await asyncio.to_thread(desk.jobs.list, limit=1, name=PULL)
    return latest[0] if latest and latest[0].state == "failed" else None


def _price(price: object) -> str:
    input_micros, output_micros = getattr(price, "input_micros", 0), getattr(price, "output_micros", 0)
    return f"{money(input_micros)} / {money(output_micros)}"
