"""Learn the weights that the meetings app ships with, from the AMI and ICSI records.

    python tools/train_meetings.py ../shared/data/meetings [--out src/ikkan/apps/meetings/weights/level0.npz]

The same records, numpy and machine type give the same numbers, `shape` within 4e-13. Takes a few minutes on one core.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from pathlib import Path

from ikkan.apps.meetings.rules.level0.corpus import lesson_of
from ikkan.apps.meetings.rules.level0.train import Lesson, learn

HOUSE = Path(__file__).parents[1]
SOURCES = (
    ("ami/ami_shared.jsonl.gz", ("actions", "decisions", "importance")),
    # Nobody minuted the actions of these meetings.
    ("icsi/icsi_shared.jsonl.gz", ("decisions", "importance")),
)


def main() -> None:
    options = argparse.ArgumentParser(description="Learn the weights of the meetings app.")
    options.add_argument("data", type=Path)
    options.add_argument("--out", type=Path, default=HOUSE / "src/ikkan/apps/meetings/weights/level0.npz")
    given = options.parse_args()
    lessons: list[Lesson] = []
    for name, questions in SOURCES:
        with gzip.open(given.data / name, "rt", encoding="utf-8") as lines:
            lessons += [lesson_of(json.loads(line), questions=questions) for line in lines]
    model = learn(lessons)
    data = model.pack()
    given.out.write_bytes(data)
    thresholds = {name: round(getattr(model, name).threshold, 4) for name in ("actions", "decisions", "importance")}
    print(json.dumps({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "thresholds": thresholds}))


if __name__ == "__main__":
    main()
