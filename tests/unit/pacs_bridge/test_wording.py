"""Text for receivers that read one character set, with nothing lost unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pacs_bridge.delivery.wording import Unfit, fit
from tests.unit.pacs_bridge.made import ct, saved

CHINESE = "右肺上叶结节，建议随访"


def made(tmp_path: Path, character_set: str | list[str] | None, **texts: str) -> Path:
    """A file with a comment in a nested item too."""
    image = ct(SpecificCharacterSet="ISO_IR 192", **texts)
    inner = Dataset()
    inner.CodeMeaning = texts.get("StudyDescription", "Chest")
    outer = Dataset()
    outer.ConceptNameCodeSequence = Sequence([inner])
    outer.TextValue = inner.CodeMeaning
    image.ContentSequence = Sequence([outer])
    if character_set is None:
        del image.SpecificCharacterSet
    else:
        image.SpecificCharacterSet = character_set
    return saved(image, tmp_path / "made.dcm")


def read(source: Path | Dataset, tmp_path: Path) -> tuple[Dataset, bytes]:
    """As the receiver reads what is sent, and its bytes."""
    path = tmp_path / "sent.dcm"
    if isinstance(source, Path):
        path = source
    else:
        source.save_as(path, enforce_file_format=True)
    return dcmread(path), path.read_bytes()


def test_a_receiver_of_anything_gets_the_file_itself(tmp_path: Path) -> None:
    path = made(tmp_path, "ISO_IR 192", PatientName="张^三")
    assert fit(path, ()).source == path
    assert fit(path, ("GB18030", "ISO_IR 192")).source == path


def test_utf_8_becomes_gb18030_down_to_the_nested_items(tmp_path: Path) -> None:
    path = made(tmp_path, "ISO_IR 192", PatientName="Zhang^San=张^三", StudyDescription=CHINESE)
    fitted = fit(path, ("GB18030",))
    assert fitted.note == "text converted to GB18030"
    got, raw = read(fitted.source, tmp_path)
    assert got.SpecificCharacterSet == "GB18030"
    assert got.PatientName == "Zhang^San=张^三"
    (outer,) = got.ContentSequence
    assert outer.TextValue == outer.ConceptNameCodeSequence[0].CodeMeaning == CHINESE
    assert raw.count(CHINESE.encode("gb18030")) == 3
    assert CHINESE.encode() not in raw
    assert got.PixelData == dcmread(path).PixelData


def test_an_item_with_a_set_of_its_own_is_read_in_it(tmp_path: Path) -> None:
    image = ct(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg")
    item = Dataset()
    item.SpecificCharacterSet = "GB18030"
    item.TextValue = CHINESE
    image.ContentSequence = Sequence([item])
    path = saved(image, tmp_path / "made.dcm")
    got, raw = read(fit(path, ("ISO_IR 100", "GBK", "GB18030")).source, tmp_path)
    assert got.SpecificCharacterSet == "GB18030"  # GBK lacks the umlauts
    assert got.ContentSequence[0].TextValue == CHINESE
    assert got.PatientName == "Müller^Jörg"
    assert raw.count(b"GB18030") == 1


@pytest.mark.parametrize(
    ("sets", "chosen"),
    [
        (("ISO_IR 100",), "ISO_IR 100"),
        (("ISO_IR 6", "ISO_IR 144", "ISO_IR 100"), "ISO_IR 100"),
        (("GB18030", "ISO_IR 100"), "GB18030"),
    ],
)
def test_the_first_set_that_holds_everything_is_taken(
    tmp_path: Path, sets: tuple[str, ...], chosen: str
) -> None:
    path = made(tmp_path, "ISO_IR 192", PatientName="Müller^Jörg", StudyDescription="Größe 5 µm")
    got, _ = read(fit(path, sets).source, tmp_path)
    assert got.SpecificCharacterSet == chosen
    assert (got.PatientName, got.StudyDescription) == ("Müller^Jörg", "Größe 5 µm")


def test_code_extensions_are_written_and_read(tmp_path: Path) -> None:
    path = made(tmp_path, "ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    got, raw = read(fit(path, ("ISO 2022 IR 6\\ISO 2022 IR 87",)).source, tmp_path)
    assert list(got.SpecificCharacterSet) == ["ISO 2022 IR 6", "ISO 2022 IR 87"]
    assert got.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert raw.count(b"\x1b$B") == 4


def test_plain_ascii_goes_as_it_is_where_it_declares_nothing(tmp_path: Path) -> None:
    path = made(tmp_path, None)
    assert fit(path, ("ISO_IR 100",)).source == path


def test_a_declared_set_is_exchanged_even_where_all_is_ascii(tmp_path: Path) -> None:
    """A receiver that does not know ISO_IR 192 may refuse it by its name."""
    got, _ = read(fit(made(tmp_path, "ISO_IR 192"), ("ISO_IR 100",)).source, tmp_path)
    assert got.SpecificCharacterSet == "ISO_IR 100"


def test_the_ideographic_part_of_a_name_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    path = made(tmp_path, "ISO_IR 192", PatientName="Zhang^San=张^三")
    fitted = fit(path, ("ISO_IR 100",))
    assert "of PatientName the part that is not alphabetic was left out" in fitted.note
    got, _ = read(fitted.source, tmp_path)
    assert got.PatientName == "Zhang^San"


def test_a_receiver_of_ascii_alone_is_told_of_no_set(tmp_path: Path) -> None:
    fitted = fit(made(tmp_path, "ISO_IR 192", PatientName="Zhang^San=张^三"), ("ISO_IR 6",))
    got, _ = read(fitted.source, tmp_path)
    assert "SpecificCharacterSet" not in got
    assert got.PatientName == "Zhang^San"


@pytest.mark.parametrize(
    "texts", [{"PatientName": "张^三"}, {"StudyDescription": CHINESE}, {"PatientName": "=张^三"}]
)
def test_text_that_fits_nowhere_is_an_error_with_its_name(
    tmp_path: Path, texts: dict[str, str]
) -> None:
    path = made(tmp_path, "ISO_IR 192", **texts)
    with pytest.raises(Unfit, match=rf"{next(iter(texts))} .*can't be written in ISO_IR 100 or"):
        fit(path, ("ISO_IR 100", "ISO_IR 144"))


@pytest.mark.filterwarnings("ignore:Failed to decode byte string")
def test_text_that_is_none_is_not_passed_on_as_if_it_were(tmp_path: Path) -> None:
    image = ct(SpecificCharacterSet="ISO_IR 192")
    path = saved(image, tmp_path / "made.dcm")
    path.write_bytes(path.read_bytes().replace(b"Zhang^San", b"Zhang^\xd5\xc5n"))
    with pytest.raises(Unfit, match="PatientName .* is damaged"):
        fit(path, ("GB18030",))
    undeclared = saved(ct(), tmp_path / "undeclared.dcm")
    undeclared.write_bytes(undeclared.read_bytes().replace(b"Zhang^San", b"Zhang^\xd5\xc5n"))
    with pytest.raises(Unfit, match="declares no SpecificCharacterSet"):
        fit(undeclared, ("GB18030",))
