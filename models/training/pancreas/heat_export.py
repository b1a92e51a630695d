"""The heat net's checkpoint to ``heat.onnx``, with a check that ONNX Runtime agrees.

    python -m models.training.pancreas.heat_export --checkpoints .work/training/pancreas \\
        --out models/catalog/pancreas_reference

The net's mean over the slice and its two mirrors; weights are kept in half precision.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from models.training import export
from models.training.pancreas.heat_net import HeatNet
from models.training.seal import seal


def heat_of(checkpoint: Path) -> nn.Module:
    """The heat net whose averaged weights ``checkpoint`` holds, its norms folded in."""
    net = HeatNet()
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return export.fold(net.eval())


def slices(shape: tuple[int, int, int, int]) -> Tensor:
    """Noise in an organ that fills the middle, to compare runtimes on."""
    x = torch.zeros(shape)
    x[:, 0, 16:-16, 16:-16] = torch.randn(shape)[:, 0, 16:-16, 16:-16] / 2
    x[:, 1, 16:-16, 16:-16] = 1
    return x


def main() -> None:
    """The command line."""
    parser = export.arguments(__doc__)
    parser.add_argument("--heats", nargs="+", default=["heat"], help="names that are averaged")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    nets = [heat_of(options.checkpoints / f"{name}.pt") for name in options.heats]
    export.write(
        export.Turned(export.Mean(nets), (2, 3)).eval(),
        [slices((1, 2, 64, 96)), slices((3, 2, 112, 80))],
        ("slices", "logits"),
        {0: "n", 2: "j", 3: "i"},
        options.out / "heat.onnx",
    )
    if (options.out / "preread.toml").exists():
        seal(options.out)


if __name__ == "__main__":
    main()
