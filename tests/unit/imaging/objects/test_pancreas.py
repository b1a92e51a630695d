"""A measured pancreas and a lesion in it, as SEG and SR say them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from imaging.guidelines.pancreas_values import PancreasReading, VesselReading
from imaging.language import Language
from imaging.objects import make_seg, make_sr
from imaging.pancreatic import Attenuation, Part, Phase, Vessel
from imaging.report import FindingReview, Report, Verdict
from tests.described_pancreas import (
    PORTAL,
    gland,
    lesion,
    pancreatic_report,
    pancreatic_study,
    place,
    urgent,
)
from tests.unit.imaging.objects.made import Study
from tests.unit.imaging.objects.test_seg import region_lps, voxels_lps

RESEARCH = "Research grade"


def made(study: Study, report: Report, language: Language = Language.EN) -> Dataset:
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    return make_sr(report, study.headers, seg, language=language)


def groups(sr: Dataset) -> list[Dataset]:
    return [
        group
        for container in sr.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in container.ContentSequence
    ]


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def numbers(group: Dataset) -> dict[tuple[str, str, str], float]:
    """Value of each NUM by its name, derivation and site."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType != "NUM":
            continue
        how = {"121401": "", "363698007": ""}
        for child in item.get("ContentSequence", []):
            if name(child) in how:
                how[name(child)] = child.ConceptCodeSequence[0].CodeValue
        value = float(item.MeasuredValueSequence[0].NumericValue)
        found[name(item), how["121401"], how["363698007"]] = value
    return found


def texts(group: Dataset) -> str:
    return "\n".join(i.TextValue for i in group.ContentSequence if i.ValueType == "TEXT")


def codes(group: Dataset) -> dict[str, str]:
    return {
        name(i): i.ConceptCodeSequence[0].CodeValue
        for i in group.ContentSequence
        if i.ValueType == "CODE"
    }


def of(sr: Dataset, tracking_uid: str) -> Dataset:
    """The first, volumetric group with that tracking UID."""
    for group in groups(sr):
        if any(i.ValueType == "UIDREF" and tracking_uid == i.UID for i in group.ContentSequence):
            return group
    raise AssertionError(tracking_uid)


def test_the_gland_is_told_with_its_figures() -> None:
    study = pancreatic_study()
    report = pancreatic_report(study)
    group = of(made(study, report), study.structures[0].tracking_uid)
    found = numbers(group)
    assert found["410668003", "", ""] == 150.0
    assert found["112031", "373099004", ""] == 97.0
    assert found["GTHICK", "255605001", ""] == 11.8
    assert found["81827009", "56851009", "69930009"] == 7.4
    assert codes(group)["CPHASE"] == "CPORTAL"
    assert "Limits of this series: slices of 5.0 mm" in texts(group)
    assert RESEARCH not in texts(group)


def test_what_was_not_measured_of_the_gland_has_no_figure() -> None:
    study = pancreatic_study()
    uid = study.structures[0].tracking_uid
    bare = gland(uid).model_copy(
        update={
            "thinnest_mm": None,
            "duct": gland(uid).duct.model_copy(update={"widest_mm": None}),
            "phase": PORTAL.model_copy(update={"phase": Phase.UNKNOWN}),
        }
    )
    group = of(made(study, pancreatic_report(study, gland=bare)), uid)
    assert {key[0] for key in numbers(group)} == {"118565006", "112031", "410668003"}
    assert "CPHASE" not in codes(group)


def test_research_places_stand_under_their_label_and_never_as_findings() -> None:
    study = pancreatic_study()
    uid = study.structures[0].tracking_uid
    shown = gland(uid, places=(place(),), places_shown=True)
    sr = made(study, pancreatic_report(study, gland=shown))
    assert RESEARCH in texts(of(sr, uid))
    assert len(groups(sr)) == 3  # two of the lesion, one of the gland, none of the place


def test_a_lesion_is_told_with_its_part_axes_density_duct_and_measured_vessels() -> None:
    study = pancreatic_study()
    report = pancreatic_report(study)
    group = of(made(study, report), study.findings[0].tracking_uid)
    found = numbers(group)
    assert [found[axis, "", ""] for axis in ("410668003", "103355008", "131197000")] == [
        28.4, 22.1, 19.6,
    ]  # fmt: skip
    assert found["DATT", "", ""] == -39.0
    assert found["81827009", "56851009", "69930009"] == 7.4
    assert found["VCONTACT", "", "42258001"] == 0.0
    assert found["VCONTACT", "", "90771006"] == 120.0
    assert found["VCONTLEN", "", "90771006"] == 9.0
    assert found["GTHICK", "373099004", "15776009"] == 12.3  # of the gland upstream
    assert texts(group).count("measured round the segmented vessel") == 1  # of the one touched
    assert not {key for key in found if key[2] in ("57850000", "66559000", "32764006")}
    assert codes(group)["363698007"] == "64163001"
    assert codes(group)["ATTKIND"] == "ATTHYPO"
    assert "Iso-attenuating tumour" in texts(group)


