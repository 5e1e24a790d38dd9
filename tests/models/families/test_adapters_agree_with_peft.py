"""An adapter changes what a decoder says exactly as `peft` has it, in any company, and costs the others nothing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.ground.errors import HostileFile
from ikkan.models.adapters import Adapter, LowRank, read_adapter
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder
from ikkan.models.families.block import BlockDecoder
from ikkan.silicon import kernels

from .conftest import THREADS, once

NAMES = ["qwen2", "llama", "qwen2-odd", "llama-gguf-f32", "llama-gguf-q4_1", "qwen2-gguf-mixed"]
ADAPTERS = ["all", "qv", "patterned"]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Adapted:
    """A tiny decoder, its adapters loaded, and what the reference says with and without each."""

    decoder: BlockDecoder
    adapters: dict[str, Adapter]
    numbers: dict[str, int]
    ids: NDArray[np.int32]
    said: dict[str, Rows]

    def read(self, adapter: str = "", ids: NDArray[np.int32] | None = None) -> Rows:
        """Logits after each token, the decoder's own or with an adapter."""
        ids = self.ids if ids is None else ids
        positions, number = np.arange(len(ids), dtype=np.int32), self.numbers.get(adapter, 0)
        cache = self.decoder.new_cache(1, 64)
        return self.decoder.forward(ids, np.zeros_like(ids), positions, cache, positions, np.full_like(ids, number))


@pytest.fixture(scope="session")
def adapted() -> Callable[[str], Adapted]:
    """`adapted("qwen2")`: a decoder and adapters that `make_adapters.py` wrote; one per session and name."""
    folder = once("make_adapters.py", "adapted", "{out}", beside=importlib.metadata.version("peft"))
    made: dict[str, Adapted] = {}

    def get(name: str) -> Adapted:
        if name not in made:
            gguf = folder / name / f"{name}.gguf"
            with open_checkpoint(gguf if gguf.exists() else folder / name) as checkpoint:
                decoder, config = load_decoder(checkpoint, threads=THREADS), checkpoint.config
            assert isinstance(decoder, BlockDecoder) and config.family != "bert"
            adapters = {one: read_adapter(folder / f"{name}.{one}", decoder.config) for one in ADAPTERS}
            numbers = {one: decoder.load_adapter(adapter) for one, adapter in adapters.items()}
            with np.load(folder / f"{name}.npz") as kept:
                said = {key: kept[key] for key in kept.files}
            made[name] = Adapted(decoder, adapters, numbers, said["ids"].astype(np.int32), said)
        return made[name]

    return get


