"""The PDF says what the report says, in letters that a PDF reader has, and as DICOM too."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.language import Language
from imaging.objects import make_encapsulated_pdf, render_key_image, render_pdf
from imaging.objects.pdf_words import (
    CHINESE,
    EMBEDDED,
    GETA,
    KOREAN,
    LATIN,
    LATIN_BOLD,
    embedded,
    runs,
)
from imaging.report import FindingReview, Patient, Report, Signature, Verdict
from tests.described_pancreas import pancreatic_report, pancreatic_study
from tests.unit.imaging.objects.made import CREATED, Study, two_findings, with_organ
from tests.unit.imaging.objects.test_nodules import full


def pictures(study: Study) -> dict[str, bytes]:
    return {f.tracking_uid: render_key_image(study.volume, f) for f in study.findings}


def pages(pdf: bytes) -> list[str]:
    """The text of each page, as Poppler reads it."""
    reader = shutil.which("pdftotext")
    if reader is None:
        reason = "pdftotext is not installed (poppler-utils, poppler-data: apt)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    done = subprocess.run([reader, "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode().split("\f")[:-1]


def signed(report: Report) -> Report:
    by = Signature(name="Zhang^San=张^三", organization="县人民医院", signed_at=CREATED)
    return report.signed(by)


def test_every_page_of_a_preliminary_report_says_what_it_is_and_whose() -> None:
    study = with_organ()
    patient = Patient(patient_id="P<b>1", patient_name="Wang^Xiao=王^小")
    report = full(study, patient=patient, structures=tuple(study.structures))
    shown = pages(render_pdf(report, pictures(study)))
    assert len(shown) > 1
    for number, page in enumerate(shown, start=1):
        assert page.count("PRELIMINARY, not verified by a physician, not for diagnosis") >= 2
        assert "王小 (Wang Xiao) · P<b>1" in page
        assert re.search(rf"\b{number} ?/ ?{len(shown)}\n", page)
    whole = "".join(shown)
    for said in (
        "The signed report replaces it", "Lung-RADS 2022 4A", "Low-dose CT in 3 months",
        "Solid nodule in the right upper lobe", "8.2 × 7.0", "Compared with 2025-03-02", "Spleen",
        "does not replace the reading", "201 mg",
    ):  # fmt: skip
        assert said in whole, said


def test_chinese_is_there_to_be_read() -> None:
    study = with_organ()
    report = full(study, impression="右肺结节，建议随访。")
    whole = "".join(pages(render_pdf(report, pictures(study), language=Language.ZH)))
    for said in ("不得用于诊断", "以签署后的报告为准", "右上叶", "建议随访", "平均 CT 值"):
        assert said in whole.replace("右肺上叶", "右上叶"), said
    assert "PRELIMINARY" not in whole


def test_a_signed_report_names_who_verified_it_and_what_it_takes_the_place_of() -> None:
    study = pancreatic_study()
    before = pancreatic_report(study)
    report = signed(before.model_copy(update={"revision": 2, "supersedes": before.as_superseded}))
    whole = "".join(pages(render_pdf(report, pictures(study))))
    assert "PRELIMINARY" not in whole and "not for diagnosis" not in whole
    assert "Verified by 张三 (Zhang San) · 县人民医院" in whole
    assert "Supersedes revision 1 (preliminary)" in whole
    assert "Revision 2" in whole
    for said in ("Pancreatic tumour", "SAR/APA 2014", "Part", "71.3 ml", "7.4 mm"):
        assert said in whole, said


def test_what_was_rejected_is_said_to_be() -> None:
    study = two_findings()
    first = study.findings[0].tracking_uid
    review = FindingReview(tracking_uid=first, verdict=Verdict.REJECTED)
    whole = "".join(pages(render_pdf(signed(study.report(reviews=(review,))), pictures(study))))
    assert "Rejected by the reader" in whole
    fake = study.report(fake=True, findings=())
    whole = "".join(pages(render_pdf(fake, {})))
    assert whole.count("NOT FOR CLINICAL USE") >= 2 and "Made by a stand-in model" in whole
    assert "does not exclude disease" in whole


def test_the_same_report_makes_the_same_file() -> None:
    study = two_findings()
    once, again = (render_pdf(full(study), pictures(study)) for _ in range(2))
    assert once == again


@pytest.fixture
def no_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has no font to put into the file."""
    monkeypatch.setattr("imaging.objects.pdf_words.embeddable", lambda: None)
    embedded.cache_clear()
    yield
    embedded.cache_clear()


