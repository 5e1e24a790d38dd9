"""What a text wants, and how surely: a ladder of classifiers, cheapest first. Arithmetic on arrays; no I/O.

A rung looks at a text and gives each intent a score; a temperature makes probabilities of the scores, and at each rung
they are the mean of its own and those of all rungs below. The first rung that is sure enough answers; where none is,
the text is deferred to whoever stands above: a larger model, or a person. `Nearest` asks the most alike examples,
`Linear` weighs the embedding and the spelling, `Tuned` reads again with an embedder that has learned these intents. No
rung keeps a text: examples are vectors, spelling is hashed.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.kit.arrays import pack
from ikkan.kit.letters import hashed, plain
from ikkan.kit.taught import Embed
from ikkan.models.adapters import LowRank
from ikkan.models.values import ENCODER_MODULES, EncoderModule, EncoderPairs

Floats: TypeAlias = NDArray[np.float64]
Float32: TypeAlias = NDArray[np.float32]
Index: TypeAlias = NDArray[np.int64]

BUCKETS = 1_024
"""Into so many numbers the spelling of a text is hashed. Four times as many tell intents apart no better."""
SHORTEST, LONGEST = 2, 5
"""How many letters a piece of spelling has."""
NEIGHBOURS = 10
SHARP = 20.0
"""A neighbour that is nearer by 0.05 (in cosine) has e times the say."""
STRANGE = 0.5
"""Below this likeness to its nearest neighbour a text is like nothing seen, and no intent gets much."""
_LIKENESSES_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """Texts as rungs see them."""

    texts: tuple[str, ...]
    vectors: Float32
    """Embeddings of unit length, (n, width); width 0 where there is no embedder."""

    def __post_init__(self) -> None:
        assert len(self.vectors) == len(self.texts), "one embedding a text"

    def take(self, which: Index) -> Asked:
        """These texts only."""
        return Asked(tuple(self.texts[at] for at in which.tolist()), self.vectors[which])


class Rung(Protocol):
    """One way to tell what a text wants. A language model with an adapter may be one."""

    def logits(self, asked: Asked) -> Floats:
        """A score for each intent, higher where it is likelier. Shape (n, intents)."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """This rung as files; the same rung gives the same bytes."""
        ...


Load: TypeAlias = Callable[[Mapping[str, bytes]], Rung]
"""The rung that `Rung.files` wrote."""


def spelling(texts: Sequence[str]) -> Float32:
    """Texts as their pieces of two to five letters, hashed with a sign. Shape (n, `BUCKETS`).

    Each row has length one, but for pieces that fall together and add up or cancel.

    Pieces begin and end with words, so that beginnings and endings are told from middles; scripts without spaces are
    one word up to the next punctuation. Nothing is learned, so nobody's words need to be kept.

    >>> same, other = spelling(["Where is my card?"]), spelling(["where is my  CARD ?"])
    >>> bool(np.array_equal(same, other)), bool(0.8 < np.linalg.norm(same) < 1.2)
    (True, True)
    """
    rows = np.zeros((len(texts), BUCKETS), dtype=np.float32)
    for row, text in enumerate(texts):
        counts: dict[int, int] = {}
        for word in re.findall(r"\w+|[^\w\s]", plain(text)):
            framed = f" {word} "
            for length in range(SHORTEST, LONGEST + 1):
                for at in range(len(framed) - length + 1):
                    piece = hashed(framed[at : at + length])
                    counts[piece] = counts.get(piece, 0) + 1
        if counts:
            pieces = np.fromiter(counts, dtype=np.uint64, count=len(counts))
            weights = 1 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))
            signed = np.where(pieces >> np.uint64(63), weights, -weights) / np.sqrt((weights**2).sum())
            rows[row] = np.bincount((pieces % np.uint64(BUCKETS)).astype(np.int64), signed, BUCKETS)
    return rows


def features(asked: Asked) -> Float32:
    """What the linear rung weighs: embedding, spelling, and a constant. Shape (n, width + `BUCKETS` + 1)."""
    constant = np.ones((len(asked.texts), 1), dtype=np.float32)
    return np.concatenate([asked.vectors, spelling(asked.texts), constant], axis=1)


@dataclass(frozen=True)
class Nearest:
    """Asks the examples most like a text, by embedding; by spelling where there is no embedder."""

    examples: Float32
    """(examples, width), of unit length or nearly"""
    means: Index
    """The intent of each."""
    intents: int

    def logits(self, asked: Asked) -> Floats:
        """The logarithm of each intent's share of the neighbours' votes; see `Rung.logits`."""
        vectors = asked.vectors if asked.vectors.shape[1] else spelling(asked.texts)
        assert vectors.shape[1] == self.examples.shape[1], "the embedder is the one it was trained with"
        votes = np.empty((len(vectors), self.intents))
        for start in range(0, len(vectors), _LIKENESSES_AT_ONCE):
            stop = min(start + _LIKENESSES_AT_ONCE, len(vectors))
            votes[start:stop] = self._votes(vectors[start:stop] @ self.examples.T)
        return np.asarray(np.log(votes))

    def _votes(self, likeness: Float32) -> Floats:
        rows, most = np.arange(len(likeness))[:, None], min(NEIGHBOURS, likeness.shape[1])
        near = np.argpartition(-likeness, most - 1, axis=1)[:, :most]
        like = likeness[rows, near].astype(np.float64)
        best = like.max(axis=1, keepdims=True)
        # What every intent has without a neighbour: little where one is near, as much as a neighbour where none is.
        votes = np.exp(SHARP * (STRANGE - best)) / self.intents + np.zeros((len(like), self.intents))
        np.add.at(votes, (np.broadcast_to(rows, near.shape), self.means[near]), np.exp(SHARP * (like - best)))
        return np.asarray(votes)

    def files(self) -> Mapping[str, bytes]:
        """See `Rung.files`."""
        arrays: dict[str, NDArray[Any]] = {
            "examples": self.examples.astype(np.float16),
            "means": self.means,
            "intents": np.array(self.intents),
        }
        return {"nearest.npz": pack(arrays)}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Nearest:
        """The rung that `files` wrote."""
        with np.load(io.BytesIO(files["nearest.npz"]), allow_pickle=False) as arrays:
            return cls(arrays["examples"].astype(np.float32), arrays["means"], arrays["intents"].item())


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression on embedding and spelling."""

    weights: Float32
    """(width + `BUCKETS` + 1, intents)"""

    def logits(self, asked: Asked) -> Floats:
        """See `Rung.logits`."""
        table = features(asked)
        assert table.shape[1] == len(self.weights), "the embedder is the one it was trained with"
        return (table @ self.weights).astype(np.float64)

    def files(self) -> Mapping[str, bytes]:
        """See `Rung.files`."""
        return {"linear.npz": pack({"weights": self.weights})}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Linear:
        """The rung that `files` wrote."""
        with np.load(io.BytesIO(files["linear.npz"]), allow_pickle=False) as arrays:
            return cls(arrays["weights"])


