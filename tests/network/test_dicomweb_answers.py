"""How answers go out: what a thin line is spared, what is gone, what is no image, what is told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from imaging.objects import make_encapsulated_pdf
from pacs_bridge.dicomweb.server import modalities
from pacs_bridge.dicomweb.server.reading import modality_of
from tests.network.test_dicomweb_read import OCTETS, read, request
from tests.network.web_site import (
    Held,
    WebSite,
    another,
    basic,
    content_of,
    parts,
    put_study,
    running_web,
)

DICOM = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    with running_web(tmp_path_factory.mktemp("web")) as site:
        yield site


@pytest.fixture(scope="module")
def held(site: WebSite) -> Held:
    return put_study(site, shape=(9, 48, 40))  # JPEG 2000 has no smaller images


@pytest.mark.parametrize("below", ["", "/metadata", "/rendered", "/thumbnail", "/frames/1"])
def test_what_the_caller_has_is_not_sent_again(site: WebSite, held: Held, below: str) -> None:
    path = held.of(held.images[0]) + below
    first = site.get(path)
    assert first.status_code == 200 and first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    again = site.get(path, **{"If-None-Match": f'W/"other", {tag}'})
    assert again.status_code == 304 and not again.content
    assert again.headers["etag"] == tag
    assert site.get(path, **{"If-None-Match": 'W/"other"'}).content
    assert site.get(path, name="sender", **{"If-None-Match": tag}).status_code == 403


def test_another_content_has_another_tag(site: WebSite, held: Held) -> None:
    image = another(site, held, 0)
    path = held.of(image) + "/metadata"
    tag = site.get(path).headers["etag"]
    image.PatientName = "Li^Si"
    site.inbox.import_content(content_of(image))
    answer = site.get(path, **{"If-None-Match": tag})
    assert answer.json()[0]["00100010"]["Value"] == [{"Alphabetic": "Li^Si"}]
    assert answer.headers["etag"] != tag


def test_json_is_compressed_where_the_caller_takes_that(site: WebSite, held: Held) -> None:
    for path in (f"{held.path}/metadata", f"{held.path}/instances"):
        plain = site.get(path, **{"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        packed = site.get(path, **{"Accept-Encoding": "br;q=1, gzip;q=0.5"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == plain.json()
        assert int(packed.headers["content-length"]) < len(plain.content) / 4
        refused = site.get(path, **{"Accept-Encoding": "gzip;q=0"})
        assert "content-encoding" not in refused.headers


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=2000-", 2000, 2047), ("bytes=-5", 2043, 2047),
     ("bytes=2040-9999", 2040, 2047)],
)  # fmt: skip
def test_a_large_value_comes_in_part(
    site: WebSite, held: Held, asked: str, first: int, last: int
) -> None:
    path = held.of(held.images[0]) + "/bulkdata/00091001"
    octets = "application/octet-stream"
    whole = site.get(path, Accept=octets)
    assert whole.headers["accept-ranges"] == "bytes" and len(whole.content) == 2048
    part = site.get(path, Accept=octets, Range=asked)
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes {first}-{last}/2048"
    assert part.content == whole.content[first : last + 1]


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=2048-", 416), ("bytes=9-3", 416), ("bytes=0-1,4-5", 200), ("lines=1-2", 200),
     ("bytes=-", 200)],
)  # fmt: skip
def test_ranges_that_are_none(site: WebSite, held: Held, asked: str, status: int) -> None:
    path = held.of(held.images[0]) + "/bulkdata/00091001"
    answer = site.get(path, Accept="application/octet-stream", Range=asked)
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == "bytes */2048"


@pytest.mark.parametrize(
    ("syntax", "kind"), [(JPEGLSLossless, "image/jls"), (JPEG2000Lossless, "image/jp2")]
)
def test_pixels_are_compressed_without_loss_for_thin_lines(
    site: WebSite, held: Held, syntax: str, kind: str
) -> None:
    answer = site.get(f"/studies/{held.study_uid}", Accept=f"{DICOM}; transfer-syntax={syntax}")
    came = {each.SOPInstanceUID: each for each in (read(part) for _, part in parts(answer))}
    for image in held.images:
        one = came[image.SOPInstanceUID]
        assert one.file_meta.TransferSyntaxUID == syntax
        assert len(one.PixelData) < len(image.PixelData)
        assert one.pixel_array.astype("<i2").tobytes() == image.PixelData
        wanted = read(content_of(image))
        del one.PixelData, wanted.PixelData
        assert one == wanted
    for plain in (held.seg, held.sr):  # a mask of bits, and a report
        assert not came[plain.SOPInstanceUID].file_meta.TransferSyntaxUID.is_compressed
    place = held.of(held.images[1])
    one = read(site.get(place, Accept=f"application/dicom; transfer-syntax={syntax}").content)
    compressed = pydicom.encaps.get_frame(one.PixelData, 0, number_of_frames=1)
    for accept in (f"{OCTETS}; transfer-syntax={syntax}", f'multipart/related; type="{kind}"'):
        ((told, frame),) = parts(site.get(f"{place}/frames/1", Accept=accept))
        assert told == f"{kind}; transfer-syntax={syntax}"
        assert compressed.startswith(frame)  # in the file it is padded


def test_what_cannot_be_compressed_without_loss_is_not(site: WebSite, held: Held) -> None:
    image = another(site, held, 1, BitsStored=8, HighBit=7)  # which its values exceed
    jls = f"transfer-syntax={JPEGLSLossless}"
    answer = site.get(held.of(image) + "/frames/1", Accept=f"{OCTETS}; {jls}")
    assert answer.status_code == 406 and "without loss" in answer.text
    whole = read(site.get(held.of(image), Accept=f"application/dicom; {jls}").content)
    assert not whole.file_meta.TransferSyntaxUID.is_compressed
    assert whole.PixelData == image.PixelData
    htj2k = "transfer-syntax=1.2.840.10008.1.2.4.201"
    answer = site.get(held.of(image), Accept=f"{DICOM}; {htj2k}")
    assert answer.status_code == 406 and str(JPEGLSLossless) in answer.text


def test_what_is_gone_is_said_to_be(site: WebSite, held: Held) -> None:
    gone = another(site, held, 2)
    for path in site.inbox.folder.rglob(f"{gone.SOPInstanceUID}.*.dcm"):
        path.unlink()
    for below in ("", "/metadata", "/frames/1", "/rendered", "/bulkdata/00091001"):
        assert site.get(held.of(gone) + below).status_code == 410, below
    for below in ("", "/metadata", "/instances"):
        others = site.get(held.path + below)
        assert (
            others.status_code == 200 and held.images[2].SOPInstanceUID.encode() in others.content
        )
        assert below == "/instances" or "1 objects" in others.headers["warning"]


def test_xml_is_not_spoken_and_the_answer_names_what_is(site: WebSite, held: Held) -> None:
    for path in ("/studies", f"{held.path}/metadata"):
        answer = site.get(path, Accept='multipart/related; type="application/dicom+xml"')
        assert answer.status_code == 406
        assert "application/dicom+json" in answer.json()["detail"]


def test_the_report_and_a_document_are_shown(site: WebSite, held: Held) -> None:
    stage = site.settings.storage.folder / "results" / held.study_uid / "1" / "preliminary"
    (stage / "report.html").write_text("<p>张^三</p>", encoding="utf-8")
    sr = f"/studies/{held.study_uid}/series/{held.sr.SeriesInstanceUID}"
    sr += f"/instances/{held.sr.SOPInstanceUID}/rendered"
    page = site.get(sr, Accept="text/html, */*;q=0.1")
    assert page.status_code == 200 and page.text == "<p>张^三</p>"
    assert "sandbox" in page.headers["content-security-policy"]
    assert site.get(sr, Accept="image/png").status_code == 406

    report = held.study.report()
    pdf = make_encapsulated_pdf(report, b"%PDF-1.7 of ours", held.study.headers)
    site.inbox.import_content(content_of(pdf))
    path = f"/studies/{held.study_uid}/series/{pdf.SeriesInstanceUID}"
    shown = site.get(f"{path}/instances/{pdf.SOPInstanceUID}/rendered")
    assert shown.headers["content-type"] == "application/pdf"
    assert shown.content == b"%PDF-1.7 of ours"


def test_pictures_are_cut_out_and_mirrored(site: WebSite, held: Held) -> None:
    place = held.of(held.images[2]) + "/rendered"

    def shown(query: str) -> np.ndarray:
        answer = site.get(f"{place}?{query}", Accept="image/png")
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)))

    whole = shown("")
    rows, columns = whole.shape
    assert (shown("viewport=6,5,2,3,6,5") == whole[3:8, 2:8]).all()
    assert (shown("viewport=6,5,2,3,-6,-5") == whole[3:8, 2:8][::-1, ::-1]).all()
    assert (shown(f"viewport={columns},{rows - 1},,1") == whole[1:]).all()
    for wrong in ("6,5,99,0,1,1", "6,5,0,0,0,1", "6,5,x", "6", "6,5,1,1,1,1,1", "0,5"):
        answer = site.get(f"{place}?viewport={wrong}")
        assert answer.status_code == 400 and "viewport" in answer.text, wrong
    gif = site.get(place, Accept="image/gif")
    assert Image.open(io.BytesIO(gif.content)).format == "GIF"
    burned = site.get(f"{place}?annotation=patient")
    assert burned.headers["warning"] == (
        f"299 {site.url}/dicom-web: The annotation parameter is not supported."
    )


def test_searches_say_what_was_not_done(site: WebSite, held: Held) -> None:
    query = "PatientID=P1&emptyvaluematching=true&multiplevaluematching=true&charset=utf-8"
    answer = site.get(f"/studies?{query}")
    assert len(answer.json()) == 1
    assert answer.headers["warning"].count(f"299 {site.url}/dicom-web: The ") == 2


def test_json_names_the_character_set_that_it_is_in(site: WebSite, held: Held) -> None:
    image = another(site, held, 3, SpecificCharacterSet="GB18030", PatientName="Wang^Wu=王^五")
    (told,) = site.get(held.of(image) + "/metadata").json()
    assert told["00080005"]["Value"] == ["ISO_IR 192"]
    assert told["00100010"]["Value"] == [{"Alphabetic": "Wang^Wu", "Ideographic": "王^五"}]


def test_modalities_are_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> str:
        opened.append(path)
        return modality_of(path)

    monkeypatch.setattr(modalities, "modality_of", counted)
    with running_web(tmp_path / "web") as site:
        held = put_study(site)
        search = "/studies?ModalitiesInStudy="
        for _ in range(2):
            assert len(site.get(search + "C*").json()) == 1
            assert len(site.get("/series?Modality=CT").json()) == 1
            assert len(site.get(search + "SEG").json()) == 1  # what was made of it
            assert site.get(search + "MR").status_code == 204
        assert len(opened) == 1
        another(site, held, 0, Modality="MR", SeriesInstanceUID=f"{held.series_uid}.2")
        (found,) = site.get(search + "MR").json()
        assert found["00080061"]["Value"] == ["CT", "MR", "SEG", "SR"]
        assert len(opened) == 2


def test_machines_are_told_what_can_be_done(site: WebSite) -> None:
    answer = request(site, "OPTIONS", "/")
    assert answer.headers["content-type"].startswith("application/vnd.sun.wadl+xml")
    wadl = "{http://wadl.dev.java.net/2009/02}"
    (resources,) = ElementTree.fromstring(answer.content)
    assert resources.get("base") == f"{site.url}/dicom-web"

    def at(*path: str) -> ElementTree.Element:
        element = resources
        for segment in path:
            element = next(each for each in element if each.get("path") == segment)
        return element

    study = at("studies", "{study_uid}")
    methods = {each.get("name") for each in study.findall(f"{wadl}method")}
    assert methods == {"GET", "POST"}
    given = {each.get("value") for each in study.iter(f"{wadl}option")}
    assert f"{DICOM}; transfer-syntax={JPEGLSLossless}" in given
    frames = at("studies", "{study_uid}", "series", "{series_uid}", "instances", "{instance_uid}",
                "frames", "{numbers}", "rendered")  # fmt: skip
    queried = {each.get("name") for each in frames.iter(f"{wadl}param")}
    assert {"window", "viewport", "quality"} <= queried
    told = request(site, "OPTIONS", "/", headers={"Accept": "application/json"})
    assert json.loads(told.content)["application"]["resources"]["base"] == resources.get("base")
    other = request(site, "OPTIONS", "/", headers={"Accept": "text/html", **basic("viewer")})
    assert other.status_code == 406
