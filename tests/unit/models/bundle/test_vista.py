"""The published VISTA3D bundle, asked for classes, gives the labels that MONAI's own way gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("monai", reason="MONAI is not installed")
pytest.importorskip("nibabel", reason="nibabel, by which MONAI reads NIfTI, is not installed")

import torch
from monai.networks.nets.vista3d import VISTA3D, vista3d132

from imaging.geometry import Grid
from imaging.resample import to_sitk
from imaging.volume import Volume
from models.bundle import open_bundle
from models.errors import SpecError
from models.loaded import load_model
from models.pipeline import find_lesions
from models.runner import Direct
from models.runtime import Batch, Outputs
from models.runtime.source import TorchNetwork
from models.sections import NetworkSection
from models.voxels.labelmap import LabelMap
from models.voxels.prompts import PromptPlan, segment_prompts
from tests.unit.models.installed import install
from tests.unit.models.made import Here

SHAPE = (24, 40, 60)
GRID = Grid.from_dicom(SHAPE, (-20, -30, 100), (1, 0, 0, 0, 1, 0), (1.2, 1.2), (0, 0, 2.0))
FEATURES = 8
SMALL = {
    "network_def": f"$monai.networks.nets.vista3d132({FEATURES}, in_channels=@input_channels)",
    "patch_size": [32, 32, 32],
}
"""The same architecture with few features, in windows of which a few cover the volume."""


@pytest.fixture(scope="module")
def bundle(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published config with weights drawn by lot."""
    folder = tmp_path_factory.mktemp("bundles") / "vista3d"
    source = shared_data / "bundles" / folder.name
    if not source.is_dir():
        pytest.fail(f"{source} is missing")
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    (folder / "models").mkdir()
    torch.manual_seed(2)
    torch.save(vista3d132(FEATURES).state_dict(), folder / "models" / "model.pt")
    return folder


def a_volume(grid: Grid = GRID) -> Volume:
    """A body in air, so that the crop to the foreground cuts something off."""
    draw = np.random.default_rng(3)
    voxels = np.full(grid.shape, -1000.0)
    voxels[:, 5:38, 24:48] = draw.normal(40, 120, voxels[:, 5:38, 24:48].shape)
    voxels[8:14, 12:22, 30:40] += 300
    return Volume(voxels.astype(np.int16), grid)


class Eager(Here):
    """The bundle's network as PyTorch runs it."""

    def __init__(self, source: TorchNetwork) -> None:
        self._network = source.build()
        self.channels = 0

    def run(self, batch: Batch) -> Outputs:
        with torch.inference_mode():
            output = self._network(torch.from_numpy(batch)).numpy()
        self.channels = output.shape[1]
        return (output,)


def ours(
    folder: Path, overrides: dict[str, Any], prompts: tuple[int, ...], volume: Volume
) -> tuple[LabelMap, int]:
    """The labels, and how many channels the network gave."""
    section = NetworkSection(kind="monai-bundle", overrides=overrides, prompts=prompts)
    opened = open_bundle(folder, section)
    assert isinstance(opened.source, TorchNetwork) and isinstance(opened.plan, PromptPlan)
    runtime = Eager(opened.source)
    return segment_prompts([volume], opened.plan, Direct(runtime)), runtime.channels


def monais(
    folder: Path, overrides: dict[str, Any], prompts: tuple[int, ...], volume: Volume, path: Path
) -> np.ndarray:
    """What the bundle's evaluator does with one image, its two scripts written out below."""
    import SimpleITK as sitk
    from monai.bundle import ConfigParser
    from monai.inferers import sliding_window_inference
    from monai.transforms import reset_ops_id

    sitk.WriteImage(to_sitk(volume.voxels, volume.grid), str(path))
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    config = parser.get()
    config |= overrides | {"bundle_root": str(folder)}
    config["postprocessing"]["transforms"].pop()  # SaveImaged
    config["preprocessing_transforms"][2]["device"] = "cpu"

    network: VISTA3D = parser.get_parsed_content("network").eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    data: dict[str, Any] = {"image": str(path)}
    if prompts:
        data["label_prompt"] = list(prompts)
    data = parser.get_parsed_content("preprocessing")(data)
    asked = data.get("label_prompt") or parser.get_parsed_content("everything_labels")
    classes = torch.tensor(asked).unsqueeze(-1)
    with torch.no_grad():
        logits = sliding_window_inference(
            inputs=data["image"][None],
            roi_size=config["patch_size"],
            sw_batch_size=config["sw_batch_size"],
            predictor=network,
            overlap=config["inferer"]["overlap"],
            mode="gaussian",
            transpose=True,
            point_coords=None,
            point_labels=None,
            class_vector=classes,
            prompt_class=classes.clone(),
            prev_mask=None,
            labels=None,
            label_set=None,
        )
    data |= {"image": reset_ops_id(data["image"]), "pred": logits[0], "label_prompt": classes}
    found = parser.get_parsed_content("postprocessing")(data)["pred"]
    return np.asarray(found[0]).transpose(2, 1, 0)  # (x, y, z) of the file to (k, j, i)


