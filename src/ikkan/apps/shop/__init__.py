"""Shop: say in one line what people use it for.

Lives here: facts, rules, tables, use cases, pages and what may be learned of this app.
May not enter: other apps (contract "Rooms are stacked"), the network.
Begin at `service.py`.
"""

from __future__ import annotations

from ikkan.apps.shop import pages, routes, store
from ikkan.kit import App, Parts

__all__ = ["app"]


def app(parts: Parts) -> App:
    """What the house needs to know of this app."""
    return App(
        name="shop",
        title={"ja": "Shop", "en": "Shop"},
        erases=store.forget,
        api=routes.routes(parts),
        pages=pages.pages(parts),
        templates="ikkan.apps.shop",
        words=pages.WORDS,
    )
