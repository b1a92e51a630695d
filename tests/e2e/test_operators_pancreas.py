"""An operator's pancreas models, from one command to described findings, on networks made here.

The published architectures get weights that know one simulated abdomen by its densities
(``tests.unit.models.taught``), are brought with `preread models add`, and read that abdomen as
DICOM. What comes out is held against the phantom's truth. Minutes of CPU: slow.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from imaging.pancreatic import Attenuation, Part, Vessel
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen
from imaging.phantom_series import write_series
from imaging.report import Report
from imaging.volume import Volume
from models.sections import NetworkSection
from models.spec import look_up
from pacs_bridge.cli import main
from tests.unit.models.taught import by_voxel, features_before, fitted, painted, patches_of
from tests.unit.pacs_bridge.bundles_made import zipped

pytestmark = pytest.mark.slow

PANCREAS, DUCT, NEOPLASM = "15776009", "69930009", "108369006"
SIDE_MM = 3.0
SHAPE = (48, 128, 128)


@pytest.fixture(scope="module")
def phantom() -> AbdomenPhantom:
    """A lesion in the head; 3 mm voxels, so that one patch holds the whole of it."""
    return make_abdomen(
        3, slice_mm=SIDE_MM, pixels=SHAPE[1], width_mm=SIDE_MM * SHAPE[1], low_mm=40.0,
        high_mm=40.0 + SIDE_MM * SHAPE[0], lesion=Part.HEAD, lesion_mm=26.0, noise_hu=4.0,
    )  # fmt: skip


class Hospital:
    """Settings, a folder of models, and the abdomen with the densities that a network knows."""

    def __init__(self, folder: Path, phantom: AbdomenPhantom, densities: dict[str, int]) -> None:
        self.folder = folder
        self.phantom = phantom
        self.volume: Volume = painted(phantom, densities)
        write_series(replace(phantom, volume=self.volume), folder / "study")

    def run(self, *arguments: str) -> None:
        assert main([*arguments, "--config", str(self.folder / "preread.toml")]) == 0

    def enable(self, name: str) -> None:
        (self.folder / "preread.toml").write_text(
            f'[models]\nfolder = "{self.folder / "models"}"\nenabled = ["{name}"]\n'
            'device = "cpu"\nthreads = 1\n',
            encoding="utf-8",
        )

    def add(self, name: str, source: Path, overrides: str = "") -> None:
        """The site's one command; ``overrides`` make the network small enough for a test."""
        self.enable(name)
        self.run("models", "add", str(source), "--name", name, "--agree-licence")
        spec = look_up(name, [self.folder / "models"])
        assert spec.unfilled == (), "a site has nothing to fill in"
        if overrides:
            path = spec.folder / "preread.toml"
            text = path.read_text(encoding="utf-8") + f"\n[network.overrides]\n{overrides}\n"
            path.write_text(text, encoding="utf-8")

    def analyse(self) -> Report:
        out = self.folder / "out"
        self.run("analyse", str(self.folder / "study"), "--out", str(out))
        text = (out / "findings.json").read_text(encoding="utf-8")
        sr = pydicom.dcmread(out / "sr.dcm")
        report = Report.model_validate_json(text)
        assert sr.SOPInstanceUID == report.uid_of("sr")
        seg = pydicom.dcmread(out / "seg.dcm")
        assert len(seg.SegmentSequence) == len(report.findings) + len(report.structures)
        return report

    def holds(self, report: Report, *, off_mm: float, volume: tuple[float, float]) -> None:
        """The best finding is the planted lesion, described as a lesion of the pancreas."""
        truth = self.phantom.lesion
        assert truth is not None
        finding = report.findings[0]
        assert (finding.label.value, finding.site.value) == (NEOPLASM, PANCREAS)
        assert np.linalg.norm(np.subtract(finding.centre_lps_mm, truth.centre_lps_mm)) < off_mm
        planted = self.phantom.masks["lesion"].sum() * SIDE_MM**3
        assert volume[0] < finding.volume_mm3 / planted < volume[1]
        lesion = finding.pancreatic
        assert lesion is not None
        assert lesion.part is Part.HEAD, lesion.part_why.en
        assert [contact.vessel for contact in lesion.contacts] == list(Vessel)
        assert report.gland is not None
        assert not report.urgent, "nobody has validated it"
        gland = next(s for s in report.structures if s.label.value == PANCREAS)
        assert report.gland.tracking_uid == gland.tracking_uid


