"""Bootstrap: the only module that knows everyone. Settings in, Platform out.

Begin at `build`: it reads top to bottom in the order of the floors. `asgi` puts the doors of all rooms on one port;
`prepare` is what a start does before anything listens; `serve`, `work` and `serve_engine` are one process each.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

import ikkan.apps
from ikkan import __version__, console
from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.directory import ANY_MODEL
from ikkan.cloud.door import is_at_this_machine
from ikkan.cloud.values import ADMIN, LOCAL_TENANT, USER
from ikkan.console.desk import Desk, Measurements
from ikkan.console.words import WORDS
from ikkan.flywheel.service import Flywheel
from ikkan.ground import log as ground_log
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock, SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.errors import BadInput, IkkanError, Internal, NotAuthenticated, NotFound
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import KeyId, SubjectId
from ikkan.ground.jobs import JobContext, Jobs
from ikkan.ground.money import Price
from ikkan.ground.processes import request_restart
from ikkan.ground.settings import Settings, load_settings
from ikkan.kit import App, Frame, Parts, Place, Session, SessionKeeper, Words
from ikkan.kit.api import error_reply
from ikkan.kit.frame import static_folder
from ikkan.models.registry import Registry
from ikkan.models.store import ModelStore
from ikkan.silicon.device import DeviceProfile

log = logging.getLogger(__name__)

DEFAULTS = (("default", "smollm2-135m-instruct"), ("default-embed", "all-minilm-l6-v2"))
"""Aliases every installation has, and the models they begin with."""

ENGINE = "local"
"""What the router calls our own engine."""

ENGINE_PRICE = Price("JPY", input_micros=4_000_000, cached_micros=400_000, output_micros=20_000_000)
"""What our own engine's work is billed at until somebody sets a price: 4, 0.4 and 20 JPY per million tokens. Power
alone is about 1 JPY per million output tokens on two cores; the rest stands for the machine. A house price, not a
measurement."""


# ---- settings --------------------------------------------------------------------------------------------------------


def environ() -> dict[str, str]:
    """The environment of this process. Read here and nowhere else."""
    return dict(os.environ)


def settings(*, port: int | None = None) -> Settings:
    """The settings of this process, from its environment and the command line."""
    return load_settings(environ(), overrides={} if port is None else {"port": port})


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
    jobs: Jobs

    async def close(self) -> None:
        """Record what was answered, then let go of everything."""
        await self.cloud.close()
        self.jobs.close()
        self.database.close()


def build(settings: Settings, *, clock: Clock | None = None) -> Platform:
    """Join all rooms for one process. Opens the database; starts nothing."""
    clock = clock or SystemClock()
    database = Database(settings.database_url)
    keys = Keys.open(settings.keys_dir)
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
    )

    words = Words(WORDS)
    keeper = SessionKeeper(_session_secret(settings.keys_dir), clock)
    frame = Frame(keeper, words, _admission(settings, joined, keeper), language=settings.language)

    parts = Parts(
        settings=settings,
        clock=clock,
        database=database,
        events=events,
        artifacts=artifacts,
        registry=registry,
        cloud=joined,
        frame=frame,
    )
    apps = tuple(module.app(parts) for module in _app_modules())
    for app in apps:
        words.add(app.words)
        if app.templates:
            frame.add_templates(app.templates)
        for upstream in app.upstreams:
            joined.router.register(app.name, upstream, models=[app.name])

    learnables = [learnable for app in apps for learnable in app.learns]
    flywheel = Flywheel(database, events.reader(), registry, artifacts, learnables, clock, log=events)

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
        jobs=jobs,
    )
    _register_jobs(platform)
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
    for place in (Place("/", "nav.home"), Place("/assistant", "nav.chat"), Place("/wheel", "nav.wheel"),
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
    for app in platform.apps:
        if app.api is not None:
            routes.append(Mount(f"/a/{app.name}/v1", app.api))
        for route in app.pages:
            assert isinstance(route, Route), "a page is a plain route"
            path = f"/{app.name}{route.path}".rstrip("/")
            routes.append(Route(path, route.endpoint, methods=list(route.methods or ())))
    routes += console.routes(_desk(platform))
    return Starlette(
        routes=routes,
        exception_handlers={IkkanError: _say(platform), HTTPException: _say(platform), Exception: _say(platform)},
    )


# ---- starting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a start found and made."""

    new_home: bool
    admin_key: str | None
    """The first key, when this start made it: shown once."""


def prepare(settings: Settings, *, tell: Callable[[str], None] = lambda text: None) -> Prepared:
    """Make this home ready: folders, tables, the first key, the sample workspace; give back what a crash left open."""
    for folder in (settings.home, settings.logs_dir, settings.run_dir):
        folder.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    with opened(settings) as platform:
        with platform.database.transaction() as connection:
            platform.events.reconcile(connection)
        platform.cloud.sweep(alone=True)
        _prepare_cloud(platform)
        fresh = not platform.cloud.service.keys()
        admin_key = None
        if fresh:
            admin_key = platform.cloud.service.create_key("first", scopes=(USER, ADMIN)).secret
        if fresh and platform.events.count() == 0:
            tell("loading the sample workspace …")
            load_sample(platform)
        for name in platform.flywheel.names:
            platform.flywheel.ensure_champion(name)
        return Prepared(fresh, admin_key)


