"""The platform: every room, joined. The only module that knows everyone.

Begin at `build`: it reads top to bottom in the order of the floors. `asgi` puts the doors of all rooms on one port;
`make_ready` is what the first start in a home does; `serve` and `work` are the gateway's and the worker's process.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import ikkan.apps
from ikkan import __version__, console
from ikkan.bootstrap import DEFAULTS, ENGINE, device_profile, engine_models, model_store, use_model
from ikkan.bootstrap.embedding import home_embedder
from ikkan.bootstrap.erasing import ERASE, Erasing, go_on
from ikkan.bootstrap.teaching import home_chat_model
from ikkan.bootstrap.tuning import LeasedTrainer, home_bases
from ikkan.cloud.assembly import Cloud, Workshop, assemble
from ikkan.cloud.directory import ANY_MODEL
from ikkan.cloud.door import is_at_this_machine
from ikkan.cloud.tuning.values import TUNING
from ikkan.cloud.values import ADMIN, LOCAL_TENANT, USER
from ikkan.console.desk import Desk, Measurements
from ikkan.console.wheel import turn_key
from ikkan.console.words import WORDS
from ikkan.flywheel import POLICIES, Flywheel, Schedule
from ikkan.flywheel.erasure import Eraser, ReceiptKey
from ikkan.ground import log as ground_log
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock, SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.errors import BadInput, IkkanError, Internal, NotAuthenticated, NotFound
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.garbage import short_pauses
from ikkan.ground.ids import KeyId, SubjectId, TenantId
from ikkan.ground.jobs import JobContext, Jobs
from ikkan.ground.money import Price
from ikkan.ground.processes import one_thread_products
from ikkan.ground.settings import Settings
from ikkan.kit import App, Frame, Parts, Place, Round, Session, SessionKeeper, Words
from ikkan.kit.api import Door, error_reply
from ikkan.kit.frame import static_folder
from ikkan.models.registry import Registry
from ikkan.models.store import ModelStore

log = logging.getLogger(__name__)

ENGINE_PRICE = Price("JPY", input_micros=4_000_000, cached_micros=400_000, output_micros=20_000_000)
"""What our own engine's work is billed at until somebody sets a price: 4, 0.4 and 20 JPY per million tokens. Power
alone is about 1 JPY per million output tokens on two cores; the rest stands for the machine. A house price, not a
measurement."""

SWITCH_S = 0.0005
"""So long the interpreter lets one thread of the gateway run on while another waits."""

TUNING_PRICE = Price("JPY", input_micros=20_000_000, cached_micros=0, output_micros=0)
"""What training is billed at until somebody sets a price: 20 JPY per million trained tokens, as for tokens written."""


# ---- the platform ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything, joined. A test swaps the world by building one with other settings and another clock."""

    settings: Settings
    clock: Clock
    database: Database
    keys: Keys
    events: EventLog
    artifacts: ArtifactStore
    registry: Registry
    store: ModelStore
    cloud: Cloud
    frame: Frame
    apps: tuple[App, ...]
    flywheel: Flywheel
    eraser: Eraser
    jobs: Jobs

    async def close(self) -> None:
        """Record what was answered, then let go of everything."""
        await self.cloud.close()
        self.jobs.close()
        self.database.close()


