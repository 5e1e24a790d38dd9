"""What is stored is whole, has a name, and is found by it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ikkan.ground.errors import (
    AlreadyRunning,
    BadFile,
    BadInput,
    ChecksumMismatch,
    Conflict,
    HostileFile,
    TruncatedFile,
    UnknownModel,
)
from ikkan.models import store as room
from ikkan.models.sources import parse
from ikkan.models.store import MANIFEST, ModelStore, catalogue

from .conftest import tiny_gguf

Written = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", hf_endpoint="http://127.0.0.1:1")


@pytest.fixture
def gguf(written: Written) -> Path:
    return written(tiny_gguf().content(), "tiny.gguf")


def test_a_new_store_is_empty_and_writes_nothing(store: ModelStore) -> None:
    assert (store.list(), dict(store.aliases())) == ([], {})
    assert not store.root.exists()


def test_what_was_pulled_is_listed_with_its_facts(store: ModelStore, gguf: Path) -> None:
    model = store.pull(str(gguf), "mine", copy=True)
    assert store.list() == [model] == [store.get("mine")]
    assert (model.bytes, model.source, model.role) == (gguf.stat().st_size, f"file:{gguf}", "chat")
    assert len(model.sha256) == 64
    store.verify("mine")


def test_aliases_lead_to_models_and_survive_a_restart(store: ModelStore, gguf: Path) -> None:
    model = store.pull(str(gguf), "mine")
    store.set_alias("default", "mine")
    again = ModelStore(store.root)
    assert dict(again.aliases()) == {"default": "mine"}
    assert again.get("default") == model
    assert again.resolve("default") == again.resolve("mine") == model.path


def test_an_alias_of_an_alias_means_the_model_itself(store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    store.set_alias("default", "mine")
    store.set_alias("cheap", "default")
    assert store.aliases()["cheap"] == "mine"


def test_a_path_resolves_to_itself(store: ModelStore, gguf: Path) -> None:
    assert store.resolve(gguf) == store.resolve(str(gguf)) == gguf


@pytest.mark.parametrize("name", ["nothing", "", "../models", "/etc", ".pulling", "aliases.json", "x" * 500, "\0"])
def test_an_unknown_name_says_what_there_is(name: str, store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    with pytest.raises(UnknownModel, match="mine"):
        store.get(name)
    with pytest.raises(UnknownModel):
        store.remove(name)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "UPPER", "a b", "-x", "x-", ".x", "日本語", "x" * 81, "aliases.json"]
)
def test_a_name_is_a_plain_word(name: str, store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    with pytest.raises(BadInput):
        store.set_alias(name, "mine")
    with pytest.raises(BadInput):
        store.pull(str(gguf), name or " ")


def test_a_name_is_not_given_twice(store: ModelStore, gguf: Path, written: Written) -> None:
    other = written(tiny_gguf("qwen2").content(), "other.gguf")
    store.pull(str(gguf), "mine")
    store.set_alias("default", "mine")
    for taken in ("mine", "default"):
        with pytest.raises(Conflict):
            store.pull(str(other), taken)
    with pytest.raises(Conflict):
        store.set_alias("mine", "mine")


def test_a_model_in_use_is_not_removed(store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    store.set_alias("default", "mine")
    with pytest.raises(Conflict, match="default"):
        store.remove("mine")
    with pytest.raises(Conflict, match="another name"):
        store.remove("default")
    assert store.get("mine").path.exists()


def test_a_removed_model_is_gone(store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine", copy=True)
    store.remove("mine")
    assert store.list() == []
    assert store.pull(str(gguf), "mine").name == "mine"


def test_two_processes_do_not_pull_the_same_name(store: ModelStore, gguf: Path) -> None:
    (store.root / ".pulling").mkdir(parents=True)
    with (store.root / ".pulling" / "mine.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning):
            store.pull(str(gguf), "mine")
    assert store.pull(str(gguf), "mine").name == "mine"


def test_nothing_is_visible_until_everything_is_there(
    store: ModelStore, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(done: int, total: int) -> None:
        assert store.list() == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.pull(str(gguf), "mine", interrupted)
    assert store.list() == []
    assert store.pull(str(gguf), "mine").path.exists()


def test_nothing_is_left_of_what_was_refused(store: ModelStore, written: Written) -> None:
    bad = written(tiny_gguf(**{"tokenizer.ggml.merges": ("[string]", ["x y"])}).content(), "bad.gguf")
    with pytest.raises(BadFile):
        store.pull(str(bad))
    left = [path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_a_link_whose_file_is_gone_is_named(store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    gguf.unlink()
    with pytest.raises(TruncatedFile, match="gone"):
        store.get("mine")
    store.remove("mine")
    assert store.list() == []


def test_a_changed_file_is_noticed(store: ModelStore, gguf: Path) -> None:
    model = store.pull(str(gguf), "mine", copy=True)
    model.path.write_bytes(model.path.read_bytes()[:-1] + b"!")
    with pytest.raises(ChecksumMismatch):
        store.verify("mine")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": 1}'])
def test_one_damaged_manifest_does_not_hide_the_others(content: str, store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    store.pull(str(gguf), "other")
    (store.root / "other" / MANIFEST).write_text(content)
    assert [model.name for model in store.list()] == ["mine"]
    with pytest.raises(HostileFile):
        store.get("other")


def test_a_manifest_cannot_point_outside(store: ModelStore, gguf: Path) -> None:
    store.pull(str(gguf), "mine")
    path = store.root / "mine" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": "../../secret"}))
    with pytest.raises(HostileFile):
        store.get("mine")


@pytest.mark.parametrize("content", ["", "[]", '{"default": 3}'])
def test_damaged_aliases_are_named(content: str, store: ModelStore) -> None:
    store.root.mkdir()
    (store.root / "aliases.json").write_text(content)
    with pytest.raises(HostileFile):
        store.aliases()


def test_aliases_are_replaced_in_one_step(store: ModelStore, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pull(str(gguf), "mine")
    store.set_alias("default", "mine")

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="space"):
        store.set_alias("cheap", "mine")
    assert dict(store.aliases()) == {"default": "mine"}


def test_every_catalogue_entry_can_be_read_and_is_honest_in_both_languages() -> None:
    assert {entry.role for entry in catalogue()} == {"chat", "embed"}
    for entry in catalogue():
        assert str(parse(entry.source)) == entry.source
        assert room._NAME.fullmatch(entry.name)
        assert entry.licence and entry.bytes > 0 and entry.languages
        assert entry.note_en.isascii()
        assert not entry.note_ja.isascii()


def test_what_the_catalogue_does_not_have_is_answered_with_what_it_has(store: ModelStore) -> None:
    with pytest.raises(UnknownModel, match="catalogue") as caught:
        store.pull("qwen9")
    assert "qwen2.5-0.5b-instruct" in caught.value.hint


def test_a_file_under_a_catalogue_name_must_be_the_one_of_the_catalogue(
    store: ModelStore, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = room.CatalogueEntry("tiny", f"file:{gguf}", "chat", 1, ("en",), "MIT", "small", "小型", sha256="0" * 64)
    monkeypatch.setattr(room, "catalogue", lambda: (entry,))
    with pytest.raises(ChecksumMismatch):
        store.pull("tiny")
    assert store.list() == []
