"""Our SEG and SR through other people's tools: dicom3tools, DCMTK, dcmqi.

A tool that isn't installed skips its tests on a developer's machine; on CI (``CI`` set) it
fails them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.geometry import Grid
from imaging.language import Language
from imaging.notices import notice
from imaging.objects import make_seg, make_sr
from imaging.objects.source import plane_of
from imaging.report import FindingReview, Report, Signature, Stage, Verdict
from imaging.volume import SourceSlice, Volume
from tests.described import OVERRIDE
from tests.unit.imaging.objects.made import (
    AXIAL,
    CORONAL,
    CREATED,
    SAGITTAL,
    Study,
    block,
    make_study,
    two_findings,
    with_organ,
)
from tests.unit.imaging.objects.test_nodules import full


def tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (dicom3tools, dcmtk: apt; dcmqi: pip)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dciodvfy_errors(path: Path) -> list[str]:
    done = subprocess.run(
        [tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace"
    )
    said = done.stdout + done.stderr
    assert "Segmentation" in said or "ComprehensiveSR" in said, said  # it knew the class
    return [line for line in said.splitlines() if line.startswith("Error")]


def written(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def objects(study: Study, report: Report, folder: Path, **options: object) -> tuple[Path, Path]:
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    sr = make_sr(report, study.headers, seg, **options)  # type: ignore[arg-type]
    return written(seg, folder / "seg.dcm"), written(sr, folder / "sr.dcm")


def final(study: Study) -> Report:
    first, second = study.findings
    return study.report(
        stage=Stage.FINAL,
        signature=Signature(name="Zhang^San=张^三", organization="县人民医院", signed_at=CREATED),
        impression="右肺结节,建议随访。",
        warnings=(notice("reference-weights"), notice("thick-slices", found=2.5, limit=6)),
        reviews=(
            FindingReview(tracking_uid=first.tracking_uid, verdict=Verdict.REJECTED),
            FindingReview(tracking_uid=second.tracking_uid, verdict=Verdict.ACCEPTED, text="圆形"),
        ),
    )


def real_study(folder: Path) -> Study:
    """LIDC-IDRI-0001 with its mass marked by a threshold: real geometry, real header."""
    images = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    hu = np.stack([i.pixel_array * i.RescaleSlope + i.RescaleIntercept for i in images])
    step = np.subtract(images[1].ImagePositionPatient, images[0].ImagePositionPatient)
    first = images[0]
    grid = Grid.from_dicom(
        hu.shape, first.ImagePositionPatient, first.ImageOrientationPatient, first.PixelSpacing,
        step,
    )  # fmt: skip
    sources = tuple(
        SourceSlice(Path(str(i.filename)), str(i.SOPClassUID), str(i.SOPInstanceUID))
        for i in images
    )
    for image in images:
        del image.PixelData
    study = Study(list(images), Volume(hu.astype(np.int16), grid, sources))
    centre = np.array([56.2, 86.2, -115.6])  # the readers' centroid, LPS mm
    ball = np.zeros(hu.shape, dtype=bool)
    middle = np.round(grid.to_index(centre)).astype(int)
    box = tuple(slice(max(m - r, 0), m + r) for m, r in zip(middle, (8, 26, 26), strict=True))
    index = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), -1)
    near = np.linalg.norm(grid.to_lps(index) - centre, axis=-1) < 17
    ball[box] = near & (hu[box] > -350)
    study.add(ball)
    study.headers = study.headers[::-1]
    return study


def mask_lps(study: Study, number: int) -> np.ndarray:
    region = study.regions[study.findings[number - 1].tracking_uid]
    return region.within.to_lps(np.argwhere(region.voxels) + region.start)


def assert_dcmqi_gives_the_mask(seg: Path, study: Study, folder: Path) -> None:
    """segimage2itkimage writes one image a segment; its voxels must lie where ours do."""
    run(tool("segimage2itkimage"), "--inputDICOM", seg, "--outputDirectory", folder, "-t", "nrrd")
    for number in range(1, len(study.findings) + 1):
        image = sitk.ReadImage(str(folder / f"{number}.nrrd"))
        index = np.argwhere(sitk.GetArrayFromImage(image))
        wanted = mask_lps(study, number)
        assert len(index) == len(wanted)
        found = np.array([image.TransformIndexToPhysicalPoint(p[::-1].tolist()) for p in index])
        assert _sorted(found) == pytest.approx(_sorted(wanted), abs=0.02)


def _sorted(points: np.ndarray) -> np.ndarray:
    rounded = np.round(points, 1)
    return points[np.lexsort(rounded.T)]


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("orientation", [AXIAL, CORONAL], ids=["axial", "coronal"])
def test_dciodvfy_finds_no_error(
    orientation: tuple[float, ...], language: Language, tmp_path: Path
) -> None:
    study = two_findings(orientation=orientation)
    for report in (study.report(), final(study), study.report(fake=True)):
        for path in objects(study, report, tmp_path, language=language):
            assert dciodvfy_errors(path) == []


def test_dciodvfy_finds_no_error_with_organs(tmp_path: Path) -> None:
    study = with_organ()
    report = study.report()
    other = report.model.model_copy(update={"name": "spleens", "version": "7"})
    alone = report.model_copy(update={"findings": ()})
    for each in (report, report.model_copy(update={"models": (report.model, other)}), alone):
        for path in objects(study, each, tmp_path):
            assert dciodvfy_errors(path) == []


@pytest.mark.parametrize("language", list(Language))
def test_described_nodules_are_read_by_all(language: Language, tmp_path: Path) -> None:
    """dciodvfy and DCMTK (which checks relationships) find no error, dcmqi reads the numbers."""
    study = two_findings()
    report = full(study, overrides=(OVERRIDE,))
    _, sr = objects(study, report, tmp_path, language=language)
    assert dciodvfy_errors(sr) == []
    said = run(tool("dsrdump"), "+Pl", "+Pc", sr)
    for words in ("(RID50134,RADLEX", "(RID50151,RADLEX", "(42400003,SCT", "(VDT,99PREREAD"):
        assert words in said, words
    run(tool("tid1500reader"), "--inputDICOM", sr, "--outputMetadata", tmp_path / "sr.json")
    read = json.loads((tmp_path / "sr.json").read_text())["Measurements"][0]
    values = {item["quantity"]["CodeValue"]: item["value"] for item in read["measurementItems"]}
    assert float(values["118565006"]) == 214.0 and float(values["118538004"]) == 201.0
    kinds = {
        q["conceptCode"]["CodeValue"]: q["conceptValue"] for q in read["qualitativeEvaluations"]
    }
    assert kinds["RID39409"]["CodeValue"] == "RID50151"


def test_dcmqi_reads_an_organ_and_its_volume(tmp_path: Path) -> None:
    study = with_organ()
    seg, sr = objects(study, study.report(), tmp_path)
    assert_dcmqi_gives_the_mask(seg, study, tmp_path)
    run(tool("tid1500reader"), "--inputDICOM", sr, "--outputMetadata", tmp_path / "sr.json")
    read = json.loads((tmp_path / "sr.json").read_text())
    (structure,) = study.structures
    (group,) = [
        g for g in read["Measurements"] if g["TrackingUniqueIdentifier"] == structure.tracking_uid
    ]
    assert group["Finding"]["CodeValue"] == "78961009"
    assert group["ReferencedSegment"] == structure.segment_number
    values = {item["quantity"]["CodeValue"]: item["value"] for item in group["measurementItems"]}
    assert float(values["118565006"]) == pytest.approx(structure.volume_mm3, abs=0.05)


def test_dciodvfy_finds_no_error_without_findings(tmp_path: Path) -> None:
    study = make_study()
    sr = written(make_sr(study.report(), study.headers, None), tmp_path / "sr.dcm")
    assert dciodvfy_errors(sr) == []


def test_dciodvfy_would_find_one(tmp_path: Path) -> None:
    study = two_findings()
    seg = make_seg(study.report(), study.regions, study.headers, slices=study.volume.sources)
    del seg.SegmentSequence
    assert dciodvfy_errors(written(seg, tmp_path / "seg.dcm")) != []


def test_dsrdump_reads_the_document(tmp_path: Path) -> None:
    study = two_findings()
    _, sr = objects(study, final(study), tmp_path, language=Language.ZH)
    said = run(tool("dsrdump"), "+Pl", "+Pc", sr)
    for words in (
        "Comprehensive SR Document", "Verification Flag   : VERIFIED", "Predecessor Docs    : 1",
        '(126000,DCM,"影像测量报告")', '(103339001,SCT,"长径")', "POLYLINE", "(SG image",
        "右肺结节,建议随访。", "圆形",
    ):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize(
    ("orientation", "step"),
    [
        pytest.param(AXIAL, None, id="axial"),
        pytest.param(AXIAL, (0, 0, -2.5), id="head first"),
        pytest.param((-1, 0, 0, 0, -1, 0), (0, 0, 2.5), id="prone"),
        pytest.param(CORONAL, None, id="coronal"),
        pytest.param(SAGITTAL, None, id="sagittal"),
    ],
)
def test_dcmqi_gives_back_the_mask(
    orientation: tuple[float, ...], step: object, tmp_path: Path
) -> None:
    study = two_findings(orientation=orientation, step=step)
    seg, _ = objects(study, study.report(), tmp_path)
    assert_dcmqi_gives_the_mask(seg, study, tmp_path)


def test_dcmqi_gives_back_the_mask_of_a_real_ct(lidc_0001: Path, tmp_path: Path) -> None:
    study = real_study(lidc_0001)
    assert study.findings[0].volume_mm3 > 5000
    seg, sr = objects(study, study.report(), tmp_path)
    assert_dcmqi_gives_the_mask(seg, study, tmp_path)
    assert dciodvfy_errors(seg) == []
    assert dciodvfy_errors(sr) == []


def test_dcmqi_reads_the_measurements(tmp_path: Path) -> None:
    study = two_findings()
    _, sr = objects(study, study.report(), tmp_path)
    out = tmp_path / "sr.json"
    run(tool("tid1500reader"), "--inputDICOM", sr, "--outputMetadata", out)
    read = json.loads(out.read_text())
    by_finding: dict[str, dict[str, float]] = {}
    segments = {}
    for group in read["Measurements"]:
        uid = group["TrackingUniqueIdentifier"]
        assert group["Finding"]["CodeValue"] == "27925004"
        assert group["FindingSite"]["CodeValue"] == "39607008"
        assert group["measurementAlgorithmIdentification"]["AlgorithmVersion"] == "1.2.3"
        for item in group["measurementItems"]:
            by_finding.setdefault(uid, {})[item["quantity"]["CodeValue"]] = float(item["value"])
        if "ReferencedSegment" in group:
            segments[uid] = group["ReferencedSegment"]
            assert group["segmentationSOPInstanceUID"] == study.report().uid_of("seg")
    for finding in study.findings:
        assert segments[finding.tracking_uid] == finding.segment_number
        assert by_finding[finding.tracking_uid] == {
            "118565006": pytest.approx(finding.volume_mm3, abs=0.05),
            "112031": pytest.approx(finding.mean_hu, abs=0.05),
            "111012": pytest.approx(100 * finding.score),
            "103339001": pytest.approx(finding.long_axis_mm, abs=0.005),
            "103340004": pytest.approx(finding.short_axis_mm, abs=0.005),
        }
    assert read["observerContext"]["ObserverType"] == "DEVICE"
    assert read["VerificationFlag"] == "UNVERIFIED"


_SNOMED_SINCE_RETIRED = {"G-C0E3": "363698007", "G-D705": "118565006"}
"""SRT codes of the QIICR objects (2019) and the SCT codes that replaced them."""


def _shape(group: Dataset) -> dict[str, tuple[str, str]]:
    """Concept name -> (relationship, value type) of a measurement group's children."""
    shape = {}
    for child in group.ContentSequence:
        code = child.ConceptNameCodeSequence[0].CodeValue
        shape[_SNOMED_SINCE_RETIRED.get(code, code)] = (child.RelationshipType, child.ValueType)
    return shape


