"""The heat net: a small U-Net over one axial slice of the gland, working at half its resolution."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 48, 80, 112)
"""At 3, 6, 13 and 26 mm pixels: the last sees 10 cm of gland at once. 0.6 M parameters."""
PRIOR_LOGIT = -3.0


def _block(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first in (inside, outside):
        layers += [
            nn.Conv2d(first, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class HeatNet(nn.Module):
    """``slices`` [n, 2, j, i] to logits [n, 1, j, i]; sides are multiples of 16.

    The input is :func:`models.pancreas.heat.to_input`'s: density against the own parenchyma and
    the organ; outside the organ both are 0, so nothing beyond it is ever seen.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inside = [8, *widths[:-1]]
        self.down = nn.ModuleList([_block(a, b) for a, b in zip(inside, widths, strict=True)])
        self.up = nn.ModuleList(
            [_block(a + b, a) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        )
        self.head = nn.Conv2d(widths[0], 4, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, PRIOR_LOGIT)

    def forward(self, slices: Tensor) -> Tensor:
        """See the class."""
        x = F.pixel_unshuffle(slices, 2)
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        x = kept.pop()
        for block in reversed(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([kept.pop(), x], 1))
        return F.pixel_shuffle(self.head(x), 2)
