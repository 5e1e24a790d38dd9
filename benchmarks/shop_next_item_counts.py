"""ALS, item-kNN and popularity by pm-implicit, on the questions that `shop_next_item.py` wrote down.

Runs in the environment of `peers_shop.sh`; called by `shop_next_item.py --temporal`. Each model's settings are chosen
on the questions before the split, from a grid; then it is fitted on all that came before and asked. A person's factors
are computed from the history at the moment of the question, so they too follow the last event.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy.sparse import csr_matrix

HERE = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location(
    "ranking", HERE / "src" / "ikkan" / "apps" / "shop" / "rules" / "next_item" / "ranking.py"
)
assert SPEC is not None and SPEC.loader is not None
ranking: Any = importlib.util.module_from_spec(SPEC)
sys.modules["ranking"] = ranking
SPEC.loader.exec_module(ranking)

GRIDS: dict[str, list[dict[str, Any]]] = {
    "als": [
        {"factors": factors, "regularization": regularization, "alpha": alpha}
        for factors, regularization, alpha in itertools.product((16, 64, 128, 256), (0.01, 1.0, 10.0), (1.0, 10.0))
    ],
    "item_knn": [
        {"kind": kind, "K": neighbours}
        for kind, neighbours in itertools.product(("cosine", "tfidf", "bm25"), (20, 100, 400))
    ],
    "popularity": [{}],
}
KINDS = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}


def matrix(rows: Any, starts: Any, items: int) -> csr_matrix:
    """People by items, ones where there was an event."""
    made = csr_matrix((np.ones(len(rows), dtype=np.float32), rows, starts), shape=(len(starts) - 1, items))
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def scored(name: str, settings: dict[str, Any], trained: csr_matrix, asked: csr_matrix) -> Any:
    """`(questions, items)` scores."""
    if name == "popularity":
        counts = np.asarray(trained.sum(axis=0)).ravel()
        return np.tile(counts, (asked.shape[0], 1)).astype(np.float32)
    if name == "als":
        model = AlternatingLeastSquares(**settings, iterations=15, random_state=0, num_threads=1)
        model.fit(trained, show_progress=False)
        people = model.recalculate_user(np.arange(asked.shape[0]), asked)
        return np.asarray(people) @ model.item_factors.T
    model = KINDS[settings["kind"]](K=settings["K"], num_threads=1)
    model.fit(trained, show_progress=False)
    return (asked @ model.similarity).toarray()


def ranks(name: str, settings: dict[str, Any], held: Any, part: str) -> Any:
    """Where each answer of a part stood."""
    items = int(held["items"])
    trained = matrix(held[f"{part}_training"], held[f"{part}_training_starts"], items)
    rows, starts, targets = held[f"{part}_rows"], held[f"{part}_starts"], held[f"{part}_targets"]
    found = []
    for start in range(0, len(targets), 4000):
        stop = min(start + 4000, len(targets))
        asked = matrix(rows[starts[start] : starts[stop]], starts[start : stop + 1] - starts[start], items)
        seen = [rows[starts[at] : starts[at + 1]] for at in range(start, stop)]
        found.append(ranking.ranks(scored(name, settings, trained, asked), seen, targets[start:stop]))
    return np.concatenate(found)


def by_person(values: Any, people: Any) -> float:
    """Each person counts once."""
    _, places = np.unique(people, return_inverse=True)
    return float((np.bincount(places, values) / np.bincount(places)).mean())


def main() -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    held = np.load(sys.argv[1])
    made = {}
    for name, grid in GRIDS.items():
        began = time.perf_counter()
        tried = [
            (
                by_person(ranking.gains(ranks(name, each, held, "choosing"), 10)["ndcg@10"], held["choosing_people"]),
                each,
            )
            for each in grid
        ]
        best = max(tried, key=lambda row: row[0])
        made[name] = ranks(name, best[1], held, "asking")
        print(json.dumps({"model": name, "chosen": best[1], "choosing": round(best[0], 5), "tried": len(grid),
                          "seconds": round(time.perf_counter() - began, 1)}))  # fmt: skip
    np.savez(sys.argv[2], **made)


if __name__ == "__main__":
    main()
