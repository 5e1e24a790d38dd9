"""Which known answer fits a question, and how surely. Arithmetic on arrays that training made; no I/O.

A question and everything known are bags of character pieces (`text.py`) under TF-IDF. What is known of an entry:
its official question, its answer, and the questions people asked that turned out to mean it (*anchors*, kept only
as hashed pieces: nobody's words stand in an artifact). A few features compare the question with these, a linear
score ranks the entries, and a softmax over the entries and "none of them" is the confidence. The reply is the one
with the best expected score under the learnable's metric: an answer, or "I don't know".
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.assistant.rules.text import is_faint, pieces
from ikkan.apps.assistant.values import Knowledge
from ikkan.kit.arrays import pack
from ikkan.kit.letters import hashed, language_of

Floats: TypeAlias = NDArray[np.float64]

FEATURES = ("question", "answer", "anchor", "anchors", "covered", "asked", "language", "embedding")
"""Likeness to the official question, to the answer, to the nearest anchor and to all anchors; how much of the question
is found anywhere in the entry; how often it was asked; whether the language is the same; likeness of embeddings (0
without an embedder)."""
NONE = len(FEATURES)
"""Where the constant of "none of them" stands in the weights."""
BASE = (
    (18.0, 17.0, 3.0, 8.0, 2.0, 0.0, 7.0, 0.0, 9.5),
    (8.5, 6.5, 2.0, 8.0, 3.0, 0.0, 7.0, 0.0, 9.5),
)
"""The weights before anybody said anything, for unspaced scripts and for the others; training starts from them and
stays near them while it has seen little. Rounded from fits on invented questions; see docs/decisions/0062."""
BASE_CALIBRATION = ((0.1, 0.65, 0.3), (0.5, 1.05, 0.35))
"""For each row: confidence is the logistic of `a + b * log-odds` of the probability, and an answer is given from the
third number on."""

FAINT = 0.3
"""What a piece of grammar counts beside a piece that carries a subject."""

QUESTION, ANSWER, ANCHOR = 0, 1, 2
"""Kinds of document in the index."""

DEFERRED = 0.25
"""What "I don't know" is worth where the company does know: better than wrong, much worse than right."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry and how sure it is to be the right answer."""

    entry: Knowledge
    probability: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say: `best` is None for "I don't know"."""

    best: Ranked | None
    ranked: tuple[Ranked, ...]
    none: float
    """Probability that nothing known answers the question."""


@dataclass(frozen=True)
class Index:
    """Documents as rows of a sparse matrix, stored by piece."""

    vocabulary: NDArray[np.uint64]
    """Hashes of pieces, sorted."""
    idf: NDArray[np.float32]
    starts: NDArray[np.int64]
    """Where each piece's documents begin in `documents`; one longer than the vocabulary."""
    documents: NDArray[np.int32]
    weights: NDArray[np.float32]
    """TF-IDF, each document's of length one."""
    size: int
    """How many documents."""
    owners: int
    """How many entries they belong to."""

    @classmethod
    def build(cls, texts: Sequence[Mapping[int, float]], owner: Sequence[int]) -> Index:
        """Index bags of hashed pieces. A piece is rare when few *owners* use it, however often each does."""
        rows = np.repeat(np.arange(len(texts), dtype=np.int32), [len(bag) for bag in texts])
        hashes = np.array([piece for bag in texts for piece in bag], dtype=np.uint64)
        counts = np.array([count for bag in texts for count in bag.values()], dtype=np.float64)
        vocabulary, column = np.unique(hashes, return_inverse=True)
        frequency = np.bincount(column, minlength=len(vocabulary))
        owners = np.asarray(owner, dtype=np.int64)
        pairs = np.unique(column.astype(np.int64) * (len(texts) + 1) + owners[rows]) if len(rows) else np.zeros(0, int)
        users = np.bincount(pairs // (len(texts) + 1), minlength=len(vocabulary))
        idf = np.log((len(set(owner)) + 1) / (users + 0.5))
        weights = damped(counts) * idf[column]
        length = np.sqrt(np.bincount(rows, weights=weights**2, minlength=len(texts)))
        weights = weights / np.maximum(length[rows], 1e-12)
        order = np.lexsort((rows, column))
        return cls(
            vocabulary=vocabulary,
            idf=idf.astype(np.float32),
            starts=np.concatenate([[0], np.cumsum(frequency)]).astype(np.int64),
            documents=rows[order],
            weights=weights[order].astype(np.float32),
            size=len(texts),
            owners=len(set(owner)),
        )

    def look_up(self, bag: Mapping[int, float]) -> LookUp:
        """Where the pieces of a bag occur, and what each counts. A piece never seen before counts as the rarest."""
        hashes = np.fromiter(bag.keys(), dtype=np.uint64, count=len(bag))
        counts = np.fromiter(bag.values(), dtype=np.float64, count=len(bag))
        if not len(self.vocabulary):
            none = np.zeros(0, dtype=np.int64)
            return LookUp(none, none, np.zeros(0), np.zeros(0))
        at = np.minimum(np.searchsorted(self.vocabulary, hashes), len(self.vocabulary) - 1)
        known = self.vocabulary[at] == hashes
        idf = np.where(known, self.idf[at], np.log((self.owners + 1) / 0.5))
        weight = damped(counts) * idf
        weight /= max(float(np.sqrt((weight**2).sum())), 1e-12)
        share = (idf * np.minimum(counts, 1.0)) ** 2
        share /= max(float(share.sum()), 1e-12)
        starts, ends = self.starts[at[known]], self.starts[at[known] + 1]
        lengths = ends - starts
        which = np.repeat(np.arange(len(lengths)), lengths)
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return LookUp(np.repeat(starts, lengths) + within, which, weight[known], share[known])


@dataclass(frozen=True, slots=True)
class LookUp:
    """The known pieces of one question, and every place in the index where one occurs."""

    at: NDArray[np.int64]
    which: NDArray[np.int64]
    """The piece that each place belongs to."""
    weights: Floats
    """TF-IDF of each piece, of length one over all pieces, unknown ones included."""
    shares: Floats
    """How much of the question each piece is; sums to at most one."""


def damped(counts: Floats) -> Floats:
    """A piece that occurs thrice does not count thrice."""
    return np.where(counts >= 1, 1 + np.log(np.maximum(counts, 1.0)), counts)


def script_of(lang: str) -> int:
    """Which row of weights a language uses: pieces of unspaced scripts are rarer, so likeness is on another scale.

    >>> script_of("ja"), script_of("en")
    (0, 1)
    """
    return 0 if lang in ("ja", "zh") else 1


def confidence(probability: float, calibration: Floats) -> float:
    """A probability of the ranking as the share of answers like it that turned out right.

    >>> confidence(0.5, np.array([0.0, 1.0, 0.35]))
    0.5
    """
    probability = min(max(probability, 1e-9), 1 - 1e-9)
    odds = calibration[0] + calibration[1] * np.log(probability / (1 - probability))
    return float(1 / (1 + np.exp(-odds)))


def bag_of(text: str) -> dict[int, float]:
    """A text as hashed pieces and their counts, in a fixed order."""
    return {
        hashed(piece): FAINT * count if is_faint(piece) else float(count)
        for piece, count in sorted(pieces(text).items())
    }


@dataclass(frozen=True)
class Answerer:
    """Everything needed to answer: the entries, the index over them and the weights of the ranking."""

    entries: tuple[Knowledge, ...]
    index: Index
    owner: NDArray[np.int32]
    """The entry each document belongs to."""
    kind: NDArray[np.uint8]
    """What each document is: `QUESTION`, `ANSWER` or `ANCHOR`."""
    weights: Floats
    """Two rows, for unspaced scripts and for others: one weight per feature, then the constant of "none of them"."""
    calibration: Floats
    """Two rows like `BASE_CALIBRATION`."""
    vectors: NDArray[np.float32]
    """Embeddings of the official questions and answers, (entries, width); width 0 without an embedder."""

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each knowledge id stands in `entries`."""
        return {entry.id: at for at, entry in enumerate(self.entries)}

    @cached_property
    def _languages(self) -> NDArray[np.str_]:
        return np.array([entry.lang for entry in self.entries], dtype=np.str_)

    def features(
        self,
        question: str,
        lang: str | None = None,
        *,
        without: NDArray[np.int64] | None = None,
        vector: NDArray[np.float32] | None = None,
    ) -> Floats:
        """What compares the question with every entry. Shape (entries, features).

        Args:
            without: documents to look away from, so that a question in training does not meet itself.
            vector: the question's embedding, if there is an embedder.
        """
        n = len(self.entries)
        found = np.zeros((n, len(FEATURES)))
        seen = np.ones(self.index.size, dtype=np.bool_)
        if without is not None:
            seen[without] = False
        pieces = self.index.look_up(bag_of(question))
        documents, weights = self.index.documents[pieces.at], self.index.weights[pieces.at]
        if without is not None:
            weights = weights * seen[documents]
        like = np.bincount(documents, weights=pieces.weights[pieces.which] * weights, minlength=self.index.size)
        # Each piece counts once per entry, in however many of its documents it is.
        met = np.unique((pieces.which * max(n, 1) + self.owner[documents])[seen[documents]])
        found[:, 4] = np.bincount(met % max(n, 1), weights=pieces.shares[met // max(n, 1)], minlength=n)[:n]
        for column, kind in ((0, QUESTION), (1, ANSWER)):
            here = self.kind == kind
            found[self.owner[here], column] = like[here]
        anchor = (self.kind == ANCHOR) & seen
        np.maximum.at(found[:, 2], self.owner[anchor], like[anchor])
        count = np.bincount(self.owner[anchor], minlength=n)
        found[:, 3] = np.bincount(self.owner[anchor], weights=like[anchor], minlength=n) / np.sqrt(count + 1)
        found[:, 5] = np.log1p(count)
        found[:, 6] = self._fits(lang or language_of(question))
        if vector is not None and self.vectors.shape[1]:
            found[:, 7] = self.vectors @ vector
        return found

    def _fits(self, lang: str) -> NDArray[np.bool_]:
        # Ideographs alone may be Chinese or terse Japanese; what is neither may be any language of words and spaces.
        if lang == "zh":
            return np.isin(self._languages, ("zh", "ja"))
        return self._languages == "ja" if lang == "ja" else ~np.isin(self._languages, ("ja", "zh"))

    def probabilities(self, features: Floats, lang: str) -> Floats:
        """The probability of each entry, and of none of them last. Shape (entries + 1,)."""
        weights = self.weights[script_of(lang)]
        logits = np.append(features @ weights[:NONE], weights[NONE])
        logits -= logits.max()
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum())

    def reply(
        self, question: str, lang: str | None = None, *, vector: NDArray[np.float32] | None = None, most: int = 5
    ) -> Reply:
        """The best reply to a question, and the entries that came nearest.

        An answer is given from the confidence on from which answering scored better than deferring, in training.
        """
        lang = lang or language_of(question)
        chances = self.probabilities(self.features(question, lang, vector=vector), lang)
        # A stable sort: equal chances keep the order of the entries, on every machine.
        order = np.argsort(-chances[:-1], kind="stable")[:most]
        slope = self.calibration[script_of(lang)]
        ranked = tuple(Ranked(self.entries[at], confidence(float(chances[at]), slope)) for at in order.tolist())
        sure = bool(ranked) and ranked[0].probability >= slope[2]
        return Reply(ranked[0] if sure else None, ranked, float(chances[-1]))

    def files(self) -> dict[str, bytes]:
        """This answerer as files: the same answerer gives the same bytes. No pickle."""
        arrays: dict[str, NDArray[Any]] = {
            "vocabulary": self.index.vocabulary,
            "idf": self.index.idf,
            "starts": self.index.starts,
            "documents": self.index.documents,
            "weights": self.index.weights,
            "owner": self.owner,
            "kind": self.kind,
            "ranking": self.weights,
            "calibration": self.calibration,
            "vectors": self.vectors,
        }
        known = [
            {
                "id": e.id,
                "lang": e.lang,
                "topic": e.topic,
                "question": e.question,
                "answer": e.answer,
                "source": e.source,
            }
            for e in self.entries
        ]
        return {"arrays.npz": pack(arrays), "entries.json": json.dumps(known, ensure_ascii=False).encode()}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Answerer:
        """The answerer that `files` wrote."""
        entries: list[dict[str, Any]] = json.loads(files["entries.json"])
        with np.load(io.BytesIO(files["arrays.npz"]), allow_pickle=False) as arrays:
            index = Index(
                arrays["vocabulary"],
                arrays["idf"],
                arrays["starts"],
                arrays["documents"],
                arrays["weights"],
                len(arrays["owner"]),
                len(np.unique(arrays["owner"])),
            )
            return cls(
                tuple(Knowledge(**entry) for entry in entries),
                index,
                arrays["owner"],
                arrays["kind"],
                arrays["ranking"],
                arrays["calibration"],
                arrays["vectors"],
            )
