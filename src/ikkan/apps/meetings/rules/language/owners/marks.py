"""What a language marks a doer with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from re import Pattern

Patterns = Callable[[str], tuple[Pattern[str], ...]]
"""From the known names, as alternatives of a pattern, to patterns with a group `name`."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one language."""

    spelled: Callable[[str], str]
    """How a text is spelled before the patterns see it, place for place."""
    named: Callable[[str], Pattern[str]]
    """Any name, from the known names."""
    given: Patterns
    """The work is given to a person, whoever else is the subject ("I'd like Bob to")."""
    doing: Patterns
    """A person is called on, or does it."""
    first_person: Pattern[str]
    nobody: Pattern[str]
    """A subject that is no single person ("we", "the design team")."""
    titles: Pattern[str]
    """A title before or after a name, to be taken off it."""
    nicknames: Pattern[str] | None
    """What goes before a name among colleagues (小), and stays where nobody is known by it."""
    no_name: Pattern[str]
    """Looks like a name and is none, as a whole."""
    shown: Callable[[str, str], str]
    """The pattern of a known name in a text, without a title; empty where it cannot be told from other words."""
    joined: bool
    """Names are written without spaces, so that a surname is the beginning of a label."""
