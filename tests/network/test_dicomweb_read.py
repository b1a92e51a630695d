"""Searching and retrieving over HTTP, by dicomweb-client and by hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from tests.network.web_site import (
    NAME,
    Held,
    WebSite,
    basic,
    changed,
    content_of,
    parts,
    put_study,
    running_web,
    same_pixels,
)


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    with running_web(tmp_path_factory.mktemp("web")) as site:
        yield site


@pytest.fixture(scope="module")
def held(site: WebSite) -> Held:
    return put_study(site)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebSite, Held]]:
    """Another, to which tests add."""
    with running_web(tmp_path_factory.mktemp("spare")) as site:
        yield site, put_study(site)


def test_a_study_is_found_with_all_that_belongs_to_it(site: WebSite, held: Held) -> None:
    (found,) = site.client().search_for_studies(search_filters={"PatientID": "P1"})
    match = Dataset.from_json(found)
    assert match.StudyInstanceUID == held.study_uid
    assert match.PatientName == NAME
    assert match.AccessionNumber == "A1"
    assert list(match.ModalitiesInStudy) == ["CT", "SEG", "SR"]
    assert match.NumberOfStudyRelatedSeries == 3
    assert match.NumberOfStudyRelatedInstances == len(held.images) + 2
    assert match.RetrieveURL == f"{site.url}/dicom-web/studies/{held.study_uid}"
    series = [Dataset.from_json(s) for s in site.client().search_for_series(held.study_uid)]
    counted = {s.Modality: s.NumberOfSeriesRelatedInstances for s in series}
    assert counted == {"CT": len(held.images), "SEG": 1, "SR": 1}
    instances = site.client().search_for_instances(held.study_uid, held.series_uid)
    numbers = {Dataset.from_json(i).InstanceNumber for i in instances}
    assert numbers == set(range(1, len(held.images) + 1))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("PatientName=zhang*", 1), ("PatientName=张*", 1), ("PatientName=Li*", 0),
        ("PatientName=Zhang%5ESan", 1), ("00100020=P1", 1), ("PatientID=p1", 0),
        ("PatientID=P?", 1), ("StudyDate=20260130", 1), ("StudyDate=20260131-", 0),
        ("StudyDate=20260101-20260130", 1), ("StudyDate=-20260129", 0),
        ("ModalitiesInStudy=SEG", 1), ("ModalitiesInStudy=MR", 0), ("ModalitiesInStudy=MR,CT", 1),
        ("StudyDescription=*chest*", 1), ("AccessionNumber=A1", 1), ("AccessionNumber=A", 0),
        ("StudyInstanceUID=1.2.3", 0), ("StudyTime=1011", 1), ("PatientName=", 1),
        ("limit=0", 0), ("offset=1", 0),
    ],
)  # fmt: skip
def test_what_matches(site: WebSite, held: Held, query: str, count: int) -> None:
    answer = site.get(f"/studies?{query}")
    assert answer.status_code == (200 if count else 204)
    assert len(answer.json() if count else ()) == count


def test_several_studies_are_named(site: WebSite, held: Held) -> None:
    for query in (f"1.2.3,{held.study_uid}", f"1.2.3%5C{held.study_uid}"):
        (found,) = site.get(f"/studies?StudyInstanceUID={query}").json()
        assert found["0020000D"]["Value"] == [held.study_uid]
    uids = ",".join(image.SOPInstanceUID for image in held.images[:3])
    assert len(site.get(f"{held.path}/instances?SOPInstanceUID={uids}").json()) == 3


def test_series_and_instances_of_all_studies(site: WebSite, held: Held) -> None:
    (series,) = site.get("/series?Modality=SR&PatientID=P1").json()
    assert series["0020000E"]["Value"] == [held.sr.SeriesInstanceUID]
    (image,) = site.get("/instances?InstanceNumber=3&Modality=CT").json()
    assert image["00080018"]["Value"] == [held.images[2].SOPInstanceUID]
    extra = site.get(f"{held.path}/instances?includefield=SliceThickness&limit=1").json()
    assert extra[0]["00180050"]["Value"] == [2.5]
    (study,) = site.get("/studies?PatientID=P1&includefield=Rows,00080070").json()
    assert "00280010" not in study  # an instance's, and not the study's


def test_pages_say_that_more_follows(site: WebSite, held: Held) -> None:
    first = site.get(f"{held.path}/instances?limit=4")
    assert "additional results" in first.headers["warning"]
    last = site.get(f"{held.path}/instances?limit=4&offset=8")
    assert "warning" not in last.headers
    uids = [i["00080018"]["Value"][0] for i in first.json() + last.json()]
    assert len(set(uids)) == 5


def test_fuzzy_matching_is_refused_with_a_warning(site: WebSite, held: Held) -> None:
    answer = site.get("/studies?PatientName=Zhang*&fuzzymatching=true")
    assert "fuzzymatching parameter is not supported" in answer.headers["warning"]
    assert len(answer.json()) == 1


@pytest.mark.parametrize(
    "query", ["NoSuchThing=1", "limit=-1", "limit=x", "SliceThickness=2", "includefield=Nothing"]
)
def test_a_search_that_is_not_understood_gives_nobodys_studies(site: WebSite, query: str) -> None:
    assert site.get(f"/studies?{query}").status_code == 400


def test_a_whole_study_comes_as_it_was_sent(site: WebSite, held: Held) -> None:
    came = {each.SOPInstanceUID: each for each in site.client().retrieve_study(held.study_uid)}
    assert len(came) == len(held.images) + 2
    for image in held.images:
        assert came[image.SOPInstanceUID] == image
    assert came[held.seg.SOPInstanceUID].PixelData == held.seg.PixelData
    assert came[held.sr.SOPInstanceUID] == read(content_of(held.sr))


def test_one_object_may_come_outside_multipart(site: WebSite, held: Held) -> None:
    answer = site.get(held.of(held.images[0]), Accept="application/dicom")
    assert answer.headers["content-type"].startswith("application/dicom;")
    assert read(answer.content) == held.images[0]


def test_metadata_leaves_large_values_to_be_fetched(site: WebSite, held: Held) -> None:
    client = site.client()
    told = client.retrieve_series_metadata(held.study_uid, held.series_uid)
    assert len(told) == len(held.images)
    by_uid = {each["00080018"]["Value"][0]: each for each in told}
    image = held.images[3]
    metadata = by_uid[image.SOPInstanceUID]
    shown = Dataset.from_json({k: v for k, v in metadata.items() if "BulkDataURI" not in v})
    assert shown.PatientName == NAME and shown.ImagePositionPatient == image.ImagePositionPatient
    (whole,) = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert whole == image.PixelData
    (private,) = client.retrieve_bulkdata(metadata["00091001"]["BulkDataURI"])
    assert private == image[0x00091001].value
    sr = client.retrieve_instance_metadata(
        held.study_uid, str(held.sr.SeriesInstanceUID), str(held.sr.SOPInstanceUID)
    )
    assert sr["0040A730"] == read(content_of(held.sr)).to_json_dict()["0040A730"]


def test_frames_of_images_and_of_packed_segmentations(site: WebSite, held: Held) -> None:
    client = site.client()
    (frame,) = client.retrieve_instance_frames(
        held.study_uid, held.series_uid, str(held.images[1].SOPInstanceUID), [1]
    )
    assert same_pixels(held.images[1], bytes(frame))
    seg = held.seg
    place = f"/studies/{held.study_uid}/series/{seg.SeriesInstanceUID}"
    place += f"/instances/{seg.SOPInstanceUID}/frames/"
    numbers = range(1, int(seg.NumberOfFrames) + 1)
    answer = site.get(place + ",".join(map(str, numbers)), Accept=OCTETS)
    masks = seg.pixel_array
    for (_, content), mask in zip(parts(answer), masks, strict=True):
        bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        assert (bits[: mask.size].reshape(mask.shape) == mask).all()
    assert site.get(place + f"{len(masks) + 1}", Accept=OCTETS).status_code == 404
    assert site.get(place + "x", Accept=OCTETS).status_code == 400


def test_pictures_are_windowed_and_fit(site: WebSite, held: Held) -> None:
    image = held.images[2]
    answer = site.get(f"{held.of(image)}/rendered", Accept="image/png")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    hu = np.frombuffer(image.PixelData, "<i2").reshape(image.Rows, image.Columns).astype(float)
    wanted = np.clip((hu + 600.5) / 1499 + 0.5, 0, 1) * 255
    assert np.abs(shown - wanted).max() <= 1
    white = site.get(f"{held.of(image)}/rendered?window=-3000,10,linear", Accept="image/png")
    assert np.asarray(Image.open(io.BytesIO(white.content))).min() == 255
    small = site.get(f"{held.path}/thumbnail?viewport=64,64")
    assert small.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(small.content)).size) == 64
    several = site.get(f"{held.path}/rendered", Accept='multipart/related; type="image/jpeg"')
    assert len(parts(several)) == len(held.images)
    assert site.get(f"{held.of(image)}/rendered?window=1,0").status_code == 400
    sr = f"/studies/{held.study_uid}/series/{held.sr.SeriesInstanceUID}"
    assert site.get(f"{sr}/rendered").status_code == 406


@pytest.mark.parametrize(
    "path",
    ["/studies/1.2.3", "/studies/1.2.3/metadata", "/studies/1.2.3/series", "/studies/../x/metadata",
     "/studies/1.2.3/series/4/instances/5/frames/1", "/studies/%2e%2e%2f%2e%2e/metadata"],
)  # fmt: skip
def test_what_is_not_held(site: WebSite, held: Held, path: str) -> None:
    assert site.get(path).status_code == 404


def test_what_is_not_given(site: WebSite, held: Held) -> None:
    assert site.get(held.path, Accept="application/pdf").status_code == 406
    assert site.get("/studies", Accept="text/html").status_code == 406
    jpeg = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50'
    assert site.get(held.path, Accept=jpeg).status_code == 406


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_compressed_images_come_either_way(spare: tuple[WebSite, Held], syntax: str) -> None:
    site, held = spare
    image = changed(held, 0)
    original = image.PixelData
    image.compress(syntax, generate_instance_uid=False)
    site.inbox.import_content(content_of(image))
    place = held.of(image)

    plain = site.get(place, Accept='multipart/related; type="application/dicom"')
    (kind, content) = parts(plain)[0]
    assert kind == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    assert read(content).PixelData == original
    kept = site.get(place, Accept='multipart/related; type="application/dicom"; transfer-syntax=*')
    ((kind, content),) = parts(kept)
    assert kind.endswith(syntax) and content[132:] != b""
    assert read(content).PixelData == image.PixelData

    ((kind, frame),) = parts(site.get(place + "/frames/1", Accept=OCTETS))
    assert frame == original and kind.startswith("application/octet-stream")
    as_held = site.get(place + "/frames/1", Accept=OCTETS + "; transfer-syntax=*")
    ((kind, frame),) = parts(as_held)
    assert kind.endswith(f"transfer-syntax={syntax}") and kind.startswith("image/")
    assert frame == pydicom.encaps.get_frame(image.PixelData, 0, number_of_frames=1)


def test_a_damaged_object_keeps_nobody_from_the_others(spare: tuple[WebSite, Held]) -> None:
    """Sequences nested so deep that no parser follows them, in an object that came whole."""
    site, held = spare
    image = changed(held, 0)
    del image.PixelData
    opened = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    content = content_of(image) + opened * 3000 + closed * 3000
    site.inbox.import_content(content)
    place = held.of(image)
    assert site.get(place + "/metadata").status_code == 406
    assert site.get(place + "/rendered").status_code == 406
    assert site.get(place, Accept="application/dicom; transfer-syntax=*").status_code == 200
    others = {each.SOPInstanceUID for each in held.images}
    found = site.get(f"{held.path}/instances").json()
    assert {each["00080018"]["Value"][0] for each in found} >= others
    metadata = site.get(f"{held.path}/metadata")
    told = {each["00080018"]["Value"][0] for each in metadata.json()}
    assert told >= others and image.SOPInstanceUID not in told
    assert "1 objects can't be read" in metadata.headers["warning"]


def test_big_endian_comes_as_little(spare: tuple[WebSite, Held]) -> None:
    site, held = spare
    original = held.images[0].PixelData
    image = changed(held, 0, PixelData=np.frombuffer(original, "<i2").astype(">i2").tobytes())
    image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    site.inbox.import_content(content_of(image))
    came = read(site.get(held.of(image), Accept="application/dicom").content)
    assert came.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert came.PixelData == original and came.PatientName == NAME
    ((_, frame),) = parts(site.get(held.of(image) + "/frames/1", Accept=OCTETS))
    assert frame == original


def test_made_objects_follow_the_reading(tmp_path: Path) -> None:
    with running_web(tmp_path / "web") as site:
        held = put_study(site)
        final = site.settings.storage.folder / "results" / held.study_uid / "1" / "final"
        final.mkdir()
        signed = read(content_of(held.sr))
        signed.SOPInstanceUID = signed.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        (final / "sr.dcm").write_bytes(content_of(signed))
        search = f"/studies/{held.study_uid}/instances?Modality=SR"
        (found,) = site.get(search).json()
        assert found["00080018"]["Value"] == ["1.2.3.4"]
        older = f"/studies/{held.study_uid}/series/{held.sr.SeriesInstanceUID}/instances/"
        answer = site.get(older + held.sr.SOPInstanceUID, Accept="application/dicom")
        assert answer.content == content_of(held.sr)  # for who names it


def test_who_looked_is_in_the_audit_trail(site: WebSite, held: Held) -> None:
    site.get("/studies?PatientID=P1")
    site.get(f"{held.path}/metadata")
    seen = {(event.who, event.what, event.study_uid) for event in site.happened()}
    assert ("viewer", "web-searched", None) in seen
    assert ("viewer", "web-retrieved", held.study_uid) in seen


def test_every_transfer_syntax_of_others(spare: tuple[WebSite, Held], shared_data: Path) -> None:
    """Each image in each syntax, decoded by us, is the one that nobody compressed."""
    site, _ = spare
    folder = shared_data / "protocol" / "transfer_syntaxes"
    paths = sorted(folder.glob("CT2_*"))
    assert len(paths) == 6
    reference = pydicom.dcmread(folder / "CT2_UNC").pixel_array
    for path in paths:
        instance = site.inbox.import_file(path)
        place = (
            f"/studies/{instance.study_uid}/series/{instance.series_uid}"
            f"/instances/{instance.sop_instance_uid}"
        )
        ((_, frame),) = parts(site.get(place + "/frames/1", Accept=OCTETS))
        decoded = np.frombuffer(frame, reference.dtype).reshape(reference.shape)
        lossy = path.name.endswith(("JLSN", "J2KI"))
        assert np.abs(decoded.astype(int) - reference).max() <= (10 if lossy else 0), path
        file = site.get(place, Accept="application/dicom").content
        assert read(file).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert site.get(place + "/rendered").status_code == 200


def request(site: WebSite, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(
        method, f"{site.url}/dicom-web{path}", trust_env=False, timeout=30, **options
    )


def test_a_bearer_token_is_name_and_password(site: WebSite) -> None:
    answer = request(site, "GET", "/studies", headers={"Authorization": "Bearer viewer.right"})
    assert answer.status_code in (200, 204)
    wrong = request(site, "GET", "/studies", headers={"Authorization": "Bearer viewer.wrong"})
    assert wrong.status_code == 401 and "Basic" in wrong.headers["www-authenticate"]


def test_a_machine_may_only_what_it_may(site: WebSite) -> None:
    assert request(site, "GET", "/studies", headers=basic("sender")).status_code == 403
    assert request(site, "POST", "/studies", headers=basic("viewer")).status_code == 403
