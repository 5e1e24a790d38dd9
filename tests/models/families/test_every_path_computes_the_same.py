"""The processor's instruction set changes how fast an answer comes, never a bit of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ikkan.models.values import Decoder
from ikkan.silicon import kernels

from .conftest import Tiny


@pytest.fixture(params=kernels.available_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.get_path()
    kernels.set_path(request.param)
    yield request.param
    kernels.set_path(before)


ALL = ["llama-q4_0", "qwen2-q4_1", "llama-q8_0", "qwen2-f16", "llama-f32", "qwen2-k-mixed", "qwen3-q8_0"]


@pytest.mark.parametrize("name", ALL)
def test_a_decoder_gives_the_same_bits_on_every_path(
    name: str, path: str, tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    decoder, ids = tiny_decoder(name), tiny(name).ids
    positions = np.arange(len(ids), dtype=np.int32)

    def run() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return decoder.forward(ids, np.zeros_like(ids), positions, decoder.new_cache(1, 64), positions)

    here = run()
    kernels.set_path(None)
    assert np.array_equal(here, run())
