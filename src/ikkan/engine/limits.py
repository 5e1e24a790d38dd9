"""How much a grammar may cost, and the error that says which part of it costs more or means nothing."""

from __future__ import annotations

import re
from typing import Final

from llguidance._lib import LLParserLimits

from ikkan.ground.errors import BadGrammar

MAX_TEXT_CHARS: Final = 64_000
"""In one expression or grammar that a request writes."""
LIMITS: Final = LLParserLimits(
    max_items_in_row=8_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=300_000,
    verbose_errors=False,  # they would quote the whole grammar
)
"""Of the parser. A step that reaches one takes about 15 ms; states take about 2 KB each."""


def refused(param: str, why: str, *, hint: str = "", pointer: str = "") -> BadGrammar:
    """The error that says which part of which field cannot be honoured.

    >>> refused("guided_json", "unknown type", pointer="/properties/a").message
    'guided_json#/properties/a: unknown type'
    """
    place = f"{param}#{pointer}" if pointer else param
    return BadGrammar(f"{place}: {why}", hint=hint, param=param, pointer=pointer)


def said(error: str) -> str:
    """What the compiler said, short enough to send."""
    plain = re.split(r"<non-verbose/>|<state>|while processing json-schema:", error)[0]
    plain = re.sub(r"\s+", " ", plain).strip()
    known = {"": "no answer can follow it", "NoExtensionBias": "no answer can follow it to an end"}
    return known.get(plain, plain)[:300]
