"""One run: works in, cells out."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ikkan.cli.bench import cells, contestants, race
from ikkan.cli.bench.cells import ANSWER, Ids, Meter, Work
from ikkan.cli.bench.contestants import OURS, Model
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.settings import Settings
from ikkan.silicon.device import PRODUCTS_PER_WEIGHT

_SEED: Final = 20_260_601
_PATIENCE_S: Final = 300
"""A work that has taken so long gets no more than three rounds."""
_PASSAGE: Final = """
Minutes of the weekly meeting of the service desk. The delivery of the replacement pumps to the Nagoya plant is late by
four days, because the carrier lost one pallet in Osaka and found it again on Thursday. Tanaka calls the plant by noon
and offers a rented pump until the shipment arrives; the rental is paid by us. Suzuki writes down which of the twelve
customers with the same order were told, and tells the others today. The new price list is valid from July on;
offers that were sent before keep their old prices for thirty days. Sato trains the two colleagues from Sendai next week
and shows them how corrections of wrong answers are entered, so that the assistant learns from them. The printer on the
third floor is repaired. Nobody has anything to add about the audit; the next meeting is on Wednesday at ten.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table."""

    cell: str
    meter: Meter
    rounds: Mapping[str, list[float]]
    """What each contender reached, round by round."""
    share_of_bound: float | None = None
    roofline: Mapping[str, float] | None = None
    """Ours: int8 operations for each byte of weights, and billions of them a second."""
    versions: Mapping[str, str] | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None
    missing: Mapping[str, str] | None = None
    """Contenders that are not in it, and why."""

    @property
    def medians(self) -> dict[str, float]:
        """Each contender's median."""
        return {name: statistics.median(found) for name, found in self.rounds.items() if found}

    @property
    def bests(self) -> dict[str, float]:
        """Each contender's best round."""
        pick = max if self.meter.better == "more" else min
        return {name: pick(found) for name, found in self.rounds.items() if found}

    def ratio(self, values: Mapping[str, float]) -> float | None:
        """How many times better ours is than the best peer; None without either."""
        peers = [value for name, value in values.items() if name != OURS]
        if OURS not in values or not peers:
            return None
        ours, best = values[OURS], (max if self.meter.better == "more" else min)(peers)
        over, under = (ours, best) if self.meter.better == "more" else (best, ours)
        return over / under if under > 0 else None


