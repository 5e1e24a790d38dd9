"""Word documents: the paragraphs of a docx as lines, read within bounds and without anything the file could ask for."""

from __future__ import annotations

import io
import zipfile
import zlib
from xml.etree import ElementTree

from ikkan.ground.errors import BadFile, HostileFile

_MOST_XML_BYTES = 64 << 20
"""Unpacked; a day's talk is a tenth of it."""
_BODY = "word/document.xml"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def word_text(data: bytes) -> str:
    """The text of a docx, a paragraph a line; a row of a table is `first: rest`.

    Raises:
        BadFile: it is no Word document, or a damaged one.
        HostileFile: it unpacks to more than a document has, or declares entities.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.getinfo(_BODY)
            if entry.file_size > _MOST_XML_BYTES:
                raise HostileFile(f"it unpacks to {entry.file_size:,} bytes", hint="save it again as docx or as text")
            with archive.open(entry) as file:
                xml = file.read(_MOST_XML_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as exc:
        raise BadFile("this is no Word document we can open", hint="save it again as docx, without a password") from exc
    if len(xml) > _MOST_XML_BYTES or b"<!DOCTYPE" in xml or b"<!ENTITY" in xml or xml[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise HostileFile("the document declares what no Word document does", hint="save it again as docx or as text")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as exc:
        raise BadFile("the Word document is damaged", hint="open it in Word and save it again") from exc
    body = root.find(f"{_W}body")
    return "\n".join(_block(block) for block in (body if body is not None else root))


def _block(block: ElementTree.Element) -> str:
    if block.tag == f"{_W}tbl":
        rows = [[_cell(cell) for cell in row.findall(f"{_W}tc")] for row in block.iter(f"{_W}tr")]
        return "\n".join(_row([cell for cell in row if cell]) for row in rows)
    return _paragraph(block)


def _cell(cell: ElementTree.Element) -> str:
    return " ".join(filter(None, (_paragraph(each).strip() for each in cell.findall(f"{_W}p"))))


def _row(cells: list[str]) -> str:
    if len(cells) == 3 and cells[0][:1].isdigit():  # a time first
        return f"{cells[0]} {cells[1]}: {cells[2]}"
    return f"{cells[0]}: {' '.join(cells[1:])}" if len(cells) > 1 else "".join(cells)


def _paragraph(paragraph: ElementTree.Element) -> str:
    pieces = []
    for node in paragraph.iter():
        if node.tag == f"{_W}t":
            pieces.append(node.text or "")
        elif node.tag == f"{_W}tab":
            pieces.append("\t")
        elif node.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
    return "".join(pieces)
