"""A plain tar file, written as a stream and read without trust: regular files only, each name and size checked.

What we write any `tar` unpacks: POSIX (pax) headers, no compression, so a file cannot unpack to more than it weighs.
What we read is less than any `tar` reads: no links, folders, devices, sparse files or global headers, and a header
that does not add up is refused. The members' content is not looked at here.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from ikkan.ground.artifacts import FileFacts
from ikkan.ground.errors import BadInput, Conflict, HostileFile, TruncatedFile, UnsupportedFormat

CHUNK: Final = 1 << 20
"""Bytes held in memory at a time."""

_BLOCK: Final = 512
_EXTENSION_BYTES: Final = 1 << 16
_OCTAL: Final = re.compile(rb"[0-7]+")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,5}) ([a-z]+)=")
_MADE_AGAIN: Final = "the archive is damaged or was made by another program; take another backup"


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive."""

    name: str
    """Relative, with `/`, never leaving the folder it is unpacked in."""
    bytes: int
    mode: int
    """Permission bits as they were; nothing above 0o777."""
    offset: int
    """Where its content begins in the archive."""


class Writer:
    """Appends files to a tar stream and tells their hashes. `close` ends the archive, not the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, name: str, source: BinaryIO, size: int, *, mode: int, mtime_s: int) -> FileFacts:
        """Copy the next `size` bytes of `source`; what it has beyond them was written later and is not taken.

        Raises:
            BadInput: a name that could not be read back.
            Conflict: `source` ended early: somebody made it shorter. The archive is spoiled.
        """
        if not is_safe(name):
            raise BadInput(f"{name!r} cannot name a file in an archive", hint="rename it, or move it out of the home")
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, mode & 0o777, mtime_s
        self._file.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        digest, left = hashlib.sha256(), size
        while left:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                raise Conflict(f"{name} became shorter while it was read", hint="nothing was kept; try again")
            digest.update(chunk)
            self._file.write(chunk)
            left -= len(chunk)
        self._file.write(bytes(-size % _BLOCK))
        return FileFacts(digest.hexdigest(), size)

    def close(self) -> None:
        """Write the end mark."""
        self._file.write(bytes(2 * _BLOCK))


def members(file: BinaryIO, total_bytes: int) -> Iterator[Member]:
    """Every member in order, headers only; `file` is moved about.

    Raises:
        UnsupportedFormat: not a tar file of the kind that `Writer` makes.
        TruncatedFile: it ends before its headers say.
        HostileFile: a link, a device, a name that leads outside, a size that cannot be.
    """
    offset, extended = 0, dict[str, str]()
    while True:
        header = _read(file, offset, _BLOCK, total_bytes)
        if not header.strip(b"\0"):
            if extended:
                raise HostileFile("a header extends nothing", hint=_MADE_AGAIN)
            _require_nothing_follows(file, offset, total_bytes)
            return
        _check_header(header)
        size = _number(header[124:136])
        content = offset + _BLOCK
        kind = header[156:157]
        if kind == b"x":
            if extended or not 0 < size <= _EXTENSION_BYTES:
                raise HostileFile("an extended header is absurd", hint=_MADE_AGAIN)
            extended = _records(_read(file, content, size, total_bytes))
        elif kind in (b"0", b"\0"):
            size = _decimal(extended.get("size", str(size)))
            name = extended.get("path") or _name(header)
            if not is_safe(name):
                raise HostileFile(f"the archive has a file named {name[:80]!r}", hint="do not use it", member=name[:80])
            if content + size > total_bytes:
                raise TruncatedFile("the archive ends within a file", hint="copy it again, or take another backup")
            yield Member(name, size, _number(header[100:108]) & 0o777, content)
            extended = {}
        else:
            raise HostileFile(
                f"the archive holds something that is not a file (type {kind!r})", hint="do not use it; " + _MADE_AGAIN
            )
        offset = content + size + (-size % _BLOCK)


def is_safe(name: str) -> bool:
    """Whether a name stays inside the folder it is unpacked in, on any system.

    >>> [is_safe(name) for name in ("keys/master.key", "../x", "/x", "a//b", "a/./b", "a\\\\b", "", "日本")]
    [True, False, False, False, False, False, False, True]
    """
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and "/".join(parts) == name
        and ".." not in parts
        and not name.startswith("/")
        and "\\" not in name
        and name.isprintable()
        and len(name) <= 1_000
        and all(len(part.encode("utf-8")) <= 255 for part in parts)
    )


def _read(file: BinaryIO, offset: int, size: int, total_bytes: int) -> bytes:
    if offset + size > total_bytes:
        raise TruncatedFile("the archive ends too early", hint="copy it again, or take another backup")
    file.seek(offset)
    content = file.read(size)
    if len(content) < size:
        raise TruncatedFile("the archive ends too early", hint="copy it again, or take another backup")
    return content


def _check_header(header: bytes) -> None:
    if header[257:265] != b"ustar\x0000":
        raise UnsupportedFormat("this is not a backup of ikkan", hint="a backup is what `ikkan backup FILE` wrote")
    unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if unsigned != _number(header[148:156]):
        raise HostileFile("a header of the archive is damaged", hint=_MADE_AGAIN)


def _number(field: bytes) -> int:
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    if not _OCTAL.fullmatch(digits):
        raise HostileFile("a number in the archive's headers cannot be read", hint=_MADE_AGAIN)
    return int(digits, 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HostileFile("a size in the archive cannot be", hint=_MADE_AGAIN)
    return int(text)


def _name(header: bytes) -> str:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return _text(prefix + b"/" + name if prefix else name)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise HostileFile("a name in the archive is not text", hint=_MADE_AGAIN) from exc


def _records(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while raw:
        head = _RECORD.match(raw)
        size = int(head[1]) if head else 0
        if head is None or not head.end() < size <= len(raw) or raw[size - 1 : size] != b"\n":
            raise HostileFile("an extended header cannot be read", hint=_MADE_AGAIN)
        key = head[2].decode()
        if key not in ("path", "size") or key in found:
            raise HostileFile(f"an extended header says {key[:20]!r}", hint=_MADE_AGAIN)
        found[key] = _text(raw[head.end() : size - 1])
        raw = raw[size:]
    return found


def _require_nothing_follows(file: BinaryIO, offset: int, total_bytes: int) -> None:
    _read(file, offset, 2 * _BLOCK, total_bytes)
    file.seek(offset)
    while chunk := file.read(CHUNK):
        if chunk.strip(b"\0"):
            raise HostileFile("something follows the end of the archive", hint=_MADE_AGAIN)
