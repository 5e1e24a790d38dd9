"""Minutes as Markdown. What people said is text in it, never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ikkan.apps.meetings.rules.minutes.building import Line, Minutes, Section
from ikkan.apps.meetings.rules.minutes.forms import WORDS

_MARKUP = re.compile(r"([\\`*_\[\]<>|#~])")
_SPACES = re.compile(r"\s+")


def markdown(made: Minutes) -> str:
    """The document as text, ending with a line end.

    >>> print(markdown(Minutes("Plan <b>", "en", "standard", (("Date", "2026-06-01"),), ())), end="")
    # Plan \\<b\\>
    <BLANKLINE>
    - **Date**: 2026-06-01
    """
    blocks = [f"# {escaped(made.title)}"]
    if made.facts:
        blocks.append("\n".join(f"- **{escaped(label)}**: {escaped(value)}".rstrip() for label, value in made.facts))
    for section in made.sections:
        blocks.append(f"## {escaped(section.heading)}")
        blocks.extend(_body(section, made.language))
        if section.more:
            blocks.append(f"*{escaped(section.more)}*")
    if made.closing:
        blocks.append(escaped(made.closing))
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Text on one line, with nothing in it that Markdown would take for its own."""
    return _MARKUP.sub(r"\\\1", _SPACES.sub(" ", text).strip())


def _body(section: Section, language: str) -> Iterator[str]:
    if not section.lines:
        yield escaped(section.nothing)
    elif section.layout == "table":
        yield _table(section, language)
    elif section.layout == "numbers":
        yield "\n".join(f"{place}. {_said(line)}" for place, line in enumerate(section.lines, start=1))
    elif section.layout in ("chapters", "speakers"):
        yield from _grouped(section)
    else:
        yield "\n".join(f"- {_said(line)}" for line in section.lines)


def _grouped(section: Section) -> Iterator[str]:
    alone = [line for line in section.lines if not line.below and section.layout == "chapters" and line.speaker]
    if alone:
        yield "\n".join(f"- {_said(line)}" for line in alone)
    for line in section.lines:
        if line in alone:
            continue
        yield f"### {_said(line)}"
        if line.below:
            yield "\n".join(f"- {_said(each)}" for each in line.below)


def _said(line: Line) -> str:
    facts = [escaped(fact) for fact in (line.owner, line.due) if fact]
    text = escaped(line.text) + (f" ({' · '.join(facts)})" if facts else "")
    text += f" [{line.where}]".replace("[", "\\[").replace("]", "\\]") if line.where else ""
    return f"{text} *({escaped(line.mark)})*" if line.mark else text


def _table(section: Section, language: str) -> str:
    heads = [WORDS[name][language] for name in ("task", "owner", "due", "where")]
    rows = [f"| {' | '.join(heads)} |", "|---|---|---|---|"]
    for line in section.lines:
        task = escaped(line.text) + (f" *({escaped(line.mark)})*" if line.mark else "")
        rows.append(f"| {task} | {escaped(line.owner)} | {escaped(line.due)} | {escaped(line.where)} |")
    return "\n".join(rows)
