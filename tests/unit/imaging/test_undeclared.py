"""Names without a declared character set; with one, pydicom is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging.headers import scan_files
from imaging.undeclared import text_of, understood
from tests.unit.imaging.synthetic import make_images, random_hu, write

CHINESE = ["王^小东", "胸部CT平扫", "欧阳^娜娜", "增强 动脉期 1.0mm", "李^镕"]


def undeclared(raw: bytes) -> str:
    """As pydicom gives it."""
    return raw.decode("latin-1")


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "gbk"])
@pytest.mark.parametrize("text", CHINESE)
def test_chinese_is_understood(text: str, codec: str) -> None:
    assert understood(undeclared(text.encode(codec))) == text


@pytest.mark.parametrize("text", ["Müller^Jörg", "Thorax nativ", "Gómez", "Björk^Åsa", "Çelik"])
def test_a_latin_name_stays_one(text: str) -> None:
    assert understood(undeclared(text.encode("latin-1"))) == text


@given(st.text())
def test_no_text_is_an_error_and_ascii_is_kept(text: str) -> None:
    made = understood(text)
    assert made == text or not text.isascii()


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1))
def test_utf8_is_always_understood(text: str) -> None:
    assert understood(undeclared(text.encode("utf-8"))) == text


def test_a_declared_set_is_left_to_pydicom() -> None:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientName = "MÃ¼ller"
    assert text_of(header, "PatientName") == "MÃ¼ller"
    assert text_of(header, "PatientID") == ""


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("GB18030", "gb18030"), ("ISO_IR 192", "utf-8"), (None, "gb18030"), (None, "utf-8")],
)
def test_descriptions_of_a_series_are_read(tmp_path: Path, charset: str | None, codec: str) -> None:
    """So that a rule that asks for 平扫 finds it."""
    wanted = "胸部平扫"

    def change(_: int, image: Dataset) -> None:
        image.SeriesDescription = "################"[: len(wanted.encode(codec))]
        if charset:
            image.SpecificCharacterSet = charset

    (path,) = write(tmp_path, make_images(random_hu((1, 8, 8)), change=change))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"#" * len(wanted.encode(codec)), wanted.encode(codec)))
    (header,) = scan_files([path]).series.values()
    assert header.description == wanted
