"""The route of several MR series: DICOM in, findings, SEG and SR on the first role's grid out.

The network is a BraTS-shaped bundle made on the spot; the roles, the registration and the skull
are the catalogue's own description of BraTS.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from imaging.headers import scan_files
from imaging.load import load_series
from imaging.phantom_brain import EDEMA, RIM, make_brain_study, rigid, tissue_on
from imaging.phantom_brain_series import write_brain_study
from imaging.series import group_series
from imaging.volume import Volume
from pacs_bridge.cli import main
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.brats_made import write_brats_bundle


def analyse(place: Path, study: Path, **keys: str) -> int:
    """`preread analyse` with the bundle in ``place``; results in ``place/out``."""
    if not (place / "models").is_dir():
        write_brats_bundle(place / "models" / "brats_made", **keys)
    (place / "preread.toml").write_text(
        f'[models]\nfolder = "{place / "models"}"\nenabled = ["brats_made"]\ndevice = "cpu"\n',
        encoding="utf-8",
    )
    settings = str(place / "preread.toml")
    return main(["analyse", str(study), "--config", settings, "--out", str(place / "out")])


def report_of(place: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((place / "out" / "findings.json").read_text("utf-8"))
    return report


def segmented(place: Path, volume: Volume, name: str) -> NDArray[np.bool_]:
    """The voxels of every segment of that name, found by the SEG's own positions."""
    seg = pydicom.dcmread(place / "out" / "seg.dcm")
    numbers = {s.SegmentNumber for s in seg.SegmentSequence if s.SegmentLabel.startswith(name)}
    shared = seg.SharedFunctionalGroupsSequence[0]
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns) > 0
    mask = np.zeros(volume.grid.shape, bool)
    assert (seg.Rows, seg.Columns) == volume.grid.shape[1:]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    turned = volume.grid.affine[:3, [2, 1]] / np.array(volume.grid.spacing_mm)[[2, 1]]
    assert np.allclose(orientation, turned.T.ravel(), atol=1e-4)
    for groups, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        # Of a SEG with one segment the shared groups say which.
        told = groups.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
        if told[0].ReferencedSegmentNumber not in numbers:
            continue
        place_mm = groups.PlanePositionSequence[0].ImagePositionPatient
        k, j, i = volume.grid.to_index(np.array(place_mm, np.float64))
        assert abs(k - round(k)) < 0.01 and abs(j) < 0.01 and abs(i) < 0.01
        mask[round(k)] |= frame
    return mask


def test_four_series_that_do_not_lie_right(tmp_path: Path) -> None:
    """An oblique T1c, thick T1 and T2 that moved, and a FLAIR of another frame of reference."""
    study = make_brain_study(0)
    write_brain_study(study, tmp_path / "study")
    assert analyse(tmp_path, tmp_path / "study", axial_mm="2.0") == 0
    report = report_of(tmp_path)
    first = study.series[0]
    assert report["series_description"] == first.plan.description
    assert report["modality"] == "MR" and report["slice_count"] == first.plan.shape[0]
    told = [w["code"] for w in report["warnings"]]
    assert told.count("moved-series") == 3
    assert {"other-frame-aligned", "skull-stripped", "thick-slices"} <= set(told)
    for warning in report["warnings"]:
        assert re.search("[一-鿿]", warning["text"]["zh"]), warning
    # The FLAIR lay 39 mm and 9 degrees off; edema and rim are found where the head has them.
    tissue = tissue_on(first.volume.grid, first.plan.motion)
    for name, wanted, least in (
        ("Peritumoral", tissue == EDEMA, 0.7),
        ("Enhancing", tissue == RIM, 0.6),
    ):
        found = segmented(tmp_path, first.volume, name)
        dice = 2 * np.count_nonzero(found & wanted) / (found.sum() + wanted.sum())
        assert dice > least, (name, dice)
    sr = pydicom.dcmread(tmp_path / "out" / "sr.dcm")
    (source,) = {
        item.ReferencedSeriesSequence[0].SeriesInstanceUID
        for item in sr.CurrentRequestedProcedureEvidenceSequence
        if item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID
        == MRImageStorage
    }
    assert source == report["series_uid"]


