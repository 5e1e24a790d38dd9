"""Trainings on the models page: how far they are, whose they are, and the button that stops one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ikkan.cloud.assembly import Workshop, assemble
from ikkan.cloud.tuning.asking import Asked
from ikkan.cloud.tuning.fakes import FakeTrainer
from ikkan.cloud.tuning.service import TuningService
from ikkan.cloud.tuning.values import Base
from ikkan.cloud.values import LOCAL
from ikkan.console.words import WORDS
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.eventlog import Keys
from ikkan.ground.jobs import Jobs


@pytest.fixture
def service(house: Any, home: Path, tmp_path: Path) -> Any:
    """The house's cloud, joined anew so that it can tune."""
    desk = house.desk
    jobs = Jobs(f"sqlite:///{home}/jobs.db", desk.database)
    workshop = Workshop(
        files_dir=home / "files",
        work_dir=home / "cache",
        upload_bytes=1 << 20,
        artifacts=ArtifactStore(home / "artifacts"),
        jobs=jobs,
        bases={"default": Base("Tiny-1M", "b" * 64)}.get,
        trainer=FakeTrainer(),
    )
    keys = Keys.open(desk.settings.keys_dir)
    cloud = assemble(desk.database, desk.clock, desk.events, keys, workshop=workshop)
    cloud.service.prepare(upstreams={"local": "http://127.0.0.1:9"}, aliases={"default": ["local/default"]})
    object.__setattr__(desk, "cloud", cloud)  # a frozen value, and this test's own
    yield cloud.tuning
    jobs.close()


def begun(service: TuningService, home: Path) -> str:
    said = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Certainly."}]
    (home / "lines.jsonl").write_text(json.dumps({"messages": said}))
    return service.create(LOCAL, Asked("default", service.bring(LOCAL, home / "lines.jsonl").id)).id


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_training_is_shown_until_it_is_over_and_can_be_stopped(
    house: Any, service: TuningService, home: Path, language: str
) -> None:
    job_id = begun(service, home)
    visitor = house.visitor()
    page = visitor.get("/models", headers={"accept-language": language}).text
    assert job_id in page and "Tiny-1M" in page and WORDS["tuning.validating_files"][language] in page
    assert 'hx-get="/models/tuning?lang=' in page and "<progress" in page
    token = page.partition('data-csrf="')[2].partition('"')[0]
    headers = {"accept-language": language, "x-csrf-token": token}
    stopped = visitor.post(f"/models/tuning/{job_id}/cancel", headers=headers)
    assert stopped.status_code == 200 and WORDS["tuning.cancelled"][language] in stopped.text
    assert "hx-get" not in stopped.text and "<button" not in stopped.text
    assert service.job(None, job_id).state == "cancelled"
    assert visitor.post(f"/models/tuning/{job_id}/cancel", headers=headers).status_code == 200


def test_stopping_is_for_administrators_and_takes_a_token(house: Any, service: TuningService, home: Path) -> None:
    job_id = begun(service, home)
    assert house.visitor("user").post(f"/models/tuning/{job_id}/cancel").status_code == 403
    assert house.visitor("user").get("/models/tuning").status_code == 403
    assert house.visitor().post(f"/models/tuning/{job_id}/cancel").status_code == 403
    assert service.job(None, job_id).is_active
