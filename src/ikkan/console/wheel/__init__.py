"""The wheel's pages: the loop with today's numbers, what was measured, each decision, and the buttons.

Lives here: the routes (`pages.py`), what they tell (`telling.py`), the arithmetic of the drawings (`drawing.py`).
May not enter: decisions about models; they are made in `flywheel` and shown here. (Contract "Rooms are stacked".)
Begin at `pages.py`.
"""

from ikkan.console.wheel.pages import routes, turn_key

__all__ = ["routes", "turn_key"]
