"""Meetings: minutes of a transcript or a recording, without a server; and the company's glossary."""

from __future__ import annotations

import asyncio
import csv
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, stderr_console
from ikkan.ground.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ikkan.apps.meetings.service.drawing import Drawn
    from ikkan.apps.meetings.service.glossary import Glossary
    from ikkan.apps.meetings.values import Transcript, Viewer
    from ikkan.bootstrap.platform import Platform

meetings_app = typer.Typer(no_args_is_help=True, help="Meetings: from a transcript to decisions and next actions.")
glossary_app = typer.Typer(no_args_is_help=True, help="How this company writes what transcripts get wrong.")
meetings_app.add_typer(glossary_app, name="glossary")

Tenant = Annotated[str, typer.Option(help="Whose glossary.")]


@meetings_app.command("minutes")
def minutes(
    file: Annotated[Path, typer.Argument(help="A transcript (txt, vtt, srt, docx, json) or a recording.")],
    language: Annotated[str, typer.Option(help="ja, en or zh; nothing: heard from the words.")] = "",
    level: Annotated[int, typer.Option(help="0: no model. 1: a language model writes.", min=0, max=1)] = 0,
    held_on: Annotated[str, typer.Option(help="The day of the meeting, like 2026-11-01: what dates count from.")] = "",
    title: Annotated[str, typer.Option(help="What the meeting is called.")] = "",
    form: Annotated[str, typer.Option(help="standard, formal, board, stand-up, sales or interview.")] = "standard",
    glossary: Annotated[Path | None, typer.Option(help="A CSV of two columns: as heard, as written.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the minutes of a transcript, or of a recording that is listened to first.

    Nothing is kept but, at level 1, the bill of the model's answers.
    """
    from ikkan.apps.meetings.service import check_plan, drawn, is_sound, transcript_of
    from ikkan.apps.meetings.values import Plan

    check_plan(Plan(level, form))
    day = _day(held_on)
    if is_sound(file):
        transcript = _heard(file, language or None, day, title)
    else:
        most_bytes = bootstrap.settings().transcript_bytes
        transcript = transcript_of(file, most_bytes=most_bytes, language=language or None, held_on=day, title=title)
    terms = _terms(glossary) if glossary is not None else {}
    found = drawn(transcript, glossary=terms)
    if level == 1:
        found = _written(transcript, found, form, terms)
    show(found.as_json(form=form), as_json=as_json, text=lambda: _for_people(found, form))


@glossary_app.command("list")
def list_terms(tenant: Tenant = "local", as_json: AsJson = False) -> None:
    """Every term: as heard, as written."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        found = _glossary(platform).terms(_of(tenant))
    show({"terms": found}, as_json=as_json, text=lambda: "\n".join(f"{old}\t{new}" for old, new in found.items()))


@glossary_app.command("add")
def add_term(
    heard: Annotated[str, typer.Argument(help="As transcripts have it.")],
    written: Annotated[str, typer.Argument(help="As it is written here.")],
    tenant: Tenant = "local",
    as_json: AsJson = False,
) -> None:
    """Add a term, or change how it is written. Meetings drawn out from now on know it; search does at once."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        found = _glossary(platform).put(_of(tenant), {heard: written})
    show({"terms": found}, as_json=as_json, text=lambda: f"{heard} is written {written}; {len(found)} terms")


@glossary_app.command("remove")
def remove_term(
    heard: Annotated[str, typer.Argument(help="As transcripts have it.")],
    tenant: Tenant = "local",
    as_json: AsJson = False,
) -> None:
    """Take a term away."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        is_gone = _glossary(platform).remove(_of(tenant), heard)
    show({"removed": is_gone}, as_json=as_json, text=lambda: "removed" if is_gone else "there was no such term")


def _heard(file: Path, language: str | None, held_on: date | None, title: str) -> Transcript:
    """What is said in a recording; a bar shows how far that is."""
    from ikkan.apps.meetings.service.hearing import ears
    from ikkan.apps.meetings.service.transcribing import heard_file

    hears = ears(bootstrap.settings(), bootstrap.environ().get)
    with Progress(TextColumn("listening"), BarColumn(), console=stderr_console(), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        return heard_file(
            file,
            hears,
            language=language,
            held_on=held_on,
            title=title,
            progress=lambda share: bar.update(task, completed=share),
        )


def _written(transcript: Transcript, found: Drawn, form: str, terms: Mapping[str, str]) -> Drawn:
    """Level 1, by the alias `minutes` or `default` of this home; what Level 0 found, with a remark, where it fails."""
    from dataclasses import replace

    from ikkan.apps.meetings.rules.items import itemised
    from ikkan.apps.meetings.rules.level0 import spelled
    from ikkan.apps.meetings.service import Drawn, Writer, Written
    from ikkan.cloud.values import LOCAL

    settings = bootstrap.settings()
    with bootstrap.opened(settings) as platform:

        async def write() -> Written:
            writer = Writer(platform.cloud.pipeline, context_tokens=settings.context_tokens)
            extractions = [item.extraction for item in found.items]
            said = spelled(transcript, terms)
            try:
                return await writer.write(LOCAL, said, extractions, form=form, glossary=terms)
            finally:
                await platform.cloud.close()

        made = asyncio.run(write())
    told = replace(transcript, remarks=(*transcript.remarks, *made.remarks))
    return Drawn(told, itemised(made.extractions), made.level, made.model)


def _for_people(found: Drawn, form: str) -> str:
    remarks = "".join(f"\n\n> {each}" for each in found.transcript.remarks)
    return found.as_markdown(form=form).rstrip() + remarks


def _terms(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (OSError, UnicodeDecodeError) as exc:
        raise BadInput(f"cannot read {path}", hint="a CSV in UTF-8: heard,written", param="glossary") from exc
    if any(len(row) != 2 or not all(each.strip() for each in row) for row in rows):
        raise BadInput("a glossary has two columns: heard,written", hint="one term a line", param="glossary")
    return {heard.strip(): written.strip() for heard, written in rows}


def _glossary(platform: Platform) -> Glossary:
    from ikkan.apps.meetings.service.glossary import Glossary

    return Glossary(platform.database, platform.clock)


def _of(tenant: str) -> Viewer:
    from ikkan.apps.meetings.values import Viewer
    from ikkan.ground.ids import TenantId

    return Viewer(TenantId(tenant), None, is_admin=True)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as exc:
        raise BadInput(f"{text!r} is no day", hint="like 2026-11-01", param="held-on") from exc
