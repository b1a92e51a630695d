"""The machine that a benchmark's figures were measured on."""

import os
import platform
from pathlib import Path


def hardware() -> dict[str, object]:
    """Processor by name, cores, operating system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()}
