"""Assurance: what a house can show about its care for people - first of all, whose data stands in a text.

Lives here: recognisers of personal data, and what replaces it.
May not enter: the flywheel, the kit or any app, by import (contract "Rooms are stacked"); a model or a network: what
stands in a text is decided by rules that can be read, in time that grows with the text
(`tests/assurance/test_hostile_text.py`).
Begin at `recognisers/__init__.py`; `recognisers.scrub` is what the flywheel calls before anything is learned.
"""

from ikkan.assurance.recognisers import Kind, Scrubbed, Span, recognise, scrub

__all__ = ["Kind", "Scrubbed", "Span", "recognise", "scrub"]
