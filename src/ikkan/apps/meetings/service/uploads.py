"""Files that come in pieces: begun, added to, resumed after a broken connection, and taken in once they are whole.

What is on disk is the truth of how much came. An upload that nobody finished is cleared away after a day.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO, Protocol

from ikkan.apps.meetings.rules.minutes import STANDARD
from ikkan.apps.meetings.service.drawing import check_plan
from ikkan.apps.meetings.service.working import fresh_plan
from ikkan.apps.meetings.store import hearing
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store.hearing import Incoming
from ikkan.apps.meetings.values import Audience, Meeting, Plan, Viewer
from ikkan.cloud.values import Principal
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    BadInput,
    ChecksumMismatch,
    Conflict,
    NotFound,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
)
from ikkan.ground.ids import new_id

LIFETIME = timedelta(days=1)
MOST_OPEN = 20
"""Uploads under way in one tenant."""
_TIMES_THE_LARGEST = 4
"""So many of the largest files a tenant may have under way."""
_BUFFER = 1 << 20
_SPARE_BYTES = 256 << 20
"""Left free on the disk: the database must be able to go on."""
_FIELDS = ("title", "language", "held_on", "audience", "level", "form")


class Takes(Protocol):
    """Who takes a whole file in."""

    def bring_file(
        self,
        viewer: Viewer,
        file: BinaryIO,
        size: int,
        filename: str,
        *,
        language: str | None = None,
        held_on: date | None = None,
        title: str = "",
        audience: Audience = Audience.OWNER,
        meeting_id: str | None = None,
        plan: Plan = Plan(),
    ) -> Meeting: ...


class Uploads:
    """Uploads under way.

    Args:
        folder: where the pieces come together; as private as the home.
        takes: who takes a file in.
        most_bytes: the largest file.
    """

    def __init__(self, database: Database, clock: Clock, folder: Path, takes: Takes, *, most_bytes: int) -> None:
        self._database, self._clock, self._folder = database, clock, folder / "uploads"
        self._takes = takes
        self.most_bytes = most_bytes

    def begin(
        self, viewer: Viewer, filename: str, size: int, sha256: str = "", fields: Mapping[str, str] | None = None
    ) -> Incoming:
        """Begin an upload of `size` bytes.

        Raises:
            RequestTooLarge: no file is as large.
            QuotaExhausted: this tenant has too much under way, or the disk is too full.
            BadInput: a field is not known, or no hash.
        """
        fields = dict(fields or {})
        if unknown := set(fields) - set(_FIELDS):
            raise BadInput(f"{min(unknown)!r} is no field of an upload", hint=f"{', '.join(_FIELDS)}", param="fields")
        check_plan(_plan(fields, None))
        if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise BadInput("a sha256 has 64 digits of 0-9 and a-f", hint="sha256sum FILE", param="sha256")
        if size > self.most_bytes:
            raise RequestTooLarge(
                f"a file has at most {self.most_bytes:,} bytes, and this has {size:,}",
                hint="as flac or ogg a recording is smaller; or raise IKKAN_SOUND_BYTES",
                bytes=size,
            )
        self.sweep()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(self._folder).free < 2 * size + _SPARE_BYTES:
            raise QuotaExhausted("the disk is too full for this file", hint="free some space, then try again")
        upload = Incoming(
            new_id("upload"),
            viewer.tenant_id,
            viewer.subject_id,
            filename.rpartition("/")[2][:300] or "upload",
            size,
            sha256,
            fields,
            self._clock.now(),
        )
        with self._database.transaction() as connection:
            open_ones = hearing.uploads_of(connection, viewer.tenant_id)
            total = sum(each.bytes for each in open_ones) + size
            if len(open_ones) >= MOST_OPEN or total > _TIMES_THE_LARGEST * self.most_bytes:
                raise QuotaExhausted(
                    f"{len(open_ones)} uploads are under way here, of {total - size:,} bytes",
                    hint="finish or delete one; those nobody goes on with are cleared away after a day",
                )
            hearing.put_upload(connection, upload)
        with self._path(upload.id).open("xb"):
            pass
        return upload

    def get(self, viewer: Viewer, upload_id: str) -> tuple[Incoming, int]:
        """An upload and how much of it came.

        Raises:
            NotFound: there is none of theirs.
        """
        with self._database.read() as connection:
            upload = hearing.upload_of(connection, viewer, upload_id)
        return upload, self._size(upload)

    async def add(self, viewer: Viewer, upload_id: str, offset: int, pieces: AsyncIterator[bytes]) -> int:
        """Add what comes, from `offset` on; returns how much there is. What came before a break stays.

        Raises:
            Conflict: it does not go on there; `facts["offset"]` says where.
            RateLimited: an earlier connection still writes.
            RequestTooLarge: more came than was said.
        """
        upload, _ = await self._database.run(self.get, viewer, upload_id)
        with self._writing(upload) as file:
            at = file.seek(0, os.SEEK_END)
            if at != offset:
                raise Conflict(f"the upload goes on at byte {at:,}", hint="HEAD says where", offset=at)
            waiting = bytearray()
            try:
                async for piece in pieces:
                    waiting += piece
                    if at + len(waiting) > upload.bytes:
                        del waiting[upload.bytes - at :]
                        raise RequestTooLarge(
                            f"{upload.bytes:,} bytes were said, and more came", hint="begin again with the right size"
                        )
                    if len(waiting) >= _BUFFER:
                        at += await asyncio.to_thread(file.write, bytes(waiting))
                        waiting.clear()
            finally:
                # Also when the connection broke: what came is not sent again. A disk may take seconds over it, and
                # everybody else is answered meanwhile.
                await asyncio.shield(asyncio.to_thread(_keep, file, bytes(waiting)))
            return file.tell()

    def finish(self, viewer: Viewer, upload_id: str, principal: Principal | None = None) -> Meeting:
        """Take the file in; asked again, gives the same meeting.

        Args:
            principal: on whose bill a model writes, where one was asked for.

        Raises:
            Conflict: it is not whole yet.
            ChecksumMismatch: it is not what was promised; it is cleared away.
            BadInput: it cannot be read or heard; it stays for another try, another language for example.
        """
        meeting_id = f"meeting-{upload_id.removeprefix('upload-')}"
        with self._database.read() as connection:
            with suppress(NotFound):
                return store.get(connection, viewer, meeting_id)
            upload = hearing.upload_of(connection, viewer, upload_id)
        with self._writing(upload) as file:
            size = file.seek(0, os.SEEK_END)
            if size != upload.bytes:
                raise Conflict(
                    f"{size:,} of {upload.bytes:,} bytes came", hint="go on with PATCH from there", offset=size
                )
            file.seek(0)
            if upload.sha256 and hashlib.file_digest(file, "sha256").hexdigest() != upload.sha256:
                self.remove(viewer, upload_id)
                raise ChecksumMismatch("the file is not the one that was promised", hint="send it again")
            file.seek(0)
            fields = upload.fields
            meeting = self._takes.bring_file(
                viewer,
                file,
                size,
                upload.filename,
                language=fields.get("language") or None,
                held_on=_day(fields.get("held_on", "")),
                title=fields.get("title", ""),
                audience=Audience.TENANT if fields.get("audience") == Audience.TENANT else Audience.OWNER,
                meeting_id=meeting_id,
                plan=_plan(fields, principal),
            )
        self.remove(viewer, upload_id)
        return meeting

    def remove(self, viewer: Viewer, upload_id: str) -> None:
        """Give an upload up.

        Raises:
            NotFound: there is none of theirs.
        """
        with self._database.transaction() as connection:
            hearing.upload_of(connection, viewer, upload_id)
            hearing.remove_uploads(connection, [upload_id])
        self._path(upload_id).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Clear away what nobody goes on with, and files of whoever was forgotten; returns how many."""
        with self._database.transaction() as connection:
            old = hearing.old_uploads(connection, self._clock.now() - LIFETIME)
            hearing.remove_uploads(connection, old)
        for upload_id in old:
            self._path(upload_id).unlink(missing_ok=True)
        return len(old)

    def _size(self, upload: Incoming) -> int:
        try:
            return self._path(upload.id).stat().st_size
        except FileNotFoundError:
            raise NotFound("what came of this upload is gone", hint="begin again: POST uploads") from None

    @contextmanager
    def _writing(self, upload: Incoming) -> Iterator[BufferedRandom]:
        try:
            file = self._path(upload.id).open("r+b")
        except FileNotFoundError:
            raise NotFound("what came of this upload is gone", hint="begin again: POST uploads") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RateLimited(
                    "an earlier connection still writes to this upload", hint="ask again in a moment where it stands"
                ) from None
            yield file

    def _path(self, upload_id: str) -> Path:
        # The id is one of ours by now: it was found among the rows.
        return self._folder / upload_id


def _keep(file: BufferedRandom, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as exc:
        raise BadInput(f"{text!r} is no day", hint="like 2026-11-01", param="held_on") from exc


def _plan(fields: Mapping[str, str], principal: Principal | None) -> Plan:
    level = fields.get("level") or "0"
    if level not in ("0", "1"):
        raise BadInput(f"there is no level {level!r}", hint="0 or 1", param="level")
    return fresh_plan(int(level), fields.get("form") or STANDARD, principal)
