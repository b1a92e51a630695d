"""A bundle whose evaluator runs a ``RetinaNetDetector`` (lung nodule detection), as a plan.

The detector's settings are read off the very object that the config describes, built by the
allow-listed expressions: anchors, box selection and sliding windows are whatever its
``detector_ops`` set. The bundle's two scripts (an inferer and an evaluator) are not run; what
they do is known and is what :mod:`models.detection.detect` does:

- ``RetinaNetInferer`` uses the windows for an image of at least as many voxels as one, or
  always where ``force_sliding_window`` says so;
- ``DetectionEvaluator`` hands each image to it alone.

Source: MONAI model zoo, lung_nodule_ct_detection 0.6.8; MONAI 1.6.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.bundle.arguments import NotTranslatable
from models.bundle.config import Config
from models.bundle.network import read_network
from models.bundle.opened import OpenedBundle
from models.bundle.reading import SEPARATOR
from models.bundle.translate import read_prepare
from models.detection.detect import DetectionPlan
from models.mistakes import describe_mistakes
from models.runtime.source import TorchNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

RAW = "whether_raw_luna16"
"""Id that says whether images come as scanned; without it the bundle expects resampled files."""
_SCRIPTS = frozenset({"RetinaNetInferer", "SimpleInferer", ""})
_AFTERWARDS = frozenset(
    ["ClipBoxToImaged", "AffineBoxToWorldCoordinated", "ConvertBoxModed", "DeleteItemsd"]
)
"""Steps after the detector that leave its boxes what they are."""
_EXPORT_CELLS = 4
"""An export is made for a patch so many times the network's divisor; it takes other sizes."""


def read(config: Config) -> OpenedBundle:
    """Read the plan and the network.

    Raises:
        SpecError: the config is wrong, or the weights are missing.
        CodeRefused: an expression wants Python of its own.
    """
    if config.get(RAW) is False and RAW not in config.section.overrides:
        # A DICOM series is as the scanner made it.
        overrides = config.section.overrides | {RAW: True}
        section = config.section.model_copy(update={"overrides": overrides})
        config = Config.read(config.folder, section, trust_code=config.trusted)
    identifier = _detector(config)
    if config.target(identifier) != "RetinaNetDetector":
        raise config.error(
            identifier, "is no RetinaNetDetector of MONAI's, the only one that is run"
        )
    # A config of its own, so that the network in it goes again at once.
    shown = config.again()
    detector = shown.resolve(identifier)
    for requirement in (f"evaluator{SEPARATOR}_requires_", "detector_ops"):
        if requirement in shown:
            shown.resolve(requirement)
            break
    _check_afterwards(config)
    divisible = tuple(int(n) for n in detector.size_divisible)
    source = read_network(config, tuple(_EXPORT_CELLS * n for n in divisible))
    if not isinstance(source, TorchNetwork):
        raise config.error(identifier, f"needs the network's weights; {source.path} is no network "
                           "that gives its maps")  # fmt: skip
    try:
        _, prepare = read_prepare(config, source.channels)
    except NotTranslatable as error:
        raise config.error(
            config.role("preprocessing"), f"can't be run for a detector: {error}"
        ) from error
    values = {
        "channels": source.channels,
        "prepare": prepare,
        "windows": _windows(detector.inferer),
        "always_windows": _forced(config),
        "divisible": divisible,
        "anchors": _anchors(config, identifier, detector.anchor_generator),
        "classes": int(detector.num_classes),
        "weights": tuple(float(w) for w in detector.box_coder.weights),
        "selection": _selection(config, identifier, detector.box_selector),
    }
    try:
        plan = DetectionPlan.model_validate(values)
    except ValidationError as error:
        raise config.error(identifier, describe_mistakes(error, DetectionPlan)) from error
    plain = source.build
    source = dataclasses.replace(source, build=lambda: maps_of(plain()))
    return OpenedBundle(source, plan, config.metadata)


def maps_of(network: nn.Module) -> nn.Module:
    """The network with its class maps and then its box maps as a tuple instead of a dictionary."""
    from torch import nn

    class Maps(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            found = self.network(image)
            if isinstance(found, dict):
                found = [*found[self.network.cls_key], *found[self.network.box_reg_key]]
            return tuple(found)

    return Maps(network).eval()


def _detector(config: Config) -> str:
    said = f"inferer{SEPARATOR}detector"
    return config.follow(said if said in config else "detector")


def _windows(inferer: Any) -> dict[str, Any]:
    """What :class:`models.recipe.Windows` takes, of MONAI's ``SlidingWindowInferer``."""
    if inferer is None:
        return {"patch": (-1, -1, -1), "batch": 1}
    return {
        "patch": _three(inferer.roi_size),
        "overlap": _three(inferer.overlap),
        "blend": str(inferer.mode),
        "sigma_scale": inferer.sigma_scale,
        "padding": str(inferer.padding_mode),
        "fill": inferer.cval,
        "batch": inferer.sw_batch_size,
    }


def _forced(config: Config) -> bool:
    name = config.target("inferer").rpartition(".")[2]
    if name not in _SCRIPTS:
        raise config.error("inferer", f"{name} is no inferer of a RetinaNet that is known")
    said = f"inferer{SEPARATOR}force_sliding_window"
    return bool(config.resolve(said)) if said in config else False


def _anchors(config: Config, identifier: str, generator: Any) -> list[list[list[float]]]:
    if generator.spatial_dims != 3 or generator.indexing != "ij":
        raise config.error(identifier, "its anchors are not three-dimensional with ij indexing")
    return [level.tolist() for level in generator.cell_anchors]


def _selection(config: Config, identifier: str, selector: Any) -> dict[str, Any]:
    """What :class:`models.detection.boxes.Selection` takes, of MONAI's ``BoxSelector``."""
    from monai.data.box_utils import box_iou

    if selector.box_overlap_metric is not box_iou:
        raise config.error(identifier, "measures overlap by something else than box_iou")
    return {
        "score": selector.score_thresh,
        "per_level": selector.topk_candidates_per_level,
        "overlap": selector.nms_thresh,
        "most": selector.detections_per_img,
        "sigmoid": selector.apply_sigmoid,
    }


def _check_afterwards(config: Config) -> None:
    if not config.has_role("postprocessing"):
        return
    for component in config.components(config.role("postprocessing")):
        if component.name not in _AFTERWARDS:
            raise config.error(
                component.identifier, f"{component.name} does something to boxes that is not known"
            )


def _three(values: Any) -> tuple[Any, ...]:
    return (values,) * 3 if isinstance(values, (int, float)) else tuple(values)
