"""People edit what the model wrote; a turn of the wheel later it writes so itself, and a rollback takes that back."""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta
from typing import Any

import pytest

from ikkan.apps.assistant import store
from ikkan.apps.assistant.learn.reply_style.learnable import ReplyStyleLearnable
from ikkan.apps.assistant.learn.reply_style.made import house, made
from ikkan.apps.assistant.learn.reply_style.world import PLAN
from ikkan.apps.assistant.values import REPLY_STYLE
from ikkan.bootstrap.platform import Platform, build
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.flywheel import Flywheel
from ikkan.flywheel.contract import Budget
from ikkan.flywheel.gate import Terms
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId
from ikkan.ground.settings import load_settings

pytestmark = [pytest.mark.weights, pytest.mark.timeout(900)]

PEOPLE = 64
SMALL = Budget(seconds=64.0, examples=32)


def record(platform: Platform) -> str:
    """So many people ask something and edit the answer; returns a question like theirs."""
    rows = [row for row in made(PEOPLE * 2) if row.question.isascii()][: PEOPLE + 1]
    now = platform.clock.now() - timedelta(hours=2)
    events = []
    for number, row in enumerate(rows[:PEOPLE]):
        at, who, id = now + timedelta(minutes=number), SubjectId(f"person-{number}"), f"chatcmpl-edit-{number}"
        said = {
            "request_id": id,
            "model": "assistant",
            "question": row.question,
            "answer": "No.",
            "facts": {"source": "model"},
        }
        after = {"inference_id": id, "kind": "edit", "before": "No.", "after": house(row.question, row.answer)}
        events.append(NewEvent("InferenceServed", 1, LOCAL_TENANT, who, at, SERVICE, said))
        events.append(NewEvent("FeedbackGiven", 1, LOCAL_TENANT, who, at + timedelta(seconds=5), SERVICE, after))
    with platform.database.transaction() as connection:
        platform.events.append(connection, *events)
    return rows[PEOPLE].question


def test_what_people_edit_is_how_the_next_answer_is_written_until_it_is_rolled_back(own_running: Any) -> None:
    pytest.importorskip("torch", reason="training is not installed: pip install 'ikkan[train]'")
    platform = build(load_settings({"IKKAN_HOME": str(own_running.home)}))
    (declared,) = [each for app in platform.apps for each in app.learns if isinstance(each, ReplyStyleLearnable)]
    # Few steps that go far: what a house learns in a week from hundreds of edits, a test has to learn from 32.
    with platform.database.read() as connection:
        known = tuple(store.all_of(connection, LOCAL_TENANT))
    learnables = [ReplyStyleLearnable(lambda: known, declared.base, plan=PLAN)]
    wheel = Flywheel(
        platform.database,
        platform.events.reader(),
        platform.registry,
        platform.artifacts,
        learnables,
        platform.clock,
        terms=Terms(fewest_judges=15),
        budget=SMALL,
    )
    question = record(platform)

    def ask() -> tuple[str, str | None]:
        wanted: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": question}]}
        wanted |= {"max_tokens": 24, "temperature": 0}
        request = urllib.request.Request(
            f"{own_running.url}/v1/chat/completions",
            json.dumps(wanted).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            said = json.load(reply)
        return said["choices"][0]["message"]["content"], said["ikkan"].get("style")

    plain = ask()
    assert plain[1] is None
    decision = wheel.run(REPLY_STYLE)
    assert decision.decision == "promoted", (decision.reasons["en"], decision.numbers)
    taught = ask()
    assert taught[1] == decision.candidate
    assert taught[0] != plain[0] and taught[0].startswith("Dear "), taught

    # What a restart does to an engine: it knows no adapter any more.
    (address,) = [one["url"] for one in own_running.ikkan("upstream", "list", "--json") if one["name"] == "local"]
    with urllib.request.urlopen(f"{address}/models", timeout=30) as reply:
        loaded = [one["id"] for one in json.load(reply)["data"] if one["id"].startswith("tuned:")]
    assert len(loaded) == 1
    forget = urllib.request.Request(
        f"{address}/unload_lora_adapter",
        json.dumps({"lora_name": loaded[0]}).encode(),
        {"content-type": "application/json"},
    )
    urllib.request.urlopen(forget, timeout=30).close()
    assert ask() == taught

    wheel.rollback(REPLY_STYLE, "as it was")
    assert ask() == plain
    platform.jobs.close()
    platform.database.close()
