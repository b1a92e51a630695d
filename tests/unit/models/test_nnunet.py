"""nnU-Net exports give the labels that nnU-Net's own predictor gives; hostile ones are refused."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

import torch

from imaging.geometry import Grid
from imaging.volume import Volume
from models.errors import PatchRefused, RuntimeMissing, SpecError
from models.loaded import load_model
from models.nnunet import OpenedNnunet, open_nnunet, segment
from models.pipeline import find_lesions
from models.runner import Direct, PatchInput, PatchOutputs, Runner
from models.runtime import Batch, Outputs
from models.runtime.source import TorchNetwork
from models.sections import NetworkSection
from models.voxels.labelmap import LabelMap
from tests.unit.models.installed import install
from tests.unit.models.nnunet_export import LABELS, REGIONS, dataset, plans, write_export

SHAPE = (13, 44, 40)
AXIAL = Grid.from_dicom(SHAPE, (-20, -22, 5), (1, 0, 0, 0, 1, 0), (1, 1), (0, 0, 3))


class Eager:
    """The network as PyTorch runs it."""

    name = "torch"
    device = "cpu"

    def __init__(self, source: TorchNetwork) -> None:
        self._network = source.build()

    def run(self, batch: Batch) -> Outputs:
        with torch.inference_mode():
            return (self._network(torch.from_numpy(batch)).numpy(),)

    def close(self) -> None: ...


class Several(Direct):
    """Runs patches in other threads, so that some finish before earlier ones."""

    def __init__(self, runtime: Eager, pool: ThreadPoolExecutor) -> None:
        super().__init__(runtime)
        self._pool = pool

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        return self._pool.submit(lambda: super(Several, self).submit(patch).result())


def signal(channels: int = 1) -> np.ndarray:
    """(c, k, j, i) with structure at every scale and a border of nothing."""
    draw = np.random.default_rng(5)
    values = draw.normal(size=(channels, *SHAPE)).cumsum(-1) * 60
    values[:, :2] = 0
    values[:, :, :5] = 0
    return values.astype(np.float32)


def ours(opened: OpenedNnunet, values: np.ndarray, grid: Grid = AXIAL) -> LabelMap:
    volumes = [Volume(channel, grid) for channel in values]
    with ThreadPoolExecutor(3) as pool:
        runners: dict[str, Runner] = {
            role: Several(Eager(source), pool) for role, source in opened.sources.items()
        }
        return segment(volumes, opened.plan, runners)


def theirs(folder: Path, folds: tuple[str | int, ...] | None = None) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), folds)
    return predictor


NETWORK = NetworkSection(kind="nnunet")


@pytest.mark.parametrize(
    ("made", "described", "folds"),
    [
        (plans(), dataset(LABELS), ("0",)),
        (plans(channels=2, transpose=(1, 0, 2)), dataset(REGIONS, 2), ("0", "1")),
        (plans(patch=(24, 24), spacing=(1.2, 1.2), configuration="2d"), dataset(LABELS), ("3",)),
        (plans(patch=(16, 48, 48)), dataset(LABELS), ("all",)),
    ],
    ids=["3d", "regions-two-folds-transposed", "2d", "smaller-than-a-patch"],
)
def test_same_labels_as_nnunets_predictor(
    tmp_path: Path, made: dict[str, Any], described: dict[str, Any], folds: tuple[str, ...]
) -> None:
    n = len(next(iter(made["configurations"].values()))["patch_size"])
    folder = write_export(tmp_path / "model", made, described, folds=folds, mirror=tuple(range(n)))
    values = signal(len(described["channel_names"]))
    result = ours(open_nnunet(folder, NETWORK), values)
    expected, probabilities = theirs(folder, folds).predict_single_npy_array(
        values, {"spacing": list(AXIAL.spacing_mm)}, save_or_return_probabilities=True
    )
    assert set(np.unique(expected)) == {0, 1, 2}
    # Not one voxel differs: same arithmetic, same order, half precision where nnU-Net has it.
    np.testing.assert_array_equal(result.labels, expected)
    background = np.zeros_like(probabilities[:1])
    if described["labels"] == REGIONS:
        # A region's channel is one less than its value here.
        probabilities = np.concatenate([background, probabilities])
    probabilities[0] = 0
    chosen = np.take_along_axis(probabilities, expected[None].astype(int), 0)[0]
    assert result.confidence is not None
    assert np.abs(result.confidence / 255 - chosen).max() <= 0.51 / 255


def test_same_labels_as_from_a_file_however_the_series_is_stored(tmp_path: Path) -> None:
    """The file's axes are those of an axial series; others are turned there and back."""
    import SimpleITK as sitk

    folder = write_export(tmp_path / "model", plans(), dataset(LABELS), mirror=None)
    values = signal()[0]
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(AXIAL.spacing_mm[::-1])
    image.SetOrigin(AXIAL.affine[:3, 3].tolist())
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    sitk.WriteImage(image, str(tmp_path / "in" / "case_0000.nii.gz"))
    theirs(folder).predict_from_files_sequential(str(tmp_path / "in"), str(tmp_path / "out"))
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.nii.gz")))
    assert len(np.unique(expected)) == 3

    opened = open_nnunet(folder, NETWORK)
    np.testing.assert_array_equal(ours(opened, values[None]).labels, expected)
    # Feet first and face down: rows and slices run the other way.
    turned = AXIAL.affine @ np.diag([-1.0, -1, 1, 1])
    turned[:3, 3] = AXIAL.to_lps((SHAPE[0] - 1, SHAPE[1] - 1, 0))
    result = ours(opened, values[None, ::-1, ::-1], Grid(SHAPE, turned))
    np.testing.assert_array_equal(result.labels, expected[::-1, ::-1])
    # Sagittal: a slice for each column.
    sagittal = Grid((SHAPE[2], SHAPE[0], SHAPE[1]), AXIAL.affine[:, [2, 0, 1, 3]])
    result = ours(opened, values.transpose(2, 0, 1)[None], sagittal)
    np.testing.assert_array_equal(result.labels, expected.transpose(2, 0, 1))


