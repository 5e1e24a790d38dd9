"""How many tokens a text is, when nobody counted: a guess to bill by, and a ceiling to reserve by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

PER_TOKEN = 4
"""Units in one estimated token."""
TOKENS_PER_MESSAGE = 16
"""What a chat template may add around one message, at most."""
TOKENS_PER_MEDIA_PART = 4_096
"""Held back for an image, audio or video part whose tokens only the upstream can count."""
TOKENS_PER_REQUEST = 128
"""What a chat template may add once, a default system prompt for example, at most."""


def units(text: str) -> int:
    """Quarter tokens in a text: an ASCII character is one, any other is a token of its own.

    Adding up pieces gives the same as measuring the whole, so a stream can be measured as it passes.

    >>> units("hello"), units("東京")
    (5, 8)
    """
    return len(text) if text.isascii() else sum(1 if character < "\x80" else PER_TOKEN for character in text)


def tokens(text_units: int) -> int:
    """Estimated tokens in so many units, rounded up.

    >>> tokens(units("hello")), tokens(units("東京")), tokens(0)
    (2, 2, 0)
    """
    return -(-text_units // PER_TOKEN)


def ceiling(value: Any) -> int:
    """More input tokens than this text, message or list can be: a byte-level tokenizer needs one a byte at most.

    >>> ceiling("東京"), ceiling([1, 2, 3]), ceiling([{"role": "user", "content": "hi"}])
    (6, 3, 22)
    """
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        return _message_ceiling(value)
    if isinstance(value, Sequence):
        return sum(1 if isinstance(item, int) else ceiling(item) for item in value)
    return 0


def json_ceiling(value: Any) -> int:
    """More tokens than this value's JSON can be: for tools and schemas, which a template writes into the prompt.

    >>> json_ceiling({"type": "object"})
    34
    """
    return 2 * len(msgspec.json.encode(value))


def _message_ceiling(message: Mapping[str, Any]) -> int:
    total = TOKENS_PER_MESSAGE
    for name, value in message.items():
        if name == "content" and isinstance(value, list):
            total += sum(_part_ceiling(part) for part in value)
        elif isinstance(value, str):
            total += len(value.encode("utf-8", "surrogatepass"))
        elif value is not None:
            total += len(msgspec.json.encode(value))
    return total


def _part_ceiling(part: Any) -> int:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return len(part["text"].encode("utf-8", "surrogatepass"))
    return TOKENS_PER_MEDIA_PART