@dataclass(frozen=True, slots=True)
class Session:
    """How to run."""

    settings: Settings
    threads: int
    rounds: int
    peers: Path
    only_ours: bool
    note: Callable[[str], None]

    def run(self, works: Sequence[Work]) -> Iterator[Cell]:
        """Cells, as they are known; works of one model and purpose share their contenders."""
        for (name, purpose, mark), some in itertools.groupby(works, key=_group):
            self.note(f"{name}: {purpose}{' on ' + mark if mark else ''}")
            yield from self._group(list(some), contestants.model(self.settings, name), purpose, mark)

    def _group(self, works: list[Work], model: Model, purpose: str, mark: str) -> Iterator[Cell]:
        missing: dict[str, str] = {}
        longest = _tokens(works)
        if purpose == "copying":
            longest += len(contestants.copying(model.path, _PASSAGE, 0)[0])
        job = contestants.job(purpose, model, self.threads, longest, max(_streams(work) for work in works))
        entries = contestants.entries(
            self.settings, self.peers, purpose, mark, threads=self.threads, only_ours=self.only_ours
        )
        running: dict[tuple[str, str], race.Contender] = {}
        kinds = list(dict.fromkeys(work.kind for work in works))

        def trouble(name: str, why: str) -> None:
            missing[name] = why
            self.note(f"missing: {name}: {why}")

        with contextlib.ExitStack() as stack:
            for entry in entries:
                try:
                    best = race.choose(entry, job, {kind: self._probe(kind, model) for kind in kinds}, trouble)
                    by_variant: dict[str, race.Contender] = {}
                    for kind, variant in best.items():
                        if str(variant) not in by_variant:
                            started = race.started([entry], [{**job, "variant": variant}])
                            (by_variant[str(variant)],) = stack.enter_context(started)
                            self._probe(kind, model)(by_variant[str(variant)])  # warm
                        running[entry.name, kind] = by_variant[str(variant)]
                except SetupNeeded as problem:
                    trouble(entry.name, problem.message)
            limits = stack.enter_context(self._limits(entries[0], job)) if purpose == "single" else None
            for work in works:
                contenders = {name: one for (name, kind), one in running.items() if kind == work.kind}
                self.note(f"{work.name}: {', '.join(contenders)}")
                if contenders:
                    yield from self._work(work, model, contenders, limits, missing)
            if purpose == "single" and not mark:
                peaks: dict[str, list[float]] = {}
                for (name, _), one in running.items():
                    peaks[name] = [max([one.peak_mb, *peaks.get(name, [])])]
                yield Cell(f"{works[0].model}.memory", cells.MEMORY, peaks, missing=missing)

    @contextlib.contextmanager
    def _limits(self, entry: race.Entry, job: Mapping[str, Any]) -> Iterator[race.Contender | None]:
        # Its loops name their instructions themselves, whatever the compiler is told of the processor.
        environ = {name: value for name, value in entry.environ.items() if not name.startswith("NUMBA_CPU_")}
        with contextlib.ExitStack() as stack:
            one = None
            try:
                started = race.started([replace(entry, environ=environ)], [{**job, "purpose": "limits"}])
                (one,) = stack.enter_context(started)
            except SetupNeeded as problem:
                self.note(f"no bounds: {problem.message}")
            yield one

    def _probe(self, kind: str, model: Model) -> race.Probe:
        ids = Ids(np.random.default_rng(_SEED - 1), model.vocab)

        def probe(one: race.Contender) -> float:
            if kind == "prefill":
                return 1 / min(one.do("prefill", prompt=ids.some(512)) for _ in range(2))
            if kind == "decode":
                prompt = ids.some(cells.SHORT)
                return 1 / min(one.do("decode", prompt=prompt, answer=ANSWER // 2) for _ in range(2))
            if kind == "copy":
                prompt, _ = contestants.copying(model.path, _PASSAGE, ANSWER)
                asked = [[prompt]]
            else:
                asked = cells.lines(Work("", "streams", 4), ids)
            one.do("streams", lines=asked, answer=ANSWER // 2)
            return float(1 / one.do("streams", lines=asked, answer=ANSWER)["seconds"])

        return probe

    def _work(
        self,
        work: Work,
        model: Model,
        contenders: Mapping[str, race.Contender],
        limits: race.Contender | None,
        missing: Mapping[str, str],
    ) -> Iterator[Cell]:
        bounds: list[float] = []

        def turn(one: race.Contender, number: int) -> dict[str, float]:
            ids = Ids(np.random.default_rng([_SEED, number]), model.vocab)  # the same for everyone in a round
            if work.kind == "prefill":
                return {"": work.size / one.do("prefill", prompt=ids.some(work.size))}
            if work.kind == "decode":
                return {"": self._decode(work, model, one, limits, bounds)}
            if work.kind == "copy":
                return self._copy(work, model, one)
            asked = cells.lines(work, ids)
            answer = ANSWER if work.kind == "streams" else cells.BRIEF
            if work.kind == "prefix" and work.mark != "cold":
                first = asked[0][0][: cells.PREFIX] + ids.some(cells.SUFFIX)
                one.do("streams", lines=[[first]], answer=cells.BRIEF)
            reply = one.do("streams", lines=asked, answer=answer)
            return cells.readings(work, reply, yen_an_hour(self.settings))

        turns = race.rounds(contenders, turn, self.rounds, _PATIENCE_S)
        for why in turns.lost.values():
            self.note(f"lost: {why}")
        for suffix, meter in cells.METERS[work.kind].items():
            found = {name: [one[suffix] for one in many] for name, many in turns.found.items()}
            share, mark = None, None
            if suffix == "" and work.purpose == "single" and found.get(OURS) and limits is not None:
                share, mark = self._beside_bound(work, model, found[OURS], bounds, limits)
            yield Cell(
                f"{work.name}.{suffix}" if suffix else work.name,
                meter,
                found,
                share,
                mark,
                {name: one.version for name, one in contenders.items()},
                {name: one.settings for name, one in contenders.items()},
                {**missing, **turns.lost},
            )

    def _decode(
        self, work: Work, model: Model, one: race.Contender, limits: race.Contender | None, bounds: list[float]
    ) -> float:
        prompt = Ids(np.random.default_rng([_SEED, work.size]), model.vocab).some(work.size or cells.SHORT)
        rate = (ANSWER - 1) / float(one.do("decode", prompt=prompt, answer=ANSWER))
        if one.name == OURS and limits is not None:  # the same threads read as many bytes, right after
            held = int(one.do("kv_bytes", tokens=len(prompt) + ANSWER // 2))
            with contextlib.suppress(SetupNeeded):
                bounds.append(float(limits.do("read", size=model.bytes + held, times=5)) * rate)
        return rate

    def _copy(self, work: Work, model: Model, one: race.Contender) -> dict[str, float]:
        prompt, expected = contestants.copying(model.path, _PASSAGE, work.size)
        reply = one.do("streams", lines=[[prompt]], answer=work.size)
        said = reply["lines"][0][0]
        ids = said.get("ids") or contestants.tokens_of(model.path, said["text"])
        same = sum(a == b for a, b in zip(ids, expected, strict=False))
        return {"": float(reply["seconds"]), "copied": same / max(len(expected), 1)}

    def _beside_bound(
        self, work: Work, model: Model, rates: list[float], bounds: list[float], limits: race.Contender
    ) -> tuple[float | None, dict[str, float]]:
        rate = statistics.median(rates)
        operations = 2 * PRODUCTS_PER_WEIGHT * (model.repeated if work.kind == "prefill" else model.weights)
        tokens = work.size if work.kind == "prefill" else 1
        gops = operations * rate / 1e9
        share = statistics.median(bounds) if bounds else None
        if work.kind == "prefill":
            with contextlib.suppress(SetupNeeded):
                share = gops / 1000 / float(limits.do("int8_tops"))
        return share, {"operations_per_byte": operations * tokens / model.bytes, "gops": gops}


def yen_an_hour(settings: Settings) -> float:
    """What the machine costs an hour under load: power, and its price over its life.

    >>> from ikkan.ground.settings import GIB, Machine, load_settings
    >>> two = Machine(cores=2, cores_reason="", memory_bytes=GIB, memory_reason="")
    >>> round(yen_an_hour(load_settings({}, machine=two)), 2)
    2.11
    """
    return settings.yen_an_hour


def _group(work: Work) -> tuple[str, str, str]:
    return work.model, work.purpose, work.mark if work.mark == "avx2" else ""


def _streams(work: Work) -> int:
    return work.size if work.kind in ("streams", "prefix") else 1


def _tokens(works: Sequence[Work]) -> int:
    """The longest conversation in some works, with room for the probes'."""
    lengths = {"prefill": 0, "decode": ANSWER, "streams": 192 + ANSWER, "prefix": cells.PREFIX + 64, "copy": 64}
    sizes = (work.size + lengths[work.kind] if work.purpose != "serving" else lengths[work.kind] for work in works)
    return max(512 + ANSWER, *sizes)