@pytest.mark.slow
def test_a_series_that_is_another_head_s_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_brain_study(0)
    files = write_brain_study(study, tmp_path / "study")
    rng = np.random.default_rng(1)
    for path in files["T1"]:
        image = pydicom.dcmread(path)
        image.PixelData = rng.integers(0, 900, (image.Rows, image.Columns)).astype("<u2").tobytes()
        image.save_as(path)
    assert analyse(tmp_path, tmp_path / "study") == 2
    assert "T1 could not be laid over T1c" in capsys.readouterr().err
    assert not (tmp_path / "out" / "seg.dcm").exists()


REAL = "protocol/enhanced_multiframe"
OBLIQUE = "protocol/geometry_tilt_gaps/dicom2nifti_failing/sliceorientation/001"


def block(volume: Volume) -> NDArray[np.bool_]:
    """A bar through all slices, off the middle so that no mirrored place could be taken for it."""
    mask = np.zeros(volume.grid.shape, bool)
    _, rows, columns = volume.grid.shape
    mask[:, rows // 3 : rows // 3 + 24, columns // 2 : columns // 2 + 30] = True
    return mask


def companions(
    volume: Volume, study_uid: str, folder: Path, motions: dict[str, Any], frame: str
) -> None:
    """Further series made from a real one: other tissue contrast, moved by a known motion.

    The FLAIR has a bright block in it, :func:`block`.
    """
    high = float(np.percentile(volume.voxels, 99.5))
    share = np.clip(volume.voxels / high, 0, 1)
    looks = {
        "AX T1 SE": share**0.8,
        "AX T2 FSE": np.where(share > 0.06, (1.15 - share) * 0.8, share),
        "AX T2 FLAIR": np.where(share > 0.06, np.abs(share - 0.35) + 0.2, share),
    }
    looks["AX T2 FLAIR"][block(volume)] = 2.0
    for name, signal in looks.items():
        affine = motions[name] @ volume.grid.affine
        spacing = volume.grid.spacing_mm

        def change(_: int, image: Dataset, name: str = name) -> None:
            image.SOPClassUID, image.Modality = MRImageStorage, "MR"
            image.SeriesDescription, image.StudyInstanceUID = name, study_uid
            image.BodyPartExamined, image.FrameOfReferenceUID = "BRAIN", frame

        images = make_images(
            (signal * 900).astype(np.int16),
            orientation=[*(affine[:3, 2] / spacing[2]), *(affine[:3, 1] / spacing[1])],
            first=affine[:3, 3], spacing=(spacing[1], spacing[2]), step=affine[:3, 0], name=name,
            change=change,
        )  # fmt: skip
        write(folder / name.replace(" ", "_"), images)


def real_volume(paths: list[Path]) -> tuple[Volume, str]:
    (series,) = group_series(scan_files(paths))
    return load_series(series).volume, series.header.study_uid


@pytest.mark.slow
def test_a_real_multi_frame_series_is_the_first_role(shared_data: Path, tmp_path: Path) -> None:
    """NEMA's enhanced MR of a tumor after contrast, and three moved companions of it."""
    path = shared_data / REAL / "nema_MR" / "BRTUM008"
    volume, study_uid = real_volume([path])
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "tumor.dcm").write_bytes(path.read_bytes())
    motions = {
        "AX T1 SE": rigid((4, -3, 5), (2, -3, 4)),
        "AX T2 FSE": rigid((-3, 5, -4), (-3, 2, -2)),
        "AX T2 FLAIR": rigid((10, -12, 9), (3, 4, -5)),
    }
    companions(volume, study_uid, tmp_path / "study", motions, "1.2.3")
    # Trained with the skull on, on whatever grid the first series has.
    assert analyse(tmp_path, tmp_path / "study", skull_strip="false", axial_mm="0.0") == 0
    report = report_of(tmp_path)
    assert report["series_description"] == "* T1 AXIAL POST GAD"
    moved = [w["text"]["en"] for w in report["warnings"] if w["code"] == "moved-series"]
    assert len(moved) == 3
    left = [float(re.findall(r"about ([\d.]+) mm", text)[0]) for text in moved]
    assert max(left) < 1.5
    found = segmented(tmp_path, volume, "Peritumoral")
    wanted = block(volume)
    # The scalp is bright too: what lies within 20 voxels of the bar is compared.
    near = slice(None), slice(65, 129), slice(108, 178)
    both = np.count_nonzero(found[near] & wanted[near])
    assert 2 * both / (found[near].sum() + wanted.sum()) > 0.9
    seg = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    sources = [
        image
        for groups in seg.PerFrameFunctionalGroupsSequence
        for image in groups.DerivationImageSequence[0].SourceImageSequence
    ]
    assert {s.ReferencedSOPInstanceUID for s in sources} == {volume.sources[0].sop_instance_uid}  # type: ignore[union-attr]
    assert all(1 <= int(s.ReferencedFrameNumber) <= volume.grid.shape[0] for s in sources)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sagittal", "oblique"])
