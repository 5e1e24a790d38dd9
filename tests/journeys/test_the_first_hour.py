"""The promise of the first hour: the unmodified `openai` client, the ledger, and the wheel, on a real platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from .conftest import Running

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.weights


def test_the_first_hour_example_runs_as_printed(own_running: Running) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "first_hour.py"), "--url", own_running.url],
        env=own_running.environ,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr + own_running.logs()
    told = done.stdout
    assert "promoted:" in told
    # The two corrections of the example are answered right once the wheel has turned.
    after = told.partition("6. turning the wheel")[2]
    assert "情報システム係(内線 2210)" in after
    assert "general affairs trainee" in after
    assert "7. the ledger:" in told


def test_what_the_client_is_told_is_what_the_ledger_holds(running: Running) -> None:
    client = OpenAI(base_url=f"{running.url}/v1", api_key=_key(running, "ledger"))
    usages = [
        client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": f"Count to {n}."}], max_tokens=12, temperature=0
        ).usage
        for n in (3, 5)
    ]
    line = next(line for line in running.ikkan("meter", "--json")["lines"] if line["key"] == "ledger")
    assert line["requests"] == 2
    assert line["input_tokens"] == sum(usage.prompt_tokens for usage in usages if usage)
    assert line["output_tokens"] == sum(usage.completion_tokens for usage in usages if usage)


def test_rolling_back_brings_the_old_answers_back_at_the_next_request(own_running: Running) -> None:
    client = OpenAI(base_url=f"{own_running.url}/v1", api_key="keyless")
    question = "Who waters the plants on the third floor?"

    def ask() -> str:
        reply = client.chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": question}], max_tokens=24, temperature=0
        )
        ids.append(reply.id)
        return reply.choices[0].message.content or ""

    ids: list[str] = []
    before = ask()
    client.post(
        "/feedback", cast_to=object, body={"id": ids[0], "kind": "edit", "before": before, "after": "Aya does."}
    )
    decision = own_running.ikkan("flywheel", "run", "assistant.answer", "--json")
    assert decision["decision"] == "promoted", decision
    assert ask() == "Aya does."
    own_running.ikkan("flywheel", "rollback", "assistant.answer", "--json")
    assert ask() == before


def test_shuffled_corrections_are_refused_and_change_nothing(running: Running) -> None:
    champion = running.ikkan("flywheel", "status", "assistant.answer", "--json")["champion"]
    decision = running.ikkan("sample", "shuffle", "--json")
    assert decision["decision"] == "refused"
    assert running.ikkan("flywheel", "status", "assistant.answer", "--json")["champion"] == champion


def _key(running: Running, name: str) -> str:
    return str(running.ikkan("key", "create", "--name", name, "--json")["key"])
