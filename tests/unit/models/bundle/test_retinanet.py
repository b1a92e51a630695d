"""The published lung nodule detection bundle gives the boxes that MONAI's own way gives."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("monai", reason="MONAI is not installed")
pytest.importorskip("nibabel", reason="nibabel, by which MONAI reads NIfTI, is not installed")

import torch
from monai.apps.detection.networks import retinanet_network
from monai.networks.blocks import backbone_fpn_utils
from monai.networks.nets.resnet import resnet18, resnet50

from imaging.geometry import Grid
from imaging.resample import to_sitk
from imaging.volume import Volume
from models.bundle import OpenedBundle, open_bundle
from models.bundle.backbone import resnet_fpn_feature_extractor
from models.detection.boxes import Selection
from models.detection.detect import Box, DetectionPlan, detect
from models.errors import CodeRefused, SpecError
from models.loaded import load_model
from models.pipeline import find_lesions
from models.runner import Direct
from models.runtime import Batch, Outputs
from models.runtime.source import TorchNetwork
from models.sections import NetworkSection
from tests.unit.models.installed import install
from tests.unit.models.made import Here

SHAPE = (20, 34, 56)
GRID = Grid.from_dicom(SHAPE, (-20, -30, 100), (1, 0, 0, 0, 1, 0), (1.0, 1.0), (0, 0, 2.0))
WINDOWS = {"infer_patch_size": [64, 48, 32]}
"""Two of them cover the volume of 80 x 48 x 31 voxels of 0.7 x 0.7 x 1.25 mm."""
WHOLE: dict[str, Any] = {}


@pytest.fixture(scope="module")
def torchvision() -> Iterator[None]:
    """MONAI builds the detector's backbone with torchvision, whose compiled part may not fit."""
    try:
        import torchvision
    except ImportError:
        pytest.skip("torchvision is not installed, so MONAI can't build the network by itself")
    except RuntimeError:
        # Its Python part is all that MONAI takes; that wants two operators to be known.
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    from torchvision.models.detection import backbone_utils

    with pytest.MonkeyPatch.context() as patch:
        # MONAI looked for it when it was imported itself.
        check = backbone_utils._validate_trainable_layers
        patch.setattr(retinanet_network, "_validate_trainable_layers", check)
        patch.setattr(backbone_fpn_utils, "torchvision_models", torchvision.models)
        yield


@pytest.fixture(scope="module")
def bundle(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published config with weights drawn by lot, so that many boxes pass the threshold."""
    folder = tmp_path_factory.mktemp("bundles") / "lung_nodule_ct_detection"
    source = shared_data / "bundles" / folder.name
    if not source.is_dir():
        pytest.fail(f"{source} is missing")
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    (folder / "models").mkdir(mode=0o755)
    torch.manual_seed(4)
    backbone = resnet50(
        spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1], conv1_t_size=[7, 7, 7]
    )
    network = retinanet_network.RetinaNet(
        spatial_dims=3, num_classes=1, num_anchors=3, size_divisible=[16, 16, 8],
        feature_extractor=resnet_fpn_feature_extractor(backbone, 3, False, [1, 2], None),
    )  # fmt: skip
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    _spread(network)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def _spread(network: torch.nn.Module) -> None:
    """Scale the last layers so that logits are about -9.5 +- 2 and codes 0 +- 0.4."""
    network.eval()
    with torch.no_grad():
        maps = network(torch.rand(1, 1, 64, 48, 32))
        for key, layer, mean, deviation in (
            ("classification", network.classification_head.cls_logits, -9.5, 2.0),
            ("box_regression", network.regression_head.bbox_reg, 0.0, 0.4),
        ):
            values = torch.cat([each.flatten() for each in maps[key]])
            scale = deviation / values.std()
            layer.weight *= scale
            layer.bias.copy_((layer.bias - values.mean()) * scale + mean)


def a_volume(grid: Grid = GRID) -> Volume:
    draw = np.random.default_rng(7)
    voxels = draw.normal(-700, 150, grid.shape)
    voxels[5:12, 10:20, 12:30] = 40
    voxels[15:18, 26:30, 40:44] = 60
    return Volume(voxels.astype(np.int16), grid)


class Eager(Here):
    """The bundle's network as PyTorch runs it."""

    def __init__(self, source: TorchNetwork) -> None:
        self._network = source.build()
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Batch) -> Outputs:
        self.shapes.append(batch.shape[2:])
        with torch.inference_mode():
            return tuple(each.numpy() for each in self._network(torch.from_numpy(batch)))


def opened(folder: Path, overrides: dict[str, Any]) -> tuple[OpenedBundle, TorchNetwork]:
    section = NetworkSection(kind="monai-bundle", overrides=overrides)
    found = open_bundle(folder, section)
    assert isinstance(found.source, TorchNetwork)
    return found, found.source


def monais(
    folder: Path, overrides: dict[str, Any], volume: Volume, tmp_path: Path
) -> dict[str, Any]:
    """What the bundle's evaluator does with one image, its two scripts written out below."""
    import SimpleITK as sitk
    from monai.bundle import ConfigParser

    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(to_sitk(volume.voxels, volume.grid), str(path))
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    parser.read_meta(str(folder / "configs" / "metadata.json"))
    config = parser.get()
    config |= overrides | {
        "whether_raw_luna16": True,
        "bundle_root": str(folder),
        "test_datalist": [{"image": str(path)}],
        "amp": False,
    }
    # NIfTI instead of the MetaImage that only ITK reads; its affine is in RAS mm already.
    loader = config["preprocessing"]["transforms"][1]
    assert loader.pop("reader") == "itkreader" and loader.pop("affine_lps_to_ras") is True
    config["dataloader"]["num_workers"] = 0

    network = parser.get_parsed_content("network")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    detector = parser.get_parsed_content("detector").eval()
    parser.get_parsed_content("detector_ops")
    afterwards = parser.get_parsed_content("postprocessing")
    window = np.prod(detector.inferer.roi_size)
    for batch in parser.get_parsed_content("dataloader"):
        images = [each["image"] for each in batch]
        windows = not all(image[0].numel() < window for image in images)
        with torch.no_grad():
            found = detector(images, use_inferer=windows)
        return afterwards({**found[0], "image": images[0]})  # type: ignore[no-any-return]
    raise AssertionError("no image")


