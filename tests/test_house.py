"""The house rules that no linter knows: signs on doors, whose tables are whose, docs that are true."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import ikkan

SOURCE = Path(ikkan.__file__).parent
HOUSE = SOURCE.parent.parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "versions" not in path.parts)
ROOMS = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))


def _id(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("room", ROOMS, ids=_id)
def test_every_room_has_a_sign_on_its_door(room: Path) -> None:
    sign = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(sign.splitlines()) >= 3, f"{room.name}: say what it is for, what may not enter, where to begin"
    assert "egin" in sign, f"{room.name}: say where to begin reading"


@pytest.mark.parametrize("module", MODULES, ids=_id)
def test_every_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES, ids=_id)
def test_no_module_is_a_drawer(module: Path) -> None:
    assert module.stem not in {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("module", MODULES, ids=_id)
def test_rooms_name_only_their_own_tables(module: Path) -> None:
    rooms = {path.name for path in ROOMS} | {path.parent.name for path in SOURCE.glob("apps/*/__init__.py")}
    owner = module.relative_to(SOURCE).parts[0]
    owners = {owner, *module.relative_to(SOURCE).parts}
    tables = re.findall(r"Table\(\s*\"([a-z]+)_", module.read_text(encoding="utf-8"))
    assert {table for table in tables if table in rooms} <= owners


def test_every_module_imports_alone() -> None:
    for found in pkgutil.walk_packages([str(SOURCE)], "ikkan."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)


@pytest.mark.parametrize(
    "page", [HOUSE / "README.md", HOUSE / "README.ja.md", HOUSE / "ARCHITECTURE.md"], ids=lambda path: path.name
)
def test_paths_named_in_the_readme_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:src|docs|examples|benchmarks|tests|cloud|tools)/[\w./-]*\w)`", page.read_text(encoding="utf-8")
    )
    missing = [name for name in named if not (HOUSE / name).exists() and not (SOURCE / name).exists()]
    assert missing == []


def test_versions_agree() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ikkan.__version__)
    assert "## Unreleased" in (HOUSE / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_decision_shares_a_number() -> None:
    numbers = [path.name[:4] for path in (HOUSE / "docs" / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))
