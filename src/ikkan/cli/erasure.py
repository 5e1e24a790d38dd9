"""Erasing a person, and the receipts of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, table
from ikkan.ground.errors import Internal, NotFound
from ikkan.ground.ids import SubjectId, TenantId

if TYPE_CHECKING:
    from ikkan.bootstrap.platform import Platform

receipt_app = typer.Typer(no_args_is_help=True, help="What was done when people were erased, signed.")

Person = Annotated[str, typer.Argument(help="A pseudonym, or what your program calls the person.", metavar="SUBJECT")]
Tenant = Annotated[str, typer.Option(help="Whose person it is.")]


def erase(person: Person, tenant: Tenant = "local", as_json: AsJson = False) -> None:
    """Erase a person for good: their data at once, then every model that learned from them, with a signed receipt."""
    from ikkan.bootstrap.erasing import Erasing, wait

    settings = bootstrap.settings()
    with bootstrap.opened(settings) as platform:
        begun = Erasing(platform.eraser, platform.cloud.subjects, platform.jobs).begin(TenantId(tenant), person)
        if begun.job_id is not None:
            with _bar() as bar:
                task = bar.add_task("", total=1.0)
                status = wait(
                    platform.jobs,
                    begun.job_id,
                    lambda done, told: bar.update(task, completed=done, description=told),
                )
            if status.error is not None:
                raise status.error
            if status.state != "done":
                raise Internal(
                    f"the job of erasure {begun.erasure.id} was cancelled: the person is forgotten, models may still"
                    " hold them",
                    hint="say it again; it goes on where it was",
                )
        receipt = dict(platform.eraser.erasure(begun.erasure.id).receipt or {})
    show(receipt, as_json=as_json, text=lambda: _told(receipt, ja=settings.terminal_language == "ja"))


def lineage(person: Person, tenant: Tenant = "local", as_json: AsJson = False) -> None:
    """What a person is in: datasets, and the models that learned from them."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        subject = _subject(platform, TenantId(tenant), person)
        found = platform.eraser.lineage(TenantId(tenant), subject)
        with platform.database.read() as connection:
            serving = {artifact: platform.registry.under(connection, artifact) for artifact in found.artifacts}
    told: dict[str, Any] = {
        "subject": subject,
        "datasets": [{"id": id, "examples": examples} for id, examples in found.datasets.items()],
        "artifacts": [
            {
                "id": artifact,
                "learnable": found.origins[artifact].learnable if artifact in found.origins else None,
                "built_from": found.parents[artifact],
                "serves": serving[artifact],
            }
            for artifact in found.artifacts
        ],
    }
    show(
        told,
        as_json=as_json,
        text=lambda: (
            f"{subject}: {len(found.datasets)} datasets, {len(found.artifacts)} models\n"
            + table(
                ["model", "learnable", "serves as"],
                [
                    [_short(each["id"]), each["learnable"] or "–", _aliases(each["serves"])]
                    for each in told["artifacts"]
                ],
            )
        ).rstrip(),
    )


@receipt_app.command("list")
def receipts(as_json: AsJson = False) -> None:
    """Every erasure, the latest first."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        found = platform.eraser.erasures()
    show(
        [erasure.as_json() for erasure in found],
        as_json=as_json,
        text=lambda: table(
            ["erased", "state", "models made again", "person", "id"],
            [
                [
                    f"{one.asked_at:%Y-%m-%d %H:%M}",
                    one.state,
                    len(one.work.get("swapped", ())),
                    one.tombstone[:12],
                    one.id,
                ]
                for one in found
            ],
        ),
    )


@receipt_app.command("show")
def receipt(erasure_id: Annotated[str, typer.Argument(help="As in `list`.")]) -> None:
    """Print a receipt, to be kept or sent: one JSON object."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        found = platform.eraser.erasure(erasure_id).receipt
    if found is None:
        raise NotFound(
            f"erasure {erasure_id} is not complete yet", hint="ikkan worker carries it out", erasure=erasure_id
        )
    show(found, as_json=True)


@receipt_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="What `show` printed.")],
    key: Annotated[str, typer.Option(help="The house's public key or its receipts.pub; else this home's.")] = "",
    as_json: AsJson = False,
) -> None:
    """Whether a receipt is as its house signed it."""
    from ikkan.flywheel.erasure import verify as check
    from ikkan.flywheel.erasure.receipt import ReceiptKey, read_receipt

    settings = bootstrap.settings()
    if key:
        public = Path(key).read_text("ascii", "replace") if Path(key).is_file() else key
    else:
        public = ReceiptKey.open(settings.keys_dir).public
    found = check(read_receipt(file), public=public)
    ja = settings.terminal_language == "ja"
    said = "正しい署名です" if ja else "signed by this key, unchanged"
    show(
        {"valid": True, "id": found.get("id"), "key": found["key"]},
        as_json=as_json,
        text=lambda: f"{found.get('id')}: {said} {found['key'][:16]}…",
    )


def join(flywheel_app: typer.Typer) -> None:
    """Add these commands to `ikkan flywheel`."""
    flywheel_app.command("erase")(erase)
    flywheel_app.command("lineage")(lineage)
    flywheel_app.add_typer(receipt_app, name="receipt")


def _subject(platform: Platform, tenant_id: TenantId, person: str) -> SubjectId:
    """The person as the event log knows them."""
    with platform.database.read() as connection:
        for subject in (SubjectId(person), platform.cloud.subjects.pseudonym(tenant_id, person)):
            if platform.events.is_known(connection, tenant_id, subject):
                return subject
    raise NotFound(
        f"nothing is known of {person!r} of tenant {tenant_id!r}",
        hint="another tenant? --tenant NAME",
        tenant=tenant_id,
    )


def _told(receipt: dict[str, Any], *, ja: bool) -> str:
    made, gone, events = receipt["artifacts"], len(receipt["destroyed"]), receipt["events"]["count"]
    if ja:
        lines = [f"消去しました: 記録 {events:,} 件はもう誰にも読めません"]
        if receipt["nothing_to_rebuild"]:
            lines.append("  どのデータセットにも含まれておらず、作り直すものはありませんでした")
        lines += [f"  {one['learnable']} {_short(one['old'])} → {_short(one['new'])} ({one['code']})" for one in made]
        lines.append(f"  破棄したファイル {gone:,} 組。証明書: ikkan flywheel receipt show {receipt['id']}")
    else:
        lines = [f"erased: nobody can read their {events:,} events any more"]
        if receipt["nothing_to_rebuild"]:
            lines.append("  they were in no dataset: there was nothing to rebuild")
        lines += [f"  {one['learnable']} {_short(one['old'])} → {_short(one['new'])} ({one['code']})" for one in made]
        lines.append(f"  {gone:,} artifacts destroyed; the receipt: ikkan flywheel receipt show {receipt['id']}")
    return "\n".join(lines)


def _aliases(under: dict[str, list[str]]) -> str:
    return ", ".join(alias for aliases in under.values() for alias in aliases) or "–"


def _short(artifact: str) -> str:
    return artifact.removeprefix("sha256:")[:12]


def _bar() -> Progress:
    """A bar on stderr; silent where that is no terminal."""
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), console=console, transient=True, disable=not console.is_terminal
    )
