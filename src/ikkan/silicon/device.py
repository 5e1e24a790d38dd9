"""This machine's processor: what we may use of it, what it can do, and how fast it was when measured.

Everything but `measure` only reads a few files below `root` (`/`; tests have their own), so asking is cheap and needs
no numba. `probe` holds the two measuring loops.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

_ROOT: Final = Path("/")
_GIB: Final = 2**30

_INSTRUCTION_SETS: Final = {
    "avx2": "avx2",
    "fma": "fma",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512vnni",
    "avx512_bf16": "avx512bf16",
    "avx512_fp16": "avx512fp16",
    "avx_vnni": "avxvnni",
    "amx_tile": "amx-tile",
    "amx_int8": "amx-int8",
    "amx_bf16": "amx-bf16",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "sve",
}
"""The kernel's names of the instruction sets that matter to matrix arithmetic, and ours."""

_BYTES_PER_WEIGHT: Final = {"Q4_0": 288 / 512, "Q8_0": 544 / 512}
_PROMPT_TOKENS: Final = 64
PRODUCTS_PER_WEIGHT: Final = 2
"""int8 products in which a weight takes part for a token, because activations are rounded to 15 bits."""


@dataclass(frozen=True, slots=True)
class Cache:
    """One of the processor's caches, as the first core sees it."""

    level: int
    kind: str
    """"data", "instruction" or "unified"."""
    bytes: int
    shared_by: int
    """How many cores share it."""


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What the processor can do for us, and two limits that were measured: reading and multiplying."""

    processor: str
    cores: int
    """What affinity and control group let us use."""
    threads: int
    """How many threads measured."""
    instruction_sets: tuple[str, ...]
    memory_bytes: int
    """The machine's, or what the control group grants of it."""
    memory_available_bytes: int
    caches: tuple[Cache, ...]
    read_gb_s: float
    """Billions of bytes a second that all threads together read from memory, far beyond the last cache."""
    int8_tops: float
    """Trillions of int8 operations a second (a product and its sum are two), all threads, without touching memory."""
    kernel_path: str
    """The instructions that the kernels use here."""
    measured_at: datetime

    def __str__(self) -> str:
        """A table for people."""
        caches = ", ".join(
            f"L{one.level}{'' if one.kind == 'unified' else one.kind[0]} {_size(one.bytes)}"
            + (f" per {one.shared_by} cores" if one.shared_by > 1 else "")
            for one in self.caches
        )
        lines = [
            ("processor", self.processor),
            ("cores we may use", f"{self.cores}  (measured with {self.threads})"),
            ("instruction sets", " ".join(self.instruction_sets) or "none that matter here"),
            ("caches", caches or "unknown"),
            ("memory", f"{_size(self.memory_bytes)}, of which {_size(self.memory_available_bytes)} free"),
            ("memory read", f"{self.read_gb_s:.1f} GB/s"),
            ("int8 peak", f"{self.int8_tops:.2f} TOPS"),
            ("kernels use", self.kernel_path),
            ("measured at", f"{self.measured_at:%Y-%m-%d %H:%M} UTC"),
            ("", ""),
        ]
        lines += [
            (mark.name, f"at most {mark.tokens_s_per_billion:,.0f} tokens/s per billion weights ({mark.limit} sets it)")
            for mark in roofline(self).marks
        ]
        width = max(len(name) for name, _ in lines) + 2
        return "\n".join(f"{name:<{width}}{value}".rstrip() for name, value in lines)


@dataclass(frozen=True, slots=True)
class Point:
    """One corner of the roof."""

    operations_per_byte: float
    gops: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A kind of work, where it touches the roof."""

    name: str
    operations_per_byte: float
    """int8 operations for each byte of weights that is read."""
    gops: float
    """The most this machine can do of it, in billions of operations a second."""
    limit: str
    """"memory" or "arithmetic": what would have to be faster."""
    tokens_s_per_billion: float
    """The same for people: tokens a second of a model with a billion weights, from memory, nothing else counted."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """The two limits as one line over operations per byte (draw both axes logarithmic), and what works under it."""

    line: tuple[Point, ...]
    """Left end, ridge, right end."""
    marks: tuple[Mark, ...]


def roofline(profile: DeviceProfile) -> Roofline:
    """Where reading stops and multiplying begins to be the limit, and on which side our work is.

    The kernels round activations to 12 bits, so each weight takes part in two int8 products (four operations) a token.
    """
    peak = profile.int8_tops * 1000

    def roof(operations_per_byte: float) -> float:
        return min(peak, operations_per_byte * profile.read_gb_s)

    ridge = peak / profile.read_gb_s
    marks = []
    for name, tokens in (("one token", 1), (f"prompt, {_PROMPT_TOKENS} tokens", _PROMPT_TOKENS)):
        for format, bytes_per_weight in _BYTES_PER_WEIGHT.items():
            operations = 2 * PRODUCTS_PER_WEIGHT * tokens
            x = operations / bytes_per_weight
            limit = "memory" if x < ridge else "arithmetic"
            tokens_s = roof(x) / (2 * PRODUCTS_PER_WEIGHT)
            marks.append(Mark(f"{format}, {name}", x, roof(x), limit, tokens_s))
    ends = (min(1.0, ridge / 2), ridge, max(2 * ridge, 2 * max(mark.operations_per_byte for mark in marks)))
    return Roofline(tuple(Point(x, roof(x)) for x in ends), tuple(marks))


def measure(threads: int | None = None) -> DeviceProfile:
    """Look at this machine and measure it: up to some ten seconds, most of them compiling on the first run.

    Args:
        threads: how many threads read and multiply; as many as there are cores for us if None.
    """
    from ikkan.silicon import probe

    cores = cores_allowed()
    threads = min(threads or cores, probe.most_threads())
    total, free = _memory(_ROOT)
    found = caches()
    beyond = max([4 * one.bytes for one in found], default=0)
    size = max(min(max(beyond, 256 * 2**20), free // 4, 2 * _GIB), 2**20)
    return DeviceProfile(
        processor=processor_name(),
        cores=cores,
        threads=threads,
        instruction_sets=instruction_sets(),
        memory_bytes=total,
        memory_available_bytes=free,
        caches=found,
        read_gb_s=probe.read_gb_s(size, threads),
        int8_tops=probe.int8_tops(threads),
        kernel_path=probe.kernel_path(),
        measured_at=datetime.now(UTC),
    )


def save(profile: DeviceProfile, path: Path) -> None:
    """Keep a profile as JSON; whoever reads meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(profile), indent=2))
    beside.replace(path)


