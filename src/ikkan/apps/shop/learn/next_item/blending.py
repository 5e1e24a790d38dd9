"""Learning the blend: held-back events decide how much the encoder, what followed and what is wanted each count.

Only items that come into question are looked at, some hundred a person: the best by the encoder, what followed, and
the answer. All others would be far down whatever the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.learn.next_item.asked import Asked, Data, ages_before
from ikkan.apps.shop.rules.next_item import ranking
from ikkan.apps.shop.rules.next_item.blend import BUCKETS, FEATURES, Blend, Recommender, bucket_of, followed

QUESTIONS_AT_MOST = 6_000
BEST_OF_ENCODER, BEST_OF_FOLLOWERS = 300, 150
TOGETHER = 512
ENOUGH_FOR_A_BUCKET = 300

Values = npt.NDArray[np.float32]


def learn(recommender: Recommender, data: Data, asked: Sequence[Asked], seed: int) -> tuple[Blend, float | None]:
    """Learn the weights on one half of the questions; keep them only if they answer the other half better.

    Returns:
        The blend, learnt on both halves, and its NDCG@10 on the other half (None without enough questions).
    """
    if len(asked) < 40:
        return Blend.plain(), None
    order = np.random.default_rng(seed).permutation(len(asked))[:QUESTIONS_AT_MOST]
    some = [asked[at] for at in order if asked[at].end]
    features, there = candidates(recommender, data, some)
    buckets = np.array([bucket_of(each.end) for each in some])
    half = np.arange(len(some)) < len(some) // 2
    first = _weights(features, there, buckets, half)
    gains = [
        _gain(features[~half], there[~half], weights[buckets[~half]]) for weights in (Blend.plain().weights, first)
    ]
    if gains[1] <= gains[0]:
        return Blend.plain(), gains[0]
    return Blend(_weights(features, there, buckets, np.ones(len(some), dtype=bool))), gains[1]


def candidates(recommender: Recommender, data: Data, asked: Sequence[Asked]) -> tuple[Values, npt.NDArray[np.bool_]]:
    """`(questions, candidates, 3)` and which of them are there. The answer is the first; absent if nobody proposes it.

    An answer put among candidates that had not proposed it would teach that low scores are good ones.
    """
    model, wanted = recommender.model, np.log(recommender.popularity.shares())
    most = 1 + min(BEST_OF_ENCODER, len(wanted)) + BEST_OF_FOLLOWERS
    features = np.zeros((len(asked), most, FEATURES), dtype=np.float32)
    there = np.zeros((len(asked), most), dtype=bool)
    for start in range(0, len(asked), TOGETHER):
        part = asked[start : start + TOGETHER]
        inputs = [data.rows[each.who][: each.end] for each in part]
        ages = None if data.times is None else [ages_before(data.times[each.who], 0, each.end) for each in part]
        kinds = None if data.kinds is None else [data.kinds[each.who][: each.end] for each in part]
        scores = model.encoder.states(model.vectors, inputs, kinds, ages) @ model.vectors.T
        best = np.argpartition(-scores, min(BEST_OF_ENCODER, len(wanted)) - 1, axis=1)[:, :BEST_OF_ENCODER]
        for at, (each, seen) in enumerate(zip(part, inputs, strict=True)):
            answer = data.rows[each.who][each.end]
            rows, values = recommender.covisits.scores(seen)
            strong = np.argsort(-values)[:BEST_OF_FOLLOWERS]
            proposed = np.union1d(best[at], rows[strong])
            found = np.insert(np.setdiff1d(proposed, np.append(seen, answer)), 0, answer)
            after = np.zeros(len(wanted), dtype=np.float32)
            after[rows] = followed(values)
            features[start + at, : len(found)] = np.stack([scores[at, found], after[found], wanted[found]], axis=1)
            there[start + at, : len(found)] = True
            there[start + at, 0] = answer in proposed
    return features, there


def fitted(features: Values, there: npt.NDArray[np.bool_]) -> Values:
    """The weights under which the answers, the first candidates, are likeliest: Newton's method."""
    features, there = features[there[:, 0]], there[there[:, 0]]
    weights = np.array([1.0, 0.1, 0.0])
    damping = 1e-3 * np.eye(FEATURES)
    for _ in range(20):
        chances = np.where(there, features @ weights, -np.inf)
        chances = np.exp(chances - chances.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        means = np.einsum("qc,qcf->qf", chances, features)
        both = np.einsum("qc,qcf,qcg->fg", chances, features, features, optimize=True)
        step = np.linalg.solve(
            (both - means.T @ means) / len(features) + damping, (features[:, 0] - means).mean(axis=0)
        )
        weights += np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-3:
            break
    return weights.astype(np.float32)


def _weights(
    features: Values, there: npt.NDArray[np.bool_], buckets: npt.NDArray[np.int64], which: npt.NDArray[np.bool_]
) -> Values:
    """Weights by bucket; a bucket with few questions takes those of all together."""
    made = Blend.plain().weights.copy()
    if not there[which, 0].any():
        return made
    together = fitted(features[which], there[which])
    for bucket in range(1, len(BUCKETS)):
        mine = which & (buckets == bucket) & there[:, 0]
        made[bucket] = fitted(features[mine], there[mine]) if mine.sum() >= ENOUGH_FOR_A_BUCKET else together
    return made


def _gain(features: Values, there: npt.NDArray[np.bool_], weights: Values) -> float:
    scores = np.where(there, np.einsum("qcf,qf->qc", features, weights), -np.inf)
    found = np.where(there[:, 0], 1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1), scores.shape[1])
    return float(ranking.gains(found, 10)["ndcg@10"].mean())
