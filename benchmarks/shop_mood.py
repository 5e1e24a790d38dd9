"""What a mood is worth: lift where somebody wants something else than usual, and nothing left when moods are shuffled.

    PYTHONPATH=SITE .venv/bin/python benchmarks/shop_mood.py --data ../shared/data/shop [--only films,tags,switch,deal]

SITE holds pyreadr and narwhals (for the .rda files of Complete Journey; only `deal` needs them). One thread, minutes.
Settings are chosen on half of the people and reported on the other half, with intervals by bootstrap over people.
Prints one JSON line per figure. The recommender is our own plain one (`shop_mood_data.py`), not the one that serves.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shop_mood_data import People, Point, ease, films, groceries, half_of, hash_of, points, scored
from shop_mood_deals import deal
from shop_mood_numbers import Floats, interval, logistic, reliability, say

from ikkan.apps.shop.rules.mood import FacetTable, Seen, heard, infer, own, steer
from ikkan.apps.shop.rules.mood.inferring import SURELY, Surely, look
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.rules.mood.signals import facets_of
from ikkan.apps.shop.rules.mood.steering import Pulls
from ikkan.apps.shop.values import Happened, Mood

WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    options = argparse.ArgumentParser(description="What a mood is worth.")
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--only", default="films,tags,switch,deal")
    given = options.parse_args()
    only = given.only.split(",")
    if {"films", "tags", "switch"} & set(only):
        world = Films(films(given.data / "ml-latest-small"))
        if "films" in only:
            lift(world)
        if "tags" in only:
            tags(world, given.data / "ml-latest-small" / "tags.csv")
        if "switch" in only:
            switch(world)
    if "deal" in only:
        deal(groceries(given.data / "completejourney"))


# ---- lift, placebo, reliability of the confidence --------------------------------------------------------------------


class Films:
    """Films with a model for each half of the people, learned from the other half."""

    def __init__(self, people: People) -> None:
        self.people = people
        n = len(people.wares)
        rows = {who: [people.row(event) for event in did] for who, did in people.events.items()}
        self.models = {
            half: ease([some for who, some in rows.items() if half_of(who) != half], n, ridge=200.0) for half in (0, 1)
        }
        self.table = FacetTable(people.wares)
        counts: Counter[str] = Counter()
        for did in people.events.values():
            for event in did:
                counts.update(facets_of(people.shelf[event.product_id or ""]))
        total = sum(map(len, people.events.values()))
        self.shop = {facet: count / total for facet, count in counts.items()}
        self.usual = 0.7
        """The session's weight without a mood; the best constant on the tuning half."""

    def mood(self, past: Sequence[Happened], session: Sequence[Happened], at: Any, surely: Surely = SURELY) -> Mood:
        found = infer([*past, *session], self.people.shelf.get, at, shop=self.shop, surely=surely)
        assert found is not None
        return found


class Lists:
    """Scores of many points, and how well each list does."""

    def __init__(self, world: Films, chosen: list[Point]) -> None:
        self.world, self.points = world, chosen
        for point in chosen:
            point.fold = half_of(point.person)
        made = scored(world.people, chosen, world.models)
        self.long, self.session = made.long, made.session
        self.hidden = np.zeros(self.long.shape, np.bool_)
        for at, rows in enumerate(made.hidden):
            self.hidden[at, rows] = True
        self.targets = np.asarray([point.target for point in chosen])
        self.tune = np.asarray([half_of(point.person) == 0 for point in chosen])
        self.people = np.asarray([int(point.person) for point in chosen])

    def ndcg(self, scores: NDArray[np.float32]) -> Floats:
        """NDCG@10 of each point under full ranking: one thing is right."""
        right = scores[np.arange(len(scores)), self.targets][:, None]
        better = ((scores > right) & ~self.hidden).sum(1)
        return np.where(better < 10, 1.0 / np.log2(better + 2.0), 0.0)

    def plain(self, weight: float) -> NDArray[np.float32]:
        return (1 - weight) * self.long + weight * self.session

    def steered(self, moods: Sequence[Mood], wanted: NDArray[np.float32], pulls: Pulls) -> NDArray[np.float32]:
        """Every list with its mood."""
        made = self.plain(self.world.usual)
        for at, mood in enumerate(moods):
            made[at] = steer(made[at], Seen(wanted[at]), mood, pulls=pulls)
        return made


