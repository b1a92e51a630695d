"""Presentation state, secondary captures and PDF through other people's tools.

A tool that isn't installed skips its tests on a developer's machine; on CI (``CI`` set) it
fails them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from imaging.language import Language
from imaging.objects import (
    make_encapsulated_pdf,
    make_gsps,
    make_secondary_captures,
    render_key_image,
    render_pdf,
)
from imaging.report import Report
from tests.contract.test_objects_by_others import final, real_study, run, tool, written
from tests.unit.imaging.objects.made import CORONAL, Study, two_findings, with_organ


def errors(path: Path, kind: str) -> list[str]:
    done = subprocess.run(
        [tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace"
    )
    said = done.stdout + done.stderr
    assert kind in said, said  # it knew the class
    return [line for line in said.splitlines() if line.startswith("Error")]


def pictures(study: Study) -> dict[str, bytes]:
    return {f.tracking_uid: render_key_image(study.volume, f) for f in study.findings}


def made(study: Study, report: Report, language: Language) -> dict[str, tuple[str, Dataset]]:
    """By file name: dciodvfy's name of the class, and the object."""
    shown = pictures(study)
    pdf = render_pdf(report, shown, language=language)
    objects = {"pdf": ("EncapsulatedPDF", make_encapsulated_pdf(report, pdf, study.headers))}
    captures = make_secondary_captures(report, shown, study.headers, study.volume.grid)
    objects |= {name: ("SCImage", image) for name, image in captures.items()}
    if report.segmented:
        state = make_gsps(report, study.headers, language=language)
        objects["gsps"] = ("GrayscaleSoftcopyPresentationState", state)
    return objects


@pytest.mark.parametrize("language", list(Language))
def test_dciodvfy_finds_no_error(language: Language, tmp_path: Path) -> None:
    study = with_organ(orientation=CORONAL)
    for report in (
        study.report(),
        final(study),
        study.report(fake=True),
        study.report(findings=(), structures=()),
    ):
        for name, (kind, dataset) in made(study, report, language).items():
            assert errors(written(dataset, tmp_path / f"{name}.dcm"), kind) == [], name


def test_dciodvfy_finds_no_error_over_frames_and_differing_rescales(tmp_path: Path) -> None:
    study = two_findings()
    for k, header in enumerate(study.headers):
        header.RescaleSlope, header.RescaleIntercept = 1 + 0.1 * k, -1024
    path = written(make_gsps(study.report(), study.headers), tmp_path / "gsps.dcm")
    assert errors(path, "GrayscaleSoftcopyPresentationState") == []
    whole = study.headers[0]
    whole.SOPClassUID, whole.NumberOfFrames = EnhancedCTImageStorage, 9
    frame = study.findings[0].key_image.model_copy(
        update={"sop_class_uid": EnhancedCTImageStorage, "frame_number": 3,
                "sop_instance_uid": str(whole.SOPInstanceUID)}
    )  # fmt: skip
    outline = study.findings[0].outlines[0].model_copy(update={"image": frame})
    finding = study.findings[0].model_copy(update={"key_image": frame, "outlines": (outline,)})
    path = written(make_gsps(study.report(findings=(finding,)), [whole]), tmp_path / "frames.dcm")
    assert errors(path, "GrayscaleSoftcopyPresentationState") == []


def test_dciodvfy_would_find_one(tmp_path: Path) -> None:
    study = two_findings()
    state = make_gsps(study.report(), study.headers)
    del state.DisplayedAreaSelectionSequence
    assert errors(written(state, tmp_path / "gsps.dcm"), "GrayscaleSoftcopyPresentation") != []


def test_dcmtk_checks_the_presentation_state(tmp_path: Path) -> None:
    """dcmpschk knows the module's every attribute; of text in UTF-8 it knows nothing."""
    study = with_organ()
    for header in study.headers:
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
    path = written(make_gsps(study.report(), study.headers), tmp_path / "gsps.dcm")
    assert "Test passed" in run(tool("dcmpschk"), path)


def test_dcmtk_shows_a_real_image_in_the_window(lidc_0001: Path, tmp_path: Path) -> None:
    study = real_study(lidc_0001)
    key = study.findings[0].key_image.sop_instance_uid
    for header in study.headers:
        header.PatientName = "Doe^Jane"  # the collection has none, and DCMTK wants one
    image = next(str(h.filename) for h in study.headers if h.SOPInstanceUID == key)
    state = make_gsps(study.report(window=(-600.0, 1500.0)), study.headers)
    state.ReferencedSeriesSequence[0].ReferencedImageSequence = [
        item
        for item in state.ReferencedSeriesSequence[0].ReferencedImageSequence
        if item.ReferencedSOPInstanceUID == key
    ]
    path = written(state, tmp_path / "gsps.dcm")
    run(tool("dcmp2pgm"), "-p", path, image, tmp_path / "shown.pgm")
    with Image.open(tmp_path / "shown.pgm") as shown:
        seen = np.asarray(shown, dtype=float)
    hu = study.volume.voxels[study.findings[0].key_slice].astype(float)
    wanted = np.clip((hu + 600) / 1500 + 0.5, 0, 1) * 255
    assert np.abs(seen - wanted).max() < 1.5


def test_dcmtk_gives_back_picture_and_document(tmp_path: Path) -> None:
    study = two_findings()
    objects = made(study, study.report(), Language.ZH)
    for name in ("sc-1", "pdf"):
        written(objects[name][1], tmp_path / f"{name}.dcm")
    run(tool("dcm2pnm"), "--write-png", tmp_path / "sc-1.dcm", tmp_path / "sc.png")
    with Image.open(tmp_path / "sc.png") as shown:
        assert (np.asarray(shown.convert("RGB")) == objects["sc-1"][1].pixel_array).all()
    run(tool("dcm2pdf"), tmp_path / "pdf.dcm", tmp_path / "back.pdf")
    wanted = render_pdf(study.report(), pictures(study), language=Language.ZH)
    assert (tmp_path / "back.pdf").read_bytes() == wanted
