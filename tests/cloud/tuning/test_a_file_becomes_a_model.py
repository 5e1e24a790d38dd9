"""A training as the unmodified `openai` client asks for it, and the model that comes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.tuning.fakes import TOKENS_A_STEP, FakeTrainer
from ikkan.cloud.tuning.values import Base

QUESTION: Any = [{"role": "user", "content": "Is it?"}]


async def test_a_file_becomes_a_model_that_answers(
    client: AsyncOpenAI, over: Any, upload: Any, worker: None, cloud: Cloud, trainer: FakeTrainer, engine: Any
) -> None:
    training, validation = await upload(), await upload(3)
    made = await client.fine_tuning.jobs.create(
        model="default",
        training_file=training,
        validation_file=validation,
        suffix="Help.desk",
        seed=5,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}},
        metadata={"team": "support"},
    )
    assert made.id.startswith("ftjob-") and made.fine_tuned_model is None and made.trained_tokens is None
    assert made.organization_id == "local" and made.metadata == {"team": "support"}
    job = await over(made.id)
    assert (job.status, job.error) == ("succeeded", None)
    assert job.fine_tuned_model == f"ft:Tiny-1M:local:Help.desk:{made.id.replace('-', '')[-8:]}"
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size, job.seed) == (2, 2, 5)
    assert job.trained_tokens == 20 * TOKENS_A_STEP

    (base, examples, held_back, recipe) = trainer.trained[0]
    assert (base.name, len(examples), len(held_back), recipe.seed) == ("Tiny-1M", 20, 3, 5)

    events = [event async for event in client.fine_tuning.jobs.list_events(made.id, limit=7)]
    assert events[0].message == "The job has successfully completed"
    assert [event.message for event in events[-3:]] == [
        "Fine-tuning job started",
        "Files validated, moving job to queued state",
        f"Created fine-tuning job: {made.id}",
    ]
    metrics = [event for event in events if event.type == "metrics"][::-1]
    assert [event.data["step"] for event in metrics] == list(range(1, 21))  # type: ignore[index]
    assert metrics[0].data["train_loss"] == 2.0  # type: ignore[index]
    assert len({event.id for event in events}) == len(events)

    (table,) = job.result_files
    lines = (await client.files.content(table)).text.splitlines()
    assert lines[0] == "step,train_loss,valid_loss" and lines[1] == "1,2.0," and lines[20] == "20,0.1,0.6"
    assert (await client.files.retrieve(table)).purpose == "fine-tune-results"

    last, first = [one async for one in client.fine_tuning.jobs.checkpoints.list(made.id, limit=1)]
    assert (last.fine_tuned_model_checkpoint, last.step_number) == (job.fine_tuned_model, 20)
    assert first.fine_tuned_model_checkpoint == f"{job.fine_tuned_model}:ckpt-step-10"
    assert (first.metrics.train_loss, first.metrics.valid_loss) == (0.2, 0.7)

    for name, step in ((job.fine_tuned_model, 20), (first.fine_tuned_model_checkpoint, 10)):
        answers = await asyncio.gather(
            *(client.chat.completions.create(model=name, messages=QUESTION) for _ in range(5))
        )
        assert {answer.choices[0].message.content.rpartition(" ")[2] for answer in answers} == {str(step)}  # type: ignore[union-attr]
        assert answers[0].model == name
    assert len(engine.loads) == 2, "each is loaded once, however many ask"

    line = next(line for line in cloud.service.usage(by=("endpoint",)) if line.endpoint == "fine_tuning")
    assert (line.requests, line.input_tokens, line.cost_micros) == (1, 200, 200)
    assert cloud.service.audit().is_sound


async def test_an_engine_that_started_again_is_given_the_adapter_again(
    client: AsyncOpenAI, tuned: Any, engine: Any
) -> None:
    job = await tuned()
    await client.chat.completions.create(model=job.fine_tuned_model, messages=QUESTION)
    engine.loaded.clear()
    again = await client.chat.completions.create(model=job.fine_tuned_model, messages=QUESTION)
    assert again.choices[0].message.content and len(engine.loads) == 2


async def test_a_full_engine_makes_room(client: AsyncOpenAI, over: Any, upload: Any, worker: None, engine: Any) -> None:
    file = await upload(2)
    names = []
    for seed in range(2):
        job = await client.fine_tuning.jobs.create(model="default", training_file=file, seed=seed)
        names.append((await over(job.id)).fine_tuned_model)
    engine.most = 1
    for name in [*names, names[0]]:
        await client.chat.completions.create(model=name, messages=QUESTION)
    assert len(engine.loads) == 3 and len(engine.loaded) == 1


async def test_preferences_are_learned_by_dpo(
    client: AsyncOpenAI, over: Any, preferences: list[Any], upload: Any, worker: None, trainer: FakeTrainer
) -> None:
    job = await client.fine_tuning.jobs.create(
        model="local/default",
        training_file=await upload(8, preferences),
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3, "n_epochs": 1, "learning_rate_multiplier": 2}}},
    )
    done = await over(job.id)
    assert done.status == "succeeded" and done.method.type == "dpo"
    assert done.method.dpo.hyperparameters.beta == 0.3
    (_, examples, _, recipe) = trainer.trained[0]
    assert (recipe.method, recipe.beta, recipe.learning_rate_multiplier) == ("dpo", 0.3, 2.0)
    assert (examples[0].answer, examples[0].rejected) == ("Certainly.", "No.")


async def test_a_deleted_model_is_gone_from_here_and_from_the_engine(
    client: AsyncOpenAI, tuned: Any, engine: Any, home: Path, until: Any
) -> None:
    job = await tuned()
    name = job.fine_tuned_model
    assert name in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(name)).owned_by == "local"
    await client.chat.completions.create(model=name, messages=QUESTION)
    before = len(list((home / "artifacts").glob("??/*")))
    gone = await client.models.delete(name)
    assert (gone.id, gone.deleted) == (name, True)
    for ask in (client.models.retrieve(name), client.chat.completions.create(model=name, messages=QUESTION)):
        with pytest.raises(openai.NotFoundError):
            await ask
    assert len(list((home / "artifacts").glob("??/*"))) == before - 1
    await until(lambda: not engine.loaded)
    with pytest.raises(openai.PermissionDeniedError):
        await client.models.delete("default")
    with pytest.raises(openai.NotFoundError):
        await client.models.delete("nobody/knows")


async def test_an_engine_that_serves_another_model_now_is_not_given_the_adapter(
    client: AsyncOpenAI, tuned: Any, served: dict[str, Base], engine: Any
) -> None:
    job = await tuned()
    served["default"] = Base("Other-2M", "c" * 64)
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model=job.fine_tuned_model, messages=QUESTION)
    assert "Tiny-1M" in caught.value.message and "Other-2M" in caught.value.message and not engine.loads