def fonts_of(pdf: bytes, folder: Path) -> dict[str, bool]:
    """Whether each font is in the file, as Poppler lists them."""
    (folder / "report.pdf").write_bytes(pdf)
    listed = subprocess.run(
        ["pdffonts", str(folder / "report.pdf")], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()[2:]]
    return {row[0]: row[-5] == "yes" for row in rows}


def test_chinese_goes_into_the_file_where_the_machine_has_a_font_for_that(tmp_path: Path) -> None:
    if embedded() is None:
        reason = "no Chinese font that can go into a PDF (fonts-wqy-microhei: apt)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    study = two_findings()
    report = full(study, impression="右肺结节，建议随访。")
    once, again = (render_pdf(report, pictures(study), language=Language.ZH) for _ in range(2))
    assert once == again
    assert "建议随访" in "".join(pages(once))
    fonts = fonts_of(once, tmp_path)
    assert CHINESE not in fonts
    assert [name for name, inside in fonts.items() if not inside] == [LATIN, LATIN_BOLD]
    assert len(once) < 400_000, "the letters that are used, and no others"
    assert runs("王小 8.2 𠮷") == [
        (EMBEDDED, "王小 "), (LATIN, "8.2 "), (EMBEDDED, GETA),
    ]  # fmt: skip


@pytest.mark.usefixtures("no_font")
def test_a_machine_without_such_a_font_names_one_that_readers_have(tmp_path: Path) -> None:
    study = two_findings()
    pdf = render_pdf(full(study), pictures(study), language=Language.ZH)
    assert "不得用于诊断" in "".join(pages(pdf))
    assert not fonts_of(pdf, tmp_path)[CHINESE]


@pytest.mark.usefixtures("no_font")
def test_letters_are_set_in_a_font_that_has_them() -> None:
    assert runs("Wang 王小 8.2 × 7.0 mm³") == [
        (LATIN, "Wang "), (CHINESE, "王小 "), (LATIN, "8.2 × 7.0 mm³"),
    ]  # fmt: skip
    assert runs("홍길동") == [(KOREAN, "홍길동")]
    assert runs("\U00020bb7田") == [(CHINESE, GETA + "田")]  # beyond the plane the fonts reach


@given(st.text(max_size=60))
def test_no_letter_is_lost_and_none_is_taken_for_markup(text: str) -> None:
    together = "".join(letters for _, letters in runs(text))
    kept = [c for c in text if not (ord(c) < 32 and c not in "\t\n") and not 127 <= ord(c) < 160]
    assert len(together) == len(kept)
    assert [c for c in together if c <= "\uffff" and c not in (GETA, "–")] == [
        c for c in kept if c <= "\uffff" and c not in (GETA, "–", "\u2212")
    ]


@pytest.mark.parametrize("name", ["<b>x", "</font>", "&amp;", "a\\b", "<para/>", "%PDF-", "((("])
def test_foreign_text_is_text(name: str) -> None:
    study = two_findings()
    report = study.report(study_description=name, findings=())
    assert name in "".join(pages(render_pdf(report, {})))


def wrapped(report: Report, pdf: bytes, study: Study) -> Dataset:
    out = io.BytesIO()
    make_encapsulated_pdf(report, pdf, study.headers).save_as(out, enforce_file_format=True)
    return dcmread(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize("length", [10, 11])
def test_as_a_dicom_object_it_is_the_same_file(length: int) -> None:
    study = two_findings()
    pdf = b"%PDF-1.4\n".ljust(length, b"x")
    document = wrapped(study.report(), pdf, study)
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == pdf
    assert len(document.EncapsulatedDocument) % 2 == 0
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert (document.Modality, document.VerificationFlag) == ("DOC", "UNVERIFIED")
    assert document.BurnedInAnnotation == "YES"
    assert document.SOPInstanceUID == study.report().uid_of("pdf")
    assert len(document.SourceInstanceSequence) == len(study.headers)
    assert wrapped(signed(study.report()), pdf, study).VerificationFlag == "VERIFIED"


def test_what_is_no_pdf_is_not_wrapped() -> None:
    study = two_findings()
    with pytest.raises(ValueError, match="no PDF"):
        make_encapsulated_pdf(study.report(), b"<html>", study.headers)
