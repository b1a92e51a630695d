"""The way of a real abdominal CT: C-STORE -> gland measured -> SR, SEG and RTSTRUCT in the PACS.

Real Orthanc, DCMTK's storescu, the server as a process of its own, the weights that ship.
"""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from imaging.pancreatic import Phase
from models.spec import CATALOG
from tests.e2e.server import running_server, wait_until, write_config
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc

MODEL = "pancreas_reference"


def objects(orthanc: Orthanc, study_uid: str, modality: str) -> list[Dataset]:
    """What the PACS holds of a study and modality."""
    series = orthanc.find("Series", {"StudyInstanceUID": study_uid, "Modality": modality})
    return [
        pydicom.dcmread(io.BytesIO(orthanc.file(instance)))
        for each in series
        for instance in each["Instances"]
    ]


def _picture(answer: httpx.Response) -> np.ndarray:
    answer.raise_for_status()
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def test_an_abdomen_comes_back_measured_and_without_a_finding(
    abdomen_ct: Path, tmp_path: Path
) -> None:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    images = sorted(abdomen_ct.iterdir())
    study_uid = str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, port = free_port(), free_port()
    with running_orthanc(tmp_path / "orthanc", dicom) as orthanc:
        config = write_config(
            tmp_path,
            dicom_port=dicom,
            page_port=port,
            models=CATALOG,
            more='[[destinations]]\nname = "Orthanc"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\n'
            f'port = {orthanc.dicom_port}\naccepts = ["SR", "SEG", "RTSTRUCT"]\n',
        )
        text = config.read_text("utf-8")
        asked = f'[models]\nenabled = ["{MODEL}"]\nresearch = ["{MODEL}"]'
        config.write_text(text.replace("[models]", asked), "utf-8")
        with running_server(config, port) as server:
            sent = dcmtk(
                "storescu", "-aec", "PREREAD", "127.0.0.1", str(dicom), "+sd", "+r", str(abdomen_ct)
            )
            assert sent.returncode == 0, sent.stderr
            wait_until(
                lambda: all(objects(orthanc, study_uid, m) for m in ("SR", "SEG", "RTSTRUCT")),
                180,
                f"SR, SEG and RTSTRUCT in Orthanc; {server.log.read_text()[-2000:]}",
            )
            report = server.store.reading(study_uid).report
            (sr,) = objects(orthanc, study_uid, "SR")
            (seg,) = objects(orthanc, study_uid, "SEG")
            (rtstruct,) = objects(orthanc, study_uid, "RTSTRUCT")
            assert report is not None and report.gland is not None
            below = report.structures[0].key_slice - 1
            page = f"{server.url}/studies/{study_uid}/slices/{below}.png?revision=1&outlines="
            marked, bare = (_picture(httpx.get(page + shown)) for shown in ("true", "false"))
    green = marked[..., 1] > np.maximum(marked[..., 0], marked[..., 2]) + 40
    assert np.count_nonzero(green) > 50, "the outline is drawn on every slice, not on one"
    assert not (bare[..., 1] > np.maximum(bare[..., 0], bare[..., 2]) + 40).any()
    gland = report.gland
    assert report.findings == () and report.urgency is None, "our own weights flag nothing"
    assert 15 < gland.volume_ml < 150
    assert gland.phase.phase is Phase.ARTERIAL
    assert gland.places_shown and 1 <= len(gland.places) <= 3
    assert (sr.PreliminaryFlag, sr.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    (segment,) = seg.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "15776009"
    (roi,) = rtstruct.StructureSetROISequence
    assert "Pancreas" in roi.ROIName
    assert {str(x.StudyInstanceUID) for x in (sr, seg, rtstruct)} == {study_uid}
