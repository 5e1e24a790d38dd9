"""What we believe about a machine, read from files that a test wrote; and one short look at the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ikkan.silicon import device
from ikkan.silicon.device import Cache, DeviceProfile

GIB = 2**30

PROFILE = DeviceProfile(
    processor="A Processor",
    cores=2,
    threads=2,
    instruction_sets=("avx2", "avx512vnni"),
    memory_bytes=24 * GIB,
    memory_available_bytes=20 * GIB,
    caches=(Cache(1, "data", 32768, 1), Cache(3, "unified", 32 * 2**20, 2)),
    read_gb_s=20.0,
    int8_tops=1.0,
    kernel_path="avx512vnni",
    measured_at=datetime(2026, 6, 1, 12, tzinfo=UTC),
)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Path]:
    """Writes files below a root: `machine({"proc/meminfo": ...})`."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


EIGHT = {"proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-3,8,10-12\n"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "500000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (  # inside a container the group's own path is not mounted: its limits stand at the top
            {
                "proc/self/cgroup": "5:cpu:/docker/x\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"proc/self/cgroup": "nonsense\n0::/../..\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, 8),
    ],
    ids=[
        "affinity alone",
        "no limit",
        "two and a half",
        "a tenth",
        "the parent's limit",
        "the smallest of all",
        "version 1",
        "version 1 in a container",
        "version 1 without limit",
        "unreadable",
    ],
)
def test_cores_are_what_affinity_and_control_groups_leave(
    machine: Callable[..., Path], files: dict[str, str], cores: int
) -> None:
    assert device.cores_allowed(machine(EIGHT | files)) == cores


def test_a_machine_that_tells_nothing_has_at_least_one_core_and_no_special_instructions(tmp_path: Path) -> None:
    assert device.cores_allowed(tmp_path) >= 1
    assert device.instruction_sets(tmp_path) == ()
    assert device.caches(tmp_path) == ()
    assert device.processor_name(tmp_path)
    total, free = device._memory(tmp_path)
    assert 0 < free <= total


MEMORY = {"proc/meminfo": f"MemTotal:       {8 * 2**20} kB\nMemAvailable:   {6 * 2**20} kB\n"}


@pytest.mark.parametrize(
    ("files", "total", "free"),
    [
        ({}, 8, 6),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8, 6),
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/a/memory.current": f"{3 * GIB}\n",
                "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {2 * GIB}\n",
            },
            4,
            3,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory/x/memory.usage_in_bytes": f"{1 * GIB}\n",
            },
            2,
            1,
        ),
        (
            {"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
            8,
            6,
        ),
    ],
    ids=["the machine's", "no limit", "version 2", "version 1", "version 1 without limit"],
)
def test_memory_is_what_the_control_group_grants_of_it(
    machine: Callable[..., Path], files: dict[str, str], total: int, free: int
) -> None:
    assert device._memory(machine(MEMORY | files)) == (total * GIB, free * GIB)


def test_instruction_sets_and_names_come_from_the_kernel(machine: Callable[..., Path]) -> None:
    root = machine(
        {"proc/cpuinfo": "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n"}
    )
    assert device.instruction_sets(root) == ("avx2", "avx512vnni", "amx-int8")
    assert device.processor_name(root) == "Some CPU @ 2 GHz"


def test_an_arm_processor_is_understood(machine: Callable[..., Path]) -> None:
    root = machine({"proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm sve\n"})
    assert device.instruction_sets(root) == ("neon", "dotprod", "i8mm", "sve")


def test_caches_are_listed_from_the_nearest(machine: Callable[..., Path]) -> None:
    here = "sys/devices/system/cpu/cpu0/cache"
    root = machine(
        {
            f"{here}/index0/level": "3\n",
            f"{here}/index0/type": "Unified\n",
            f"{here}/index0/size": "32M\n",
            f"{here}/index0/shared_cpu_list": "0-7\n",
            f"{here}/index1/level": "1\n",
            f"{here}/index1/type": "Data\n",
            f"{here}/index1/size": "48K\n",
            f"{here}/index1/shared_cpu_list": "0\n",
            f"{here}/index2/level": "broken\n",
        }
    )
    assert device.caches(root) == (Cache(1, "data", 49152, 1), Cache(3, "unified", 32 * 2**20, 8))


