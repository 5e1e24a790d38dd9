"""An index of passages in memory, and BM25+ over it. A merchant's documents are hundreds, not millions.

Source: Lv and Zhai, "Lower-Bounding Term Frequency Normalization" (2011), on Robertson's BM25. Measured in
`benchmarks/shop_knowledge.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.knowledge.reading import Document, Passage
from ikkan.apps.shop.rules.knowledge.words import asked_for, grams

_K1, _B, _ONCE = 1.2, 0.6, 0.5
"""How soon repeating a piece stops counting, how much long passages are held back, what being there at all is worth."""
_TITLE = 2
"""What stands in the title or a heading counts so often."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    document_id: str
    title: str
    place: int
    """Of the passage in its document, from 0."""
    passage: Passage
    score: float
    covered: float
    """The part of the question, by how telling each piece is, that the passage and its headings hold."""


class Index:
    """Passages of documents, ready to be asked."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._where: list[tuple[str, int]] = []
        self._documents = documents
        entries: dict[str, list[tuple[int, int]]] = {}
        lengths: list[int] = []
        for document_id, document in documents.items():
            title = grams(document.title)
            for place, passage in enumerate(document.passages):
                counts = grams(passage.text)
                for heading in passage.headings:
                    for gram, count in grams(heading).items():
                        counts[gram] += _TITLE * count
                for gram, count in title.items():
                    counts[gram] += _TITLE * count
                row = len(self._where)
                self._where.append((document_id, place))
                lengths.append(counts.total())
                for gram, count in counts.items():
                    entries.setdefault(gram, []).append((row, count))
        self._entries = {gram: np.array(rows, dtype=np.int64) for gram, rows in entries.items()}
        self._lengths = np.array(lengths, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._where)

    def worth(self, question: str) -> dict[str, float]:
        """How telling each piece of a question is: the rarer, the more. What stands nowhere is as telling as can be."""
        n = max(1, len(self))
        found = {}
        for gram, count in asked_for(question).items():
            frequency = len(self._entries.get(gram, ()))
            found[gram] = float(np.log1p((n - frequency + 0.5) / (frequency + 0.5))) * count
        return found

    def search(self, question: str, limit: int = 10) -> list[Hit]:
        """The best passages, best first."""
        if not len(self):
            return []
        worth = self.worth(question)
        scores, held = np.zeros(len(self)), np.zeros(len(self))
        spread = _K1 * (1 - _B + _B * self._lengths / self._lengths.mean())
        for gram, each in worth.items():
            rows = self._entries.get(gram)
            if rows is not None:
                at, count = rows[:, 0], rows[:, 1].astype(np.float64)
                scores[at] += each * (count * (_K1 + 1) / (count + spread[at]) + _ONCE)
                held[at] += each
        best = self._best(scores, limit)
        total = max(sum(worth.values()), 1e-9)
        return [self._hit(row, scores[row], held[row] / total) for row in best if scores[row] > 0]

    def documents(self, question: str, limit: int = 10) -> list[str]:
        """The best documents by their best passage, best first."""
        hits = self.search(question, limit=len(self))
        return list(dict.fromkeys(hit.document_id for hit in hits))[:limit]

    def _best(self, scores: NDArray[np.float64], limit: int) -> Sequence[int]:
        order: list[int] = np.lexsort((np.arange(len(scores)), -scores))[:limit].tolist()
        return order

    def _hit(self, row: int, score: float, covered: float) -> Hit:
        document_id, place = self._where[row]
        document = self._documents[document_id]
        return Hit(document_id, document.title, place, document.passages[place], float(score), float(covered))
