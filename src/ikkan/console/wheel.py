"""The wheel's page: the loop with today's numbers, what the last judgement measured, and the buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console.desk import Desk, form_of, job_fragment, job_view, live_job, local_time
from ikkan.flywheel.values import Decision, Explanation, Status
from ikkan.flywheel.words import BASELINES
from ikkan.ground.errors import UnknownLearnable

RUN = "flywheel.run"
_POLL = "/wheel/jobs"
STEP = 199
"""From one station of the loop to the next, in the drawing's own units."""
LEFT, RIGHT = 190.0, 430.0
"""Where intervals are drawn, in the drawing's own units: names stand left of it, figures right."""
RIGHT_ANSWER = 0.999
"""A score from here on counts as answered rightly."""


def routes(desk: Desk) -> list[BaseRoute]:
    """The page, its three buttons, and the line that shows how a turn goes."""

    async def show(request: Request) -> Response:
        session = desk.frame.require(request)
        language = desk.frame.language(request)
        name = learnable_of(desk, request.query_params.get("learnable", ""))
        model = await asyncio.to_thread(look, desk, name, language, own=session.is_admin)
        return desk.frame.render(
            request,
            "console/wheel.html",
            may_turn=session.is_admin,
            job=await live_job(desk, RUN, _POLL) if session.is_admin else None,
            names=desk.flywheel.names,
            **model,
        )

    async def turn(request: Request) -> Response:
        return await start(request, shuffle=False)

    async def shuffle(request: Request) -> Response:
        return await start(request, shuffle=True)

    async def start(request: Request, *, shuffle: bool) -> Response:
        await desk.frame.require_post(request, admin=True)
        name = learnable_of(desk, (await form_of(request)).get("learnable", ""))
        key = turn_key(name, shuffle=shuffle)
        job_id = await asyncio.to_thread(desk.jobs.start_once, RUN, key, learnable=name, shuffle=shuffle)
        return job_fragment(desk, request, await job_view(desk, job_id, _POLL))

    async def job(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return job_fragment(desk, request, await job_view(desk, request.path_params["job_id"], _POLL))

    async def roll_back(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        name = learnable_of(desk, (await form_of(request)).get("learnable", ""))
        await asyncio.to_thread(desk.flywheel.rollback, name)
        return desk.frame.go(f"/wheel?learnable={name}")

    return [
        Route("/wheel", show),
        Route("/wheel/run", turn, methods=["POST"]),
        Route("/wheel/shuffle", shuffle, methods=["POST"]),
        Route("/wheel/rollback", roll_back, methods=["POST"]),
        Route("/wheel/jobs/{job_id}", job),
    ]


def turn_key(name: str, *, shuffle: bool = False) -> str:
    """What keeps a second turn of the same kind out of the queue while one is in it."""
    return f"{name}:{'shuffled' if shuffle else 'true'}"


def learnable_of(desk: Desk, wanted: str) -> str:
    """The learnable asked for, or the first there is. Raises `UnknownLearnable`."""
    names = desk.flywheel.names
    if not names or (wanted and wanted not in names):
        known = ", ".join(names) or "none"
        raise UnknownLearnable(f"nothing called {wanted[:80]!r} can be learned here", hint=f"there is: {known}")
    return wanted or names[0]


def look(desk: Desk, name: str, language: str, *, own: bool) -> dict[str, Any]:
    """Everything the page shows of one learnable. `own`: also what this house's people corrected, in words."""
    say = desk.frame.words.say(language)
    status = desk.flywheel.status(name)
    history = desk.flywheel.history(name)
    measured = next((decision for decision in history if decision.gain is not None), None)
    judged = next((decision for decision in history if decision.gain is not None and not decision.drill), None)
    explained = desk.flywheel.explain(judged.id) if own and judged is not None else None
    return {
        "wheel": {"name": name, "can_roll_back": status.can_roll_back},
        "stations": stations(status, judged, say),
        "last": verdict(history[0], say, language) if history else None,
        "measured": judgement(measured, say, language) if measured else None,
        "own": own_corrections(explained) if explained else None,
        "history": [line(decision, language) for decision in history],
    }


Say = Callable[..., str]
"""`Words.say(language)`: a key and values to a text."""


# ---- the loop ------------------------------------------------------------------------------------------------------


def stations(status: Status, judged: Decision | None, say: Say) -> list[dict[str, Any]]:
    """The five stations of the loop, left to right, each with its state and up to three lines."""
    numbers = judged.numbers if judged else {}
    passed = judged is not None and judged.decision == "promoted"
    none = [say("wheel.none_yet")]
    lines: list[tuple[str, str, Sequence[str]]] = [
        (
            "events",
            "done" if status.answers else "",
            [
                say("wheel.events_answers", n=f"{status.answers:,}"),
                say("wheel.events_corrections", n=f"{status.corrections:,}"),
                say("wheel.events_fresh", n=f"{status.fresh:,}"),
            ],
        ),
        (
            "dataset",
            "done" if judged else "",
            [
                say("wheel.dataset_teaching", n=f"{numbers.get('teaching', 0):,}"),
                say("wheel.dataset_judging", n=f"{numbers.get('judging', 0):,}"),
                say("wheel.dataset_people", n=f"{numbers.get('people', 0):,}"),
            ]
            if judged
            else none,
        ),
        (
            "candidate",
            "done" if judged else "",
            [short(judged.judged), say("wheel.scored", score=score(numbers.get("candidate_score")))]
            if judged
            else none,
        ),
        (
            "gate",
            ("done" if passed else "stopped") if judged else "",
            [
                say(f"wheel.{judged.decision}"),
                span(judged.lower, judged.upper),
            ]
            if judged
            else none,
        ),
        (
            "champion",
            "champion",
            [
                short(status.champion),
                say("wheel.champion_knows", when=local_time(status.known_until)[5:])
                if status.known_until
                else say("wheel.champion_base"),
            ]
            if status.champion
            else none,
        ),
    ]
    return [
        {"x": STEP * place, "title": say(f"wheel.{name}"), "state": state, "lines": list(told)}
        for place, (name, state, told) in enumerate(lines)
    ]


# ---- what was decided ----------------------------------------------------------------------------------------------


def verdict(decision: Decision, say: Say, language: str) -> dict[str, Any]:
    """A decision in a line and its reason."""
    return {
        "decision": decision.decision,
        "drill": decision.drill,
        "shade": shade(decision),
        "when": local_time(decision.decided_at),
        "reason": decision.reasons.get(language) or decision.reason,
    }


def judgement(decision: Decision, say: Say, language: str) -> dict[str, Any]:
    """What the gate measured: intervals to draw, scores beside trivial methods, and what to keep in mind."""
    numbers = decision.numbers
    rows = [Measured(say("wheel.all"), decision.n, decision.gain, decision.lower, decision.upper)]
    rows += [
        Measured(name, found["n"], found["gain"], found["lower"], found["upper"])
        for name, found in numbers.get("slices", {}).items()
    ]
    scored = [
        (say("wheel.candidate"), numbers.get("candidate_score")),
        (say("wheel.base" if decision.drill else "wheel.champion"), numbers.get("champion_score")),
    ]
    if numbers.get("refit_score") is not None:
        scored.insert(1, (say("wheel.refit"), numbers["refit_score"]))
    scored += [
        (BASELINES.get(name, {}).get(language, name), found["score"])
        for name, found in numbers.get("baselines", {}).items()
    ]
    return {
        **verdict(decision, say, language),
        "level": f"{100 * numbers.get('level', 0.95):.4g}",
        **intervals(rows),
        "scores": [{"name": name, "score": score(value)} for name, value in scored],
        "risks": [risk.get(language, risk.get("en", "")) for risk in numbers.get("risks", ())],
    }


def own_corrections(explained: Explanation) -> dict[str, Any] | None:
    """What this house's people corrected, before and after; None where there is nothing to show."""
    # A question somebody let pass has no right answer to show; it is no correction.
    corrected = [each for each in explained.own if each.right is not None]
    if not corrected and not explained.unreadable:
        return None
    return {
        "lines": [
            {
                "question": each.question,
                "before": each.before,
                "after": each.after,
                "before_right": each.before_score >= RIGHT_ANSWER,
                "after_right": each.after_score >= RIGHT_ANSWER,
            }
            for each in corrected
        ],
        "unreadable": explained.unreadable,
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """A gain and what is known about it."""

    name: str
    n: int
    gain: float | None
    lower: float | None
    upper: float | None


def intervals(rows: Sequence[Measured]) -> dict[str, Any]:
    """Where to draw each gain and its interval, on one scale that always shows zero.

    >>> drawn = intervals([Measured("all", 40, 0.2, 0.1, 0.3)])
    >>> drawn["zero_x"], [(bar["x1"], bar["x"], bar["x2"], bar["state"]) for bar in drawn["intervals"]]
    (200.9, [(273.6, 346.4, 419.1, 'above')])
    """
    known = [row for row in rows if row.gain is not None and row.lower is not None and row.upper is not None]
    low = min([0.0, *(row.lower for row in known if row.lower is not None)])
    high = max([0.0, *(row.upper for row in known if row.upper is not None)])
    margin = (high - low) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def place(value: float | None) -> float:
        assert value is not None, "only what is known is drawn"
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    return {
        "zero_x": place(0.0),
        "intervals": [
            {
                "name": row.name,
                "n": row.n,
                "x": place(row.gain),
                "x1": place(row.lower),
                "x2": place(row.upper),
                "state": side(row),
                "text": f"{signed(row.gain)}  {span(row.lower, row.upper)}",
            }
            for row in known
        ],
    }


def side(row: Measured) -> str:
    """On which side of zero the whole interval lies, if it does."""
    if row.lower is not None and row.lower > 0:
        return "above"
    return "below" if row.upper is not None and row.upper < 0 else ""


def shade(decision: Decision) -> str:
    """How a decision looks: a drill is good when it is refused."""
    if decision.drill:
        return "good" if decision.decision == "refused" else "bad"
    return "good" if decision.decision == "promoted" else "note"


def line(decision: Decision, language: str) -> dict[str, Any]:
    """A decision as a row of the history."""
    return {
        "when": local_time(decision.decided_at),
        "decision": decision.decision,
        "drill": decision.drill,
        "shade": shade(decision),
        "gain": signed(decision.gain),
        "interval": span(decision.lower, decision.upper),
        "reason": decision.reasons.get(language) or decision.reason,
    }


def signed(value: float | None) -> str:
    """A gain with its sign.

    >>> signed(0.1234), signed(-0.5), signed(None)
    ('+0.123', '−0.500', '–')
    """
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def span(lower: float | None, upper: float | None) -> str:
    """An interval; empty where there is none."""
    return f"[{signed(lower)}, {signed(upper)}]" if lower is not None and upper is not None else ""


def score(value: float | None) -> str:
    """A mean score."""
    return "–" if value is None else f"{value:.3f}"


def short(artifact: str | None) -> str:
    """Enough of an artifact's id to tell it from another.

    >>> short("sha256:0123456789abcdef"), short(None)
    ('0123456789', '–')
    """
    return artifact.rpartition(":")[2][:10] if artifact else "–"
