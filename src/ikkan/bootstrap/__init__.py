"""Bootstrap: settings in, processes and a Platform out. The only room that knows every other.

Lives here: what a start does (`prepare`), one function for each process, and `platform.py`, where all rooms are joined.
May not enter: decisions of any room. (Contract "Rooms are stacked".)
Begin at `platform.build`. This file stays light: the engine and the supervisor load no database and no pages.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ikkan.bootstrap.names import DEFAULTS, ENGINE
from ikkan.ground import log as ground_log
from ikkan.ground.errors import BadInput, NotFound, UnknownSetting
from ikkan.ground.processes import request_restart
from ikkan.ground.settings import Settings, load_settings

if TYPE_CHECKING:
    from ikkan.bootstrap.backup import Restored
    from ikkan.bootstrap.platform import Platform
    from ikkan.ground.backup import Made
    from ikkan.models.store import ModelStore
    from ikkan.silicon.device import DeviceProfile

__all__ = [
    "DEFAULTS",
    "ENGINE",
    "Prepared",
    "back_up",
    "device_profile",
    "engine_models",
    "environ",
    "kernel_cache",
    "load_sample",
    "model_store",
    "opened",
    "prepare",
    "restore",
    "serve",
    "serve_engine",
    "settings",
    "use_model",
    "work",
]


# ---- settings ---------------------------------------------------------------------------------------------------


def environ() -> dict[str, str]:
    """The environment of this process. Read here and nowhere else."""
    return dict(os.environ)


def settings(*, port: int | None = None) -> Settings:
    """The settings of this process, from its environment and the command line."""
    return load_settings(environ(), overrides={} if port is None else {"port": port})


# ---- starting ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a start found and made."""

    admin_key: str | None
    """The first key, when this start made it: shown once."""


def prepare(settings: Settings, *, tell: Callable[[str], None] = lambda text: None) -> Prepared:
    """Make this home ready: folders, tables, the first key, the sample workspace. Free where that was done."""
    for folder in (settings.home, settings.logs_dir, settings.run_dir):
        folder.mkdir(parents=True, exist_ok=True)
    settings.home.chmod(0o700)
    mark = settings.run_dir / "prepared"
    wanted = f"{_newest_migration()} {settings.database_url}"
    if mark.exists() and mark.read_text() == wanted:
        return Prepared(None)
    from ikkan.bootstrap.platform import make_ready

    admin_key = make_ready(settings, tell)
    mark.write_text(wanted)
    return Prepared(admin_key)


def serve(settings: Settings) -> None:
    """The gateway's process."""
    from ikkan.bootstrap import platform

    platform.serve(settings)


def work(settings: Settings) -> None:
    """The worker's process: durable jobs until SIGTERM."""
    from ikkan.bootstrap import platform

    platform.work(settings)


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Platform]:
    """The platform for the length of one command; tables are made or brought up to date first."""
    from ikkan.bootstrap import platform

    with platform.opened(settings) as joined:
        yield joined


def load_sample(platform: Platform, *, seed: int = 1) -> dict[str, int]:
    """Load the sample firm's help desk: its knowledge, and eight weeks of visits as events. Repeatable."""
    from ikkan.bootstrap import platform as house

    return house.load_sample(platform, seed=seed)


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
    adapters: Sequence[str] = (),
    adapter_folders: Sequence[Path] = (),
    embed: str | None = None,
) -> None:
    """The engine's process: needs neither gateway nor database.

    Args:
        adapters: `NAME=FOLDER` of adapters to begin with.
        adapter_folders: requests may load adapters from below these, besides the home's models and artifacts.
        embed: `last` or `mean`: the chat model embeds texts as well.

    Raises:
        BadInput: an adapter without a name, or another way to embed.
    """
    given = [_named(one) for one in adapters]
    if embed not in (None, "last", "mean"):
        raise BadInput(f"--embed {embed}: last or mean", hint="last for models trained as embedders, such as Qwen3's")
    ground_log.configure(settings.log_level)
    _use_kernel_cache(settings)
    _use_kernel_path(settings)
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
        kv_bits=8 if settings.kv_cache == "int8" else 16,
        guess=settings.guess_ahead,
        lease=DeviceLease(settings.run_dir / "device.lease"),
        adapters=given,
        adapter_folders=[settings.models_dir, settings.artifacts_dir, *adapter_folders],
        pooling=embed,
    )


