"""A multipart body taken apart while it comes, in pieces of any size."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_bridge.dicomweb import multipart
from pacs_bridge.dicomweb.multipart import Malformed, boundary_of, parts


def body(contents: list[bytes], head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    made = b"".join(b"--cut\r\n" + head + b"\r\n" + content + b"\r\n" for content in contents)
    return made + b"--cut--\r\n"


def taken(data: bytes, piece: int = 7, largest: int = 1000) -> list[bytes]:
    stream = io.BytesIO(data)
    return list(parts(lambda size: stream.read(min(size, piece)), b"cut", largest))


@given(
    st.lists(st.binary(max_size=60).filter(lambda b: b"\r\n--cut" not in b), max_size=4),
    st.integers(1, 200),
)
def test_what_was_put_in_comes_out(contents: list[bytes], piece: int) -> None:
    assert taken(body(contents), piece) == contents


def test_contents_that_look_like_boundaries_stay_whole() -> None:
    contents = [b"--cut", b"\r\n--cu", b"\r\n\r\n", b"--cut--\r\n"]
    assert taken(body(contents)) == contents


def test_parts_without_headers_and_a_preamble_are_taken() -> None:
    assert taken(b"preamble\r\n" + body([b"one"], head=b"")) == [b"one"]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_body_that_is_cut_off_is_malformed(cut: int) -> None:
    data = body([b"content"])
    with pytest.raises(Malformed, match="ends before"):
        taken(data[: len(data) - 4 - cut])


def test_a_part_without_end_is_given_up_on() -> None:
    endless = b"--cut\r\n\r\n" + b"x" * 5000
    with pytest.raises(Malformed, match="a part of more than"):
        taken(endless)
    with pytest.raises(Malformed, match="a preamble of more than"):
        taken(b"x" * (multipart.LONGEST_HEAD + 100), piece=4096)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=cut', b"cut"),
        ('multipart/related; boundary="a b;c"', b"a b;c"),
        ("Multipart/Related; BOUNDARY=x", b"x"),
    ],
)
def test_the_boundary_is_found(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", ["", "text/html", "multipart/related"])
def test_what_has_no_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed):
        boundary_of(content_type)
