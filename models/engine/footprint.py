"""What memory there is and how much of it is taken: this process, the machine, a GPU.

Read from ``/proc`` and the control groups (v1 and v2), whose limit may be below the
machine's; elsewhere than on Linux only what the standard library tells is known.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

UNLIMITED = 2**60
"""Control groups without a limit say ``max``, or a number near 2^63."""
NVIDIA_SMI_S = 10.0


class MemoryState(BaseModel):
    """Bytes of a machine (or of the container we are in), or of a GPU."""

    model_config = ConfigDict(frozen=True)

    total: int
    available: int

    @property
    def used(self) -> int:
        """Bytes taken, by anybody."""
        return self.total - self.available


def process_bytes(root: Path = Path("/")) -> int:
    """Resident memory of this process, bytes; 0 where it can't be told."""
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_process_bytes(root: Path = Path("/")) -> int:
    """The greatest resident memory of this process so far, bytes; 0 where it can't be told.

    Not ``ru_maxrss``, which in a process that was started by a larger one is the larger one's.
    """
    return _numbers(root / "proc/self/status").get("VmHWM:", 0) * 1024


def host_memory(root: Path = Path("/")) -> MemoryState | None:
    """Memory of the machine within this process's control group; None where it can't be told.

    Cache of files that the kernel can drop counts as available.
    """
    meminfo = _numbers(root / "proc/meminfo")
    if "MemTotal:" not in meminfo or "MemAvailable:" not in meminfo:
        return None
    total, available = meminfo["MemTotal:"] * 1024, meminfo["MemAvailable:"] * 1024
    for limit, used in _control_groups(root):
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return MemoryState(total=total, available=available)


def device_memory(device: str) -> MemoryState | None:
    """Memory of ``cuda:N`` as this process counts its GPUs; None: no GPU, or it can't be told.

    Asks PyTorch where it is loaded already, else ``nvidia-smi``.
    """
    if not device.startswith("cuda"):
        return None
    number = int(device.partition(":")[2] or 0)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info(number)
        return MemoryState(total=int(total), available=int(free))
    return _ask_nvidia_smi(number)


def return_to_system() -> None:
    """Free memory goes back to the system after something large was dropped (glibc keeps it)."""
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _ask_nvidia_smi(number: int) -> MemoryState | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = visible[number] if any(visible) and number < len(visible) else str(number)
    query = "--query-gpu=memory.total,memory.free"
    try:
        told = subprocess.run(
            [command, "-i", name, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_S,
            check=True,
        ).stdout
        total, free = (int(value) * 2**20 for value in told.strip().splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return MemoryState(total=total, available=free)


def _control_groups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used without droppable cache) of every group above this process that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = (
                "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )  # fmt: skip
        else:
            continue
        # Inside a container the path may be the host's: then the mount's root is our group.
        inner = base / path.strip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(base):
                break
            limit, used = _number(folder / names[0]), _number(folder / names[1])
            if limit is not None and used is not None and limit < UNLIMITED:
                yield limit, used - _numbers(folder / "memory.stat").get(names[2], 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text().strip())
    except (OSError, ValueError):
        return None


def _numbers(path: Path) -> dict[str, int]:
    """Lines of ``name number ...``; empty where there is no such file."""
    found = {}
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found
