"""Whatever a model file claims, the answer is a typed error: no crash, no memory the file does not justify."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikkan.ground.errors import BadFile, HostileFile, IkkanError, TruncatedFile, UnsupportedFormat
from ikkan.models import gguf, safetensors
from ikkan.models.checkpoint import open_checkpoint

from .conftest import tiny_gguf
from .gguf_writer import Gguf, Raw, string

Written = Callable[..., Path]
ONES = np.ones((4, 32), np.float32)
HUGE = 2**62


def entry(key: str, *parts: bytes) -> dict[str, Any]:
    return {"extra_entries": string(key) + b"".join(parts), "extra_entry_count": 1}


LIES = {
    "a huge count of entries": (Gguf(entry_count=HUGE), HostileFile),
    "a huge count of tensors": (Gguf(tensor_count=HUGE), HostileFile),
    "more entries than there are": (Gguf(entry_count=3), TruncatedFile),
    "more tensors than there are": (Gguf(tensor_count=9), TruncatedFile),
    "a key longer than the file": (
        Gguf(extra_entries=string("k", claims=HUGE) + b"\0" * 64, extra_entry_count=1),
        HostileFile,
    ),
    "a key a little too long": (
        Gguf(extra_entries=string("k", claims=500) + b"\0" * 64, extra_entry_count=1),
        TruncatedFile,
    ),
    "a text longer than the file": (Gguf(**entry("k", struct.pack("<I", 8), string("x", claims=2**63))), HostileFile),
    "an endless array": (Gguf(**entry("k", struct.pack("<IIQ", 9, 4, HUGE))), HostileFile),
    "an endless array of texts": (Gguf(**entry("k", struct.pack("<IIQ", 9, 8, 2**61))), HostileFile),
    "an array whose size overflows": (Gguf(**entry("k", struct.pack("<IIQ", 9, 10, 2**64 - 1))), HostileFile),
    "an array of arrays": (Gguf(**entry("k", struct.pack("<IIQIIQ", 9, 9, 1, 9, 9, 1))), UnsupportedFormat),
    "an array of something unknown": (Gguf(**entry("k", struct.pack("<IIQ", 9, 77, 1))), UnsupportedFormat),
    "a value of something unknown": (Gguf(**entry("k", struct.pack("<I", 13))), UnsupportedFormat),
    "a key twice": (Gguf({"k": ("uint8", 1)}, **entry("k", struct.pack("<IB", 0, 2))), HostileFile),
    "a key that is not UTF-8": (
        Gguf(extra_entries=string(b"\xff\xfe") + struct.pack("<IB", 0, 2), extra_entry_count=1),
        HostileFile,
    ),
    "an alignment of zero": (Gguf({"general.alignment": ("uint32", 0)}), HostileFile),
    "an alignment that is no power of two": (Gguf({"general.alignment": ("uint32", 33)}), HostileFile),
    "an absurd alignment": (Gguf({"general.alignment": ("uint32", 2**31)}), HostileFile),
    "an alignment in words": (Gguf({"general.alignment": ("string", "32")}), HostileFile),
    "a tensor twice": (Gguf({}, [Raw("a", "F32", ONES), Raw("a", "F32", ONES)]), HostileFile),
    "a tensor over another": (Gguf({}, [Raw("a", "F32", ONES), Raw("b", "F32", ONES, offset=32)]), HostileFile),
    "a tensor off its alignment": (Gguf({}, [Raw("a", "F32", ONES, offset=4)]), HostileFile),
    "a tensor outside the file": (Gguf({}, [Raw("a", "F32", ONES, offset=2**20)]), TruncatedFile),
    "a tensor that wraps around": (Gguf({}, [Raw("a", "F32", ONES, offset=2**64 - 32)]), TruncatedFile),
    "a tensor larger than the file": (Gguf({}, [Raw("a", "F32", ONES, dims=(32, 2**20))]), TruncatedFile),
    "dimensions that overflow": (Gguf({}, [Raw("a", "F32", ONES, dims=(2**33, 2**33))]), HostileFile),
    "dimensions that overflow to what fits": (Gguf({}, [Raw("a", "F32", ONES, dims=(2**32, 2**32, 4))]), HostileFile),
    "a dimension of zero": (Gguf({}, [Raw("a", "F32", ONES, dims=(0, 4))]), HostileFile),
    "no dimensions": (Gguf({}, [Raw("a", "F32", ONES, dims=())]), HostileFile),
    "five dimensions": (Gguf({}, [Raw("a", "F32", ONES, dims=(2, 2, 2, 2, 8))]), HostileFile),
    "a billion dimensions": (Gguf({}, [Raw("a", "F32", ONES, dim_count=2**30)]), HostileFile),
    "rows that do not fill their blocks": (Gguf({}, [Raw("a", "Q4_0", ONES, dims=(33, 4))]), HostileFile),
    "an unknown tensor format": (Gguf({}, [Raw("a", "F32", ONES, type_number=99)]), UnsupportedFormat),
    "version 1": (Gguf(version=1), UnsupportedFormat),
    "version 4": (Gguf(version=4), UnsupportedFormat),
    "big-endian": (Gguf(version=0x03000000), UnsupportedFormat),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_gguf_is_refused(lie: str, written: Written) -> None:
    file, error = LIES[lie]
    with pytest.raises(error):
        gguf.read(written(file.content()))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", TruncatedFile),
        (b"GGUF", TruncatedFile),
        (b"GG", UnsupportedFormat),
        (b"\x80\x04pickle", UnsupportedFormat),
    ],
)
def test_what_is_no_gguf_is_refused(content: bytes, error: type[BadFile], written: Written) -> None:
    with pytest.raises(error):
        gguf.read(written(content))


def test_a_gguf_cut_anywhere_is_refused(written: Written) -> None:
    made = tiny_gguf()
    made.tensors = made.tensors[:3]
    content = made.content()
    for length in [*range(0, 3000, 7), *range(3000, len(content), 997), len(content) - 128]:
        with pytest.raises(BadFile):
            gguf.read(written(content[:length]))


BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["byte", "u32", "u64", "drop", "cut"]), st.integers(0, 2**64 - 1)),
    min_size=1,
    max_size=6,
)


def edited(content: bytes, edits: list[tuple[float, str, int]]) -> bytes:
    """The content with bytes overwritten, numbers replaced, pieces dropped, or its end cut off."""
    made = bytearray(content)
    for where, how, number in edits:
        at = int(where * max(len(made) - 1, 0))
        width = {"byte": 1, "u32": 4, "u64": 8}.get(how, 0)
        made[at : at + width] = number.to_bytes(8, "little")[:width]
        stop = {"drop": at + number % 64, "cut": len(made)}.get(how, at)
        del made[at:stop]
    return bytes(made)


SEED_GGUF = tiny_gguf()
SEED_GGUF.tensors = SEED_GGUF.tensors[:4]
HEADER_GGUF = SEED_GGUF.content()[:6000]


@BOUNDED
@given(edits=EDITS)
def test_a_mutated_gguf_is_read_or_refused(edits: list[tuple[float, str, int]], written: Written) -> None:
    path = written(edited(HEADER_GGUF, edits) + SEED_GGUF.content()[6000:])
    try:
        with open_checkpoint(path) as checkpoint:
            total = sum(checkpoint.tensor(name).raw.nbytes for name in checkpoint.names)
            assert total <= path.stat().st_size
            checkpoint.tokenizer.encode("hello")
            template = checkpoint.chat_template
            assert template is None or isinstance(template.source, str)
    except IkkanError:
        pass


# --- safetensors ------------------------------------------------------------------------------------------------------


def tensors_file(header: Any, data: bytes = b"", claims: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if claims is None else claims) + raw + data


def one(first: int = 0, last: int = 16, shape: Any = (4,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [first, last]}


DATA = bytes(16)
FALSEHOODS = {
    "nothing": (b"", TruncatedFile),
    "less than a length": (b"\0\0\0", TruncatedFile),
    "a header larger than the file": (tensors_file({}, claims=5000), TruncatedFile),
    "an absurd header": (tensors_file({}, claims=2**63), HostileFile),
    "an empty header": (tensors_file(b"", b"x" * 20), HostileFile),
    "no JSON": (tensors_file(b"{nonsense}"), HostileFile),
    "not an object": (tensors_file(b"[1, 2]  "), HostileFile),
    "a number that is none": (tensors_file(b'{"a": NaN}'), HostileFile),
    "a name twice": (tensors_file(b'{"a": {}, "a": {}}'), HostileFile),
    "deep nesting": (tensors_file(b'{"a":' + b"[" * 100_000), HostileFile),
    "text that is not UTF-8": (tensors_file(b'{"\xff": 1}'), HostileFile),
    "an entry that is no object": (tensors_file({"a": 1}), HostileFile),
    "an unknown type": (tensors_file({"a": one(dtype="Q9")}, DATA), UnsupportedFormat),
    "a type that is no text": (tensors_file({"a": one(dtype=4)}, DATA), HostileFile),
    "a negative offset": (tensors_file({"a": one(-4, 12)}, DATA), HostileFile),
    "an end before its beginning": (tensors_file({"a": one(16, 0)}, DATA), HostileFile),
    "a tensor outside the file": (tensors_file({"a": one(0, 4096, (1024,))}, DATA), TruncatedFile),
    "a shape that does not fill its bytes": (tensors_file({"a": one(shape=(5,))}, DATA), HostileFile),
    "a shape that overflows": (tensors_file({"a": one(shape=(2**40, 2**40))}, DATA), HostileFile),
    "a shape of fractions": (tensors_file({"a": one(shape=[4.0])}, DATA), HostileFile),
    "a shape of truths": (tensors_file({"a": one(shape=[True])}, DATA), HostileFile),
    "a huge number": (tensors_file(b'{"a": {"shape": [' + b"9" * 5000 + b"]}}"), HostileFile),
    "overlapping tensors": (tensors_file({"a": one(), "b": one(8, 24)}, bytes(24)), HostileFile),
    "a hole between tensors": (tensors_file({"a": one(), "b": one(20, 36)}, bytes(36)), HostileFile),
    "bytes that belong to nobody": (tensors_file({"a": one()}, bytes(20)), HostileFile),
}


@pytest.mark.parametrize("lie", FALSEHOODS)
def test_a_lying_safetensors_file_is_refused(lie: str, written: Written) -> None:
    content, error = FALSEHOODS[lie]
    with pytest.raises(error):
        safetensors.read(written(content, "model.safetensors"))


SEED_TENSORS = tensors_file({"__metadata__": {"format": "pt"}, "a": one(), "b": one(16, 24, (2, 2), "F16")}, bytes(24))


@BOUNDED
@given(edits=EDITS)
def test_a_mutated_safetensors_file_is_read_or_refused(edits: list[tuple[float, str, int]], written: Written) -> None:
    path = written(edited(SEED_TENSORS, edits), "model.safetensors")
    try:
        file = safetensors.read(path)
        assert sum(view.raw.nbytes for view in file.tensors.values()) <= path.stat().st_size
    except BadFile:
        pass


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ({}, HostileFile),
        ({"weight_map": []}, HostileFile),
        ({"weight_map": {"a": 3}}, HostileFile),
        ({"weight_map": {"a": "../model.safetensors"}}, HostileFile),
        ({"weight_map": {"a": "/etc/passwd"}}, HostileFile),
        ({"weight_map": {"a": "pytorch_model.bin"}}, HostileFile),
        ({"weight_map": {"a": "gone.safetensors"}}, TruncatedFile),
        ({"weight_map": {"z": "one.safetensors"}}, HostileFile),
    ],
    ids=str,
)
def test_a_lying_index_is_refused(index: Any, error: type[BadFile], tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "one.safetensors").write_bytes(tensors_file({"a": one()}, DATA))
    with pytest.raises(error):
        safetensors.read(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "model.pkl"])
def test_pickles_are_never_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UnsupportedFormat, match="pickle"):
        safetensors.read(tmp_path / name)
    with pytest.raises(UnsupportedFormat, match="pickle"):
        safetensors.read(tmp_path)
    with pytest.raises(UnsupportedFormat, match="pickle"):
        open_checkpoint(tmp_path / name)


# --- the JSON files beside the weights --------------------------------------------------------------------------------

WORTHS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([2**31, 2**64, -1, 10**400]) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SAID = st.sampled_from(
    [
        "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
        "vocab_size", "intermediate_size", "max_position_embeddings", "rms_norm_eps", "hidden_act", "rope_theta",
        "tie_word_embeddings", "rope_parameters", "rope_scaling", "layer_types", "attention_bias", "eos_token_id",
        "quantization_config", "chat_template", "eos_token", "bos_token",
    ]
)  # fmt: skip


@BOUNDED
@given(
    changes=st.dictionaries(SAID, WORTHS, min_size=1, max_size=4), file=st.sampled_from(["config", "tokenizer_config"])
)
def test_a_folder_that_says_anything_is_read_or_refused(
    changes: dict[str, Any], file: str, folder: Callable[..., Path]
) -> None:
    path = folder(model_type="qwen3")
    said = json.loads((path / f"{file}.json").read_text())
    (path / f"{file}.json").write_text(json.dumps({**said, **changes}))
    try:
        with open_checkpoint(path) as checkpoint:
            checkpoint.tokenizer.encode("hello")
            template = checkpoint.chat_template
            assert template is None or isinstance(template.source, str)
    except IkkanError:
        pass


@BOUNDED
@given(edits=EDITS, file=st.sampled_from(["config.json", "tokenizer_config.json", "tokenizer.json"]))
def test_a_folder_with_a_mutated_file_is_read_or_refused(
    edits: list[tuple[float, str, int]], file: str, folder: Callable[..., Path]
) -> None:
    path = folder()
    (path / file).write_bytes(edited((path / file).read_bytes(), edits))
    try:
        with open_checkpoint(path) as checkpoint:
            checkpoint.tokenizer.encode("hello")
            assert checkpoint.chat_template is None or checkpoint.chat_template.source
    except IkkanError:
        pass


# --- memory -----------------------------------------------------------------------------------------------------------

_READ_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from ikkan.ground.errors import BadFile
from ikkan.models import gguf, safetensors
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in map(Path, sys.argv[2:]):
    try:
        (safetensors if path.suffix == ".safetensors" else gguf).read(path)
    except BadFile as error:
        print(error.code)
"""


def test_lies_about_size_cost_no_memory(tmp_path: Path) -> None:
    paths = []
    for number, (file, _) in enumerate(LIES.values()):
        paths.append(tmp_path / f"{number}.gguf")
        paths[-1].write_bytes(file.content())
    for number, (content, _) in enumerate(FALSEHOODS.values()):
        paths.append(tmp_path / f"{number}.safetensors")
        paths[-1].write_bytes(content)
    limit = 2 * 2**30
    command = [sys.executable, "-c", _READ_WITH_LITTLE_MEMORY, str(limit), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(paths)
