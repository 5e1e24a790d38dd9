"""A person who is erased takes their files along, and what learned from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import TenantId

QUESTION: Any = [{"role": "user", "content": "Is it?"}]


async def test_an_erased_persons_files_go_with_the_models_that_learned_from_them(
    client: AsyncOpenAI,
    over: Any,
    upload: Any,
    worker: None,
    cloud: Cloud,
    database: Database,
    events: EventLog,
    home: Path,
) -> None:
    hers = await upload(4, extra_body={"user": "ada@example.com"})
    his = await upload(5, extra_body={"user": "bob@example.com"})
    done = []
    for file in (hers, his):
        made = await client.fine_tuning.jobs.create(model="default", training_file=file)
        done.append(await over(made.id))
    ada = cloud.subjects.pseudonym(TenantId("local"), "ada@example.com")
    with database.transaction() as connection:
        events.erase(connection, LOCAL_TENANT, ada)
        changed = cloud.service.forget(connection, LOCAL_TENANT, ada)
    cloud.freshness.expire()
    assert changed >= 2
    kept = {file.id async for file in client.files.list(purpose="fine-tune")}
    assert kept == {his}
    models = {model.id async for model in client.models.list()}
    assert done[1].fine_tuned_model in models and done[0].fine_tuned_model not in models
    sources = {artifact.manifest.source for artifact in ArtifactStore(home / "artifacts").list("tuned-model")}
    assert sources == {done[1].id}
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model=done[0].fine_tuned_model, messages=QUESTION)
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await upload(1, extra_body={"user": "ada@example.com"})
    assert caught.value.code == "erased_subject" and list((home / "files" / ".staging").iterdir()) == []