def build(settings: Settings, *, clock: Clock | None = None, is_serving: bool = False) -> Platform:
    """Join all rooms for one process. Opens the database; starts nothing.

    Args:
        is_serving: people wait for this process; it trains nothing and loads no model.
    """
    # Threads of a training that is loaded later sleep while they wait, instead of taking turns from everyone else.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    clock = clock or SystemClock()
    database = Database(settings.database_url)
    keys = Keys.open(settings.keys_dir, settings.erasures)
    events = EventLog(database, clock, keys)
    artifacts = ArtifactStore(settings.artifacts_dir)
    jobs = Jobs(settings.jobs_database_url, database, clock=clock)

    registry = Registry(database, clock)
    store = model_store(settings)

    joined = assemble(
        database,
        clock,
        events,
        keys,
        allow_keyless=settings.allow_keyless_loopback,
        secret_of=lambda name: os.environ.get(name),
        workshop=Workshop(
            files_dir=settings.files_dir,
            work_dir=settings.home / "cache" / "tuning",
            upload_bytes=settings.upload_bytes,
            artifacts=artifacts,
            jobs=jobs,
            bases=home_bases(store),
            trainer=LeasedTrainer(store, settings.run_dir / "device.lease"),
        ),
    )

    words = Words(WORDS)
    keeper = SessionKeeper(_session_secret(settings.keys_dir), clock)
    frame = Frame(keeper, words, _admission(settings, joined, keeper), language=settings.language)

    embedder = home_embedder(store, settings.run_dir / "device.lease")
    parts = Parts(
        settings=settings,
        clock=clock,
        database=database,
        events=events,
        artifacts=artifacts,
        registry=registry,
        cloud=joined,
        frame=frame,
        embed=embedder,
        tunes=embedder,
        chat_model=home_chat_model(store, settings, is_serving=is_serving),
        jobs=jobs,
        # The wheel is made below, of what the apps want to learn; nobody is served before it is.
        gives=lambda name, unit: flywheel.given(name, unit),
        secret_of=lambda name: os.environ.get(name),
    )
    apps = tuple(module.app(parts) for module in _app_modules())
    for app in apps:
        words.add(app.words)
        if app.templates:
            frame.add_templates(app.templates)
        for upstream in app.upstreams:
            joined.router.register(app.name, upstream, models=[app.name])

    learnables = [learnable for app in apps for learnable in app.learns]
    policy = POLICIES[settings.flywheel_policy]
    flywheel = Flywheel(
        database,
        events.reader(),
        registry,
        artifacts,
        learnables,
        clock,
        log=events,
        policy=policy,
        scrub=settings.scrub_training,
    )

    def forget(connection: Connection, tenant_id: TenantId, subject_id: SubjectId) -> dict[str, int]:
        gone = {"cloud": joined.service.forget(connection, tenant_id, subject_id)}
        return gone | {app.name: app.erases(connection, tenant_id, subject_id) for app in apps}

    eraser = Eraser(
        database,
        events,
        flywheel.reads,
        registry,
        artifacts,
        learnables,
        clock,
        ReceiptKey.open(settings.keys_dir),
        forget=forget,
        record=flywheel.record,
    )

    platform = Platform(
        settings=settings,
        clock=clock,
        database=database,
        keys=keys,
        events=events,
        artifacts=artifacts,
        registry=registry,
        store=store,
        cloud=joined,
        frame=frame,
        apps=apps,
        flywheel=flywheel,
        eraser=eraser,
        jobs=jobs,
    )
    _register_jobs(platform)
    joined.admin.erasing = Erasing(eraser, joined.subjects, jobs)
    return platform


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Platform]:
    """The platform for the length of one command; tables are made or brought up to date first."""
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    platform = build(settings)
    try:
        yield platform
    finally:
        platform.jobs.close()
        platform.database.close()


def asgi(platform: Platform) -> Starlette:
    """Every door on one port: `/v1` and `/admin/v1`, each app's API and pages, the console."""
    frame = platform.frame
    frame.add_templates("ikkan.console")
    for place in (Place("/", "nav.home"), Place("/assistant", "nav.chat"), Place("/meetings", "nav.meetings"),
                  Place("/shop", "nav.shop"),
                  Place("/wheel", "nav.wheel"),
                  Place("/usage", "nav.usage"), Place("/models", "nav.models", admin=True),
                  Place("/keys", "nav.keys", admin=True), Place("/machine", "nav.machine", admin=True),
                  Place("/events", "nav.events", admin=True)):  # fmt: skip
        frame.add_place(place)
    routes: list[BaseRoute] = [
        Route("/health", _health(platform)),
        Route("/health/gateway", _alive),
        *platform.cloud.routes(),
        Route("/mcp", _reserved),
        *_static(platform),
    ]
    say = _say(platform)
    straight: dict[str, ASGIApp] = {}
    for app in platform.apps:
        if app.api is not None:
            assert isinstance(app.api, Door), "an API is made by kit.api"
            routes.append(Mount(f"/a/{app.name}/v1", app.api))
            for path, answers in app.api.straight.items():
                straight[f"/a/{app.name}/v1{path}"] = ServerErrorMiddleware(answers, handler=say)
        for route in app.pages:
            assert isinstance(route, Route), "a page is a plain route"
            path = f"/{app.name}{route.path}".rstrip("/")
            routes.append(Route(path, route.endpoint, methods=list(route.methods or ())))
    routes += console.routes(_desk(platform))
    return House(straight, routes=routes, exception_handlers={IkkanError: say, HTTPException: say, Exception: say})


