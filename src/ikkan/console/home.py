"""The first page: what to think with, asked once; afterwards how things stand today."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.cloud.values import ChatRequest, Principal
from ikkan.console import store
from ikkan.console.desk import DEFAULT, Desk, UsageScope, form_of, local_time, money, told
from ikkan.console.models import PULL, note, think_with
from ikkan.ground.errors import BadInput, Conflict, IkkanError, UnknownModel, UpstreamFailed
from ikkan.kit.session import Session

SAMPLE = "smollm2-135m-instruct"
"""The small English sample, by its name in the catalogue."""
TRY_S = 60.0
"""How long an endpoint may take for its first words."""
ENOUGH = 200
"""Characters after which a trial has shown that it works."""
_FORM = {"name": "", "url": "", "model": "", "key_env": "", "path": ""}


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and its three choices."""
    frame = desk.frame

    async def show(request: Request) -> Response:
        session = frame.require(request)
        if session.is_admin and ("choose" in request.query_params or await desk.database.run(_chosen, desk) is None):
            return choices(request)
        words = frame.words.say(frame.language(request))
        now = await asyncio.to_thread(standing, desk, session, frame.language(request))
        works = bool(now["model"]) and request.query_params.get("works") == now["model"]
        return frame.render(
            request,
            "console/home.html",
            choosing=False,
            told=words("home.works", model=now["model"]) if works else "",
            failed="",
            form=_FORM,
            now=now,
        )

    async def endpoint(request: Request) -> Response:
        session = await frame.require_post(request, admin=True)
        form = await form_of(request)
        try:
            chosen = await use_endpoint(desk, session.principal, form)
        except IkkanError as error:
            return choices(request, form=form, failed=error)
        return frame.go(f"/?works={quote(chosen)}")

    async def file(request: Request) -> Response:
        await frame.require_post(request, admin=True)
        form = await form_of(request)
        try:
            name = await asyncio.to_thread(use_file, desk, form.get("path", ""))
        except IkkanError as error:
            return choices(request, form=form, failed=error)
        return frame.go(f"/?works={quote(name)}")

    async def sample(request: Request) -> Response:
        await frame.require_post(request, admin=True)
        try:
            await asyncio.to_thread(think_with, desk, SAMPLE, f"{desk.engine}/{SAMPLE}")
        except UnknownModel:
            await asyncio.to_thread(desk.jobs.start_once, PULL, SAMPLE, reference=SAMPLE, use=True)
            await desk.database.run(_choose, desk, f"{desk.engine}/{SAMPLE}")
            return frame.go("/models")
        return frame.go("/")

    def choices(request: Request, *, form: Mapping[str, str] = _FORM, failed: IkkanError | None = None) -> Response:
        return frame.render(
            request,
            "console/home.html",
            status=failed.status if failed else 200,
            choosing=True,
            told="",
            failed=told(failed) if failed else "",
            form={**_FORM, **form},
            now=None,
        )

    return [
        Route("/", show),
        Route("/choose/endpoint", endpoint, methods=["POST"]),
        Route("/choose/file", file, methods=["POST"]),
        Route("/choose/sample", sample, methods=["POST"]),
    ]


# ---- what a choice does --------------------------------------------------------------------------------------------


async def use_endpoint(desk: Desk, principal: Principal, form: Mapping[str, str]) -> str:
    """Make an endpoint known, let it really say something, and only then let everything think with it.

    Returns:
        `name/model`, what the alias `default` now goes to.

    Raises:
        BadInput: a field that cannot be.
        Conflict: the name belongs to an endpoint with another address.
        UpstreamFailed: it does not answer, or answers with nothing. Nothing of the attempt is kept.
    """
    name, url, model, key_env = (form.get(field, "") for field in ("name", "url", "model", "key_env"))
    if not model:
        raise BadInput("which of its models?", hint="the name the endpoint itself uses")
    if name == desk.engine:
        raise Conflict(f"{name} is what our own engine is called", hint="choose another name")
    service = desk.cloud.service
    is_new = await desk.database.run(_add_upstream, desk, name, url, key_env or None)
    target = f"{name}/{model}"
    try:
        await say_hello(desk, principal, target)
    except BaseException:
        # Also when the person gave up waiting: a name that was never tried must not stay.
        if is_new:
            await asyncio.shield(desk.database.run(service.remove_upstream, name))
        raise
    await desk.database.run(service.set_alias, DEFAULT, [target])
    await desk.database.run(_choose, desk, target)
    return target


