"""Recognisers: personal data in Japanese, English and Chinese text, found as spans.

Lives here: one file a language, what they share (`folding.py`, `checks.py`), lists of surnames (`surnames.py`), and
`scrubbing.py`, which puts a placeholder in a span's place.
May not enter: `\\b` beside kana (both sides of it are letters), a quantifier without an upper bound, a number that is
only long: numbers without a shape of their own need a check digit or a word beside them that says what they are.
Begin at `scrubbing.py`.
"""

from ikkan.assurance.recognisers.scrubbing import LEAST, Scrubbed, recognise, scrub
from ikkan.assurance.recognisers.values import Kind, Span

__all__ = ["LEAST", "Kind", "Scrubbed", "Span", "recognise", "scrub"]
