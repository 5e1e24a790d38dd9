"""Knowledge: what a merchant's documents say to a question, in the documents' own words, or that they do not say it.

Lives here: documents as passages (`reading.py`), what a text is found by (`words.py`), the index (`index.py`), and the
sentences that answer, with their place (`answering.py`). Pure.
May not enter: a model that words answers; whoever wants one is given passages and their places.
Begin at `answering.py`.
"""

from ikkan.apps.shop.rules.knowledge.answering import Answered, Cited, answer
from ikkan.apps.shop.rules.knowledge.index import Hit, Index
from ikkan.apps.shop.rules.knowledge.reading import SUFFIXES, Document, Passage, read

__all__ = ["SUFFIXES", "Answered", "Cited", "Document", "Hit", "Index", "Passage", "answer", "read"]
