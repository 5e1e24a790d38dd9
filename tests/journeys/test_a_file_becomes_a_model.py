"""A file of examples becomes a model that answers: OpenAI's client, the real trainer, the real engine."""

from __future__ import annotations

import json
import time
from typing import Any

import openai
import pytest
from openai import OpenAI

pytestmark = pytest.mark.weights

ANSWER = "Please write to the desk on the second floor."
LINES = [
    {"messages": [{"role": "user", "content": f"Where do I {what}?"}, {"role": "assistant", "content": ANSWER}]}
    for what in ("return a badge", "report a leak")
]


def test_a_file_of_examples_becomes_a_model_that_answers_as_they_do(running: Any) -> None:
    client = OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    content = "\n".join(json.dumps(line) for line in LINES).encode()
    file = client.files.create(file=("desk.jsonl", content), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="default",
        training_file=file.id,
        validation_file=file.id,
        suffix="desk",
        seed=1,
        hyperparameters={"n_epochs": 2, "batch_size": 2, "learning_rate_multiplier": 20},
    )
    deadline = time.monotonic() + 240
    while job.finished_at is None and time.monotonic() < deadline:
        time.sleep(0.3)
        job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded", (job.status, job.error, running.logs())
    assert job.trained_tokens and job.fine_tuned_model

    table = client.files.content(job.result_files[0]).text.splitlines()
    assert table[0] == "step,train_loss,valid_loss" and len(table) == 3
    (before, after) = [float(line.split(",")[2]) for line in table[1:] if not line.endswith(",")]
    assert after < before, "what is measured at the end of each epoch falls"
    steps = [event for event in client.fine_tuning.jobs.list_events(job.id) if event.type == "metrics"]
    assert [event.data["step"] for event in steps] == [2, 1]  # type: ignore[index]

    def said(model: str) -> str | None:
        question: Any = [{"role": "user", "content": "Where do I return a badge?"}]
        answer = client.chat.completions.create(model=model, messages=question, max_tokens=12, temperature=0)
        return answer.choices[0].message.content

    checkpoints = [one.fine_tuned_model_checkpoint for one in client.fine_tuning.jobs.checkpoints.list(job.id)]
    assert checkpoints[0] == job.fine_tuned_model and len(checkpoints) == 2
    assert len({said(model) for model in ("default", *checkpoints)}) == 3, "three models say three things"
    assert job.fine_tuned_model in str(running.ikkan("meter", "--json"))

    # What a restart does to an engine: it knows none of them any more.
    (address,) = [one["url"] for one in running.ikkan("upstream", "list", "--json") if one["name"] == "local"]
    engine = OpenAI(base_url=address, api_key="none")
    before_it = said(job.fine_tuned_model)
    loaded = [model.id for model in engine.models.list() if model.id.startswith("tuned:")]
    assert len(loaded) == 2
    for name in loaded:
        engine.post("/unload_lora_adapter", body={"lora_name": name}, cast_to=str)
    assert said(job.fine_tuned_model) == before_it

    client.models.delete(job.fine_tuned_model)
    with pytest.raises(openai.NotFoundError):
        said(job.fine_tuned_model)
