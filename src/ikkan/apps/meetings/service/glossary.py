"""A company's own words: how it writes what transcripts get wrong."""

from __future__ import annotations

from collections.abc import Mapping

from ikkan.apps.meetings.store import glossary as store
from ikkan.apps.meetings.values import Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput

MOST_TERMS = 5_000
_MOST_LETTERS = 200


class Glossary:
    """The terms of one company: everybody there reads them and adds to them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def terms(self, viewer: Viewer) -> dict[str, str]:
        """As heard → as written."""
        with self._database.read() as connection:
            return store.terms(connection, viewer.tenant_id)

    def put(self, viewer: Viewer, given: Mapping[str, str]) -> dict[str, str]:
        """Add terms, or change how they are written; returns them all. Meetings drawn out from now on know them.

        Raises:
            BadInput: one is empty or too long, or there would be too many.
        """
        clean = {heard.strip(): written.strip() for heard, written in given.items()}
        for heard, written in clean.items():
            if not heard or not written or max(len(heard), len(written)) > _MOST_LETTERS:
                hint = f"what is heard and how it is written, each of 1 to {_MOST_LETTERS} letters"
                raise BadInput("this is no term", hint=hint, param="terms")
        with self._database.transaction() as connection:
            store.put(connection, viewer.tenant_id, clean, self._clock.now())
            whole = store.terms(connection, viewer.tenant_id)
            if len(whole) > MOST_TERMS:
                raise BadInput(f"a glossary has at most {MOST_TERMS:,} terms", hint="take some away", param="terms")
        return whole

    def remove(self, viewer: Viewer, heard: str) -> bool:
        """Take a term away; returns whether there was one."""
        with self._database.transaction() as connection:
            return store.remove(connection, viewer.tenant_id, [heard]) > 0