def test_contact_measured_on_a_plain_ct_is_left_out() -> None:
    """As in the draft and the guideline: no vessel's wall is seen there."""
    study = pancreatic_study()
    plain = lesion(phase=PORTAL.model_copy(update={"phase": Phase.PLAIN}))
    study.findings[0] = study.findings[0].model_copy(update={"pancreatic": plain})
    group = of(made(study, pancreatic_report(study)), study.findings[0].tracking_uid)
    assert not [key for key in numbers(group) if key[0] in ("VCONTACT", "VCONTLEN")]
    assert "measured round the segmented vessel" not in texts(group)


def test_a_measured_fluid_density_is_not_coded_as_a_cyst() -> None:
    study = pancreatic_study()
    fluid = {"pancreatic": lesion(attenuation=Attenuation.CYSTIC)}
    study.findings[0] = study.findings[0].model_copy(update=fluid)
    group = of(made(study, pancreatic_report(study)), study.findings[0].tracking_uid)
    assert codes(group)["ATTKIND"] == "ATTFLUID"


@pytest.mark.parametrize(
    ("part", "site"),
    [(Part.TAIL, "73239005"), (Part.NECK, "15776009"), (Part.UNCINATE, "15776009"),
     (None, "15776009")],
)  # fmt: skip
def test_every_part_has_a_site(part: Part | None, site: str) -> None:
    study = pancreatic_study()
    told = {"pancreatic": lesion(part=part)}
    study.findings[0] = study.findings[0].model_copy(update=told)
    group = of(made(study, pancreatic_report(study)), study.findings[0].tracking_uid)
    assert codes(group)["363698007"] == site


def test_priority_stands_while_the_flag_does() -> None:
    study = pancreatic_study()
    finding = study.findings[0]
    report = pancreatic_report(study, urgency=urgent(finding))

    def priority(sr: Dataset) -> list[str]:
        (told,) = (i for i in sr.ContentSequence if name(i) == "C0034375")
        return [i.ConceptCodeSequence[0].CodeValue for i in told.ContentSequence
                if name(i) == "260870009"]  # fmt: skip

    assert priority(made(study, report)) == ["103391001"]
    assert priority(made(study, pancreatic_report(study))) == []
    refused = FindingReview(tracking_uid=finding.tracking_uid, verdict=Verdict.REJECTED)
    assert priority(made(study, report.with_review(refused))) == []


def test_the_resectability_of_the_reader_reaches_the_document() -> None:
    study = pancreatic_study()
    vessels = tuple(
        VesselReading(
            vessel=v,
            degrees="none",
            contour_irregular=False,
            occluded=False,
            thrombus=False,
            reconstructible=True,
        )
        for v in Vessel
    )
    said = PancreasReading(
        vessels=vessels, liver_lesions="none", distant_nodes=False, peritoneal=False,
        ascites=False, other_metastases=False, aorta_or_ivc_contact="none",
        variant_artery_contact="none",
    )  # fmt: skip
    report = pancreatic_report(study, pancreas_reading=said)
    sr = made(study, report, Language.ZH)
    (told,) = (i for i in sr.ContentSequence if name(i) == "C0034375")
    words = [i.TextValue for i in told.ContentSequence if i.ValueType == "TEXT"]
    assert any(w == "NCCN 可切除性评估：可切除" for w in words), words


def test_where_lesion_and_gland_overlap_both_keep_their_voxels() -> None:
    study = pancreatic_study()
    report = pancreatic_report(study)
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    lesion_at = study.regions[study.findings[0].tracking_uid]
    gland_at = study.regions[study.structures[0].tracking_uid]
    shared = set(map(tuple, region_lps(lesion_at))) & set(map(tuple, region_lps(gland_at)))
    assert shared
    for number, region in ((1, lesion_at), (2, gland_at)):
        assert voxels_lps(seg, number) == pytest.approx(region_lps(region), abs=0.01)
