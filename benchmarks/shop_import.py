"""What bringing a merchant's file in costs: rows a second and memory, at 1x, 4x and 16x of the rows.

    .venv/bin/python benchmarks/shop_import.py [--rows 1000000] [--listens none|real] [--form csv|parquet]

Each figure is of a fresh process and a fresh database (SQLite on this disk, every commit durable). `none` hears events
and keeps nothing, so that it is the import alone; `real` is the service of suggestions, with its event log. One row in
a hundred is broken. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from ikkan.apps.shop.rules.support.binding import sha256
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.importing import Importing
from ikkan.apps.shop.service.listening import Hears, Listens
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.ids import SubjectId, TenantId

SHOP = TenantId("shop")
DEEDS = ("view", "view", "view", "カート追加", "购买")


def main() -> None:
    options = argparse.ArgumentParser(description="Rows a second of an import.")
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--listens", choices=("none", "real"), default="none")
    options.add_argument("--form", choices=("csv", "parquet"), default="csv")
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(given.rows, given.listens, given.form)))
        return
    for rows in (given.rows // 16, given.rows // 4, given.rows):
        again = [sys.executable, __file__, "--one", "--rows", str(rows), "--listens", given.listens]
        done = subprocess.run([*again, "--form", given.form], check=True, capture_output=True, text=True)
        print(done.stdout.splitlines()[-1], flush=True)


def one(rows: int, listens: str, form: str) -> dict[str, object]:
    """One import, measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = written(folder, rows, form)
        upgrade(f"sqlite:///{folder}/bench.db")
        database = Database(f"sqlite:///{folder}/bench.db")
        clock = FakeClock(datetime(2026, 6, 1, 12, tzinfo=UTC))

        def pseudonym(tenant_id: TenantId, person: str) -> SubjectId:
            return SubjectId("s-" + sha256([person])[:32])

        hears: Listens = Hears(is_keeping=False)
        if listens == "real":
            hears = Suggesting(database, clock, pseudonym=pseudonym)
        importing = Importing(database, clock, hears, Carrier(database, clock), folder / "kept", pseudonym)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun, cpu_s = time.perf_counter(), time.process_time()
        made = importing.begin(SHOP, path, "events")
        done = importing.run(SHOP, made.import_id)
        took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        database.close()
        assert done.counts.rows == rows and done.counts.refused == rows // 100, done.counts
    return {
        "metric": "shop_import_rows_per_s", "value": round(rows / took_s), "unit": "1/s", "rows": rows, "form": form,
        "listens": listens, "took_s": round(took_s, 1), "cpu_s": round(cpu_s, 1), "peak_rss_mb": round(peak / 1024),
        "rss_before_mb": round(before / 1024), "refused": done.counts.refused, "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "machine": platform.processor() or platform.machine(),
    }  # fmt: skip


def written(folder: Path, rows: int, form: str) -> Path:
    """A file of events."""
    dice, path = random.Random(1), folder / "events.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("会員ID,行動,日時,商品コード,価格\n")
        for at in range(rows):
            moment = (
                "soon"
                if at % 100 == 99
                else f"2026-05-{at % 28 + 1:02d} {at % 24:02d}:{at % 60:02d}:{at // 60 % 60:02d}"
            )
            deed = DEEDS[dice.randrange(5)]
            file.write(
                f'u{dice.randrange(50_000)},{deed},{moment},p{dice.randrange(5_000)},"¥{dice.randrange(9_999):,}"\n'
            )
    if form == "parquet":
        import duckdb

        made = folder / "events.parquet"
        duckdb.sql(f"COPY (SELECT * FROM read_csv('{path}', all_varchar = true)) TO '{made}' (FORMAT PARQUET)")
        path.unlink()
        return made
    return path


if __name__ == "__main__":
    main()
