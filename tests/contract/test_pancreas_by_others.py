"""The pancreas' SR, SEG and RTSTRUCT through other people's tools: dicom3tools, DCMTK, dcmqi."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from imaging.language import Language
from imaging.objects import make_rtstruct, make_seg
from imaging.report import FindingReview, Signature, Verdict
from tests.contract.test_objects_by_others import (
    assert_dcmqi_gives_the_mask,
    dciodvfy_errors,
    objects,
    run,
    tool,
    written,
)
from tests.described_pancreas import gland, pancreatic_report, pancreatic_study, place, urgent
from tests.unit.imaging.objects.made import AXIAL, CORONAL, CREATED


@pytest.mark.parametrize("language", list(Language))
def test_the_documents_of_a_pancreas_are_read_by_all(language: Language, tmp_path: Path) -> None:
    study = pancreatic_study()
    organ, finding = study.structures[0], study.findings[0]
    shown = gland(organ.tracking_uid, places=(place(),), places_shown=True)
    report = pancreatic_report(study, gland=shown, urgency=urgent(finding))
    seg, sr = objects(study, report, tmp_path, language=language)
    assert dciodvfy_errors(sr) == [] and dciodvfy_errors(seg) == []
    assert_dcmqi_gives_the_mask(seg, study, tmp_path)
    said = run(tool("dsrdump"), "+Pl", "+Pc", sr)
    for words in ("(260870009,SCT", "(103391001,SCT", "(90771006,SCT", "(VCONTACT,99PREREAD"):
        assert words in said, words
    run(tool("tid1500reader"), "--inputDICOM", sr, "--outputMetadata", tmp_path / "sr.json")
    read = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    (group,) = [g for g in read if g["TrackingUniqueIdentifier"] == organ.tracking_uid]
    values = {(i["quantity"]["CodeValue"], i.get("derivationModifier", {}).get("CodeValue")):
              float(i["value"]) for i in group["measurementItems"]}  # fmt: skip
    assert values["410668003", None] == 150.0
    assert values["81827009", "56851009"] == 7.4


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL], ids=["axial", "coronal"])
def test_a_structure_set_is_read_by_all(orientation: tuple[float, ...], tmp_path: Path) -> None:
    study = pancreatic_study(orientation=orientation)
    accepted = FindingReview(tracking_uid=study.findings[0].tracking_uid, verdict=Verdict.ACCEPTED)
    signature = Signature(name="Zhang^San=张^三", organization="县人民医院", signed_at=CREATED)
    preliminary = pancreatic_report(study)
    for report in (preliminary, preliminary.with_review(accepted).signed(signature)):
        seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
        struct = make_rtstruct(
            report, study.regions, study.headers, slices=study.volume.sources, seg=seg
        )
        path = written(struct, tmp_path / "rtstruct.dcm")
        done = subprocess.run(
            [tool("dciodvfy"), path], capture_output=True, text=True, errors="replace"
        )
        told = (done.stdout + done.stderr).splitlines()
        assert "RTStructureSet" in told
        assert [line for line in told if line.startswith(("Error", "Warning"))] == []
        assert "RT Structure Set object" in run(tool("drtdump"), path)
        # gdcm reads the contours too, as numbers of its own
        said = run(tool("gdcmdump"), path)
        assert said.count("CLOSED_PLANAR") == sum(
            len(item.ContourSequence) for item in struct.ROIContourSequence
        )
