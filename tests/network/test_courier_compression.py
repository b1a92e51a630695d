"""Results made smaller on their way, without loss, and only for who takes that."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import evt

from imaging.objects import make_secondary_captures, render_key_image
from pacs_bridge.delivery.senders import open_sender
from pacs_bridge.settings import DestinationSettings
from tests.network.orthanc import Orthanc
from tests.network.receiving import running_storescp
from tests.network.scripted_peer import scp
from tests.network.webstore import web_server
from tests.unit.imaging.objects.made import two_findings
from tests.unit.pacs_bridge.made import ct, saved


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key image as it lies in the results' folder."""
    study = two_findings()
    report = study.report()
    pictures = {f.tracking_uid: render_key_image(study.volume, f) for f in study.findings}
    made = make_secondary_captures(report, pictures, study.headers, study.volume.grid)
    return saved(made["sc-1"], tmp_path_factory.mktemp("made") / "sc-1.dcm")


def to(port: int, **values: Any) -> DestinationSettings:
    where = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": port}
    return DestinationSettings.model_validate(where | values)


def sent(
    path: Path, accepted: dict[str, tuple[str, ...]], **values: Any
) -> tuple[Dataset, int]:  # fmt: skip
    """What a peer that takes these syntaxes got, and how many bytes of data set that was."""
    got: list[tuple[Dataset, int]] = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        got.append((dataset, len(event.request.DataSet.getvalue())))
        return 0

    contexts = [(kind, list(syntaxes)) for kind, syntaxes in accepted.items()]
    with scp([(evt.EVT_C_STORE, keep)], contexts) as port:
        (outcome,) = open_sender(to(port, **values), "PREREAD").store([path])
    assert outcome.error is None, outcome.error
    return got[0]


PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


@pytest.mark.parametrize(
    ("accepted", "values", "used"),
    [
        ((*PLAIN, RLELossless, JPEG2000Lossless, JPEGLSLossless), {}, JPEGLSLossless),
        ((*PLAIN, RLELossless, JPEG2000Lossless), {"character_sets": ("GB18030",)},
         JPEG2000Lossless),
        ((RLELossless,), {}, RLELossless),
        (PLAIN, {}, ExplicitVRLittleEndian),
        ((ImplicitVRLittleEndian,), {}, ImplicitVRLittleEndian),
        ((*PLAIN, JPEGLSLossless), {"compression": "none"}, ExplicitVRLittleEndian),
    ],
)  # fmt: skip
def test_a_picture_goes_out_as_small_as_the_receiver_takes_it(
    capture: Path, accepted: tuple[str, ...], values: dict[str, Any], used: str
) -> None:
    taken = {str(SecondaryCaptureImageStorage): tuple(map(str, accepted))}
    got, size = sent(capture, taken, **values)
    source = dcmread(capture)
    assert got.file_meta.TransferSyntaxUID == used
    assert got.SOPInstanceUID == source.SOPInstanceUID
    np.testing.assert_array_equal(got.pixel_array, source.pixel_array)
    assert (size < 0.5 * len(source.PixelData)) is used.is_compressed  # type: ignore[attr-defined]


def test_masks_are_deflated_only_where_the_settings_say_that_it_is_shown(tmp_path: Path) -> None:
    mask = ct(SOPClassUID=SegmentationStorage, PixelData=bytes(200_000))
    path = saved(mask, tmp_path / "seg.dcm")
    takes = {str(SegmentationStorage): (*PLAIN, str(DeflatedExplicitVRLittleEndian))}
    got, size = sent(path, takes, compression="everything")
    assert (got.file_meta.TransferSyntaxUID, size < 5_000) == (DeflatedExplicitVRLittleEndian, True)
    assert got.PixelData == mask.PixelData
    for refused in (
        sent(path, takes),
        sent(path, {str(SegmentationStorage): PLAIN}, compression="everything"),
    ):
        assert refused[0].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert refused[0].PixelData == mask.PixelData


def test_storescp_gets_what_it_prefers(capture: Path, tmp_path: Path) -> None:
    pixels = dcmread(capture).pixel_array
    for name, options, used in (
        ("plain", (), ExplicitVRLittleEndian),
        ("jpeg-ls", ("+xt",), JPEGLSLossless),
        ("rle", ("+xr",), RLELossless),
    ):
        with running_storescp(tmp_path / name, *options) as port:
            (outcome,) = open_sender(to(port), "PREREAD").store([capture])
        assert outcome.error is None
        (kept,) = (tmp_path / name).iterdir()
        got = dcmread(kept)
        assert got.file_meta.TransferSyntaxUID == used
        np.testing.assert_array_equal(got.pixel_array, pixels)


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_orthanc_shows_the_picture_that_went_out_small(
    orthanc: Orthanc, capture: Path, way: str
) -> None:
    there = (
        to(orthanc.dicom_port)
        if way == "C-STORE"
        else DestinationSettings(name="web", dicomweb_url=f"{orthanc.http}/dicom-web")
    )
    (outcome,) = open_sender(there, "PREREAD").store([capture])
    assert outcome.error is None
    source = dcmread(capture)
    (held,) = orthanc.instances(str(source.StudyInstanceUID))
    kept = dcmread(io.BytesIO(orthanc.file(held["ID"])))
    assert kept.file_meta.TransferSyntaxUID == JPEGLSLossless
    shown = httpx.get(f"{orthanc.http}/instances/{held['ID']}/preview", trust_env=False)
    with Image.open(io.BytesIO(shown.content)) as picture:
        assert (np.asarray(picture.convert("RGB")) == source.pixel_array).all()


def test_a_web_server_that_refuses_it_small_gets_it_as_it_is(capture: Path) -> None:
    with web_server(status=415) as server:
        there = DestinationSettings(name="web", dicomweb_url=f"http://127.0.0.1:{server.port}/dw")
        (outcome,) = open_sender(there, "PREREAD").store([capture])
    assert "415" in str(outcome.error)
    small, plain = (body for _, _, _, body in server.requests)
    assert len(small) < 0.5 * len(plain)
    assert capture.read_bytes() in plain
