"""What the sample is made of: entries, people's visits and what a person does about an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Lang = Literal["ja", "en"]
Correction = Literal["edit", "choice", "thumb_down"]


@dataclass(frozen=True, slots=True)
class Firm:
    """Who is asking. Invented; any likeness is chance."""

    name_ja: str
    name_en: str
    about_ja: str
    about_en: str
    employees: int


FIRM = Firm(
    name_ja="潮凪商事株式会社",
    name_en="Shionagi Trading Co.",
    about_ja="食品と台所用品を輸入する85人の会社。神戸本社、東京支店、六甲倉庫。",
    about_en="An importer of food and kitchen goods, 85 people: Kobe head office, Tokyo branch, Rokko warehouse.",
    employees=85,
)
"""The firm of the sample."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing the help desk knows, in one language."""

    entry_id: str
    """`it-001-ja`; its counterpart in the other language is `it-001-en`."""
    lang: Lang
    topic: str
    question: str
    """The official wording, as the handbook would put it."""
    answer: str
    source: str
    """Title and section of the (fictional) document the answer stands in."""


@dataclass(frozen=True, slots=True)
class OutsideQuestion:
    """A question that company knowledge cannot answer: the right reply is "I don't know", or the model's."""

    question_id: str
    lang: Lang
    text: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a person did about an answer."""

    kind: Literal["edit", "choice", "thumb_up", "thumb_down"]
    knowledge_id: str | None
    """The entry the person says is right: for an edit, its answer is what they typed. None with a thumb down."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One person asking one thing once."""

    visit_id: str
    at: datetime
    """Aware UTC, in Japanese office hours."""
    subject: str
    lang: Lang
    question: str
    knowledge_id: str | None
    """The truth: the entry that answers this. None when no entry does."""
    corrected_id: str | None
    """The entry this person believes to be right: nearly always the truth, sometimes a slip."""
    correction: Correction | None
    """What this person does when the answer is wrong; None lets it pass."""
    praises: bool
    """Whether this person gives a thumb up when the answer is right."""
    shown_id: str | None = None
    """The entry that was shown; filled in by whoever replays (`dataclasses.replace`)."""

    @property
    def corrects(self) -> bool:
        """Whether this person names the right answer when shown a wrong one."""
        return self.correction in ("edit", "choice") and self.corrected_id is not None

    def reaction(self, shown_id: str | None) -> Reaction | None:
        """What this person does on being shown entry `shown_id` (None: an answer that is no entry, or none at all).

        Only beliefs are consulted, never the truth, so a shuffled visit reacts in earnest to its shuffled belief.
        """
        if shown_id == self.corrected_id:
            return Reaction("thumb_up", shown_id) if self.praises and shown_id is not None else None
        if self.correction is None:
            return None
        if self.correction == "thumb_down" or self.corrected_id is None:
            return Reaction("thumb_down", None)
        return Reaction(self.correction, self.corrected_id)
