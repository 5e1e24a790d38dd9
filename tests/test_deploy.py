"""What `deploy/` says can be done: its units parse and are hardened alike, its commands exist, its files are there."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from ikkan.cli import app
from ikkan.ground.settings import GIB, Machine, load_settings

HOUSE = Path(__file__).parents[1]
DEPLOY = HOUSE / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
PROGRAM = "/opt/ikkan/.venv/bin/ikkan"


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text(encoding="utf-8"))
    return parser


def require_command(words: list[str]) -> None:
    """The words lead to a command of ours, and it has these options."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        assert rest and rest[0] in command.commands, f"no command: ikkan {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    wrong = [word for word in rest if word.startswith("--") and word not in options]
    assert wrong == [], f"ikkan {' '.join(words)}"


@pytest.mark.parametrize("unit", [*UNITS, *TIMERS], ids=lambda path: path.name)
def test_a_unit_parses_and_says_what_it_is(unit: Path) -> None:
    parsed = read(unit)
    assert parsed["Unit"]["Description"].startswith("ikkan")
    assert set(parsed) <= {"DEFAULT", "Unit", "Service", "Timer", "Install"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_of_ours_as_its_own_user_in_a_home_below_its_folder(unit: Path) -> None:
    service = read(unit)["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program == PROGRAM
    require_command(words)
    assert (service["User"], service["Group"], service["StateDirectory"]) == ("ikkan", "ikkan", "ikkan")
    environ = dict(word.split("=", 1) for word in shlex.split(service["Environment"]))
    machine = Machine(cores=2, cores_reason="test", memory_bytes=8 * GIB, memory_reason="test")
    settings = load_settings(environ, machine=machine)
    # A whole home is renamed into its place, so it cannot be the folder that systemd makes; the list lies beside it.
    assert (settings.home, settings.erasures) == (Path("/var/lib/ikkan/home"), Path("/var/lib/ikkan/home.erased"))
    assert settings.is_loopback and not settings.allow_keyless_loopback


HARDENED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "CapabilityBoundingSet": "", "RestrictSUIDSGID": "yes", "RestrictNamespaces": "yes",
    "SystemCallFilter": "@system-service", "UMask": "0077",
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_every_unit_is_hardened_alike(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    block = re.compile(r"# The same in every unit.*?(?=\n\n|\n\Z)", re.DOTALL)
    assert HARDENED.items() <= dict(read(unit)["Service"]).items()
    assert block.findall(text) == block.findall(UNITS[0].read_text(encoding="utf-8")) != []


def test_no_unit_writes_the_first_key_to_the_journal() -> None:
    starters = [unit for unit in UNITS if unit.name != "ikkan-engine.service"]
    assert {read(unit)["Unit"]["ConditionPathExists"] for unit in starters} == {
        "/var/lib/ikkan/home/keys/master.key"
    }  # fmt: skip


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
def test_a_timer_has_a_unit_to_start(timer: Path) -> None:
    assert timer.with_suffix(".service") in UNITS and read(timer)["Timer"]["OnCalendar"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_agrees(tmp_path: Path) -> None:
    for unit in [*UNITS, *TIMERS]:
        # It wants the program to be there.
        text = unit.read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(str(path) for path in tmp_path.iterdir())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "ikkan" in line]
    assert (done.returncode, complaints) == (0, [])


def commands_in(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    quoted = re.findall(r"`ikkan ([a-z][^`]*)`", text)
    typed = re.findall(r"^as ([^#\n]+)", text, re.MULTILINE)
    contained = re.findall(r"^podman run --rm .*? ikkan ([^#\n]+)", text, re.MULTILINE)
    return [*quoted, *typed, *contained]


@pytest.mark.parametrize("page", sorted(DEPLOY.glob("*.md")), ids=lambda path: path.name)
def test_commands_named_in_the_pages_exist(page: Path) -> None:
    found = commands_in(page)
    assert any(command.startswith("restore") for command in found)
    for command in found:
        require_command(shlex.split(command))


def test_files_named_in_the_pages_exist() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"deploy/[\w./*-]*[\w*]", text):
        assert list(HOUSE.glob(name)), name
    assert set(re.findall(r"ikkan[\w-]*\.(?:service|timer)", text)) <= {path.name for path in [*UNITS, *TIMERS]}


def test_the_containerfile_copies_what_is_there_and_runs_a_command_of_ours() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert [name for name in sources if not (HOUSE / name).exists()] == []
    assert re.search(r"^USER ikkan$", text, re.MULTILINE)
    (command,) = re.findall(r"^CMD \[(.*)\]$", text, re.MULTILINE)
    require_command([word.strip('" ') for word in command.split(",")])
    assert "IKKAN_HOME=/var/lib/ikkan/home" in text and "VOLUME /var/lib/ikkan\n" in text