def _groups(sr: Dataset) -> list[Dataset]:
    return [
        group
        for container in sr.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in container.ContentSequence
    ]


def test_volumetric_group_has_the_shape_of_qiicrs(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "chest" / "LIDC-IDRI-0001" / "derived_QIICR"
    theirs = _shape(_groups(dcmread(next(folder.glob("SR_*.dcm"))))[0])
    study = two_findings()
    _, sr = objects(study, study.report(), tmp_path)
    ours = _shape(_groups(dcmread(sr))[0])
    common = ("112039", "112040", "121071", "363698007", "121191", "121232", "118565006")
    for code in common:
        assert ours[code] == theirs[code], code


def test_qiicrs_own_segmentation_lies_on_ours(
    shared_data: Path, lidc_0001: Path, tmp_path: Path
) -> None:
    """A reader's outline of the mass, read by dcmqi from QIICR's SEG, overlaps our mask."""
    theirs = next((shared_data / "chest" / "LIDC-IDRI-0001" / "derived_QIICR").glob("SEG_*.dcm"))
    study = real_study(lidc_0001)
    seg, _ = objects(study, study.report(), tmp_path)
    points = []
    for name, path in (("a", theirs), ("b", seg)):
        folder = tmp_path / name
        folder.mkdir()
        run(tool("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder,
            "-t", "nrrd")  # fmt: skip
        image = sitk.ReadImage(str(folder / "1.nrrd"))
        index = np.argwhere(sitk.GetArrayFromImage(image))
        lps = [image.TransformIndexToPhysicalPoint(p[::-1].tolist()) for p in index]
        points.append({tuple(np.round(p, 1)) for p in lps})
    a, b = points
    assert 2 * len(a & b) / (len(a) + len(b)) > 0.7


ENHANCED = (
    "nema_MR/BRTUM008",
    "dicom2nifti_philips_enhanced/anatomical/001/IM-0001-0170-0001.dcm",
)


def enhanced_study(path: Path) -> Study:
    """One multi-frame image; its frames sorted along the normal."""
    image = dcmread(path, stop_before_pixels=True)
    planes = {n: plane_of(image, n) for n in range(1, int(image.NumberOfFrames) + 1)}
    first = planes[1]
    normal = np.cross(first.along_row, first.along_column)
    order = sorted(planes, key=lambda n: float(normal @ planes[n].position))
    start, following = planes[order[0]], planes[order[1]]
    grid = Grid.from_dicom(
        (len(order), *first.shape), start.position, [*first.along_row, *first.along_column],
        first.spacing, np.subtract(following.position, start.position),
    )  # fmt: skip
    sources = tuple(
        SourceSlice(path, str(image.SOPClassUID), str(image.SOPInstanceUID), n) for n in order
    )
    voxels = np.random.default_rng(3).integers(0, 900, grid.shape).astype(np.int16)
    study = Study([image], Volume(voxels, grid, sources))
    study.add(block(study, slice(1, 4), slice(30, 50), slice(20, 45)))
    study.add(block(study, slice(4, 6), slice(30, 50), slice(25, 50)))
    return study


@pytest.mark.parametrize("name", ENHANCED)
def test_frames_of_real_enhanced_images(name: str, shared_data: Path, tmp_path: Path) -> None:
    study = enhanced_study(shared_data / "protocol" / "enhanced_multiframe" / name)
    report = study.report(modality="MR")
    seg, sr = objects(study, report, tmp_path)
    assert_dcmqi_gives_the_mask(seg, study, tmp_path)
    assert dciodvfy_errors(seg) == []
    assert dciodvfy_errors(sr) == []
    (region,) = [
        child for child in _groups(dcmread(sr))[1].ContentSequence if child.ValueType == "SCOORD"
    ]
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == study.headers[0].SOPInstanceUID
    assert reference.ReferencedFrameNumber == study.findings[0].key_image.frame_number
