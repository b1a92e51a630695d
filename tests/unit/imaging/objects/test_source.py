"""Patient and study come through unchanged, in any character set."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.language import Language, Text
from imaging.objects import make_seg, make_sr
from imaging.objects.source import series_description
from tests.unit.imaging.objects.made import Study, two_findings

CHINESE = "Wang^XiaoDong=王^小东"


def with_charset(charset: str | None, name: str | bytes, description: str | bytes) -> Study:
    """Headers as read from files of that character set."""
    study = two_findings()
    read = []
    for header in study.headers:
        if charset is None:
            del header.SpecificCharacterSet
        else:
            header.SpecificCharacterSet = charset
        header.PatientName = name
        header.StudyDescription = description
        out = io.BytesIO()
        header.save_as(out, implicit_vr=False, little_endian=True)
        read.append(dcmread(io.BytesIO(out.getvalue()), force=True))
    study.headers = read
    return study


def both(study: Study, language: Language = Language.EN) -> list[Dataset]:
    report = study.report()
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    objects = []
    for dataset in (seg, make_sr(report, study.headers, seg, language=language)):
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
        objects.append(dcmread(io.BytesIO(out.getvalue())))
    return objects


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", "GBK"])
def test_chinese_names_survive_in_the_source_charset(charset: str, language: Language) -> None:
    for dataset in both(with_charset(charset, CHINESE, "胸部低剂量CT"), language):
        assert dataset.SpecificCharacterSet == charset
        assert dataset.PatientName == CHINESE
        assert dataset.StudyDescription == "胸部低剂量CT"


def test_code_extensions_are_kept_byte_for_byte() -> None:
    study = with_charset("ISO_IR 100", "placeholder", "CT")
    raw = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    for header in study.headers:
        header.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        header.PatientName = raw
    read = []
    for header in study.headers:
        out = io.BytesIO()
        header.save_as(out, implicit_vr=False, little_endian=True)
        read.append(dcmread(io.BytesIO(out.getvalue()), force=True))
    study.headers = read
    for dataset in both(study):
        assert bytes(dataset.PatientName.original_string) == raw
        assert str(dataset.PatientName) == "Yamada^Tarou=山田^太郎"


def test_latin_source_becomes_utf8_when_our_text_is_chinese() -> None:
    seg, sr = both(with_charset("ISO_IR 100", "Müller^Jörg", "Thorax übersicht"), Language.ZH)
    assert (seg.SpecificCharacterSet, sr.SpecificCharacterSet) == ("ISO_IR 100", "ISO_IR 192")
    for dataset in (seg, sr):
        assert dataset.PatientName == "Müller^Jörg"
        assert dataset.StudyDescription == "Thorax übersicht"


@pytest.mark.parametrize("codec", ["gb18030", "utf-8"])
def test_undeclared_chinese_bytes_are_kept_or_understood(codec: str) -> None:
    raw = CHINESE.encode(codec)
    study = with_charset(None, raw, "CT")
    seg, sr = both(study, Language.EN)
    for dataset in (seg, sr):
        assert "SpecificCharacterSet" not in dataset
        assert bytes(dataset.PatientName.original_string) == raw
    _, chinese = both(study, Language.ZH)
    assert chinese.SpecificCharacterSet == "ISO_IR 192"
    assert chinese.PatientName == CHINESE


def test_patient_and_study_are_copied() -> None:
    study = two_findings()
    for header in study.headers:
        header.PatientAge = "055Y"
        header.IssuerOfPatientID = "HOSPITAL-A"
    for dataset in both(study):
        first = study.headers[0]
        for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyID",
                        "IssuerOfPatientID", "StudyInstanceUID", "StudyDate", "StudyTime",
                        "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
            assert dataset[keyword].value == first[keyword].value, keyword


def test_an_invalid_optional_attribute_is_left_out() -> None:
    study = two_findings()
    for header in study.headers:
        header.add_new("PatientAge", "LO", "0Y")
        header["PatientAge"].VR = "AS"
    for dataset in both(study):
        assert "PatientAge" not in dataset


def test_a_long_title_keeps_prefix_and_stage() -> None:
    study = two_findings()
    report = study.report(fake=True)
    title = Text(en="Long title " * 9, zh="长标题")
    model = report.model.model_copy(update={"title": title})
    report = report.model_copy(update={"model": model})
    words = series_description(report, "SEG")
    assert len(words) == 64
    assert words.startswith("NOT FOR CLINICAL USE Preread Long")
    assert words.endswith(" SEG (preliminary)")


def test_real_files_of_many_charsets(shared_data: Path) -> None:
    paths = sorted(p for p in (shared_data / "protocol" / "charsets").rglob("*") if p.is_file())
    tried = 0
    study = two_findings()
    report = study.report()
    for path in paths:
        if "PatientName" not in dcmread(path, force=True, stop_before_pixels=True):
            continue
        headers = [_as_if_from(path, header) for header in study.headers]
        wanted = str(headers[0].PatientName)
        out = io.BytesIO()
        make_sr(report, headers, None).save_as(out, enforce_file_format=True)
        assert str(dcmread(io.BytesIO(out.getvalue())).PatientName) == wanted, path.name
        tried += 1
    assert tried >= 20


def _as_if_from(path: Path, header: Dataset) -> Dataset:
    """A file's own header with the geometry and UIDs of ``header``."""
    read = dcmread(path, force=True, stop_before_pixels=True)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
                    "FrameOfReferenceUID", "Modality", "Rows", "Columns", "PixelSpacing",
                    "ImageOrientationPatient", "ImagePositionPatient"):  # fmt: skip
        setattr(read, keyword, header[keyword].value)
    return read
