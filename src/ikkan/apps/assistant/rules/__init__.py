"""Decisions of the assistant: pure functions of values, numpy only, no I/O.

Lives here: how a text becomes numbers (`text.py`), and which known answer fits a question, how surely (`answerer.py`).
May not enter: files, databases, frameworks (contract "Rules are pure").
Begin at `answerer.py`.
"""

from ikkan.apps.assistant.rules.answerer import Answerer, Ranked, Reply
from ikkan.apps.assistant.rules.text import nearly_the_same
from ikkan.kit.letters import language_of, same_text

__all__ = ["Answerer", "Ranked", "Reply", "language_of", "nearly_the_same", "same_text"]
