"""A multipart body to a file on disk, piece by piece: what is uploaded is never in memory as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from ikkan.ground.errors import BadInput, RequestTooLarge
from ikkan.ground.ids import new_id

FORM_BYTES = 1 << 20
"""What a form may have beside its file."""
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that came, and where its file lies. Whoever takes it moves or removes the file."""

    fields: dict[str, str]
    filename: str
    path: Path
    bytes: int
    sha256: str


@dataclass
class _Form:
    fields: dict[str, bytearray] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    """Of the part that is being read, where it is a file."""
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    taken: str = ""
    """The name of the file that was taken."""
    waiting: bytearray = field(default_factory=bytearray)
    """Of the file, not yet on disk."""
    ended: bool = False


async def receive(
    pieces: AsyncIterator[bytes], content_type: str, folder: Path, *, most_bytes: int, part: str = "file"
) -> Upload:
    """Take a form with one file, named `part`, into a new file in `folder`.

    Raises:
        BadInput: it is no form, broke off, or has no such file or several.
        RequestTooLarge: the file is larger than `most_bytes`.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 200:
        raise BadInput("files come as multipart/form-data", hint="client.files.create(file=…, purpose='fine-tune')")
    form = _Form()
    parser = MultipartParser(boundary, _callbacks(form, part))  # type: ignore[arg-type]  # its own TypedDict
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / new_id("upload")
    digest, size = hashlib.sha256(), 0
    too_large = False
    try:
        with await asyncio.to_thread(path.open, "xb") as file:

            def write(data: bytes) -> None:
                digest.update(data)
                file.write(data)

            async for piece in pieces:
                parser.write(piece)
                if sum(map(len, form.fields.values())) + len(form.header) + len(form.value) > FORM_BYTES:
                    raise RequestTooLarge("the form has more than a file and a few fields", hint="send the file alone")
                too_large = too_large or size + len(form.waiting) > most_bytes
                if too_large:
                    form.waiting.clear()  # the rest is read and dropped, so that the client hears why
                elif len(form.waiting) >= _BUFFER:
                    size += len(form.waiting)
                    await asyncio.to_thread(write, bytes(form.waiting))
                    form.waiting.clear()
            size += len(form.waiting)
            await asyncio.to_thread(write, bytes(form.waiting))
            await asyncio.to_thread(_sync, file)
        if too_large:
            raise RequestTooLarge(
                f"a file has at most {most_bytes:,} bytes", hint="split it, or raise IKKAN_UPLOAD_BYTES", param=part
            )
        if not form.ended:
            raise BadInput("the form broke off", hint="send it again")
        if not form.taken:
            raise BadInput(f"the form has no file named {part!r}", hint=f"{part}=open(…, 'rb')", param=part)
    except MultipartParseError as exc:
        path.unlink(missing_ok=True)
        raise BadInput(f"the form cannot be read: {exc}", hint="send it as multipart/form-data") from exc
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    fields = {name: value.decode("utf-8", "replace") for name, value in form.fields.items()}
    return Upload(fields, form.taken, path, size, digest.hexdigest())


def copied(source: Path, folder: Path) -> Upload:
    """A file of this machine as if it had come over the wire.

    Raises:
        BadInput: it cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / new_id("upload")
    try:
        shutil.copyfile(source, path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise BadInput(f"cannot read {source}: {exc.strerror}", hint="is the path right?") from exc
    return Upload({}, source.name, path, path.stat().st_size, digest)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _callbacks(form: _Form, part: str) -> dict[str, Any]:
    def part_begin() -> None:
        form.name, form.filename = "", None

    def header_field(data: bytes, start: int, end: int) -> None:
        form.header += data[start:end]

    def header_value(data: bytes, start: int, end: int) -> None:
        form.value += data[start:end]

    def header_end() -> None:
        if bytes(form.header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(form.value))
            form.name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                form.filename = options[b"filename"].decode("utf-8", "replace")
        form.header.clear()
        form.value.clear()

    def headers_finished() -> None:
        if form.filename is None:
            form.fields.setdefault(form.name, bytearray())
            return
        if form.name != part or form.taken:
            raise BadInput(f"the form has one file, named {part!r}", hint="send one file at a time", param=part)
        form.taken = form.filename or "upload.jsonl"

    def part_data(data: bytes, start: int, end: int) -> None:
        if form.filename is None:
            form.fields[form.name] += data[start:end]
        else:
            form.waiting += data[start:end]

    def end() -> None:
        form.ended = True

    return {
        "on_part_begin": part_begin,
        "on_header_field": header_field,
        "on_header_value": header_value,
        "on_header_end": header_end,
        "on_headers_finished": headers_finished,
        "on_part_data": part_data,
        "on_end": end,
    }