def serve(settings: Settings) -> None:
    """The gateway's process."""
    from ikkan.ground.asgi import serve as serve_asgi

    ground_log.configure(settings.log_level)
    platform = build(settings)
    # What a killed gateway left reserved is given back before anyone asks; on SQLite there is no other gateway.
    platform.cloud.sweep(alone=platform.database.dialect == "sqlite")
    _prepare_cloud(platform)
    serve_asgi(asgi(platform), host=settings.host, port=settings.port, on_stop=platform.close)


def work(settings: Settings) -> None:
    """The worker's process: durable jobs until SIGTERM."""
    ground_log.configure(settings.log_level)
    build(settings).jobs.run_worker()


def serve_engine(
    settings: Settings,
    model: str,
    *,
    host: str,
    port: int,
    threads: int | None = None,
    embedder: str | None = None,
    context: int | None = None,
    max_batch: int | None = None,
) -> None:
    """The engine's process: needs neither gateway nor database."""
    ground_log.configure(settings.log_level)
    _use_kernel_cache(settings)
    from ikkan.engine import serve as engine
    from ikkan.silicon.lease import DeviceLease

    store = model_store(settings)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    engine.run(
        store.resolve(model),
        host=host,
        port=port,
        names=_names(store, model),
        threads=threads or settings.engine_threads,
        embedder_path=store.resolve(embedder) if embedder else None,
        embedder_names=_names(store, embedder) if embedder else (),
        context_tokens=context or settings.context_tokens,
        max_batch=max_batch or settings.max_batch,
        kv_bytes=settings.kv_bytes,
        lease=DeviceLease(settings.run_dir / "device.lease"),
    )


# ---- smaller deeds, for the command line and the pages ---------------------------------------------------------------


def model_store(settings: Settings) -> ModelStore:
    """The models of this home."""
    return ModelStore(settings.models_dir, hf_endpoint=settings.hf_endpoint)


def engine_models(settings: Settings) -> tuple[str, str]:
    """What the engine serves: the chat model's and the embedder's alias, each empty when there is none."""
    aliases = model_store(settings).aliases()
    return tuple(alias if alias in aliases else "" for alias, _ in DEFAULTS)  # type: ignore[return-value]


def use_model(settings: Settings, name: str) -> None:
    """Let the engine serve a stored model for chat; a running engine is started again with it."""
    chat = DEFAULTS[0][0]
    store = model_store(settings)
    store.set_alias(chat, store.get(name).name)
    request_restart(settings.run_dir, "engine")


def device_profile(settings: Settings, *, measure: bool) -> DeviceProfile:
    """This machine's measurements: taken now, or the last ones."""
    from ikkan.silicon import device

    path = settings.home / "device.json"
    if measure:
        _use_kernel_cache(settings)
        profile = device.measure(settings.engine_threads)
        settings.home.mkdir(parents=True, exist_ok=True)
        device.save(profile, path)
        return profile
    stored = device.load(path)
    if stored is None:
        raise NotFound("this machine was not measured yet", hint="ikkan silicon")
    return stored


def load_sample(platform: Platform, *, seed: int = 1) -> dict[str, int]:
    """Load the sample firm's help desk: its knowledge, and eight weeks of visits as events. Repeatable."""
    from ikkan.apps.assistant import sample, service

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
    def turn(context: JobContext, learnable: str, shuffle: bool = False, seed: int = 0) -> dict[str, Any]:
        return context.step(
            "turn",
            lambda: platform.flywheel.run(
                learnable, seed=seed, shuffle=shuffle, progress=lambda done, told: context.progress(done, told)
            ).as_json(),
        )

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
        principal = joined.service.authenticate(secret)
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


def _use_kernel_cache(settings: Settings) -> None:
    # Compiled kernels are kept with the home, so that a second start is quick wherever the package lies. The folder is
    # named after their source and this processor: numba does not notice when a function called by another changes.
    from ikkan.silicon import device

    package = Path(__file__).parent
    key = device.cache_key(package / "silicon", package / "models" / "families")
    root = Path(os.environ.get("NUMBA_CACHE_DIR", settings.home / "cache" / "numba"))
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def _names(store: ModelStore, model: str) -> list[str]:
    """What requests may call it: the alias first where one was used, then the stored name."""
    stored = store.aliases().get(model, model)
    return list(dict.fromkeys([model, Path(stored).stem if "/" in stored else stored]))


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
    checkout = Path(__file__).parent.parent.parent / "web" / "node_modules"
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
