"""The Complete Journey (84.51°, CC0): a year of groceries of 2,469 households, as a catalogue and as purchases.

The data set names no prices of products; a product costs what a piece of it cost in the middle of its sales. Products
nobody bought are left out. Times are taken as UTC.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ikkan.apps.shop.service.importing.rdata import Columns, data_frames
from ikkan.apps.shop.values.importing import Reading
from ikkan.ground.errors import BadFile

READING = Reading(currency="USD", utc_offset="Z", deed="bought")
"""How the two files are read."""


@dataclass(frozen=True, slots=True)
class Journey:
    """Two tables to bring in, the catalogue first."""

    catalogue: Path
    events: Path


def as_tables(folder: Path, into: Path) -> Journey:
    """Write the data set as a catalogue and as events.

    Args:
        folder: with `products.rda` and `transactions_sample.rda` or `transactions.rda`.

    Raises:
        BadFile: they are not there, or are not what they should be.
    """
    products = _frame(folder, ("products.rda",))
    sold = _frame(folder, ("transactions.rda", "transactions_sample.rda"))
    into.mkdir(parents=True, exist_ok=True)
    prices: dict[str, list[float]] = defaultdict(list)
    events = into / "events.csv"
    with events.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["person", "at", "product_id", "session_id", "price", "quantity", "used_coupon"])
        for person, at, product, basket, paid, quantity, coupon in zip(
            *_of(sold, "household_id", "transaction_timestamp", "product_id", "basket_id", "sales_value", "quantity",
                 "coupon_disc"), strict=True,
        ):  # fmt: skip
            pieces = max(1, round(float(quantity or 1)))
            each = float(paid or 0) / pieces
            prices[product].append(each)
            # Weights and litres of fuel are sold by the thousand.
            used = float(coupon or 0) > 0
            out.writerow([f"hh-{person}", at, product, basket, f"{each:.4f}", min(pieces, 1_000), int(used)])
    catalogue = into / "catalogue.csv"
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["product_id", "name", "price", "category", "brand", "attribute:size", "attribute:manufacturer"])
        for product, department, brand, category, kind, size, maker in zip(
            *_of(products, "product_id", "department", "brand", "product_category", "product_type", "package_size",
                 "manufacturer_id"), strict=True,
        ):  # fmt: skip
            if product not in prices:
                continue
            name = " ".join(
                part for part in (_worded(kind or category or department), " ".join(size.lower().split())) if part
            )
            way = " > ".join(_worded(part).replace(">", "-") for part in (department, category) if part)
            price = f"{median(prices[product]):.4f}"
            out.writerow(
                [product, name or f"Product {product}", price, way, brand, " ".join(size.lower().split()), maker]
            )
    return Journey(catalogue, events)


def _frame(folder: Path, names: Sequence[str]) -> Columns:
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise BadFile(f"{folder} has no {' or '.join(names)}", hint="the data folder of bradleyboehmke/completejourney")
    found = data_frames(path)
    if not found:
        raise BadFile(f"{path.name} holds no data frame", hint="the data folder of bradleyboehmke/completejourney")
    return next(iter(found.values()))


def _of(frame: Columns, *names: str) -> list[Sequence[str]]:
    missing = [name for name in names if name not in frame]
    if missing:
        raise BadFile(f"there is no column {missing[0]}", hint=f"there are {', '.join(frame)}")
    return [frame[name] for name in names]


def _worded(text: str) -> str:
    return " ".join(text.replace("/", " / ").split()).capitalize()
