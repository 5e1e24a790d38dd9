"""The table, the JSON file and the plot of a run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ikkan import __version__
from ikkan.cli.bench.contestants import OURS
from ikkan.cli.bench.session import Cell
from ikkan.cli.output import table
from ikkan.ground.clock import SystemClock
from ikkan.ground.errors import MissingPackage


def as_object(cell: Cell, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as programs read it: medians, with the best and every round beside them."""
    medians = cell.medians
    ours = medians.pop(OURS, None)
    return {
        "cell": cell.cell,
        "ikkan": _short(ours),
        "peers": {name: _short(value) for name, value in medians.items()},
        "unit": cell.meter.unit,
        "ratio_to_best": _short(cell.ratio(cell.medians)),
        "share_of_bound": _short(cell.share_of_bound),
        "better": cell.meter.better,
        "ratio_of_bests": _short(cell.ratio(cell.bests)),
        "best": {name: _short(value) for name, value in cell.bests.items()},
        "rounds": {name: [_short(one) for one in found] for name, found in cell.rounds.items()},
        "roofline": dict(cell.roofline) if cell.roofline else None,
        "versions": dict(cell.versions or {}),
        "settings": {name: dict(one) for name, one in (cell.settings or {}).items()},
        "missing": dict(cell.missing or {}),
        "facts": dict(facts),
    }


def facts(threads: int, rounds: int) -> dict[str, Any]:
    """Where and when a run was: the same on every cell."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""
    return {
        "machine": f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "threads": threads,
        "rounds": rounds,
        "version": __version__,
        "commit": commit,
        "at": SystemClock().now().isoformat(timespec="seconds"),
    }


def write(objects: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a JSON list, one cell a line; whoever reads meanwhile sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    body = ",\n".join(json.dumps(one, ensure_ascii=False, allow_nan=False) for one in objects)
    beside.write_text(f"[\n{body}\n]\n", encoding="utf-8")
    beside.replace(path)


def merge(objects: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Put cells into the file that the console shows; those of other runs that were not measured again stay."""
    try:
        kept = {one["cell"]: one for one in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError, KeyError):
        kept = {}
    write(list((kept | {str(one["cell"]): one for one in objects}).values()), path)


def as_table(objects: Sequence[Mapping[str, Any]]) -> str:
    """The cells for people: medians, the ratio to the best peer, the share of the bound."""
    peers = list(dict.fromkeys(name for one in objects for name in one["peers"]))
    rows = [
        [
            one["cell"],
            _spoken(one["ikkan"]),
            *(_spoken(one["peers"].get(name)) for name in peers),
            one["unit"],
            _spoken(one["ratio_to_best"]),
            "" if one["share_of_bound"] is None else f"{100 * one['share_of_bound']:.0f} %",
        ]
        for one in objects
    ]
    text = table(["cell", OURS, *peers, "unit", "to best", "of bound"], rows)
    missing = {f"{name}: {why}" for one in objects for name, why in one["missing"].items()}
    return "\n".join([text, *(f"missing {one}" for one in sorted(missing))])


def plot(objects: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A picture of how many times better ours is than the best peer, cell by cell, and of the share of the bound.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingPackage("a plot needs matplotlib", hint="pip install matplotlib, or leave --plot out") from exc
    shown = [one for one in objects if one["ratio_to_best"] is not None and not one["cell"].endswith(".copied")]
    bound = [one for one in objects if one["share_of_bound"] is not None]
    figure = Figure(figsize=(9, 1.6 + 0.26 * (len(shown) + len(bound))), layout="constrained")
    heights = [max(len(shown), 1), max(len(bound), 1)]
    above, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": heights})
    bars = (
        (above, shown, "ratio_to_best", "times the best peer (medians of one run)"),
        (below, bound, "share_of_bound", "share of this machine's limit"),
    )
    for axes, some, field, title in bars:
        values = [one[field] for one in some]
        colours = ["#2f6f9f" if value >= 1 or field == "share_of_bound" else "#c0562f" for value in values]
        drawn = axes.barh([one["cell"] for one in some], values, color=colours)
        axes.bar_label(drawn, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
        axes.axvline(1, color="#555555", linewidth=0.8)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.tick_params(labelsize=8)
        axes.set_title(title, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _spoken(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