@pytest.mark.parametrize("which", ADAPTERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_says_what_peft_says_as_closely_as_the_model_itself_does(
    name: str, which: str, adapted: Callable[[str], Adapted]
) -> None:
    # What rounded weights, activations and a rounded cache cost is there without an adapter as well.
    one = adapted(name)
    alone = np.abs(one.read() - one.said["base"])
    assert alone.mean() < 0.01
    for said in (one.said[which], one.said[f"{which}.merged"]):
        apart = np.abs(one.read(which) - said)
        assert apart.mean() < 3 * alone.mean() + 1e-5
        assert apart.mean() < np.abs(said - one.said["base"]).mean() / 40


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_those_of_transformers(name: str, adapted: Callable[[str], Adapted]) -> None:
    one = adapted(name)
    positions = np.arange(len(one.ids), dtype=np.int32)
    rows = np.array([60, 0, 31], dtype=np.int32)
    got = one.decoder.hidden(one.ids, np.zeros_like(one.ids), positions, one.decoder.new_cache(1, 64), rows)
    wanted = one.said["hidden"][rows]
    assert got.shape == wanted.shape
    cosine = (got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() >= 0.9999


@pytest.mark.parametrize("name", ["qwen2", "qwen2-odd", "llama-gguf-q4_1", "qwen2-gguf-mixed"])
def test_company_changes_no_bit_of_anybody(name: str, adapted: Callable[[str], Adapted]) -> None:
    one = adapted(name)
    decoder, ids = one.decoder, one.ids
    people = ["all", "", "qv", "all", "patterned"]
    texts = [ids[:17], ids[3:21], ids[5:12], ids[:17], ids[20:33]]
    alone = [one.read(person, text) for person, text in zip(people, texts, strict=True)]
    cache, random = decoder.new_cache(5, 64), np.random.default_rng(3)
    read, heard = [0] * 5, [np.zeros((0, decoder.config.vocab), np.float32)] * 5
    while any(done < len(text) for done, text in zip(read, texts, strict=True)):
        takes = [int(random.integers(0, 6)) for _ in texts]
        parts = [text[done : done + take] for text, done, take in zip(texts, read, takes, strict=True)]
        tokens = np.concatenate(parts).astype(np.int32)
        slots = np.concatenate([np.full(len(part), slot) for slot, part in enumerate(parts)]).astype(np.int32)
        places = np.concatenate([done + np.arange(len(part)) for done, part in zip(read, parts, strict=True)])
        numbers = np.array([0, *one.numbers.values()], np.int32)
        which = np.array([["", *ADAPTERS].index(person) for person in people])
        rows = np.arange(len(tokens), dtype=np.int32)
        said = decoder.forward(tokens, slots, places.astype(np.int32), cache, rows, numbers[which[slots]])
        for slot, part in enumerate(parts):
            heard[slot] = np.concatenate([heard[slot], said[slots == slot]])
            read[slot] += len(part)
    for together, by_itself in zip(heard, alone, strict=True):
        assert np.array_equal(together, by_itself)


def test_rows_without_an_adapter_have_the_bits_of_a_call_without_any(adapted: Callable[[str], Adapted]) -> None:
    one = adapted("llama-gguf-q4_1")
    positions = np.arange(len(one.ids), dtype=np.int32)
    plain = one.decoder.forward(one.ids, positions * 0, positions, one.decoder.new_cache(1, 64), positions)
    assert np.array_equal(one.read(), plain)


@pytest.mark.parametrize("path", kernels.available_paths())
def test_every_instruction_set_gives_the_same_bits(path: str, adapted: Callable[[str], Adapted]) -> None:
    one = adapted("qwen2-gguf-mixed")
    before, here = kernels.get_path(), one.read("all")
    kernels.set_path(path)
    try:
        assert np.array_equal(one.read("all"), here)
    finally:
        kernels.set_path(before)


def test_numbers_are_never_given_twice_and_an_unloaded_one_is_our_own_mistake(
    adapted: Callable[[str], Adapted],
) -> None:
    one = adapted("qwen2")
    first = one.decoder.load_adapter(one.adapters["qv"])
    one.decoder.unload_adapter(first)
    second = one.decoder.load_adapter(one.adapters["qv"])
    with pytest.raises(AssertionError):
        replace(one, numbers={"gone": first}).read("gone")
    assert second > first
    assert np.array_equal(replace(one, numbers={"again": second}).read("again"), one.read("qv"))
    one.decoder.unload_adapter(second)


def test_an_adapter_of_another_model_changes_nothing(adapted: Callable[[str], Adapted]) -> None:
    one, other = adapted("qwen2"), adapted("qwen2-odd")
    before = one.read("all")
    with pytest.raises(HostileFile):
        one.decoder.load_adapter(other.adapters["qv"])
    with pytest.raises(HostileFile):
        one.decoder.load_adapter(replace(one.adapters["qv"], layers=2))
    assert np.array_equal(one.read("all"), before)


@pytest.mark.parametrize("rank", [1, 16, 40])
def test_any_rank_is_the_sum_it_stands_for(rank: int, adapted: Callable[[str], Adapted]) -> None:
    """Beside `numpy`: with only the output projection of the last layer changed, the change can be written down."""
    one = adapted("llama")
    random, config = np.random.default_rng(rank), one.decoder.config
    a = random.normal(0, 0.1, (rank, config.intermediate)).astype(np.float32)
    b = random.normal(0, 0.1, (config.hidden, rank)).astype(np.float32)
    last = config.layers - 1
    number = one.decoder.load_adapter(Adapter(config.layers, {(last, "down"): LowRank(a, b, 0.5)}, ""))
    split = np.linalg.qr(random.normal(size=(rank, rank)))[0].astype(np.float32)  # the same product, other halves
    turned = LowRank(split @ a, b @ split.T, 0.5)
    other = one.decoder.load_adapter(Adapter(config.layers, {(last, "down"): turned}, ""))
    said = replace(one, numbers={"one": number, "other": other})
    assert np.abs(said.read("one") - said.read("other")).max() < 1e-3
    assert np.abs(said.read("one") - said.read()).max() > 0.01
    for loaded in (number, other):
        one.decoder.unload_adapter(loaded)
