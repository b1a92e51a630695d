"""A U-Net over one axial slice that works at half its resolution.

A slice enters as its half-resolution phases, four a channel, and leaves the same way, so that no
convolution runs over all pixels: three times faster than a plain U-Net of the same width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRIOR_LOGIT = -3.0
"""A fresh net finds little, so that the many pixels without a finding don't drown the loss."""


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class SliceUNet(nn.Module):
    """``slices`` [n, channels, j, i] to logits [n, 1, j, i].

    Sides are multiples of 2 to the number of ``widths``, which are the channels from half the
    resolution down. ``dropout`` is of whole channels at the deepest level.
    """

    def __init__(self, channels: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        inside = [4 * channels, *widths[:-1]]
        self.down = nn.ModuleList([_block(a, b) for a, b in zip(inside, widths, strict=True)])
        self.up = nn.ModuleList(
            [_block(a + b, a) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        )
        self.drop = nn.Dropout2d(dropout)
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
        x = self.drop(kept.pop())
        for block in reversed(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([kept.pop(), x], 1))
        return F.pixel_shuffle(self.head(x), 2)
