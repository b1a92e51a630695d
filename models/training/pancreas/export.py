"""Checkpoints to ``organ.onnx``, with a check that ONNX Runtime agrees.

    python -m models.training.pancreas.export --checkpoints .work/training/pancreas \\
        --out models/catalog/pancreas_reference --organs organ-a organ-b

Several nets are averaged, at one or more scales; weights are kept in half precision
(:func:`models.training.export.halve`).
"""

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.training.export import LARGEST_DIFFERENCE, OPSET, Mean, halve
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
    return fold(net.eval())


def fold(net: nn.Module) -> nn.Module:
    """Folds each batch normalisation into the convolution before it, in place."""
    for block in [part for part in net.modules() if isinstance(part, nn.Sequential)]:
        names = list(block._modules)
        for first, second in zip(names, names[1:], strict=False):
            conv, norm = block._modules[first], block._modules[second]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block._modules[first] = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
                block._modules[second] = nn.Identity()
    return net


def write(net: nn.Module, to: Path) -> None:
    """Exports ``net`` and compares both runtimes on slices of two sizes.

    Raises:
        ValueError: they differ by more than 0.02.
    """
    words = {0: "n", 2: "j", 3: "i"}
    torch.onnx.export(
        net,
        (torch.rand(1, 1, 192, 224) * 255,),
        str(to),
        input_names=["slices"],
        output_names=["logits"],
        dynamic_axes={"slices": words, "logits": words},
        opset_version=OPSET,
        dynamo=False,
    )
    halve(to)
    onnx.checker.check_model(onnx.load(to), full_check=True)
    session = onnxruntime.InferenceSession(str(to), providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 192, 224), (3, 1, 256, 320)):
        x = F.avg_pool2d(torch.rand(shape) * 255, 5, 1, 2)
        with torch.inference_mode():
            expected = net(x).numpy()
        found = session.run(None, {"slices": x.numpy()})[0]
        difference = float(abs(found - expected).max())
        print(f"{to.name} {shape}: largest difference to PyTorch {difference:.1e}")
        if difference > LARGEST_DIFFERENCE:
            raise ValueError(f"{to}: ONNX Runtime differs from PyTorch by {difference}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder with *.pt")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
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
    write(Scaled(Mean(nets), options.scales).eval(), options.out / "organ.onnx")
    if (options.out / "preread.toml").exists():
        seal(options.out)


if __name__ == "__main__":
    main()
