"""The wheel's routes: a page a learnable, a page a decision, and what its buttons ask for."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console.desk import Desk, form_of, job_fragment, job_view, live_job
from ikkan.console.wheel import telling
from ikkan.ground.errors import BadInput, NotFound, UnknownArtifact, UnknownLearnable
from ikkan.ground.ids import DecisionId
from ikkan.kit.session import Session

RUN = "flywheel.run"
_POLL = "/wheel/jobs"


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages, their buttons, and the line that shows how a turn goes."""

    async def show(request: Request) -> Response:
        session = desk.frame.require(request)
        language = desk.frame.language(request)
        name = learnable_of(desk, request.query_params.get("learnable", ""))
        job = await live_job(desk, RUN, _POLL) if session.is_admin else None
        model = await asyncio.to_thread(look, desk, name, language, own=session.is_admin, turning=job is not None)
        return desk.frame.render(
            request,
            "console/wheel.html",
            may_turn=session.is_admin,
            job=job,
            names=desk.flywheel.names,
            **model,
        )

    async def decision(request: Request) -> Response:
        session = desk.frame.require(request)
        return await one(request, session, replayed=False)

    async def replay(request: Request) -> Response:
        session = await desk.frame.require_post(request, admin=True)
        return await one(request, session, replayed=True)

    async def one(request: Request, session: Session, *, replayed: bool) -> Response:
        language, wanted = desk.frame.language(request), DecisionId(request.path_params["decision_id"])
        model = await asyncio.to_thread(decided, desk, wanted, language, own=session.is_admin, replayed=replayed)
        return desk.frame.render(request, "console/decision.html", may_turn=session.is_admin, **model)

    async def turn(request: Request) -> Response:
        return await start(request, shuffle=False)

    async def shuffle(request: Request) -> Response:
        return await start(request, shuffle=True)

    async def start(request: Request, *, shuffle: bool) -> Response:
        await desk.frame.require_post(request, admin=True)
        name = learnable_of(desk, (await form_of(request)).get("learnable", ""))
        key = turn_key(name, shuffle=shuffle)
        how = {"learnable": name, "shuffle": shuffle, "thorough": not shuffle}
        job_id = await asyncio.to_thread(lambda: desk.jobs.start_once(RUN, key, **how))
        return job_fragment(desk, request, await job_view(desk, job_id, _POLL))

    async def job(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return job_fragment(desk, request, await job_view(desk, request.path_params["job_id"], _POLL))

    async def roll_back(request: Request) -> Response:
        _, name, _ = await asked(request)
        await asyncio.to_thread(desk.flywheel.rollback, name)
        return desk.frame.go(f"/wheel?learnable={name}")

    async def count(request: Request) -> Response:
        _, name, _ = await asked(request)
        await asyncio.to_thread(desk.flywheel.look, name)
        return desk.frame.go(f"/wheel?learnable={name}")

    async def sign(request: Request) -> Response:
        session, name, form = await asked(request)
        if form.get("accepted") not in ("yes", "no"):
            raise BadInput("a signature says yes or no", hint="use one of the two buttons", param="accepted")
        await asyncio.to_thread(
            lambda: desk.flywheel.sign(
                name,
                who_of(session),
                accepted=form["accepted"] == "yes",
                note=form.get("note", "")[:500],
                decision_id=DecisionId(form.get("decision", "")),
            )
        )
        return desk.frame.go(f"/wheel?learnable={name}")

    async def promote(request: Request) -> Response:
        session, name, form = await asked(request)
        artifact, reason = form.get("artifact", ""), form.get("reason", "")
        await asyncio.to_thread(
            lambda: desk.flywheel.promote(name, artifact, reason, who=who_of(session)),
        )
        return desk.frame.go(f"/wheel?learnable={name}")

    async def asked(request: Request) -> tuple[Session, str, Any]:
        session = await desk.frame.require_post(request, admin=True)
        form = await form_of(request)
        return session, learnable_of(desk, form.get("learnable", "")), form

    return [
        Route("/wheel", show),
        Route("/wheel/decisions/{decision_id}", decision),
        Route("/wheel/decisions/{decision_id}/replay", replay, methods=["POST"]),
        Route("/wheel/run", turn, methods=["POST"]),
        Route("/wheel/shuffle", shuffle, methods=["POST"]),
        Route("/wheel/rollback", roll_back, methods=["POST"]),
        Route("/wheel/look", count, methods=["POST"]),
        Route("/wheel/sign", sign, methods=["POST"]),
        Route("/wheel/promote", promote, methods=["POST"]),
        Route("/wheel/jobs/{job_id}", job),
    ]


def turn_key(name: str, *, shuffle: bool = False) -> str:
    """What keeps a second turn of the same kind out of the queue while one is in it."""
    return f"{name}:{'shuffled' if shuffle else 'true'}"


def who_of(session: Session) -> str:
    """How the record names an operator: their key, or the person at this machine."""
    return f"key:{session.key_id}" if session.key_id else "local"


def learnable_of(desk: Desk, wanted: str) -> str:
    """The learnable asked for, or the first there is. Raises `UnknownLearnable`."""
    names = desk.flywheel.names
    if not names or (wanted and wanted not in names):
        known = ", ".join(names) or "none"
        raise UnknownLearnable(f"nothing called {wanted[:80]!r} can be learned here", hint=f"there is: {known}")
    return wanted or names[0]


def look(desk: Desk, name: str, language: str, *, own: bool, turning: bool = False) -> dict[str, Any]:
    """Everything the page shows of one learnable. `own`: also what this house's people corrected, in words."""
    say = desk.frame.words.say(language)
    status = desk.flywheel.status(name)
    history = desk.flywheel.history(name)
    found, looks = desk.flywheel.looks(name)
    turns = [each for each in history if each.gain is not None and "trial" not in each.numbers]
    measured = turns[0] if turns else None
    judged = next((each for each in turns if not each.drill), None)
    explained = desk.flywheel.explain(judged.id) if own and judged is not None else None
    last = next((each for each in history if found is not None and each.id == found.last), None)
    return {
        "wheel": {
            "name": name,
            "can_roll_back": status.can_roll_back,
            "trying": status.trial is not None and status.trial.state != "promoted",
        },
        "stations": telling.stations(status, judged, say, turning=turning),
        "schedule": telling.schedule(status, desk.clock.now(), say, language),
        "waiting": telling.waiting(status, last, say, language),
        "trial": telling.trial(found, looks, status, say, language),
        "over_time": telling.over_time(history),
        "last": telling.verdict(history[0], language) if history else None,
        "measured": telling.judgement(measured, say, language) if measured else None,
        "own": telling.own_corrections(explained) if explained else None,
        "force": telling.forceable(history, status.champion, say) if own else [],
        "history": [telling.line(each, language) for each in history],
    }


def decided(desk: Desk, decision_id: DecisionId, language: str, *, own: bool, replayed: bool) -> dict[str, Any]:
    """Everything the page of one decision shows; computed again if asked."""
    say = desk.frame.words.say(language)
    decision = desk.flywheel.decision(decision_id)
    again, refused = None, ""
    if replayed:
        try:
            again = desk.flywheel.replay(decision_id)
        except (NotFound, UnknownArtifact) as error:
            refused = error.message
    explained = desk.flywheel.explain(decision_id) if own else None
    return {
        "learnable": decision.learnable,
        "verdict": telling.verdict(decision, language),
        "measured": telling.judgement(decision, say, language) if decision.gain is not None else None,
        "own": telling.own_corrections(explained) if explained else None,
        "record": telling.record(decision, say),
        "again": telling.again(again, say),
        "refused": refused,
    }