def test_images_that_were_turned_for_training_are_turned_for_inference(tmp_path: Path) -> None:
    made = plans()
    made["image_reader_writer"] = "NibabelIOWithReorient"
    folder = write_export(tmp_path / "model", made, dataset(LABELS), mirror=None)
    opened = open_nnunet(folder, NETWORK)
    assert opened.plan.orientation == "RAS"
    values = signal()
    seen = np.ascontiguousarray(values[:, :, ::-1, ::-1])
    expected = theirs(folder).predict_single_npy_array(seen, {"spacing": list(AXIAL.spacing_mm)})
    np.testing.assert_array_equal(ours(opened, values).labels[:, ::-1, ::-1], expected)
    said = NetworkSection(kind="nnunet", overrides={"orientation": "LAS"})
    assert open_nnunet(folder, said).plan.orientation == "LAS"


def test_a_trainers_own_architecture_is_built(tmp_path: Path) -> None:
    """nnUNetTrainerBN swaps the norm that the plans name."""
    made = plans()
    arguments = made["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["norm_op"] = "torch.nn.modules.batchnorm.BatchNorm3d"
    folder = write_export(tmp_path / "m", made, dataset(LABELS), trainer="nnUNetTrainerBN")
    arguments["norm_op"] = "torch.nn.modules.instancenorm.InstanceNorm3d"
    (folder / "plans.json").write_text(json.dumps(made))
    (source,) = open_nnunet(folder, NETWORK).sources.values()
    kinds = {type(module).__name__ for module in source.build().modules()}
    assert "BatchNorm3d" in kinds and "InstanceNorm3d" not in kinds


def test_what_overrides_say_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "model" / "Dataset900_Test" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    folder.parent.mkdir(parents=True)
    write_export(folder, plans(), dataset(LABELS), folds=("0", "1", "all"))
    opened = open_nnunet(tmp_path / "model", NETWORK)
    assert list(opened.sources) == ["fold_0", "fold_1"]
    assert opened.plan.labels == {0: "background", 1: "organ", 2: "lesion"}
    assert opened.plan.mirror == (0, 1, 2)
    source = opened.sources["fold_0"]
    assert (source.channels, source.patch, source.fixed) == (1, (16, 24, 24), False)
    said = {"folds": [1], "mirroring": False, "tile_step_size": 1.0}
    opened = open_nnunet(tmp_path / "model", NetworkSection(kind="nnunet", overrides=said))
    assert (list(opened.sources), opened.plan.mirror, opened.plan.step) == (["fold_1"], (), 1.0)
    said = {"folds": "all"}
    opened = open_nnunet(tmp_path / "model", NetworkSection(kind="nnunet", overrides=said))
    assert list(opened.sources) == ["fold_all"]


class Shell:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, (f"touch {self.mark}",)

    def __init__(self, mark: Path) -> None:
        self.mark = mark


def test_a_checkpoint_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "model", plans(), dataset(LABELS))
    path = folder / "fold_0" / "checkpoint_final.pth"
    mark = tmp_path / "executed"
    values = torch.load(path, weights_only=False)
    torch.save(values | {"logging": Shell(mark)}, path)
    with pytest.raises(SpecError, match="would execute code") as caught:
        open_nnunet(folder, NETWORK)
    assert str(path) in str(caught.value)
    path.write_bytes(pickle.dumps(Shell(mark)))
    with pytest.raises(SpecError, match="would execute code|no checkpoint"):
        open_nnunet(folder, NETWORK)
    assert not mark.exists()


