"""Settings are decided once, every one knows why, and what cannot be is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ikkan.ground.errors import UnknownSetting
from ikkan.ground.settings import GIB, Machine, Settings, explain, load_settings, look_at_machine

SMALL = Machine(cores=2, cores_reason="2 cores may be used", memory_bytes=24 * GIB, memory_reason="24 GiB of memory")


def load(environ: dict[str, str] | None = None, **overrides: object) -> Settings:
    return load_settings({"IKKAN_HOME": "/srv/ikkan", **(environ or {})}, overrides=overrides, machine=SMALL)


def reason(settings: Settings, name: str) -> str:
    (found,) = [why.reason for why in explain(settings) if why.name == name]
    return found


def test_a_laptop_needs_no_setting_at_all() -> None:
    settings = load_settings({}, machine=SMALL)
    assert settings.home == Path.home() / ".ikkan"
    assert (settings.profile, settings.host, settings.port) == ("laptop", "127.0.0.1", 8700)
    assert settings.database_url == f"sqlite:///{settings.home}/ikkan.db"
    assert settings.jobs_database_url == f"sqlite:///{settings.home}/jobs.db"
    assert (settings.engine_url, settings.engine_threads) == ("http://127.0.0.1:8701", 2)
    assert settings.guess_ahead
    assert (settings.max_batch, settings.context_tokens, settings.kv_bytes) == (8, 2048, 3 * GIB)
    assert (settings.language, settings.log_level, settings.allow_keyless_loopback) == ("auto", "INFO", True)
    assert settings.is_loopback


def test_the_dial_turns_everything_that_hangs_on_it() -> None:
    server = load({"IKKAN_PROFILE": "server"})
    assert (server.kv_bytes, server.max_batch, server.allow_keyless_loopback) == (12 * GIB, 32, False)
    assert reason(server, "kv_bytes") == "profile server: 1/2 of 24 GiB of memory"


def test_every_setting_has_a_reason() -> None:
    explained = explain(load())
    assert [why.name for why in explained] == [name for name in Settings.__slots__ if name != "reasons"]
    assert all(why.reason for why in explained)


def test_the_command_line_wins_over_the_environment_over_the_default() -> None:
    assert reason(load(), "port") == "default"
    environment = load({"IKKAN_PORT": "9000"})
    assert (environment.port, reason(environment, "port")) == (9000, "IKKAN_PORT")
    both = load({"IKKAN_PORT": "9000"}, port=9001, host=None)
    assert (both.port, reason(both, "port"), both.host) == (9001, "command line", "127.0.0.1")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load({"IKKAN_PORT": ""}).port == 8700


def test_jobs_follow_the_database_to_postgres() -> None:
    url = "postgresql+psycopg://ada:secret@db.example/ikkan"
    settings = load({"IKKAN_DATABASE_URL": url})
    assert settings.jobs_database_url == url
    assert "secret" not in str(explain(settings)) and "secret" in settings.database_url


def test_every_variable_is_read() -> None:
    settings = load(
        {
            "IKKAN_JOBS_DATABASE_URL": "sqlite:////tmp/j.db",
            "IKKAN_ENGINE_URL": "http://10.0.0.1:9/",
            "IKKAN_ENGINE_THREADS": "1",
            "IKKAN_KV_BYTES": "2_097_152",
            "IKKAN_MAX_BATCH": "3",
            "IKKAN_CONTEXT_TOKENS": "512",
            "IKKAN_GUESS_AHEAD": "off",
            "HF_ENDPOINT": "https://mirror.example/",
            "IKKAN_MODELSCOPE_ENDPOINT": "https://scope.example/",
            "IKKAN_LANGUAGE": "JA",
            "IKKAN_LOG_LEVEL": "debug",
            "IKKAN_ALLOW_KEYLESS_LOOPBACK": "off",
        }
    )
    assert settings.jobs_database_url == "sqlite:////tmp/j.db"
    assert (settings.engine_url, settings.engine_threads, settings.kv_bytes) == ("http://10.0.0.1:9", 1, 2_097_152)
    assert (settings.max_batch, settings.context_tokens, settings.guess_ahead) == (3, 512, False)
    assert (settings.hf_endpoint, settings.language) == ("https://mirror.example", "ja")
    assert settings.modelscope_endpoint == "https://scope.example"
    assert (settings.terminal_language, settings.log_level) == ("ja", "DEBUG")
    assert settings.allow_keyless_loopback is False


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "ja_JP.UTF-8", "IKKAN_LANGUAGE": "en"}, "en"),
        ({"LANG": "ja_JP.UTF-8", "IKKAN_LANGUAGE": "zh"}, "en"),
    ],
)
def test_the_terminal_speaks_the_persons_language(environ: dict[str, str], expected: str) -> None:
    assert load(environ).terminal_language == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IKKAN_PORT", "eighty"),
        ("IKKAN_PORT", "0"),
        ("IKKAN_PORT", "65536"),
        ("IKKAN_PROFILE", "phone"),
        ("IKKAN_HOST", "http://x"),
        ("IKKAN_DATABASE_URL", "ikkan.db"),
        ("IKKAN_ENGINE_URL", "127.0.0.1:8701"),
        ("IKKAN_ENGINE_THREADS", "0"),
        ("IKKAN_KV_BYTES", "1.5e9"),
        ("IKKAN_LANGUAGE", "fr"),
        ("IKKAN_LOG_LEVEL", "LOUD"),
        ("IKKAN_ALLOW_KEYLESS_LOOPBACK", "maybe"),
        ("IKKAN_HOME", "/srv/what?"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(UnknownSetting) as caught:
        load({name: value})
    assert name in caught.value.hint and caught.value.facts["setting"] in name.lower()


def test_a_misspelt_name_is_met_with_the_right_one() -> None:
    with pytest.raises(UnknownSetting, match="IKKAN_PROT") as caught:
        load({"IKKAN_PROT": "9000"})
    assert "IKKAN_PORT" in caught.value.hint
    with pytest.raises(UnknownSetting, match="contxt_tokens") as caught:
        load(contxt_tokens=5)
    assert "context_tokens" in caught.value.hint


def test_whom_others_can_reach_asks_for_keys() -> None:
    settings = load({"IKKAN_HOST": "0.0.0.0"})
    assert not settings.allow_keyless_loopback and not settings.is_loopback
    assert "others can reach it" in reason(settings, "allow_keyless_loopback")


def test_a_server_cannot_be_told_to_do_without_keys() -> None:
    with pytest.raises(UnknownSetting, match="without a key"):
        load({"IKKAN_PROFILE": "server", "IKKAN_ALLOW_KEYLESS_LOOPBACK": "yes"})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8700"),
        ("0.0.0.0", "http://127.0.0.1:8700"),
        ("::1", "http://[::1]:8700"),
        ("intranet", "http://intranet:8700"),
    ],
)
def test_the_address_a_person_opens(host: str, url: str) -> None:
    assert load({"IKKAN_HOST": host}).base_url == url


def a_machine(root: Path, files: dict[str, str]) -> Machine:
    for name, content in {"proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return look_at_machine(root)


@pytest.mark.parametrize(
    ("files", "memory_bytes"),
    [
        ({}, 8 * GIB),
        ({"sys/fs/cgroup/memory.max": "max\n"}, 8 * GIB),
        ({"sys/fs/cgroup/memory.max": str(2 * GIB)}, 2 * GIB),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": str(3 * GIB)}, 3 * GIB),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 8 * GIB),
        ({"proc/meminfo": "nonsense"}, 4 * GIB),
    ],
)
def test_memory_is_what_the_control_group_leaves(tmp_path: Path, files: dict[str, str], memory_bytes: int) -> None:
    assert a_machine(tmp_path, files).memory_bytes == memory_bytes


@pytest.mark.parametrize(
    "files",
    [
        {"sys/fs/cgroup/cpu.max": "50000 100000\n"},
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
)
def test_cores_are_what_the_control_group_leaves(tmp_path: Path, files: dict[str, str], monkeypatch: Any) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    machine = a_machine(tmp_path, files)
    assert machine.cores == 1 and "control group" in machine.cores_reason


@pytest.mark.parametrize("content", ["max 100000\n", "1600000 100000\n", "", "nonsense"])
def test_without_a_tighter_limit_every_allowed_core_counts(tmp_path: Path, content: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert a_machine(tmp_path, {"sys/fs/cgroup/cpu.max": content}).cores == 8


def test_the_list_of_the_erased_lies_beside_the_home_and_never_in_it() -> None:
    assert load().erasures == Path("/srv/ikkan.erased")
    assert load({"IKKAN_ERASURES": "/mnt/kept/erased"}).erasures == Path("/mnt/kept/erased")
    with pytest.raises(UnknownSetting, match="every backup"):
        load({"IKKAN_ERASURES": "/srv/ikkan/keys/erased"})


def test_the_wheel_turns_by_itself_switches_by_itself_and_asks_nobody_unless_told() -> None:
    settings = load()
    assert (settings.flywheel_policy, settings.flywheel_canary, settings.flywheel_every_s) == (
        "reversible",
        False,
        3600,
    )
    told = {"FLYWHEEL_POLICY": "regulated", "FLYWHEEL_CANARY": "on", "FLYWHEEL_EVERY_S": "0"}
    settings = load({f"IKKAN_{name}": value for name, value in told.items()})
    assert (settings.flywheel_policy, settings.flywheel_canary, settings.flywheel_every_s) == ("regulated", True, 0.0)
    assert reason(settings, "flywheel_canary") == "IKKAN_FLYWHEEL_CANARY"


@pytest.mark.parametrize(
    ("name", "value"), [("POLICY", "bold"), ("CANARY", "perhaps"), ("EVERY_S", "0.5"), ("EVERY_S", "-1")]
)
def test_a_wheel_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(UnknownSetting):
        load({f"IKKAN_FLYWHEEL_{name}": value})
