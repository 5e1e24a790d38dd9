"""The kinds of model that say what comes next: whoever serves and whoever judges read and ask them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ikkan.apps.shop.rules.factors import Factors, Floats
from ikkan.apps.shop.rules.next_item.model import NextItem
from ikkan.apps.shop.rules.suggest.hooks import Encodes

READERS: Mapping[str, Callable[[Mapping[str, bytes]], Encodes]] = {
    "next_item.json": NextItem.from_files,
    "factors.npz": Factors.load,
}
"""A file only this kind of model has → how its files are read."""


def model_in(files: Mapping[str, bytes]) -> Encodes | None:
    """The model in an artifact's files; None where they are of no kind that is known here.

    Raises:
        BadFile: they are of a kind that is known, and damaged.
    """
    return next((reader(files) for name, reader in READERS.items() if name in files), None)


def likes(model: Encodes, item_ids: Sequence[str], histories: Sequence[Sequence[str]]) -> Iterator[Floats]:
    """For each history, ids with the latest last, how much it likes each of these items.

    0 where the model does not know the item, or nothing of the history.
    """
    place = {item: row for row, item in enumerate(model.item_ids)}
    here = [(at, place[item]) for at, item in enumerate(item_ids) if item in place]
    at, mine = np.array(here, dtype=np.int64).reshape(-1, 2).T
    rows = [np.array([place[item] for item in each if item in place], dtype=np.int64) for each in histories]
    vectors, known = model.vectors[mine], [number for number, each in enumerate(rows) if len(each)]
    states = dict(zip(known, model.encode_many([rows[number] for number in known]), strict=True))
    for number in range(len(rows)):
        found = np.zeros(len(item_ids))
        if number in states:
            found[at] = vectors @ states[number]
        yield found
