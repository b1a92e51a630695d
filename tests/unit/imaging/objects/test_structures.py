"""Organs in SEG, SR and page: coded as what they are, measured, never for anybody to reject."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.errors import NothingToEncode
from imaging.language import Language, Text
from imaging.measure import measure_structure
from imaging.objects import make_seg, make_sr, render_report, seg
from imaging.report import FindingReview, Model, Report, Verdict
from imaging.volume import Region
from tests.unit.imaging.objects.made import Study, block, make_study, with_organ
from tests.unit.imaging.objects.test_seg import region_lps, voxels_lps
from tests.unit.imaging.objects.test_sr import groups, items, number


def reread(dataset: Dataset) -> Dataset:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return dcmread(io.BytesIO(out.getvalue()))


def both(study: Study, report: Report, language: Language = Language.EN) -> tuple[Dataset, Dataset]:
    made = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    return reread(made), reread(make_sr(report, study.headers, made, language=language))


def test_an_organ_is_a_segment_of_its_own_kind_and_keeps_its_voxels() -> None:
    study = with_organ()
    made, _ = both(study, study.report())
    lesions, organ = made.SegmentSequence[:2], made.SegmentSequence[2]
    for lesion in lesions:
        assert lesion.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert lesion.AnatomicRegionSequence[0].CodeValue == "39607008"
    assert organ.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert organ.SegmentedPropertyTypeCodeSequence[0].CodeValue == "78961009"
    assert "AnatomicRegionSequence" not in organ
    (structure,) = study.structures
    assert organ.SegmentNumber == structure.segment_number == 3
    assert organ.TrackingUID == structure.tracking_uid
    # The lesion lies inside it; both segments are whole.
    for marked in (*study.findings, structure):
        found = voxels_lps(made, marked.segment_number)
        assert np.allclose(found, region_lps(study.regions[marked.tracking_uid]), atol=2e-3)


def test_where_a_stack_would_be_too_large_the_lesion_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seg, "_MOST_OVERLAP_BYTES", 100)
    study = with_organ()
    made, _ = both(study, study.report())
    lesion, organ = study.findings[1], study.structures[0]
    kept = voxels_lps(made, lesion.segment_number)
    assert np.allclose(kept, region_lps(study.regions[lesion.tracking_uid]), atol=2e-3)
    whole = int(study.regions[organ.tracking_uid].voxels.sum())
    assert len(voxels_lps(made, organ.segment_number)) == whole - len(kept)


@pytest.mark.parametrize("language", list(Language))
def test_the_document_has_one_volumetric_group_for_it(language: Language) -> None:
    study = with_organ()
    made, sr = both(study, study.report(), language)
    (structure,) = study.structures
    volumetric = groups(sr, "1411")
    assert len(volumetric) == 3
    assert len(groups(sr, "1410")) == 2
    organ = volumetric[2]
    assert structure.tracking_uid == items(organ, "112040")[0].UID
    assert items(organ, "121071")[0].ConceptCodeSequence[0].CodeValue == "78961009"
    assert items(organ, "276214006")[0].ConceptCodeSequence[0].CodeValue == "123037004"
    assert number(organ, "118565006") == (pytest.approx(structure.volume_mm3, abs=0.05), "mm3")
    assert number(organ, "112031")[0] == pytest.approx(structure.mean_hu, abs=0.05)
    assert items(organ, "111012") == []  # nobody asks how certain a spleen is
    assert items(organ, "103339001") == []
    (segment,) = items(organ, "121191")
    reference = segment.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == made.SOPInstanceUID
    assert reference.ReferencedSegmentNumber == structure.segment_number


def test_organs_alone_are_no_findings() -> None:
    study = make_study()
    study.add_organ(block(study, slice(1, 6), slice(3, 15), slice(2, 12)))
    report = study.report()
    made, sr = both(study, report)
    assert len(made.SegmentSequence) == 1
    assert len(groups(sr, "1411")) == 1
    (summary,) = [s for c in items(sr, "C0034375") for s in items(c, "111017")]
    assert summary.ConceptCodeSequence[0].CodeValue == "111241"
    html = render_report(report, {})
    assert "The software marked no finding" in html
    assert "Spleen" in html and "脾" in html


def test_a_rejected_lesion_moves_the_organ_s_number_not_its_identity() -> None:
    study = with_organ()
    first = study.findings[0]
    review = FindingReview(tracking_uid=first.tracking_uid, verdict=Verdict.REJECTED)
    made, sr = both(study, study.report(reviews=(review,)))
    assert [s.SegmentNumber for s in made.SegmentSequence] == [1, 2]
    assert made.SegmentSequence[1].TrackingUID == study.structures[0].tracking_uid
    organ = groups(sr, "1411")[1]
    reference = items(organ, "121191")[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSegmentNumber == 2


def test_it_is_measured_as_a_whole() -> None:
    study = make_study()
    voxels = block(study, slice(2, 5), slice(4, 10), slice(3, 11), hollow=False)
    voxels[5, 4:6, 3:6] = True
    structure = study.add_organ(voxels)
    grid = study.volume.grid
    assert structure.volume_mm3 == pytest.approx(voxels.sum() * grid.voxel_volume_mm3)
    assert structure.mean_hu == pytest.approx(study.volume.voxels[voxels].mean())
    centre = grid.to_lps(np.argwhere(voxels).mean(axis=0))
    assert structure.centre_lps_mm == pytest.approx(tuple(centre), abs=1e-3)
    assert structure.key_slice == 2
    assert len(structure.slices) == 4
    assert {o.image for o in structure.outlines} == {structure.key_image}
    empty = Region(np.zeros((2, 3, 3), bool), (0, 0, 0), grid)
    with pytest.raises(NothingToEncode):
        measure_structure(study.volume, empty)


SPLEEN = Model(name="spleens", version="7", title=Text(en="Spleens", zh="脾脏"), sha256="1" * 64)


def two_models() -> tuple[Study, Report]:
    study = with_organ()
    one = study.report()
    organ = study.structures[0].model_copy(update={"model": "spleens"})
    return study, one.model_copy(update={"models": (one.model, SPLEEN), "structures": (organ,)})


def test_each_says_which_model_made_it() -> None:
    study, report = two_models()
    made, sr = both(study, report)
    names = [
        s.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName for s in made.SegmentSequence
    ]
    assert names == ["lung-nodules", "lung-nodules", "spleens"]
    versions = [items(group, "111003")[0].TextValue for group in groups(sr, "1411")]
    assert versions == ["1.2.3", "1.2.3", "7"]
    for made_object in (made, sr):
        assert list(made_object.SoftwareVersions) == ["1.2.3", "7"]
        assert made_object.ManufacturerModelName == "lung-nodules, spleens"
    html = render_report(report, {})
    assert "Lung nodules, Spleens" in html and "肺结节、脾脏" in html
    assert "lung-nodules 1.2.3, spleens 7" in html


def test_another_company_of_models_makes_other_objects() -> None:
    _, report = two_models()
    alone = report.model_copy(update={"models": ()})
    newer = SPLEEN.model_copy(update={"version": "8"})
    other = report.model_copy(update={"models": (report.model, newer)})
    assert len({r.uid_of("sr") for r in (alone, report, other)}) == 3
