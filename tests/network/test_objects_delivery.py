"""Presentation state, pictures and document in an archive that other people wrote."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from imaging.language import Language
from imaging.objects import (
    make_encapsulated_pdf,
    make_gsps,
    make_secondary_captures,
    render_key_image,
    render_pdf,
)
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.settings import PeerSettings
from tests.network.orthanc import Orthanc
from tests.unit.imaging.objects.made import two_findings


def test_orthanc_takes_them_and_shows_them(orthanc: Orthanc, tmp_path: Path) -> None:
    study = two_findings()
    report = study.report()
    pictures = {f.tracking_uid: render_key_image(study.volume, f) for f in study.findings}
    pdf = render_pdf(report, pictures, language=Language.ZH)
    made = make_secondary_captures(report, pictures, study.headers, study.volume.grid)
    objects = {
        **made,
        "gsps": make_gsps(report, study.headers, language=Language.ZH),
        "pdf": make_encapsulated_pdf(report, pdf, study.headers),
    }
    for name, dataset in objects.items():
        dataset.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    node = PeerSettings(ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port)
    peer = Peer(node, "PREREAD")
    outcomes = peer.store([tmp_path / f"{name}.dcm" for name in objects])
    assert [outcome.error for outcome in outcomes] == [None] * len(objects)
    # What a PACS counts as images of the study: the pictures, unless they are told apart.
    assert peer.count_images(report.study_uid) == 3
    assert peer.count_images(report.study_uid, besides=[report.uid_of("sc-series")]) is None

    held = {
        i["MainDicomTags"]["SOPInstanceUID"]: i["ID"] for i in orthanc.instances(report.study_uid)
    }
    assert held.keys() == {report.uid_of(name) for name in objects}

    def fetched(name: str, what: str) -> bytes:
        url = f"{orthanc.http}/instances/{held[report.uid_of(name)]}/{what}"
        answer = httpx.get(url, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.content

    with Image.open(io.BytesIO(fetched("sc-1", "preview"))) as shown:
        assert (np.asarray(shown.convert("RGB")) == made["sc-1"].pixel_array).all()
    assert fetched("pdf", "pdf").rstrip(b"\0") == pdf
    label = orthanc.get(f"/instances/{held[report.uid_of('gsps')]}/simplified-tags")
    texts = [
        text["UnformattedTextValue"]
        for annotation in label["GraphicAnnotationSequence"]
        for text in annotation.get("TextObjectSequence", [])
    ]
    assert "Preread: 初步结果，未经医师核实" in texts
