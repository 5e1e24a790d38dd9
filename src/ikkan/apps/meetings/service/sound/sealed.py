"""Files sealed piece by piece, so that any second of a long recording is read without the rest.

A file is pieces of 64 KiB, each AES-256-GCM under the file's own key and bound to the file's name and its place. A
recording that still grows has a tail beside it: what does not fill a piece yet, sealed as it came. What `append`
returned for is there after `kill -9`; half a record at the end is what nobody was told of.
"""

from __future__ import annotations

import fcntl
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ikkan.ground.errors import AlreadyRunning, BadFile

PIECE = 1 << 16
_NONCE, _TAG = 12, 16
_SEALED = PIECE + _NONCE + _TAG
_HEAD = 12


def seal_file(source: BinaryIO, target: Path, key: bytes, name: str) -> int:
    """Seal everything in `source` into a new file; returns the bytes. On disk when this returns."""
    cipher, total = AESGCM(key), 0
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _private(target) as file:
        while piece := _full(source):
            file.write(_sealed(cipher, piece, _context(name, total // PIECE)))
            total += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return total


class Sealed(io.RawIOBase):
    """A sealed file, read like any other.

    Args:
        size: bytes of what was sealed; a file that was cut short does not open as the whole.
    """

    def __init__(self, path: Path, key: bytes, name: str, size: int) -> None:
        self._file = path.open("rb")
        self._cipher = AESGCM(key)
        self._name = name
        self._size = size
        self._at = 0
        self._piece: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the wider type of a raw file
        if self._at >= self._size:
            return 0
        number, start = divmod(self._at, PIECE)
        part = self._opened(number)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, piece by piece."""
        self.seek(start)
        while self._at < min(end, self._size):
            number, first = divmod(self._at, PIECE)
            part = self._opened(number)[first : first + end - self._at]
            self._at += len(part)
            yield part

    def _opened(self, number: int) -> bytes:
        if self._piece[0] != number:
            size = min(PIECE, self._size - number * PIECE)
            self._file.seek(number * _SEALED)
            sealed = self._file.read(size + _NONCE + _TAG)
            self._piece = (number, _unsealed(self._cipher, sealed, _context(self._name, number)))
        return self._piece[1]


class Growing:
    """A recording that grows: pieces in one file, the tail in another. One writer; reading is for the same process."""

    def __init__(self, path: Path, key: bytes, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path, self._name, self._cipher = path, name, AESGCM(key)
        self._tail_path = path.with_suffix(".tail")
        self._lock = threading.Lock()
        self._file = _open_to_grow(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise AlreadyRunning(
                "another connection goes on with this meeting", hint="close the other page, or wait a moment"
            ) from None
        self._pieces = self._file.seek(0, os.SEEK_END) // _SEALED
        self._file.truncate(self._pieces * _SEALED)  # what follows the whole pieces is in the tail too
        self._tail_file = _open_to_grow(self._tail_path)
        self._tail = self._recovered()

    @property
    def size(self) -> int:
        """How much there is."""
        return self._pieces * PIECE + len(self._tail)

    def append(self, data: bytes) -> int:
        """Add to the end; it survives the process once this returns. Returns how much there is."""
        with self._lock:
            while data:
                part, data = data[: PIECE - len(self._tail)], data[PIECE - len(self._tail) :]
                at = self.size.to_bytes(8, "big")
                sealed = _sealed(self._cipher, part, _context(self._name, -1, at))
                _write(self._tail_file, at + len(sealed).to_bytes(4, "big") + sealed)
                self._tail += part
                if len(self._tail) == PIECE:
                    self._file.seek(self._pieces * _SEALED)
                    _write(self._file, _sealed(self._cipher, bytes(self._tail), _context(self._name, self._pieces)))
                    self._pieces += 1
                    self._tail.clear()
                    self._tail_file.truncate(0)
                    self._tail_file.seek(0)
            return self.size

    def read(self, start: int, many: int) -> bytes:
        """Up to `many` bytes from `start`."""
        made = bytearray()
        with self._lock:
            end = min(start + many, self.size)
            while start < end:
                number, first = divmod(start, PIECE)
                if number >= self._pieces:
                    piece = bytes(self._tail)
                else:
                    self._file.seek(number * _SEALED)
                    piece = _unsealed(self._cipher, self._file.read(_SEALED), _context(self._name, number))
                part = piece[first : first + end - start]
                made += part
                start += len(part)
        return bytes(made)

    def sync(self) -> None:
        """Bring everything to the disk itself."""
        with self._lock:
            os.fsync(self._file.fileno())
            os.fsync(self._tail_file.fileno())

    def finish(self) -> int:
        """Write what is left as the last piece; returns the bytes. `discard_tail` follows when that is noted."""
        with self._lock:
            if self._tail:
                self._file.seek(self._pieces * _SEALED)
                _write(self._file, _sealed(self._cipher, bytes(self._tail), _context(self._name, self._pieces)))
            os.fsync(self._file.fileno())
            return self.size

    def discard_tail(self) -> None:
        """The last piece is written and noted: the tail is not needed."""
        self._tail_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files."""
        self._file.close()
        self._tail_file.close()

    def _recovered(self) -> bytearray:
        tail, whole = bytearray(), 0
        self._tail_file.seek(0)
        data = self._tail_file.read()
        place = 0
        while len(data) - place >= _HEAD:
            at, size = data[place : place + 8], int.from_bytes(data[place + 8 : place + _HEAD], "big")
            sealed = data[place + _HEAD : place + _HEAD + size]
            if len(sealed) < size:
                break  # half a record: nobody was told that it is kept
            place += _HEAD + size
            offset = int.from_bytes(at, "big")
            if offset < self._pieces * PIECE:
                continue  # its piece was written, and the tail not emptied yet
            if offset != self._pieces * PIECE + len(tail):
                break
            tail += _unsealed(self._cipher, sealed, _context(self._name, -1, at))
            whole = place
        if tail or place < len(data):
            self._tail_file.truncate(whole)
        self._tail_file.seek(0, os.SEEK_END)
        return tail


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()


def _full(source: BinaryIO) -> bytes:
    """A whole piece, whatever portions the source gives."""
    piece = source.read(PIECE)
    while piece and len(piece) < PIECE and (more := source.read(PIECE - len(piece))):
        piece += more
    return piece


def _sealed(cipher: AESGCM, piece: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, piece, context)


def _unsealed(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError):
        raise BadFile("this sound is damaged on the disk", hint="restore the home's folder `sound`") from None


def _context(name: str, number: int, more: bytes = b"") -> bytes:
    return f"ikkan\x00sound\x00{name}\x00{number}".encode() + more


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _open_to_grow(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
