"""Cancelling, failing, listing and paying."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.tuning.fakes import TOKENS_A_STEP, FakeTrainer
from ikkan.ground.errors import BadFile

QUESTION: Any = [{"role": "user", "content": "Is it?"}]


async def test_a_cancelled_training_stops_within_a_step_and_pays_for_what_was_done(
    client: AsyncOpenAI, upload: Any, worker: None, trainer: FakeTrainer, cloud: Cloud, home: Path
) -> None:
    reached, go = threading.Event(), threading.Event()

    def wait(step: int) -> None:
        if step == 3:
            reached.set()
            assert go.wait(30)

    trainer.after_step = wait
    file = await upload()
    job = await client.fine_tuning.jobs.create(model="default", training_file=file, hyperparameters={"n_epochs": 1})
    assert await asyncio.to_thread(reached.wait, 30)
    running = await client.fine_tuning.jobs.retrieve(job.id)
    assert (running.status, running.trained_tokens, running.finished_at) == ("running", None, None)
    assert running.estimated_finish is not None
    with pytest.raises(openai.ConflictError) as caught:
        await client.files.delete(file)
    assert job.id in caught.value.message and "cancel" in caught.value.message

    done = await client.fine_tuning.jobs.cancel(job.id)
    assert (done.status, done.trained_tokens, done.fine_tuned_model) == ("cancelled", 3 * TOKENS_A_STEP, None)
    go.set()
    for _attempt in range(200):
        if not (home / "cache" / "tuning" / job.id).exists():
            break
        await asyncio.sleep(0.02)
    assert trainer.steps == [1, 2, 3, 4], "the step that was under way, and none after it"
    assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "cancelled"
    assert (await client.fine_tuning.jobs.list_events(job.id)).data[0].message == "Fine-tuning job cancelled"
    assert cloud.service.usage(by=())[0].cost_micros == 30 and cloud.service.audit().is_sound
    with pytest.raises(openai.ConflictError):
        await client.fine_tuning.jobs.cancel(job.id)
    await client.files.delete(file)


async def test_a_training_that_fails_says_why_and_costs_nothing(
    client: AsyncOpenAI, tuned: Any, trainer: FakeTrainer, cloud: Cloud
) -> None:
    trainer.failure = BadFile("the loss is not finite", hint="a smaller learning rate", param="training_file")
    job = await tuned()
    assert job.status == "failed" and job.result_files == [] and job.trained_tokens == 0
    assert (job.error.code, job.error.message, job.error.param) == (
        "bad_file",
        "the loss is not finite (a smaller learning rate)",
        "training_file",
    )
    last = (await client.fine_tuning.jobs.list_events(job.id)).data[0]
    assert (last.level, last.message) == ("error", "The job failed: the loss is not finite (a smaller learning rate)")
    assert cloud.service.usage(by=())[0].cost_micros == 0 and cloud.service.audit().is_sound


async def test_jobs_are_listed_in_pages_and_by_metadata(client: AsyncOpenAI, upload: Any) -> None:
    file = await upload(1)
    ids = []
    for number in range(5):
        team = {"team": "ab"[number % 2]}
        made = await client.fine_tuning.jobs.create(model="default", training_file=file, metadata=team)
        ids.append(made.id)
    assert [job.id async for job in client.fine_tuning.jobs.list(limit=2)] == ids[::-1]
    assert [job.id async for job in client.fine_tuning.jobs.list(metadata={"team": "b"})] == [ids[3], ids[1]]
    with pytest.raises(openai.NotFoundError):
        await client.fine_tuning.jobs.list(after="ftjob-nobody")


async def test_a_gateway_that_starts_again_leaves_trainings_their_money(
    client: AsyncOpenAI, upload: Any, cloud: Cloud
) -> None:
    await client.fine_tuning.jobs.create(model="default", training_file=await upload())
    held = cloud.service.tenants()[0].held_micros
    assert held > 0 and cloud.sweep(alone=True) == 0
    assert cloud.service.tenants()[0].held_micros == held
