"""GGUF files are read as the reference implementation reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf as oracle
import numpy as np
import pytest

from ikkan.ground.errors import HostileFile, NotFound, UnsupportedFormat
from ikkan.models import gguf

from .conftest import tiny_gguf
from .gguf_writer import Gguf, Raw

Written = Callable[..., Path]


@pytest.mark.weights
def test_the_default_model_reads_as_the_reference_reads_it(smollm_path: Path) -> None:
    theirs = oracle.GGUFReader(smollm_path)
    with gguf.read(smollm_path) as ours:
        assert len(ours.tensors) == len(theirs.tensors) == 272
        for tensor in theirs.tensors:
            mine = ours.tensors[tensor.name]
            found = (mine.shape, mine.format, mine.offset, mine.nbytes)
            assert found == (
                tuple(reversed(tensor.shape.tolist())),
                tensor.tensor_type.name,
                tensor.data_offset,
                tensor.n_bytes,
            )
        for key in ("general.name", "llama.block_count", "llama.rope.freq_base", "tokenizer.ggml.add_bos_token"):
            assert ours.metadata[key] == theirs.fields[key].contents()
        assert list(ours.texts("tokenizer.ggml.tokens")) == theirs.fields["tokenizer.ggml.tokens"].contents()
        assert list(ours.integers("tokenizer.ggml.token_type")) == theirs.fields["tokenizer.ggml.token_type"].contents()
        first = theirs.tensors[0]
        assert np.array_equal(ours.tensors[first.name].data, first.data.reshape(-1).view(np.uint8))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("uint8", 255),
        ("int8", -128),
        ("uint16", 65_535),
        ("int16", -32_768),
        ("uint32", 2**32 - 1),
        ("int32", -1),
        ("float32", 0.5),
        ("bool", True),
        ("bool", False),
        ("string", "日本語 🙂"),
        ("string", ""),
        ("uint64", 2**64 - 1),
        ("int64", -(2**63)),
        ("float64", 1e300),
    ],
)
def test_every_kind_of_metadata_comes_back(version: int, kind: str, content: Any, written: Written) -> None:
    path = written(Gguf({"a.b": (kind, content)}, version=version).content())
    with gguf.read(path) as file:
        assert file.metadata == {"a.b": content}
        assert type(file.metadata["a.b"]) is type(content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("[uint8]", [1, 2]), ("[int64]", [-5, 2**60]), ("[float32]", [0.25]), ("[bool]", [True, False]), ("[uint32]", [])],
)
def test_arrays_of_numbers_come_back(kind: str, content: list[Any], written: Written) -> None:
    with gguf.read(written(Gguf({"a": (kind, content)}).content())) as file:
        assert np.asarray(file.metadata["a"]).tolist() == content


def test_arrays_of_texts_come_back(written: Written) -> None:
    with gguf.read(written(Gguf({"a": ("[string]", ["", "é", "🙂"])}).content())) as file:
        assert file.texts("a") == ("", "é", "🙂")


@pytest.mark.parametrize("alignment", [8, 32, 4096])
def test_tensors_lie_where_the_alignment_puts_them(alignment: int, written: Written) -> None:
    first, second = np.arange(5, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    made = Gguf(
        {"general.alignment": ("uint32", alignment)},
        [Raw("a", "F32", first), Raw("b", "F32", second)],
        alignment=alignment,
    )
    with gguf.read(written(made.content())) as file:
        assert file.tensors["b"].shape == (2, 3)
        assert file.tensors["b"].offset % alignment == 0
        assert np.array_equal(file.tensors["b"].data.view(np.float32).reshape(2, 3), second)
        assert not file.tensors["b"].data.flags.writeable


def test_what_the_reference_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.gguf"
    writer = oracle.GGUFWriter(path, "llama")
    writer.add_array("some.numbers", [1, 2, 3])
    weights = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    packed = oracle.quants.quantize(weights, oracle.GGMLQuantizationType.Q4_0)
    writer.add_tensor("w", packed, raw_dtype=oracle.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with gguf.read(path) as file:
        assert file.integers("some.numbers") == (1, 2, 3)
        assert (file.tensors["w"].shape, file.tensors["w"].format) == ((4, 64), "Q4_0")
        assert file.tensors["w"].data.tobytes() == packed.tobytes()


def test_what_we_write_is_read_by_the_reference(written: Written) -> None:
    path = written(tiny_gguf().content())
    theirs = oracle.GGUFReader(path)
    with gguf.read(path) as ours:
        assert {one.name for one in theirs.tensors} == set(ours.tensors)


def test_a_view_outlives_its_file(written: Written) -> None:
    file = gguf.read(written(Gguf({}, [Raw("a", "F32", np.ones(8, np.float32))]).content()))
    view = file.tensors["a"].data
    file.close()
    assert file.tensors == {}
    assert view.view(np.float32).sum() == 8.0


def test_metadata_asked_for_as_another_type_is_refused(written: Written) -> None:
    entries = {"text": ("string", "x"), "n": ("uint32", 3), "yes": ("bool", True), "list": ("[uint32]", [7, 7])}
    with gguf.read(written(Gguf(entries).content())) as file:
        assert (file.integer("list"), file.number("n"), file.integer("missing", 4)) == (7, 3.0, 4)
        for ask in (
            lambda: file.integer("text"),
            lambda: file.integer("yes"),
            lambda: file.text("n"),
            lambda: file.number("text"),
            lambda: file.flag("n", True),
            lambda: file.texts("n"),
            lambda: file.integers("text"),
            lambda: file.text("missing"),
        ):
            with pytest.raises(HostileFile):
                ask()


def test_a_measurement_that_differs_between_layers_is_refused(written: Written) -> None:
    with gguf.read(written(Gguf({"heads": ("[uint32]", [7, 8])}).content())) as file, pytest.raises(UnsupportedFormat):
        file.integer("heads")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        gguf.read(tmp_path / "nothing.gguf")
    with pytest.raises(NotFound):
        gguf.read(tmp_path)
