"""What callers take (Accept), multipart bodies made and taken apart, what a search means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from pacs_bridge.dicomweb.multipart import Malformed, boundary_of, streamed
from pacs_bridge.dicomweb.server.media import (
    DICOM,
    JSON,
    OCTETS,
    Multipart,
    Offer,
    Part,
    Wanted,
    choose,
    wanted_of,
)
from pacs_bridge.dicomweb.server.query import BadQuery, parse

EXPLICIT, JLS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", Wanted("*/*", None)),
        ("*/*", Wanted("*/*", None)),
        (JSON, Wanted(JSON, False)),
        ('multipart/related; type="application/dicom"', Wanted(DICOM, True)),
        ("multipart/related; type=application/dicom; transfer-syntax=*", Wanted(DICOM, True, "*")),
        ("Multipart/Related;Type=IMAGE/JLS", Wanted("image/jls", True)),
        ("image/png;q=0.5", Wanted("image/png", False, quality=0.5)),
        ("multipart/related", Wanted("*/*", True)),
    ],
)
def test_what_is_wanted(accept: str, wanted: Wanted) -> None:
    assert wanted_of(accept) == [wanted]


def test_the_best_liked_comes_first_and_what_is_not_liked_at_all_not() -> None:
    accept = f'image/png;q=0.1, multipart/related; type="a/b, c"; q=0.9, {JSON}, text/html;q=0'
    assert [each.type for each in wanted_of(accept)] == [JSON, "a/b, c", "image/png"]
    assert wanted_of("text/html;q=0") == []
    assert wanted_of("text/html;q=x") == []


OFFERS = (
    Offer(OCTETS, True, EXPLICIT, False),
    Offer("image/jls", True, JLS),
    Offer(OCTETS, True, JLS, True, False),
    Offer(JSON),
)


@pytest.mark.parametrize(
    ("accept", "index"),
    [
        ("*/*", 0),
        ("multipart/related; type=application/octet-stream", 0),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", 2),
        (f"multipart/related; type=application/octet-stream; transfer-syntax={EXPLICIT}", 0),
        ("multipart/related; type=image/jls", 1),
        (f"multipart/related; type=image/jls; transfer-syntax={JLS}", 1),
        ("multipart/related; type=image/*", 1),
        (f"multipart/related; type=image/jls;q=0.1, {JSON}", 3),
        ("image/jls", None),
        (f"multipart/related; type={JSON}", None),
        ("multipart/related; type=image/jls; transfer-syntax=1.2", None),
    ],
)
def test_what_suits(accept: str, index: int | None) -> None:
    found = choose(wanted_of(accept), OFFERS)
    assert found == (None if index is None else OFFERS[index])


@given(st.text(max_size=300))
def test_no_header_makes_it_fall_over(accept: str) -> None:
    choose(wanted_of(accept), OFFERS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([b"\r\n--", b"--x", b"\r\n\r\n"])),
    st.integers(1, 50),
)
def test_what_is_made_is_taken_apart_however_it_comes(contents: list[bytes], step: int) -> None:
    made = Multipart(DICOM, [Part(each, DICOM) for each in contents])
    body = b"".join(made)
    pieces = (body[at : at + step] for at in range(0, len(body), step))
    boundary = boundary_of(made.content_type)
    found = [b"".join(content) for content in streamed(lambda: next(pieces, b""), boundary)]
    assert found == contents


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3), st.integers(1, 400))
def test_a_body_that_is_cut_is_said_to_be(contents: list[bytes], cut: int) -> None:
    made = Multipart(DICOM, [Part(each, DICOM) for each in contents])
    whole = b"".join(made)
    body = iter([whole[: max(0, len(whole) - 4 - cut)]])
    taken = streamed(lambda: next(body, b""), boundary_of(made.content_type))
    with pytest.raises(Malformed):
        for content in taken:
            for _ in content:
                pass


def test_what_nobody_reads_of_a_part_is_passed_over() -> None:
    made = Multipart(DICOM, [Part(bytes(5000), DICOM), Part(b"second", "text/plain")])
    body: Iterator[bytes] = iter(made)
    contents = streamed(lambda: next(body, b""), boundary_of(made.content_type))
    next(contents)
    assert b"".join(next(contents)) == b"second"
    assert next(contents, None) is None


def test_what_a_search_asks_for() -> None:
    query = parse(
        [("PatientName", "Z*"), ("00080060", "CT"), ("limit", "5"), ("offset", "2"),
         ("includefield", "Rows,00280011"), ("RequestAttributesSequence.RequestedProcedureID", "7")]
    )  # fmt: skip
    assert query.keys == (
        (("PatientName",), "Z*"), (("Modality",), "CT"),
        (("RequestAttributesSequence", "RequestedProcedureID"), "7"),
    )  # fmt: skip
    assert (query.limit, query.offset, query.fields) == (5, 2, {"Rows", "Columns"})
    held = Dataset()
    held.PatientName, held.Modality = "zhou^x", "CT"
    assert not query.matches(held)
    item = Dataset()
    item.RequestedProcedureID = "7"
    held.RequestAttributesSequence = [item]
    assert query.matches(held)


@pytest.mark.parametrize(
    ("name", "value"), [("Nothing", "x"), ("limit", "-1"), ("offset", "x"), ("00020010", "1"),
                        ("includefield", "Nothing"), ("limit", "9" * 30), ("a.b", "c")]
)  # fmt: skip
def test_a_search_that_is_wrong_names_what(name: str, value: str) -> None:
    with pytest.raises(BadQuery, match=name.split(".")[0] if name != "includefield" else value):
        parse([(name, value)])
