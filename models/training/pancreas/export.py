"""Checkpoints to ``organ.onnx``, with a check that ONNX Runtime agrees.

    python -m models.training.pancreas.export --checkpoints .work/training/pancreas \\
        --out models/catalog/pancreas_reference --organs organ-a organ-b

Several nets are averaged, at one or more scales; weights are kept in half precision
(:func:`models.training.export.halve`).
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.training import export
from models.training.pancreas.net import MULTIPLE, OrganNet, widths_of
from models.training.seal import seal


class Scaled(nn.Module):
    """A net's mean over its input at several scales.

    Sides are kept multiples of 32, so a scale is met as nearly as that allows.
    """

    def __init__(self, net: nn.Module, scales: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [n, 1, j, i] to logits of the same shape."""
        total = torch.zeros_like(x)
        for scale in self.scales:
            total = total + (self.net(x) if scale == 1 else self._at(x, scale))
        return total / len(self.scales)

    def _at(self, x: Tensor, scale: float) -> Tensor:
        size = x.shape[2:]
        sides = [_multiple(side, scale) for side in size]
        shrunk = F.interpolate(x, size=sides, mode="bilinear", align_corners=False)
        return F.interpolate(
            self.net(shrunk), size=[size[0], size[1]], mode="bilinear", align_corners=False
        )


def _multiple(side: int, scale: float) -> int:
    """In whole numbers: a side is a traced tensor while the net is exported."""
    share = Fraction(scale).limit_denominator(100)
    unit = MULTIPLE * share.denominator
    return (side * share.numerator + unit // 2) // unit * MULTIPLE


def organ_of(checkpoint: Path) -> nn.Module:
    """The organ net whose averaged weights ``checkpoint`` holds, its norms folded in."""
    state = torch.load(checkpoint, weights_only=True)["average"]
    net = OrganNet(widths_of(state))
    net.load_state_dict(state)
    return export.fold(net.eval())


def slices(shape: tuple[int, int, int, int]) -> Tensor:
    """Smoothed noise from 0 to 255 HU, to compare runtimes on."""
    return F.avg_pool2d(torch.rand(shape) * 255, 5, 1, 2)


def main() -> None:
    """The command line."""
    parser = export.arguments(__doc__)
    parser.add_argument(
        "--organs", nargs="+", default=["organ"], help="names whose outputs are averaged"
    )
    parser.add_argument(
        "--scales", nargs="+", type=float, default=[1.0], help="at which each looks; default 1"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    nets = [organ_of(options.checkpoints / f"{name}.pt") for name in options.organs]
    export.write(
        Scaled(export.Mean(nets), options.scales).eval(),
        [slices((1, 1, 192, 224)), slices((3, 1, 256, 320))],
        ("slices", "logits"),
        {0: "n", 2: "j", 3: "i"},
        options.out / "organ.onnx",
    )
    if (options.out / "preread.toml").exists():
        seal(options.out)


if __name__ == "__main__":
    main()
