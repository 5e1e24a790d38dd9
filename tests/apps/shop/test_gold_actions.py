"""Recorded cases of tau2-bench retail: our tools leave the database that the published actions leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ikkan.apps.shop.sample import customers
from ikkan.apps.shop.service import replay, tau
from ikkan.cli import app


@pytest.fixture(scope="module")
def small(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with only the people whom the cases are about: the same cases, a tenth of the rows."""
    found, tasks = tau.read_database(retail / "db.json"), tau.read_tasks(retail / "tasks_train.json")
    people = {tau.owner_of(found, task.actions) for task in tasks}
    kept = {
        **found,
        "users": {name: user for name, user in found["users"].items() if name in people},
        "orders": {name: order for name, order in found["orders"].items() if order["user_id"] in people},
    }
    path = tmp_path_factory.mktemp("retail") / "db.json"
    path.write_text(json.dumps(kept))
    return path


def test_every_case_ends_with_the_same_database(retail: Path, small: Path) -> None:
    told = CliRunner().invoke(
        app, ["shop", "support", "replay", "--tasks", str(retail / "tasks_train.json"), "--db", str(small), "--json"]
    )
    seen = json.loads(told.stdout.splitlines()[-1])
    assert (told.exit_code, seen["tasks"], seen["equal"], seen["equal_by_policy"]) == (0, 74, 74, 74)
    assert seen["writes"] == 119


@pytest.mark.parametrize(("style", "language"), [("piecewise", "ja"), ("full", "zh"), ("raw", "en")])
def test_scripted_customers_are_served_by_the_guide(
    retail: Path, small: Path, style: customers.Style, language: customers.Language
) -> None:
    tasks = tau.read_tasks(retail / "tasks_train.json")[:8]
    with replay.shops(tau.read_database(small)) as shop:
        heard = [customers.serve(task, shop, style=style, language=language) for task in tasks]
    assert [each.task_id for each in heard if not each.passed] == []
