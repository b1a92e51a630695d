"""The organ net: a U-Net over one axial slice that works at half its resolution.

A slice enters as its four half-resolution phases and leaves the same way, so that no convolution
runs over all pixels: three times faster than a plain U-Net of the same width, and its deepest level
(51 mm pixels) sees the whole abdomen.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MULTIPLE = 32
"""Sides of a slice are multiples of this."""
WIDTHS = (32, 64, 112, 160, 192)
CENTRE_HU, SCALE_HU = 100.0, 60.0


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class OrganNet(nn.Module):
    """``x`` [n, 1, j, i]: clip(HU, 0, 255); returns logits of the same shape."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inside = [4, *widths[:-1]]
        self.down = nn.ModuleList(
            [_block(a, b) for a, b in zip(inside, widths, strict=True)],
        )
        self.up = nn.ModuleList(
            [_block(a + b, a) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        )
        self.drop = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(widths[0], 4, 1)
        nn.init.constant_(self.head.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = F.pixel_unshuffle((x - CENTRE_HU) / SCALE_HU, 2)
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        x = self.drop(kept.pop())
        for block in reversed(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([kept.pop(), x], 1))
        return F.pixel_shuffle(self.head(x), 2)


def widths_of(state: dict[str, Tensor]) -> list[int]:
    """The widths of the net whose weights these are."""
    levels = {int(key.split(".")[1]) for key in state if key.startswith("down.")}
    return [int(state[f"down.{level}.0.weight"].shape[0]) for level in sorted(levels)]
