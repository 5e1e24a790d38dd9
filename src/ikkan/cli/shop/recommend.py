"""`ikkan shop recommend`: what somebody would be shown now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show
from ikkan.ground.errors import BadInput


def recommend(
    person: Annotated[str, typer.Option("--person", help="A visitor's or customer's id, as the shop knows it.")],
    surface: Annotated[str, typer.Option("--surface", help="home, similar, basket, replenish or search.")] = "home",
    n: Annotated[int, typer.Option("-n", min=1, max=100, help="How many.")] = 10,
    product: Annotated[list[str] | None, typer.Option("--product", help="What the page is about; repeatable.")] = None,
    query: Annotated[str, typer.Option("--query", help="What was searched for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what this person would be suggested now. Nothing is recorded, nothing is left to chance."""
    from ikkan.apps.shop.rules.explain import because
    from ikkan.apps.shop.service.suggesting import Suggesting
    from ikkan.apps.shop.service.suggesting.serving import Champion
    from ikkan.apps.shop.values import SURFACES, Ask
    from ikkan.cloud.values import LOCAL_TENANT

    wanted = next((each for each in SURFACES if each == surface), None)
    if wanted is None:
        raise BadInput(f"no surface is called {surface!r}", hint=", ".join(SURFACES), param="surface")
    with bootstrap.opened(bootstrap.settings()) as platform:
        service = Suggesting(
            platform.database,
            platform.clock,
            pseudonym=platform.cloud.subjects.pseudonym,
            explain=because,
            models=Champion(platform.registry, platform.artifacts),
        )
        made = service.suggest(LOCAL_TENANT, Ask(person, wanted, n, tuple(product or ()), query, is_test=True))
    rows = [
        {
            "product_id": place.ware.product_id,
            "name": place.ware.name,
            "category": place.ware.category,
            "score": round(place.score, 5),
            "source": place.source,
            "because": None if place.because is None else asdict(place.because),
        }
        for place in made.places
    ]
    told = {
        "person": person,
        "surface": surface,
        "model": made.model,
        "took_ms": round(made.took_ms, 2),
        "places": rows,
    }
    lines = [
        f"{at + 1:>3}  {place.ware.name}  ({place.source}: {place.because.words['en'] if place.because else '-'})"
        for at, place in enumerate(made.places)
    ]
    empty = "nothing to suggest: is there anything on the shelf? ikkan shop import"
    show(told, as_json=as_json, text=lambda: "\n".join(lines) or empty)