LOADS: Mapping[str, Load] = {"nearest": Nearest.load, "linear": Linear.load}
"""The rungs that need nothing but embeddings, cheapest first."""


@dataclass(frozen=True)
class Tuned:
    """Multinomial logistic regression on the vectors of an embedder that learned with it."""

    embed: Embed
    """The embedder as it was changed."""
    pairs: EncoderPairs
    """How it was changed, in half precision's numbers."""
    head: Float32
    """(width + 1, intents), in half precision's numbers."""

    def logits(self, asked: Asked) -> Floats:
        """See `Rung.logits`. What this costs is reading the texts a second time."""
        if not asked.texts:
            return np.zeros((0, self.head.shape[1]))
        return np.asarray(self.embed(asked.texts) @ self.head[:-1] + self.head[-1], dtype=np.float64)

    def files(self) -> Mapping[str, bytes]:
        """See `Rung.files`."""
        arrays: dict[str, NDArray[Any]] = {"head": self.head.astype(np.float16)}
        for (layer, module), pair in sorted(self.pairs.items()):
            arrays[f"{layer}.{module}.a"] = pair.a.astype(np.float16)
            arrays[f"{layer}.{module}.b"] = (pair.b * np.float32(pair.scaling)).astype(np.float16)
        return {"tuned.npz": pack(arrays)}

    @classmethod
    def load(cls, files: Mapping[str, bytes], adapted: Callable[[EncoderPairs], Embed]) -> Tuned:
        """The rung that `files` wrote.

        Args:
            adapted: the embedder it learned from, changed by such pairs.
        """
        with np.load(io.BytesIO(files["tuned.npz"]), allow_pickle=False) as arrays:
            kept = {name: arrays[name].astype(np.float32) for name in arrays.files}
        places = [name.removesuffix(".a").split(".") for name in kept if name.endswith(".a")]
        pairs: dict[tuple[int, EncoderModule], LowRank] = {}
        for layer, spelled in places:
            module = next(one for one in ENCODER_MODULES if one == spelled)
            at = f"{layer}.{module}"
            pairs[int(layer), module] = LowRank(kept[f"{at}.a"], kept[f"{at}.b"], 1.0)
        return cls(adapted(pairs), pairs, kept["head"])


