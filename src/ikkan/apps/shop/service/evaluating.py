"""How good suggestions are, measured on recorded interactions: full ranking, no sampled opponents, held-out truth.

Leave-one-out: each person's last item is the question, the one before it chooses among epochs and weights, the rest is
trained on. At the question the history includes the item that chose; nothing is trained on it. Temporal: what happened
before one moment is trained on, and every later event is a question with the history its person had by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.rules.next_item import Blend, Recommender, ranking
from ikkan.apps.shop.rules.next_item.blend import BUCKETS, bucket_of
from ikkan.apps.shop.rules.next_item.ranking import Interval
from ikkan.ground.errors import BadFile

Rows = npt.NDArray[np.int64]
Tell = Callable[[float, str], None]

VALIDATED_FROM, ASKED_FROM = 0.8, 0.9
"""Shares of all events, by time, before the ones that choose and before the ones that are asked."""
ASKED_AT_MOST = 20_000
"""Questions of a temporal split; beyond, a sample of them."""
HELD_SCORES = 40_000_000
EARLIEST_S, LATEST_S = 0.0, 1e11


class Trained(Protocol):
    """What a training hands over."""

    @property
    def recommender(self) -> Recommender: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class Train(Protocol):
    """`learn.next_item.training.train`, or a fake of it."""

    def __call__(
        self, histories: Sequence[Rows], *, items: Sequence[str], seed: int, progress: Tell, **more: Any
    ) -> Trained: ...


@dataclass(frozen=True, slots=True)
class Interactions:
    """A file of interactions, person by person."""

    item_ids: tuple[str, ...]
    """Row to id, in order of first appearance."""
    histories: list[Rows]
    """Rows of items, oldest first."""
    times: list[npt.NDArray[np.float64]] | None
    """Seconds of each event, where the file has them."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions with known answers, and what may be trained on before them."""

    training: list[Rows]
    times: list[npt.NDArray[np.float64]] | None
    held: list[int]
    """Last events of each training history that choose and are not trained on."""
    inputs: list[Rows]
    ages_s: list[npt.NDArray[np.float64]] | None
    known: list[int]
    """Events of the person before each question."""
    targets: Rows
    """The answers; beyond the catalogue when nobody had seen the item before the split."""
    people: Rows
    """Whose question it is."""
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """Questions for which so many events were known."""

    events: str
    questions: int
    people: int
    ndcg_at_10: Interval


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the measurement found."""

    protocol: str
    seeds: tuple[Mapping[str, Any], ...]
    intervals: Mapping[str, Interval]
    baselines: Mapping[str, float]
    """NDCG@10 of the counts alone."""
    buckets: tuple[Bucket, ...]
    people: int
    questions: int
    items: int
    left_out: int
    """People with too few events to be asked."""
    training_s: float


def read_sequences(path: Path) -> Interactions:
    """A line a person: `user item item …`, oldest item first.

    Raises:
        BadFile: a line has no item, a person comes twice, or the file is empty or no text; the line is named.
    """
    rows: dict[str, int] = {}
    people: dict[str, int] = {}
    histories = []
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2:
            raise _bad(path, number, "has a user and no item", "each line is: user item item …")
        if words[0] in people:
            raise _bad(
                path, number, f"is a second one for user {words[0]!r}, first in line {people[words[0]]}",
                "put all items of a user on one line",
            )  # fmt: skip
        people[words[0]] = number
        histories.append(np.array([rows.setdefault(word, len(rows)) for word in words[1:]], dtype=np.int64))
    if not histories:
        raise BadFile(f"{path.name} has no interactions", hint="each line is: user item item …", path=path.name)
    return Interactions(tuple(rows), histories, None)


def read_events(path: Path) -> Interactions:
    """A line an event: `user,item,value,timestamp` with seconds since 1970; a header may come first.

    Raises:
        BadFile: a line has other than four fields or a time that is no number; the line is named.
    """
    events: list[tuple[float, str, str]] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        fields = [field.strip().strip('"') for field in line.split(",")]
        if len(fields) != 4:
            raise _bad(path, number, f"has {len(fields)} fields", "each line is: user,item,value,timestamp")
        at = _seconds(fields[3])
        if at is None and number == 1:
            continue  # a header
        if at is None or not EARLIEST_S <= at < LATEST_S:
            raise _bad(path, number, f"has the time {fields[3]!r}", "times are seconds since 1970")
        if not fields[0] or not fields[1]:
            raise _bad(path, number, "names no user or no item", "each line is: user,item,value,timestamp")
        events.append((at, fields[0], fields[1]))
    if not events:
        raise BadFile(f"{path.name} has no events", hint="each line is: user,item,value,timestamp", path=path.name)
    events.sort(key=lambda event: event[0])
    rows: dict[str, int] = {}
    own: dict[str, list[tuple[float, int]]] = {}
    for at, user, item in events:
        own.setdefault(user, []).append((at, rows.setdefault(item, len(rows))))
    return Interactions(
        tuple(rows),
        [np.array([row for _, row in each], dtype=np.int64) for each in own.values()],
        [np.array([at for at, _ in each]) for each in own.values()],
    )


def leave_one_out(found: Interactions) -> Questions:
    """The last item of each person of three or more events is asked; the one before it chooses."""
    asked = [who for who, each in enumerate(found.histories) if len(each) >= 3]
    if not asked:
        raise BadFile(
            "nobody has three interactions or more", hint="leave-one-out needs one each to train, choose, ask"
        )
    times = found.times
    return Questions(
        training=[found.histories[who][:-1] for who in asked],
        times=None if times is None else [times[who][:-1] for who in asked],
        held=[1] * len(asked),
        inputs=[found.histories[who][:-1] for who in asked],
        ages_s=None if times is None else [times[who][-1] - times[who][:-1] for who in asked],
        known=[len(found.histories[who]) - 1 for who in asked],
        targets=np.array([found.histories[who][-1] for who in asked]),
        people=np.array(asked),
        item_ids=found.item_ids,
    )


def temporal(found: Interactions, *, seed: int = 0) -> Questions:
    """The last tenth of all events, by time, are questions; the tenth before them chooses."""
    if found.times is None:
        raise BadFile("these interactions have no times", hint="use --protocol leave-one-out")
    every = np.sort(np.concatenate(found.times))
    chosen_from, asked_from = every[int(VALIDATED_FROM * len(every))], every[int(ASKED_FROM * len(every))]
    before = [int(np.searchsorted(each, asked_from)) for each in found.times]
    catalogue = 1 + max(
        (int(each[:end].max()) for each, end in zip(found.histories, before, strict=True) if end), default=-1
    )
    if not catalogue:
        raise BadFile("all events have the same time", hint="use --protocol leave-one-out")
    asked = [(who, at) for who, each in enumerate(found.histories) for at in range(before[who], len(each))]
    if len(asked) > ASKED_AT_MOST:
        drawn = np.sort(np.random.default_rng(seed).choice(len(asked), ASKED_AT_MOST, replace=False))
        asked = [asked[at] for at in drawn]
    inputs, ages = [], []
    for who, at in asked:
        rows = found.histories[who][:at]
        kept = rows < catalogue  # the model knows no item that came after the split
        inputs.append(rows[kept])
        ages.append(found.times[who][at] - found.times[who][:at][kept])
    trained = [who for who, end in enumerate(before) if end]
    return Questions(
        training=[found.histories[who][: before[who]] for who in trained],
        times=[found.times[who][: before[who]] for who in trained],
        held=[before[who] - int(np.searchsorted(found.times[who], chosen_from)) for who in trained],
        inputs=inputs,
        ages_s=ages,
        known=[at for _, at in asked],
        targets=np.array([found.histories[who][at] for who, at in asked]),
        people=np.array([who for who, _ in asked]),
        item_ids=found.item_ids[:catalogue],
    )


def evaluate(
    found: Interactions,
    protocol: str,
    train: Train,
    *,
    seeds: Sequence[int],
    tell: Tell = lambda done, told: None,
    **settings: Any,
) -> Evaluated:
    """Train once a seed and ask everything.

    Args:
        protocol: `leave-one-out` or `temporal`. After choosing, a temporal model is trained once more on all that came
            before the split, as a shop would; a leave-one-out model is not, as published figures are not.
        tell: told the share done and a line.
    """
    asked = leave_one_out(found) if protocol == "leave-one-out" else temporal(found)
    if protocol == "temporal":
        settings = {"refit": True, **settings}
    told, ranked = [], []
    base: dict[str, float] = {}
    for number, seed in enumerate(seeds):

        def progress(done: float, line: str, number: int = number, seed: int = seed) -> None:
            tell((number + done) / len(seeds), f"seed {seed} {line}")

        trained = train(
            asked.training,
            items=asked.item_ids,
            times=asked.times,
            held=asked.held,
            seed=seed,
            progress=progress,
            **settings,
        )
        place = ranks(trained.recommender, asked)
        ranked.append(place)
        told.append({"seed": seed, **_means(place, asked.people), **_briefly(trained.facts)})
        base = base or _baselines(trained.recommender, asked)
    gains = {
        name: np.mean([ranking.gains(place, cut)[name] for place in ranked], axis=0)
        for cut in ranking.CUTS
        for name in (f"ndcg@{cut}", f"hr@{cut}")
    }
    return Evaluated(
        protocol,
        tuple(told),
        {name: ranking.bootstrap(_by_person(values, asked.people)) for name, values in gains.items()},
        base,
        _buckets(gains["ndcg@10"], asked),
        len(np.unique(asked.people)),
        len(asked.targets),
        len(asked.item_ids),
        len(found.histories) - len(np.unique(asked.people)),
        float(np.mean([each["training_s"] for each in told])),
    )


def ranks(recommender: Recommender, asked: Questions) -> Rows:
    """Where each answer stood among all items its person had not seen."""
    block = max(1, HELD_SCORES // len(asked.item_ids))
    made = []
    for start in range(0, len(asked.inputs), block):
        span = slice(start, start + block)
        scores = recommender.scores_many(asked.inputs[span], None, None if asked.ages_s is None else asked.ages_s[span])
        made.append(ranking.ranks(scores, asked.inputs[span], asked.targets[span]))
    return np.concatenate(made)


def _baselines(recommender: Recommender, asked: Questions) -> dict[str, float]:
    made = {}
    for name, column in (("popularity", 2), ("what_followed", 1)):
        weights = np.zeros_like(Blend.plain().weights)
        weights[:, column] = 1.0
        weights[0, 2] = 1.0
        alone = Recommender(recommender.model, recommender.covisits, recommender.popularity, Blend(weights))
        made[name] = _means(ranks(alone, asked), asked.people)["ndcg@10"]
    return made


def _means(place: Rows, people: Rows) -> dict[str, float]:
    return {
        name: float(_by_person(values, people).mean())
        for cut in ranking.CUTS
        for name, values in ranking.gains(place, cut).items()
    }


def _by_person(values: npt.NDArray[np.float64], people: Rows) -> npt.NDArray[np.float64]:
    """Each person counts once, however often they were asked."""
    _, places = np.unique(people, return_inverse=True)
    made: npt.NDArray[np.float64] = np.bincount(places, values) / np.bincount(places)
    return made


def _buckets(values: npt.NDArray[np.float64], asked: Questions) -> tuple[Bucket, ...]:
    which = np.array([bucket_of(known) for known in asked.known])
    made = []
    for number, name in enumerate(BUCKETS):
        mine = which == number
        if mine.any():
            own = _by_person(values[mine], asked.people[mine])
            made.append(Bucket(name, int(mine.sum()), len(own), ranking.bootstrap(own)))
    return tuple(made)


def _briefly(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in facts if name not in {"seed", "curve"}}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadFile(f"{path.name} is not UTF-8 text", hint="save it as UTF-8", path=path.name) from error
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror}", hint="check the path", path=str(path)) from error


def _seconds(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _bad(path: Path, number: int, what: str, hint: str) -> BadFile:
    return BadFile(f"line {number} of {path.name} {what}", hint=hint, path=path.name, line=number)
