"""An artifact is what it was when it was put, whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import BadInput, ChecksumMismatch, IkkanError, TruncatedFile, UnknownArtifact
from ikkan.ground.ids import ArtifactId


@pytest.fixture
def store(home: Path) -> ArtifactStore:
    return ArtifactStore(home / "artifacts")


def put(store: ArtifactStore, **changed: Any) -> Any:
    given: dict[str, Any] = {"files": {"a.txt": b"alpha", "deep/b.bin": b"\x00beta"}, "kind": "dataset", "source": "t"}
    return store.put(**(given | changed))


def test_what_is_put_comes_back_with_its_manifest(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(range(256)) * 9000)
    parent = put(store)
    made = store.put(
        {"big.bin": source, "a.txt": b"alpha"},
        kind="model",
        source="job-1",
        licence="Apache-2.0",
        built_from=[parent.id],
        facts={"seed": 7, "score": 0.5},
    )
    found = store.get(made.id)
    assert found == made and found.kind == "model"
    assert (found.manifest.licence, found.manifest.built_from, found.manifest.facts) == (
        "Apache-2.0",
        (parent.id,),
        {"seed": 7, "score": 0.5},
    )
    assert found.manifest.files["big.bin"].bytes == 256 * 9000
    with store.open(made.id, "big.bin") as file:
        assert file.read() == source.read_bytes()
    assert store.verify(made.id) == made


def test_the_id_is_the_content_and_the_kind_and_nothing_else(store: ArtifactStore) -> None:
    first = put(store)
    assert put(store, source="elsewhere", facts={"n": 1}, licence="MIT") == first
    assert put(store, files={"deep/b.bin": b"\x00beta", "a.txt": b"alpha"}).id == first.id
    others = {
        put(store, kind="model").id,
        put(store, files={"a.txt": b"alpha"}).id,
        put(store, files={"a.txt": b"alpha", "deep/c.bin": b"\x00beta"}).id,
        put(store, files={"a.txt": b"alphA", "deep/b.bin": b"\x00beta"}).id,
    }
    assert len(others) == 4 and first.id not in others


@pytest.mark.parametrize(
    "name", ["", ".", "../out", "a/../../out", "/etc/passwd", "a//b", "./a", "a\\b", "a\x00b", "manifest.json"]
)
def test_a_name_that_would_leave_the_folder_is_refused(store: ArtifactStore, name: str, home: Path) -> None:
    with pytest.raises(BadInput):
        store.put({name: b"x"}, kind="k", source="t")
    assert list(home.iterdir()) == []


def test_an_artifact_has_files(store: ArtifactStore) -> None:
    with pytest.raises(BadInput, match="at least one file"):
        store.put({}, kind="k", source="t")


@pytest.mark.parametrize("bad", ["sha256:" + "0" * 64, "sha256:../../../../etc", "nonsense", ""])
def test_an_unknown_id_is_refused(store: ArtifactStore, bad: str) -> None:
    with pytest.raises(UnknownArtifact):
        store.get(ArtifactId(bad))
    with pytest.raises(UnknownArtifact):
        store.open(put(store).id, "no-such-file")


def test_a_put_that_fails_leaves_nothing(store: ArtifactStore, tmp_path: Path, home: Path) -> None:
    with pytest.raises(BadInput, match="cannot read"):
        store.put({"a": b"x", "b": tmp_path / "missing"}, kind="k", source="t")
    assert list(store.list()) == [] and [path.name for path in home.rglob("*")] == ["artifacts", ".staging"]


def test_an_artifact_without_its_manifest_is_not_there(store: ArtifactStore) -> None:
    made = put(store)
    (made.path / "manifest.json").unlink()
    with pytest.raises(UnknownArtifact):
        store.get(made.id)
    assert list(store.list()) == []


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.txt", b"alphA", ChecksumMismatch),
        ("a.txt", b"alpha and more", ChecksumMismatch),
        ("a.txt", b"alp", TruncatedFile),
        ("deep/b.bin", b"", TruncatedFile),
    ],
)
def test_a_changed_file_is_found(store: ArtifactStore, name: str, content: bytes, error: type[IkkanError]) -> None:
    made = put(store)
    overwrite(made.path / name, content)
    with pytest.raises(error, match=name) as caught:
        store.verify(made.id)
    assert caught.value.hint


def test_a_changed_manifest_is_found(store: ArtifactStore) -> None:
    made = put(store)
    path = made.path / "manifest.json"
    overwrite(path, path.read_bytes().replace(b'"dataset"', b'"another"'))
    with pytest.raises(ChecksumMismatch, match="manifest"):
        store.verify(made.id)


def test_files_are_read_only_on_disk(store: ArtifactStore) -> None:
    made = put(store)
    assert all(path.stat().st_mode & 0o222 == 0 for path in made.path.rglob("*") if path.is_file())


def test_listing_by_kind_and_deleting(store: ArtifactStore, home: Path) -> None:
    data, model = put(store), put(store, kind="model")
    assert {artifact.id for artifact in store.list()} == {data.id, model.id}
    assert [artifact.id for artifact in store.list("model")] == [model.id]
    store.delete(data.id)
    store.delete(data.id)
    with pytest.raises(UnknownArtifact):
        store.get(data.id)
    assert [artifact.id for artifact in store.list()] == [model.id]
    assert os.listdir(home / "artifacts" / ".staging") == []  # noqa: PTH208
    assert put(store).id == data.id
