"""Adapters come and go by name while answers go on; a broken one changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.engine.fakes import FakeDecoder
from ikkan.ground.errors import UnknownModel

from .conftest import eventually
from .further import ServedWhole, serving_whole, write_adapter


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedWhole]:
    with serving_whole(tmp_path / "store") as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def load(served: ServedWhole, name: str, path: Path | str, **more: Any) -> Any:
    return served.ask("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path), **more})


def unload(served: ServedWhole, name: str) -> Any:
    return served.ask("/v1/unload_lora_adapter", {"lora_name": name})


def say(served: ServedWhole, model: str, **more: Any) -> Any:
    body = {"model": model, "prompt": "Once upon a time", "temperature": 0, "max_tokens": 12, **more}
    return served.ask("/v1/completions", body)


def test_an_adapter_is_loaded_named_listed_and_unloaded(served: ServedWhole, store: Path) -> None:
    folder = write_adapter(store / "desk")
    plain = say(served, "tiny").json["choices"][0]["text"]
    reply = load(served, "help-desk", folder)
    assert (reply.status, reply.text) == (200, "Success: LoRA adapter 'help-desk' added successfully.")
    listed = {one["id"]: one for one in served.ask("/v1/models").json["data"]}
    assert listed["help-desk"]["parent"] == "tiny" and listed["help-desk"]["root"] == str(folder)
    assert listed["tiny"]["parent"] is None
    assert served.ask("/v1/models/help-desk").json == listed["help-desk"]
    answer = say(served, "help-desk").json
    assert answer["model"] == "help-desk" and answer["choices"][0]["text"] != plain
    assert say(served, "tiny").json["choices"][0]["text"] == plain
    assert unload(served, "help-desk").status == 200
    assert say(served, "help-desk").status == 404
    assert unload(served, "help-desk").status == 404
    assert served.decoder.loaded == {}


def test_a_chat_is_answered_by_the_adapter_it_names(served: ServedWhole, store: Path) -> None:
    load(served, "desk", write_adapter(store / "desk"))
    with served.client() as client:
        messages: Any = [{"role": "user", "content": "hello"}]
        reply = client.chat.completions.create(model="desk", messages=messages, temperature=0)
    assert (reply.model, reply.choices[0].message.content) == ("desk", "hello")


def test_many_adapters_answer_in_one_batch_as_each_alone(served: ServedWhole, store: Path) -> None:
    for number in range(3):
        load(served, f"a{number}", write_adapter(store / str(number), seed=number))
    models = ["a0", "tiny", "a1", "a2"]
    alone = [say(served, one).json["choices"][0]["text"] for one in models]
    together: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda one=one: together.update({one: say(served, one).json["choices"][0]["text"]}))
        for one in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[one] for one in models] == alone
    assert len(set(alone)) == 4


def test_a_taken_name_is_refused_unless_the_new_one_is_to_take_its_place(served: ServedWhole, store: Path) -> None:
    first, second = write_adapter(store / "1"), write_adapter(store / "2", seed=2)
    assert load(served, "desk", first).status == 200
    again = load(served, "desk", second)
    assert again.status == 400 and again.json["error"]["param"] == "lora_name"
    before = say(served, "desk").json["choices"][0]["text"]
    assert load(served, "desk", second, load_inplace=True).status == 200
    assert say(served, "desk").json["choices"][0]["text"] != before
    assert len(served.decoder.loaded) == 1


@pytest.mark.parametrize("name", ["", "tiny", "tiny-embed", "a\nb", "../x y", "n" * 129])
def test_a_name_that_is_none_or_means_something_else_is_refused(name: str, served: ServedWhole, store: Path) -> None:
    assert load(served, name, write_adapter(store / "desk")).status == 400
    assert served.decoder.loaded == {}


def test_a_broken_adapter_is_refused_and_changes_nothing(served: ServedWhole, store: Path) -> None:
    load(served, "desk", write_adapter(store / "good"))
    before = say(served, "desk").json["choices"][0]["text"]
    broken = [
        write_adapter(store / "dora", use_dora=True),
        write_adapter(store / "other", rows=16),
        write_adapter(store / "rank", r=3),
        store / "not-there",
    ]
    cut = write_adapter(store / "cut") / "adapter_model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-4])
    statuses = [load(served, "desk", one, load_inplace=True).status for one in [*broken, cut.parent]]
    assert statuses == [400, 400, 400, 404, 400]
    assert say(served, "desk").json["choices"][0]["text"] == before
    assert len(served.decoder.loaded) == 1


def test_folders_outside_are_refused_alike_whether_they_are_there_or_not(
    served: ServedWhole, store: Path, tmp_path: Path
) -> None:
    outside = write_adapter(tmp_path / "outside")
    store.mkdir(exist_ok=True)
    (store / "link").symlink_to(outside)
    paths = [outside, tmp_path / "nowhere", "/etc", store / ".." / "outside", store / "link", "", "a\0b", "x" * 5000]
    replies = [load(served, "desk", one) for one in paths]
    assert {reply.status for reply in replies} == {403}
    assert len({reply.json["error"]["message"] for reply in replies}) == 1


def test_a_path_may_be_relative_to_an_allowed_folder(served: ServedWhole, store: Path) -> None:
    write_adapter(store / "team" / "desk")
    assert load(served, "desk", "team/desk").status == 200


def test_as_many_as_may_be_are_loaded(served: ServedWhole, store: Path) -> None:
    folder = write_adapter(store / "desk")
    assert [load(served, f"a{number}", folder).status for number in range(5)] == [200] * 4 + [409]
    assert load(served, "a0", folder, load_inplace=True).status == 200


def test_only_this_machine_may_load(served: ServedWhole, store: Path) -> None:
    body = {"lora_name": "desk", "lora_path": str(write_adapter(store / "desk"))}
    far = TestClient(served.app, client=("192.0.2.7", 5000))
    assert far.post("/v1/load_lora_adapter", json=body).status_code == 403
    assert far.post("/v1/unload_lora_adapter", json={"lora_name": "desk"}).status_code == 403


def test_an_answer_ends_with_the_adapter_it_began_with(tmp_path: Path) -> None:
    decoder = FakeDecoder(pace=threading.Semaphore(10_000))
    assert decoder.pace is not None
    with serving_whole(tmp_path, decoder, guess=False) as served:
        first, second = write_adapter(tmp_path / "1"), write_adapter(tmp_path / "2", seed=1)
        load(served, "desk", first)
        whole = say(served, "desk", ignore_eos=True).json["choices"][0]["text"]
        while decoder.pace.acquire(blocking=False):
            pass
        heard: list[Any] = []
        asking = threading.Thread(target=lambda: heard.append(say(served, "desk", ignore_eos=True)))
        calls = len(decoder.calls)
        asking.start()
        decoder.pace.release(3)
        eventually(lambda: len(decoder.calls) == calls + 3)
        assert load(served, "desk", second, load_inplace=True).status == 200
        assert unload(served, "desk").status == 200
        assert len(decoder.loaded) == 1  # the first is still being used
        decoder.pace.release(10_000)
        asking.join()
        assert heard[0].json["choices"][0]["text"] == whole
        eventually(lambda: decoder.loaded == {})


def test_what_was_read_with_an_adapter_is_nobody_elses(served: ServedWhole, store: Path) -> None:
    folder = write_adapter(store / "desk")
    load(served, "desk", folder)

    def cached(model: str) -> int:
        usage = say(served, model, prompt="the same long beginning of a text " * 3).json["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert [cached(one) for one in ("tiny", "desk")] == [0, 0]
    assert min(cached(one) for one in ("tiny", "desk")) > 0
    unload(served, "desk")
    load(served, "desk", folder)
    assert cached("desk") == 0


def test_a_name_is_held_as_often_as_it_is_let_go(tmp_path: Path) -> None:
    with serving_whole(tmp_path) as served:
        shelf = served.shelf
        shelf.load("desk", write_adapter(tmp_path / "desk"))
        held = [shelf.hold("desk") for _ in range(3)]
        assert len({one.identity for one in held}) == 1
        shelf.unload("desk")
        with pytest.raises(UnknownModel):
            shelf.hold("desk")
        for one in held:
            assert len(served.decoder.loaded) == 1
            shelf.let_go(one)
        assert served.decoder.loaded == {}