def lift(world: Films) -> None:
    """NDCG with and without a mood in shift sessions and elsewhere; the same with moods of other people."""
    began = time.perf_counter()
    lists = Lists(world, points(world.people, least_past=10, per_session=5, per_person=50))
    tune, report = lists.tune, ~lists.tune
    surely, moods = _calibrated(world, lists)
    wanted = np.asarray([world.table.wanted(mood.facets) for mood in moods])
    shifts = {name: np.asarray([getattr(point, name) for point in lists.points]) for name in ("shift", "known_shift")}
    is_shift = shifts["shift"] >= np.quantile(shifts["shift"][tune], 0.75)
    world.usual = max(WEIGHTS, key=lambda weight: lists.ndcg(lists.plain(weight))[tune].mean())
    without = lists.ndcg(lists.plain(world.usual))
    tried: list[tuple[float, float, Pulls]] = []
    for facets in (0, 0.3, 0.6, 1.0):
        pulls = Pulls(facets=facets)
        gain = lists.ndcg(lists.steered(moods, wanted, pulls)) - without
        tried.append((gain[tune & is_shift].mean(), gain[tune & ~is_shift].mean(), pulls))
    # Nothing lost elsewhere comes first: among the settings that lose nothing, the one that gains most.
    harmless = [each for each in tried if each[1] >= 0] or tried
    _, _, pulls = max(harmless, key=lambda each: each[0])
    settings = {
        "usual": world.usual,
        "facets": pulls.facets,
        "surely": surely,
    }
    with_mood = lists.ndcg(lists.steered(moods, wanted, pulls))
    parts = {
        "all of it": with_mood,
        "shipped settings": lists.ndcg(lists.steered(moods, wanted, Pulls())),
    }
    draw = np.random.default_rng(3)
    shuffled = np.zeros(len(moods))
    for _ in range(5):
        order = np.arange(len(moods))
        for half in (tune, report):
            order[half] = draw.permutation(order[half])
        shuffled += lists.ndcg(lists.steered([moods[at] for at in order], wanted[order], pulls)) / 5
    parts["moods shuffled"] = shuffled
    for half, name in ((tune, "tuning half"), (report, "reported half")):
        for where, some in (("shift", half & is_shift), ("elsewhere", half & ~is_shift)):
            for part, values in parts.items():
                gain, low, high = interval(values - without, some, lists.people)
                say(
                    "mood_ndcg10_gain",
                    gain,
                    "ndcg",
                    low=low,
                    high=high,
                    part=part,
                    sessions=where,
                    people=name,
                    without=round(float(without[some].mean()), 4),
                    n=int(some.sum()),
                    settings=settings,
                )
    known = shifts["known_shift"] >= np.quantile(shifts["known_shift"][tune], 0.75)
    gain, low, high = interval(with_mood - without, report & known, lists.people)
    say(
        "mood_ndcg10_gain",
        gain,
        "ndcg",
        low=low,
        high=high,
        part="all of it",
        sessions="shift by what was known then",
        people="reported half",
        without=round(float(without[report & known].mean()), 4),
        n=int((report & known).sum()),
    )
    say("mood_seconds", time.perf_counter() - began, "s", points=len(moods))


def _calibrated(world: Films, lists: Lists) -> tuple[Surely, list[Mood]]:
    """Signs to confidence by logistic regression on the tuning half, and how honest it is on the other."""
    moods, signs, hits = [], [], []
    for point in lists.points:
        usual = own(point.past, world.people.shelf.get)
        window = [event for event in point.session if (point.at - event.at).total_seconds() <= 1_800]
        showing = look(window, world.people.shelf.get, point.at, usual, world.shop)
        mood = world.mood(point.past, point.session, point.at)
        moods.append(mood)
        signs.append((1.0, showing.concentration, float(np.log1p(showing.length)), showing.shift))
        hits.append(any(mood.facets.get(facet, 0.0) > 0 for facet in facets_of(world.people.wares[point.target])))
    x, y = np.asarray(signs), np.asarray(hits, float)
    fitted = logistic(x[lists.tune], y[lists.tune])
    surely: Surely = (fitted[0], fitted[1], fitted[2], fitted[3])
    for name, numbers in (("shipped", SURELY), ("fitted", surely)):
        believed = 1 / (1 + np.exp(-(x @ np.asarray(numbers))))
        reliability("mood_confidence", believed[~lists.tune], y[~lists.tune], data="ml-latest-small", numbers=name)
    believed = 1 / (1 + np.exp(-(x @ np.asarray(surely))))
    return surely, [replace(mood, confidence=float(sure)) for mood, sure in zip(moods, believed, strict=True)]


