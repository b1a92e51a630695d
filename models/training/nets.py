"""The two networks. Both are fully convolutional, so that a GPU or CPU runs any tile size."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DETECTOR_STRIDE = 4
WIDTH = 24  # channels at 2 mm; 4.4 M parameters
PRIOR_LOGIT = -4.6  # one cell in a hundred: a fresh head must not drown the loss in negatives
PRIOR_LOG_DIAMETER = 2.1  # 8 mm


def _conv(n: int, m: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(n, m, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm3d(m),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3 x 3 x 3 convolutions around a skip."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(n, n), nn.Conv3d(n, n, 3, padding=1, bias=False), nn.BatchNorm3d(n)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, k, j, i] to the same shape."""
        return torch.relu(x + self.body(x))


def space_to_depth(x: Tensor, factor: int = 2) -> Tensor:
    """[n, 1, k, j, i] -> [n, f^3, k/f, j/f, i/f]: full resolution at an eighth of the cost."""
    n, _, k, j, i = x.shape
    f = factor
    x = x.reshape(n, k // f, f, j // f, f, i // f, f)
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(n, f**3, k // f, j // f, i // f)


class Detector(nn.Module):
    """``image`` [n, 1, k, j, i] at 1 mm -> ``maps`` [n, 2, k/4, j/4, i/4].

    Channel 0 is the logit that a nodule's centre lies in the 4 mm cell, channel 1 the logarithm
    of its diameter in mm. Sides are multiples of 16. A feature pyramid: down to 16 mm, so that
    a 60 mm mass is seen whole, and back up to 4 mm by sums of 1 x 1 projections.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        w = width
        self.at_2mm = nn.Sequential(_conv(8, w), _conv(w, w))
        self.at_4mm = nn.Sequential(_conv(w, 2 * w, 2), Residual(2 * w), Residual(2 * w))
        self.at_8mm = nn.Sequential(_conv(2 * w, 4 * w, 2), Residual(4 * w), Residual(4 * w))
        self.at_16mm = nn.Sequential(_conv(4 * w, 6 * w, 2), Residual(6 * w), Residual(6 * w))
        self.from_16mm = nn.Conv3d(6 * w, 4 * w, 1)
        self.up_8mm = _conv(4 * w, 4 * w)
        self.from_8mm = nn.Conv3d(4 * w, 3 * w, 1)
        self.from_4mm = nn.Conv3d(2 * w, 3 * w, 1)
        self.up_4mm = _conv(3 * w, 3 * w)
        self.head = nn.Conv3d(3 * w, 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([PRIOR_LOGIT, PRIOR_LOG_DIAMETER]))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        c2 = self.at_2mm(space_to_depth(image))
        c4 = self.at_4mm(c2)
        c8 = self.at_8mm(c4)
        c16 = self.at_16mm(c8)
        p8 = self.up_8mm(c8 + _double(self.from_16mm(c16)))
        p4 = self.up_4mm(torch.relu(self.from_4mm(c4) + _double(self.from_8mm(p8))))
        maps: Tensor = self.head(p4)
        return maps


class MaskNet(nn.Module):
    """``crops`` [n, 1, S, S, S] centred on a finding -> ``logits`` of the same shape.

    S is a multiple of 8. Nearly all work is done at half resolution and below; the last step
    unfolds eight channels into the full grid and looks at the crop once more.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        w = width
        self.fine = _conv(1, w)
        self.in_half = nn.Sequential(_conv(8, 4 * w), Residual(4 * w))
        self.quarter = nn.Sequential(_conv(4 * w, 8 * w, 2), Residual(8 * w))
        self.eighth = nn.Sequential(_conv(8 * w, 12 * w, 2), Residual(12 * w), Residual(12 * w))
        self.from_eighth = nn.Conv3d(12 * w, 8 * w, 1)
        self.up_quarter = _conv(8 * w, 8 * w)
        self.from_quarter = nn.Conv3d(8 * w, 4 * w, 1)
        self.up_half = _conv(4 * w, 4 * w)
        self.unfold = nn.Conv3d(4 * w, 8 * w, 1)
        self.head = nn.Sequential(_conv(2 * w, w), nn.Conv3d(w, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """See the class."""
        half = self.in_half(space_to_depth(crops))
        quarter = self.quarter(half)
        quarter = self.up_quarter(quarter + _double(self.from_eighth(self.eighth(quarter))))
        half = self.up_half(half + _double(self.from_quarter(quarter)))
        full = torch.cat([self.fine(crops), depth_to_space(self.unfold(half))], 1)
        logits: Tensor = self.head(full)
        return logits


def depth_to_space(x: Tensor, factor: int = 2) -> Tensor:
    """[n, c f^3, k, j, i] -> [n, c, k f, j f, i f]: the way back of ``space_to_depth``."""
    n, channels, k, j, i = x.shape
    f = factor
    c = channels // f**3
    x = x.reshape(n, f, f, f, c, k, j, i).permute(0, 4, 5, 1, 6, 2, 7, 3)
    return x.reshape(n, c, k * f, j * f, i * f)


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")


def channels_last(x: Tensor) -> Tensor:
    """[n, c, j, i] or [n, c, k, j, i] in the memory layout in which a CPU convolves fastest."""
    flat = x.dim() == 4
    return x.contiguous(memory_format=torch.channels_last if flat else torch.channels_last_3d)


def width_of(state: Mapping[str, Tensor]) -> int:
    """The ``width`` of the :class:`Detector` that these weights are of."""
    return int(state["at_2mm.0.0.weight"].shape[0])


def count_parameters(net: nn.Module) -> int:
    """Trained numbers in ``net``."""
    return sum(p.numel() for p in net.parameters())