class House(Starlette):
    """Every door; what is asked all the time is found by its path, without trying one route after another.

    Args:
        straight: path → what answers a POST to it.
    """

    def __init__(self, straight: Mapping[str, ASGIApp], **more: Any) -> None:
        super().__init__(**more)
        self._straight = straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            answers = self._straight.get(scope["path"])
            if answers is not None:
                await answers(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def make_ready(settings: Settings, tell: Callable[[str], None]) -> str | None:
    """Tables, the first key and the sample workspace, where they are missing; returns the key if it was made now."""
    with opened(settings) as platform:
        _prepare_cloud(platform)
        fresh = not platform.cloud.service.keys()
        admin_key = platform.cloud.service.create_key("first", scopes=(USER, ADMIN)).secret if fresh else None
        if fresh and platform.events.count() == 0:
            tell("loading the sample workspace …")
            load_sample(platform)
        for name in platform.flywheel.names:
            platform.flywheel.ensure_champion(name)
    return admin_key


def serve(settings: Settings) -> None:
    """The gateway's process."""
    from ikkan.ground.asgi import serve as serve_asgi

    ground_log.configure(settings.log_level)
    upgrade(settings.database_url)
    platform = build(settings, is_serving=True)
    one_thread_products()
    # A thread that chooses a list or embeds a text would keep the event loop waiting 5 ms each time they take turns.
    sys.setswitchinterval(SWITCH_S)
    forget_again(platform)
    # What a killed gateway left reserved is given back before anyone asks; on SQLite there is no other gateway.
    platform.cloud.sweep(alone=platform.database.dialect == "sqlite")
    _prepare_cloud(platform)
    with short_pauses():
        serve_asgi(asgi(platform), host=settings.host, port=settings.port, on_stop=platform.close)


def work(settings: Settings) -> None:
    """The worker's process: durable jobs, and a look at each learnable every so often, until SIGTERM."""
    ground_log.configure(settings.log_level)
    platform = build(settings)
    go_on(platform.eraser, platform.jobs)
    rounds = schedule(platform)
    stop = threading.Event()
    threading.Thread(target=rounds.run, args=(stop,), name="wheel-rounds", daemon=True).start()
    for each in (one for app in platform.apps for one in app.rounds):
        threading.Thread(target=_go_round, args=(each, stop), name=each.name, daemon=True).start()
    try:
        platform.jobs.run_worker()
    finally:
        stop.set()


def schedule(platform: Platform) -> Schedule:
    """The worker's rounds over all learnables, by the home's settings."""

    def start(name: str) -> object:
        # The same key as the console's button: one turn of a learnable at a time.
        return platform.jobs.start_once("flywheel.run", turn_key(name), learnable=name)

    return Schedule(platform.database, platform.flywheel, platform.clock, platform.settings.flywheel_every_s, start)


def forget_again(platform: Platform, *, tell: Callable[[float, str], None] = lambda done, told: None) -> int:
    """Forget whom the tombstones name and the database still knows, as after a restore; returns how many there were.

    Models that learned from them are made again before this returns, so that none of these ever serves. What an
    ordinary erasure has still to do is left to the worker.
    """
    with platform.database.read() as connection:
        returned = platform.events.returned(connection)
    platform.eraser.begin_again()
    with platform.database.transaction() as connection:
        platform.events.reconcile(connection)
    for erasure in platform.eraser.unfinished("returned"):
        platform.eraser.run(erasure.id, progress=tell)
    return len(returned)


def load_sample(platform: Platform, *, seed: int = 1) -> dict[str, int]:
    """Load the sample firm's help desk and its store: what they know and sell, and eight weeks of visits as events.
    Repeatable."""
    from ikkan.apps.assistant import sample, service
    from ikkan.apps.shop.sample.loading import load_sample_store

    load_sample_store(
        platform.database, platform.clock, platform.events, platform.cloud.subjects.pseudonym, LOCAL_TENANT
    )
    return service.load_sample(
        platform.database,
        platform.events,
        platform.flywheel,
        sample.knowledge(),
        sample.visits(seed, end=platform.clock.now()),
        platform.clock,
    )


# ---- private ---------------------------------------------------------------------------------------------------------


def _app_modules() -> list[Any]:
    return [importlib.import_module(f"ikkan.apps.{found.name}") for found in pkgutil.iter_modules(ikkan.apps.__path__)]


def _prepare_cloud(platform: Platform) -> None:
    chat, embedder = DEFAULTS[0][0], DEFAULTS[1][0]
    platform.cloud.service.prepare(
        upstreams={ENGINE: f"{platform.settings.engine_url}/v1"},
        aliases={chat: [f"{ENGINE}/{chat}"], embedder: [f"{ENGINE}/{embedder}"]},
    )
    if (ENGINE, ANY_MODEL) not in {(row.upstream, row.model) for row in platform.cloud.service.prices()}:
        platform.cloud.service.set_price(ENGINE, ANY_MODEL, ENGINE_PRICE)
    if (TUNING, ANY_MODEL) not in {(row.upstream, row.model) for row in platform.cloud.service.prices()}:
        platform.cloud.service.set_price(TUNING, ANY_MODEL, TUNING_PRICE)


def _go_round(each: Round, stop: threading.Event) -> None:
    """Take an app's look every so often; one that fails is taken again at its next time."""
    while not stop.is_set():
        try:
            each.look()
        except Exception:
            log.exception("a look failed", extra={"round": each.name})
        stop.wait(each.every_s)


def _register_jobs(platform: Platform) -> None:
    jobs = platform.jobs

    @jobs.job("models.pull")
    def pull(context: JobContext, reference: str, use: bool = False) -> dict[str, Any]:
        def bring() -> dict[str, Any]:
            def tell(done: int, total: int | None) -> None:
                context.progress(min(1.0, done / total) if total else 0.0, f"{reference}: {done / 1e6:,.0f} MB")

            model = platform.store.pull(reference, None, tell)
            return {"name": model.name, "bytes": model.bytes}

        made: dict[str, Any] = context.step("pull", bring)
        if use:
            context.step("use", lambda: use_model(platform.settings, made["name"]))
        return made

    @jobs.job("flywheel.run")
    def turn(
        context: JobContext, learnable: str, shuffle: bool = False, seed: int = 0, thorough: bool = False
    ) -> dict[str, Any]:
        return context.step(
            "turn",
            lambda: platform.flywheel.run(
                learnable,
                seed=seed,
                shuffle=shuffle,
                thorough=thorough,
                progress=lambda done, told: context.progress(done, told),
            ).as_json(),
        )

    @jobs.job(ERASE)
    def erase(context: JobContext, erasure: str) -> dict[str, Any]:
        return platform.eraser.run(erasure, step=context.step, progress=context.progress)

    @jobs.job("silicon.measure")
    def measure(context: JobContext) -> dict[str, Any]:
        context.progress(0.1, "measuring")
        context.step("measure", lambda: device_profile(platform.settings, measure=True) and None)
        return {}


def _desk(platform: Platform) -> Desk:
    return Desk(
        settings=platform.settings,
        clock=platform.clock,
        database=platform.database,
        events=platform.events,
        frame=platform.frame,
        jobs=platform.jobs,
        store=platform.store,
        cloud=platform.cloud,
        flywheel=platform.flywheel,
        sign_in=lambda secret: sign_in(platform.cloud, platform.frame.keeper, secret),
        use_model=lambda name: use_model(platform.settings, name),
        look_at_machine=lambda: _measurements(platform.settings),
        engine=ENGINE,
    )


def _measurements(settings: Settings) -> Measurements | None:
    from ikkan.silicon import device

    profile = device.load(settings.home / "device.json")
    return None if profile is None else Measurements(profile, device.roofline(profile))


def _admission(settings: Settings, joined: Cloud, keeper: SessionKeeper) -> Callable[..., Session | None]:
    """Who a page's visitor is: the session's key if it still stands, a key sent along, or this machine's own person."""

    def admit(request: Request, session: Session | None) -> Session | None:
        if session is not None and session.key_id is not None:
            try:
                key = joined.service.key(KeyId(session.key_id))
            except NotFound:
                return None
            return None if key.is_revoked else session
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if sent.startswith("sk-ik-"):
            return sign_in(joined, keeper, sent)
        headers = dict(request.headers)
        host = request.client.host if request.client else None
        if settings.allow_keyless_loopback and is_at_this_machine(request.method, host, headers):
            return session or keeper.open(
                LOCAL_TENANT,
                key_id=None,
                subject_id=joined.subjects.pseudonym(LOCAL_TENANT, "me"),
                scopes=(USER, ADMIN),
            )
        return None

    return admit


def sign_in(joined: Cloud, keeper: SessionKeeper, secret: str) -> Session | None:
    """A session for a key, or None if it opens nothing."""
    try:
        principal = joined.freshness.authenticate_now(secret)
    except NotAuthenticated:
        return None
    subject: SubjectId = principal.subject_id or joined.subjects.pseudonym(
        principal.tenant_id, f"key:{principal.key_id}"
    )
    return keeper.open(
        principal.tenant_id, key_id=principal.key_id, subject_id=subject, scopes=tuple(sorted(principal.scopes))
    )


def _session_secret(folder: Path) -> bytes:
    path = folder / "sessions.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(32))
        # If another process of ours was first, its secret counts.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_bytes()


def _static(platform: Platform) -> Sequence[BaseRoute]:
    vendor = _vendor_folder(platform.settings)
    mounts = [Mount("/static/console", StaticFiles(packages=[("ikkan.console", "static")]))]
    mounts += [
        Mount(f"/static/{app.name}", StaticFiles(packages=[(app.templates, "static")], check_dir=False))
        for app in platform.apps
        if app.templates and (Path(importlib.import_module(app.templates).__path__[0]) / "static").exists()
    ]
    files = {
        "htmx.min.js": "htmx.org/dist/htmx.min.js",
        "uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
        "uPlot.min.css": "uplot/dist/uPlot.min.css",
    }

    async def asset(request: Request) -> Response:
        from starlette.responses import FileResponse

        path = vendor / files.get(request.path_params["name"], "-")
        if not path.is_file():
            raise NotFound("the pages' assets are not installed", hint="make setup (needs Node.js), then start again")
        return FileResponse(path, headers={"cache-control": "public, max-age=86400"})

    return [Route("/static/vendor/{name}", asset), *mounts, Mount("/static", StaticFiles(directory=static_folder()))]


def _vendor_folder(settings: Settings) -> Path:
    """Where npm put the pages' assets: the checkout this runs from, else the home."""
    checkout = Path(__file__).parents[3] / "web" / "node_modules"
    return checkout if checkout.exists() else settings.home / "web" / "node_modules"


def _health(platform: Platform) -> Callable[[Request], Any]:
    async def health(request: Request) -> JSONResponse:
        upstreams = {name: state.ok for name, state in (await platform.cloud.router.health()).items()}
        # Our own engine is part of the house, if it has a model to serve; other upstreams are others' business.
        engine_expected = bool(engine_models(platform.settings)[0])
        ready = upstreams.get(ENGINE, False) or not engine_expected
        told = {"ready": ready, "version": __version__, "upstreams": upstreams}
        return JSONResponse(told, status_code=200 if ready else 503)

    return health


async def _alive(request: Request) -> JSONResponse:
    return JSONResponse({"alive": True})


async def _reserved(request: Request) -> Response:
    raise NotFound("/mcp is reserved for tools", hint="it opens when the first app offers some")


def _say(platform: Platform) -> Callable[[Request, Exception], Any]:
    async def say(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = _named(error, request)
        elif not isinstance(error, IkkanError):
            log.exception("a request failed", extra={"path": request.url.path})
            error = Internal("something broke on our side", hint="the gateway's log says more")
        if request.url.path.startswith(("/v1", "/a/", "/admin", "/api", "/mcp", "/health", "/metrics")):
            return error_reply(error)
        return console.page_error(platform.frame, request, error)

    return say


def _named(error: HTTPException, request: Request) -> IkkanError:
    if error.status_code == 404:
        return NotFound(f"nothing is at {request.url.path}", hint="start at /")
    return BadInput(f"{request.method} is not what {request.url.path} takes", hint="see the page it belongs to")