def test_a_profile_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "home" / "device.json"
    device.save(PROFILE, path)
    assert device.load(path) == PROFILE
    device.save(replace(PROFILE, cores=1), path)
    assert device.load(path) == replace(PROFILE, cores=1)
    assert [one.name for one in path.parent.iterdir()] == ["device.json"]


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b"{}", b'{"processor": 3}'])
def test_a_profile_that_cannot_be_read_is_no_profile(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.json"
    assert device.load(path) is None
    path.write_bytes(content)
    assert device.load(path) is None


def test_a_profile_of_a_later_version_is_read_as_far_as_we_know_it(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    device.save(PROFILE, path)
    path.write_text(path.read_text().replace("{", '{"quantum_tops": 1,', 1))
    assert device.load(path) == PROFILE


def test_the_roof_is_the_lower_of_the_two_limits() -> None:
    roof = device.roofline(PROFILE)
    left, ridge, right = roof.line
    assert ridge.operations_per_byte == 50.0 and ridge.gops == right.gops == 1000.0
    assert left.gops == left.operations_per_byte * PROFILE.read_gb_s
    assert left.operations_per_byte < ridge.operations_per_byte < right.operations_per_byte
    for mark in roof.marks:
        assert mark.gops == min(1000.0, mark.operations_per_byte * 20.0)


def test_one_token_waits_for_memory_and_a_prompt_for_arithmetic() -> None:
    limits = {mark.name: mark.limit for mark in device.roofline(PROFILE).marks}
    assert limits == {
        "Q4_0, one token": "memory",
        "Q8_0, one token": "memory",
        "Q4_0, prompt, 64 tokens": "arithmetic",
        "Q8_0, prompt, 64 tokens": "arithmetic",
    }
    one = device.roofline(PROFILE).marks[0]
    assert one.tokens_s_per_billion == pytest.approx(20.0 / (288 / 512)), "each token reads every weight once"


def test_the_roofline_counts_the_bytes_that_the_kernels_store() -> None:
    from ikkan.silicon.kernels.formats import FORMATS

    stored = {name: FORMATS[name].packed_bytes(16, 896) / (16 * 896) for name in device._BYTES_PER_WEIGHT}
    assert stored == device._BYTES_PER_WEIGHT


def test_a_profile_prints_as_a_table() -> None:
    shown = str(PROFILE)
    for piece in (
        "A Processor",
        "24 GiB",
        "20.0 GB/s",
        "1.00 TOPS",
        "L1d 32 KiB",
        "L3 32 MiB per 2 cores",
        "2026-06-01",
    ):
        assert piece in shown


def test_a_changed_kernel_needs_a_new_cache(tmp_path: Path) -> None:
    source = tmp_path / "stack.py"
    source.write_text("one = 1")
    before = device.cache_key(tmp_path)
    assert before == device.cache_key(tmp_path)
    source.write_text("one = 2")
    assert device.cache_key(tmp_path) != before


def test_this_machine_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from ikkan.silicon import kernels, probe

    monkeypatch.setattr(probe.read_gb_s, "__kwdefaults__", {"passes": 2})
    monkeypatch.setattr(probe.int8_tops, "__kwdefaults__", {"passes": 2})
    profile = device.measure(1)
    assert profile.threads == 1 <= profile.cores
    assert profile.read_gb_s > 0.1 and profile.int8_tops > 0.001
    assert profile.kernel_path == kernels.get_path()
    assert 0 < profile.memory_available_bytes <= profile.memory_bytes


def test_every_path_of_this_machine_has_a_peak() -> None:
    from ikkan.silicon import kernels, probe

    peaks = {path: probe.int8_tops(1, path, passes=2) for path in kernels.available_paths()}
    assert min(peaks.values()) > 0.001
