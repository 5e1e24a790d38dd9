"""The next-item model as it is served: item vectors, and an encoder that turns a history into one of them.

State, not lists: nothing is kept per person but their events, so what they did a moment ago counts at the next
request, and so does a person whom training never saw.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ikkan.apps.shop.rules.next_item.encoder import DAMAGED, Encoder, Float32Array, Float32Matrix, Int8Array, Int32Array
from ikkan.ground.errors import BadFile, UnsupportedFormat

VERSION = 1


@dataclass(frozen=True, slots=True)
class NextItem:
    """What comes next, for any history over these items."""

    item_ids: tuple[str, ...]
    """Row to product id."""
    vectors: Float32Matrix
    """(items, width): the score of an item is its vector times the state of the history."""
    encoder: Encoder
    attributes: Mapping[str, Float32Array]
    """What each attribute value that training saw says of an item: `colour=red` to a vector."""
    facts: Mapping[str, Any]
    """How it came about: seed, epochs, validation, seconds."""

    def encode(
        self, rows: Int32Array, kinds: Int8Array | None = None, ages_s: Float32Array | None = None
    ) -> Float32Array:
        """The state of one history, oldest event first; all zeros when there is none.

        Args:
            rows: rows of items; only the last `encoder.longest` are looked at.
            kinds: kinds of event, 0 for any; not looked at when training had none.
            ages_s: seconds since each event; not looked at when training had no times.
        """
        made: Float32Array = self.encoder.states(
            self.vectors, [rows], None if kinds is None else [kinds], None if ages_s is None else [ages_s]
        )[0]
        return made

    def encode_many(self, histories: Sequence[Int32Array]) -> Float32Matrix:
        """The states of many histories in batches, for instance one history with each event left out in turn."""
        return self.encoder.states(self.vectors, histories)

    def place(self, attributes: Mapping[str, str]) -> Float32Array:
        """The vector of an item never seen, from its attributes; values that training did not see say nothing.

        An item of which nothing is known lies in the middle of all, where it is neither pushed nor held back. A model
        that learned no attributes says nothing of any item, which is the zero vector.
        """
        if not self.attributes:
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        told = [self.attributes[key] for key in names_of(attributes) if key in self.attributes]
        made: Float32Array = np.sum(told, axis=0, dtype=np.float32) if told else self.vectors.mean(axis=0)
        return made

    def grown(self, items: Mapping[str, Mapping[str, str]]) -> NextItem:
        """This model with items that came since, ids to attributes, in rows behind the others."""
        if not items:
            return self
        vectors = np.concatenate([self.vectors, [self.place(attributes) for attributes in items.values()]])
        return replace(self, item_ids=(*self.item_ids, *items), vectors=vectors.astype(np.float32))

    def to_files(self) -> dict[str, bytes]:
        """As files of an artifact: a manifest in JSON and arrays in npz, without pickle."""
        names = sorted(self.attributes)
        arrays = {f"encoder.{name}": value for name, value in self.encoder.weights.items()}
        if names:
            arrays["attributes"] = np.stack([self.attributes[name] for name in names])
        held = io.BytesIO()
        np.savez(held, allow_pickle=False, vectors=self.vectors, **arrays)
        manifest = {
            "format": "ikkan.shop.next_item",
            "version": VERSION,
            "heads": self.encoder.heads,
            "blocks": self.encoder.blocks,
            "longest": self.encoder.longest,
            "timed": self.encoder.timed,
            "kinded": self.encoder.kinded,
            "item_ids": list(self.item_ids),
            "attributes": names,
            "facts": dict(self.facts),
        }
        return {
            "next_item.npz": held.getvalue(),
            "next_item.json": json.dumps(manifest, ensure_ascii=False, sort_keys=True).encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> NextItem:
        """What `to_files` wrote.

        Raises:
            BadFile: a file is missing, or arrays and manifest do not fit each other.
            UnsupportedFormat: a later version wrote it.
        """
        try:
            manifest = json.loads(files["next_item.json"])
            if manifest["version"] > VERSION:
                raise UnsupportedFormat(
                    f"next-item model of version {manifest['version']}, known up to {VERSION}",
                    hint="update ikkan, or train the model here",
                )
            with np.load(io.BytesIO(files["next_item.npz"]), allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            vectors, names = arrays.pop("vectors"), manifest["attributes"]
            told = arrays.pop("attributes") if names else np.zeros((0, vectors.shape[1]), dtype=np.float32)
            ids = tuple(manifest["item_ids"])
            if len(ids) != len(vectors) or len(names) != len(told):
                raise BadFile("the model's manifest names other items than its arrays hold", hint="train it again")
            return cls(
                ids,
                vectors,
                Encoder(
                    {name.removeprefix("encoder."): value for name, value in arrays.items()},
                    manifest["heads"],
                    manifest["blocks"],
                    manifest["longest"],
                    manifest["timed"],
                    manifest["kinded"],
                ),
                dict(zip(names, told, strict=True)),
                manifest["facts"],
            )
        except DAMAGED as error:
            raise BadFile("these are not the files of a next-item model", hint="train it again") from error


def names_of(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Attribute values by the names the model knows them by.

    >>> names_of({"colour": "red"})
    ('colour=red',)
    """
    return tuple(f"{key}={value}" for key, value in attributes.items())