def _architecture(made: dict[str, Any], key: str, value: Any) -> None:
    architecture = made["configurations"]["3d_fullres"]["architecture"]
    if key in architecture:
        architecture[key] = value
    else:
        architecture["arch_kwargs"][key] = value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_class_name", "os.system"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet.nn.Conv3d"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet.NoSuchNet"),
        ("conv_op", "subprocess.Popen"),
        ("nonlin", "torch.nn.modules.module.functools.partial"),
        ("nonlin", ["torch.nn.ReLU"]),
        ("_kw_requires_import", ["no_such_key"]),
    ],
)
def test_plans_that_name_something_else_than_a_network_are_refused(
    tmp_path: Path, key: str, value: Any
) -> None:
    made = plans()
    folder = write_export(tmp_path / "model", made, dataset(LABELS))
    _architecture(made, key, value)
    (folder / "plans.json").write_text(json.dumps(made))
    with pytest.raises(SpecError, match=r"plans\.json: configurations\.3d_fullres\.architecture"):
        open_nnunet(folder, NETWORK)


def _broken(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("plans.json", lambda v: v.pop("transpose_forward"), "transpose_forward"),
        ("plans.json", lambda v: v["configurations"].clear(), "3d_fullres"),
        ("plans.json", lambda v: v["configurations"]["3d_fullres"].pop("spacing"), "spacing"),
        ("plans.json",
         lambda v: v["configurations"]["3d_fullres"].update(previous_stage="3d_lowres"), "cascade"),
        ("plans.json",
         lambda v: v["configurations"]["3d_fullres"].update(resampling_fn_data="os.system"),
         "not usable"),
        ("dataset.json", lambda v: v["channel_names"].update({"1": "PET"}), "do not fit together"),
        ("dataset.json", lambda v: v["labels"].pop("background"), "Background"),
        ("dataset.json", lambda v: v.pop("labels"), "labels"),
    ],
)  # fmt: skip
def test_broken_plans_are_refused_when_they_are_read(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    folder = write_export(tmp_path / "model", plans(), dataset(LABELS))
    _broken(folder, name, change)
    with pytest.raises(SpecError, match=says):
        open_nnunet(folder, NETWORK)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"one folder with plans\.json, here: none"):
        open_nnunet(tmp_path, NETWORK)
    folder = write_export(tmp_path / "a" / "model", plans(), dataset(LABELS))
    write_export(tmp_path / "a" / "other", plans(), dataset(LABELS))
    with pytest.raises(SpecError, match=r"one folder with plans\.json"):
        open_nnunet(tmp_path / "a", NETWORK)
    with pytest.raises(SpecError, match=r"fold_4/checkpoint_final\.pth: no such file"):
        open_nnunet(folder, NetworkSection(kind="nnunet", overrides={"folds": [4]}))
    with pytest.raises(SpecError, match=r"network\.overrides.*mirrorin.*mirroring"):
        open_nnunet(folder, NetworkSection(kind="nnunet", overrides={"mirrorin": False}))
    (folder / "dataset.json").write_text("[]")
    with pytest.raises(SpecError, match=r"dataset\.json"):
        open_nnunet(folder, NETWORK)
    (folder / "dataset.json").unlink()
    with pytest.raises(SpecError, match=r"dataset\.json: no such file"):
        open_nnunet(folder, NETWORK)


