"""Keys, upstreams, names, and what was used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, plain, show, table
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import KeyId
from ikkan.ground.money import Price, format_micros, parse_micros

if TYPE_CHECKING:
    from ikkan.cloud.service import CloudService

key_app = typer.Typer(no_args_is_help=True, help="API keys: made, listed, revoked.")
upstream_app = typer.Typer(no_args_is_help=True, help="Who computes answers: our engine, vLLM, a vendor.")
alias_app = typer.Typer(no_args_is_help=True, help="The names requests use, and where they go.")


@contextmanager
def service() -> Iterator[CloudService]:
    """The cloud of this home, for the length of one command."""
    with bootstrap.opened(bootstrap.settings()) as platform:
        yield platform.cloud.service


@key_app.command("create")
def key_create(
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[str, typer.Option(help="user, or admin (which may also administer).")] = "user",
    budget: Annotated[str, typer.Option(help="The most it may spend, in JPY; nothing for no limit.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    scopes = {"user": ("user",), "admin": ("user", "admin")}.get(scope)
    if scopes is None:
        raise BadInput(f"there is no scope {scope!r}", hint="user or admin")
    with service() as cloud:
        made = cloud.create_key(name, scopes=scopes, budget_micros=parse_micros(budget) if budget else None)
    show(
        {"key": made.secret, "id": made.key.id, "name": made.key.name, "scopes": sorted(made.key.scopes)},
        as_json=as_json,
        text=lambda: f"{made.secret}\n(shown once; id {made.key.id})",
    )


@key_app.command("list")
def key_list(as_json: AsJson = False) -> None:
    """Every key, newest first; never the keys themselves."""
    with service() as cloud:
        keys = cloud.keys()
    show(
        keys,
        as_json=as_json,
        text=lambda: table(
            ["id", "name", "scopes", "spent", "limit", "state"],
            [
                [
                    key.id,
                    key.name,
                    " ".join(sorted(key.scopes)),
                    format_micros(key.spent_micros, key.currency),
                    "–" if key.limit_micros is None else format_micros(key.limit_micros, key.currency),
                    "revoked" if key.is_revoked else "good",
                ]
                for key in keys
            ],
        ),
    )


@key_app.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as in `key list`.")], as_json: AsJson = False
) -> None:
    """Make a key open nothing any more, within half a second."""
    with service() as cloud:
        key = cloud.revoke_key(KeyId(key_id))
    show(key, as_json=as_json, text=lambda: f"{key.name} ({key.id}) is revoked")


@upstream_app.command("add")
def upstream_add(
    name: Annotated[str, typer.Option(help="What we call it.")],
    url: Annotated[str, typer.Option(help="Its address up to and including /v1.")],
    key_env: Annotated[str, typer.Option(help="The environment variable that holds its key.")] = "",
    input_price: Annotated[str, typer.Option(help="JPY per million input tokens.")] = "",
    cached_price: Annotated[
        str, typer.Option(help="JPY per million cached input tokens; default: the input price.")
    ] = "",
    output_price: Annotated[str, typer.Option(help="JPY per million output tokens.")] = "",
    replace: Annotated[bool, typer.Option(help="Change one that exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an OpenAI-wire endpoint known: a vendor, vLLM, llama.cpp."""
    price = None
    if input_price or output_price:
        fresh = parse_micros(input_price or "0")
        price = Price(
            "JPY", fresh, parse_micros(cached_price) if cached_price else fresh, parse_micros(output_price or "0")
        )
    with service() as cloud:
        record = cloud.add_upstream(name, url, key_env=key_env or None, price=price, replace=replace)
    show(
        {"name": record.name, "url": record.url, "key_env": record.key_env, "price": plain(price)},
        as_json=as_json,
        text=lambda: f"{record.name} at {record.url}\nnext: ikkan alias set default {record.name}/MODEL",
    )


@upstream_app.command("list")
def upstream_list(as_json: AsJson = False) -> None:
    """Every upstream."""
    with service() as cloud:
        rows = [{"name": one.name, "url": one.url, "key_env": one.key_env} for one in cloud.upstreams()]
    show(rows, as_json=as_json, text=lambda: table(["name", "url", "key from"], [list(row.values()) for row in rows]))


@upstream_app.command("remove")
def upstream_remove(name: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """Forget an upstream."""
    with service() as cloud:
        cloud.remove_upstream(name)
    show({"removed": name}, as_json=as_json, text=lambda: f"forgot {name}")


@alias_app.command("set")
def alias_set(
    name: Annotated[str, typer.Argument(help="The name requests use: default, assistant, cheap …")],
    target: Annotated[str, typer.Argument(help="UPSTREAM/MODEL; several by commas, tried in order.")],
    as_json: AsJson = False,
) -> None:
    """Say who stands behind a name."""
    with service() as cloud:
        alias = cloud.set_alias(name, target)
    show(alias, as_json=as_json, text=lambda: f"{alias.name} → {', '.join(alias.targets)}")


@alias_app.command("list")
def alias_list(as_json: AsJson = False) -> None:
    """Every name and where it goes."""
    with service() as cloud:
        aliases = cloud.aliases()
    show(
        aliases,
        as_json=as_json,
        text=lambda: table(["name", "goes to"], [[alias.name, ", ".join(alias.targets)] for alias in aliases]),
    )


def meter(
    since: Annotated[str, typer.Option(help="First day, like 2026-11-01.")] = "",
    until: Annotated[str, typer.Option(help="The day after the last.")] = "",
    books: Annotated[bool, typer.Option("--books", help="Add the whole ledger up instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was used and what it cost, by day, model and key."""
    with service() as cloud:
        if books:
            audit = cloud.audit()
            told = {**plain(audit), "sound": audit.is_sound}
            show(told, as_json=as_json, text=lambda: "\n".join(f"{name}: {value}" for name, value in told.items()))
            return
        lines = cloud.usage(since=since or None, until=until or None)
    rows = [
        {
            "day": line.day,
            "model": line.model,
            "key": line.key_name,
            "requests": line.requests,
            "failed": line.failed,
            "input_tokens": line.input_tokens,
            "cached_tokens": line.cached_tokens,
            "output_tokens": line.output_tokens,
            "cost_micros": line.cost_micros,
            "currency": line.currency,
        }
        for line in lines
    ]
    show(
        {"lines": rows},
        as_json=as_json,
        text=lambda: table(
            ["day", "model", "key", "calls", "failed", "in", "cached", "out", "cost"],
            [[*list(row.values())[:8], format_micros(row["cost_micros"], row["currency"])] for row in rows],  # type: ignore[arg-type]
        ),
    )
