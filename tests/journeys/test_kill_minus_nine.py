"""`kill -9` in the middle of a streamed answer: what was acknowledged is kept, everything comes back, money adds up."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from openai import APIError, OpenAI

from .conftest import Running, start

pytestmark = pytest.mark.weights


def stream_until_killed(running: Running, victim: str) -> tuple[int, str]:
    """Start a long streamed answer, kill one process in the middle; returns chunks seen and the key's name."""
    name = f"killed-{victim}"
    key = running.ikkan("key", "create", "--name", name, "--json")["key"]
    client = OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0)
    seen = 0
    try:
        for chunk in client.chat.completions.create(
            model="default",
            messages=[{"role": "user", "content": "Tell a very long story about a harbour."}],
            max_tokens=400,
            temperature=0,
            stream=True,
            extra_body={"ignore_eos": True},
        ):
            seen += bool(chunk.choices and chunk.choices[0].delta.content)
            if seen == 8:
                os.kill(running.state()["processes"][victim]["pid"], signal.SIGKILL)
    except (APIError, OSError):
        pass
    except Exception as error:
        # The client's transport has its own names for a connection that died under it.
        assert "httpx" in type(error).__module__, error
    return seen, name


def entries_balance(running: Running) -> dict[str, Any]:
    books = running.ikkan("meter", "--books", "--json")
    assert (books["unbalanced"], books["drifted"], books["unpaired"]) == ([], [], [])
    assert books["sound"]
    return dict(books)


@pytest.mark.parametrize("victim", ["engine", "worker", "gateway"])
def test_whatever_is_killed_comes_back_and_the_books_balance(own_running: Running, victim: str) -> None:
    before = own_running.state()["processes"][victim]["pid"]
    client = OpenAI(base_url=f"{own_running.url}/v1", api_key="keyless")
    acknowledged = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Say yes."}], max_tokens=4, temperature=0
    )
    seen, name = stream_until_killed(own_running, victim)
    assert seen >= 8
    own_running.wait_until_ready()
    deadline = time.monotonic() + 60
    while own_running.state()["processes"][victim]["pid"] == before:
        assert time.monotonic() < deadline, "it did not come back"
        time.sleep(0.3)
    own_running.wait_until_ready()

    client.post("/feedback", cast_to=object, body={"id": acknowledged.id, "kind": "thumb", "value": 1})
    again = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Say yes."}], max_tokens=4, temperature=0
    )
    assert again.choices[0].message.content == acknowledged.choices[0].message.content
    entries_balance(own_running)
    lines = {line["key"]: line for line in own_running.ikkan("meter", "--json")["lines"]}
    # Either what was sent before the kill is billed, or the whole attempt is given back: never half of it.
    assert lines[name]["requests"] + lines[name]["failed"] == 1


def test_after_the_whole_house_is_killed_a_new_start_brings_everything_back(own_running: Running) -> None:
    client = OpenAI(base_url=f"{own_running.url}/v1", api_key="keyless")
    answer = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Say yes."}], max_tokens=4, temperature=0
    )
    client.post("/feedback", cast_to=object, body={"id": answer.id, "kind": "edit", "before": "", "after": "Yes."})
    pids = [process["pid"] for process in own_running.state()["processes"].values()]
    own_running.process.kill()
    own_running.process.wait(10)
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "children outlived their supervisor"
        time.sleep(0.1)

    again = start(own_running.home, own_running.home / "models")
    try:
        status = again.ikkan("flywheel", "status", "assistant.answer", "--json")
        assert status["champion"]
        entries_balance(again)
        found = OpenAI(base_url=f"{again.url}/v1", api_key="keyless").post(
            "/feedback", cast_to=object, body={"id": answer.id, "kind": "thumb", "value": 1}
        )
        assert found
    finally:
        again.stop()


def test_a_second_up_in_the_same_home_says_who_is_there(running: Running) -> None:
    told = running.ikkan("up", check=False)
    assert str(running.process.pid) in told
    assert "already" in told


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