def test_without_nnunet_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nnunetv2", None)
    with pytest.raises(RuntimeMissing, match=r"pip install 'preread\[nnunet\]'"):
        open_nnunet(Path(), NETWORK)


def test_weights_of_another_training_are_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "model", plans(), dataset(LABELS), trainer="nnUNetTrainerOurs")
    (source,) = open_nnunet(folder, NETWORK).sources.values()
    with pytest.raises(SpecError, match=r"nnUNetTrainerOurs.*overrides\.trainer"):
        source.build()
    said = NetworkSection(kind="nnunet", overrides={"trainer": "nnUNetTrainer"})
    (source,) = open_nnunet(folder, said).sources.values()
    assert not source.build().training
    made = plans()
    _architecture(made, "features_per_stage", [4, 8, 16])
    (folder / "plans.json").write_text(json.dumps(made))
    (source,) = open_nnunet(folder, said).sources.values()
    with pytest.raises(SpecError, match="different trainings"):
        source.build()


def test_a_study_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    class Broken(Eager):
        def run(self, batch: Batch) -> Outputs:
            (output,) = super().run(batch)
            return (output * np.float32(np.nan),)

    folder = write_export(tmp_path / "model", plans(), dataset(LABELS), mirror=None)
    opened = open_nnunet(folder, NETWORK)
    volume = Volume(signal()[0], AXIAL)
    runners = {role: Direct(Broken(source)) for role, source in opened.sources.items()}
    with pytest.raises(SpecError, match=r"takes 1 series \(CT\), not 2"):
        segment([volume, volume], opened.plan, runners)
    with pytest.raises(PatchRefused, match="not finite"):
        segment([volume], opened.plan, runners)


def test_a_study_gets_its_lesions_and_organs(tmp_path: Path) -> None:
    """A description, the runtime and the path that a study takes."""
    folder = write_export(tmp_path / "ours", plans(), dataset(LABELS))
    spec = install(
        folder, "fold_0/checkpoint_final.pth", name="panorama_pancreas_nnunet",
        score_threshold="0.0", minimum_mm3="1.0",
    )  # fmt: skip
    model = load_model(spec, runtime="torch", device="cpu", threads=1)
    assert list(model.networks) == ["fold_0"] and model.splits["fold_0"].multiple == 4
    found = find_lesions([Volume(signal()[0], AXIAL)], model, model.runners)
    labels = {each.label for each in found.candidates}
    assert labels == {1, 2}
    expected = theirs(folder).predict_single_npy_array(
        signal(), {"spacing": list(AXIAL.spacing_mm)}
    )
    organ = next(each for each in found.candidates if each.label == 2)
    # Channels last and float16 sums: a voxel in ten thousand may fall the other way.
    ours_ = np.zeros(SHAPE, bool)
    ours_[organ.region.box] = organ.region.voxels
    assert np.count_nonzero(ours_ != (expected == 2)) <= 1e-3 * expected.size
