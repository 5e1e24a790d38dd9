"""From a file to what can be drawn out of it, without a database: what the command line does, and a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ikkan.apps.meetings.rules import level0
from ikkan.apps.meetings.rules.exports import plain
from ikkan.apps.meetings.rules.items import itemised
from ikkan.apps.meetings.rules.level0.model import Model
from ikkan.apps.meetings.rules.minutes import FORMS, STANDARD, markdown, minutes
from ikkan.apps.meetings.rules.transcripts import read
from ikkan.apps.meetings.rules.transcripts.sound import sound
from ikkan.apps.meetings.values import Item, Plan, Transcript
from ikkan.ground.errors import BadInput, RequestTooLarge

LEVELS = (0, 1)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A transcript, and what was drawn out of it."""

    transcript: Transcript
    items: tuple[Item, ...]
    level: int = 0
    model: str = ""
    """What wrote; empty where none did."""

    def as_json(self, *, form: str = STANDARD) -> dict[str, Any]:
        """Segments, extractions and minutes as JSON values."""
        made = {"level": self.level, "model": self.model or None}
        return {**plain(self.transcript, self.items, form=form), **made}

    def as_markdown(self, *, form: str = STANDARD) -> str:
        """The minutes as text."""
        return markdown(minutes(self.transcript, self.items, form=form))


def transcript_of(
    path: Path, *, most_bytes: int, language: str | None = None, held_on: date | None = None, title: str = ""
) -> Transcript:
    """Read a transcript from a file of this machine.

    Raises:
        RequestTooLarge: it has more than `most_bytes`; not a byte of it was read.
        BadInput: it cannot be opened, or is none.
    """
    try:
        size = path.stat().st_size
        check_size(size, most_bytes)
        data = path.read_bytes()
    except OSError as exc:
        raise BadInput(f"cannot read {path}: {exc.strerror}", hint="is the path right?") from exc
    return read(data, path.name, language=language, held_on=held_on, title=title)


def is_sound(path: Path) -> bool:
    """Whether a file of this machine is a recording; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return sound(file.read(512), path.suffix[1:].lower()) is not None
    except OSError:
        return False


def check_size(size: int, most_bytes: int) -> None:
    """Refuse a file that is larger than transcripts are.

    Raises:
        RequestTooLarge: it is.
    """
    if size > most_bytes:
        raise RequestTooLarge(
            f"a transcript has at most {most_bytes:,} bytes, and this has {size:,}",
            hint="a day of talk is under 2 MB of text: is it sound? else cut it, or raise IKKAN_TRANSCRIPT_BYTES",
            bytes=size,
        )


def drawn(transcript: Transcript, *, glossary: Mapping[str, str] = {}, model: Model | None = None) -> Drawn:
    """Draw out of a transcript what there is without a language model.

    Args:
        model: the weights of level 0; None: those that ship.
    """
    return Drawn(transcript, itemised(level0.extract(transcript, glossary=glossary, model=model)))


def check_plan(plan: Plan) -> None:
    """Refuse a plan that nobody could follow.

    Raises:
        BadInput: there is no such level or form.
    """
    if plan.level not in LEVELS:
        raise BadInput(f"there is no level {plan.level}", hint="0 or 1", param="level")
    if plan.form not in FORMS:
        raise BadInput(f"there is no form {plan.form!r} of minutes", hint=f"one of {', '.join(FORMS)}", param="form")
