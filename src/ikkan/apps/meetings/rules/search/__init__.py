"""Finding what was said: passages, the pieces of words they are found by, and their ranking. No database in here."""

from ikkan.apps.meetings.rules.search.asking import Asked, asked
from ikkan.apps.meetings.rules.search.meaning import WEIGHED, fused, is_wide, packed
from ikkan.apps.meetings.rules.search.nearness import nearer
from ikkan.apps.meetings.rules.search.passages import Passage, item_passages, passages
from ikkan.apps.meetings.rules.search.ranking import Hit, Posting, Ranked, postings, rank
from ikkan.apps.meetings.rules.search.words import asked_for, grams

__all__ = [
    "WEIGHED",
    "Asked",
    "Hit",
    "Passage",
    "Posting",
    "Ranked",
    "asked",
    "asked_for",
    "fused",
    "grams",
    "is_wide",
    "item_passages",
    "nearer",
    "packed",
    "passages",
    "postings",
    "rank",
]
