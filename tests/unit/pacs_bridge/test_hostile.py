"""Reading the head of what is sent: hostile bytes are refused in bounded time, odd names read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from pacs_bridge.errors import Refused
from pacs_bridge.identify import LONGEST_TEXT, identify, identify_head
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import split_file
from tests.unit.pacs_bridge.made import command, ct, encoded, nested, with_element


class TestHostile:
    """Data sets made to hurt whoever reads them."""

    def test_nesting_a_hundred_thousand_deep_is_stepped_over(self, inbox: Inbox) -> None:
        image = ct()
        data = with_element(image, nested(100_000))
        began = time.perf_counter()
        assert inbox.receive(data, **command(image)).bytes == len(data)
        assert time.perf_counter() - began < 30

    def test_nesting_that_is_never_closed_is_refused(self) -> None:
        data = with_element(ct(), nested(10)[: 10 * 20 + 40])
        with pytest.raises(Refused):
            identify(data, ExplicitVRLittleEndian)

    def test_a_million_tiny_elements_end_in_a_refusal(self) -> None:
        tiny = b"\x08\x00\x40\x11UL\x00\x00" * 1_200_000
        began = time.perf_counter()
        with pytest.raises(Refused, match="elements in its head"):
            identify(with_element(ct(), tiny), ExplicitVRLittleEndian)
        assert time.perf_counter() - began < 60

    def test_a_length_past_the_end_names_the_tag(self) -> None:
        lying = b"\x08\x00\x40\x11UN\x00\x00\xf0\xff\xff\xff"
        with pytest.raises(Refused, match=r"\(0008,1140\) says it has 4294967280 bytes"):
            identify(with_element(ct(), lying), ExplicitVRLittleEndian)

    def test_a_deflate_bomb_costs_a_bounded_time(self) -> None:
        import zlib

        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        head = b"\x08\x00\x40\x11OB\x00\x00" + (1 << 30).to_bytes(4, "little")
        bomb = packer.compress(head) + packer.compress(bytes(1 << 28)) + packer.flush()
        began = time.perf_counter()
        with pytest.raises(Refused):
            identify(bomb, DeflatedExplicitVRLittleEndian)
        assert time.perf_counter() - began < 30

    def test_two_study_uids_in_one_data_set_are_refused(self) -> None:
        second = generate_uid().encode().ljust(64, b"\x00")
        data = with_element(
            ct(), b"\x20\x00\x0d\x00UI" + len(second).to_bytes(2, "little") + second
        )
        with pytest.raises(Refused, match="stands twice"):
            identify(data, ExplicitVRLittleEndian)

    @pytest.mark.filterwarnings("ignore")
    def test_texts_are_bounded_and_hold_nothing_a_database_or_a_log_chokes_on(self) -> None:
        image = ct(
            PatientName="A\x00B\nC" + "x" * 5000, StudyDescription="<script>alert(1)</script>"
        )
        identity = identify(encoded(image), ExplicitVRLittleEndian)
        assert len(identity.patient_name) <= LONGEST_TEXT
        assert identity.patient_name.startswith("A B Cxxx")
        assert identity.description == "<script>alert(1)</script>"  # kept; the page escapes it

    @pytest.mark.filterwarnings("ignore")
    def test_an_unknown_character_set_does_not_lose_the_study(self) -> None:
        image = ct()
        data = encoded(image)
        odd = b"\x08\x00\x05\x00CS\x0a\x00KLINGON 99"
        assert identify(odd + data, ExplicitVRLittleEndian).patient_name == "Zhang^San"

    @settings(max_examples=300, deadline=None)
    @given(some.binary(max_size=400), some.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                                         "1.2.840.10008.1.2.1.99",
                                                         "1.2.840.10008.1.2.2"]))  # fmt: skip
    def test_any_bytes_are_identified_or_refused(self, data: bytes, syntax: str) -> None:
        with pytest.raises(Refused):
            identify(data, syntax)

    @settings(max_examples=200, deadline=None)
    @given(some.data())
    @pytest.mark.filterwarnings("ignore")
    def test_what_a_head_tells_the_whole_tells_too(self, data: Any) -> None:
        whole = bytearray(with_element(_IMAGE, nested(3)))
        for _ in range(data.draw(some.integers(0, 3))):
            whole[data.draw(some.integers(0, len(whole) - 1))] = data.draw(some.integers(0, 255))
        cut = data.draw(some.integers(0, len(whole)))
        told = identify_head(bytes(whole[:cut]), ExplicitVRLittleEndian)
        assert told is None or told == identify(bytes(whole), ExplicitVRLittleEndian)

    def test_a_head_without_pixels_is_enough(self) -> None:
        whole = encoded(_IMAGE)
        assert identify_head(whole[:-512], ExplicitVRLittleEndian) == identify(
            whole, ExplicitVRLittleEndian
        )
        assert identify_head(whole[:100], ExplicitVRLittleEndian) is None
        packed = encoded(_IMAGE, DeflatedExplicitVRLittleEndian)
        assert identify_head(packed, DeflatedExplicitVRLittleEndian) is None

    @settings(max_examples=300, deadline=None)
    @given(some.data())
    @pytest.mark.filterwarnings("ignore")
    def test_a_damaged_data_set_is_identified_or_refused(self, data: Any) -> None:
        whole = bytearray(with_element(_IMAGE, nested(3)))
        for _ in range(data.draw(some.integers(1, 8))):
            whole[data.draw(some.integers(0, 400))] = data.draw(some.integers(0, 255))
        cut = data.draw(some.integers(0, len(whole)))
        try:
            identity = identify(bytes(whole[:cut]), ExplicitVRLittleEndian)
        except Refused as refusal:
            assert refusal.status == 0xC000
        else:
            assert all(part.isdigit() for part in identity.study_uid.split("."))


_IMAGE = ct()


def test_names_are_decoded_as_pydicom_decodes_them(shared_data: Path) -> None:
    checked = 0
    for path in sorted((shared_data / "protocol" / "charsets").glob("*.dcm")):
        parts = split_file(path.read_bytes())
        try:
            identity = identify(parts.dataset, parts.transfer_syntax_uid)
        except Refused:
            continue
        assert identity.patient_name == str(dcmread(path).PatientName).strip(), path.name
        checked += 1
    assert checked > 20


def test_real_hostile_files_are_kept_or_refused_quickly(inbox: Inbox, shared_data: Path) -> None:
    kept = refused = 0
    for path in sorted((shared_data / "protocol" / "hostile").rglob("*.dcm")):
        began = time.perf_counter()
        try:
            instance = inbox.import_file(path)
        except Refused as refusal:
            assert refusal.status == 0xC000
            refused += 1
        else:
            assert inbox.folder in instance.path.parents
            kept += 1
        assert time.perf_counter() - began < 30, path.name
    assert kept > 30
    assert refused > 5
