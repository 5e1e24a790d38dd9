"""`ikkan bench engine`: files that everyone reads, a race that outlives a contender, cells that programs read.

How fast anything is, is nobody's business here.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from ikkan.cli import app
from ikkan.cli.bench import cells, contenders, contestants, files, race, report, session
from ikkan.cli.bench.cells import Ids, Meter, Work
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.settings import Settings
from ikkan.models import gguf as reader
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder
from ikkan.models.safetensors import widen
from ikkan.silicon.kernels import dequantize, pack

FIELDS = ["cell", "ikkan", "peers", "unit", "ratio_to_best", "share_of_bound"]
CONTENDERS = Path(contenders.__file__).parent


# ---- model files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["Q4_0", "Q8_0"])
def test_a_written_model_loads_and_does_not_repeat_itself(tmp_path: Path, format: str) -> None:
    path = files.shaped(tmp_path, "tiny", format)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensor("blk.0.ffn_down.weight").format == format
        assert checkpoint.tokenizer.decode(checkpoint.tokenizer.encode("Hello, 世界")) == "Hello, 世界"
        assert checkpoint.chat_template is not None and checkpoint.tokenizer.vocab_size == checkpoint.config.vocab
        decoder = load_decoder(checkpoint, threads=1)
    cache = decoder.new_cache(1, 128)
    token, said = np.array([400], dtype=np.int32), []
    for position in range(48):
        here = np.array([position], dtype=np.int32)
        logits = decoder.forward(token, np.zeros_like(token), here, cache, np.zeros_like(token))
        assert np.isfinite(logits).all()
        token = logits.argmax(axis=1).astype(np.int32)
        said.append(int(token[0]))
    assert len(set(said)) > 8


def test_a_model_is_written_once_and_the_same_each_time(tmp_path: Path) -> None:
    first = files.shaped(tmp_path / "a", "tiny", "Q4_0")
    before = first.stat().st_mtime_ns
    assert files.shaped(tmp_path / "a", "tiny", "Q4_0").stat().st_mtime_ns == before
    assert files.shaped(tmp_path / "b", "tiny", "Q4_0").read_bytes() == first.read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [first.name]


@pytest.mark.parametrize("size", ["0.5b", "1.5b"])
def test_a_vocabulary_has_the_size_of_the_real_one_and_its_merges_make_its_tokens(size: str) -> None:
    tokens, kinds, merges = files.vocabulary(files.SHAPES[size].vocab)
    known = set(tokens)
    assert len(tokens) == len(known) == len(kinds) == 151_936
    assert all(merge.replace(" ", "") in known for merge in merges[:: len(merges) // 500])
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= known


def test_rounding_to_q4_0_keeps_what_was_farthest_from_zero() -> None:
    numbers = np.random.default_rng(3)
    blocks = numbers.integers(0, 256, (64, 20), dtype=np.uint8)
    blocks[:, :4] = numbers.uniform(0.01, 0.1, (64, 2)).astype(np.float16).view(np.uint8)
    exact = dequantize(pack("Q4_1", blocks.reshape(-1), 64, 32))
    rounded = dequantize(pack("Q4_0", files.to_q4_0(blocks.reshape(-1)), 64, 32))
    widest = np.abs(exact).max(axis=1)
    assert (np.abs(exact - rounded).max(axis=1) <= widest / 8 * 1.02).all()
    at = np.abs(exact).argmax(axis=1)[:, None]
    found, wanted = np.take_along_axis(rounded, at, 1), np.take_along_axis(exact, at, 1)
    assert np.allclose(found, wanted, rtol=2e-3)


def test_requantising_changes_the_q4_1_matrices_and_nothing_else(tmp_path: Path) -> None:
    from ikkan.cli.bench import gguf

    matrix = np.random.default_rng(1).integers(0, 100, 2 * 20, dtype=np.uint8)
    vector = np.float32([1, 2, 3]).view(np.uint8)
    kept = {"general.architecture": "llama", "a.flag": True, "a.count": 7, "a.number": 0.5, "a.texts": ("x", "あ")}
    source = tmp_path / "small.Q4_1.gguf"
    tensors = [
        gguf.Tensor("matrix", (2, 32), "Q4_1", lambda: matrix),
        gguf.Tensor("vector", (3,), "F32", lambda: vector),
    ]
    gguf.write(source, {**kept, "a.list": np.int32([1, -2])}, tensors)
    with reader.read(files.requantized(tmp_path, source)) as file:
        assert {name: file.metadata[name] for name in kept} == kept
        assert file.integers("a.list") == (1, -2)
        assert file.tensors["matrix"].format == "Q4_0"
        assert widen(file.tensors["vector"].data, "F32").tolist() == [1, 2, 3]


def test_what_a_token_costs_is_counted_from_the_file(tmp_path: Path) -> None:
    shape, model = files.SHAPES["tiny"], contestants.measured(files.shaped(tmp_path, "tiny", "Q4_0"))
    hidden, keys, inner = shape.hidden, shape.kv_width, shape.intermediate
    blocks = shape.layers * (2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner)
    assert (model.repeated, model.weights) == (blocks, blocks + shape.vocab * hidden)
    assert model.bytes == blocks // 32 * 18 + shape.vocab * hidden // 32 * 34


# ---- the race ------------------------------------------------------------------------------------------------------


def test_contenders_import_nothing_that_a_peers_environment_lacks() -> None:
    for path in CONTENDERS.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_the_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in at_the_top if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in at_the_top if isinstance(node, ast.ImportFrom)}
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, path.name


class Clockwork:
    """A contender without a process."""

    def __init__(self, name: str, lasts: int = 100) -> None:
        self.name, self._lasts = name, lasts

    def do(self, deed: str, **task: Any) -> int:
        self._lasts -= 1
        if self._lasts < 0:
            raise SetupNeeded(f"{self.name} ended by SIGSEGV")
        return self._lasts


def test_another_one_begins_each_round_and_one_that_falls_over_is_named() -> None:
    order: list[str] = []

    def turn(one: Any, number: int) -> int:
        order.append(one.name)
        return int(one.do("work"))

    contenders_: Any = {name: Clockwork(name, 2 if name == "b" else 100) for name in "abc"}
    turns = race.rounds(contenders_, turn, 4, patience_s=100)
    assert "".join(order[:9]) == "abcbcacab"
    assert list(turns.lost) == ["b"] and set(turns.found) == {"a", "c"}
    assert [len(found) for found in turns.found.values()] == [4, 4]


def test_a_run_without_patience_still_has_three_rounds() -> None:
    contenders_: Any = {"a": Clockwork("a")}
    assert len(race.rounds(contenders_, lambda one, number: number, 9, patience_s=-1).found["a"]) == 3


def test_a_contender_that_is_not_installed_says_so() -> None:
    nobody = race.Entry("xllamacpp", "llama_wheel", Path("/nowhere/bin/python"), {}, {})
    with pytest.raises(SetupNeeded, match="xllamacpp is not installed"):
        race.Contender(nobody, {"purpose": "single"})


def test_a_contender_that_dies_says_its_last_words_and_leaves_no_process() -> None:
    here = race.Entry("openvino", "openvino_genai", Path(sys.executable), dict(os.environ), {})
    job = {"purpose": "single", "model": "/nowhere", "threads": 1, "variant": {}}
    before = psutil.Process().children()
    with pytest.raises(SetupNeeded, match="openvino ended with 1: ModuleNotFoundError"):
        race.Contender(here, job)
    assert psutil.Process().children() == before


def test_no_contender_outlives_its_race_even_when_that_is_killed(tmp_path: Path) -> None:
    path = files.shaped(tmp_path, "tiny", "Q4_0")
    job = {"purpose": "limits", "model": str(path), "threads": 1, "variant": {}}
    script = (
        "import os, sys, json; from pathlib import Path; from ikkan.cli.bench import race\n"
        "one = race.Contender(race.Entry('ikkan', 'ours', Path(sys.executable), dict(os.environ), {}), "
        "json.loads(sys.argv[1]))\n"
        "print(one._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(job)], capture_output=True, text=True, timeout=60, check=False
    )
    status = Path(f"/proc/{int(done.stdout)}/status")
    until = time.monotonic() + 20
    while status.exists() and "State:\tZ" not in status.read_text(encoding="ascii") and time.monotonic() < until:
        time.sleep(0.02)
    assert not status.exists() or "State:\tZ" in status.read_text(encoding="ascii")


def test_everyone_in_a_round_gets_the_same_prompts_and_every_round_others() -> None:
    def asked(number: int) -> list[Any]:
        return cells.lines(Work("m", "streams", 3), Ids(np.random.default_rng([1, number]), 1024))

    assert asked(0) == asked(0) != asked(1)
    assert all(341 <= one < 820 for line in asked(0) for prompt in line for one in prompt)


def test_prompts_that_share_a_prefix_differ_behind_it() -> None:
    asked = [line[0] for line in cells.lines(Work("m", "prefix", 8), Ids(np.random.default_rng(1), 1024))]
    assert len({tuple(one[: cells.PREFIX]) for one in asked}) == 1
    assert len({tuple(one[cells.PREFIX :]) for one in asked}) == 8


# ---- cells ---------------------------------------------------------------------------------------------------------


def cell(better: Any = "more", **rounds: list[float]) -> session.Cell:
    return session.Cell("m.work", Meter("tokens/s", better), rounds)


@pytest.mark.parametrize(
    ("better", "ratio", "of_bests"), [("more", 2.0, 30 / 16), ("less", 6 / 20, 5 / 10)], ids=["rate", "time"]
)
def test_a_ratio_above_one_is_ours_whatever_is_better(better: str, ratio: float, of_bests: float) -> None:
    one = cell(better, ikkan=[10, 20, 30], slow=[5, 6, 7], fast=[8, 10, 16])
    assert one.ratio(one.medians) == pytest.approx(ratio)
    assert one.ratio(one.bests) == pytest.approx(of_bests)


def test_without_peers_or_without_us_there_is_no_ratio() -> None:
    alone, without = cell(ikkan=[1.0]), cell(openvino=[1.0])
    assert alone.ratio(alone.medians) is None and without.ratio(without.medians) is None


def test_cells_are_written_as_the_interface_says_and_kept_beside_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "engine.json"
    objects = [report.as_object(cell(ikkan=[10, 30, 20], peer=[10]), {"at": "now"})]
    report.merge([{"cell": "older"}, {"cell": "m.work", "ikkan": 1}], path)
    report.merge(objects, path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [one["cell"] for one in found] == ["older", "m.work"]
    assert list(found[1])[: len(FIELDS)] == FIELDS
    assert (found[1]["ikkan"], found[1]["peers"], found[1]["ratio_to_best"]) == (20, {"peer": 10}, 2)
    assert found[1]["rounds"] == {"ikkan": [10, 30, 20], "peer": [10]}
    path.write_text("{broken", encoding="utf-8")
    report.merge(objects, path)
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 1


def test_a_missing_peer_stands_below_the_table() -> None:
    one = session.Cell("m.work", Meter("s", "less"), {"ikkan": [1.0]}, missing={"openvino": "is not installed"})
    assert report.as_table([report.as_object(one, {})]).splitlines()[-1] == "missing openvino: is not installed"


def test_a_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs it: pip install 'ikkan[dev]'")
    objects = [report.as_object(cell(ikkan=[2.0], peer=[1.0]), {}), report.as_object(cell(ikkan=[2.0]), {})]
    report.plot(objects, tmp_path / "plots" / "engine.png")
    assert (tmp_path / "plots" / "engine.png").read_bytes().startswith(b"\x89PNG")


def test_patterns_choose_works_by_the_names_of_their_cells() -> None:
    def names(*patterns: str) -> list[str]:
        return [work.name for work in cells.chosen(cells.everything(), patterns)]

    assert names("0.5b-q4_0.streams-8.ttft-p99") == ["0.5b-q4_0.streams-8"]
    assert names("*.decode-0-avx2") == ["135m-q4_1.decode-0-avx2"]
    assert names("nothing") == [] and len(names()) == len(set(names())) == len(cells.everything())


def test_the_machine_costs_its_power_and_its_price(settings: Settings) -> None:
    hours = settings.machine_years * 365.25 * 24
    wanted = settings.power_watts / 1000 * settings.power_yen_kwh + settings.machine_yen / hours
    assert session.yen_an_hour(settings) == pytest.approx(wanted)


# ---- the command ---------------------------------------------------------------------------------------------------


def bench(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, in a home of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
    command = [sys.executable, "-m", "ikkan", "bench", "engine", *arguments]
    return subprocess.run(
        command, env=environ | {"IKKAN_HOME": str(home)}, capture_output=True, text=True, timeout=240, check=False
    )


def test_one_command_fills_its_cells_and_names_who_is_missing(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    wanted = ["--quick", "--rounds", "2", "--threads", "1", "--cells", "tiny-q4_0.decode-0", "--json", str(path)]
    done = bench(home, *wanted, "--peers", str(tmp_path / "nobody"))
    assert done.returncode == 0, done.stderr
    decode, memory = json.loads(path.read_text(encoding="utf-8"))
    assert (decode["cell"], decode["unit"], memory["unit"]) == ("tiny-q4_0.decode-0", "tokens/s", "MB")
    assert decode["ikkan"] > 0 and memory["ikkan"] > 0 and len(decode["rounds"]["ikkan"]) == 2
    assert decode["peers"] == {} and decode["ratio_to_best"] is None and decode["share_of_bound"] > 0
    assert set(decode["missing"]) >= {"llama.cpp", "xllamacpp", "openvino"}
    assert decode["roofline"]["gops"] > 0
    assert "make bench-peers" in done.stdout or "is not installed" in done.stdout
    assert not (home / "bench").exists()  # a quick run is no measurement to show


def test_what_would_be_measured_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IKKAN_TEST_MODELS", raising=False)  # the tests' own; no setting is called so
    listed = CliRunner().invoke(app, ["bench", "engine", "--list", "--cells", "0.5b-q4_0.shared*"])
    assert listed.output.split() == ["0.5b-q4_0.shared-prefix-8", "0.5b-q4_0.shared-prefix-8-cold"]
