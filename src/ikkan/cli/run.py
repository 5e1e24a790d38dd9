"""Starting things: `up` supervises everything; `serve`, `worker` and `engine serve` are one process each."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show
from ikkan.ground.errors import AlreadyRunning
from ikkan.ground.processes import ProcessSpec, ProcessState, Supervisor, read_state, require_free_port
from ikkan.ground.settings import Settings

engine_app = typer.Typer(no_args_is_help=True, help="Our own language-model server.")

_ENGINE_ENV = {
    # Two arenas are plenty for two compute threads, and keep the resident size near what is really used.
    "MALLOC_ARENA_MAX": "2",
}


def up(
    check: Annotated[bool, typer.Option("--check", help="Say in one JSON line what runs, and end.")] = False,
    port: Annotated[int | None, typer.Option(help="The gateway's port.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start gateway, engine and worker, and keep them running until you press Ctrl-C."""
    settings = bootstrap.settings(port=port)
    if check:
        show(running(settings), as_json=True)
        return
    state = read_state(settings.run_dir)
    if state is not None:
        pid = state["supervisor"]["pid"]
        raise AlreadyRunning(
            f"ikkan already runs in {settings.home} (process {pid}), at {settings.base_url}",
            hint=f"open {settings.base_url}, or stop it: kill {pid}",
            pid=pid,
        )
    require_free_port(settings.host, settings.port)
    started_s = time.monotonic()
    prepared = bootstrap.prepare(settings, tell=_tell)
    specs = _specs(settings)
    welcome = _welcome(settings, prepared, started_s, waiting={spec.name for spec in specs})
    Supervisor(specs, settings.run_dir, on_change=welcome).run()
    _tell("stopped")


def serve(port: Annotated[int | None, typer.Option(help="The gateway's port.")] = None) -> None:
    """Run the gateway alone: API, apps, console."""
    settings = bootstrap.settings(port=port)
    require_free_port(settings.host, settings.port)
    bootstrap.serve(settings)


def worker() -> None:
    """Run the worker alone: it executes durable jobs."""
    bootstrap.work(bootstrap.settings())


@engine_app.command("serve")
def engine_serve(
    model: Annotated[str, typer.Argument(help="An alias, a stored model's name, a GGUF file or a safetensors folder.")],
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8701,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    threads: Annotated[int | None, typer.Option(help="Threads to compute with; default: all we may use.")] = None,
    embedder: Annotated[str | None, typer.Option(help="An embedding model to serve beside it.")] = None,
    context: Annotated[int | None, typer.Option(help="Longest conversation in tokens.")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Answers computed at the same time.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER: a LoRA adapter to begin with.")] = None,
    adapter_folder: Annotated[list[Path] | None, typer.Option(help="Requests may load adapters from below it.")] = None,
    embed: Annotated[str | None, typer.Option(help="last or mean: the chat model embeds texts as well.")] = None,
) -> None:
    """Serve one chat model (and an embedder) on the OpenAI wire. Needs no gateway and no database."""
    settings = bootstrap.settings()
    require_free_port(host, port)
    bootstrap.serve_engine(
        settings,
        model,
        host=host,
        port=port,
        threads=threads,
        embedder=embedder,
        context=context,
        max_batch=max_batch,
        adapters=adapter or (),
        adapter_folders=adapter_folder or (),
        embed=embed,
    )


def running(settings: Settings) -> dict[str, Any]:
    """What runs in this home, from the supervisor's own record and the gateway's health."""
    state = read_state(settings.run_dir)
    if state is None:
        return {"running": False, "home": str(settings.home), "url": settings.base_url, "processes": {}}
    health: Mapping[str, Any] = {"ready": False}
    try:
        with urllib.request.urlopen(f"{settings.base_url}/health", timeout=5) as reply:
            health = json.loads(reply.read())
    except (OSError, ValueError):
        pass  # not ready, or not there: the processes below say more
    return {
        "running": True,
        "home": str(settings.home),
        "url": settings.base_url,
        "ready": health.get("ready", False),
        "supervisor": state["supervisor"],
        "processes": state["processes"],
    }


def _specs(settings: Settings) -> list[ProcessSpec]:
    engine_port = _free_port()
    engine_url = f"http://127.0.0.1:{engine_port}"
    environ = {
        **bootstrap.environ(),
        **_ENGINE_ENV,
        "IKKAN_HOME": str(settings.home),
        "IKKAN_PORT": str(settings.port),
        "IKKAN_ENGINE_URL": engine_url,
    }
    me = [sys.executable, "-m", "ikkan"]
    logs = settings.logs_dir
    chat, embedder = bootstrap.engine_models(settings)
    engine = [*me, "engine", "serve", chat, "--port", str(engine_port)] + (["--embedder", embedder] if embedder else [])
    specs = [
        ProcessSpec("engine", engine, environ, f"{engine_url}/health", logs / "engine.log"),
        ProcessSpec("gateway", [*me, "serve"], environ, f"{settings.base_url}/health/gateway", logs / "gateway.log"),
        ProcessSpec("worker", [*me, "worker"], environ, None, logs / "worker.log"),
    ]
    return specs if chat else specs[1:]


def _welcome(
    settings: Settings, prepared: bootstrap.Prepared, started_s: float, *, waiting: set[str]
) -> Callable[[ProcessState], None]:
    greeted = False

    def changed(state: ProcessState) -> None:
        nonlocal greeted
        if state.phase == "ready":
            waiting.discard(state.name)
            if not greeted and not waiting:
                greeted = True
                _tell(_greeting(settings, prepared, time.monotonic() - started_s))
        elif state.phase == "waiting" and state.exit_code is not None:
            _tell(f"{state.name} ended with {state.exit_code}; starting it again (its log: logs/{state.name}.log)")

    return changed


def _greeting(settings: Settings, prepared: bootstrap.Prepared, took_s: float) -> str:
    key = prepared.admin_key
    lines = [
        "",
        f"  ikkan is ready after {took_s:.1f} s:  {settings.base_url}",
        f"  your key (shown once): {key}"
        if key
        else "  your key: the one you were shown at first (ikkan key create makes another)",
        "",
        f"  1. ask something         {settings.base_url}/assistant",
        f"  2. correct it, and turn  {settings.base_url}/wheel",
        f'  3. the openai client     OpenAI(base_url="{settings.base_url}/v1", api_key=…); see examples/first_hour.py',
        "",
        "  The sample model is small and English; Japanese questions are answered from the company's own knowledge.",
        "  Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
