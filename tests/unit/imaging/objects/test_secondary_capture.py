"""The pictures hold the key images as they are, and their headers say what is in the pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.language import Language, Text
from imaging.objects import make_secondary_captures, render_key_image
from imaging.objects.captioned import card
from imaging.objects.typeface import typeface
from imaging.report import FindingReview, Report, Verdict
from tests.described_pancreas import pancreatic_report, pancreatic_study
from tests.unit.imaging.objects.made import (
    AXIAL,
    CORONAL,
    CREATED,
    SAGITTAL,
    Study,
    two_findings,
)


def pictures(study: Study) -> dict[str, bytes]:
    return {f.tracking_uid: render_key_image(study.volume, f) for f in study.findings}


def made(study: Study, report: Report | None = None) -> dict[str, Dataset]:
    images = make_secondary_captures(
        report or study.report(), pictures(study), study.headers, study.volume.grid
    )
    reread = {}
    for name, image in images.items():
        out = io.BytesIO()
        image.save_as(out, enforce_file_format=True)
        reread[name] = dcmread(io.BytesIO(out.getvalue()))
    return reread


def test_a_card_then_each_key_image_as_it_is() -> None:
    study = two_findings()
    images = made(study)
    assert list(images) == ["sc-0", "sc-1", "sc-2"]
    assert [int(i.InstanceNumber) for i in images.values()] == [1, 2, 3]
    assert len({i.SeriesInstanceUID for i in images.values()}) == 1
    report = study.report()
    for name, image in images.items():
        assert image.SOPInstanceUID == report.uid_of(name)
        assert image.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
        assert (image.Modality, image.ConversionType) == ("OT", "WSD")
        assert image.DateOfSecondaryCapture == CREATED.strftime("%Y%m%d")
    for number, finding in enumerate(study.findings, start=1):
        image = images[f"sc-{number}"]
        with Image.open(io.BytesIO(pictures(study)[finding.tracking_uid])) as opened:
            wanted = np.asarray(opened.convert("RGB"))
        assert (image.pixel_array[: len(wanted)] == wanted).all()
        assert image.pixel_array[len(wanted) :].max() > 200  # the caption
        (source,) = image.SourceImageSequence
        assert source.ReferencedSOPInstanceUID == finding.key_image.sop_instance_uid


def test_the_header_says_what_is_burned_in_and_that_it_names_nobody() -> None:
    study = two_findings()
    for image in made(study).values():
        assert image.BurnedInAnnotation == "NO"
        assert "preliminary" in image.DerivationDescription
        assert "PixelSpacing" not in image  # two scales in one picture
    assert "outline, axes and caption" in made(study)["sc-1"].DerivationDescription
    study.headers[study.findings[0].key_slice].BurnedInAnnotation = "YES"
    assert [i.BurnedInAnnotation for i in made(study).values()] == ["NO", "YES", "NO"]


@pytest.mark.parametrize(
    ("orientation", "lies"),
    [(AXIAL, ["L", "P"]), (CORONAL, ["L", "F"]), (SAGITTAL, ["P", "F"])],
)
def test_which_way_a_picture_lies(orientation: tuple[float, ...], lies: list[str]) -> None:
    images = made(two_findings(orientation=orientation))
    assert images["sc-1"].PatientOrientation == lies
    assert not images["sc-0"].PatientOrientation


def test_nothing_found_makes_a_card_that_says_so() -> None:
    study = two_findings()
    empty = made(study, study.report(findings=()))
    assert list(empty) == ["sc-0"]
    assert empty["sc-0"].pixel_array.max() > 200
    nothing = card(study.report(findings=()))
    assert (card(study.report()) != nothing).any()


def test_the_measured_pancreas_has_a_picture_of_its_own() -> None:
    study = pancreatic_study()
    (organ,) = study.structures
    shown = pictures(study) | {organ.tracking_uid: pictures(study)[study.findings[0].tracking_uid]}
    made_ = make_secondary_captures(
        pancreatic_report(study), shown, study.headers, study.volume.grid
    )
    assert list(made_) == ["sc-0", "sc-1", "sc-gland"]
    assert [int(image.InstanceNumber) for image in made_.values()] == [1, 2, 3]
    gland = made_["sc-gland"]
    assert gland.SourceImageSequence[0].ReferencedSOPInstanceUID == organ.key_image.sop_instance_uid
    assert "Key image of Pancreas: outline and caption" in gland.DerivationDescription


def test_what_was_rejected_has_no_picture() -> None:
    study = two_findings()
    first = study.findings[0].tracking_uid
    rejected = (FindingReview(tracking_uid=first, verdict=Verdict.REJECTED),)
    assert list(made(study, study.report(reviews=rejected))) == ["sc-0", "sc-2"]


def test_a_card_with_more_than_it_holds_ends_in_time() -> None:
    study = two_findings()
    many = tuple(
        study.findings[0].model_copy(update={"number": n, "tracking_uid": f"1.2.{n}"})
        for n in range(1, 60)
    )
    picture = card(study.report(findings=many))
    assert picture.shape == (728, 1286, 3)
    assert picture[-20:].max() == 0  # nothing runs over the edge


def test_the_same_report_makes_the_same_pictures() -> None:
    study = two_findings()
    once, again = ({name: image.to_json() for name, image in made(study).items()} for _ in range(2))
    assert once == again


def test_a_finding_without_picture_is_a_mistake() -> None:
    study = two_findings()
    with pytest.raises(ValueError, match="no picture was given for Lung nodule 1"):
        make_secondary_captures(study.report(), {}, study.headers, study.volume.grid)


@pytest.fixture
def fresh_typeface() -> Iterator[None]:
    typeface.cache_clear()
    yield
    typeface.cache_clear()


@pytest.mark.usefixtures("fresh_typeface")
def test_without_a_chinese_font_the_words_are_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imaging.objects.typeface._CHINESE", (("no-such-font.ttf", 0),))
    report = two_findings().report()
    assert typeface(Language.ZH) == typeface(Language.EN)
    assert (card(report, language=Language.ZH) == card(report)).all()
    assert typeface(Language.EN).say(Text.same("8 \u00d7 6 mm\u00b3 \u738b")) == "8 x 6 mm3 ?"


def test_chinese_words_are_drawn_where_the_machine_has_a_font() -> None:
    if typeface(Language.ZH).language is not Language.ZH:
        reason = "no Chinese font on this machine (fonts-noto-cjk: apt)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    report = two_findings().report()
    chinese = card(report, language=Language.ZH)
    assert (chinese != card(report)).any()
    face = typeface(Language.ZH)
    box = face.font(40).getmask
    assert bytes(box("\u80ba")) != bytes(box("\u7ed3")) != bytes(box("\U0010fffd"))
