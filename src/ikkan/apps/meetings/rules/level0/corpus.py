"""Annotated meetings (AMI and ICSI as JSON records of dialogue acts) as lessons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ikkan.apps.meetings.rules.level0.train import Lesson, lesson
from ikkan.apps.meetings.rules.level0.units import units
from ikkan.apps.meetings.values import Segment, Transcript


def transcript_of(record: Mapping[str, Any]) -> Transcript:
    """One segment a dialogue act that has words, in order."""
    return Transcript(
        tuple(
            Segment(act["id"], act["speaker"], act["text"], act["start"], act["end"])
            for act in record["dialogue_acts"]
            if act["text"].strip()
        ),
        "en",
        title=record["meeting"],
    )


def linked(record: Mapping[str, Any], kind: str) -> dict[str, set[str]]:
    """For each act that supports a summary sentence of this kind: the ids of those sentences."""
    sentences = {one["id"] for one in record["summary"] if one["type"] == kind}
    found = {act["id"]: sentences & set(act["abs"]) for act in record["dialogue_acts"]}
    return {act: supports for act, supports in found.items() if supports}


def lesson_of(record: Mapping[str, Any], *, questions: tuple[str, ...]) -> Lesson:
    """A record as something to learn from; `questions` are those its annotators were asked."""
    said = units(transcript_of(record))
    yes = {
        "actions": set(linked(record, "actions")),
        "decisions": set(linked(record, "decisions")),
        "importance": {act["id"] for act in record["dialogue_acts"] if act["ext"]},
    }
    marks = {
        question: np.array([unit.segment_id in yes[question] for unit in said], dtype=np.bool_)
        for question in questions
    }
    summary = " ".join(one["text"] for one in record["summary"])
    return lesson(record["meeting"], record["meeting"][:-1], said, marks, summary)
