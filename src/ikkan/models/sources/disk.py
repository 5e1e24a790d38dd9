"""`file:` a model that is already on this machine. Linked by default: weights are large, and one copy is enough."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ikkan.ground.errors import UnknownModel, UnsupportedFormat
from ikkan.models.safetensors import PICKLES
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, choose

_CHUNK = 1 << 22


def fetch(reference: Reference, into: Path, *, copy: bool, progress: Progress) -> Fetched:
    """Link or copy a file, or a folder's weights and companions."""
    path = Path(reference.where)
    if not path.exists():
        raise UnknownModel(f"there is nothing at {path}", hint="check the path", path=str(path))
    if path.is_dir():
        here = [str(one.relative_to(path).as_posix()) for one in _files(path)]
        root, names = path, choose(here, "", path.name)
    elif path.suffix.lower() == ".safetensors":
        here = [str(one.relative_to(path.parent).as_posix()) for one in _files(path.parent)]
        root, names = path.parent, choose(here, path.name, path.parent.name)
    elif path.suffix.lower() in PICKLES:
        root, names = path.parent, choose([path.name], path.name, path.parent.name)
    else:
        root, names = path.parent, [path.name]
    sizes = {name: (root / name).stat().st_size for name in names}
    total, done = sum(sizes.values()), 0
    fetched: list[FetchedFile] = []
    for name in names:
        source, target = (root / name).resolve(), into / name
        if not source.is_file():
            raise UnsupportedFormat(f"{name} is not a file", file=name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if copy:
            shutil.copyfile(source, target)
        else:
            target.symlink_to(source)
        digest = hashlib.sha256()
        with target.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(done, total)
        fetched.append(FetchedFile(name, digest.hexdigest(), sizes[name]))
    return Fetched(tuple(fetched))


def _files(folder: Path) -> list[Path]:
    """A model's folder is flat, or one level deep; a home folder named by mistake is not walked."""
    return [one for one in (*folder.glob("*"), *folder.glob("*/*")) if one.is_file()]