def test_a_real_slab_is_refused_for_registration_and_read_without(
    shared_data: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight sagittal multi-frame slices, two oblique ones: too little to lay anything over."""
    if kind == "sagittal":
        paths = sorted(
            (shared_data / REAL / "dicom2nifti_philips_enhanced/anatomical").rglob("*.dcm")
        )
    else:
        paths = [shared_data / OBLIQUE / f"IM-0001-000{n}-0001.dcm" for n in (1, 2)]
    assert paths and all(path.is_file() for path in paths)
    volume, study_uid = real_volume(paths)
    frame = str(pydicom.dcmread(paths[0], stop_before_pixels=True).get("FrameOfReferenceUID") or "")
    (tmp_path / "study").mkdir()
    for n, path in enumerate(paths):
        (tmp_path / "study" / f"first{n}.dcm").write_bytes(path.read_bytes())
    names = ("AX T1 SE", "AX T2 FSE", "AX T2 FLAIR")
    as_sent = dict.fromkeys(names, np.eye(4))
    companions(volume, study_uid, tmp_path / "study", as_sent, frame)
    any_first = {"minimum_slices": "2", "body_part": '""', "skull_strip": "false"}
    write_brats_bundle(tmp_path / "models" / "brats_made", **any_first)
    spec = tmp_path / "models" / "brats_made" / "preread.toml"
    text = spec.read_text("utf-8")
    # The real one says nothing of contrast, so it is taken by what it doesn't say.
    first = 'weighting = "T1"\ncontrast = "with"'
    assert first in text
    text = text.replace(first, 'exclude = "AX"', 1)
    spec.write_text(text, "utf-8")
    assert analyse(tmp_path, tmp_path / "study") == 2
    assert "could not be laid over T1c" in capsys.readouterr().err
    text = re.sub(r'(?m)^method = "rigid"$', 'method = "none"', text)
    text = re.sub(r"(?m)^(across_frames) = true$", r"\1 = false", text)
    spec.write_text(re.sub(r"(?m)^axial_mm = .*$", "axial_mm = 0.0", text), "utf-8")
    assert analyse(tmp_path, tmp_path / "study") == 0
    assert report_of(tmp_path)["slice_count"] == len(volume.voxels)
    found = segmented(tmp_path, volume, "Peritumoral")
    wanted = block(volume)
    assert 2 * np.count_nonzero(found & wanted) / (found.sum() + wanted.sum()) > 0.9
