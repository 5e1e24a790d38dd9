"""How likely each unit of a meeting is an action, a decision or important: by what was learned, and by its words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.cues import SAID_OUTRIGHT, STRONG, WEAK, cue
from ikkan.apps.meetings.rules.level0.features import Float32, Float64, Rows, rows, shapes
from ikkan.apps.meetings.rules.level0.model import SHORTEST_WORDS, Head, Model, logistic
from ikkan.apps.meetings.rules.level0.units import Unit

CANDIDATES = 20
"""Actions, decisions and questions that are shown of a meeting of up to an hour; longer ones get more in proportion."""
_HOUR_WORDS = 10_000
LEARNED_LANGUAGE = "en"
_LEAST_BY_CUE = [SAID_OUTRIGHT, 0.21, 0.09]
"""English. Counted in AMI meetings: 3 of 14 strong cues are minuted actions, and 32 of 364 weak ones."""
BARE = 0.005
"""The chance of a line without any cue where nothing was learned: below what is shown."""
_FEWEST_LEARNED = 100
"""No meeting that was learned from has fewer units; of shorter ones the learned chances are trusted in proportion."""


def table_of(meeting: Sequence[Unit], language: str, model: Model) -> Rows | None:
    """The units as rows, where anything was learned of such rows: in English, and wherever people's word counts."""
    return rows(meeting) if language == LEARNED_LANGUAGE or model.turns else None


def importance(meeting: Sequence[Unit], language: str, model: Model, table: Rows | None) -> Float64:
    """How likely each unit is important."""
    if language == LEARNED_LANGUAGE and table is not None:
        chances = model.importance.chances(table, lengths_of(meeting))
    else:
        chances = logistic(shapes(meeting) @ model.shape)
    return turned(chances, table, model.turns.get("importance"))


def told(
    meeting: Sequence[Unit], language: str, kind: str, head: Head, table: Rows | None, important: Float64
) -> tuple[Float64, NDArray[np.bool_]]:
    """How surely each unit is of this kind, and whether that was learned from meetings."""
    if language != LEARNED_LANGUAGE or table is None:
        return by_cue(meeting, language, kind, important), np.zeros(len(meeting), dtype=np.bool_)
    by_words = np.array([cue(kind, unit.text, language, unit.speaker) for unit in meeting])
    chances = head.chances(table, lengths_of(meeting)) * min(1.0, len(meeting) / _FEWEST_LEARNED)
    # Learned chances know one firm's talk; plain words of assignment are shown even where it says nothing of them.
    least = np.select([by_words >= SAID_OUTRIGHT, by_words >= STRONG, by_words >= WEAK], _LEAST_BY_CUE, 0.0)
    # Among equal cues, what was learned decides.
    return np.where(chances >= least, chances, 0.9 * least + 0.1 * chances), chances >= least


def by_cue(meeting: Sequence[Unit], language: str, kind: str, important: Float64) -> Float64:
    """Chances by cue words alone; whatever has none has too little to be shown, and judgements may lift it."""
    by_words = np.array([cue(kind, unit.text, language, unit.speaker) for unit in meeting])
    # Among equal cues, what is more important comes first.
    return np.maximum(by_words * (0.9 + 0.1 * important), np.where(lengths_of(meeting) >= SHORTEST_WORDS, BARE, 0.0))


def room_of(total_words: float) -> int:
    """How many candidates of a kind a meeting of so many words shows."""
    return max(CANDIDATES, round(CANDIDATES * total_words / _HOUR_WORDS))


def best(meeting: Sequence[Unit], chances: Float64, *, least: float, room: int) -> list[int]:
    """Places of the likeliest units above `least`, no text twice."""
    found: list[int] = []
    seen: set[str] = set()
    for at in np.argsort(-chances, kind="stable").tolist():
        if chances[at] <= least or len(found) == room:
            break
        text = " ".join(meeting[at].words)
        if text not in seen:
            seen.add(text)
            found.append(at)
    return found


def turned(chances: Float64, table: Rows | None, turn: Float32 | None) -> Float64:
    """Chances after what people's judgements taught, in log-odds; what had no chance at all still has none."""
    if table is None or turn is None:
        return chances
    return np.where(chances > 0, logistic(log_odds(chances) + table.times(turn)), 0.0)


def log_odds(chances: Float64) -> Float64:
    """Chances as log-odds, those near 0 and 1 kept finite.

    >>> log_odds(np.array([0.5, 0.0])).round(2).tolist()
    [0.0, -13.82]
    """
    kept = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))


def lengths_of(meeting: Sequence[Unit]) -> NDArray[np.int64]:
    """Words of each unit."""
    return np.array([len(unit.words) for unit in meeting], dtype=np.int64)
