"""One score from three: what the encoder says, what followed before, what is wanted now.

The weights are learnt on held-back events as a multinomial choice over the whole catalogue, so the scores are log
chances up to a constant and comparable between people. They depend on how much is known of the person.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.rules.next_item.covisits import Covisits, Popularity
from ikkan.apps.shop.rules.next_item.encoder import DAMAGED, Float32Array, Float32Matrix
from ikkan.apps.shop.rules.next_item.model import NextItem
from ikkan.ground.errors import BadFile

BUCKETS = ("0", "1-2", "3-5", ">5")
FAINT = 0.2
"""What speaks for an item by count enters the blend as it is up to about this, and by orders of magnitude beyond."""
FEATURES = 3


def bucket_of(events: int) -> int:
    """Which row of weights serves a history of so many events.

    >>> [bucket_of(events) for events in (0, 1, 2, 3, 5, 6)]
    [0, 1, 1, 2, 2, 3]
    """
    return int(np.searchsorted([1, 3, 6], events, side="right"))


@dataclass(frozen=True, slots=True)
class Blend:
    """How much each of the three counts, by how much is known of the person."""

    weights: Float32Matrix
    """(buckets, 3): state, what followed, what is wanted."""

    @classmethod
    def plain(cls) -> Blend:
        """The encoder alone, and what is wanted now where there is no history."""
        return cls(np.array([[0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=np.float32))

    def to_files(self) -> dict[str, bytes]:
        """As a file of an artifact."""
        held = io.BytesIO()
        np.save(held, self.weights, allow_pickle=False)
        return {"blend.npy": held.getvalue()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Blend:
        """What `to_files` wrote."""
        try:
            weights = np.load(io.BytesIO(files["blend.npy"]), allow_pickle=False)
        except DAMAGED as error:
            raise BadFile("this is not the file of a blend", hint="train the next-item model again") from error
        return cls(weights)


@dataclass(frozen=True, slots=True)
class Recommender:
    """All that scores the catalogue for a history, at this moment."""

    model: NextItem
    covisits: Covisits
    popularity: Popularity
    blend: Blend

    def grown(self, items: Mapping[str, Mapping[str, str]]) -> Recommender:
        """The same with items that came since; the counts make room and go on."""
        model = self.model.grown(items)
        self.covisits.grow(len(model.item_ids))
        self.popularity.grow(len(model.item_ids))
        return replace(self, model=model)

    def to_files(self) -> dict[str, bytes]:
        """All of it as files of an artifact."""
        return {
            **self.model.to_files(), **self.blend.to_files(), **self.covisits.to_files(), **self.popularity.to_files()
        }  # fmt: skip

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Recommender:
        """What `to_files` wrote.

        Raises:
            BadFile: a file is missing or damaged, or they are not of one model.
        """
        model, blend = NextItem.from_files(files), Blend.from_files(files)
        made = cls(model, Covisits.from_files(files), Popularity.from_files(files), blend)
        if not len(made.model.item_ids) == len(made.covisits.seen) == len(made.popularity.counts):
            raise BadFile("counts and model are of different catalogues", hint="train the next-item model again")
        return made

    def scores(
        self,
        rows: npt.NDArray[np.integer],
        kinds: npt.NDArray[np.integer] | None = None,
        ages_s: npt.NDArray[np.floating] | None = None,
    ) -> Float32Array:
        """One score an item. Seen ones are scored too: leaving them out is for the caller's rules."""
        made: Float32Array = self.scores_many(
            [rows], None if kinds is None else [kinds], None if ages_s is None else [ages_s]
        )[0]
        return made

    def scores_many(
        self,
        histories: Sequence[npt.NDArray[np.integer]],
        kinds: Sequence[npt.NDArray[np.integer]] | None = None,
        ages_s: Sequence[npt.NDArray[np.floating]] | None = None,
    ) -> Float32Matrix:
        """`(histories, items)`."""
        states = self.model.encoder.states(self.model.vectors, histories, kinds, ages_s)
        weights = self.blend.weights[[bucket_of(len(each)) for each in histories]]
        made: Float32Matrix = np.matmul(states * weights[:, :1], self.model.vectors.T, dtype=np.float32)
        if weights[:, 2].any():
            made += weights[:, 2:] * np.log(self.popularity.shares())
        for at, history in enumerate(histories):
            if weights[at, 1]:
                found, values = self.covisits.scores(history)
                made[at, found] += weights[at, 1] * followed(values)
        return made


def followed(counted: Float32Array) -> Float32Array:
    """What speaks for items by count as it enters the blend: nothing for what never followed."""
    made: Float32Array = np.log1p(counted / np.float32(FAINT), dtype=np.float32)
    return made
