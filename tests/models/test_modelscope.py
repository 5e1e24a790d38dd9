"""Models come from ModelScope or a mirror of it: whole, checked, from where they stopped, whatever the hub claims."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ikkan.ground.errors import (
    BadInput,
    ChecksumMismatch,
    NotAllowed,
    UnknownModel,
    UnsupportedFormat,
    UpstreamRejected,
    UpstreamUnreachable,
)
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.sources import modelscope, parse
from ikkan.models.store import ModelStore, catalogue

from .conftest import tiny_gguf
from .scope import CHANGED, Scope, said, serving

CONTENT = tiny_gguf(padding=("string", "p" * 1_500_000)).content()
Folder = Callable[..., Path]
TINY = "modelscope:org/tiny-GGUF#tiny-Q4.gguf"


@pytest.fixture
def scope(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scope]:
    monkeypatch.setattr(modelscope, "_CHUNK", 64 * 1024)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Scope({"org/tiny-GGUF": {"README.md": b"# tiny", "tiny-Q4.gguf": CONTENT}})) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, scope: Scope) -> ModelStore:
    return ModelStore(tmp_path / "models", hf_endpoint="http://127.0.0.1:1", modelscope_endpoint=scope.url)


@pytest.mark.parametrize("text", [TINY, "modelscope:org/tiny", "modelscope:org/tiny@v1.0#folder/a.gguf"])
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "modelscope:", "modelscope:org", "modelscope:../..", "modelscope:org/tiny#../x", "modelscope:org/tiny#/etc/x",
        "modelscope:org/tiny@", "modelscope:org/tiny@a b", "modelscope:org/tiny/x.gguf", "modelscope:-x/y",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


@pytest.mark.parametrize("reference", [TINY, "modelscope:org/tiny-GGUF@v1"])
def test_a_model_is_pulled_and_checked(reference: str, store: ModelStore, scope: Scope) -> None:
    seen: list[tuple[int, int]] = []
    model = store.pull(reference, "tiny", progress=lambda done, total: seen.append((done, total)))
    assert model.path.read_bytes() == CONTENT
    assert (model.licence, model.version, model.family) == ("apache-2.0", CHANGED, "llama")
    assert (model.source, model.sha256) == (reference, hashlib.sha256(CONTENT).hexdigest())
    assert seen == sorted(seen) and len(seen) > 3
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_whole_repository_brings_weights_and_companions_only(store: ModelStore, scope: Scope, folder: Folder) -> None:
    files = {path.name: path.read_bytes() for path in folder().iterdir()}
    scope.repositories["org/tiny"] = {
        **files,
        "train.py": b"import os",
        "pytorch_model.bin": b"\x80\x04",
        "x/y.md": b"",
    }
    model = store.pull("modelscope:org/tiny")
    assert {path.name for path in model.path.iterdir()} == {*files, "ikkan-model.json"}
    with open_checkpoint(model.path) as checkpoint:
        assert checkpoint.family == "qwen2"


@pytest.mark.parametrize("ranges", ["200", "206"])
def test_a_broken_connection_is_taken_up_where_it_broke(ranges: str, store: ModelStore, scope: Scope) -> None:
    scope.ranges, scope.cuts = ranges, [700_000, 300_000]
    assert store.pull(TINY).path.read_bytes() == CONTENT
    assert scope.ranges_asked() == [None, "bytes=700000-", "bytes=1000000-"]


@pytest.mark.parametrize("ranges", ["ignored", "elsewhere"])
def test_a_hub_that_cannot_go_on_is_asked_for_everything(ranges: str, store: ModelStore, scope: Scope) -> None:
    scope.ranges, scope.cuts = ranges, [700_000]
    assert store.pull(TINY).path.read_bytes() == CONTENT


def test_after_several_broken_connections_the_next_pull_goes_on(store: ModelStore, scope: Scope) -> None:
    scope.cuts = [100_000] * modelscope.ATTEMPTS
    with pytest.raises(UpstreamUnreachable, match="less than it promised"):
        store.pull(TINY)
    assert store.pull(TINY).path.read_bytes() == CONTENT
    assert scope.ranges_asked()[-1] == f"bytes={100_000 * modelscope.ATTEMPTS}-"


KILLED = """
import os, signal, sys
from pathlib import Path
from ikkan.models.sources import modelscope
from ikkan.models.store import ModelStore
modelscope._CHUNK = 64 * 1024
def die(done, total):
    if done > 800_000:
        os.kill(os.getpid(), signal.SIGKILL)
