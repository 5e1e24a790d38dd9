"""What a request for suggestions costs, part by part: processor time in one process, so others matter little.

    .venv/bin/python benchmarks/shop_suggest_path.py --sizes 12000,100000
    .venv/bin/python benchmarks/shop_suggest_path.py --quick --profile

The gateway's own application is asked without a socket, by eight tasks at once, 40 lists at a time, as many as come in
a tenth of a second at 400 a second; then what was shown is written. The clock by which things are looked at now and
then goes on by that tenth. A fifth of the people looked at something in the last half hour. Told events do not count.

Prints one JSON line a size: microseconds of processor a list, the best and the middle block; and where they went.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import functools
import json
import logging
import os
import pstats
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from shop_suggest import CLIENTS, PEOPLE, TENANT, Deed, alone, past, tell, ware

BLOCK, RATE = 40, 400
spent: Counter[str] = Counter()


def main() -> None:
    options = argparse.ArgumentParser(description="Suggestions: processor time a request, by part.")
    options.add_argument("--sizes", default="12000,100000")
    options.add_argument("--blocks", type=int, default=60)
    options.add_argument("--profile", action="store_true", help="print where time goes, by function; slower")
    options.add_argument("--quick", action="store_true", help="a small shelf and a few blocks")
    given = options.parse_args()
    if given.quick:
        given.sizes, given.blocks = "2000", 5
    for size in map(int, given.sizes.split(",")):
        alone(measured, size, given.blocks, given.profile)


def measured(size: int, blocks: int, profile: bool) -> None:
    """One size, in a process of its own."""
    logging.disable(logging.WARNING)  # on a busy machine every transaction is long
    with tempfile.TemporaryDirectory(prefix="ikkan-path-") as folder:
        asyncio.run(_measured(Path(folder), size, blocks, profile))
        sys.stdout.flush()
    os._exit(0)  # no thread of the service has anything left to do


async def _measured(home: Path, size: int, blocks: int, profile: bool) -> None:
    from ikkan.apps.shop import store
    from ikkan.apps.shop.service.suggesting import showing, suggesting
    from ikkan.bootstrap import platform as house
    from ikkan.ground.db import Database, upgrade
    from ikkan.ground.settings import load_settings

    upgrade(f"sqlite:///{home}/ikkan.db")
    database = Database(f"sqlite:///{home}/ikkan.db")
    for at in range(0, size, 5_000):
        with database.transaction() as connection:
            store.shelf.put_wares(connection, TENANT, [ware(each) for each in range(at, min(size, at + 5_000))])
    database.close()
    services: list[Any] = []
    made = suggesting.Suggesting.__init__

    def kept(self: Any, *arguments: Any, **more: Any) -> None:
        made(self, *arguments, **more)
        services.append(self)

    suggesting.Suggesting.__init__ = kept  # type: ignore[method-assign]
    platform = house.build(load_settings({"IKKAN_HOME": str(home)}), is_serving=True)
    house.one_thread_products()
    sys.setswitchinterval(house.SWITCH_S)
    showing._SOON_S = 3_600.0  # written at the end of each block instead
    (service,) = services
    key = platform.cloud.service.create_key("benchmark", scopes=("user", "admin")).secret
    caller = Caller(house.asgi(platform), key)
    for at in range(0, PEOPLE, 50):
        await caller.post("events", {"events": [deed for each in range(at, at + 50) for deed in past(each, size)]})
    rng = random.Random(1)
    looked = [Deed(f"now-{each}", each, int(size * rng.random() ** 3), 5.0).told() for each in range(0, PEOPLE, 5)]
    await caller.post("events", {"events": looked})
    real, ahead = time.monotonic, [0.0]
    started = real()
    # The loop keeps the real time: a timer of another one would spin until others ask.
    asyncio.get_running_loop().time = real  # type: ignore[method-assign]
    time.monotonic = lambda: started + (real() - started) * 1e-3 + ahead[0]  # type: ignore[assignment]
    for person in range(PEOPLE):  # spread over a minute, so that what is looked at once a minute comes in turn
        ahead[0] += 60.0 / PEOPLE
        await caller.post("suggest", {"person": f"p{person}"})
    service._showing.flush()
    for part, owner, name in (
        ("choosing", suggesting.Suggesting, "suggest_many"), ("choosing", suggesting.Suggesting, "suggest_at_once"),
        ("fetching", suggesting.Suggesting, "fetch"), ("people", suggesting.Shop, "person"),
        ("looking", suggesting.Suggesting, "_look"), ("moods", suggesting.Suggesting, "_mood"),
        ("lists", suggesting, "chosen"), ("reasons", suggesting, "reasons_of"), ("records", showing.Showing, "flush"),
    ):  # fmt: skip
        setattr(owner, name, timed(part, getattr(owner, name)))
    whole: list[float] = []
    watch = cProfile.Profile(time.thread_time) if profile else None
    for block in range(-15, blocks):
        told = [Deed(f"e{block}-{each}", rng.randrange(PEOPLE), int(size * rng.random() ** 3)) for each in range(4)]
        await caller.post("events", {"events": [each.told() for each in told]})
        if block == 0:
            spent.clear()
        bodies = iter([_asked(rng, size, number) for number in range(BLOCK)])

        async def work(bodies: Any = bodies) -> None:
            for body in bodies:
                ahead[0] += 1 / RATE
                await caller.post("suggest", body)

        if watch is not None and block >= 0:
            watch.enable()
        began, own = time.process_time(), time.thread_time()
        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        if block >= 0:
            spent["loop"] += int((time.thread_time() - own) * 1e9)
        service._showing.flush()
        if block >= 0:
            whole.append((time.process_time() - began) / BLOCK * 1e6)
        if watch is not None:
            watch.disable()
    parts = {f"{part}_us": round(ns / (blocks * BLOCK) / 1e3) for part, ns in spent.most_common()}
    facts = {"wares": size, "lists": blocks * BLOCK, "median_us": round(float(np.median(whole))), **parts}
    facts["other_us"] = round(float(np.mean(whole))) - parts["choosing_us"] - parts["records_us"]
    tell("shop_suggest_path.processor", min(whole), "us/list", **facts)
    if watch is not None:
        pstats.Stats(watch).sort_stats("tottime").print_stats(60)


def _asked(rng: random.Random, size: int, number: int) -> dict[str, Any]:
    person = f"p{rng.randrange(PEOPLE)}"
    if number % 9 == 5:
        return {"person": person, "surface": "similar", "product_ids": [f"w{int(size * rng.random() ** 3)}"]}
    return {"person": person}


def timed(part: str, step: Callable[..., Any]) -> Callable[..., Any]:
    """Counts the processor time of the thread that takes a step."""

    @functools.wraps(step)
    def counted(*arguments: Any, **more: Any) -> Any:
        began = time.thread_time_ns()
        try:
            return step(*arguments, **more)
        finally:
            spent[part] += time.thread_time_ns() - began

    return counted


class Caller:
    """Asks an application as a server would, without one."""

    def __init__(self, app: Any, key: str) -> None:
        self._app = app
        self._headers = [
            (b"host", b"127.0.0.1:8700"), (b"accept-encoding", b"identity"),
            (b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json"),
        ]  # fmt: skip

    async def post(self, path: str, body: Any) -> Any:
        raw = json.dumps(body).encode()
        got: dict[str, Any] = {"body": b""}
        messages = iter([{"type": "http.request", "body": raw, "more_body": False}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                got["status"] = message["status"]
            else:
                got["body"] += message.get("body", b"")

        whole = f"/a/shop/v1/{path}"
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": whole, "raw_path": whole.encode(), "query_string": b"", "root_path": "",
            "headers": [*self._headers, (b"content-length", str(len(raw)).encode())], "state": {}, "extensions": {},
            "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8_700),
        }  # fmt: skip
        await self._app(scope, receive, send)
        assert got["status"] == 200, got
        return got["body"]


if __name__ == "__main__":
    main()
