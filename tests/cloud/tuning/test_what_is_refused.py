"""What cannot be trained, and what other tenants may not see."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.values import LOCAL_TENANT

QUESTION: Any = [{"role": "user", "content": "Is it?"}]


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"training_file": "file-nobody"}, 404, "training_file"),
        ({"validation_file": "file-nobody"}, 404, "validation_file"),
        ({"model": "nobody"}, 404, None),
        ({"model": "vendor/gpt"}, 400, "model"),
        ({"model": "cheap"}, 400, "model"),
        ({"method": {"type": "dpo"}}, 400, "training_file"),
        ({"method": {"type": "reinforcement"}}, 400, "method.type"),
        ({"suffix": "a b"}, 400, "suffix"),
        ({"seed": -1}, 400, "seed"),
        ({"hyperparameters": {"n_epochs": 0}}, 400, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": "many"}}, 400, "hyperparameters.batch_size"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, 400, "integrations"),
        ({"metadata": {"a": "b" * 600}}, 400, "metadata"),
    ],
    ids=range(13),
)
async def test_what_cannot_be_trained_is_refused_in_words(
    client: AsyncOpenAI, upload: Any, cloud: Cloud, more: dict[str, Any], status: int, param: str | None
) -> None:
    cloud.service.add_upstream("vendor", "http://127.0.0.1:9/v1")
    cloud.service.set_alias("cheap", "vendor/gpt-mini")
    asked = {"model": "default", "training_file": await upload(), **more}
    with pytest.raises(openai.APIStatusError) as caught:
        await client.fine_tuning.jobs.create(**asked)
    assert (caught.value.status_code, caught.value.param) == (status, param)
    assert [job async for job in client.fine_tuning.jobs.list()] == []


async def test_a_budget_that_does_not_reach_is_said_before_anything_begins(
    client: AsyncOpenAI, upload: Any, cloud: Cloud
) -> None:
    file = await upload()
    cloud.service.set_tenant_budget(LOCAL_TENANT, 100)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.fine_tuning.jobs.create(model="default", training_file=file)
    assert caught.value.code == "quota_exhausted"
    assert [job async for job in client.fine_tuning.jobs.list()] == []


async def test_other_tenants_see_and_use_nothing_of_it(
    client: AsyncOpenAI, over: Any, stranger: AsyncOpenAI, upload: Any, worker: None, engine: Any
) -> None:
    file = await upload()
    job = await over((await client.fine_tuning.jobs.create(model="default", training_file=file)).id)
    name = job.fine_tuned_model
    await client.chat.completions.create(model=name, messages=QUESTION)
    (loaded,) = engine.loaded
    assert [one.id async for one in stranger.files.list()] == []
    assert [one.id async for one in stranger.fine_tuning.jobs.list()] == []
    assert not {name, f"local/{loaded}"} & {model.id async for model in stranger.models.list()}
    asked = [
        stranger.files.retrieve(file),
        stranger.files.content(file),
        stranger.files.delete(file),
        stranger.files.content(job.result_files[0]),
        stranger.fine_tuning.jobs.create(model="default", training_file=file),
        stranger.fine_tuning.jobs.retrieve(job.id),
        stranger.fine_tuning.jobs.cancel(job.id),
        stranger.fine_tuning.jobs.list_events(job.id),
        stranger.fine_tuning.jobs.checkpoints.list(job.id),
        stranger.models.retrieve(name),
        stranger.models.delete(name),
        *(
            stranger.chat.completions.create(model=model, messages=QUESTION)
            for model in (name, loaded, f"local/{loaded}", f"local/{name}")
        ),
    ]
    for ask in asked:
        with pytest.raises(openai.NotFoundError):
            await ask
    assert (await client.models.retrieve(name)).id == name
