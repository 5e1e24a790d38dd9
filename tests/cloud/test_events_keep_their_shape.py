"""Every version of every event ever written can still be made, field by field, as its frozen sample has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ikkan.cloud.events import Feedback, Served, feedback_given, file_uploaded, inference_served
from ikkan.cloud.tuning.values import Contents, StoredFile
from ikkan.cloud.values import Usage
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId, TenantId

SAMPLES = Path(__file__).with_name("event_samples")
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
TENANT, SUBJECT = TenantId("local"), SubjectId("s-0123456789abcdef")

served = inference_served(
    TENANT,
    SUBJECT,
    AT,
    Served(
        request_id="chatcmpl-0190d3c0-0000-7000-8000-000000000000",
        endpoint="chat",
        model="assistant",
        upstream="engine",
        upstream_model="smollm2-135m-instruct",
        question="経費精算の締め日は?",
        answer="毎月25日です。",
        finish_reason="stop",
        usage=Usage(40, 16, 9),
        cost_micros=58,
        currency="JPY",
        latency_ms=812.5,
        first_token_ms=95.25,
        facts={"source": "knowledge", "knowledge_id": "k-12", "confidence": 0.93},
    ),
)
given = feedback_given(
    TENANT,
    SUBJECT,
    AT,
    Feedback(
        inference_id="chatcmpl-0190d3c0-0000-7000-8000-000000000000",
        kind="edit",
        before="毎月25日です。",
        after="毎月20日です。",
    ),
    actor="key:abcdefghijkl",
)


uploaded = file_uploaded(
    StoredFile(
        id="file-0190d3c0-0000-7000-8000-000000000000",
        tenant_id=TENANT,
        subject_id=SUBJECT,
        filename="窓口.jsonl",
        purpose="fine-tune",
        bytes=5_120,
        sha256="ab" * 32,
        contents=Contents("chat", 40, 9_000),
        created_at=AT,
    )
)


@pytest.mark.parametrize("event", [served, given, uploaded], ids=lambda event: event.name)
def test_an_event_is_written_as_its_sample_says(event: NewEvent) -> None:
    sample = json.loads((SAMPLES / f"{event.name}.v{event.version}.json").read_text(encoding="utf-8"))
    assert event.payload == sample
    assert event.purpose == "service"


def test_every_sample_has_its_event() -> None:
    known = {f"{event.name}.v{event.version}.json" for event in (served, given, uploaded)}
    assert {path.name for path in SAMPLES.iterdir()} == known
