"""Training: histories in, a model that is served without torch out.

Deterministic for a seed on one machine and number of threads. A shop's events are few and its people many: steps hold
whole histories, laid end to end; the rate rises, then falls along a cosine; held-back events say when to stop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.learn.next_item import blending
from ikkan.apps.shop.learn.next_item.asked import Asked, Data, ages_before
from ikkan.apps.shop.learn.next_item.dial import Dial, Recipe, Shape
from ikkan.apps.shop.rules.next_item import ranking
from ikkan.apps.shop.rules.next_item.blend import Blend, Recommender
from ikkan.apps.shop.rules.next_item.covisits import Covisits, Popularity
from ikkan.apps.shop.rules.next_item.encoder import Encoder, gap_steps
from ikkan.apps.shop.rules.next_item.model import NextItem, names_of
from ikkan.ground.errors import MissingPackage, NothingToLearn, TrainingDiverged

if TYPE_CHECKING:
    import torch

    from ikkan.apps.shop.learn.next_item.tensors import Network

Rows = npt.NDArray[np.int64]
Progress = Callable[[float, str], None]
Judge = Callable[[NextItem], float]
"""How good a model is; more is better."""

ASKED_AT_MOST = 20_000
"""Held-back events that say when to stop."""
READ_AT_MOST = 300_000
"""Events before them, all together: where histories are long, fewer questions say as much for the time."""
LONG_ENOUGH = 0.98
"""Share of histories that the network sees whole; of longer ones it sees the last events."""
HELD_SCORES = 40_000_000
"""Scores held at once while ranking."""
FOLLOWERS_ALL = 16_000_000
"""Counts of followers in all: 128 an item up to a hundred thousand items, 16 an item at a million."""
WARM_UP = 0.1
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Trained:
    """A recommender, and how it came about."""

    recommender: Recommender
    facts: Mapping[str, Any]
    """seed, epochs, best epoch, seconds, `validation` (NDCG@10 of the encoder), `blended` (of the blend), `curve`."""

    @property
    def model(self) -> NextItem:
        """The encoder with its item vectors."""
        return self.recommender.model


def train(
    histories: Sequence[Sequence[int]] | Sequence[Rows],
    *,
    items: int | Sequence[str],
    times: Sequence[npt.NDArray[np.floating]] | None = None,
    kinds: Sequence[npt.NDArray[np.integer]] | None = None,
    attributes: Sequence[Mapping[str, str]] | None = None,
    held: Sequence[int] | None = None,
    settings: Dial = Dial(),
    seed: int = 0,
    budget_s: float | None = None,
    refit: bool = False,
    progress: Progress = lambda done, told: None,
) -> Trained:
    """Learn what comes next from histories, oldest event first.

    Args:
        histories: rows of items, one sequence a person.
        items: how many items there are, or their ids by row.
        times: seconds (of any epoch) of each event; without, order alone counts.
        kinds: kinds of event, 0 for any.
        attributes: of each item; with them an item that training never saw has a vector.
        held: how many of the last events of each history are held back to choose by; by default the last one of each
            history of three or more. The network never trains on them.
        settings: the dial.
        budget_s: seconds after which training ends, the rate at its lowest. The first epoch is always finished.
        refit: after choosing, train once more for as many epochs with nothing held back.
        progress: told the share done and a line.

    Raises:
        NothingToLearn: fewer than two events in every history.
        TrainingDiverged: the loss is no number any more.
        MissingPackage: torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackage("training needs torch", hint="pip install 'ikkan[train]'") from error
    ids = tuple(str(row) for row in range(items)) if isinstance(items, int) else tuple(items)
    rows = [np.asarray(each, dtype=np.int64) for each in histories]
    kept = [len(each) >= 3 for each in rows] if held is None else list(held)
    ends = np.array([max(0, len(each) - int(back)) for each, back in zip(rows, kept, strict=True)])
    if max(ends, default=0) < 2:
        raise NothingToLearn(
            "no person has two events to learn an order from", hint="bring in more events: ikkan shop import"
        )
    data = Data(ids, rows, ends, times, kinds, attributes)
    began = time.perf_counter()
    run = _Run(data, settings, seed, budget_s, progress)
    network, curve = run.fit(ends)
    best = max(curve, key=lambda row: row["validation"]) if curve[0]["validation"] is not None else curve[-1]
    recommender = _assembled(data, network, ends, Blend.plain(), {})
    chosen, blended = blending.learn(recommender, data, run.asked, seed)
    training_s = time.perf_counter() - began
    refitted_s = 0.0
    if refit:
        again = _Run(data, settings, seed, None, progress)
        again.asked = ()
        whole = np.array([len(each) for each in rows])
        network, _ = again.fit(whole, epochs=best["epoch"])
        ends, refitted_s = whole, time.perf_counter() - began - training_s
    facts = {
        "seed": seed,
        "size": settings.size,
        "width": run.shape.width,
        "epochs": len(curve),
        "best_epoch": best["epoch"],
        "validation": best["validation"],
        "blended": blended,
        "blend": chosen.weights.tolist(),
        "training_s": round(training_s + refitted_s, 2),
        "of_that_refit_s": round(refitted_s, 2),
        "curve": curve,
    }
    return Trained(_assembled(data, network, ends, chosen, facts), facts)


