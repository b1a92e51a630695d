"""A real Orthanc for tests: started on free ports of the loopback, gone at the end.

Orthanc answers C-FIND, and sends by C-STORE, only from and to its ``DicomModalities``;
Preread is entered there as ``PREREAD``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENT_S

BINARY = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    """A port nobody listens on at this moment.

    Below the range from which outgoing connections take theirs: one of these, or another test at
    the same time, would have it before the server that it is meant for.
    """
    for port in random.SystemRandom().sample(range(15_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("a hundred ports tried, none is free")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc, AE title ORTHANC."""

    http: str
    dicom_port: int
    process: subprocess.Popen[bytes]
    ae_title: str = "ORTHANC"

    def get(self, path: str) -> Any:
        """What its REST API says at ``path``."""
        answer = httpx.get(self.http + path, timeout=PATIENT_S, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Post JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = httpx.post(self.http + path, content=content, timeout=120, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def delete(self, path: str) -> None:
        """Delete what lies at ``path``."""
        httpx.delete(self.http + path, timeout=PATIENT_S, trust_env=False).raise_for_status()

    def upload(self, path: Path) -> dict[str, Any]:
        """Put one DICOM file in by HTTP."""
        return dict(self.post("/instances", path.read_bytes()))

    def find(self, level: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """Everything at ``level`` ("Study", "Series", "Instance") that matches, expanded."""
        return list(self.post("/tools/find", {"Level": level, "Query": query, "Expand": True}))

    def instances(self, study_uid: str) -> list[dict[str, Any]]:
        """Every instance of a study."""
        return self.find("Instance", {"StudyInstanceUID": study_uid})

    def file(self, instance_id: str) -> bytes:
        """The DICOM file of an instance (its Orthanc ID)."""
        answer = httpx.get(f"{self.http}/instances/{instance_id}/file", trust_env=False)
        answer.raise_for_status()
        return answer.content

    def send_to(self, modality: str, study_uid: str) -> dict[str, Any]:
        """Push a study by C-STORE to one of its modalities and wait for the end."""
        (study,) = self.find("Study", {"StudyInstanceUID": study_uid})
        return dict(self.post(f"/modalities/{modality}/store", study["ID"]))


@contextmanager
def running_orthanc(
    folder: Path, preread_port: int, preread_ae: str = "PREREAD", **settings: Any
) -> Iterator[Orthanc]:
    """Start Orthanc with its files in ``folder``; it knows us as modality PREREAD.

    ``settings`` of its own are taken besides.

    Raises:
        RuntimeError: it did not come up in 60 seconds; the message has its log.
    """
    if BINARY is None:
        raise RuntimeError("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    http, dicom = free_port(), free_port()
    plugins = [str(DICOMWEB)] if DICOMWEB.exists() else []
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": dicom,
        "DicomBindAddresses": ["127.0.0.1"],
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "DicomModalities": {"PREREAD": [preread_ae, "127.0.0.1", preread_port]},
        "OverwriteInstances": True,
        "StableAge": 1,
        "Plugins": plugins,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **settings,
    }
    (folder / "storage").mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = folder / "orthanc.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [BINARY, str(folder / "orthanc.json")],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
    orthanc = Orthanc(f"http://127.0.0.1:{http}", dicom, process)
    try:
        deadline = time.monotonic() + PATIENT_S
        while True:
            try:
                orthanc.get("/system")
                break
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Orthanc did not start:\n{log.read_text()}") from None
                time.sleep(0.1)
        yield orthanc
    finally:
        process.kill()
        process.wait()
