"""Level 1: a model behind an alias of the gateway writes, Level 0 checks, and takes over where the model fails.

Every request goes through the cloud's pipeline as the person who asked for the minutes: it is metered, limited and
guarded like any other. The alias `minutes` is asked, and where nobody made one, `default`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from ikkan.apps.meetings.rules import level1
from ikkan.apps.meetings.rules.level1 import Draft, Question, Unreadable
from ikkan.apps.meetings.rules.minutes.forms import FORMS
from ikkan.apps.meetings.rules.remarks import remark
from ikkan.apps.meetings.values import Extraction, Kind, Policy, Transcript
from ikkan.cloud.directory import Alias
from ikkan.cloud.values import ChatRequest, Principal
from ikkan.ground.errors import BadInput, IkkanError, UnknownModel

ALIASES = ("minutes", "default")
"""Who is asked, the first that there is."""
TRIES = 2
"""Answers that nobody can read, before a part is left to Level 0."""
PART_S = 180.0
"""For one answer: three times what the small default model takes on a busy laptop."""
MOST_LOST = 0.5
"""Where more of the parts than this are left to Level 0, all of them are: minutes of two hands read badly."""
_LIKELY = 2
"""Actions of Level 0 that are told, for each part of the meeting."""
_CHOOSING = 0.97
"""How far it is while the key points are chosen."""

Tell = Callable[[float], None]
"""Told how far it is, 0 to 1. Raises to stop."""


class Chats(Protocol):
    """Whoever answers for an alias: the cloud's pipeline."""

    def chat(self, principal: Principal, request: ChatRequest) -> Any:
        """The pieces of an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What came of asking a model."""

    extractions: tuple[Extraction, ...]
    level: int
    """1; or 0 where Level 0 took over."""
    model: str = ""
    """What answered, by the upstream's name for it."""
    parts: int = 0
    questions: int = 0
    """Requests that were made."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Notes that were not believed, by reason."""
    remarks: tuple[str, ...] = ()


class _Silent(Exception):
    """The model cannot be asked any more; the remark says why."""


@dataclass
class _Talk:
    """One meeting's questions, and what was learned on the way."""

    principal: Principal
    tell: Tell
    model: str = ""
    questions: int = 0
    is_shaped: bool = True
    """Whether answers are asked for by schema; not where the upstream knows none."""
    alias: str = ALIASES[0]


