"""ikkan: the AI loop a company owns.

The rooms are stacked; imports point down only (`ARCHITECTURE.md` draws the floors, `lint-imports` keeps them).
Begin at `bootstrap/`: it is the only module that knows everyone.
"""

__version__ = "0.1.0"
