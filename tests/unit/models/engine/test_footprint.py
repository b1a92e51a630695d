"""Memory as the system tells it; control groups of both kinds from files written here."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from models.engine.footprint import (
    MemoryState,
    device_memory,
    host_memory,
    process_bytes,
)

MB = 2**20
MEMINFO = f"""MemTotal:       {1000 * 1024} kB
MemFree:          {1024} kB
MemAvailable:    {600 * 1024} kB
HugePages_Total:       0
"""


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def machine(root: Path, cgroup: str, files: dict[str, object]) -> MemoryState | None:
    return host_memory(write(root, {"proc/meminfo": MEMINFO, "proc/self/cgroup": cgroup} | files))


def test_without_groups_it_is_the_machine(tmp_path: Path) -> None:
    state = machine(tmp_path, "0::/", {})
    assert state == MemoryState(total=1000 * MB, available=600 * MB)
    assert state.used == 400 * MB


@pytest.mark.parametrize("path", ["/", "/pod/inner", "/the/host/s/path"])
def test_group_v2_limits_wherever_it_is_mounted(tmp_path: Path, path: str) -> None:
    """Droppable cache counts as available."""
    inner = "/pod/inner" if path == "/pod/inner" else ""
    state = machine(
        tmp_path,
        f"0::{path}",
        {
            f"sys/fs/cgroup{inner}/memory.max": 300 * MB,
            f"sys/fs/cgroup{inner}/memory.current": 250 * MB,
            f"sys/fs/cgroup{inner}/memory.stat": f"anon 1\ninactive_file {100 * MB}",
        },
    )
    assert state == MemoryState(total=300 * MB, available=150 * MB)


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    state = machine(
        tmp_path,
        "0::/pod/inner",
        {
            "sys/fs/cgroup/pod/inner/memory.max": "max",
            "sys/fs/cgroup/pod/inner/memory.current": 90 * MB,
            "sys/fs/cgroup/pod/memory.max": 100 * MB,
            "sys/fs/cgroup/pod/memory.current": 90 * MB,
        },
    )
    assert state == MemoryState(total=100 * MB, available=10 * MB)


def test_group_v1(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    state = machine(
        tmp_path,
        "9:cpu,cpuacct:/x\n4:memory:/job/1\n0::/",
        {
            f"{group}/memory.limit_in_bytes": 2**63 - 4096,
            f"{group}/memory.usage_in_bytes": 800 * MB,
            f"{group}/job/1/memory.limit_in_bytes": 500 * MB,
            f"{group}/job/1/memory.usage_in_bytes": 700 * MB,
            f"{group}/job/1/memory.stat": f"total_inactive_file {50 * MB}",
        },
    )
    assert state == MemoryState(total=500 * MB, available=0)


def test_a_system_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    assert host_memory(tmp_path) is None
    assert process_bytes(tmp_path) == 0
    write(tmp_path, {"proc/meminfo": "nonsense"})
    assert host_memory(tmp_path) is None


GROWING = """
import numpy as np
from models.engine.footprint import process_bytes, return_to_system
before = process_bytes()
held = np.ones(64 << 20, np.uint8)
grown = process_bytes() - before
del held
return_to_system()
print(grown, process_bytes() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_grows_and_shrinks() -> None:
    """In a process of its own: this one may give other tests' memory back meanwhile."""
    command = [sys.executable, "-c", GROWING]
    root = Path(__file__).parents[4]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    grown, left = map(int, said.split())
    assert grown > 60 * MB
    assert left < grown - 50 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_available_memory_is_part_of_the_whole() -> None:
    state = host_memory()
    assert state is not None
    assert 0 <= state.available <= state.total


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``nvidia-smi`` that writes down how it was asked and says what the test wants."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    path = tmp_path / "nvidia-smi"
    path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/said\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "said").write_text("81559, 80000\n")
    return tmp_path


def test_a_gpu_s_memory_comes_from_nvidia_smi(smi: Path) -> None:
    assert device_memory("cuda:1") == MemoryState(total=81559 * MB, available=80000 * MB)
    assert "-i 1 " in (smi / "asked").read_text()


def test_gpus_are_counted_as_this_process_sees_them(
    smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-abc, 5")
    device_memory("cuda:1")
    assert "-i 5 " in (smi / "asked").read_text()
    device_memory("cuda:0")
    assert "-i GPU-abc " in (smi / "asked").read_text()


@pytest.mark.parametrize("said", ["", "[N/A], [N/A]", "No devices were found"])
def test_a_gpu_that_does_not_tell_is_unknown(smi: Path, said: str) -> None:
    (smi / "said").write_text(said)
    assert device_memory("cuda:0") is None


def test_no_gpu_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert device_memory("cuda:0") is None
    assert device_memory("cpu") is None
    assert device_memory("grpc://host:8001") is None
