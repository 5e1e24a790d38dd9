"""Meetings that this project makes, in the form of annotated records, so that a proof runs where there is no file.

There are many ways to give a task, and as many to talk about tasks that nobody is given. A base that has heard few
meetings has heard few of either; people's judgements tell of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_TASKS = (
    "send the offer", "call the printer", "book the room", "write the report", "ask the lawyer", "check the invoice",
    "draw the plan", "test the button", "order the parts", "update the list", "visit the client", "fix the budget",
)  # fmt: skip
_GIVEN = (
    "{who} takes it on to {task}", "that one goes to {who} to {task}", "{who} could you {task}",
    "put {who} down to {task}", "count on {who} to {task}", "{who} owes us to {task}",
    "{who} is the one to {task}", "let {who} {task}", "leave it with {who} to {task}",
    "{who} promised to {task}", "{who} volunteered to {task}", "over to {who} to {task}",
    "{who} has until then to {task}", "the ball is with {who} to {task}", "{who} signs up to {task}",
    "{who} fine i {task}",
)  # fmt: skip
_IDLE = (
    "{who} used to {task}", "somebody had to {task}", "they never {task} over there", "it was hard to {task}",
    "{who} said others {task}", "{who} hates to {task}", "nobody dared to {task}", "{who} dreamt to {task}",
    "in the old days we {task}", "{who} forgot how to {task}", "they refused to {task}",
    "{who} saw a film where they {task}", "it took ages to {task}", "{who} already managed to {task}",
    "the others {task}", "{who} knows people who {task}",
)  # fmt: skip
_TALK = (
    "the weather was very nice", "i like the blue one a little more", "it was the same price",
    "the screen is too small for that", "we looked at the colours again", "{who} liked it",
)  # fmt: skip
_WHEN = (
    "on monday", "this time", "before the break", "after lunch", "in spring", "with the others", "for the launch",
    "at the fair", "over the phone", "by hand", "next door", "in the annex", "since the move", "for the audit",
)  # fmt: skip
_WHO = ("ann", "bob", "cleo", "dan")
ACTS, GIVEN, IDLE = 80, 4, 24


def made(series: int, each: int, seed: int = 0) -> list[dict[str, Any]]:
    """So many series of so many meetings.

    >>> records = made(2, 2)
    >>> [record["meeting"] for record in records], records == made(2, 2)
    (['MM0000a', 'MM0000b', 'MM0001a', 'MM0001b'], True)
    """
    rng = np.random.default_rng([seed, 0x3EE7])
    return [_meeting(f"MM{team:04d}{'abcdefgh'[number]}", rng) for team in range(series) for number in range(each)]


def _meeting(name: str, rng: np.random.Generator) -> dict[str, Any]:
    places = rng.permutation(ACTS)[: GIVEN + IDLE].tolist()
    acts = []
    for at in range(ACTS):
        is_given = at in places[:GIVEN]
        patterns = _GIVEN if is_given else _IDLE if at in places else _TALK
        task, when, who = _pick(_TASKS, rng), _pick(_WHEN, rng), _pick(_WHO, rng)
        said = _pick(patterns, rng).format(who=who, task=task)
        acts.append(
            {
                "id": f"{name}.{at}",
                "speaker": _WHO[int(rng.integers(len(_WHO)))],
                "text": f"{said} {when} {_pick(_WHEN, rng)}",
                "start": 5.0 * at,
                "end": 5.0 * at + 4,
                "ext": int(is_given or rng.random() < 0.1),
                "abs": ["a"] if is_given else [],
            }
        )
    return {"meeting": name, "summary": [{"id": "a", "type": "actions", "text": "Tasks."}], "dialogue_acts": acts}


def _pick(values: Sequence[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]
