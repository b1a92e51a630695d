"""MONAI's ResNet with a feature pyramid, without torchvision.

``monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor`` takes two small
things from torchvision: a module that keeps a backbone's middle results, and a check of which
layers are trained. torchvision has to fit PyTorch's very build, or neither imports; so these are
made here, with the same names of weights, and the pyramid stays MONAI's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

CHANNELS = 256
"""Of every level of the pyramid."""


def resnet_fpn_feature_extractor(
    backbone: Any,
    spatial_dims: int,
    pretrained_backbone: bool = False,
    returned_layers: Sequence[int] = (1, 2, 3),
    trainable_backbone_layers: int | None = None,
) -> nn.Module:
    """The same network for inference as MONAI's function of that name makes.

    Args:
        backbone: a ResNet of MONAI's; it loses the layers after the last one returned.
        spatial_dims: 2 or 3.
        pretrained_backbone: of no effect, as only training asks for it.
        returned_layers: which of the layers 1 to 4 give a level; one more is pooled from the last.
        trainable_backbone_layers: likewise of no effect.

    Raises:
        ValueError: a layer is not from 1 to 4.
    """
    from monai.networks.blocks.feature_pyramid_network import (
        FeaturePyramidNetwork,
        LastLevelMaxPool,
    )
    from torch import Tensor, nn

    layers = list(returned_layers)
    if not layers or min(layers) < 1 or max(layers) > 4:
        raise ValueError(f"returned_layers = {layers}: layers count from 1 to 4")

    class Body(nn.ModuleDict):
        """The backbone's children up to the last layer wanted, run one after the other."""

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            found = {}
            for name, child in self.items():
                image = child(image)
                if name in wanted:
                    found[wanted[name]] = image
            return found

    class Pyramid(nn.Module):
        def __init__(self, children: dict[str, nn.Module]) -> None:
            super().__init__()
            first = backbone.in_planes // 8
            self.body = Body(children)
            self.fpn = FeaturePyramidNetwork(
                spatial_dims=spatial_dims,
                in_channels_list=[first * 2 ** (layer - 1) for layer in layers],
                out_channels=CHANNELS,
                extra_blocks=LastLevelMaxPool(spatial_dims),
            )
            self.out_channels = CHANNELS

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            levels: dict[str, Tensor] = self.fpn(self.body(image))
            return levels

    wanted = {f"layer{layer}": str(place) for place, layer in enumerate(layers)}
    children: dict[str, nn.Module] = {}
    for name, child in backbone.named_children():
        children[name] = child
        if wanted.keys() <= children.keys():
            break
    return Pyramid(children)