ModelStore(Path(sys.argv[1]), modelscope_endpoint=sys.argv[2]).pull(sys.argv[3], progress=die)
"""


def test_a_killed_pull_leaves_nothing_half_done_and_goes_on(store: ModelStore, scope: Scope) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(store.root), scope.url, TINY], check=False)
    assert run.returncode == -signal.SIGKILL
    assert store.list() == []
    assert store.pull(TINY).path.read_bytes() == CONTENT
    assert int((scope.ranges_asked()[1] or "").removeprefix("bytes=").rstrip("-")) > 800_000


@pytest.mark.parametrize("fault", [{"corrupts": True}, {"adds": b"more"}], ids=str)
def test_what_is_not_what_was_promised_is_thrown_away(
    fault: dict[str, Any], store: ModelStore, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fault.items():
        monkeypatch.setattr(scope, name, value)
    with pytest.raises(ChecksumMismatch):
        store.pull(TINY)
    assert store.list() == []
    scope.corrupts, scope.adds = False, b""
    assert store.pull(TINY).path.read_bytes() == CONTENT


def test_a_file_that_became_smaller_is_not_waited_for(store: ModelStore, scope: Scope) -> None:
    scope.changes = {"Size": 2 * len(CONTENT)}
    with pytest.raises(UpstreamUnreachable):
        store.pull(TINY)


@pytest.mark.parametrize(
    "changes",
    [
        {"Size": -1}, {"Size": 2**60}, {"Size": "12"}, {"Size": None}, {"Size": True}, {"Size": 1.5},
        {"Sha256": ""}, {"Sha256": "g" * 64}, {"Sha256": 5}, {"Sha256": None}, {"Path": None}, {"Path": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_listing_that_cannot_be_believed_is_refused(changes: dict[str, Any], store: ModelStore, scope: Scope) -> None:
    scope.changes = changes
    with pytest.raises(UpstreamRejected):
        store.pull(TINY)


@pytest.mark.parametrize("path", ["../../evil.gguf", "/etc/evil.gguf", "a/../../b.gguf", "C:evil.gguf", "a\\b.gguf"])
def test_a_path_that_leaves_its_folder_is_no_file(path: str, store: ModelStore, scope: Scope) -> None:
    scope.repositories["org/evil"] = {path: CONTENT}
    with pytest.raises(UnsupportedFormat):
        store.pull("modelscope:org/evil")


@pytest.mark.parametrize(
    "says",
    [
        b"", b"<html>", b"[]", b"7", said(None), said({}), said({"Files": {}}), said({"Files": [1]}),
        said({"Files": []}, code=500, message="broken"), b'{"Code": 200, "Data": ' + b"[" * 200_000,
        b'{"Code":' + b"9" * 5000 + b"}", b" " * (modelscope.MAX_LISTING_BYTES + 10),
    ],
    ids=lambda says: says[:20].decode() or "nothing",
)  # fmt: skip
def test_a_hub_that_talks_nonsense_is_named(says: bytes, store: ModelStore, scope: Scope) -> None:
    scope.says = says
    with pytest.raises(UpstreamRejected):
        store.pull(TINY)


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("modelscope:org/nothing", UnknownModel),
        ("modelscope:org/tiny-GGUF@other", UnknownModel),
        ("modelscope:org/tiny-GGUF#other.gguf", BadInput),
        ("modelscope:org/pickled", UnsupportedFormat),
    ],
)
def test_what_the_hub_does_not_have_or_we_do_not_take(
    reference: str, error: type[Exception], store: ModelStore, scope: Scope
) -> None:
    scope.repositories["org/pickled"] = {"pytorch_model.bin": b"\x80\x04"}
    with pytest.raises(error):
        store.pull(reference)


@pytest.mark.parametrize(
    ("status", "error"), [(500, UpstreamRejected), (429, UpstreamRejected), (403, NotAllowed), (404, UnknownModel)]
)
def test_a_hub_that_refuses_is_named(status: int, error: type[Exception], store: ModelStore, scope: Scope) -> None:
    scope.status = status
    with pytest.raises(error):
        store.pull(TINY)


@pytest.mark.parametrize(
    "elsewhere", ["ftp://127.0.0.1/x", "file:///etc/passwd", "/api/v1/models/org/tiny-GGUF/repo?FilePath=tiny-Q4.gguf"]
)
def test_a_redirection_leads_nowhere_but_over_http_and_not_for_ever(
    elsewhere: str, store: ModelStore, scope: Scope
) -> None:
    scope.elsewhere = elsewhere
    with pytest.raises((UpstreamRejected, UpstreamUnreachable)):
        store.pull(TINY)


def test_a_hub_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UpstreamUnreachable, match=r"127\.0\.0\.1:1 does not answer"):
        ModelStore(tmp_path, modelscope_endpoint="http://127.0.0.1:1").pull(TINY)


def test_the_catalogue_checks_its_hash_wherever_the_file_comes_from(store: ModelStore, scope: Scope) -> None:
    entry = next(entry for entry in catalogue() if entry.name == "qwen3-0.6b")
    (other,) = entry.also
    reference = parse(other)
    scope.repositories[reference.where] = {reference.file: CONTENT}
    with pytest.raises(ChecksumMismatch, match="as the catalogue says"):
        store.pull(other)
    assert scope.ranges_asked() == [None]


def test_every_other_source_in_the_catalogue_can_be_read() -> None:
    others = [parse(one) for entry in catalogue() for one in entry.also]
    assert {one.scheme for one in others} == {"modelscope"}
    assert len(others) >= 5
