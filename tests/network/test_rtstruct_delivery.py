"""Contours reach an archive that other people wrote, in a syntax that can hold them."""

from __future__ import annotations

from pathlib import Path

from imaging.objects import make_rtstruct
from pacs_bridge.dimse.peer import Peer
from tests.described_pancreas import pancreatic_report, pancreatic_study
from tests.network.orthanc import Orthanc
from tests.network.test_courier import destination


def test_orthanc_takes_the_contours_of_a_pancreas(orthanc: Orthanc, tmp_path: Path) -> None:
    study = pancreatic_study()
    report = pancreatic_report(study)
    struct = make_rtstruct(report, study.regions, study.headers, slices=study.volume.sources)
    path = tmp_path / "rtstruct.dcm"
    struct.save_as(path, enforce_file_format=True)
    (outcome,) = Peer(destination("pacs", orthanc.dicom_port), "PREREAD").store([path])
    assert outcome.error is None
    (held,) = orthanc.instances(report.study_uid)
    assert held["MainDicomTags"]["SOPInstanceUID"] == report.uid_of("rtstruct")