def load(path: Path) -> DeviceProfile | None:
    """The profile that was kept; None if there is none that we can read: then measure again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DeviceProfile)
    except (OSError, msgspec.DecodeError):
        return None


def cores_allowed(root: Path = _ROOT) -> int:
    """Cores this process may keep busy: those its affinity names, or fewer where its control group grants fewer."""
    listed = _field(root / "proc/self/status", "Cpus_allowed_list")
    cores = _count(listed) if listed else 0
    if cores == 0:
        cores = os.cpu_count() or 1
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(math.floor(quota) for quota in quotas)]))


def instruction_sets(root: Path = _ROOT) -> tuple[str, ...]:
    """The instruction sets that matter to our arithmetic, of those this processor has.

    >>> set(instruction_sets()) <= set(_INSTRUCTION_SETS.values())
    True
    """
    info = root / "proc/cpuinfo"
    flags = set((_field(info, "flags") or _field(info, "Features")).split())
    return tuple(ours for kernels, ours in _INSTRUCTION_SETS.items() if kernels in flags)


def processor_name(root: Path = _ROOT) -> str:
    """What the processor calls itself."""
    info = root / "proc/cpuinfo"
    return _field(info, "model name") or _field(info, "Model") or platform.processor() or platform.machine()


def caches(root: Path = _ROOT) -> tuple[Cache, ...]:
    """The first core's caches, smallest level first."""
    found = []
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, size = _read(folder / "level"), _size_in(_read(folder / "size"))
        if level.isdigit() and size:
            shared = _count(_read(folder / "shared_cpu_list"))
            found.append(Cache(int(level), _read(folder / "type").lower() or "unified", size, max(1, shared)))
    return tuple(sorted(found, key=lambda one: (one.level, one.kind)))


def cache_key(*folders: Path) -> str:
    """A name for a folder of compiled kernels that changes when anything they are compiled from does.

    Numba looks at the file of the function it compiles and not at the files that function calls into, so a changed
    kernel would live on, compiled into its callers. Counted are the kernels' sources and those in `folders`, the
    compiler's version and the processor's instruction sets.
    """
    counted = hashlib.sha256()
    for name in ("numba", "llvmlite"):
        counted.update(f"{name} {metadata.version(name)}\n".encode())
    counted.update(f"{platform.python_version()} {processor_name()} {instruction_sets()}\n".encode())
    for folder in (Path(__file__).parent / "kernels", *folders):
        for source in sorted(folder.rglob("*.py")):
            counted.update(f"{source.relative_to(folder)}\n".encode())
            counted.update(source.read_bytes())
    return counted.hexdigest()[:16]


# What the kernel says about us, in /proc and /sys.


def _memory(root: Path) -> tuple[int, int]:
    """Bytes in all and bytes free, the machine's or the control group's, whichever is less."""
    info = root / "proc/meminfo"
    total = _kib(_field(info, "MemTotal")) or 4 * _GIB
    free = _kib(_field(info, "MemAvailable")) or total // 2
    for folder in _groups(root, "memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is None or limit > total:
            continue
        total = limit
        # Pages of files that nobody has open give way when somebody needs the room.
        idle = _entry(folder / "memory.stat", "inactive_file") or _entry(folder / "memory.stat", "total_inactive_file")
        free = min(free, max(0, limit - (used or 0) + idle))
    return total, min(free, total)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders that may limit us: our control group and those it is in, under both versions' mounts."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            bases = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            bases = [mount / controllers, mount / controller]
        else:
            continue
        parts = [part for part in group.split("/") if part not in {"", ".."}]
        for base in dict.fromkeys(bases):
            yield from (base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.isdigit() else None


def _field(path: Path, name: str) -> str:
    """The value of the first `name : value`."""
    for line in _read(path).splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


def _entry(path: Path, name: str) -> int:
    """The number of the line `name number`."""
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _count(listed: str) -> int:
    """How many numbers a list like 0-3,8 names."""
    count = 0
    for part in listed.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            count += int(last or first) - int(first) + 1
    return count


def _kib(text: str) -> int:
    number = text.partition(" ")[0]
    return int(number) * 1024 if number.isdigit() else 0


def _size_in(text: str) -> int:
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    digits, unit = text.rstrip("KMG"), text[-1:]
    return int(digits) * units.get(unit, 1) if digits.isdigit() else 0


def _size(count: int) -> str:
    for unit, worth in (("GiB", _GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= worth:
            return f"{count / worth:.3g} {unit}"
    return f"{count} bytes"
