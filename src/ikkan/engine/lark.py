"""Whether the texts of a Lark grammar can end. Its syntax is `llguidance`'s to judge; this looks at rules only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_WORDS: Final = re.compile(
    r"""(?P<space>[ \t\r]+|//[^\n]*|\#[^\n]*)|(?P<line>\n)
    |(?P<text>"(?:[^"\\\n]|\\.)*"i?)|(?P<regex>/(?:[^/\\\n]|\\.)+/[imslux]*)
    |(?P<range>\{\s*(?P<least>\d*)\s*(?:,\s*\d*\s*)?\}|~\s*(?P<tilde>\d+)(?:\s*\.\.\s*\d+)?)
    |(?P<token><[^<>\s]+>)|(?P<other>@[\w-]+)|(?P<name>[!?]?[A-Za-z_][\w-]*(?:::[\w]+)?)|(?P<sign>->|.)""",
    re.VERBOSE,
)
_DIRECTIVE: Final = re.compile(r"^[ \t]*%[a-z]+", re.MULTILINE)
_RULE: Final = re.compile(
    r"^[ \t]*[!?]?(?P<name>[A-Za-z_][\w-]*(?:::[\w]+)?)[ \t]*(?P<options>\[[^\]\n]*\])?[ \t]*(?:\.\d+)?[ \t]*:",
    re.MULTILINE,
)

Word = tuple[str, str]


def endless(text: str) -> str:
    """The first rule on the way from `start` that has no finite text; empty if all can end, or if we cannot read it.

    >>> endless('start: "a" start'), endless('start: "a" start | "b"'), endless("start: x y?\\nx: y\\ny: /a/ x")
    ('start', '', 'start')
    """
    rules = _rules(text)
    if "start" not in rules:
        return ""
    ends: set[str] = set()
    waiting = dict(rules)
    while waiting:
        found = [name for name, words in waiting.items() if _can_end(words, ends, rules.keys())]
        if not found:
            break
        ends.update(found)
        for name in found:
            del waiting[name]
    return "start" if "start" in waiting else ""


def _rules(text: str) -> dict[str, list[Word]]:
    heads = [*_RULE.finditer(text)]
    found: dict[str, list[Word]] = {}
    for number, head in enumerate(heads):
        body = text[head.end() : heads[number + 1].start() if number + 1 < len(heads) else len(text)]
        if directive := _DIRECTIVE.search(body):
            body = body[: directive.start()]
        found[head["name"]] = [*_words(body)]
    return found


def _words(body: str) -> Iterator[Word]:
    for match in _WORDS.finditer(body):
        kind = match.lastgroup or ""
        if match["range"] is not None:
            least = match["least"] if match["tilde"] is None else match["tilde"]
            yield "times", least or "0"
        elif kind not in ("space", "line"):
            yield kind, match[0]


def _can_end(words: list[Word], ends: set[str], rules: object) -> bool:
    """Whether a rule's body has a text made of what is known to end."""
    alternatives: list[list[bool]] = [
        [True]
    ]  # of each open bracket: whether the alternative, and one before it, can end
    brackets: list[str] = []
    last = True
    before = [True]

    def put(ending: bool) -> None:
        nonlocal last
        before[-1] = alternatives[-1][-1]
        alternatives[-1][-1] = alternatives[-1][-1] and ending
        last = ending

    for kind, word in words:
        if kind == "name":
            put(word.lstrip("!?") in ends or word.lstrip("!?") not in rules)  # type: ignore[operator]
        elif kind in ("text", "regex", "token", "other"):
            put(True)
        elif (kind == "times" and word == "0") or word in ("?", "*"):
            alternatives[-1][-1] = before[-1]
        elif word == "|":
            alternatives[-1].append(True)
            before[-1] = True
        elif word in "([":
            brackets.append(word)
            alternatives.append([True])
            before.append(True)
        elif word in ")]" and brackets:
            inner = any(alternatives.pop())
            before.pop()
            put(inner or brackets.pop() == "[")
    while len(alternatives) > 1:  # not closed: the compiler will say so
        inner = any(alternatives.pop())
        alternatives[-1][-1] = alternatives[-1][-1] and inner
    return any(alternatives[0])
