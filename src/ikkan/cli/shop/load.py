"""Bring a whole shop into this home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show
from ikkan.ground.errors import BadInput


def load(
    db: Annotated[Path | None, typer.Option("--db", help="A shop in the τ²-bench retail format (JSON).")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="An invented shop, and a store with eight weeks of visits.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring products, customers and orders into this home; what is there under the same numbers is replaced."""
    from ikkan.apps.shop.sample.goods import invented
    from ikkan.apps.shop.sample.loading import load_sample_store
    from ikkan.apps.shop.service import tau
    from ikkan.cloud.values import LOCAL_TENANT

    if sample == (db is not None):
        raise BadInput("one shop at a time", hint="--sample, or --db FILE")
    found = invented(1) if db is None else tau.read_database(db)
    more: dict[str, int] = {}
    with bootstrap.opened(bootstrap.settings()) as platform:
        tau.bring_in(
            platform.database,
            LOCAL_TENANT,
            found,
            lambda customer: platform.cloud.subjects.pseudonym(LOCAL_TENANT, customer),
        )
        if sample:
            pseudonym = platform.cloud.subjects.pseudonym
            more = load_sample_store(platform.database, platform.clock, platform.events, pseudonym, LOCAL_TENANT)
    told = {name: len(found[name]) for name in ("products", "users", "orders")}
    someone = next(iter(found["users"].values()), {})
    show(
        {**told, **({"store": more} if more else {}), "try_as": someone.get("email")},
        as_json=as_json,
        text=lambda: (
            f"{told['products']:,} products, {told['users']:,} customers, {told['orders']:,} orders; "
            f"open /shop and say who you are, for instance {someone.get('email')}"
            + (f"\nsample store: {', '.join(f'{count:,} {name}' for name, count in more.items())}" if more else "")
        ),
    )
