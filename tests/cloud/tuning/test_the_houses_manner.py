"""An answer that is wanted with an adapter gets it where the upstream can load it, and is an answer where not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.tables import meter
from ikkan.cloud.tuning.values import Base
from ikkan.cloud.upstreams.mannered import MANNER
from ikkan.cloud.values import LOCAL, ChatRequest, Manner
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.ids import ArtifactId

ASKED = [{"role": "user", "content": "Hello?"}]


@pytest.fixture
def made(home: Any) -> ArtifactId:
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"politely"}
    return ArtifactStore(home / "artifacts").put(files, kind="style", source="test").id


@pytest.fixture
async def open_cloud(cloud: Cloud) -> AsyncIterator[Cloud]:
    yield cloud
    await cloud.close()


async def ask(cloud: Cloud, manner: Manner | None, model: str = "default", stream: bool = False) -> tuple[str, Any]:
    request = ChatRequest(model, ASKED, manner=manner, stream=stream)
    async with aclosing(cloud.pipeline.chat(LOCAL, request)) as chunks:
        said = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in said), said[-1].facts.get(MANNER)


async def test_an_adapter_is_loaded_once_and_the_answer_says_that_it_wrote_it(
    open_cloud: Cloud, engine: Any, made: ArtifactId
) -> None:
    manner = Manner(made, "Tiny-1M")
    assert await ask(open_cloud, manner) == ("politely", made)
    assert await ask(open_cloud, manner) == ("politely", made)
    assert len(engine.loads) == 1
    assert await ask(open_cloud, None) == ("nothing", None)
    with open_cloud.database.read() as connection:
        rows = connection.execute(sa.select(meter.c.upstream, meter.c.upstream_model)).all()
    assert set(rows) == {("local", "default")}, "it is metered under the model's own name"


async def test_an_engine_that_started_again_is_given_it_again(open_cloud: Cloud, engine: Any, made: ArtifactId) -> None:
    await ask(open_cloud, Manner(made, "Tiny-1M"))
    engine.loaded.clear()
    assert await ask(open_cloud, Manner(made, "Tiny-1M")) == ("politely", made)


async def test_an_engine_that_serves_another_model_answers_without(
    open_cloud: Cloud, engine: Any, made: ArtifactId, served: dict[str, Base], caplog: pytest.LogCaptureFixture
) -> None:
    served["default"] = Base("Other-2M", "c" * 64)
    assert await ask(open_cloud, Manner(made, "Tiny-1M")) == ("nothing", None)
    assert "without the house's adapter" in caplog.text
    caplog.clear()
    assert await ask(open_cloud, Manner(made, "Tiny-1M")) == ("nothing", None)
    assert "adapter" not in caplog.text, "it rests for a while"


async def test_an_adapter_that_cannot_be_read_is_answered_without(open_cloud: Cloud, engine: Any) -> None:
    gone = ArtifactId("sha256:" + "0" * 64)
    assert await ask(open_cloud, Manner(gone, "Tiny-1M")) == ("nothing", None)
    assert engine.loads == []


async def test_a_vendor_that_loads_no_adapters_is_asked_plainly(
    open_cloud: Cloud, engine: Any, made: ArtifactId
) -> None:
    open_cloud.service.add_upstream("vendor", engine.url)
    assert await ask(open_cloud, Manner(made, "Tiny-1M"), "vendor/default") == ("nothing", None)
    assert engine.loads == []
