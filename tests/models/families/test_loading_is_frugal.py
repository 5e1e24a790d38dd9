"""A loaded model takes the memory of its file, not of its float32 weights, and lets the file go."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Tiny

PROBE = """
import gc, json, sys
from pathlib import Path
import numpy as np
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder

path = Path(sys.argv[1])
checkpoint = open_checkpoint(path)
decoder = load_decoder(checkpoint, threads=2)
checkpoint.close()
one = np.zeros(1, np.int32)
cache = decoder.new_cache(8, 256)
decoder.forward(one, one, one, cache, one)
gc.collect()
rss = int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024
mapped = path.name in Path("/proc/self/maps").read_text()
loaded = sorted({name.split(".")[0] for name in sys.modules} & {"torch", "transformers", "scipy"})
print(json.dumps({"rss": rss, "mapped": mapped, "cache": cache.bytes, "loaded": loaded}))
"""


def probe(path: Path) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROBE, str(path)], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@pytest.mark.weights
def test_smollm2_takes_its_file_and_no_more_than_350_megabytes(smollm: Path) -> None:
    probe(smollm)  # whoever compiles kernels takes memory for that as well, once
    found = probe(smollm)
    assert found["rss"] <= smollm.stat().st_size + 350_000_000
    assert found["mapped"] is False


def test_the_source_is_let_go_and_no_training_library_is_loaded(tiny: Callable[[str], Tiny]) -> None:
    found = probe(tiny("llama-q4_0").path)
    assert found["mapped"] is False
    assert found["loaded"] == []