def test_panorama_nnunet(
    phantom: AbdomenPhantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    from models.nnunet import open_nnunet, segment
    from tests.unit.models.nnunet_export import plans, write_export

    site = Hospital(
        tmp_path, phantom,
        {"pancreas": 150, "duct": 80, "portal": 190, "sma": 230, "coeliac": 230, "cha": 230,
         "aorta": 230, "lesion": 115},
    )  # fmt: skip
    made = plans(patch=SHAPE, spacing=(SIDE_MM,) * 3)
    sizes = made["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    sizes["features_per_stage"] = [12, 8, 8]
    names = ("background", "PDAC", "veins", "arteries", "parenchyma", "duct", "common bile duct")
    described = {
        "channel_names": {"0": "CT"}, "file_ending": ".nii.gz",
        "labels": {name: number for number, name in enumerate(names)},
    }  # fmt: skip
    trained = tmp_path / "Dataset900_Panorama" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    trained.parent.mkdir()
    write_export(trained, made, described, mirror=None)

    masks = phantom.masks
    whole = masks["pancreas"] & ~masks["duct"] & ~masks["lesion"]
    arteries = masks["sma"] | masks["coeliac"] | masks["cha"] | masks["aorta"]
    truth = {5: masks["duct"], 4: whole, 2: masks["portal"], 3: arteries, 1: masks["lesion"]}
    opened = open_nnunet(trained, NetworkSection(kind="nnunet"))
    image, labels = patches_of(
        site.volume, truth, lambda v, w: segment([v], opened.plan, {"fold_0": w}), len(names)
    )
    (source,) = opened.sources.values()
    network = by_voxel(source.build())
    last = network.get_submodule("decoder.seg_layers")[-1]
    weight, bias = fitted(features_before(network, last, image), labels, len(names))
    weight[6], bias[6] = 0, -500  # the phantom has no bile duct
    last.weight.data.copy_(weight.reshape(last.weight.shape))
    last.bias.data.copy_(bias)
    checkpoint = trained / "fold_0" / "checkpoint_final.pth"
    kept = torch.load(checkpoint, weights_only=False)
    torch.save(kept | {"network_weights": network.state_dict()}, checkpoint)

    site.add("panorama_pancreas_nnunet", zipped(trained.parent, tmp_path / "export.zip"))
    assert "panorama_pancreas_nnunet 1 is in" in capsys.readouterr().out
    report = site.analyse()
    site.holds(report, off_mm=2.0, volume=(0.9, 1.1))
    (lesion,) = [f.pancreatic for f in report.findings[:1]]
    assert lesion is not None and lesion.attenuation is Attenuation.HYPO
    assert lesion.delta_hu is not None and -45 < lesion.delta_hu < -25
    assert {s.label.value for s in report.structures} == {
        "29092000", "51114001", PANCREAS, DUCT,
    }  # fmt: skip


def test_vista3d_asked_for_pancreatic_tumours(
    shared_data: Path, phantom: AbdomenPhantom, tmp_path: Path
) -> None:
    """Its own bundle's configuration, a narrow network, three of its prompts."""
    pytest.importorskip("monai", reason="MONAI is not installed")
    from monai.networks.nets.vista3d import vista3d132

    from models.bundle import open_bundle
    from models.voxels.prompts import segment_prompts

    organ, vein, tumour = prompts = (4, 17, 24)
    width, patch = 16, [SHAPE[1], SHAPE[2], SHAPE[0]]
    overrides = {
        "network_def": f"$monai.networks.nets.vista3d132({width}, in_channels=@input_channels)",
        "patch_size": patch,
        "resample_spacing": [SIDE_MM] * 3,
    }
    site = Hospital(tmp_path, phantom, {"pancreas": 350, "portal": 1000, "lesion": 650})
    folder = tmp_path / "brought" / "vista3d"
    shutil.copytree(shared_data / "bundles" / "vista3d", folder, copy_function=shutil.copyfile)
    weights = folder / "models" / "model.pt"
    weights.parent.mkdir(exist_ok=True)
    network = by_voxel(vista3d132(width), silent="upsample")
    torch.save(network.state_dict(), weights)
    opened = open_bundle(
        folder, NetworkSection(kind="monai-bundle", prompts=prompts, overrides=overrides)
    )
    masks = phantom.masks
    truth = {1: masks["pancreas"] & ~masks["lesion"], 2: masks["portal"], 3: masks["lesion"]}
    image, labels = patches_of(
        site.volume, truth, lambda v, w: segment_prompts([v], opened.plan, w), len(prompts)
    )
    whole = _Mapped(network).eval()
    weight, _ = fitted(features_before(whole, whole.end, image), labels, 4, bias=False)
    with torch.no_grad():
        _teach(network.class_head, torch.tensor(prompts), weight[1:].float())
    torch.save(network.state_dict(), weights)

    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in overrides.items())
    site.add("vista3d", zipped(folder, tmp_path / "vista3d.zip"), lines)
    described = site.folder / "models" / "vista3d" / "preread.toml"
    text = described.read_text(encoding="utf-8")
    asked = re.sub(r"(?m)^prompts = \[[^\]]*\]", f"prompts = {list(prompts)}", text)
    assert asked != text
    described.write_text(asked, encoding="utf-8")
    report = site.analyse()
    site.holds(report, off_mm=3.0, volume=(0.8, 1.2))
    contacts = {c.vessel: c.degrees for f in report.findings[:1] for c in f.pancreatic.contacts}  # type: ignore[union-attr]
    assert contacts[Vessel.SMA] is None, "no prompt asked for it"


class _Mapped(torch.nn.Module):
    """The network up to what its prompts are compared with."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.end = torch.nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        encoded = self.network.image_encoder(image, with_point=False, with_label=True)[1]
        mapped: torch.Tensor = self.end(self.network.class_head.image_post_mapping(encoded))
        return mapped


def _teach(head: torch.nn.Module, prompts: torch.Tensor, wanted: torch.Tensor) -> None:
    """Set the last layer so that each prompt's embedding becomes the wanted one."""
    *before, last = head.mlp
    hidden = head.class_embeddings(prompts[:, None])
    for layer in before:
        hidden = layer(hidden)
    solved = torch.linalg.lstsq(hidden[:, 0].double(), wanted.double()).solution
    last.weight.copy_(solved.T.float())
    last.bias.zero_()


def test_dints_pancreas_and_tumour(
    shared_data: Path, phantom: AbdomenPhantom, tmp_path: Path
) -> None:
    """The zoo's own configuration of DiNTS, a narrow network on coarser voxels."""
    pytest.importorskip("monai", reason="MONAI is not installed")
    from models.bundle import open_bundle
    from models.bundle.config import Config
    from models.voxels.segmentation import segment
    from tests.unit.models.bundle.made import published

    name = "pancreas_ct_dints_segmentation"
    overrides = {
        "dints_space#channel_mul": 0.25,
        "preprocessing#transforms#3#pixdim": [1.5, 1.5, 1.5],
        "inferer#roi_size": [2 * SHAPE[1], 2 * SHAPE[2], 2 * SHAPE[0]],
    }
    site = Hospital(tmp_path, phantom, {"pancreas": 100, "lesion": 190})
    folder = published(shared_data, name, tmp_path / "brought")
    section = NetworkSection(
        kind="monai-bundle", config="configs/inference.yaml", overrides=overrides
    )
    config = Config.read(folder, section)
    network = by_voxel(config.resolve(config.role("network")).eval())
    weights = folder / "models" / "model.pt"
    torch.save(network.state_dict(), weights)
    opened = open_bundle(folder, section)
    masks = phantom.masks
    truth = {1: masks["pancreas"] & ~masks["lesion"], 2: masks["lesion"]}
    image, labels = patches_of(
        site.volume, truth, lambda v, w: segment([v], opened.plan, w), len(truth) + 1
    )
    last = network.stem_finals[-1]
    weight, bias = fitted(features_before(network, last, image), labels, len(truth) + 1)
    last.weight.data.copy_(weight.reshape(last.weight.shape))
    last.bias.data.copy_(bias)
    torch.save(network.state_dict(), weights)

    lines = "\n".join(f"{json.dumps(key)} = {value}" for key, value in overrides.items())
    site.add(name, zipped(folder, tmp_path / "dints.zip"), lines)
    report = site.analyse()
    site.holds(report, off_mm=4.0, volume=(0.7, 1.6))
