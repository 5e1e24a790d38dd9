"""Level 1: what a language model is asked about a meeting, and what of its answer is believed.

Lives here: a meeting cut into parts (`parts.py`), the prompt and the shape of an answer (`asking.py`), reading it
(`reading.py`), what is dropped from it (`checking.py`), notes of many parts made few (`reducing.py`), Level 0 and the
model's notes as one result (`joining.py`), and which models were measured to be no worse than Level 0 (`measured.py`).
May not enter: the model, the network, the clock (contract "Rules are pure").
Begin at `asking.py`; `service/writing.py` is who asks.
"""

from ikkan.apps.meetings.rules.level1.asking import MOST_POINTS, Question, merge_question, note_question, orders
from ikkan.apps.meetings.rules.level1.checking import TWICE, UNCITED, UNSUPPORTED, Checked, checked, is_supported
from ikkan.apps.meetings.rules.level1.joining import joined
from ikkan.apps.meetings.rules.level1.measured import MEASURED, Measured, level_of, plain_name
from ikkan.apps.meetings.rules.level1.parts import ANSWER_TOKENS, Line, Part, parts, room_of
from ikkan.apps.meetings.rules.level1.reading import Draft, Unreadable, read_notes
from ikkan.apps.meetings.rules.level1.reducing import groups

__all__ = [
    "ANSWER_TOKENS",
    "MEASURED",
    "MOST_POINTS",
    "TWICE",
    "UNCITED",
    "UNSUPPORTED",
    "Checked",
    "Draft",
    "Line",
    "Measured",
    "Part",
    "Question",
    "Unreadable",
    "checked",
    "groups",
    "is_supported",
    "joined",
    "level_of",
    "merge_question",
    "note_question",
    "orders",
    "parts",
    "plain_name",
    "read_notes",
    "room_of",
]
