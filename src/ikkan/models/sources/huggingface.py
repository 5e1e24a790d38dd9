"""`hf:` the Hugging Face hub or a mirror of it, spoken to with its own client library.

The library's `hf_hub_download` begins again after a process was killed (its partial files carry random names), so its
lower `http_get` is used here: it goes on in a file of ours, named by the content that is promised.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from ikkan.ground.errors import ChecksumMismatch, NotAllowed, UnknownModel, UpstreamRejected, UpstreamUnreachable
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, choose

_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class _Promise:
    name: str
    bytes: int
    sha256: str
    """Of large files; empty for small ones, which git names by another hash."""
    git_sha1: str


def fetch(reference: Reference, into: Path, scratch: Path, *, endpoint: str, progress: Progress) -> Fetched:
    """Download what makes the model, each file checked against the hash that the hub states for it."""
    # The library takes a second to import and reads its own environment; only a pull pays for it.
    from huggingface_hub import HfApi, constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, exported lazily

    # A token that a person saved for the hub goes only where the library itself would send it.
    token = None if endpoint.rstrip("/") == constants.ENDPOINT.rstrip("/") else False
    with _translated(reference, endpoint):
        info = HfApi(endpoint=endpoint, token=token).model_info(
            reference.where, revision=reference.version or None, files_metadata=True, timeout=30
        )
        commit = info.sha or reference.version or "main"
        promised = {one.name: one for one in map(_promise, info.siblings or [])}
        chosen = choose(promised, reference.file, reference.where)
        weights = PurePosixPath(chosen[0]).parent
        headers = build_hf_headers(token=token)
        total = sum(promised[name].bytes for name in chosen)
        done, fetched = 0, []
        for name in chosen:
            target = into / PurePosixPath(name).relative_to(weights)
            target.parent.mkdir(parents=True, exist_ok=True)
            url = hf_hub_url(reference.where, name, revision=commit, endpoint=endpoint)
            sha256 = _download(url, headers, promised[name], target, scratch, done, total, progress)
            done += promised[name].bytes
            fetched.append(FetchedFile(target.relative_to(into).as_posix(), sha256, target.stat().st_size))
    return Fetched(tuple(fetched), _licence(info), commit)


def _promise(sibling: Any) -> _Promise:
    lfs = sibling.lfs
    return _Promise(
        name=sibling.rfilename,
        bytes=int(sibling.size or (lfs.size if lfs else 0) or 0),
        sha256=lfs.sha256 if lfs else "",
        git_sha1="" if lfs else (sibling.blob_id or ""),
    )


def _download(
    url: str, headers: dict[str, str], promise: _Promise, target: Path, scratch: Path, before: int, total: int,
    progress: Progress,
) -> str:  # fmt: skip
    from huggingface_hub.file_download import http_get

    if target.exists():  # whole, from an earlier attempt
        sha256 = _checked(target, promise)
        if sha256 is not None:
            return sha256
        target.unlink()
    content = f"{promise.name}|{promise.sha256 or promise.git_sha1}|{promise.bytes}"
    partial = scratch / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.part"
    partial.touch()
    if partial.stat().st_size > promise.bytes:
        partial.unlink()
        partial.touch()
    at = partial.stat().st_size
    with partial.open("r+b", buffering=0) as out:  # unbuffered: after kill -9 the file has all that was counted
        out.seek(at)

        def report(here: int) -> None:
            progress(before + here, total)

        http_get(
            url,
            cast(BinaryIO, _Counted(out, report)),  # it has the methods that are used
            resume_size=at,
            headers=dict(headers),
            expected_size=promise.bytes or None,
            tqdm_class=_silent(),
        )
        os.fsync(out.fileno())
    sha256 = _checked(partial, promise)
    if sha256 is None:
        partial.unlink()
        raise ChecksumMismatch(
            f"{promise.name} is not the file that was promised", hint="pull it again", file=promise.name
        )
    partial.replace(target)
    return sha256


class _Counted:
    """A file that reports how much of it there is."""

    def __init__(self, out: Any, report: Callable[[int], None]) -> None:
        self._out = out
        self._report = report

    def write(self, chunk: bytes) -> int:
        written = memoryview(chunk)
        while written:  # an unbuffered write may take less than it is given
            written = written[self._out.write(written) :]
        self._report(self._out.tell())
        return len(chunk)

    def seek(self, at: int, whence: int = 0) -> int:
        return int(self._out.seek(at, whence))

    def tell(self) -> int:
        return int(self._out.tell())

    def truncate(self, size: int | None = None) -> int:
        return int(self._out.truncate(size))


def _checked(path: Path, promise: _Promise) -> str | None:
    """The file's SHA-256 if it is the one promised, else None."""
    size = path.stat().st_size
    ours, gits = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            ours.update(chunk)
            if promise.git_sha1:
                gits.update(chunk)
    sound = size == promise.bytes or not promise.bytes
    sound = sound and promise.sha256 in ("", ours.hexdigest()) and promise.git_sha1 in ("", gits.hexdigest())
    return ours.hexdigest() if sound else None


def _silent() -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Silent(tqdm):  # type: ignore[misc]
        """The library draws a bar by itself; ours is drawn by whoever asked."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

    return Silent


def _licence(info: Any) -> str:
    stated = getattr(info.card_data, "license", None) if info.card_data else None
    tags = [tag.removeprefix("license:") for tag in info.tags or [] if tag.startswith("license:")]
    return stated if isinstance(stated, str) else (tags[0] if tags else "")


@contextmanager
def _translated(reference: Reference, endpoint: str) -> Iterator[None]:
    import httpx2  # the library's own transport
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as exc:
        raise NotAllowed(
            f"{reference.where} is given only to those who accepted its terms",
            hint="accept them on its page, then: hf auth login",
        ) from exc
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as exc:
        raise UnknownModel(
            f"{endpoint} has no {reference}", hint="check the name; private ones need: hf auth login"
        ) from exc
    except errors.HfHubHTTPError as exc:
        status = getattr(exc.response, "status_code", 0)
        raise UpstreamRejected(f"{endpoint} answered {status}", hint="try again later", status=status) from exc
    except (httpx2.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as exc:
        raise UpstreamUnreachable(
            f"{endpoint} does not answer: {type(exc).__name__}",
            hint="check the connection, or set HF_ENDPOINT to a mirror; the pull goes on where it stopped",
        ) from exc
    except OSError as exc:
        if "Consistency check failed" in str(exc):
            raise UpstreamUnreachable(
                f"{endpoint} sent less than it promised", hint="pull again; it goes on where it stopped"
            ) from exc
        raise
