"""Where the sound of meetings lies: files with a key each, which stands in the meeting's row."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from ikkan.apps.meetings.rules.hearing import RATE
from ikkan.apps.meetings.service.sound.formats import Sound, open_sound
from ikkan.apps.meetings.service.sound.sealed import Growing, Sealed, seal_file
from ikkan.apps.meetings.store.hearing import KeptSound
from ikkan.ground.errors import ErasedSubject
from ikkan.ground.eventlog import Keys
from ikkan.ground.ids import SubjectId, TenantId, new_id

PCM = "audio/x-ikkan-pcm16"
"""Of sound that came live: 16-bit mono at 16,000 a second, without a header."""
_YOUNG_S = 3600.0
"""A file may be there a moment before its row."""
_TYPES = {
    "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "mp4": "video/mp4", "aac": "audio/aac", "webm": "video/webm",
    "mov": "video/quicktime", "mkv": "video/x-matroska",
}  # fmt: skip


class Shelf:
    """The folder of sounds. Names of files say nothing of what is in them."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder = folder
        self._keys = keys

    def keep(self, file: BinaryIO, tenant_id: TenantId, number: int, filename: str) -> KeptSound:
        """Seal a recording under a key of its own; the caller's row makes it stay."""
        name, key = new_id("sound"), os.urandom(32)
        digest = _Digest(file)
        total = seal_file(digest, self._path(name), key, name)  # type: ignore[arg-type]  # reads are all it takes
        ending = filename.rpartition(".")[2].lower()
        media_type = _TYPES.get(ending, "application/octet-stream")
        wrapped = self._keys.wrap(tenant_id, name, key)
        return KeptSound(number, name, wrapped, media_type, filename[:300], total, digest.hexdigest(), 0.0, False)

    def begin(self, tenant_id: TenantId, number: int) -> KeptSound:
        """A recording that will grow."""
        name = new_id("sound")
        wrapped = self._keys.wrap(tenant_id, name, os.urandom(32))
        return KeptSound(number, name, wrapped, PCM, "live.wav", 0, "", 0.0, False)

    def growing(self, tenant_id: TenantId, sound: KeptSound) -> Growing:
        """A recording that grows, where it was left."""
        key = self._keys.unwrap(tenant_id, sound.file, sound.key)
        return Growing(self._path(sound.file), key, sound.file)

    def bytes_of(self, tenant_id: TenantId, sound: KeptSound) -> Sealed:
        """What was kept, as it came."""
        key = self._keys.unwrap(tenant_id, sound.file, sound.key)
        return Sealed(self._path(sound.file), key, sound.file, sound.bytes)

    def open(self, tenant_id: TenantId, sound: KeptSound) -> Sound:
        """What was kept, as sound."""
        return open_sound(self.bytes_of(tenant_id, sound), sound.filename, is_pcm=sound.media_type == PCM)  # type: ignore[arg-type]

    def size(self, sound: KeptSound) -> int:
        """Bytes that a player is given."""
        return sound.bytes + (len(_wav_head(0)) if sound.media_type == PCM else 0)

    def played(self, tenant_id: TenantId, sound: KeptSound, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end` of what a player is given."""
        head = _wav_head(sound.bytes) if sound.media_type == PCM else b""
        if start < len(head):
            yield head[start:end]
        with self.bytes_of(tenant_id, sound) as sealed:
            yield from sealed.between(max(0, start - len(head)), end - len(head))

    def require_person(self, tenant_id: TenantId, subject_id: SubjectId | None) -> None:
        """Refuse an erased person's sound, as the event log refuses their events.

        Raises:
            ErasedSubject: they are.
        """
        if subject_id is not None and self._keys.tombstone(tenant_id, subject_id) in self._keys.buried():
            raise ErasedSubject("this person was erased", hint="nothing more is kept about them")

    def sweep(self, known: Collection[str]) -> int:
        """Remove files that no row names: their keys are gone, and nobody can read them. Returns how many."""
        gone = 0
        young = time.time() - _YOUNG_S
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if path.stem not in known and path.stat().st_mtime < young:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def discard(self, name: str) -> None:
        """Remove a file whose row is gone."""
        for path in (self._path(name), self._path(name).with_suffix(".tail")):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.sealed"


class _Digest:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def read(self, many: int) -> bytes:
        data = self._file.read(many)
        self._sha256.update(data)
        return data

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _wav_head(size: int) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size
    )