def as_monai(boxes: list[Box]) -> np.ndarray:
    """Centre and size in LPS mm, (n, 6)."""
    corners = np.array([np.concatenate(box.corners) for box in boxes]).reshape(-1, 6)
    return np.concatenate(
        [(corners[:, :3] + corners[:, 3:]) / 2, corners[:, 3:] - corners[:, :3]], axis=1
    )


@pytest.mark.parametrize(
    ("overrides", "shapes"),
    [
        pytest.param(WHOLE, [(80, 48, 32)], marks=pytest.mark.slow, id="whole"),
        pytest.param(WINDOWS, [(64, 48, 32)] * 2, id="windows"),
    ],
)
def test_same_boxes_as_monais_own_way(
    bundle: Path,
    torchvision: None,
    overrides: dict[str, Any],
    shapes: list[tuple[int, ...]],
    tmp_path: Path,
) -> None:
    found, source = opened(bundle, overrides)
    runtime = Eager(source)
    boxes = detect([a_volume()], found.plan, Direct(runtime))
    assert runtime.shapes == shapes
    expected = monais(bundle, overrides, a_volume(), tmp_path)
    assert 20 < len(boxes) < found.plan.selection.most, len(boxes)
    np.testing.assert_allclose(as_monai(boxes), expected["box"].numpy(), atol=1e-2)
    scores = np.array([box.score for box in boxes])
    np.testing.assert_allclose(scores, expected["label_scores"].numpy(), atol=1e-4)
    np.testing.assert_array_equal([b.class_number for b in boxes], expected["label"].numpy())


def test_the_backbone_is_the_one_that_monai_makes_with_torchvision(torchvision: None) -> None:
    def backbone() -> torch.nn.Module:
        torch.manual_seed(1)
        return resnet18(spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1])

    ours = resnet_fpn_feature_extractor(backbone(), 3, False, [1, 2], None)
    theirs = retinanet_network.resnet_fpn_feature_extractor(backbone(), 3, False, [1, 2], None)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(1, 1, 32, 32, 16)
    with torch.inference_mode():
        levels, expected = ours.eval()(image), theirs.eval()(image)
    assert list(levels) == list(expected)
    for key, level in levels.items():
        torch.testing.assert_close(level, expected[key], rtol=0, atol=0)
    with pytest.raises(ValueError, match="from 1 to 4"):
        resnet_fpn_feature_extractor(backbone(), 3, False, [0], None)


def test_the_plan_says_what_the_config_says(bundle: Path) -> None:
    found, source = opened(bundle, {"force_sliding_window": True})
    plan = found.plan
    assert isinstance(plan, DetectionPlan)
    # Resampled, as a DICOM series is not what the bundle calls resampled.
    assert [step.kind for step in plan.prepare] == ["orient", "space", "window"]
    assert (plan.windows.patch, plan.windows.overlap) == ((512, 512, 192), (0.25, 0.25, 0.25))
    assert plan.always_windows and plan.divisible == (16, 16, 8)
    assert plan.anchors[1][0] == (-6, -8, -4, 6, 8, 4) and len(plan.anchors) == 3
    assert plan.selection == Selection(score=0.02, per_level=1000, overlap=0.22, most=300)
    assert (source.channels, source.fixed) == (1, False)
    already = {"whether_raw_luna16": False}
    found, _ = opened(bundle, already)
    assert [step.kind for step in found.plan.prepare] == ["orient", "window"]


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        ({"detector_ops": ["$@detector.load_state_dict({})"]}, CodeRefused, "detector_ops"),
        ({"detector_ops": ["$@detector.set_box_selector_parameters(score_thresh='x')"]},
         SpecError, "score"),
        ({"detector": {"_target_": "scripts.detector.Own"}}, SpecError, "RetinaNetDetector"),
        ({"inferer#_target_": "scripts.other.Inferer"}, SpecError, "inferer"),
        ({"postprocessing#transforms#0#_target_": "scripts.boxes.Grow"}, SpecError, "Grow"),
        ({"anchor_generator#indexing": "xy"}, SpecError, "anchors"),
        ({"preprocessing#transforms#3": {"_target_": "Zoomd", "keys": "image", "zoom": 2}},
         SpecError, "Zoomd"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(
    bundle: Path, overrides: dict[str, Any], error: type[SpecError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        opened(bundle, overrides)
    assert "inference.json" in str(caught.value)
    assert type(caught.value) is error


def test_a_study_gets_its_nodules(bundle: Path) -> None:
    """The catalogue's description, the runtime and the path that a study takes."""
    spec = install(bundle, "models/model.pt", score_threshold="0.03", most_findings="3")
    model = load_model(spec, runtime="torch", device="cpu", threads=1)
    found = find_lesions([a_volume()], model, model.runners)
    assert len(found.candidates) == 3
    assert all(each.label == 1 and each.region.voxels.any() for each in found.candidates)
    scores = [each.score for each in found.candidates]
    assert scores == sorted(scores, reverse=True) and scores[-1] >= 0.03
    assert [each.code for each in found.notices] == ["boxes-only"]
    assert list(found.seconds) == ["prepare", "network", "finish"]
