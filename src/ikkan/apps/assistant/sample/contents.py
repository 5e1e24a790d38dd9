"""The sample's files, read once and handed out as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from ikkan.apps.assistant.sample.values import Entry, OutsideQuestion


@cache
def knowledge() -> tuple[Entry, ...]:
    """Everything the help desk knows, Japanese entries first, then their English counterparts.

    >>> first = knowledge()[0]
    >>> first.entry_id, first.lang, first.topic
    ('it-001-ja', 'ja', 'it')
    """
    return tuple(
        Entry(row["id"], row["lang"], row["topic"], row["question"], row["answer"], row["source"])
        for row in _rows("knowledge.jsonl")
    )


@cache
def paraphrases() -> Mapping[str, tuple[str, ...]]:
    """How people really ask for each entry, by entry id. What is asked often has more ways of being asked.

    >>> "forgot my login, can't get in" in paraphrases()["it-001-en"]
    True
    """
    return MappingProxyType({row["id"]: tuple(row["texts"]) for row in _rows("paraphrases.jsonl")})


@cache
def outside() -> tuple[OutsideQuestion, ...]:
    """Questions that no entry answers."""
    return tuple(OutsideQuestion(row["id"], row["lang"], row["text"]) for row in _rows("outside.jsonl"))


def _rows(name: str) -> Iterator[dict[str, Any]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return (json.loads(line) for line in text.splitlines())
