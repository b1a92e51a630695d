"""Which GPUs there are, by asking the driver's own tool: no CUDA is loaded into the server."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from pacs_bridge.errors import SettingsError

log = logging.getLogger(__name__)

LIST_S = 20.0
"""A driver that wakes a GPU up takes seconds."""
_GPU = re.compile(r"^GPU (\d+): (.+?) \(UUID: (GPU-[0-9a-f-]+)\)", re.MULTILINE)
_PART = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[0-9A-Za-z/-]+)\)")


@dataclass(frozen=True)
class Device:
    """What one worker runs on.

    Args:
        name: ``cpu``, ``gpu 0``; what the log and the page call the worker.
        hardware: the GPU's name; empty for the CPU.
        runtime: what the runtime is told: ``cpu``, ``cuda``, ``auto``.
        environment: variables that show the process its own GPU only.
    """

    name: str
    runtime: str
    hardware: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


CPU = Device("cpu", "cpu", environment={"CUDA_VISIBLE_DEVICES": ""})


def find_devices(wanted: str) -> list[Device]:
    """A device for each worker that is to be started.

    Args:
        wanted: ``auto`` (every GPU, else the CPU), ``cpu``, ``cuda`` (every GPU) or ``cuda:N``.

    Raises:
        SettingsError: a GPU is wanted that is not there.
    """
    if wanted == "cpu":
        return [CPU]
    gpus = list_gpus()
    if wanted.startswith("cuda:"):
        number = int(wanted.removeprefix("cuda:"))
        if number >= len(gpus):
            raise SettingsError(
                f"models.device = {wanted!r}: {len(gpus)} GPU(s) found; see `nvidia-smi -L`"
            )
        gpus = [gpus[number]]
    if not gpus:
        if wanted == "cuda":
            raise SettingsError(
                "models.device = 'cuda': no NVIDIA GPU found; `nvidia-smi -L` must list one"
            )
        return [CPU]
    asked = "auto" if wanted == "auto" else "cuda"
    return [
        Device(f"gpu {number}", asked, name, {"CUDA_VISIBLE_DEVICES": uuid})
        for number, (name, uuid) in enumerate(gpus)
    ]


def list_gpus() -> list[tuple[str, str]]:
    """Name and UUID of every GPU this process may use, in the driver's order.

    A GPU that is cut into parts (MIG) counts as its parts. ``CUDA_VISIBLE_DEVICES``, where the
    server has it, chooses among them as it does for CUDA: by number or by UUID.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, timeout=LIST_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("nvidia-smi -L: %s; going on as if there were no GPU", error)
        return []
    return visible(parse_list(listed), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_list(text: str) -> list[tuple[str, str]]:
    """What ``nvidia-smi -L`` says, as (name, UUID)."""
    found: list[tuple[str, str]] = []
    whole: tuple[str, str] | None = None
    parts: list[tuple[str, str]] = []
    for line in [*text.splitlines(), "GPU end"]:
        part = _PART.match(line)
        if part and whole:
            parts.append((f"{whole[0]} MIG {part[1]}", part[2]))
        elif line.startswith("GPU "):
            if whole:
                found += parts or [whole]
            gpu = _GPU.match(line)
            whole, parts = ((gpu[2], gpu[3]) if gpu else None), []
    return found


def visible(gpus: list[tuple[str, str]], chosen: str | None) -> list[tuple[str, str]]:
    """Those that ``CUDA_VISIBLE_DEVICES`` leaves; as CUDA does, it ends at the first unknown."""
    if chosen is None:
        return gpus
    left = []
    for entry in (part.strip() for part in chosen.split(",")):
        if entry.isdigit() and int(entry) < len(gpus):
            left.append(gpus[int(entry)])
            continue
        named = [gpu for gpu in gpus if entry and gpu[1].startswith(entry)]
        if len(named) != 1:
            break
        left += named
    return left