@dataclass(frozen=True)
class Step:
    """A rung and how far it is to be believed."""

    name: str
    rung: Rung
    temperature: float
    """Its scores are divided by this before they become probabilities."""
    mean_temperature: float
    """So are the logarithms of the mean with the rungs below: where rungs disagree, their mean is too modest."""
    level: float
    """It answers from this probability on. Above 1: never, because nothing has shown when it may."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What texts were read to want. One entry a text."""

    intent: Index
    """The likeliest intent, also where nobody is sure; -1 where none is known."""
    probability: Floats
    step: Index
    """Which step was sure enough; the number of steps where none was."""

    def answered(self, steps: int) -> NDArray[np.bool_]:
        """Where somebody was sure enough."""
        return self.step < steps


@dataclass(frozen=True)
class Ladder:
    """Rungs, cheapest first, over one list of intents."""

    intents: tuple[str, ...]
    steps: tuple[Step, ...]
    width: int
    """Of the embeddings it learned from; 0: there was no embedder."""

    def read(self, asked: Asked) -> Readings:
        """What each text wants, by the first rung that is sure; rungs above see only what those below deferred."""
        n = len(asked.texts)
        intent, probability = np.full(n, -1, dtype=np.int64), np.zeros(n)
        step = np.full(n, len(self.steps), dtype=np.int64)
        left, below = np.arange(n), np.zeros((n, len(self.intents)))
        for at, each in enumerate(self.steps):
            if not len(left):
                break
            below = below + tempered(each.rung.logits(asked.take(left)), each.temperature)
            chances = tempered(logarithm(below / (at + 1)), each.mean_temperature)
            intent[left], probability[left] = chances.argmax(axis=1), chances.max(axis=1)
            sure = probability[left] >= each.level
            step[left[sure]] = at
            left, below = left[~sure], below[~sure]
        return Readings(intent, probability, step)

    def files(self) -> dict[str, bytes]:
        """This ladder as files: the same ladder gives the same bytes. No pickle, nobody's words."""
        described = {
            "intents": self.intents,
            "width": self.width,
            "steps": [
                {"name": s.name, "temperature": s.temperature, "mean": s.mean_temperature, "level": s.level}
                for s in self.steps
            ],
        }
        files = {"ladder.json": json.dumps(described, ensure_ascii=False).encode()}
        for step in self.steps:
            files |= {f"{step.name}.{name}": content for name, content in step.rung.files().items()}
        return files

    @classmethod
    def load(cls, files: Mapping[str, bytes], loads: Mapping[str, Load] = LOADS) -> Ladder:
        """The ladder that `files` wrote.

        Args:
            loads: how to load each rung, by the name of its step.
        """
        described: dict[str, Any] = json.loads(files["ladder.json"])
        steps = []
        for step in described["steps"]:
            prefix = f"{step['name']}."
            own = {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}
            rung = loads[step["name"]](own)
            steps.append(Step(step["name"], rung, step["temperature"], step["mean"], step["level"]))
        return cls(tuple(described["intents"]), tuple(steps), described["width"])


def logarithm(chances: Floats) -> Floats:
    """Of probabilities, none of which is taken to be nothing at all."""
    return np.log(np.maximum(chances, 1e-12))


def tempered(logits: Floats, temperature: float) -> Floats:
    """Scores as probabilities, each row of sum one.

    >>> tempered(np.log([[3.0, 1.0]]), 1.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    scaled = logits / temperature
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
