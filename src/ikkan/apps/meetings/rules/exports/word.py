"""Minutes as a Word document, written by hand: a document, its styles and its lists are five small XML files."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from xml.sax.saxutils import escape

from ikkan.apps.meetings.rules.minutes.building import Line, Minutes, Section
from ikkan.apps.meetings.rules.minutes.forms import WORDS

_FONTS = {"ja": "Yu Gothic", "zh": "Microsoft YaHei", "en": "Calibri"}
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPES = (
    f'{_HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    + "".join(
        f'<Override PartName="/word/{part}.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        f'wordprocessingml.{kind}+xml"/>'
        for part, kind in (("document", "document.main"), ("styles", "styles"), ("numbering", "numbering"))
    )
    + "</Types>"
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_RELS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}">'
    f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>'
)
_DOCUMENT_RELS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}">'
    f'<Relationship Id="r1" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    f'<Relationship Id="r2" Type="{_OFFICE}/numbering" Target="numbering.xml"/></Relationships>'
)
_LEVEL = '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="{format}"/><w:lvlText w:val="{text}"/>' \
         '<w:pPr><w:ind w:left="420" w:hanging="420"/></w:pPr></w:lvl>'  # fmt: skip
_BULLETS, _NUMBERS = 0, 1
_BORDERS = "".join(
    f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="999999"/>'
    for side in ("top", "left", "bottom", "right", "insideH", "insideV")
)


def word(made: Minutes) -> bytes:
    """The document as docx. The same minutes give the same bytes.

    >>> zipfile.ZipFile(io.BytesIO(word(Minutes("Plan", "en", "standard", (), ())))).testzip() is None
    True
    """
    numbered = [section for section in made.sections if section.layout == "numbers"]
    body = "".join(_blocks(made, numbered))
    document = f"{_HEAD}<w:document {_W}><w:body>{body}<w:sectPr/></w:body></w:document>"
    files = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _RELS,
        "word/document.xml": document,
        "word/_rels/document.xml.rels": _DOCUMENT_RELS,
        "word/styles.xml": _styles(made.language),
        "word/numbering.xml": _numbering(len(numbered)),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _blocks(made: Minutes, numbered: list[Section]) -> Iterator[str]:
    yield _paragraph(made.title, style="Title")
    for label, value in made.facts:
        yield _paragraph(f"{label}: {value}")
    for section in made.sections:
        yield _paragraph(section.heading, style="Heading1")
        yield from _body(section, made.language, numbered)
        if section.more:
            yield _paragraph(section.more)
    if made.closing:
        yield _paragraph(made.closing, align="right")


def _body(section: Section, language: str, numbered: list[Section]) -> Iterator[str]:
    if not section.lines:
        yield _paragraph(section.nothing)
    elif section.layout == "table":
        yield _table(section, language)
    elif section.layout in ("chapters", "speakers"):
        for line in section.lines:
            is_group = bool(line.below) or section.layout == "speakers" or not line.speaker
            yield _paragraph(_said(line), style="Heading2") if is_group else _paragraph(_said(line), list_id=1)
            yield from (_paragraph(_said(each), list_id=1) for each in line.below)
    else:
        list_id = 2 + numbered.index(section) if section.layout == "numbers" else 1
        yield from (_paragraph(_said(line), list_id=list_id) for line in section.lines)


def _said(line: Line) -> str:
    facts = " · ".join(fact for fact in (line.owner, line.due) if fact)
    pieces = [line.text, f"({facts})" if facts else "", f"[{line.where}]" if line.where else ""]
    return " ".join(filter(None, (*pieces, f"({line.mark})" if line.mark else "")))


def _table(section: Section, language: str) -> str:
    heads = [WORDS[name][language] for name in ("task", "owner", "due", "where")]
    rows = [heads] + [
        [f"{line.text} ({line.mark})" if line.mark else line.text, line.owner, line.due, line.where]
        for line in section.lines
    ]
    drawn = "".join(f"<w:tr>{''.join(f'<w:tc>{_paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in rows)
    facts = f'<w:tblPr><w:tblW w:w="5000" w:type="pct"/><w:tblBorders>{_BORDERS}</w:tblBorders></w:tblPr>'
    return f"<w:tbl>{facts}{drawn}</w:tbl>"


def _paragraph(text: str, *, style: str = "", list_id: int = 0, align: str = "") -> str:
    facts = f'<w:pStyle w:val="{style}"/>' if style else ""
    facts += f'<w:numPr><w:ilvl w:val="0"/><w:numId w:val="{list_id}"/></w:numPr>' if list_id else ""
    facts += f'<w:jc w:val="{align}"/>' if align else ""
    clean = escape(_NO_XML.sub("", text)).replace("\n", '</w:t><w:br/><w:t xml:space="preserve">')
    return f'<w:p><w:pPr>{facts}</w:pPr><w:r><w:t xml:space="preserve">{clean}</w:t></w:r></w:p>'


def _styles(language: str) -> str:
    font = _FONTS[language]
    fonts = f'<w:rFonts w:ascii="{font}" w:hAnsi="{font}" w:eastAsia="{font}"/>'
    tag = {"ja": "ja-JP", "zh": "zh-CN", "en": "en-GB"}[language]
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{shown}"/><w:pPr><w:spacing w:before="{space}" '
        f'w:after="80"/>{outline}</w:pPr><w:rPr><w:b/><w:sz w:val="{size}"/></w:rPr></w:style>'
        for name, shown, space, size, outline in (
            ("Title", "Title", 0, 36, ""),
            ("Heading1", "heading 1", 240, 26, '<w:outlineLvl w:val="0"/>'),
            ("Heading2", "heading 2", 160, 22, '<w:outlineLvl w:val="1"/>'),
        )
    )
    return (
        f'{_HEAD}<w:styles {_W}><w:docDefaults><w:rPrDefault><w:rPr>{fonts}<w:sz w:val="21"/>'
        f'<w:lang w:val="{tag}" w:eastAsia="{tag}"/></w:rPr></w:rPrDefault></w:docDefaults>{styles}</w:styles>'
    )


def _numbering(lists: int) -> str:
    """One bulleted list for all, and a numbered list for each section, so that each begins at 1."""
    kinds = ((_BULLETS, "bullet", "•"), (_NUMBERS, "decimal", "%1."))
    abstract = "".join(
        f'<w:abstractNum w:abstractNumId="{number}">{_LEVEL.format(format=name, text=text)}</w:abstractNum>'
        for number, name, text in kinds
    )
    used = f'<w:num w:numId="1"><w:abstractNumId w:val="{_BULLETS}"/></w:num>' + "".join(
        f'<w:num w:numId="{number + 2}"><w:abstractNumId w:val="{_NUMBERS}"/><w:lvlOverride w:ilvl="0">'
        '<w:startOverride w:val="1"/></w:lvlOverride></w:num>'
        for number in range(lists)
    )
    return f"{_HEAD}<w:numbering {_W}>{abstract}{used}</w:numbering>"
