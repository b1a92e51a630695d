"""The heat net: where in one axial slice of the gland to look."""

from collections.abc import Sequence

from models.training.pancreas.unet import SliceUNet

WIDTHS = (32, 48, 80, 112)
"""At 3, 6, 13 and 26 mm pixels: the last sees 10 cm of gland at once. 0.6 M parameters."""


class HeatNet(SliceUNet):
    """``slices`` [n, 2, j, i] to logits [n, 1, j, i]; sides are multiples of 16.

    The input is :func:`models.pancreas.heat.to_input`'s: density against the own parenchyma and
    the organ; outside the organ both are 0, so nothing beyond it is ever seen.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(2, widths)
