"""What suggestions earned: clicks and purchases that followed a list, with bounds, and what else had earned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest import off_policy
from ikkan.apps.shop.rules.suggest.calibrating import calibration
from ikkan.apps.shop.rules.suggest.diversity import distance
from ikkan.apps.shop.service.suggesting.memory import Shop
from ikkan.apps.shop.store.behaviour import Exposure, Row
from ikkan.apps.shop.values import SURFACES, Calibration, Interval, PolicyValue, Report, SurfaceReport
from ikkan.ground.ids import TenantId

WINDOW = timedelta(days=7)
"""A purchase counts for a list this long after the click on it, or after it was shown."""
_CLICK_WITHIN = timedelta(minutes=30)
"""Without the list's id, looking at a ware this soon after it was shown counts as a click."""
_LISTS_MOST = 100_000
_LEAST_PLACES = 30
_CLICKS = ("viewed", "carted", "bought")


def report(connection: sa.Connection, tenant_id: TenantId, shop: Shop, since: datetime, now: datetime) -> Report:
    """Reads lists and deeds since then, and adds them up."""
    shown = store.behaviour.shown_between(connection, tenant_id, since, now + timedelta(seconds=1), _LISTS_MOST)
    deeds = list(
        store.behaviour.between(connection, tenant_id, since, now + timedelta(seconds=1), (*_CLICKS, "returned"))
    )
    rng = np.random.default_rng(7)
    followed = _Followed(shown, deeds)
    shelf = shop.world.shelf
    surfaces = []
    for surface in SURFACES:
        lists = [each for each in shown if each.surface == surface]
        if not lists:
            continue
        clicks = [followed.clicks(each) for each in lists]
        places = np.array([len(each.places) for each in lists], np.float64)
        units = [each.subject_id for each in lists]
        after_click = followed.revenue(lists, clicked=True)
        after_shown = followed.revenue(lists, clicked=False)
        products = {product for each in lists for product, *_ in each.places}
        surfaces.append(
            SurfaceReport(
                surface,
                len(lists),
                int(places.sum()),
                int(sum(map(len, clicks))),
                _rate(np.array([len(each) for each in clicks], np.float64), places, units, rng),
                after_click.count,
                off_policy.bootstrap(after_click.micros, after_click.units, rng, total=True),
                off_policy.bootstrap(after_shown.micros, after_shown.units, rng, total=True),
                len(products) / max(1, int(shelf.can_be_had[: shelf.n].sum())),
                float(np.mean([_distance(shop, each) for each in lists[-500:]])),
            )
        )
    currency = next((ware.currency for ware in shelf.wares if ware is not None), "JPY")
    return Report(
        since, now, WINDOW.total_seconds() / 86_400, currency, tuple(surfaces), tuple(_policies(shown, followed, rng)),
        shop.world.model_name, _calibration([each for each in shown if each.at + _CLICK_WITHIN <= now], followed, rng),
    )  # fmt: skip


class _Earned:
    """Micros by purchase, with whose it was."""

    def __init__(self, micros: Sequence[float], units: Sequence[str]) -> None:
        self.micros = np.asarray(micros, np.float64)
        self.units = list(units)
        self.count = int((self.micros > 0).sum())


