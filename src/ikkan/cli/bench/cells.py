"""What is raced: models, kinds of work, and the cells of the table that each of them fills."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import numpy as np

Kind = Literal["prefill", "decode", "streams", "prefix", "copy"]
Better = Literal["more", "less"]

PURPOSES: Final[Mapping[Kind, str]] = {
    "prefill": "single", "decode": "single", "streams": "serving", "prefix": "serving", "copy": "copying",
}  # fmt: skip
"""In which of its shapes a contender does each kind of work."""

ANSWER: Final = 64
SHORT: Final = 32
"""Tokens of the prompt where the context is said to be empty."""
ASKS: Final = 2
"""Questions a stream asks, one after the other, so that some arrive while others are answered."""
PREFIX, SUFFIX, BRIEF = 1500, 32, 16


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work with one model."""

    model: str
    kind: Kind
    size: int
    """Tokens of the prompt, tokens of the context, or streams."""
    mark: str = ""
    """`avx2`: all contenders are held to these instructions. `cold`: nobody has seen the prefix before."""

    @property
    def name(self) -> str:
        """What its cells' names begin with."""
        named = {"copy": "copy", "prefix": f"shared-prefix-{self.size}"}.get(self.kind, f"{self.kind}-{self.size}")
        return f"{self.model}.{named}" + (f"-{self.mark}" if self.mark else "")

    @property
    def purpose(self) -> str:
        """The shape of contenders it needs."""
        return PURPOSES[self.kind]


def everything() -> list[Work]:
    """The whole table. Each model's works stand together, and those of one purpose within it."""
    works = []
    for model in ("135m-q4_1", "135m-q4_0", "0.5b-q4_0", "0.5b-q8_0", "1.5b-q4_0", "1.5b-q8_0"):
        works += [Work(model, "prefill", size) for size in (128, 512, 2048)]
        works += [Work(model, "decode", size) for size in (0, 1024, 4096)]
        if model in ("135m-q4_1", "0.5b-q4_0"):
            works += [Work(model, "streams", size) for size in (1, 4, 8, 16)]
        if model == "0.5b-q4_0":
            works += [Work(model, "prefix", 8), Work(model, "prefix", 8, "cold")]
        if model == "135m-q4_1":
            works += [Work(model, "copy", 160), Work(model, "decode", 0, "avx2"), Work(model, "prefill", 512, "avx2")]
    return works


def quick() -> list[Work]:
    """A small model through every kind of work: seconds, to see that everything runs."""
    sizes: list[tuple[Kind, int, str]] = [
        ("prefill", 128, ""), ("decode", 0, ""), ("streams", 4, ""), ("prefix", 4, ""), ("copy", 32, ""),
    ]  # fmt: skip
    return [Work("tiny-q4_0", kind, size, mark) for kind, size, mark in sizes]


def of_file(model: str, context: int) -> list[Work]:
    """The works that any model of a person's own can be put to."""
    works = [Work(model, "prefill", size) for size in (128, 512, 2048) if size < context]
    works += [Work(model, "decode", size) for size in (0, 1024, 4096) if size + ANSWER < context]
    return works + [Work(model, "streams", size) for size in (1, 4, 8, 16)]


def chosen(works: Sequence[Work], patterns: Sequence[str]) -> list[Work]:
    """Those of which a cell's name matches one of some shell patterns; all of them without patterns.

    >>> [work.name for work in chosen(everything(), ["0.5b-q4_0.decode-*"])][:2]
    ['0.5b-q4_0.decode-0', '0.5b-q4_0.decode-1024']
    """

    def wanted(work: Work) -> bool:
        names = [work.name, *(f"{work.name}.{one}" for one in METERS[work.kind]), f"{work.model}.memory"]
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return [work for work in works if not patterns or wanted(work)]


# ---- from what a contender says to the numbers of its cells ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meter:
    """One of the numbers that a kind of work is read for."""

    unit: str
    better: Better


METERS: Final[Mapping[Kind, Mapping[str, Meter]]] = {
    "prefill": {"": Meter("tokens/s", "more")},
    "decode": {"": Meter("tokens/s", "more")},
    "streams": {
        "tokens": Meter("tokens/s", "more"),
        "ttft-p50": Meter("ms", "less"),
        "ttft-p99": Meter("ms", "less"),
        "fairness": Meter("slowest/fastest stream", "more"),
        "yen": Meter("JPY/million tokens", "less"),
    },
    "prefix": {"ttft-p50": Meter("ms", "less"), "ttft-p99": Meter("ms", "less")},
    "copy": {"": Meter("s", "less"), "copied": Meter("share of the answer", "more")},
}
MEMORY: Final = Meter("MB", "less")


@dataclass(frozen=True, slots=True)
class Ids:
    """Random prompts within a vocabulary, new ones at each call."""

    numbers: np.random.Generator
    vocab: int

    def some(self, count: int) -> list[int]:
        """So many token ids, none of them a control token."""
        return [int(one) for one in self.numbers.integers(min(1000, self.vocab // 3), self.vocab * 4 // 5, count)]


def lines(work: Work, ids: Ids) -> list[list[list[int]]]:
    """The prompts that each stream of a work asks, one after the other."""
    if work.kind == "prefix":
        return [[one] for one in with_prefix(ids.some(PREFIX), ids, work.size)]
    return [[ids.some(int(ids.numbers.integers(64, 193))) for _ in range(ASKS)] for _ in range(work.size)]


def with_prefix(prefix: list[int], ids: Ids, count: int) -> list[list[int]]:
    """Prompts that begin alike."""
    return [prefix + ids.some(SUFFIX) for _ in range(count)]


def readings(work: Work, reply: Mapping[str, Any], yen_an_hour: float) -> dict[str, float]:
    """The numbers of a reply from `streams`, by meter.

    >>> one = {"asked_s": 0.0, "first_s": 0.5, "last_s": 2.0, "tokens": 20}
    >>> found = readings(Work("m", "streams", 1), {"seconds": 2.0, "lines": [[one]]}, 36.0)
    >>> found["tokens"], found["ttft-p50"], found["fairness"], found["yen"]
    (10.0, 500.0, 1.0, 1000.0)
    """
    waits = sorted((one["first_s"] - one["asked_s"]) * 1000 for line in reply["lines"] for one in line)
    found = {"ttft-p50": statistics.median(waits), "ttft-p99": float(np.quantile(waits, 0.99))}
    if work.kind == "prefix":
        return found
    written = [sum(one["tokens"] for one in line) for line in reply["lines"]]
    took = [line[-1]["last_s"] - line[0]["asked_s"] for line in reply["lines"]]
    rates = [tokens / max(seconds, 1e-9) for tokens, seconds in zip(written, took, strict=True)]
    total = sum(written) / reply["seconds"]
    yen = yen_an_hour / 3600 / max(total, 1e-9) * 1e6
    return {"tokens": total, **found, "fairness": min(rates) / max(rates), "yen": yen}
