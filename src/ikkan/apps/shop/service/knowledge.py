"""What a merchant's documents say to a customer's question, with the place; or that they do not say it."""

from __future__ import annotations

import hashlib
import io
import threading
from datetime import datetime
from typing import Any

import numpy as np

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.knowledge import Answered, Document, Hit, Index, answer, read
from ikkan.apps.shop.store.knowledge import Kept
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile, NotFound, SetupNeeded
from ikkan.ground.ids import TenantId
from ikkan.kit.taught import Embed

_FIRST = 20
"""So many passages by words are looked at again by meaning."""
_RANKS = 20.0
"""How soon a place in an order stops counting, where two orders are made one."""
_PAGES = 2_000
_REMEMBERED = 20_000


class ShopKnowledge:
    """Documents of every shop in this house, kept in memory once they were asked.

    Args:
        embed: reads meaning as well as words, for questions in English; None: words alone.
    """

    def __init__(self, database: Database, clock: Clock, *, embed: Embed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._embed = embed
        self._lock = threading.Lock()
        self._loaded: dict[TenantId, tuple[tuple[int, datetime | None], Index]] = {}
        self._vectors: dict[str, Any] = {}

    def add(self, tenant_id: TenantId, name: str, content: bytes) -> Kept:
        """Keep a file as a document; a file of the same name is replaced.

        Raises:
            BadFile: it is no document that can be read here, or has no text.
            RequestTooLarge: it is larger than a document is.
        """
        document = read(name, content, pdf=_pdf)
        document_id = f"doc-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        now, digest = self._clock.now(), hashlib.sha256(content).hexdigest()
        with self._database.transaction() as connection:
            store.knowledge.put(connection, tenant_id, document_id, name, document, digest, now)
        self._loaded.pop(tenant_id, None)
        return Kept(document_id, name, document.title, len(document.passages), now)

    def remove(self, tenant_id: TenantId, document_id: str) -> None:
        """Take a document away.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.transaction() as connection:
            if not store.knowledge.remove(connection, tenant_id, document_id):
                raise NotFound(f"there is no document {document_id}", hint="ikkan shop knowledge list")
        self._loaded.pop(tenant_id, None)

    def documents(self, tenant_id: TenantId) -> list[Kept]:
        """What there is."""
        with self._database.read() as connection:
            return store.knowledge.kept(connection, tenant_id)

    def document(self, tenant_id: TenantId, document_id: str) -> Document:
        """One document, to be read.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.read() as connection:
            found = store.knowledge.get(connection, tenant_id, document_id)
        if found is None:
            raise NotFound(f"there is no document {document_id}", hint="ikkan shop knowledge list")
        return found

    def is_empty(self, tenant_id: TenantId) -> bool:
        """Whether there is nothing to answer from."""
        return len(self._index(tenant_id)) == 0

    def ask(self, tenant_id: TenantId, question: str) -> Answered | None:
        """What the documents say; None where that is not sure."""
        index = self._index(tenant_id)
        if not len(index) or not question.strip():
            return None
        return answer(index, question[:2_000], self._hits(index, question[:2_000]))

    def _hits(self, index: Index, question: str) -> list[Hit]:
        hits = index.search(question, _FIRST)
        if self._embed is None or len(hits) < 2 or not question.isascii():
            return hits
        texts = [f"{hit.title}. {' '.join(hit.passage.headings)}. {hit.passage.text}"[:800] for hit in hits]
        if len(self._vectors) > _REMEMBERED:
            self._vectors = {}
        known = self._vectors
        new = [text for text in texts if text not in known]
        read_now = self._embed([question, *new])
        known.update(zip(new, read_now[1:], strict=True))
        like = np.stack([known[text] for text in texts]) @ read_now[0]
        place = np.argsort(np.argsort(-like, kind="stable"), kind="stable")
        # Two orders become one by the inverse of places (reciprocal rank fusion, Cormack et al. 2009).
        together = 1 / (_RANKS + np.arange(len(hits))) + 1 / (_RANKS + place)
        return [hits[at] for at in np.argsort(-together, kind="stable").tolist()]

    def _index(self, tenant_id: TenantId) -> Index:
        with self._database.read() as connection:
            now = store.knowledge.state(connection, tenant_id)
            loaded = self._loaded.get(tenant_id)
            if loaded is not None and loaded[0] == now:
                return loaded[1]
        with self._lock:
            with self._database.read() as connection:
                now = store.knowledge.state(connection, tenant_id)
                index = Index(store.knowledge.every(connection, tenant_id))
            self._loaded[tenant_id] = (now, index)
            return index


def _pdf(content: bytes) -> str:
    """The text of a PDF."""
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError as error:
        raise SetupNeeded("reading PDF needs pypdf, which is not installed", hint="pip install pypdf") from error
    try:
        pages = pypdf.PdfReader(io.BytesIO(content)).pages[:_PAGES]
        return "\n\n".join(page.extract_text() or "" for page in pages)
    except (PyPdfError, ValueError, KeyError, RecursionError) as error:
        raise BadFile("the PDF cannot be read", hint="save it again, without a password, or as text") from error
