"""How fast are suggestions, how soon does a list change, and how much can be told? Over HTTP, at three sizes of shelf.

    .venv/bin/python benchmarks/shop_suggest.py --sizes 12000,100000,1000000 --seconds 20
    .venv/bin/python benchmarks/shop_suggest.py --quick

- `latency`: the gateway as `ikkan serve` starts it, with a key, and 8 clients in a process of their own, each asking
  again as soon as it is answered; nine asks and one event of ten requests. Milliseconds as the clients see them.
- `offered`: the same eight, sending `--offered` requests a second in all, evenly, however long answers take; counted
  from when a request was due, so that waiting for one's turn counts too.
- `freshness`: from the answer to an event until a list without the ware it was about has arrived; and from a ware's
  commit by another process until somebody's list has it.
- `ingest`: events told to the service in one process at a fixed rate, while lists are asked for; then how long until
  the event log has them too. `killed` kills a teller and counts what it was told was kept.
- `recall`: of the 200 best products with a million vectors, the part that cells find; beside usearch where it is
  installed.

Shelf and people are made up. Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.apps.shop import store
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import Ask, Happened, Ware
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId, TenantId

TENANT = TenantId("local")
CLIENTS = 8
PEOPLE = 2_000
NOW = datetime.now(UTC)


def main() -> None:
    options = argparse.ArgumentParser(description="Suggestions: latency, freshness, ingest.")
    options.add_argument("--sizes", default="12000,100000,1000000")
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--ingest-seconds", type=float, default=60.0)
    options.add_argument("--rate", type=int, default=10_000, help="events a second of `ingest`")
    options.add_argument("--offered", type=float, default=300.0, help="requests a second of `offered`")
    options.add_argument("--parts", default="latency,offered,freshness,ingest,killed,recall")
    options.add_argument("--quick", action="store_true", help="a small shelf and a few seconds of each")
    given = options.parse_args()
    if given.quick:
        given.sizes, given.seconds, given.ingest_seconds = "2000", 3.0, 3.0
    parts = given.parts.split(",")
    with tempfile.TemporaryDirectory(prefix="ikkan-shop-") as folder:
        if {"latency", "offered", "freshness"} & set(parts):
            for size in map(int, given.sizes.split(",")):
                served(Path(folder, str(size)), size, given.seconds, given.offered, parts)
        if "ingest" in parts:
            alone(ingest, Path(folder, "ingest"), given.rate, given.ingest_seconds)
        if "killed" in parts:
            killed(Path(folder, "killed"))
        if "recall" in parts:
            alone(recall, 60_000 if given.quick else 1_000_000)


# ---- a gateway and its clients ---------------------------------------------------------------------------------------


def served(home: Path, size: int, seconds: float, offered: float, parts: list[str]) -> None:
    """A gateway with a shelf of so many wares."""
    home.mkdir(parents=True)
    url = f"sqlite:///{home}/ikkan.db"
    upgrade(url)
    database = Database(url)
    began = time.perf_counter()
    for at in range(0, size, 5_000):
        with database.transaction() as connection:
            store.shelf.put_wares(connection, TENANT, [ware(each) for each in range(at, min(size, at + 5_000))])
    put_s = time.perf_counter() - began
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
    environment = {**kept, "IKKAN_HOME": str(home), "IKKAN_PORT": str(port)}
    made = subprocess.run(
        [sys.executable, "-m", "ikkan", "key", "create", "--name", "benchmark", "--scope", "admin", "--json"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = json.loads(made.stdout)["key"]
    gateway = subprocess.Popen([sys.executable, "-m", "ikkan", "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        caller = Caller(port, key)
        caller.wait(120)
        began = time.perf_counter()
        caller.suggest("nobody")
        opened_s = time.perf_counter() - began
        for at in range(0, PEOPLE, 50):
            caller.events([deed for person in range(at, at + 50) for deed in past(person, size)])
        settle(caller, size)
        for part, rate in (("latency", 0.0), ("offered", offered)):
            if part not in parts:
                continue
            logged(database)
            queue: Any = multiprocessing.get_context("spawn").Queue()
            worker = multiprocessing.get_context("spawn").Process(
                target=clients, args=(port, key, size, seconds, rate, queue)
            )
            worker.start()
            time.sleep(1.0)
            busy = spent_s(gateway.pid)
            asked, told, count = queue.get(timeout=seconds + 120)
            worker.join()
            facts = {
                "wares": size, "clients": CLIENTS, "n": len(asked), "p50_ms": cut(asked, 50), "p95_ms": cut(asked, 95),
                "requests_per_s": round((len(asked) + len(told)) / seconds, 1), "events_p99_ms": cut(told, 99),
                "processor_ms": round((spent_s(gateway.pid) - busy) / count * 1e3, 2), "rss_mib": rss(gateway.pid),
                "opened_s": round(opened_s, 1), "put_s": round(put_s, 1),
            }  # fmt: skip
            if rate:
                facts["offered_per_s"] = rate
            tell(f"shop_suggest.{part}_p99", cut(asked, 99), "ms", **facts)
        if "freshness" in parts:
            fresh(caller, database, size)
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(30)
        database.close()


def settle(caller: Caller, size: int) -> None:
    """Wait until a large shelf is parted into cells, and a quarter of the people was asked for once."""
    for person in range(0, PEOPLE, 4):
        caller.suggest(f"p{person}")
    before = 0.0
    for _ in range(120 if size > 200_000 else 0):
        took = np.median([caller.suggest(f"p{each}")["took_ms"] for each in range(12)])
        if before and took < 5.0:
            break
        before = took
        time.sleep(1.0)


def logged(database: Database) -> None:
    """Wait until the event log has what was told of the past, which is sealed in the background."""
    for _ in range(600):
        with database.read() as connection:
            if store.behaviour.told_until(connection) >= store.behaviour.last_seq(connection):
                return
        time.sleep(0.2)


def clients(port: int, key: str, size: int, seconds: float, rate: float, queue: Any) -> None:
    """Eight callers in threads of one process, each waiting for its answer before it asks again.

    Args:
        rate: requests a second of all together, each due at its own moment; 0: as soon as the one before is answered.
    """
    asked: list[list[float]] = [[] for _ in range(CLIENTS)]
    told: list[list[float]] = [[] for _ in range(CLIENTS)]
    counts = [0] * CLIENTS
    begin = time.perf_counter() + 2.0

    def work(number: int) -> None:
        caller, rng = Caller(port, key), random.Random(number)
        count = 0
        while True:
            began = time.perf_counter()
            if rate:
                # The first two seconds are not counted, as in the closed loop.
                due = begin - 2.0 + (count * CLIENTS + number) / rate
                time.sleep(max(0.0, due - began))
                began = due
            if began >= begin + seconds:
                break
            count += 1
            person = rng.randrange(PEOPLE)
            if count % 10 == 0:
                deed = Deed(f"c{rate}-{number}-{count}", person, int(size * rng.random() ** 3))
                caller.post("events", {"events": [deed.told()]})
            elif count % 10 == 5:
                about = f"w{int(size * rng.random() ** 3)}"
                caller.post("suggest", {"person": f"p{person}", "surface": "similar", "product_ids": [about]})
            else:
                caller.post("suggest", {"person": f"p{person}"})
            if began >= begin:
                counts[number] = count
                (told if count % 10 == 0 else asked)[number].append((time.perf_counter() - began) * 1e3)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put(([each for some in asked for each in some], [each for some in told for each in some], sum(counts)))


def fresh(caller: Caller, database: Database, size: int) -> None:
    """How long until a list has changed."""
    waits = []
    for round_ in range(200):
        person = round_ % PEOPLE
        listed = [place["product_id"] for place in caller.suggest(f"p{person}")["places"]]
        caller.events([{**Deed(f"f{round_}", person, 0).told(), "product_id": listed[0]}])
        accepted = time.perf_counter()
        while [place["product_id"] for place in caller.suggest(f"p{person}")["places"]] == listed:
            pass
        waits.append((time.perf_counter() - accepted) * 1e3)
    tell("shop_suggest.fresh_p99", cut(waits, 99), "ms", wares=size, n=len(waits), p50_ms=cut(waits, 50))
    waits = []
    for round_ in range(20):
        new = ware(size + round_, added_at=datetime.now(UTC))
        with database.transaction() as connection:
            store.shelf.put_wares(connection, TENANT, [new])
        put = time.perf_counter()
        for person in range(10_000):
            shown = {place["product_id"] for place in caller.suggest(f"p{(person * 7 + round_) % PEOPLE}")["places"]}
            if new.product_id in shown:
                break
        waits.append((time.perf_counter() - put) * 1e3)
    tell("shop_suggest.first_exposure_max", max(waits), "ms", wares=size, n=len(waits), p50_ms=cut(waits, 50))


class Caller:
    """One connection that is kept."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._head = (
            f"HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: "
        )
        self._socket: socket.socket | None = None

    def wait(self, seconds: float) -> None:
        """Until the gateway answers."""
        until = time.monotonic() + seconds
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), 1):
                    return
            except OSError:
                assert time.monotonic() < until, "the gateway does not start"
                time.sleep(0.1)

    def suggest(self, person: str, **more: Any) -> Any:
        return json.loads(self.post("suggest", {"person": person, **more}))

    def events(self, deeds: list[dict[str, Any]]) -> Any:
        return json.loads(self.post("events", {"events": deeds}))

    def post(self, path: str, body: Any) -> bytes:
        """The answer's body. Written out by hand: the clients share the processor with the gateway."""
        told = json.dumps(body).encode()
        request = f"POST /a/shop/v1/{path} {self._head}{len(told)}\r\n\r\n".encode() + told
        try:
            status, read = self._asked(request)
        except (BrokenPipeError, ConnectionResetError):
            self._socket = None  # it was idle for long, and the gateway let go of it
            status, read = self._asked(request)
        assert status == 200, (status, read[:300])
        return read

    def _asked(self, request: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 900)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        read = b""
        while (end := read.find(b"\r\n\r\n")) < 0:
            read += self._more()
        head = read[:end].decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        while len(read) < end + 4 + length:
            read += self._more()
        return int(head.split(" ", 2)[1]), read[end + 4 :]

    def _more(self) -> bytes:
        assert self._socket is not None
        some = self._socket.recv(65_536)
        if not some:
            raise ConnectionResetError("the gateway closed the connection")
        return some


