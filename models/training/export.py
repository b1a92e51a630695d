"""Checkpoints to the two ONNX files that ship, with a check that ONNX Runtime agrees.

    python -m models.training.export --checkpoints .work/training \\
        --out models/catalog/lung_nodule_reference

Batch normalisation is folded into the convolutions, so that a tile costs nothing but convolutions.
Weights are kept in half precision and widened as the model is loaded: half the file, the same sums.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from models.training.nets import Detector, MaskNet, width_of
from models.training.seal import seal

OPSET = 18
LARGEST_DIFFERENCE = 2e-2
"""Between half and full precision of the weights, in logits."""
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
SMALL = 1024
"""Numbers; smaller weights (biases) stay in full precision."""


class Mean(nn.Module):
    """The mean of several nets' outputs: three average away what one of them imagines."""

    def __init__(self, nets: list[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        """Any input the nets take."""
        outputs = [net(x) for net in self.nets]
        mean: Tensor = torch.stack(outputs).mean(0) if len(outputs) > 1 else outputs[0]
        return mean


class Turned(nn.Module):
    """A net's mean over its input as it is and seen in mirrors.

    ``axes`` are those mirrored, one at a time: 4 is left and right, 3 front and back.
    """

    def __init__(self, net: nn.Module, axes: Sequence[int]) -> None:
        super().__init__()
        self.net = net
        self.axes = tuple(axes)

    def forward(self, x: Tensor) -> Tensor:
        """Any input the net takes whose output turns with it."""
        total: Tensor = self.net(x)
        for axis in self.axes:
            total = total + torch.flip(self.net(torch.flip(x, [axis])), [axis])
        return total / (1 + len(self.axes))


def detector_of(checkpoint: Path) -> nn.Module:
    """The detector whose averaged weights ``checkpoint`` holds, as wide as they say."""
    state = torch.load(checkpoint, weights_only=True)["average"]
    net = Detector(width_of(state))
    net.load_state_dict(state)
    return fold(net.eval())


def mask_of(checkpoint: Path) -> nn.Module:
    """The mask net whose averaged weights ``checkpoint`` holds."""
    net = MaskNet()
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return fold(net.eval())


def halve(path: Path) -> None:
    """Keeps the large weights of an ONNX file in float16, each with a cast back to float32.

    Runtimes do the cast once, as they load.
    """
    model = onnx.load(path)
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or int(np.prod(weight.dims)) < SMALL:
            continue
        name, half = weight.name, onnx.numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{name}.half"], [name], f"{name}.widened", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def fold(net: nn.Module) -> nn.Module:
    """Folds each batch normalisation into the convolution before it, in place."""
    for part in net.modules():
        if not isinstance(part, nn.Sequential):
            continue
        names = list(part._modules)
        for first, second in zip(names, names[1:], strict=False):
            conv, norm = part._modules[first], part._modules[second]
            if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(norm, NORMS):
                part._modules[first] = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
                part._modules[second] = nn.Identity()
    return net


def write(
    net: nn.Module,
    inputs: Sequence[Tensor],
    names: tuple[str, str],
    axes: Mapping[int, str],
    to: Path,
) -> None:
    """Exports ``net`` and compares both runtimes on all of ``inputs``.

    Args:
        net: takes one tensor and gives one.
        inputs: of several sizes; the first is what the export follows.
        names: of the input and the output.
        axes: those of the input that may have any length, by name; the output's too where the net
            keeps their length.
        to: the file.

    Raises:
        ValueError: they differ by more than 0.02.
    """
    first = inputs[0]
    with torch.inference_mode():
        kept = net(first).shape
    torch.onnx.export(
        net,
        (first,),
        str(to),
        input_names=[names[0]],
        output_names=[names[1]],
        dynamic_axes={
            names[0]: dict(axes),
            names[1]: {a: word for a, word in axes.items() if kept[a] == first.shape[a]},
        },
        opset_version=OPSET,
        dynamo=False,
    )
    halve(to)
    onnx.checker.check_model(onnx.load(to), full_check=True)
    session = onnxruntime.InferenceSession(str(to), providers=["CPUExecutionProvider"])
    for x in inputs:
        with torch.inference_mode():
            expected = net(x).numpy()
        found = session.run(None, {names[0]: x.numpy()})[0]
        difference = float(np.abs(found - expected).max())
        print(f"{to.name} {tuple(x.shape)}: largest difference to PyTorch {difference:.1e}")
        if difference > LARGEST_DIFFERENCE:
            raise ValueError(f"{to}: ONNX Runtime differs from PyTorch by {difference}")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options every export has."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--checkpoints", type=Path, required=True, help="folder with *.pt")
    found.add_argument("--out", type=Path, required=True, help="the model's folder")
    return found


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--detectors", nargs="+", default=["detector"], help="names whose outputs are averaged"
    )
    parser.add_argument("--masks", nargs="+", default=["mask"], help="likewise")
    parser.add_argument(
        "--mirrors",
        nargs="*",
        type=int,
        default=[4],
        metavar="AXIS",
        help="mirrors both nets look into as well: 4 left and right (default), 3 front and back",
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    folder: Path = options.checkpoints
    detectors = Mean([detector_of(folder / f"{n}.pt") for n in options.detectors])
    masks = Mean([mask_of(folder / f"{n}.pt") for n in options.masks])
    detectors_turned = Turned(detectors, options.mirrors).eval()
    masks_turned = Turned(masks, options.mirrors).eval()
    boxes = [torch.randn(shape) for shape in ((1, 1, 64, 64, 64), (3, 1, 96, 64, 80))]
    any_size = {0: "n", 2: "k", 3: "j", 4: "i"}
    write(detectors_turned, boxes, ("image", "maps"), any_size, options.out / "detector.onnx")
    cubes = [torch.randn(n, 1, 32, 32, 32) for n in (1, 3)]
    write(masks_turned, cubes, ("crops", "logits"), {0: "n"}, options.out / "mask.onnx")
    if (options.out / "preread.toml").exists():
        seal(options.out)


if __name__ == "__main__":
    main()