class _Followed:
    """Which deeds followed which lists."""

    def __init__(self, shown: Sequence[Exposure], deeds: Sequence[Row]) -> None:
        self._of: dict[tuple[str, str], list[Row]] = defaultdict(list)
        self._by_list: dict[str, list[Row]] = defaultdict(list)
        for row in deeds:
            if row.event.product_id is not None:
                self._of[row.subject_id, row.event.product_id].append(row)
                if row.event.impression_id is not None:
                    self._by_list[row.event.impression_id].append(row)
        self._shown = shown

    def clicks(self, shown: Exposure) -> dict[str, datetime]:
        """Products of a list that were clicked, and when first."""
        found: dict[str, datetime] = {}
        wanted = {product for product, *_ in shown.places}
        for row in self._by_list.get(shown.impression_id, ()):
            product = row.event.product_id
            # Only whom it was shown to can have clicked it, and only what was in it.
            if row.subject_id == shown.subject_id and product in wanted and row.event.deed in _CLICKS:
                found.setdefault(str(product), row.event.at)
        for product in wanted - found.keys():
            for row in self._of.get((shown.subject_id, product), ()):
                late = row.event.at - shown.at
                if row.event.impression_id is None and timedelta(0) <= late <= _CLICK_WITHIN:
                    found[product] = row.event.at
                    break
        return found

    def revenue(self, lists: Sequence[Exposure], *, clicked: bool) -> _Earned:
        """What was bought within the window; each purchase once, whatever number of lists it followed. Returns are
        taken off."""
        since: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for shown in lists:
            hits = self.clicks(shown) if clicked else {product: shown.at for product, *_ in shown.places}
            for product, at in hits.items():
                since[shown.subject_id, product].append(at)
        micros, units = [], []
        for (subject, product), starts in since.items():
            for row in self._of.get((subject, product), ()):
                late = [row.event.at - start for start in starts]
                if any(timedelta(0) <= each <= WINDOW for each in late) and row.event.deed in ("bought", "returned"):
                    sign = 1 if row.event.deed == "bought" else -1
                    micros.append(sign * float(row.event.price_micros or 0) * row.event.quantity)
                    units.append(subject)
        return _Earned(micros, units)


def _calibration(shown: Sequence[Exposure], followed: _Followed, rng: np.random.Generator) -> Calibration | None:
    expected, clicked, units = list[float](), list[bool](), list[str]()
    for each in shown:
        clicks = followed.clicks(each)
        expected += [chance for _, _, chance, _ in each.places]
        clicked += [product in clicks for product, *_ in each.places]
        units += [each.subject_id] * len(each.places)
    return calibration(np.array(expected), np.array(clicked, np.bool_), units, rng)


def _rate(
    clicks: off_policy.Floats, places: off_policy.Floats, units: Sequence[str], rng: np.random.Generator
) -> Interval:
    """Clicks a place, with bounds by drawing people anew."""
    _, at = np.unique(np.asarray(units), return_inverse=True)
    top, bottom = np.bincount(at, clicks), np.bincount(at, places)
    shares = rng.multinomial(len(top), np.full(len(top), 1 / len(top)), size=1_000)
    drawn = (shares @ top) / np.maximum(shares @ bottom, 1.0)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(float(clicks.sum() / max(1.0, places.sum())), float(low), float(high))


def _distance(shop: Shop, shown: Exposure) -> float:
    rows = shop.world.shelf.rows([product for product, *_ in shown.places])
    return distance(shop.world.shelf.facets[rows])


def _policies(shown: Sequence[Exposure], followed: _Followed, rng: np.random.Generator) -> list[PolicyValue]:
    log: list[off_policy.Logged] = []
    for each in shown:
        if not each.pools:
            continue
        clicks = followed.clicks(each)
        for pool in each.pools:
            chosen = pool.chosen(each)
            log.append(
                off_policy.Logged(
                    np.asarray(pool.features, np.float64),
                    chosen,
                    pool.chances[chosen],
                    float(pool.products[chosen] in clicks),
                    each.subject_id,
                    pool.blend,
                )
            )
    if len(log) < _LEAST_PLACES:
        return []
    rewards = np.array([each.reward for each in log])
    logged = off_policy.bootstrap(rewards, [each.unit for each in log], rng)
    best = off_policy.linear(off_policy.clicks_by_ridge(log))
    return [
        PolicyValue("logged", logged, logged, len(log)),
        off_policy.value_of("uniform", log, off_policy.uniform, rng),
        off_policy.value_of("blend", log, off_policy.blend, rng),
        off_policy.value_of("linear", log, best, rng),
    ]
