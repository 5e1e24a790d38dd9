"""One test holds every app to the house rules, ours and those yet to be written."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ikkan.apps
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.kit import App

FILES = ("values", "rules", "store", "service", "routes", "pages", "learn")
NAMES = sorted(module.name for module in pkgutil.iter_modules(ikkan.apps.__path__))


@pytest.fixture
def app(platform: Platform, request: pytest.FixtureRequest) -> App:
    return next(app for app in platform.apps if app.name == request.param)


every_app = pytest.mark.parametrize("app", NAMES, indirect=True)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_house(name: str) -> None:
    room = Path(ikkan.apps.__path__[0]) / name
    missing = [file for file in FILES if not (room / f"{file}.py").exists() and not (room / file).is_dir()]
    assert missing == []


@every_app
def test_its_titles_exist_in_both_languages(app: App) -> None:
    assert {"ja", "en"} <= set(app.title)


@every_app
def test_no_door_opens_without_a_key(app: App, platform: Platform) -> None:
    stranger = TestClient(asgi(platform), client=("203.0.113.9", 5000), follow_redirects=False)
    for path, operations in (app.api.openapi()["paths"] if app.api else {}).items():
        for method in operations:
            reply = stranger.request(method.upper(), f"/a/{app.name}/v1{path}", json={})
            assert reply.status_code in {401, 403}, (method, path, reply.status_code)
    for route in app.pages:
        reply = stranger.get(f"/{app.name}{route.path}".rstrip("/"))
        assert (reply.status_code, reply.headers.get("location", "")[:8]) == (303, "/sign-in")


@every_app
def test_every_event_it_emits_has_a_frozen_sample_per_version(app: App) -> None:
    for kind in app.emits:
        assert len(kind.samples) == kind.version, kind.name


@every_app
def test_every_tool_describes_itself(app: App) -> None:
    for tool in app.tools:
        assert len(tool.description) > 20, tool.name


@every_app
def test_every_loop_has_a_judge_and_something_trivial_to_beat(app: App) -> None:
    for learnable in app.learns:
        assert learnable.name.startswith(f"{app.name}.")
        assert learnable.metric.direction in {"higher", "lower"}
        assert learnable.baselines(), learnable.name


@every_app
def test_it_can_forget_a_person(app: App, platform: Platform) -> None:
    with platform.database.transaction() as connection:
        assert app.erases(connection, "tenant-none", "person-none") == 0


def test_a_new_app_is_green_before_you_type(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("new_app", Path(__file__).parents[2] / "tools" / "new_app.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    sys.modules["new_app"] = tool
    spec.loader.exec_module(tool)
    written = tool.write_app("parking", tmp_path)
    assert {path.stem for path in written} >= {*FILES, "__init__"}
    for path in written:
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