@dataclass(frozen=True, slots=True)
class Followed:
    """An encoder alone, and after how many passes over the data it was best."""

    model: NextItem
    epochs: int
    best: float | None


def follow(
    data: Data, *, settings: Dial, seed: int, longest: int, judge: Judge | None = None, epochs: int | None = None
) -> Followed:
    """Learn the answers of `data`, and nothing but them: the encoder alone, in as many steps on every machine.

    Args:
        longest: events it looks at, at most.
        judge: says after which look at the data the model was best; None: the last.
        epochs: passes over the data; None: until `judge` finds no better one.
    """
    run = _Run(data, settings, seed, judge=judge, longest=longest)
    network, curve = run.fit(data.ends, epochs=epochs)
    best = max(curve, key=lambda row: row["validation"]) if judge is not None else curve[-1]
    told = {"seed": seed, "size": settings.size, "width": run.shape.width, "epochs": best["epoch"]}
    return Followed(_served(data, network, told), best["epoch"], best["validation"])


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A part of a history, and what came after which of its events."""

    inputs: Rows
    places: Rows
    """In `inputs`: of the event before each answer."""
    answers: Rows
    gaps: Rows
    kinds: Rows


_NONE: Rows = np.zeros(0, dtype=np.int64)


class _Run:
    """One training."""

    def __init__(
        self,
        data: Data,
        settings: Dial,
        seed: int,
        budget_s: float | None = None,
        progress: Progress = lambda done, told: None,
        judge: Judge | None = None,
        longest: int | None = None,
    ) -> None:
        self.data, self.seed, self.budget_s, self.progress = data, seed, budget_s, progress
        self.judge = judge
        usual = int(np.quantile(data.ends[data.ends > 0], LONG_ENOUGH))
        shape = settings.shape(len(data.ids), usual)
        self.shape: Shape = shape if longest is None else replace(shape, longest=min(shape.longest, longest))
        events = (
            int(np.maximum(data.ends - 1, 0).sum())
            if data.answers is None
            else sum(len(each.rows) for each in data.answers)
        )
        self.recipe: Recipe = settings.recipe(events, len(data.ids))
        self.generator = np.random.default_rng(seed)
        asked = [
            Asked(who, end)
            for who, each in enumerate(data.rows)
            for end in range(max(1, int(data.ends[who])), len(each))
        ]
        read = sum(min(each.end, self.shape.longest) for each in asked)
        most = min(ASKED_AT_MOST, int(len(asked) * READ_AT_MOST / max(read, 1)))
        if len(asked) > most:
            asked = [asked[at] for at in np.sort(self.generator.choice(len(asked), most, replace=False))]
        self.asked: Sequence[Asked] = asked
        self._known_shares: torch.Tensor | None = None

    def fit(self, ends: Rows, *, epochs: int | None = None) -> tuple[Network, list[Any]]:
        """Train on what lies before `ends`; keep the weights that answered the held-back questions best."""
        import torch

        from ikkan.apps.shop.learn.next_item.tensors import Network

        torch.manual_seed(self.seed)
        names, table = self._table()
        network = Network(self.shape, table, len(names))
        recipe, began = self.recipe, time.perf_counter()
        wide = [each for each in network.parameters() if each.dim() > 1]
        thin = [each for each in network.parameters() if each.dim() <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": wide, "weight_decay": recipe.decay}, {"params": thin, "weight_decay": 0.0}],
            lr=recipe.rate, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        sequences = self._sequences(ends)
        counts = np.array([len(each.answers) for each in sequences])
        steps = max(1, math.ceil(counts.sum() / recipe.events_per_step))
        # A pass over little data says little: look again only after some steps.
        passes = max(1, math.ceil(recipe.steps_per_look / steps))
        total, last = recipe.looks * passes * steps, epochs or recipe.looks * passes
        best: dict[str, Any] = {"validation": -1.0}
        curve: list[dict[str, Any]] = []
        kept, step = None, 0
        for epoch in range(1, last + 1):
            network.train()
            losses = []
            for batch in self._batches(sequences, counts):
                done = step / total
                if self.budget_s is not None:
                    done = max(done, min(1.0, (time.perf_counter() - began) / self.budget_s))
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate * min(1.0, (done + 1e-3) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
                losses.append(self._step(network, optimizer, batch))
                step += 1
                self.progress(step / total, f"epoch {epoch}")
            if not math.isfinite(losses[-1]):
                raise TrainingDiverged("the loss is no number any more", hint="train again with another seed")
            ending = self.budget_s is not None and time.perf_counter() - began >= self.budget_s
            if epoch % passes and epoch != last and not ending:
                continue
            row: dict[str, Any] = {"epoch": epoch, "loss": round(float(np.mean(losses)), 4), "validation": None}
            if self.judge is not None:
                row["validation"] = self.judge(_served(self.data, network, {}))
            elif self.asked:
                row["validation"] = round(self.validated(network), 5)
            row["seconds"] = round(time.perf_counter() - began, 2)
            curve.append(row)
            if row["validation"] is None or row["validation"] > best["validation"]:
                best = row
                kept = {name: value.clone() for name, value in network.state_dict().items()}
            if ending or epoch - best["epoch"] >= recipe.patience * passes:
                break
        assert kept is not None
        network.load_state_dict(kept)
        network.eval()
        return network, curve

    def validated(self, network: Network) -> float:
        """NDCG@10 of the encoder alone on the questions, in torch and the processor's short numbers."""
        import torch

        from ikkan.apps.shop.learn.next_item.tensors import pack

        network.eval()
        block = max(1, HELD_SCORES // max(len(self.data.ids), 400 * self.shape.longest))
        gained = 0.0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            vectors = network.vectors()
            against = vectors.bfloat16()
            for start in range(0, len(self.asked), block):
                some = self.asked[start : start + block]
                begins = [max(0, each.end - self.shape.longest) for each in some]
                inputs = [self.data.rows[each.who][b : each.end] for each, b in zip(some, begins, strict=True)]
                gaps = self._gaps([(each.who, b, each.end) for each, b in zip(some, begins, strict=True)])
                kinds = self._kinds([(each.who, b, each.end) for each, b in zip(some, begins, strict=True)])
                states = network(pack(inputs, gaps, kinds, self.shape.longest), vectors)
                states = states[np.cumsum([len(each) for each in inputs]) - 1]
                scores = (states.bfloat16() @ against.T).float().numpy()
                found = ranking.ranks(
                    scores,
                    [self.data.rows[each.who][: each.end] for each in some],
                    np.array([self.data.rows[each.who][each.end] for each in some]),
                )
                gained += float(ranking.gains(found, 10)["ndcg@10"].sum())
        return gained / len(self.asked)

    def _step(self, network: Network, optimizer: torch.optim.Optimizer, batch: list[_Sequence]) -> float:
        import torch

        from ikkan.apps.shop.learn.next_item.tensors import Softmax, pack

        targets = torch.from_numpy(np.concatenate([each.answers for each in batch]))
        packed = pack(
            [each.inputs for each in batch],
            None if self.data.times is None else [each.gaps for each in batch],
            None if self.data.kinds is None else [each.kinds for each in batch],
            self.shape.longest,
        )
        with torch.autocast("cpu", torch.bfloat16):
            vectors = network.vectors()
            states = network(packed, vectors).float()
            if self.data.answers is not None:
                begins = np.cumsum([0, *(len(each.inputs) for each in batch[:-1])])
                asked = [begin + each.places for begin, each in zip(begins, batch, strict=True)]
                states = states[torch.from_numpy(np.concatenate(asked))]
                # How often an item comes anyway is given, so that the states learn only what is a person's own.
                states = torch.nn.functional.pad(states, (0, 1), value=1.0)
                vectors = torch.cat([vectors, self._usual()], dim=1)
            if self.recipe.sampled:
                drawn, places, rarity = self._drawn(targets)
                loss = Softmax.apply(states, vectors[drawn], places, rarity)  # type: ignore[no-untyped-call]
            else:
                loss = Softmax.apply(states, vectors, targets, None)  # type: ignore[no-untyped-call]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    def _drawn(self, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """This step's wanted items and as many drawn as the recipe says; what each must stand for (logQ correction)."""
        import torch

        items = len(self.data.ids)
        drawn = torch.unique(
            torch.cat([targets, torch.from_numpy(self.generator.integers(0, items, self.recipe.sampled))])
        )
        places = torch.searchsorted(drawn, targets)
        share = self._shares()[drawn]
        left_out = torch.exp(len(targets) * torch.log1p(-share) + self.recipe.sampled * math.log1p(-1.0 / items))
        return drawn, places, -torch.log((1.0 - left_out).clamp(min=1e-6)).float()

    def _shares(self) -> torch.Tensor:
        """Each item's share of all events."""
        import torch

        if self._known_shares is None:
            told = (
                [each[:end] for each, end in zip(self.data.rows, self.data.ends, strict=True)]
                if self.data.answers is None
                else [each.rows for each in self.data.answers]
            )
            counts = np.bincount(np.concatenate(told), minlength=len(self.data.ids))
            self._known_shares = torch.from_numpy(np.minimum(counts / counts.sum(), 0.5))
        return self._known_shares

    def _usual(self) -> torch.Tensor:
        """How often each item is an answer, as a logarithm; an item that never is counts as a hundredth."""
        import torch

        shares = self._shares().float()
        return torch.log(shares.clamp(min=0.01 * float(shares[shares > 0].min())))[:, None]

    def _table(self) -> tuple[list[str], torch.Tensor | None]:
        """Attribute values, and for each item which of them it has, filled up with 0."""
        import torch

        names = self.data.values()
        if not names or self.data.attributes is None:
            return [], None
        at = {name: place for place, name in enumerate(names, start=1)}
        lists = [[at[name] for name in names_of(each)] for each in self.data.attributes]
        table = np.zeros((len(lists), max(map(len, lists))), dtype=np.int64)
        for row, each in enumerate(lists):
            table[row, : len(each)] = each
        return names, torch.from_numpy(table)

    def _sequences(self, ends: Rows) -> list[_Sequence]:
        """Inputs and what came after each. Histories longer than the network knows are cut into several."""
        spans = []
        for who, end in enumerate(ends):
            # Where the next event is the answer, the last one is no question.
            stop = int(end) + (self.data.answers is not None)
            while stop >= 2:
                begin = max(0, stop - 1 - self.shape.longest)
                spans.append((who, begin, stop - 1))
                stop = begin + 1
        gaps, kinds = self._gaps(spans), self._kinds(spans)
        made = []
        for at, (who, begin, stop) in enumerate(spans):
            rows = self.data.rows[who]
            places, answers = np.arange(stop - begin), rows[begin + 1 : stop + 1]
            if self.data.answers is not None:
                own = self.data.answers[who]
                low, high = np.searchsorted(own.places, (begin, stop))
                places, answers = own.places[low:high] - begin, own.rows[low:high]
            if len(answers):
                made.append(
                    _Sequence(
                        rows[begin:stop],
                        places,
                        answers,
                        _NONE if gaps is None else gaps[at],
                        _NONE if kinds is None else kinds[at],
                    )
                )
        return made

    def _batches(self, sequences: list[_Sequence], counts: Rows) -> Iterator[list[_Sequence]]:
        order = self.generator.permutation(len(sequences))
        numbers = np.cumsum(counts[order]) // self.recipe.events_per_step
        for which in np.split(order, np.flatnonzero(np.diff(numbers)) + 1):
            yield [sequences[at] for at in which]

    def _gaps(self, spans: Sequence[tuple[int, int, int]]) -> list[Rows] | None:
        """How long after each event the next question came: the next event's own time is when it was asked."""
        if self.data.times is None:
            return None
        return [gap_steps(ages_before(self.data.times[who], begin, stop)) for who, begin, stop in spans]

    def _kinds(self, spans: Sequence[tuple[int, int, int]]) -> list[Rows] | None:
        if self.data.kinds is None:
            return None
        return [np.asarray(self.data.kinds[who][begin:stop], dtype=np.int64) for who, begin, stop in spans]


def _served(data: Data, network: Network, facts: Mapping[str, Any]) -> NextItem:
    """The network as it is served."""
    import torch

    names = data.values()
    with torch.no_grad():
        network.eval()
        vectors = network.vectors().numpy().astype(np.float32, copy=True)
        told = {} if network.values is None else dict(zip(names, network.values[1:].numpy().copy(), strict=True))
        weights = {
            name: value.numpy().astype(np.float32, copy=True)
            for name, value in network.state_dict().items()
            if name not in {"items", "values"}
        }
    encoder = Encoder(
        weights, network.shape.heads, network.shape.blocks, network.shape.longest,
        timed=data.times is not None, kinded=data.kinds is not None,
    )  # fmt: skip
    return NextItem(data.ids, vectors, encoder, told, facts)


def _assembled(data: Data, network: Network, ends: Rows, chosen: Blend, facts: Mapping[str, Any]) -> Recommender:
    """The network with the counts and the blend of a recommender."""
    model = _served(data, network, facts)
    half_life_s = None
    if data.times is not None:
        spans = [each[end - 1] for each, end in zip(data.times, ends, strict=True) if end]
        # What is wanted now is a matter of the last tenth of all that time, but at least of a day.
        half_life_s = max(DAY_S, 0.1 * float(max(spans) - min(float(each[0]) for each in data.times if len(each))))
    followers = int(np.clip(FOLLOWERS_ALL // len(data.ids), 16, 128))
    covisits, popularity = (
        Covisits(len(data.ids), followers=followers),
        Popularity(len(data.ids), half_life_s=half_life_s),
    )
    covisits.see_all(each[:end] for each, end in zip(data.rows, ends, strict=True))
    events = [
        (0.0 if data.times is None else float(data.times[who][at]), int(row))
        for who, (each, end) in enumerate(zip(data.rows, ends, strict=True))
        for at, row in enumerate(each[:end])
    ]
    for at, row in sorted(events):
        popularity.see(row, at)
    return Recommender(model, covisits, popularity, chosen)
