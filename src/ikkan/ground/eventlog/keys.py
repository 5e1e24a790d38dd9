"""Keys and tombstones: what opens an event, and what is remembered of the erased."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ikkan.ground.errors import SetupNeeded
from ikkan.ground.ids import TenantId, new_id

log = logging.getLogger(__name__)

_FORMAT = b"\x01"
"""First byte of everything sealed: format 1 is a 12-byte nonce, then AES-256-GCM ciphertext with its tag."""
_TOMBSTONE = re.compile(r"[0-9a-f]{64}")
_TOMBSTONES_BYTES = 1 << 28
"""Of a file of tombstones: room for two million people. A larger one is not ours."""


class Keys:
    """The master key, in a folder outside the database, and the tombstones, in a file outside every backup.

    Made by `Keys.open`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keys = Keys.open(Path(folder) / "keys")
    ...     box = keys.seal(keys.master, b"hello", b"for ada")
    ...     keys.master == Keys.open(Path(folder) / "keys").master, keys.unseal(keys.master, box, b"for ada")
    (True, b'hello')
    """

    def __init__(self, master: bytes, tombstones: Path) -> None:
        assert len(master) == 32, "the master key has 256 bits"
        self.master = master
        self._wraps = AESGCM(master)
        self._tombstones = tombstones
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (-1, -1)
        self._buried: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path, tombstones: Path | None = None) -> Keys:
        """Load the master key from `folder/master.key`, making it (mode 0600) the first time.

        Whoever has this folder and the database can read everything: keep backups as you would keep the home.

        Args:
            folder: holds the master key.
            tombstones: the file of the erased; what an earlier release left in `folder/erased` is added to it.
                Without it, that file itself.

        Raises:
            SetupNeeded: the file is there and is not a key, or the tombstones cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "master.key"
        if not path.exists():
            fresh = folder / f".{new_id('master')}"
            _write_private(fresh, os.urandom(32).hex().encode() + b"\n")
            try:
                os.link(fresh, path)  # whoever comes first wins; the other reads the winner's
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
            _sync_folder(folder)
        try:
            master = bytes.fromhex(path.read_text().strip())
        except ValueError:
            master = b""
        if len(master) != 32:
            raise SetupNeeded(
                f"{path} is not a master key", hint="restore it from your backup of the keys folder", path=str(path)
            )
        if path.stat().st_mode & 0o077:
            log.warning("others on this machine can read the master key", extra={"path": str(path)})
        former = folder / "erased"
        keys = cls(master, tombstones or former)
        if tombstones is not None and former.is_file():
            keys.learn(former)
        return keys

    def seal(self, key: bytes, plain: bytes, context: bytes) -> bytes:
        """Encrypt; only the same key and the same context open it again."""
        return seal(AESGCM(key), plain, context)

    def unseal(self, key: bytes, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            InvalidTag: another key or context, or the bytes were changed.
        """
        return unseal(AESGCM(key), sealed, context)

    def wrap(self, tenant_id: TenantId, subject: str, key: bytes) -> bytes:
        """A subject's key, closed with the master key."""
        return seal(self._wraps, key, _context("key", tenant_id, subject))

    def unwrap(self, tenant_id: TenantId, subject: str, wrapped: bytes) -> bytes:
        """A subject's key, opened.

        Raises:
            SetupNeeded: this master key did not close it.
        """
        try:
            return unseal(self._wraps, wrapped, _context("key", tenant_id, subject))
        except InvalidTag:
            raise SetupNeeded(
                "the master key in the keys folder is not the one this database was written with",
                hint="restore <home>/keys/master.key from your backup",
            ) from None

    def tombstone(self, tenant_id: TenantId, subject: str) -> str:
        """What is remembered of an erased person: a keyed hash, from which nobody can be listed."""
        return hmac.new(self.master, _context("tombstone", tenant_id, subject), hashlib.sha256).hexdigest()

    def bury(self, tombstone: str, at: datetime) -> None:
        """Write a tombstone to the file, on disk when this returns.

        Raises:
            SetupNeeded: the file cannot be written; nobody was erased.
        """
        self._carve([f"{tombstone} {at.astimezone(UTC).isoformat()}"])

    def learn(self, other: Path) -> int:
        """Add what another file of tombstones knows; returns how many were new here.

        Raises:
            SetupNeeded: it is no such file, or ours cannot be written.
        """
        known = self.buried()
        lines = [line for line in _tombstone_lines(other) if line.split()[0] not in known]
        if lines:
            self._carve(lines)
        return len(lines)

    def buried(self) -> frozenset[str]:
        """Every tombstone in the file, also those another process wrote a moment ago."""
        try:
            facts = self._tombstones.stat()
        except FileNotFoundError:
            return frozenset()
        with self._lock:
            if self._seen != (facts.st_mtime_ns, facts.st_size):
                self._buried = frozenset(line.split()[0] for line in _tombstone_lines(self._tombstones))
                self._seen = (facts.st_mtime_ns, facts.st_size)
            return self._buried

    def _carve(self, lines: Sequence[str]) -> None:
        try:
            descriptor = os.open(self._tombstones, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                # A power cut may have left half a line; what follows it must not be lost with it.
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, ("\n" * torn + "".join(f"{line}\n" for line in lines)).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync_folder(self._tombstones.parent)
        except OSError as exc:
            raise SetupNeeded(
                f"the list of erased people, {self._tombstones}, cannot be written: {exc.strerror}",
                hint="let this user write there, or choose another place outside the home: IKKAN_ERASURES=/path/erased",
                path=str(self._tombstones),
            ) from exc


def _tombstone_lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _TOMBSTONES_BYTES:
            raise SetupNeeded(f"{path} is not a list of erased people", hint="IKKAN_ERASURES names another file?")
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError as exc:
        # Going on without it would serve people who were erased.
        raise SetupNeeded(
            f"the list of erased people, {path}, cannot be read: {exc.strerror}",
            hint="let this user read it, or put it back from your copy",
            path=str(path),
        ) from exc
    return [line for line in lines if _TOMBSTONE.fullmatch(line.partition(" ")[0])]


def _context(*words: str) -> bytes:
    return b"\x00".join(word.encode() for word in ("ikkan", *words))


def event_context(id: str, name: str, version: int, tenant_id: str, subject: str) -> bytes:
    """What an event's payload is bound to: it opens as no other event's, and as nobody else's."""
    return f"ikkan\x00event\x00{id}\x00{name}\x00{version}\x00{tenant_id}\x00{subject}".encode()


def seal(key: AESGCM, plain: bytes, context: bytes) -> bytes:
    """Encrypt; only the same key and the same context open it again."""
    nonce = os.urandom(12)
    return _FORMAT + nonce + key.encrypt(nonce, plain, context)


def unseal(key: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made, or raise `InvalidTag`."""
    if sealed[:1] != _FORMAT:
        raise InvalidTag
    return key.decrypt(sealed[1:13], sealed[13:], context)


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
