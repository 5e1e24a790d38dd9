"""What a form of words says about a sentence, as a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from re import Pattern

from ikkan.apps.meetings.rules.language.owners import Doer


class Cue(StrEnum):
    """What a sentence does. A proposal here is a step suggested aloud."""

    ACTION = "action"
    DECISION = "decision"
    QUESTION = "question"
    PROPOSAL = "proposal"


@dataclass(frozen=True, slots=True)
class Rule:
    """One form of words. The first rule of a table that finds its words decides."""

    cue: Cue | None
    """`None`: the sentence is plain talk, whatever else is in it."""
    doer: Doer
    pattern: Pattern[str]
    is_firm: bool = False
    """Holds even where the sentence has a condition or speaks of habit, or, of plain talk, where it asks."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rules of one language. Names stand in a sentence as `ɴ`, one for each of their characters."""

    ends: Pattern[str]
    """Where one sentence ends."""
    joints: Pattern[str]
    """Where what is settled may end and what is to be done may begin."""
    softeners: Pattern[str]
    """Words without weight: fillers, and conditions that are only polite."""
    condition: Pattern[str]
    """Makes deeds and decisions hang on something."""
    habit: Pattern[str]
    """Makes deeds general."""
    rules: tuple[Rule, ...]
    asks: Pattern[str] = re.compile(r"[?]\s*$")
    """The sentence asks in its form."""
    therefore: Pattern[str] | None = None
    """Ends what only gives the reason for a deed ("he said no, so")."""


def plain(pattern: str, *, is_firm: bool = False) -> Rule:
    """Words that make a sentence plain talk; those of a question only where they are firm."""
    return Rule(None, Doer.NOBODY, re.compile(pattern), is_firm)


def action(doer: Doer, pattern: str, *, is_firm: bool = False) -> Rule:
    """Words that say what is to be done."""
    return Rule(Cue.ACTION, doer, re.compile(pattern), is_firm)


def decision(pattern: str) -> Rule:
    """Words that settle something."""
    return Rule(Cue.DECISION, Doer.NOBODY, re.compile(pattern))


def question(pattern: str) -> Rule:
    """Words that ask."""
    return Rule(Cue.QUESTION, Doer.NOBODY, re.compile(pattern))


def proposal(doer: Doer, pattern: str) -> Rule:
    """Words that suggest."""
    return Rule(Cue.PROPOSAL, doer, re.compile(pattern))
