"""Artifacts: what jobs make and keep - datasets, trained models, evidence - named by their content.

An artifact is a folder of files and a `manifest.json`. Its id is the hash of what is in it, so the same result made
twice is one artifact, and a changed file is never mistaken for the original. The manifest is written last and the
folder is renamed into place at the end: a manifest that is there means the artifact is whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from ikkan.ground.errors import BadInput, ChecksumMismatch, TruncatedFile, UnknownArtifact
from ikkan.ground.ids import ArtifactId, new_id

_ID = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of an artifact, as it was when it was put."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is, where it comes from and under which terms."""

    id: ArtifactId
    kind: str
    """What it is for: `dataset`, `ranker`, `road-graph`."""
    source: str
    """Where it came from: a URL, a job, a person's upload."""
    licence: str
    """SPDX name of its terms, or empty where it is the company's own."""
    built_from: tuple[ArtifactId, ...]
    """Its parents: when one changes, this may have to be made again."""
    facts: Mapping[str, Any]
    """What its maker wants remembered: seeds, scores, counts."""
    files: Mapping[str, FileFacts]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A whole artifact on disk. Its files are read-only."""

    id: ArtifactId
    kind: str
    path: Path
    manifest: Manifest


class ArtifactStore:
    """Artifacts under one folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = ArtifactStore(Path(folder))
    ...     made = store.put({"notes.txt": b"hello"}, kind="notes", source="doctest")
    ...     again = store.put({"notes.txt": b"hello"}, kind="notes", source="elsewhere")
    ...     with store.open(made.id, "notes.txt") as file:
    ...         made.id == again.id, made.id[:14], file.read()
    (True, 'sha256:9590a5c', b'hello')
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(
        self,
        files: Mapping[str, bytes | Path],
        *,
        kind: str,
        source: str,
        licence: str = "",
        built_from: Sequence[ArtifactId] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Keep these files; on disk, whole, when this returns. The same content again gives the first one back.

        Args:
            files: content, or a file to copy, by relative name (`weights/layer0.npy`).
            kind: part of the identity: the same bytes as another kind are another artifact.

        Raises:
            BadInput: no files, or a name that would leave the artifact's folder.
        """
        if not files:
            raise BadInput("an artifact has at least one file", hint="nothing was produced; look at the job's log")
        for name in files:
            _check_name(name)
        staging = self._root / ".staging" / new_id("put")
        staging.mkdir(parents=True)
        try:
            entries = {name: _copy_in(files[name], staging / name) for name in sorted(files)}
            artifact_id = _identity(kind, entries)
            final = self._folder(artifact_id)
            manifest = Manifest(
                id=artifact_id,
                kind=kind,
                source=source,
                licence=licence,
                built_from=tuple(built_from),
                facts=dict(facts or {}),
                files=entries,
            )
            encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            _copy_in(encoded, staging / "manifest.json")
            for folder in {staging, *(path.parent for path in staging.rglob("*"))}:
                _sync(folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                staging.rename(final)
            except OSError:
                if not (final / "manifest.json").is_file():
                    raise
            _sync(final.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return self.get(artifact_id)

    def get(self, artifact_id: ArtifactId) -> Artifact:
        """The artifact of this id.

        Raises:
            UnknownArtifact: there is none, or its manifest cannot be read.
        """
        folder = self._folder(artifact_id)
        try:
            manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as exc:
            raise UnknownArtifact(
                f"no artifact {artifact_id}", hint="it was deleted, or belongs to another home", artifact=artifact_id
            ) from exc
        return Artifact(manifest.id, manifest.kind, folder, manifest)

    def open(self, artifact_id: ArtifactId, name: str) -> BinaryIO:
        """One of its files, for reading.

        Raises:
            UnknownArtifact: no such artifact, or no such file in it.
        """
        artifact = self.get(artifact_id)
        if name not in artifact.manifest.files:
            raise UnknownArtifact(
                f"artifact {artifact_id} has no file {name!r}",
                hint=f"it has: {', '.join(artifact.manifest.files)}",
                artifact=artifact_id,
            )
        return (artifact.path / name).open("rb")

    def verify(self, artifact_id: ArtifactId) -> Artifact:
        """Read every byte again and compare with the manifest and the id.

        Raises:
            TruncatedFile: a file is shorter than it was, or gone.
            ChecksumMismatch: a file or the manifest is not what it was.
        """
        artifact = self.get(artifact_id)
        for name, entry in artifact.manifest.files.items():
            path = artifact.path / name
            size = path.stat().st_size if path.is_file() else 0
            if size < entry.bytes:
                raise TruncatedFile(
                    f"{name} of {artifact_id} has {size:,} of {entry.bytes:,} bytes",
                    hint="delete the artifact and run the job that made it again",
                    artifact=artifact_id,
                )
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != entry.sha256:
                raise _mismatch(artifact_id, name)
        if _identity(artifact.kind, artifact.manifest.files) != artifact_id or artifact.id != artifact_id:
            raise _mismatch(artifact_id, "manifest.json")
        return artifact

    def list(self, kind: str | None = None) -> Iterator[Artifact]:
        """Every whole artifact, of one kind or of all, in the order of their ids."""
        for path in sorted(self._root.glob("[0-9a-f][0-9a-f]/*/manifest.json")):
            artifact = self.get(ArtifactId(f"sha256:{path.parent.name}"))
            if kind is None or artifact.kind == kind:
                yield artifact

    def delete(self, artifact_id: ArtifactId) -> None:
        """Remove it: gone at once for everyone who asks, and soon from the disk. Absent is fine."""
        grave = self._root / ".staging" / new_id("delete")
        grave.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._folder(artifact_id).rename(grave)
        except FileNotFoundError:
            return
        shutil.rmtree(grave, ignore_errors=True)

    def _folder(self, artifact_id: ArtifactId) -> Path:
        if not _ID.fullmatch(artifact_id):
            raise UnknownArtifact(
                f"{artifact_id!r} is not an artifact id", hint="an id is sha256: and 64 hexadecimal digits"
            )
        digest = artifact_id.removeprefix("sha256:")
        return self._root / digest[:2] / digest


def _identity(kind: str, files: Mapping[str, FileFacts]) -> ArtifactId:
    content = [kind, [[name, files[name].sha256] for name in sorted(files)]]
    return ArtifactId(f"sha256:{hashlib.sha256(msgspec.json.encode(content)).hexdigest()}")


def _mismatch(artifact_id: ArtifactId, name: str) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{name} of {artifact_id} was changed after it was put",
        hint="delete the artifact and run the job that made it again",
        artifact=artifact_id,
    )


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    normal = "/".join(parts)
    if not parts or normal != name or ".." in parts or name.startswith("/") or "\\" in name or "\x00" in name:
        raise BadInput(f"{name!r} cannot name a file of an artifact", hint="a relative name such as weights/0.npy")
    if name == "manifest.json":
        raise BadInput("manifest.json is written by the store", hint="choose another name")


def _copy_in(content: bytes | Path, target: Path) -> FileFacts:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        for chunk in _chunks(content):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(0o444)
    return FileFacts(digest.hexdigest(), size)


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as exc:
        raise BadInput(f"cannot read {content}: {exc.strerror}", hint="is the path right?") from exc


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