@pytest.mark.parametrize(
    ("prompts", "channels"),
    [((3, 2, 23), 4), ((4,), 1), ((), FEATURES)],
    ids=["some-with-parts", "one", "everything"],
)
def test_same_labels_as_monais_own_way(
    bundle: Path, prompts: tuple[int, ...], channels: int, tmp_path: Path
) -> None:
    found, given = ours(bundle, SMALL, prompts, a_volume())
    # One channel a class, or where more classes are asked for than there are features these.
    assert given == channels
    expected = monais(bundle, SMALL, prompts, a_volume(), tmp_path / "image.nii.gz")
    assert len(np.unique(expected)) > min(2, len(prompts))
    assert not found.labels[:, :, :8].any(), "beyond the crop is background"
    # The same but where two classes tie in the last bits of a float.
    assert np.count_nonzero(found.labels != expected) <= 1e-4 * expected.size
    assert found.confidence is not None
    assert (found.confidence[found.labels > 0] >= 127).all()


def test_one_encoding_serves_every_class(bundle: Path) -> None:
    """The logits of all classes are what MONAI's network gives for one patch."""
    section = NetworkSection(kind="monai-bundle", overrides=SMALL)
    opened = open_bundle(bundle, section)
    assert isinstance(opened.source, TorchNetwork) and isinstance(opened.plan, PromptPlan)
    prompts = opened.plan.recipe.finish.prompts
    assert len(prompts) == 117 and opened.plan.vectors is not None
    network = vista3d132(FEATURES).eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    patch = torch.rand(1, 1, 32, 32, 32)
    with torch.inference_mode():
        classes = torch.tensor(prompts).unsqueeze(-1)
        expected = network(patch, class_vector=classes, transpose=True)[0].numpy()
        features = opened.source.build()(patch)[0].numpy()
    logits = np.tensordot(opened.plan.vectors, features, 1)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("prompts", "overrides", "says"),
    [
        ((3, 133), {}, "133 is no class of this network"),
        ((3,), {"network_def": {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1,
         "out_channels": 2, "channels": [4, 8], "strides": [2]}}, "no VISTA3D"),
        ((3,), {"inferer#mode": "constant"}, "mode"),
        ((3,), {"postprocessing#transforms#3#func": "$lambda x: torch.flip(x, [1])"}, "of its own"),
        ((3,), {"postprocessing#transforms#2#nearest_interp": False}, "nearest_interp"),
        ((3,), {"preprocessing_transforms#3": {"_target_": "Zoomd", "keys": "image", "zoom": 2}},
         "Zoomd"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(
    bundle: Path, prompts: tuple[int, ...], overrides: dict[str, Any], says: str
) -> None:
    section = NetworkSection(kind="monai-bundle", overrides=SMALL | overrides, prompts=prompts)
    with pytest.raises(SpecError, match=says) as caught:
        open_bundle(bundle, section)
    assert "inference.json" in str(caught.value)


def test_exports_of_other_classes_are_kept_apart(bundle: Path) -> None:
    def cache(*prompts: int) -> Any:
        section = NetworkSection(kind="monai-bundle", overrides=SMALL, prompts=prompts)
        source = open_bundle(bundle, section).source
        assert isinstance(source, TorchNetwork)
        return source.cache

    assert cache(3) == cache(3) != cache(4)


def test_a_study_gets_its_lesions_and_organs(bundle: Path) -> None:
    """The catalogue's description, the runtime and the path that a study takes."""
    spec = install(bundle, "models/model.pt", prompts="[3, 4, 23]")
    network = spec.network.model_copy(update={"overrides": SMALL})
    model = load_model(
        spec.model_copy(update={"network": network}), runtime="torch", device="cpu", threads=1
    )
    found = find_lesions([a_volume()], model, model.runners)
    kinds = {label.index: label.kind for label in spec.labels}
    assert kinds[23] == "lesion" and kinds[3] == kinds[4] == "organ"
    assert {each.label for each in found.candidates} >= {23}
    assert all(each.region.within.same_as(GRID) for each in found.candidates)


@pytest.mark.slow
def test_the_published_network_in_full_size(shared_data: Path, tmp_path: Path) -> None:
    """218 million weights, patches of 128; minutes and 6 GB."""
    folder = tmp_path / "vista3d"
    shutil.copytree(shared_data / "bundles" / "vista3d", folder, copy_function=shutil.copyfile)
    (folder / "models").mkdir()
    torch.manual_seed(2)
    torch.save(vista3d132().state_dict(), folder / "models" / "model.pt")
    prompts = (3, 23, 24)
    found, _ = ours(folder, {}, prompts, a_volume())
    expected = monais(folder, {}, prompts, a_volume(), tmp_path / "image.nii.gz")
    assert np.count_nonzero(found.labels != expected) <= 1e-4 * expected.size
