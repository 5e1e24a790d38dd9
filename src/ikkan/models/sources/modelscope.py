"""`modelscope:` the ModelScope hub or a mirror of it, spoken to over plain HTTP: a pull asks two things of it.

    GET /api/v1/models/OWNER/NAME/repo/files?Revision=REV&Recursive=true   what there is: paths, sizes, SHA-256
    GET /api/v1/models/OWNER/NAME/repo?Revision=REV&FilePath=PATH          one file; ranges are honoured

The hub answers a range with its part and `Content-Range`, yet with status 200; so it is that header that decides where
bytes belong. Whatever the hub says of sizes and paths is compared with what comes; no token is sent.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urlencode

from ikkan.ground.errors import ChecksumMismatch, NotAllowed, UnknownModel, UpstreamRejected, UpstreamUnreachable
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, choose

DEFAULT_BRANCH: Final = "master"
MAX_LISTING_BYTES: Final = 16 * 2**20
MAX_FILE_BYTES: Final = 2**42
ATTEMPTS: Final = 5
"""How often one file is asked for before a person has to ask again."""
TIMEOUT_S: Final = 30.0
_CHUNK: Final = 1 << 20
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class _Promise:
    """One file as the hub describes it."""

    name: str
    bytes: int
    sha256: str
    commit: str
    """The commit that last changed it."""


def fetch(reference: Reference, into: Path, scratch: Path, *, endpoint: str, progress: Progress) -> Fetched:
    """Download what makes the model, each file checked against the size and SHA-256 that the hub states for it."""
    hub = _Hub(endpoint.rstrip("/"), reference)
    promised = hub.files()
    chosen = choose(promised, reference.file, reference.where)
    weights = PurePosixPath(chosen[0]).parent
    total = sum(promised[name].bytes for name in chosen)
    done, fetched = 0, []
    for name in chosen:
        target = into / PurePosixPath(name).relative_to(weights)
        target.parent.mkdir(parents=True, exist_ok=True)
        hub.download(promised[name], target, scratch, done, total, progress)
        done += promised[name].bytes
        fetched.append(FetchedFile(target.relative_to(into).as_posix(), promised[name].sha256, promised[name].bytes))
    version = promised[chosen[0]].commit or reference.version or DEFAULT_BRANCH
    return Fetched(tuple(fetched), hub.licence(), version)


class _Hub:
    """What one repository of a hub can be asked."""

    def __init__(self, endpoint: str, reference: Reference) -> None:
        self._endpoint, self._reference = endpoint, reference
        self._about = f"{endpoint}/api/v1/models/{quote(reference.where)}"
        self._revision = reference.version or DEFAULT_BRANCH
        # Not urllib's own opener, which would follow a redirection to ftp.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(), urllib.request.UnknownHandler(),
        ):  # fmt: skip
            self._opener.add_handler(handler)

    def files(self) -> dict[str, _Promise]:
        """Every file of the revision by its path."""
        listing = self._asked(
            f"{self._about}/repo/files?{urlencode({'Revision': self._revision, 'Recursive': 'true'})}"
        )
        files = listing.get("Files")
        if not isinstance(files, list):
            raise self._nonsense("its list of files")
        found: dict[str, _Promise] = {}
        for one in files:
            if not isinstance(one, dict) or not isinstance(one.get("Path"), str):
                raise self._nonsense("a file without a path")
            if one.get("Type") != "tree":
                promise = self._promise(one)
                found[promise.name] = promise
        return found

    def licence(self) -> str:
        """As the model's page states it; it is not worth failing for."""
        try:
            stated = self._asked(self._about).get("License")
        except (UpstreamRejected, UpstreamUnreachable, UnknownModel, NotAllowed):
            return ""
        return stated[:80] if isinstance(stated, str) else ""

    def download(
        self, promise: _Promise, target: Path, scratch: Path, before: int, total: int, progress: Progress
    ) -> None:
        """One file, from where an earlier attempt stopped; it appears under its name when it is whole and right."""
        if target.exists() and _sha256_of(target) == promise.sha256:
            progress(before + promise.bytes, total)
            return
        content = f"{promise.name}|{promise.sha256}|{promise.bytes}"
        partial = scratch / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.part"
        partial.touch()
        asked = {"Revision": self._revision, "FilePath": promise.name}
        url = f"{self._about}/repo?{urlencode(asked)}"
        for attempt in range(ATTEMPTS):
            try:
                with partial.open("r+b", buffering=0) as out:  # unbuffered: after kill -9 the file has what was counted
                    out.seek(0, os.SEEK_END)
                    if out.tell() > promise.bytes:
                        out.truncate(0)
                        out.seek(0)
                    if out.tell() < promise.bytes or promise.bytes == 0:
                        self._continued(url, promise, out, before, total, progress)
                    os.fsync(out.fileno())
                break
            except UpstreamUnreachable:
                if attempt == ATTEMPTS - 1:
                    raise
        if _sha256_of(partial) != promise.sha256:
            partial.unlink()
            raise ChecksumMismatch(
                f"{promise.name} is not the file that was promised", hint="pull it again", file=promise.name
            )
        partial.replace(target)

    def _continued(self, url: str, promise: _Promise, out: Any, before: int, total: int, progress: Progress) -> None:
        """Read on where `out` stands, or from the beginning if the hub will have it so."""
        at = out.tell()
        with self._translated(), self._part(url, out) as reply:
            found = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
            if at and (found is None or int(found[1]) != at):
                out.truncate(0)
                out.seek(0)
                at = 0
                if found is not None:
                    raise UpstreamUnreachable(f"{self._endpoint} sent another part than was asked for", hint=_AGAIN)
            while chunk := reply.read(min(_CHUNK, promise.bytes - at + 1)):
                at += len(chunk)
                if at > promise.bytes:
                    out.truncate(0)
                    raise ChecksumMismatch(
                        f"{promise.name} is larger than the {promise.bytes:,} bytes that were promised",
                        hint="pull it again",
                        file=promise.name,
                    )
                rest = memoryview(chunk)
                while rest:  # an unbuffered write may take less than it is given
                    rest = rest[out.write(rest) :]
                progress(before + at, total)
        if at < promise.bytes:
            raise UpstreamUnreachable(f"{self._endpoint} sent less than it promised", hint=_AGAIN)

    def _part(self, url: str, out: Any) -> Any:
        """The hub's reply for what follows behind `out`; a hub that knows no such place is asked for all next time."""
        at = out.tell()
        try:
            return self._opened(url, {"Range": f"bytes={at}-"} if at else {})
        except urllib.error.HTTPError as exc:
            if exc.code != 416:
                raise
            exc.close()
            out.truncate(0)
            raise UpstreamUnreachable(f"{self._endpoint} cannot go on at byte {at:,}", hint=_AGAIN) from exc

    def _asked(self, url: str) -> dict[str, Any]:
        """The `Data` of a reply in JSON."""
        with self._translated(), self._opened(url, {"Accept": "application/json"}) as reply:
            raw = reply.read(MAX_LISTING_BYTES + 1)
        if len(raw) > MAX_LISTING_BYTES:
            raise self._nonsense(f"more than {MAX_LISTING_BYTES:,} bytes")
        try:
            said = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            raise self._nonsense("what is not JSON") from exc
        if not isinstance(said, dict):
            raise self._nonsense("what is not an object")
        if said.get("Code") != 200:
            raise UpstreamRejected(
                f"{self._endpoint} refuses {self._reference}: {str(said.get('Message'))[:200]}",
                hint="check the name and the revision",
            )
        data = said.get("Data")
        if not isinstance(data, dict):
            raise self._nonsense("no data")
        return data

    def _promise(self, one: dict[str, Any]) -> _Promise:
        size, digest, commit = one.get("Size"), one.get("Sha256"), one.get("Revision")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_FILE_BYTES:
            raise self._nonsense(f"a size of {str(size)[:40]}")
        digest = digest.lower() if isinstance(digest, str) else ""
        if not _SHA256.fullmatch(digest):
            raise self._nonsense("a file without its SHA-256")
        commit = commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else ""
        return _Promise(one["Path"], size, digest, commit)

    def _opened(self, url: str, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(url, headers={"User-Agent": "ikkan", "Accept-Encoding": "identity", **headers})
        return self._opener.open(request, timeout=TIMEOUT_S)

    def _nonsense(self, what: str) -> UpstreamRejected:
        return UpstreamRejected(
            f"{self._endpoint} answers with {what}", hint="is this a ModelScope hub? try again later", status=502
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 404:
                raise UnknownModel(f"{self._endpoint} has no {self._reference}", hint="check the name") from exc
            if exc.code in (401, 403):
                raise NotAllowed(
                    f"{self._reference.where} is not given to everybody",
                    hint="download it with ModelScope's own client, then: ikkan model pull file:PATH",
                ) from exc
            raise UpstreamRejected(
                f"{self._endpoint} answered {exc.code}", hint="try again later", status=exc.code
            ) from exc
        except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError) as exc:
            raise UpstreamUnreachable(f"{self._endpoint} does not answer: {type(exc).__name__}", hint=_AGAIN) from exc


_AGAIN: Final = "check the connection, or set IKKAN_MODELSCOPE_ENDPOINT to a mirror; the pull goes on where it stopped"


def _sha256_of(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
