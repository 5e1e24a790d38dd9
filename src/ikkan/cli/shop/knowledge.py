"""A merchant's documents: bring in, list, take away, and ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, stderr_console
from ikkan.ground.errors import NotFound

if TYPE_CHECKING:
    from ikkan.apps.shop.service.knowledge import ShopKnowledge

Files = Annotated[list[Path], typer.Argument(help="Documents: md, txt, html, docx or pdf.")]


def add(files: Files, as_json: AsJson = False) -> None:
    """Bring documents in; support answers questions from them, with the place. A file of the same name is replaced."""
    from ikkan.cloud.values import LOCAL_TENANT

    for path in files:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", hint="md, txt, html, docx or pdf", path=str(path))
    console = stderr_console()
    with _knowledge() as knowledge, Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        each_file = bar.track(files, description="reading")
        kept = [knowledge.add(LOCAL_TENANT, path.name, path.read_bytes()) for path in each_file]
    show(
        {"added": [asdict(each) for each in kept]},
        as_json=as_json,
        text=lambda: "\n".join(f"{each.document_id}  {each.title} ({each.passages:,} passages)" for each in kept),
    )


def list_documents(as_json: AsJson = False) -> None:
    """What there is."""
    from ikkan.cloud.values import LOCAL_TENANT

    with _knowledge() as knowledge:
        kept = knowledge.documents(LOCAL_TENANT)
    show(
        {"documents": [asdict(each) for each in kept]},
        as_json=as_json,
        text=lambda: "\n".join(f"{each.document_id}  {each.name}: {each.title}" for each in kept) or "none yet",
    )


def remove(document_id: str, as_json: AsJson = False) -> None:
    """Take a document away."""
    from ikkan.cloud.values import LOCAL_TENANT

    with _knowledge() as knowledge:
        knowledge.remove(LOCAL_TENANT, document_id)
    show({"removed": document_id}, as_json=as_json, text=lambda: f"removed {document_id}")


def ask(question: str, as_json: AsJson = False) -> None:
    """What the documents say to a question, and where. Status 1 where they do not say it."""
    from ikkan.cloud.values import LOCAL_TENANT

    with _knowledge() as knowledge:
        found = knowledge.ask(LOCAL_TENANT, question)
    show(
        {"answer": None if found is None else asdict(found)},
        as_json=as_json,
        text=lambda: (
            "the documents do not say that"
            if found is None
            else f"{found.text}\n({found.cited.title}{' > ' if found.cited.heading else ''}{found.cited.heading})"
        ),
    )
    raise typer.Exit(0 if found is not None else 1)


@contextmanager
def _knowledge() -> Iterator[ShopKnowledge]:
    from ikkan.apps.shop.service.knowledge import ShopKnowledge

    with bootstrap.opened(bootstrap.settings()) as platform:
        yield ShopKnowledge(platform.database, platform.clock)
