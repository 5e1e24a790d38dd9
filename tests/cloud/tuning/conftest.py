"""A cloud that can tune, an engine as far as adapters go, a worker, and a trainer that learns nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from starlette.applications import Starlette

from ikkan.cloud.assembly import Cloud, Workshop, assemble
from ikkan.cloud.tuning.fakes import FakeTrainer
from ikkan.cloud.tuning.values import TUNING, Base
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.jobs import Jobs
from ikkan.ground.money import Price

CHAT: list[Any] = [
    {"messages": [{"role": "user", "content": f"Question {number}?"}, {"role": "assistant", "content": "Certainly."}]}
    for number in range(20)
]
PREFERENCES: list[Any] = [
    {
        "input": {"messages": [{"role": "user", "content": f"Question {number}?"}]},
        "preferred_output": [{"role": "assistant", "content": "Certainly."}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    for number in range(20)
]
PER_TOKEN = Price("JPY", input_micros=1_000_000, cached_micros=0, output_micros=0)


@pytest.fixture
def database_url(_fresh_sqlite: Callable[[Path], Any], tmp_path: Path) -> Iterator[str]:
    """One kind of database is enough for the wire; the store has its own tests on both."""
    with _fresh_sqlite(tmp_path) as url:
        yield url


class AdapterEngine:
    """An engine as far as adapters go: it answers to its model and to what was loaded, and forgets when told."""

    def __init__(self, most: int = 32) -> None:
        self.loaded: dict[str, str] = {}
        self.loads: list[str] = []
        self.most = most
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name} for name in ["default", *self.loaded]]})

    async def _chat(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        if model != "default" and model not in self.loaded:
            return web.json_response({"error": {"message": "no such model", "code": "unknown_model"}}, status=404)
        await asyncio.sleep(0.02)
        said = self.loaded.get(model, "nothing")
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            }
        )

    async def _load(self, request: web.Request) -> web.Response:
        body = await request.json()
        if len(self.loaded) >= self.most:
            return web.json_response({"error": {"message": "full", "code": "conflict"}}, status=409)
        folder = Path(body["lora_path"])
        self.loaded[body["lora_name"]] = (folder / "adapter_model.safetensors").read_text()
        self.loads.append(body["lora_name"])
        return web.Response(text="loaded")

    async def _unload(self, request: web.Request) -> web.Response:
        known = self.loaded.pop((await request.json())["lora_name"], None)
        return web.Response(text="unloaded", status=404 if known is None else 200)


@pytest.fixture
async def engine() -> AsyncIterator[AdapterEngine]:
    started = AdapterEngine()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def trainer() -> FakeTrainer:
    return FakeTrainer()


@pytest.fixture
def served() -> dict[str, Base]:
    """What the engine serves, by its names for it."""
    return {"default": Base("Tiny-1M", "b" * 64)}


@pytest.fixture
def jobs(home: Path, database: Database, clock: FakeClock) -> Iterator[Jobs]:
    made = Jobs(f"sqlite:///{home}/jobs.db", database, clock=clock)
    yield made
    made.close()


@pytest.fixture
def cloud(
    database: Database,
    clock: FakeClock,
    events: EventLog,
    keys: Keys,
    home: Path,
    jobs: Jobs,
    engine: AdapterEngine,
    trainer: FakeTrainer,
    served: dict[str, Base],
) -> Cloud:
    workshop = Workshop(
        files_dir=home / "files",
        work_dir=home / "cache" / "tuning",
        upload_bytes=100_000,
        artifacts=ArtifactStore(home / "artifacts"),
        jobs=jobs,
        bases=served.get,
        trainer=trainer,
    )
    joined = assemble(database, clock, events, keys, allow_keyless=True, workshop=workshop)
    joined.service.prepare(upstreams={"local": engine.url}, aliases={"default": ["local/default"]})
    joined.service.set_price(TUNING, "*", PER_TOKEN)
    return joined


@pytest.fixture
async def url(cloud: Cloud, listening: Any) -> AsyncIterator[str]:
    async with listening(Starlette(routes=cloud.routes())) as address:
        yield address
    await cloud.close()


@pytest.fixture
def worker(cloud: Cloud, jobs: Jobs) -> Iterator[None]:
    """A worker in the background."""
    stop = threading.Event()
    thread = threading.Thread(target=jobs.run_worker, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def upload(client: AsyncOpenAI) -> Callable[..., Awaitable[str]]:
    """Sends so many examples as a file; returns its id."""

    async def send(count: int = 20, lines: list[Any] = CHAT, **more: Any) -> str:
        lines = lines[:count]
        content = "\n".join(json.dumps(line) for line in lines).encode()
        made = await client.files.create(file=("lines.jsonl", content), purpose="fine-tune", **more)
        return made.id

    return send


@pytest.fixture
async def stranger(url: str, cloud: Cloud) -> AsyncIterator[AsyncOpenAI]:
    """A client of another tenant."""
    tenant = cloud.service.create_tenant("acme", "Acme")
    secret = cloud.service.create_key("theirs", tenant_id=tenant).secret
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as opened:
        yield opened


@pytest.fixture
def over(client: AsyncOpenAI) -> Callable[[str], Awaitable[Any]]:
    """Waits until a job is over; gives it."""

    async def wait(job_id: str) -> Any:
        for _attempt in range(600):
            job = await client.fine_tuning.jobs.retrieve(job_id)
            if job.finished_at is not None:
                return job
            await asyncio.sleep(0.03)
        raise AssertionError("the job did not end")

    return wait


@pytest.fixture
def tuned(client: AsyncOpenAI, upload: Any, over: Any, worker: None) -> Callable[..., Awaitable[Any]]:
    """Trains on so many examples; gives the job when it is over."""

    async def tune(count: int = 20, **more: Any) -> Any:
        asked = {"model": "default", "training_file": await upload(count), **more}
        return await over((await client.fine_tuning.jobs.create(**asked)).id)

    return tune


@pytest.fixture
def preferences() -> list[Any]:
    """Lines of the preference format."""
    return PREFERENCES


@pytest.fixture
def chat() -> list[Any]:
    """Lines of the chat format."""
    return CHAT