# ---- keeping, and coming back ----------------------------------------------------------------------------------------


def back_up(
    settings: Settings,
    target: Path,
    *,
    models: bool = False,
    keep: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """Write one file with everything this home knows; the platform may run meanwhile.

    Args:
        target: a file that is not there yet, or a folder, in which it is named after this moment.
        models: whether stored models go in too; else the backup names them.
        keep: with a folder, how many of its newest backups stay.
    """
    from ikkan.bootstrap import backup

    return backup.back_up(settings, target, models=models, keep=keep, progress=progress)


def restore(
    settings: Settings, archive: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Restored:
    """Put a backup at this home, which must be empty; whoever was erased since is forgotten again first."""
    from ikkan.bootstrap import backup

    return backup.restore(settings, archive, progress=progress)


# ---- smaller deeds, for the command line and the pages ---------------------------------------------------------------


def model_store(settings: Settings) -> ModelStore:
    """The models of this home."""
    from ikkan.models.store import ModelStore

    return ModelStore(
        settings.models_dir, hf_endpoint=settings.hf_endpoint, modelscope_endpoint=settings.modelscope_endpoint
    )


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
        _use_kernel_path(settings)
        profile = device.measure(settings.engine_threads)
        settings.home.mkdir(parents=True, exist_ok=True)
        device.save(profile, path)
        return profile
    stored = device.load(path)
    if stored is None:
        raise NotFound("this machine was not measured yet", hint="ikkan silicon")
    return stored


def kernel_cache(settings: Settings) -> str:
    """The folder in which this home keeps compiled kernels: for `NUMBA_CACHE_DIR`, before numba is imported."""
    # Compiled kernels are kept with the home, so that a second start is quick wherever the package lies. The folder is
    # named after their source and this processor: numba does not notice when a function called by another changes.
    from ikkan.silicon import device

    package = Path(__file__).parent.parent
    key = device.cache_key(package / "silicon", package / "models" / "families")
    root = Path(os.environ.get("NUMBA_CACHE_DIR", settings.home / "cache" / "numba"))
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


# ---- private ---------------------------------------------------------------------------------------------------


def _use_kernel_path(settings: Settings) -> None:
    from ikkan.silicon import kernels

    if settings.kernel_path == "auto":
        return
    found = kernels.available_paths()
    if settings.kernel_path not in found:
        raise UnknownSetting(
            f"this processor has no kernel path {settings.kernel_path!r}",
            hint=f"auto, {', '.join(found)}",
            setting="kernel_path",
        )
    kernels.set_path(settings.kernel_path)


def _use_kernel_cache(settings: Settings) -> None:
    os.environ["NUMBA_CACHE_DIR"] = kernel_cache(settings)


def _named(adapter: str) -> tuple[str, Path]:
    name, found, folder = adapter.partition("=")
    if not (name and found and folder):
        raise BadInput(f"--adapter {adapter!r} names no folder", hint="--adapter NAME=FOLDER")
    return name, Path(folder).expanduser()


def _names(store: ModelStore, model: str) -> list[str]:
    """What requests may call it: the alias first where one was used, then the stored name."""
    stored = store.aliases().get(model, model)
    return list(dict.fromkeys([model, Path(stored).stem if "/" in stored else stored]))


def _newest_migration() -> str:
    folder = Path(__file__).parent.parent / "ground" / "migrations" / "versions"
    return max(path.stem for path in folder.glob("*.py"))
