"""A home in one file, and a home from one file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, download_bar, show

if TYPE_CHECKING:
    from ikkan.bootstrap.backup import Restored
    from ikkan.ground.backup import Made
    from ikkan.ground.settings import Settings


def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet, or a folder: it is named by the time.")],
    models: Annotated[bool, typer.Option("--models", help="Put the models in too, not only their names.")] = False,
    keep: Annotated[int | None, typer.Option(help="In a folder: delete all but so many of the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write everything this home knows, its keys too, to one file; also while ikkan runs."""
    settings = bootstrap.settings()
    with download_bar() as bar:
        task = bar.add_task("backup", total=None)
        made = bootstrap.back_up(
            settings,
            file.expanduser(),
            models=models,
            keep=keep,
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
        )
    manifest = made.manifest
    show(
        {
            "file": made.path,
            "bytes": made.bytes,
            "sha256": made.sha256,
            "made_at": manifest.made_at,
            "files": len(manifest.files),
            "witnesses": manifest.witnesses,
            "models": manifest.models,
            "models_included": manifest.models_included,
            "erasures": manifest.erasures,
            "skipped": manifest.skipped,
        },
        as_json=as_json,
        text=lambda: _made(made, settings),
    )


def restore(
    file: Annotated[Path, typer.Argument(help="What `ikkan backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup at this home, which must be empty: checked to the last byte first, whole or not at all."""
    settings = bootstrap.settings()
    with download_bar() as bar:
        task = bar.add_task("restore", total=None)
        restored = bootstrap.restore(
            settings,
            file.expanduser(),
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
        )
    show(restored, as_json=as_json, text=lambda: _restored(restored, settings))


def _made(made: Made, settings: Settings) -> str:
    manifest = made.manifest
    ja = settings.terminal_language == "ja"
    lines = [
        f"{made.path}: {made.bytes / 1e6:,.1f} MB、{len(manifest.files):,} ファイル"
        if ja
        else f"{made.path}: {made.bytes / 1e6:,.1f} MB, {len(manifest.files):,} files",
        "  鍵も入っています。ホームと同じように守ってください"
        if ja
        else "  It holds the keys: guard it like the home.",
        f"  消去の記録は入れません。別に保管してください: {manifest.erasures}"
        if ja
        else f"  The list of erased people is not in it; keep a copy elsewhere: {manifest.erasures}",
    ]
    if manifest.models and not manifest.models_included:
        names = ", ".join(str(model["name"]) for model in manifest.models)
        lines.append(
            f"  モデルは名前だけです（--models で含めます）: {names}"
            if ja
            else f"  Models by name only (--models puts them in): {names}"
        )
    if manifest.skipped:
        shown = ", ".join(manifest.skipped[:5]) + (" …" if len(manifest.skipped) > 5 else "")
        lines.append(f"  入れられなかったもの: {shown}" if ja else f"  Left out, as no archive can hold it: {shown}")
    return "\n".join(lines)


def _restored(restored: Restored, settings: Settings) -> str:
    ja = settings.terminal_language == "ja"
    events, ledger = (restored.witnesses.get(name, {}) for name in ("events", "ledger"))
    counted = (events.get("events", 0), ledger.get("entries", 0))
    lines = [
        f"{restored.home}: {restored.made_at:%Y-%m-%d %H:%M} UTC の状態に戻りました"
        if ja
        else f"{restored.home}: as it was on {restored.made_at:%Y-%m-%d %H:%M} UTC",
        "  記録 {:,} 件と台帳 {:,} 行は、バックアップ時と同じです".format(*counted)
        if ja
        else "  {:,} events and {:,} ledger entries, equal to those backed up".format(*counted),
    ]
    if not restored.tombstones_found:
        lines.append(
            f"  消去の記録 {settings.erasures} がありません。別に保管したものがあれば、起動する前に置いてください"
            if ja
            else f"  No list of erased people at {settings.erasures}: if you keep one, put it there before the start"
        )
    elif restored.erased_again:
        lines.append(
            f"  バックアップ後に消去された {restored.erased_again:,} 人を、もう一度消去しました"
            if ja
            else f"  {restored.erased_again:,} people who were erased after the backup were erased again"
        )
    for command in pulls(restored.models_missing):
        lines.append(f"  モデルを取り直してください: {command}" if ja else f"  Bring the models back: {command}")
    lines.append("  起動: ikkan up" if ja else "  Start it: ikkan up")
    return "\n".join(lines)


def pulls(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """The commands that bring back what a home had. What an archive says is quoted: it may not be ours."""
    commands = []
    for model in models:
        name, source = (_quoted(model.get(key)) for key in ("name", "source"))
        commands.append(f"ikkan model pull {source} --name {name}")
        if "default" in model.get("aliases", ()):
            commands.append(f"ikkan model use {name}")
    return [*commands, "ikkan model pull --defaults"] if models else []


def _quoted(word: object) -> str:
    return shlex.quote("".join(letter if letter.isprintable() else "?" for letter in str(word)[:300]))
