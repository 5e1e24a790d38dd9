"""Packing loses nothing, keeps nothing and lets nothing in that is not a number; the `gguf` package is the oracle."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.ground.errors import HostileFile, NotFinite, TruncatedFile, UnsupportedFormat
from ikkan.silicon.kernels import FORMATS, dequantize, pack, pack_f32, rows, steps

from .weights import NUMBERS, SCALES, SEEDS, SHAPES, blocks, inputs, slowly

ALL = sorted(FORMATS)
QUANTISED = sorted(NUMBERS)
often = settings(deadline=None, derandomize=True, max_examples=30)


@pytest.mark.parametrize("format", ALL)
@often
@given(shape=SHAPES, scales=SCALES, seed=SEEDS)
def test_a_packed_matrix_stands_for_the_numbers_that_gguf_reads(
    format: str, shape: tuple[int, int], scales: str, seed: int
) -> None:
    count, cols = shape[0], inputs(format, shape[1])
    raw = blocks(format, count, cols, seed, scales)
    expected = gguf.quants.dequantize(raw.reshape(count, -1), gguf.GGMLQuantizationType[format])
    packed = pack(format, raw, count, cols)
    np.testing.assert_array_equal(dequantize(packed), expected)
    assert (packed.rows, packed.cols, packed.format) == (count, cols, format)


@pytest.mark.parametrize("format", QUANTISED)
@pytest.mark.parametrize("scales", ["ordinary", "mixed"])
def test_a_packed_matrix_stands_for_what_the_formats_definition_says(format: str, scales: str) -> None:
    cols = inputs(format, 2)
    raw = blocks(format, 3, cols, 11, scales)
    expected = [slowly(format, block) for block in raw.reshape(-1, FORMATS[format].block_bytes)]
    np.testing.assert_array_equal(dequantize(pack(format, raw, 3, cols)).reshape(-1), np.concatenate(expected))


@pytest.mark.parametrize("format", ["F16", "F32"])
@pytest.mark.parametrize("cols", [1, 7, 15, 16, 17, 31])
def test_a_matrix_of_floats_may_have_any_width(format: str, cols: int) -> None:
    raw = blocks(format, 5, cols, seed=1)
    expected = raw.view({"F16": np.float16, "F32": np.float32}[format]).reshape(5, cols)
    np.testing.assert_array_equal(dequantize(pack(format, raw, 5, cols)), expected.astype(np.float32))


@often
@given(seed=SEEDS, shape=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_float32_matrices_come_back_bit_for_bit(seed: int, shape: tuple[int, int]) -> None:
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(dequantize(pack_f32(array)), array)


@pytest.mark.parametrize("format", ALL)
@often
@given(seed=SEEDS, data=st.data())
def test_rows_can_be_looked_up_one_by_one(format: str, seed: int, data: st.DataObject) -> None:
    cols = inputs(format, 2)
    packed = pack(format, blocks(format, 37, cols, seed), 37, cols)
    ids = data.draw(st.lists(st.integers(0, 36), max_size=20))
    np.testing.assert_array_equal(rows(packed, ids), dequantize(packed)[np.array(ids, dtype=int)])


@pytest.mark.parametrize("format", ALL)
def test_compiled_code_looks_up_the_same_rows(format: str) -> None:
    cols = inputs(format, 3)
    packed = pack(format, blocks(format, 37, cols, 12, "mixed"), 37, cols)
    ids = np.array([0, 36, 17, 15, 16, 0], dtype=np.int32)
    found = np.full((6, cols), np.nan, dtype=np.float32)
    steps.embed(0, 6, packed.code, packed.address, cols, ids.ctypes.data, found.ctypes.data, 4 * cols)
    np.testing.assert_array_equal(found, rows(packed, ids))


@pytest.mark.parametrize("format", ALL)
def test_the_files_bytes_are_left_alone_and_not_kept(format: str) -> None:
    cols = inputs(format, 1)
    raw = blocks(format, 16, cols, seed=3)
    raw.flags.writeable = False
    packed = pack(format, raw, 16, cols)
    assert not np.shares_memory(raw, packed.data)
    assert packed.address % 64 == 0 and packed.nbytes == FORMATS[format].packed_bytes(16, cols)


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 16, 4097])
def test_a_number_that_is_not_finite_is_refused_with_its_row(format: str, bad: float, row: int) -> None:
    cols = inputs(format, 1)
    raw = blocks(format, 4100, cols, seed=4)
    first = NUMBERS.get(format, (0, 0))[0]
    dtype = np.float16 if format in NUMBERS or format == "F16" else np.float32
    number = np.array([bad], dtype=dtype).view(np.uint8)[-2 if format == "BF16" else 0 :]
    raw.reshape(4100, -1)[row, first : first + number.size] = number
    with pytest.raises(NotFinite) as caught:
        pack(format, raw, 4100, cols)
    assert caught.value.facts["row"] == row


@pytest.mark.parametrize("format", ["Q4_1", "Q5_1", "Q4_K", "Q5_K"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_minimum_that_is_not_finite_is_refused(format: str, bad: float) -> None:
    cols = inputs(format, 2)
    raw = blocks(format, 20, cols, seed=5)
    raw.reshape(20, 2, -1)[19, 1, 2:4] = np.array([bad], dtype=np.float16).view(np.uint8)
    with pytest.raises(NotFinite):
        pack(format, raw, 20, cols)


@pytest.mark.parametrize("format", ALL)
@often
@given(seed=SEEDS, rows_=st.integers(1, 20))
def test_any_bytes_are_packed_or_refused(format: str, seed: int, rows_: int) -> None:
    cols = inputs(format, 1)
    size = FORMATS[format].raw_bytes(rows_, cols)
    raw = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    try:
        assert np.isfinite(dequantize(pack(format, raw, rows_, cols))).all()
    except NotFinite as refused:
        assert 0 <= refused.facts["row"] < rows_


def test_sizes_that_do_not_belong_together_are_refused() -> None:
    raw = blocks("Q4_0", 4, 64, seed=6)
    with pytest.raises(TruncatedFile):
        pack("Q4_0", raw[:-1], 4, 64)
    with pytest.raises(TruncatedFile):
        pack("Q4_0", raw, 5, 64)
    with pytest.raises(HostileFile):
        pack("Q4_0", raw, 8, 33)
    with pytest.raises(HostileFile):
        pack("F32", raw, 0, 32)
    with pytest.raises(UnsupportedFormat):
        pack("IQ4_NL", raw, 4, 64)
    with pytest.raises(HostileFile):
        pack("Q4_K", raw, 4, 64)