async def say_hello(desk: Desk, principal: Principal, target: str) -> str:
    """A short chat, through the same pipeline and onto the same bill as any other. Returns what was said.

    Raises:
        UpstreamFailed: no answer in time, or an empty one.
    """
    messages = [{"role": "user", "content": "Say hello in one short sentence."}]
    request = ChatRequest(target, messages, stream=True, deadline_s=TRY_S)
    said = ""
    try:
        async with asyncio.timeout(TRY_S), aclosing(desk.cloud.pipeline.chat(principal, request)) as pieces:
            async for piece in pieces:
                said += piece.text
                if len(said) >= ENOUGH:
                    break
    except TimeoutError as exc:
        raise UpstreamFailed(
            f"{target} did not answer within {TRY_S:.0f} seconds", hint="is the address right, and the server awake?"
        ) from exc
    if not said.strip():
        raise UpstreamFailed(f"{target} answered with nothing", hint="is the model's name right?")
    return said


def use_file(desk: Desk, path: str) -> str:
    """Take a model file that is already on this machine, and let our engine serve it. Returns its name here."""
    if not path:
        raise BadInput("which file?", hint="the path of a .gguf file, or of a folder with safetensors")
    model = desk.store.pull(path if path.startswith("file:") else f"file:{path}")
    think_with(desk, model.name, f"{desk.engine}/{model.name}")
    return model.name


def _add_upstream(desk: Desk, name: str, url: str, key_env: str | None) -> bool:
    """Make it known; returns False if it was, under the same address. Raises `Conflict` if under another."""
    try:
        desk.cloud.service.add_upstream(name, url, key_env=key_env)
    except Conflict:
        known = next(record for record in desk.cloud.service.upstreams() if record.name == name)
        if known.url.rstrip("/") != url.rstrip("/") or known.key_env != key_env:
            raise
        return False
    return True


def _choose(desk: Desk, value: str) -> None:
    with desk.database.transaction() as connection:
        store.choose(connection, store.THINKING, value[:400], desk.clock.now())


def _chosen(desk: Desk) -> str | None:
    with desk.database.read() as connection:
        return store.chosen(connection, store.THINKING)


# ---- how things stand ----------------------------------------------------------------------------------------------


def standing(desk: Desk, session: Session, language: str) -> dict[str, Any]:
    """What the dashboard shows: who thinks, what was answered today, what it cost this month, how the wheel stands."""
    now = desk.clock.now()
    scope, service = UsageScope.of(session), desk.cloud.service
    today = service.usage(by=("day",), since=f"{now:%Y-%m-%d}", tenant_id=scope.tenant_id, key_id=scope.key_id)
    month = service.usage(by=(), since=f"{now:%Y-%m}-01", tenant_id=scope.tenant_id, key_id=scope.key_id)
    behind = next((alias.targets for alias in service.aliases() if alias.name == DEFAULT), ())
    target = behind[0] if behind else ""
    model, remark = target, ""
    if target == f"{desk.engine}/{DEFAULT}":
        try:
            stored = desk.store.get(DEFAULT)
            model, remark = stored.name, note(stored, language)
        except IkkanError:
            model = ""
    decided = [decision for name in desk.flywheel.names for decision in desk.flywheel.history(name, 1)]
    last = max(decided, key=lambda decision: decision.decided_at, default=None)
    return {
        "model": model,
        "note": remark,
        "calls_today": f"{sum(line.requests for line in today):,}",
        "cost_month": money(sum(line.cost_micros for line in month)),
        "corrections": f"{desk.events.count('FeedbackGiven'):,}",
        "decision": last.decision if last else "",
        "decided_at": local_time(last.decided_at) if last else "",
    }
