"""What the sample store tells its customers: returns, shipping, warranty, payment, parcels that go astray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ikkan.apps.shop.values import LANGUAGES, Language


@dataclass(frozen=True, slots=True)
class Document:
    """One text in one language."""

    name: str
    """`returns.ja`: the topic and the language; the same for every load."""
    language: Language
    title: str
    text: str
    """Markdown, with its title."""


def documents() -> list[Document]:
    """Every text, by name.

    >>> found = documents()
    >>> len(found), found[0].name, found[1].title
    (15, 'late-or-lost.en', 'お届けの遅れ・紛失について')
    """
    made = []
    for path in sorted((Path(__file__).parent / "knowledge").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        language = next(each for each in LANGUAGES if path.stem.endswith(f".{each}"))
        made.append(Document(path.stem, language, text.partition("\n")[0].removeprefix("# "), text))
    return made