# ---- many events -----------------------------------------------------------------------------------------------------


def ingest(home: Path, rate: int, seconds: float) -> None:
    """Tell at a rate, from four threads, 250 at once, while somebody asks for lists."""
    service = service_at(home)
    service.put_wares(TENANT, [ware(each) for each in range(12_000)])
    service.suggest(TENANT, Ask("p1"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    waits: list[float] = []
    lists: list[float] = []
    refused = [0]
    accepted = [0] * 4
    begin = time.perf_counter()
    busy = time.process_time()

    def work(number: int) -> None:
        rng, step = random.Random(number), 250 * 4 / rate
        at = 0
        while (due := begin + at * step) < begin + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            at += 1
            batch = [
                Happened(
                    f"i{number}-{at}-{each}",
                    f"p{rng.randrange(50_000)}",
                    "viewed",
                    datetime.now(UTC),
                    f"w{rng.randrange(12_000)}",
                )
                for each in range(250)
            ]
            began = time.perf_counter()
            try:
                accepted[number] += service.tell(TENANT, batch).accepted
            except Exception:
                refused[0] += 250
            waits.append((time.perf_counter() - began) * 1e3)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    rng = random.Random(9)
    while any(thread.is_alive() for thread in threads):
        began = time.perf_counter()
        service.suggest(TENANT, Ask(f"p{rng.randrange(50_000)}", is_test=True))
        lists.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.05)
    spent, busy = time.perf_counter() - begin, time.process_time() - busy
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kept = sum(accepted)
    began = time.perf_counter()
    service.flush()
    facts = {
        "seconds": round(spent, 1), "told": kept, "refused": refused[0], "tell_p50_ms": cut(waits, 50),
        "tell_p99_ms": cut(waits, 99), "list_p99_ms": cut(lists, 99), "rss_before_mib": round(before),
        "rss_after_mib": round(after), "log_after_s": round(time.perf_counter() - began, 1),
        "processor_share": round(busy / spent, 2),
    }  # fmt: skip
    tell("shop_suggest.ingest", kept / spent, "events/s", wanted=rate, **facts)
    service.database.close()


def killed(home: Path) -> None:
    """Kill a teller with SIGKILL again and again; whatever it was told was kept must be there."""
    home.mkdir(parents=True)
    upgrade(f"sqlite:///{home}/ikkan.db")
    lost = acknowledged = 0
    for turn in range(5):
        child = subprocess.Popen(
            [sys.executable, __file__, "--tell-forever", str(home), str(turn)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        said: list[str] = []
        until = 0.0
        for line in child.stdout:
            until = until or time.perf_counter() + 1.0 + turn * 0.17
            said.append(line.decode().strip())
            if time.perf_counter() > until:
                break
        child.kill()
        said += [line.decode().strip() for line in child.stdout.read().splitlines(True) if line.endswith(b"\n")]
        child.wait()
        service = service_at(home, prepare=False)
        with service.database.read() as connection:
            there = store.behaviour.known(connection, TENANT, said)
        acknowledged += len(said)
        lost += len(set(said) - there)
        service.flush()
        service.database.close()
    tell("shop_suggest.killed_lost", lost, "events", acknowledged=acknowledged, kills=5)


def tell_forever(home: Path, turn: int) -> None:
    """The teller that is killed: prints an id only when it was acknowledged."""
    service = service_at(home, prepare=False)
    number = 0
    while True:
        ids = [f"k{turn}-{number}-{each}" for each in range(100)]
        number += 1
        service.tell(
            TENANT, [Happened(id, f"p{each % 37}", "viewed", datetime.now(UTC), "w1") for each, id in enumerate(ids)]
        )
        sys.stdout.write("".join(f"{id}\n" for id in ids))
        sys.stdout.flush()


def recall(size: int) -> None:
    """How many of the best 200 products cells find among vectors that lie in clumps, as those of wares do."""
    from ikkan.apps.shop.rules.suggest import nearest

    rng = np.random.default_rng(0)
    centres = rng.standard_normal((size // 500, 64)).astype(np.float32)
    vectors = centres[rng.integers(0, len(centres), size)] + 0.7 * rng.standard_normal((size, 64)).astype(np.float32)
    queries = (vectors[rng.integers(0, size, 200)] + 0.5 * rng.standard_normal((200, 64))).astype(np.float32)
    exact = [set(np.argpartition(-(vectors @ query), 200)[:200].tolist()) for query in queries]
    near = nearest.Nearest(64)
    near.put(0, vectors)
    began = time.perf_counter()
    near.settle()
    settled_s = time.perf_counter() - began
    began = time.perf_counter()
    found = [near.top(query[None], 200)[0] for query in queries]
    spent = (time.perf_counter() - began) / len(queries) * 1e3
    part = float(np.mean([len(truth & set(some.tolist())) / 200 for truth, some in zip(exact, found, strict=True)]))
    tell("shop_suggest.cells_recall_at_200", part, "", vectors=size, settled_s=round(settled_s, 1), ms=round(spent, 3))
    try:
        from usearch.index import Index
    except ImportError:
        return
    index = Index(ndim=64, metric="ip", dtype="f16", expansion_search=400)
    began = time.perf_counter()
    index.add(np.arange(size), vectors, threads=2)
    settled_s = time.perf_counter() - began
    began = time.perf_counter()
    other = [index.search(query, 200).keys for query in queries]
    spent = (time.perf_counter() - began) / len(queries) * 1e3
    part = float(np.mean([len(truth & set(some.tolist())) / 200 for truth, some in zip(exact, other, strict=True)]))
    tell(
        "shop_suggest.usearch_recall_at_200", part, "", vectors=size, settled_s=round(settled_s, 1), ms=round(spent, 3)
    )


# ---- made up ---------------------------------------------------------------------------------------------------------


def ware(number: int, *, added_at: datetime | None = None) -> Ware:
    """A ware of 400 categories, 300 brands and 50 sellers."""
    kind = (number * 7) % 400
    return Ware(
        f"w{number}", f"thing {number % 977} kind {number % 31}", f"aisle {kind % 20} > shelf {kind}",
        1_000_000 * (1 + (number * 37) % 90), "EUR", added_at or NOW - timedelta(days=60),
        brand=f"brand {number % 300}", seller=f"seller {number % 50}",
    )  # fmt: skip


class Deed:
    """Somebody looked at something."""

    def __init__(self, id: str, person: int, product: int, minutes_ago: float = 0.0) -> None:
        self.id, self.person, self.product, self.minutes_ago = id, person, product, minutes_ago

    def told(self) -> dict[str, Any]:
        at = datetime.now(UTC) - timedelta(minutes=self.minutes_ago)
        return {
            "event_id": self.id,
            "person": f"p{self.person}",
            "deed": "viewed",
            "at": at.isoformat(),
            "product_id": f"w{self.product}",
        }


def past(person: int, size: int) -> list[dict[str, Any]]:
    """What somebody did before: 5 to 20 wares of a few kinds."""
    rng = random.Random(person)
    start = int(size * rng.random() ** 2)
    return [
        Deed(f"past-{person}-{each}", person, (start + 400 * rng.randrange(30)) % size, 300 - each).told()
        for each in range(rng.randrange(5, 20))
    ]


def service_at(home: Path, *, prepare: bool = True) -> Suggesting:
    """The service with a database of its own."""
    if prepare:
        home.mkdir(parents=True)
        upgrade(f"sqlite:///{home}/ikkan.db")
    database, clock = Database(f"sqlite:///{home}/ikkan.db"), SystemClock()
    log = EventLog(database, clock, Keys.open(home / "keys"))
    return Suggesting(database, clock, events=log, pseudonym=lambda _, person: SubjectId(f"s-{person}"))


def alone(step: Any, *arguments: Any) -> None:
    """In a process of its own, so that memory is its own."""
    worker = multiprocessing.get_context("spawn").Process(target=step, args=arguments)
    worker.start()
    worker.join()
    assert worker.exitcode == 0, f"{step.__name__} failed"


def spent_s(pid: int) -> float:
    """Processor time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> int:
    """Resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) // 1024


def cut(values: list[float], percent: float) -> float:
    return round(float(np.percentile(values, percent)), 2) if values else 0.0


def tell(metric: str, value: float, unit: str, **more: object) -> None:
    """One line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    told = {"metric": metric, "value": round(value, 3), "unit": unit, **more, "commit": commit, "machine": machine}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--tell-forever"]:
        tell_forever(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