class Writer:
    """Asks a model for the notes of a meeting.

    Args:
        chats: answers for an alias.
        context_tokens: the model's context, prompt and answer together.
        part_s: how long one answer may take.
    """

    def __init__(self, chats: Chats, *, context_tokens: int, part_s: float = PART_S) -> None:
        self._chats = chats
        self._room = level1.room_of(context_tokens)
        self._part_s = part_s

    async def write(
        self,
        principal: Principal,
        transcript: Transcript,
        found: Sequence[Extraction],
        *,
        form: str,
        glossary: Mapping[str, str] = {},
        tell: Tell = lambda share: None,
    ) -> Written:
        """The minutes of a meeting, written by a model where there is one; Level 0's, with a remark, where it fails.

        Args:
            principal: who asked; every request is on their bill.
            found: what Level 0 drew out of the same transcript.
            tell: called between pieces of an answer too, so that whoever stops waits for nobody.

        Raises:
            BadInput: there is no such form.
        """
        if form not in FORMS:
            raise BadInput(f"there is no form {form!r} of minutes", hint=f"one of {', '.join(FORMS)}", param="form")
        system = level1.orders(transcript, FORMS[form], glossary)
        cut = level1.parts(transcript, self._room)
        talk = _Talk(principal, tell)
        drafts: list[Draft] = []
        lost = 0
        likely = [one for one in found if one.kind is Kind.ACTION][: _LIKELY * len(cut)]
        try:
            for place, part in enumerate(cut):
                asked = level1.note_question(system, part, FORMS[form], likely, language=transcript.language)
                try:
                    drafts += await self._answer(talk, asked, _stretch(tell, place, len(cut) + 1))
                except Unreadable:
                    lost += 1
                    if lost > MOST_LOST * len(cut):
                        raise _Silent(remark("unreadable", parts=lost)) from None
            points = [draft for draft in drafts if draft.kind is Kind.KEY_POINT]
            rest = [draft for draft in drafts if draft.kind is not Kind.KEY_POINT]
            points = await self._fewer(talk, system, points, transcript)
        except _Silent as silence:
            return Written(tuple(found), 0, talk.model, len(cut), talk.questions, remarks=(str(silence),))
        checked = level1.checked([*points, *rest], transcript, made_by=f"level1:{talk.model}")
        if not checked.extractions:
            told = remark("nothing_held", model=talk.model)
            return Written(tuple(found), 0, talk.model, len(cut), talk.questions, checked.dropped, (told,))
        whole = level1.joined(found, checked.extractions, transcript)
        return Written(
            whole, 1, talk.model, len(cut), talk.questions, checked.dropped, _told(checked.dropped, lost, len(cut))
        )

    async def _fewer(self, talk: _Talk, system: str, points: list[Draft], transcript: Transcript) -> list[Draft]:
        """The key points that matter most first, then the others; as they are, where the model cannot choose."""
        chosen = _held(points, transcript)
        whole = chosen
        while len(chosen) > level1.MOST_POINTS:
            fit = level1.groups(chosen, self._room)
            most = max(2, level1.MOST_POINTS // len(fit))
            fewer: list[Draft] = []
            for group in fit:
                try:
                    asked = level1.merge_question(system, group, min(most, len(group)), language=transcript.language)
                    fewer += await self._answer(talk, asked, lambda share: talk.tell(_CHOOSING))
                except Unreadable:
                    return whole
            fewer = _held(fewer, transcript)
            if not fewer or len(fewer) >= len(chosen):
                break
            chosen = fewer
            if len(fit) == 1:
                break
        told = {number for note in chosen for number in note.lines}
        return [*chosen, *(note for note in whole if note not in chosen and not set(note.lines) <= told)]

    async def _answer(self, talk: _Talk, asked: Question, tell: Tell) -> tuple[Draft, ...]:
        """One question, asked until the answer can be read.

        Raises:
            Unreadable: no answer could be.
            _Silent: there was none.
        """
        for _ in range(TRIES):
            written = await self._ask(talk, asked, tell)
            try:
                return level1.read_notes(written, asked.numbers)
            except Unreadable:
                continue
        raise Unreadable(f"{TRIES} answers were no JSON of the shape that was asked for")

    async def _ask(self, talk: _Talk, asked: Question, tell: Tell) -> str:
        while True:
            try:
                async with asyncio.timeout(self._part_s):
                    return await self._pieces(talk, asked, tell)
            except TimeoutError:
                raise _Silent(remark("too_slow", seconds=round(self._part_s))) from None
            except UnknownModel:
                if talk.alias == ALIASES[-1]:
                    raise _Silent(remark("no_model")) from None
                talk.alias = ALIASES[-1]
            except BadInput as error:
                # Some servers know no schemas; the shape is checked here in any case.
                if not talk.is_shaped:
                    raise _Silent(remark("refused", code=error.code)) from None
                talk.is_shaped = False
            except IkkanError as error:
                raise _Silent(remark("refused", code=error.code)) from None

    async def _pieces(self, talk: _Talk, asked: Question, tell: Tell) -> str:
        shape: dict[str, Any] = {"type": "json_object"}
        if talk.is_shaped:
            shape = {"type": "json_schema", "json_schema": {"name": "notes", "strict": True, "schema": asked.schema}}
        body = {"temperature": 0, "max_tokens": level1.ANSWER_TOKENS, "response_format": shape}
        request = ChatRequest(talk.alias, list(asked.messages), body=body, stream=True, deadline_s=self._part_s)
        talk.questions += 1
        pieces: list[str] = []
        letters = 0
        async with aclosing(self._chats.chat(talk.principal, request)) as chunks:
            async for chunk in chunks:
                pieces.append(chunk.text)
                letters += len(chunk.text)
                talk.model = str(chunk.facts.get("upstream_model") or talk.model)
                tell(min(0.99, letters / (3 * level1.ANSWER_TOKENS)))
        return "".join(pieces)


class Turns:
    """Has meetings written in threads of a worker: one at a time, as one machine has one model.

    Args:
        close: lets go of the connections of the event loop that a meeting was written in.
    """

    def __init__(self, writer: Writer, close: Callable[[], Awaitable[None]]) -> None:
        self._writer = writer
        self._close = close
        self._turn = threading.Lock()

    def write(
        self,
        principal: Principal,
        transcript: Transcript,
        found: Sequence[Extraction],
        *,
        form: str,
        glossary: Mapping[str, str],
        tell: Tell,
    ) -> Written:
        """As `Writer.write`. Whoever waits for the turn can be stopped too."""
        while not self._turn.acquire(timeout=1.0):
            tell(0.0)
        try:
            return asyncio.run(self._written(principal, transcript, found, form, glossary, tell))
        finally:
            self._turn.release()

    async def _written(
        self,
        principal: Principal,
        transcript: Transcript,
        found: Sequence[Extraction],
        form: str,
        glossary: Mapping[str, str],
        tell: Tell,
    ) -> Written:
        try:
            return await self._writer.write(principal, transcript, found, form=form, glossary=glossary, tell=tell)
        finally:
            await self._close()


def writer_target(aliases: Iterable[Alias]) -> str:
    """Who would write, as `upstream/model`; empty where neither alias stands for anybody."""
    targets = {alias.name: alias.targets for alias in aliases}
    return next((targets[name][0] for name in ALIASES if targets.get(name)), "")


def level_for(policy: Policy, model: str | None) -> int:
    """The level of a meeting for which nobody chose one: what the company set, else what was measured of the model."""
    return policy.level if policy.level is not None else level1.level_of(model)


def _stretch(tell: Tell, place: int, of: int) -> Tell:
    """Tells of one part as of a stretch of the whole."""

    def within(share: float) -> None:
        tell((place + share) / of)

    within(0.0)
    return within


def _held(points: Sequence[Draft], transcript: Transcript) -> list[Draft]:
    """Notes worth asking about: what would be dropped in the end is dropped before it costs a question."""
    return [
        note
        for note in points
        if note.lines
        and level1.is_supported(note.text, [transcript.segments[number - 1] for number in note.lines], transcript)
    ]


def _told(dropped: Mapping[str, int], lost: int, parts: int) -> tuple[str, ...]:
    told = []
    notes = sum(Counter(dropped)[reason] for reason in (level1.UNCITED, level1.UNSUPPORTED, level1.TWICE))
    if notes:
        told.append(remark("dropped", notes=notes))
    if lost:
        told.append(remark("parts_left", parts=lost, of=parts))
    return tuple(told)
