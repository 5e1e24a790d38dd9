"""This machine: what it can do, measured; where our work sits under its roofline; and what runs on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console.bench import Raced, last_race, race_points, race_view
from ikkan.console.desk import Desk, Measurements, job_fragment, job_view, live_job, local_time
from ikkan.ground.processes import read_state

MEASURE = "silicon.measure"
_POLL = "/machine/jobs"


def routes(desk: Desk) -> list[BaseRoute]:
    """The page, the button, and the line that shows how the measurement goes."""

    async def show(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        say = desk.frame.words.say(desk.frame.language(request))
        found = await asyncio.to_thread(desk.look_at_machine)
        race = await asyncio.to_thread(last_race, desk.settings.home)
        return desk.frame.render(
            request,
            "console/machine.html",
            profile=profile_view(found) if found else None,
            roofline=roofline_view(found.roofline, say, race) if found else None,
            marks=marks_view(found.roofline, say) if found else [],
            race=race_view(race, say),
            raced_at=raced_at(race),
            job=await live_job(desk, MEASURE, _POLL),
            processes=await asyncio.to_thread(running, desk.settings.run_dir),
        )

    async def measure(request: Request) -> Response:
        await desk.frame.require_post(request, admin=True)
        job_id = await asyncio.to_thread(desk.jobs.start_once, MEASURE, "this")
        return job_fragment(desk, request, await job_view(desk, job_id, _POLL))

    async def job(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return job_fragment(desk, request, await job_view(desk, request.path_params["job_id"], _POLL))

    return [
        Route("/machine", show),
        Route("/machine/measure", measure, methods=["POST"]),
        Route("/machine/jobs/{job_id}", job),
    ]


def profile_view(found: Measurements) -> dict[str, Any]:
    """The last measurements, as the page shows them."""
    profile = found.profile
    return {
        "processor": profile.processor or "–",
        "cores": profile.cores,
        "memory": f"{profile.memory_bytes / 2**30:.1f} GiB",
        "path": profile.kernel_path,
        "instructions": " ".join(profile.instruction_sets),
        "bandwidth": f"{profile.read_gb_s:.1f} GB/s",
        "peak": f"{profile.int8_tops:.2f} TOPS",
        "when": local_time(profile.measured_at),
    }


def roofline_view(roofline: Any, say: Callable[..., str], race: Sequence[Raced] = ()) -> dict[str, Any]:
    """The two limits as points to draw, with the kinds of work that lie under them and what was measured."""
    first, ridge = roofline.line[0], roofline.line[1]
    slope = first.gops / first.operations_per_byte
    corners = {point.operations_per_byte for point in roofline.line}
    measured = race_points(race)
    marks = {mark.operations_per_byte for mark in roofline.marks}
    xs = sorted(corners | marks | {point["x"] for point in measured})
    return {
        "x": xs,
        "roof": [round(min(ridge.gops, slope * x), 3) for x in xs],
        "roof_name": say("machine.roof"),
        "points": [
            {"name": work_name(mark.name, say), "x": mark.operations_per_byte, "y": round(mark.gops, 3)}
            for mark in roofline.marks
        ],
        "measured": measured,
    }


def raced_at(race: Sequence[Raced]) -> dict[str, str]:
    """When the newest of the race's cells was measured, and on which machine; empty where the file does not say."""
    newest = max(race, key=lambda one: one.facts.at, default=None)
    if newest is None:
        return {}
    try:
        when = local_time(datetime.fromisoformat(newest.facts.at))
    except (TypeError, ValueError):
        when = newest.facts.at
    return {"when": when, "machine": newest.facts.machine}


def marks_view(roofline: Any, say: Callable[..., str]) -> list[dict[str, str]]:
    """The same kinds of work as a table: the most this machine can do of each, and what sets the limit."""
    return [
        {
            "name": work_name(mark.name, say),
            "rate": f"{mark.tokens_s_per_billion:,.0f}",
            "limit": say("machine.limit_" + ("memory" if mark.limit == "memory" else "arithmetic")),
        }
        for mark in roofline.marks
    ]


def work_name(name: str, say: Callable[..., str]) -> str:
    """`Q4_0, one token` and `Q4_0, prompt, 64 tokens` in a person's language."""
    format, _, work = name.partition(", ")
    many = re.search(r"\d+", work)
    return f"{format}: " + (say("machine.reading", n=many[0]) if many else say("machine.writing"))


def running(run_dir: Path) -> list[dict[str, Any]]:
    """What the supervisor keeps running, with the memory each process really holds."""
    state = read_state(run_dir)
    if state is None:
        return []
    found = [
        ("supervisor", {"pid": state["supervisor"]["pid"], "restarts": 0, "phase": "ready"}),
        *state["processes"].items(),
    ]
    return [
        {
            "name": name,
            "phase": process.get("phase", "stopped"),
            "pid": process.get("pid") or "–",
            "resident": resident(process.get("pid")),
            "restarts": process.get("restarts", 0),
        }
        for name, process in found
    ]


def resident(pid: int | None) -> str:
    """The resident memory of a process, for people; a dash when it is gone or not ours to look at."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "–"
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return f"{int(line.split()[1]) / 1024:,.0f} MB"
    return "–"
