"""Sample: the help desk of a trading firm that does not exist, so that the wheel has something honest to turn on.

Lives here: what Shionagi Trading knows (`knowledge.jsonl`), how its people really ask (`paraphrases.jsonl`), what they
ask that no help desk can answer (`outside.jsonl`), and `visits`, which replays eight weeks of it from a seed.
May not enter: databases, models, anything else of ikkan. (Test: `tests/apps/assistant_sample`.)
Begin at `desk.py`; `values.py` says what one visit is.
"""

from ikkan.apps.assistant.sample.contents import knowledge, outside, paraphrases
from ikkan.apps.assistant.sample.desk import SAMPLE_END, VISITS, shuffled, visits
from ikkan.apps.assistant.sample.values import FIRM, Entry, Firm, OutsideQuestion, Reaction, Visit

__all__ = [
    "FIRM",
    "SAMPLE_END",
    "VISITS",
    "Entry",
    "Firm",
    "OutsideQuestion",
    "Reaction",
    "Visit",
    "knowledge",
    "outside",
    "paraphrases",
    "shuffled",
    "visits",
]
