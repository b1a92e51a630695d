"""The organ net: its deepest level (51 mm pixels) sees the whole abdomen."""

from collections.abc import Sequence

from torch import Tensor

from models.training.pancreas.unet import SliceUNet

MULTIPLE = 32
"""Sides of a slice are multiples of this."""
WIDTHS = (32, 64, 112, 160, 192)
CENTRE_HU, SCALE_HU = 100.0, 60.0


class OrganNet(SliceUNet):
    """``x`` [n, 1, j, i]: clip(HU, 0, 255); returns logits of the same shape."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(1, widths, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return super().forward((x - CENTRE_HU) / SCALE_HU)


def widths_of(state: dict[str, Tensor]) -> list[int]:
    """The widths of the net whose weights these are."""
    levels = {int(key.split(".")[1]) for key in state if key.startswith("down.")}
    return [int(state[f"down.{level}.0.weight"].shape[0]) for level in sorted(levels)]
