"""On a GPU: how much of the card the network uses, and what is left around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 8192
"""Of the square matrices whose product measures the card's peak."""
SECONDS = 2.0


def share_of_peak(bundle: Path, device: str, batch: int = 4) -> dict[str, float]:
    """The network's floating point work a second as a share of the card's bf16 matrix product.

    The work of a pass is counted on the module itself (two for each multiply-add, as the matrix
    product's), which runs in bf16, channels last.

    Raises:
        RuntimeError: there is no CUDA device.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.sidebyside.spleen import PATCH, build

    if not device.startswith("cuda"):
        raise RuntimeError(f"{device}: the share of a card's peak is measured on a GPU")
    a = torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16)
    peak = 2 * SIDE**3 / _seconds(lambda: a @ a)
    network = build().to(device)
    state = torch.load(bundle / "models" / "model.pt", map_location=device, weights_only=True)
    network.load_state_dict(state)
    network = network.eval().to(memory_format=torch.channels_last_3d)
    x = torch.rand(batch, 1, *PATCH, device=device).to(memory_format=torch.channels_last_3d)
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        with FlopCounterMode(display=False) as counter:
            network(x)
        reached = counter.get_total_flops() / _seconds(lambda: network(x))
    return {
        "peak_tflops": peak / 1e12,
        "network_tflops": reached / 1e12,
        "share": reached / peak,
    }


def profile(run: Callable[[], Any], rows: int = 15) -> str:
    """What one study leaves on the table: PyTorch's profile, by time on the device."""
    import torch
    from torch.profiler import ProfilerActivity

    run()
    kinds = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        kinds.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as found:
        run()
    by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    table: str = found.key_averages().table(sort_by=by, row_limit=rows)
    return table


def _seconds(work: Callable[[], Any]) -> float:
    """Seconds of one call, over about two seconds of calls after a warm-up."""
    import torch

    for _ in range(3):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    calls = 0
    while time.perf_counter() - began < SECONDS:
        for _ in range(5):
            work()
        torch.cuda.synchronize()
        calls += 5
    return (time.perf_counter() - began) / calls
