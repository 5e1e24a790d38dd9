"""A backup taken in the middle of an answer, the machine lost, a new one: keys, answers and bills are all there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from openai import OpenAI

from .conftest import Running, start

pytestmark = pytest.mark.weights


def test_a_backup_taken_while_it_answers_brings_the_house_back(
    own_running: Running, default_models: Path, tmp_path: Path
) -> None:
    key = own_running.ikkan("key", "create", "--name", "customer", "--json")["key"]
    client = OpenAI(base_url=f"{own_running.url}/v1", api_key=key)
    question = [{"role": "user", "content": "Say yes."}]
    before = client.chat.completions.create(model="default", messages=question, max_tokens=4, temperature=0)
    backup = str(tmp_path / "backup.tar")
    stream = client.chat.completions.create(
        model="default", messages=question, max_tokens=60, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    made = own_running.ikkan("backup", backup, "--json")
    assert len(list(stream)) > 20, "the answer went on"
    own_running.stop()
    shutil.rmtree(own_running.home)

    restored = own_running.ikkan("restore", backup, "--json")
    assert restored["witnesses"] == made["witnesses"] and made["witnesses"]["ledger"]["entries"] > 0
    assert [model["aliases"] for model in restored["models_missing"]] == [["default-embed"], ["default"]]
    again = start(own_running.home, default_models)
    try:
        client = OpenAI(base_url=f"{again.url}/v1", api_key=key)
        after = client.chat.completions.create(model="default", messages=question, max_tokens=4, temperature=0)
        assert after.choices[0].message.content == before.choices[0].message.content
        client.post("/feedback", cast_to=object, body={"id": before.id, "kind": "thumb", "value": 1})
        # What was being answered when the backup was taken is given back, not billed by halves.
        assert again.ikkan("meter", "--books", "--json")["sound"]
        assert again.ikkan("flywheel", "status", "assistant.answer", "--json")["champion"]
    finally:
        again.stop()
