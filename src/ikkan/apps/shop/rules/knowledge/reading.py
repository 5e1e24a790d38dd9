"""Documents as passages: markdown, plain text, HTML, Word and PDF, each passage under its headings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import PurePath

from ikkan.ground.errors import BadFile, RequestTooLarge
from ikkan.kit.word import word_text

MOST_BYTES = 20 * 2**20
MOST_PASSAGES = 5_000
_ENOUGH = 400
"""A passage ends at the paragraph with which it has so many letters; kana and hanzi count twice."""
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_NUMBERED = re.compile(r"^(第[\d一二三四五六七八九十百]+[条章節节項项]|\d{1,2}(\.\d{1,2}){0,3}[.)、]?)\s*\S{1,40}$")
_BLOCKS = frozenset(["p", "div", "section", "article", "main", "li", "ul", "ol", "dl", "dt", "dd", "tr", "br", "pre"])
_HIDDEN = frozenset(["script", "style", "head", "template", "noscript", "svg", "nav"])


@dataclass(frozen=True, slots=True)
class Passage:
    """Some paragraphs under one heading."""

    headings: tuple[str, ...]
    """From the widest to the narrowest."""
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document in passages, in its order."""

    title: str
    passages: tuple[Passage, ...]


def read(name: str, content: bytes, *, pdf: Callable[[bytes], str] | None = None) -> Document:
    """A file as a document; by the ending of its name.

    Args:
        pdf: reads a PDF's text; None: nobody here can.

    Raises:
        RequestTooLarge: it is larger than a document is.
        BadFile: it is no such file, or nothing is written in it.
    """
    suffix = PurePath(name).suffix.lower()
    if len(content) > MOST_BYTES:
        raise RequestTooLarge(f"{name} has {len(content):,} bytes; {MOST_BYTES:,} at most", hint="give it in parts")
    if suffix == ".pdf" and pdf is not None:
        text = pdf(content)
    elif suffix in SUFFIXES:
        text = SUFFIXES[suffix](content)
    else:
        raise BadFile(f"{name}: nothing here reads {suffix or 'a file without an ending'}",
                      hint=f"one of {', '.join(sorted({*SUFFIXES, *(['.pdf'] if pdf else [])}))}")  # fmt: skip
    found = _document(PurePath(name).stem, text)
    if not found.passages:
        raise BadFile(f"{name} has no text", hint="a scan has to be read by OCR first")
    return found


def _plain(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp932", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadFile("the text is in no encoding we know", hint="save it as UTF-8")


class _Html(HTMLParser):
    """The text of a page: headings as lines with #, blocks parted by blank lines, nothing hidden."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0
        self._title: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "title":
            self._title = []
        elif tag in _HIDDEN:
            self._hidden += 1
        elif re.fullmatch("h[1-6]", tag):
            self.pieces.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag in _BLOCKS:
            self.pieces.append("\n\n" if tag != "br" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._title is not None:
            self.pieces.insert(0, "# " + " ".join("".join(self._title).split()) + "\n\n")
            self._title = None
        elif tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS or re.fullmatch("h[1-6]", tag):
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)
        elif not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))


def _html(content: bytes) -> str:
    page = _Html()
    page.feed(_plain(content))
    page.close()
    return "".join(page.pieces)


SUFFIXES: Mapping[str, Callable[[bytes], str]] = {
    ".md": _plain,
    ".markdown": _plain,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
    ".docx": word_text,
}
"""What can be read, by the ending of a file's name."""


def _document(name: str, text: str) -> Document:
    title, headings = "", list[tuple[int, str]]()
    passages: list[Passage] = []
    together: list[str] = []

    def end() -> None:
        if together:
            passages.append(Passage(tuple(each for _, each in headings), "\n".join(together)))
            together.clear()

    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        for line in _lines(paragraph):
            found = _heading(line)
            if found is None:
                together.append(line.strip())
                continue
            end()
            level, said = found
            if level == 1 and not title:
                title = said
                continue
            headings[:] = [each for each in headings if each[0] < level]
            headings.append((level, said))
        if sum(2 if letter > "\u3000" else 1 for line in together for letter in line) >= _ENOUGH:
            end()
    end()
    return Document(title or name, tuple(passages[:MOST_PASSAGES]))


def _lines(paragraph: str) -> list[str]:
    return [line for line in paragraph.split("\n") if line.strip()]


def _heading(line: str) -> tuple[int, str] | None:
    marked = _HEADING.match(line)
    if marked:
        return len(marked.group(1)), marked.group(2).strip()
    return (4, line.strip()) if _NUMBERED.match(line.strip()) else None