# ---- steering by a word ----------------------------------------------------------------------------------------------


def tags(world: Films, file: Path) -> None:
    """A tag is wanted that the shelf knows of half of its films: how many of the other half come, what it costs."""
    import csv

    people, has = world.people, {}
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["movieId"] in people.rows and not is_sensitive(f"tag={row['tag']}"):
                has.setdefault(row["tag"].casefold(), set()).add(people.rows[row["movieId"]])
    wanted = sorted(tag for tag, rows in has.items() if len(rows) >= 12 and tag != "in netflix queue")
    lists = Lists(world, points(people, least_past=10, per_session=1, per_person=3))
    lists_of = np.flatnonzero(~lists.tune)
    vectors = _vectors(world)
    plain = lists.plain(world.usual)
    before = lists.ndcg(plain)
    mood = heard("calm", people.events[lists.points[0].person][0].at)
    assert mood is not None
    halves = {}
    for tag in wanted:
        rows = np.random.default_rng(hash_of(tag)).permutation(sorted(has[tag]))
        mark, is_held = np.zeros(len(people.wares), np.float32), np.zeros(len(people.wares), np.bool_)
        mark[rows[: len(rows) // 2]], is_held[rows[len(rows) // 2 :]] = 1.0, True
        toward = {half: np.maximum(_direction(vectors[half], mark), mark) for half in (0, 1)}
        halves[tag] = (mark, is_held, toward)
    for pull in (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
        right, kept, chance = [], [], []
        pulls = Pulls(facets=pull, said=1.0, energy=0.0)
        for tag in wanted:
            mark, is_held, toward = halves[tag]
            for at in lists_of[hash_of(tag) % 6 :: 6]:
                moved = steer(plain[at], Seen(toward[lists.points[at].fold]), mood, pulls=pulls)
                # Films that the shelf knows to have it are left out: finding them is no art.
                open_to = ~lists.hidden[at] & (mark == 0)
                best = np.argpartition(-np.where(open_to, moved, -np.inf), 10)[:10]
                right.append(is_held[best].mean())
                chance.append((is_held & open_to).sum() / open_to.sum())
                better = int(((moved > moved[lists.targets[at]]) & ~lists.hidden[at]).sum())
                kept.append((1 / np.log2(better + 2) if better < 10 else 0.0, before[at]))
        ndcg = np.asarray(kept)
        say(
            "tag_steering",
            float(np.mean(right)),
            "precision@10",
            pull=pull,
            tags=len(wanted),
            lists=len(right),
            chance=round(float(np.mean(chance)), 4),
            ndcg_kept=round(float(ndcg[:, 0].sum() / max(ndcg[:, 1].sum(), 1e-9)), 3),
        )


def _direction(vectors: NDArray[np.float32], has: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each film is like those that have what is wanted, -1 to 1: a mood's direction in item space."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    toward = has @ unit / float(np.abs(has).sum()) - unit.mean(axis=0)
    found = unit @ (toward / max(float(np.linalg.norm(toward)), 1e-9))
    return np.asarray(np.clip(found, -1, 1), np.float32)


def _vectors(world: Films) -> dict[int, NDArray[np.float32]]:
    """Films as vectors, for each half from the ratings of the other: the strongest 48 directions of who rated what."""
    people, made = world.people, {}
    for half in (0, 1):
        rows = [[people.row(event) for event in did] for who, did in people.events.items() if half_of(who) != half]
        taken = np.zeros((len(rows), len(people.wares)), np.float32)
        for at, some in enumerate(rows):
            taken[at, some] = 1.0 / np.sqrt(len(some))
        taken /= np.sqrt(np.maximum(taken.astype(bool).sum(0), 1.0))
        values, left = np.linalg.eigh(taken @ taken.T)
        best = np.argsort(-values)[1:49]
        genres = world.table.columns
        kinds = np.zeros((len(people.wares), len(genres)), np.float32)
        for row, ware in enumerate(people.wares):
            kinds[row, [genres[facet] for facet in facets_of(ware) if facet.startswith("tag=")]] = 1.0
        kinds /= np.maximum(np.linalg.norm(kinds, axis=1, keepdims=True), 1e-6)
        latent = taken.T @ left[:, best]
        latent /= np.maximum(np.linalg.norm(latent, axis=1, keepdims=True), 1e-6)
        made[half] = np.concatenate([latent, 0.7 * kinds], axis=1).astype(np.float32)
    return made


# ---- after a switch --------------------------------------------------------------------------------------------------


def switch(world: Films) -> None:
    """Somebody turns to the genre they looked at least: events until half of the first ten are of it."""
    people = world.people
    often = Counter(event.product_id for did in people.events.values() for event in did)
    genres = Counter(tag for ware in people.wares for tag in ware.tags)
    usable = [genre for genre, count in genres.items() if count >= 60 and not is_sensitive(f"tag={genre}")]
    steps, waits = 12, {"without": [], "with": []}
    curves: dict[str, list[list[float]]] = {"without": [], "with": []}
    for who in sorted(people.events):
        past = people.events[who][-100:]
        if half_of(who) == 0 or len(past) < 20 or len(curves["with"]) >= 60:
            continue
        counts = Counter(tag for event in past for tag in people.shelf[event.product_id or ""].tags)
        seen = {event.product_id for event in people.events[who]}
        genre = min(usable, key=lambda each: (counts[each] / genres[each], each))
        of_it = np.asarray([genre in ware.tags for ware in people.wares])
        rows = [row for row in np.flatnonzero(of_it) if people.wares[row].product_id not in seen]
        chances = np.asarray([often[people.wares[row].product_id] for row in rows], float)
        draw = np.random.default_rng(hash_of(who))
        if len(rows) < 3 * steps:
            continue
        fed = draw.choice(rows, steps, replace=False, p=chances / chances.sum())
        begin = past[-1].at + timedelta(days=30)
        session = [
            Happened(f"n{at}", who, "viewed", begin + timedelta(seconds=40 * at), people.wares[row].product_id)
            for at, row in enumerate(fed)
        ]
        hidden = [people.rows[each] for each in seen if each]
        lines: dict[str, list[float]] = {"without": [], "with": []}
        for at in range(1, steps + 1):
            now = session[at - 1].at + timedelta(seconds=20)
            point = Point(who, 0, at, 0, session[:at], past, now, 0.0, 0.0, half_of(who))
            made = scored(replace_events(people, who, past, session), [point], world.models)
            mood = world.mood(past, session[:at], now)
            wanted = world.table.wanted(mood.facets)
            plain = (1 - world.usual) * made.long[0] + world.usual * made.session[0]
            lists = {
                "without": plain,
                "with": steer(plain, Seen(wanted), mood),
            }
            for name, scores in lists.items():
                scores = scores.copy()
                scores[hidden] = scores[[people.row(event) for event in session[:at]]] = -np.inf
                lines[name].append(float(of_it[np.argsort(-scores)[:10]].mean()))
        for name, line in lines.items():
            curves[name].append(line)
            waits[name].append(next((at + 1 for at, share in enumerate(line) if share >= 0.5), steps + 1))
    for name, line in waits.items():
        say(
            "events_until_top10_follows",
            float(np.mean(line)),
            "events",
            arm=name,
            people=len(line),
            never=sum(each > steps for each in line),
            share_by_event=[round(float(v), 3) for v in np.mean(curves[name], axis=0)],
        )
    gap, low, high = interval(
        np.asarray(waits["without"], float) - waits["with"],
        np.ones(len(waits["with"]), np.bool_),
        np.arange(len(waits["with"])),
    )
    say("events_saved_after_a_switch", gap, "events", low=low, high=high, settings="shipped")


def replace_events(people: People, who: str, past: Sequence[Happened], session: Sequence[Happened]) -> People:
    """The same people, with one person's events as given."""
    changed = People(people.name, people.wares, {who: [*past, *session]}, {who: []})
    changed.events[who] = changed.events[who][: len(past) + len(session)]
    return changed


if __name__ == "__main__":
    main()
