"""A transcript cut into units of about a sentence, and the words of each, in English, Japanese and Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ikkan.apps.meetings.values import Transcript

LONG_WORDS = 30
"""What one person said in one go stays whole up to here: what was learned comes from acts of about eight words."""
_CJK = r"\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_RUNS = re.compile(rf"[{_CJK}]+|(?:(?![{_CJK}])[\w'])+")
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_STOPS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？!?])")
_COMMAS = re.compile(r"(?<=[,;])\s+|(?<=[、，；])")
_FILLERS = re.compile(
    r"\b(?:u[hm]+|hm+|mm+|erm?|mm-hmm|uh-huh)\b[,.]?\s*"
    r"|(?:(?<=^)|(?<=[、。，]))(?:えーと|えっと|ええと|えー|あのー|そのー|まあその|嗯|呃|那个那个)[、，。]?",
    re.IGNORECASE,
)
_TWICE = re.compile(r"\b([^\W\d_]+(?:'\w+)?)(?:,?\s+\1\b)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unit:
    """About a sentence of one speaker."""

    text: str
    segment_id: str
    speaker: str
    words: tuple[str, ...]
    """As `words` finds them."""


def units(transcript: Transcript) -> tuple[Unit, ...]:
    """Everything that was said, in order; turns of more than `LONG_WORDS` words are cut at sentences, then commas.

    >>> from ikkan.apps.meetings.values import Segment
    >>> [unit.text for unit in units(Transcript((Segment("s1", "A", "Good morning. Shall we?"),), "en"))]
    ['Good morning. Shall we?']
    """
    found = []
    for segment in transcript:
        for text in _cut(segment.text, (_STOPS, _COMMAS)):
            if said := words(text):
                found.append(Unit(text, segment.id, segment.speaker, tuple(said)))
    return tuple(found)


def _cut(text: str, borders: tuple[re.Pattern[str], ...]) -> list[str]:
    text = " ".join(text.split())
    if size(words(text)) <= LONG_WORDS:
        return [text] if text else []
    if not borders:
        return _hewn(text)
    parts: list[str] = []
    # Neighbours that fit together stay together, or a long turn would become crumbs.
    for piece in borders[0].split(text):
        if parts and size(words(parts[-1] + piece)) <= LONG_WORDS // 2:
            parts[-1] += piece if _IS_CJK.match(piece) else f" {piece}"
        elif piece.strip():
            parts.append(piece.strip())
    return [small for part in parts for small in _cut(part, borders[1:])]


def _hewn(text: str) -> list[str]:
    # Recognisers often give no punctuation at all: cut where there is room, never inside a word that spaces part.
    parts = text.split()
    if len(parts) <= LONG_WORDS:
        return [text[at : at + 2 * LONG_WORDS] for at in range(0, len(text), 2 * LONG_WORDS)]
    return [" ".join(parts[at : at + LONG_WORDS]) for at in range(0, len(parts), LONG_WORDS)]


def words(text: str) -> list[str]:
    """Words of a text, and pairs of characters where no spaces part words; width and case evened out.

    >>> words("The ＶＰＮ isn't up"), words("印刷する")
    (['the', 'vpn', "isn't", 'up'], ['印刷', '刷す', 'する'])
    """
    found = []
    for run in _RUNS.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(run) and len(run) > 1:
            found += [run[at : at + 2] for at in range(len(run) - 1)]
        elif run.strip("_'"):
            found.append(run)
    return found


def size(said: Sequence[str]) -> float:
    """Length in words; a pair of characters counts for half of one, as two characters make a word.

    >>> size(["the", "plan"]), size(["印刷", "刷す"])
    (2.0, 1.0)
    """
    pairs = sum(1 for word in said if _IS_CJK.match(word))
    return len(said) - pairs / 2


def contents(said: Sequence[str]) -> list[str]:
    """The words as a summary counts them: no apostrophes or underlines, no pairs that are grammar only.

    >>> contents(["t_v_", "isn't", "する", "印刷"])
    ['t', 'v', 'isn', 't', '印刷']
    """
    found: list[str] = []
    for word in said:
        if not _HIRAGANA.fullmatch(word):
            found += [part for part in re.split(r"[_']", word) if part]
    return found


def tidy(text: str) -> str:
    """What was said without "um" and without a word said twice in a row. Nothing else is changed.

    >>> tidy("Um so we we need, uh, the the plan."), tidy("えーと、来週です")
    ('so we need, the plan.', '来週です')
    """
    return _TWICE.sub(r"\1", _FILLERS.sub("", text)).strip(" ,、") or text


def spoken(meeting: Sequence[Unit]) -> list[list[str]]:
    """The words of each unit as a summary counts them, after tidying."""
    return [contents(words(tidy(unit.text))) for unit in meeting]
