"""The shop on the command line: bring goods and orders in, replay support cases, ask for suggestions and measure them.

Each verb has a file; what it does is done in `apps/shop`, here it is only asked for and shown.
"""

from __future__ import annotations

import typer

from ikkan.cli.shop import evaluate, importing, knowledge, load, recommend, simulate, support

__all__ = ["shop_app"]

shop_app = typer.Typer(no_args_is_help=True, help="The shop: orders, and help with them.")
support_app = typer.Typer(no_args_is_help=True, help="After-sales support.")
shop_app.add_typer(support_app, name="support")
knowledge_app = typer.Typer(no_args_is_help=True, help="Documents from which support answers questions.")
shop_app.add_typer(knowledge_app, name="knowledge")

shop_app.command("evaluate")(evaluate.evaluate)
shop_app.command("import")(importing.bring)
shop_app.command("load")(load.load)
shop_app.command("simulate")(simulate.simulate)
shop_app.command("recommend")(recommend.recommend)
support_app.command("replay")(support.replay)
knowledge_app.command("add")(knowledge.add)
knowledge_app.command("list")(knowledge.list_documents)
knowledge_app.command("remove")(knowledge.remove)
knowledge_app.command("ask")(knowledge.ask)


@shop_app.callback()
def shop() -> None:
    """The shop: orders, and help with them."""
