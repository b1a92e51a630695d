"""The heat net's checkpoint to ``heat.onnx``, with a check that ONNX Runtime agrees.

    python -m models.training.pancreas.heat_export --checkpoints .work/training/pancreas \\
        --out models/catalog/pancreas_reference

The net's mean over the slice and its two mirrors; weights are kept in half precision.
"""

import argparse
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import nn

from models.training.export import LARGEST_DIFFERENCE, OPSET, Mean, Turned, halve
from models.training.pancreas.export import fold
from models.training.pancreas.heat_net import HeatNet
from models.training.seal import seal


def heat_of(checkpoint: Path) -> nn.Module:
    """The heat net whose averaged weights ``checkpoint`` holds, its norms folded in."""
    net = HeatNet()
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return fold(net.eval())


def write(net: nn.Module, to: Path) -> None:
    """Exports ``net`` and compares both runtimes on slices of two sizes.

    Raises:
        ValueError: they differ by more than 0.02.
    """
    words = {0: "n", 2: "j", 3: "i"}
    torch.onnx.export(
        net,
        (_slices((1, 2, 64, 96)),),
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
    for shape in ((1, 2, 64, 96), (3, 2, 112, 80)):
        x = _slices(shape)
        with torch.inference_mode():
            expected = net(x).numpy()
        found = session.run(None, {"slices": x.numpy()})[0]
        difference = float(abs(found - expected).max())
        print(f"{to.name} {shape}: largest difference to PyTorch {difference:.1e}")
        if difference > LARGEST_DIFFERENCE:
            raise ValueError(f"{to}: ONNX Runtime differs from PyTorch by {difference}")


def _slices(shape: tuple[int, ...]) -> torch.Tensor:
    """Noise in an organ that fills the middle."""
    x = torch.zeros(shape)
    x[:, 0, 16:-16, 16:-16] = torch.randn(shape)[:, 0, 16:-16, 16:-16] / 2
    x[:, 1, 16:-16, 16:-16] = 1
    return x


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder with *.pt")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--heats", nargs="+", default=["heat"], help="names that are averaged")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    nets = [heat_of(options.checkpoints / f"{name}.pt") for name in options.heats]
    write(Turned(Mean(nets), (2, 3)).eval(), options.out / "heat.onnx")
    if (options.out / "preread.toml").exists():
        seal(options.out)


if __name__ == "__main__":
    main()
