"""What the training loop keeps: a clock-bound schedule, an average of weights, checkpoints."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn


@dataclass
class Clock:
    """The budget in wall-clock minutes, counted over restarts: the machine is shared."""

    minutes: float
    peak_rate: float
    spent_s: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def tick(self) -> float:
        """Counts the time since the last tick; returns the share of the budget used, 0 to 1."""
        now = time.monotonic()
        self.spent_s += now - self._last
        self._last = now
        return min(self.spent_s / (self.minutes * 60), 1.0)

    def rate(self, step: int) -> float:
        """Cosine from the peak to a hundredth of it, after a warm-up of 60 steps."""
        used = min(self.spent_s / (self.minutes * 60), 1.0)
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * used)) / 2
        return self.peak_rate * cosine * min(1.0, (step + 1) / 60)


class Average:
    """An exponential moving average of a net's weights and statistics: what is evaluated."""

    def __init__(self, net: nn.Module, decay: float = 0.995) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    def update(self, net: nn.Module, step: int) -> None:
        """Takes in the weights after ``step``."""
        # A young average follows closely, or it would hold the random start for long.
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in net.state_dict().items():
            kept = self.state[key]
            if kept.is_floating_point():
                kept.mul_(decay).add_(value.detach(), alpha=1 - decay)
            else:
                kept.copy_(value)


def save(
    path: Path,
    net: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    clock: Clock,
    step: int,
) -> None:
    """Writes beside and renames, so that a kill never leaves half a checkpoint."""
    part = path.with_suffix(".part")
    torch.save(
        {
            "net": net.state_dict(),
            "average": average.state,
            "optimiser": optimiser.state_dict(),
            "spent_s": clock.spent_s,
            "step": step,
        },
        part,
    )
    part.replace(path)


def resume(
    path: Path,
    net: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    clock: Clock,
) -> int:
    """Takes up where ``path`` left off; returns its step, 0 where there is no such file."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    net.load_state_dict(state["net"])
    average.state = state["average"]
    optimiser.load_state_dict(state["optimiser"])
    clock.spent_s = float(state["spent_s"])
    return int(state["step"])
