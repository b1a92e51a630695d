"""`preread demo`: everything on this machine, one chest CT from arrival to SR and SEG in a PACS.

A stand-in PACS (pynetdicom's own ``qrscp``) gets the study, then Preread gets it, as a PACS
with auto-routing would send it; Preread asks the PACS for its count, analyses, and sends SEG
and SR back, which are then looked up in the PACS by C-FIND.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from imaging.errors import NoImages
from imaging.headers import scan_files
from imaging.phantom import Phantom, PlantedNodule, make_phantom
from imaging.phantom_series import write_series
from imaging.report import Report
from pacs_bridge.console import out, print_findings
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import BridgeError, PeerError, SettingsError
from pacs_bridge.server import Server
from pacs_bridge.settings import (
    AssemblySettings,
    DestinationSettings,
    ListenerSettings,
    PeerSettings,
    ReviewSettings,
    Settings,
    StorageSettings,
)
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Reading

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 900.0
SAMPLE_SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
"""LIDC-IDRI-0001, CC BY 3.0, https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX."""


@dataclass(frozen=True)
class DemoStudy:
    """What is sent: its files, and what was planted in it if it is a phantom."""

    files: Sequence[Path]
    study_uid: str
    planted: tuple[PlantedNodule, ...]


def run_demo(
    folder: Path,
    *,
    study: Path | None = None,
    sample: str | None = None,
    seed: int = 1,
    keep_running: bool = False,
) -> int:
    """Run the demonstration; 0 when the results are in the PACS (or the refusal is explained).

    Args:
        folder: emptied of an earlier demonstration and filled anew.
        study: a folder of DICOM files to send; None: a phantom.
        sample: ``"lidc"``: a public case, fetched with idc-index.
        seed: of the phantom.
        keep_running: leave the page open until interrupted.

    Raises:
        BridgeError, ImagingError, ModelError: something it needs is missing or wrong.
    """
    folder = folder.absolute()
    _clear(folder)
    begun = time.monotonic()
    sent = _study(folder, study, sample, seed)
    with _stand_in_pacs(folder / "pacs") as pacs:
        server = Server(_settings(folder, pacs))
        with server:
            ours = server.settings.listener
            _say(f"server as {ours.ae_title} on port {server.listener.port}, page {server.url}")
            target = PeerSettings(ae_title="PREREAD", host="127.0.0.1", port=server.listener.port)
            _send(sent, pacs, "the stand-in PACS")
            last_image = _send(sent, target, "Preread, as auto-routing would")
            reading = _follow(server, sent.study_uid, last_image)
            status = _show(server, reading, sent, pacs, time.monotonic() - begun)
            if keep_running:
                _say("the page stays open; Ctrl-C ends the demonstration")
                with contextlib.suppress(KeyboardInterrupt):
                    while True:
                        time.sleep(3600)
            else:
                _say("done; run it in a terminal, or with --keep-running, to look at the page")
    return status


def _say(text: str, style: str = "") -> None:
    out.print(Text.assemble(("demo ", "bold"), (text, style)), soft_wrap=True)


def _clear(folder: Path) -> None:
    """Empty a folder that an earlier demonstration made, and no other."""
    mark = folder / "made-by-preread-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise SettingsError(f"{folder} holds other things; give the demo a folder of its own")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _study(folder: Path, study: Path | None, sample: str | None, seed: int) -> DemoStudy:
    planted: tuple[PlantedNodule, ...] = ()
    if study is not None:
        source = study
    elif sample is not None:
        source = _fetch_sample(folder / "sample")
    else:
        _say(f"making a chest phantom (seed {seed}) ...")
        phantom: Phantom = make_phantom(seed)
        source = folder / "phantom"
        write_series(phantom, source)
        planted = phantom.nodules
    scan = scan_files(sorted(p for p in source.rglob("*") if p.is_file()))
    for item in scan.notices:
        _say(item.text.en, "yellow")
    studies = sorted({image.study_uid for image in scan.slices})
    if not studies:
        raise NoImages(f"{source}: no DICOM images in it. Give the folder of a study")
    if len(studies) > 1:
        _say(f"{len(studies)} studies in {source}; the first is sent")
    files = tuple(dict.fromkeys(i.path for i in scan.slices if i.study_uid == studies[0]))
    return DemoStudy(files, studies[0], planted)


def _fetch_sample(folder: Path) -> Path:
    try:
        from idc_index import IDCClient
    except ImportError:
        raise SettingsError(
            "a public sample needs idc-index and internet: pip install 'preread[samples]'"
        ) from None
    folder.mkdir(parents=True)
    _say("fetching LIDC-IDRI-0001 from the Imaging Data Commons (CC BY 3.0) ...")
    try:
        IDCClient().download_from_selection(
            seriesInstanceUID=[SAMPLE_SERIES], downloadDir=str(folder)
        )
    except Exception as error:  # whatever the client raises without internet
        raise SettingsError(
            f"the sample could not be fetched: {error}. Is there internet?"
        ) from error
    return folder


def _settings(folder: Path, pacs: PeerSettings) -> Settings:
    return Settings(
        site="Preread demonstration",
        storage=StorageSettings(folder=folder / "server", minimum_free_gb=0.2),
        listener=ListenerSettings(host="127.0.0.1", port=0),
        assembly=AssemblySettings(quiet_s=2.0, source=pacs),
        review=ReviewSettings(port=0),
        destinations=(
            DestinationSettings(
                name="stand-in PACS", ae_title=pacs.ae_title, host=pacs.host, port=pacs.port,
                first_wait_s=1.0,
            ),
        ),
    )  # fmt: skip


@contextlib.contextmanager
def _stand_in_pacs(folder: Path) -> Iterator[PeerSettings]:
    """pynetdicom's query/retrieve SCP in a process of its own, for as long as the block runs."""
    (folder / "instances").mkdir(parents=True)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = int(trial.getsockname()[1])
    command = [
        sys.executable, "-m", "pynetdicom", "qrscp", "--port", str(port), "-aet", "QRSCP",
        "-ba", "127.0.0.1", "--instance-location", str(folder / "instances"),
        "--database-location", str(folder / "instances.sqlite"), "-ll", "error",
    ]  # fmt: skip
    with (folder / "qrscp.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    peer = PeerSettings(ae_title="QRSCP", host="127.0.0.1", port=port)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                Peer(peer, "PREREAD", timeout_s=2.0).echo()
                break
            except PeerError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SettingsError(
                        f"the stand-in PACS did not start ({error}); see {folder / 'qrscp.log'}"
                    ) from error
                time.sleep(0.3)
        _say(f"stand-in PACS (pynetdicom qrscp) as QRSCP on port {port}")
        yield peer
    finally:
        process.terminate()
        process.wait(10)


def _send(study: DemoStudy, peer: PeerSettings, to: str) -> float:
    """C-STORE all files; the moment the last was taken (monotonic seconds)."""
    begun = time.monotonic()
    outcomes = Peer(peer, "DEMO").store(list(study.files))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    took = time.monotonic() - begun
    _say(f"sent {len(outcomes) - len(failed)} of {len(outcomes)} images to {to} in {took:.1f} s")
    for outcome in failed[:3]:
        _say(str(outcome.error), "red")
    return time.monotonic()


def _follow(server: Server, study_uid: str, last_image: float) -> Reading:
    """Say each state as it comes, until a person is needed and the results are delivered."""
    told: set[str] = set()
    while time.monotonic() - last_image < LONGEST_WAIT_S:
        for reading in server.store.worklist():
            if reading.study.study_uid != study_uid:
                continue
            if reading.state not in told:
                told.add(reading.state)
                because = (
                    f" ({reading.complete_because.en})" if reading.state is State.PLANNING else ""
                )
                _say(f"{time.monotonic() - last_image:6.1f} s  {reading.state.label.en}{because}")
            delivered = server.store.deliveries_of(study_uid)
            waiting = [d for d in delivered if d.state is DeliveryState.WAITING]
            if reading.state.needs_person and not waiting:
                if any(d.state is DeliveryState.DELIVERED for d in delivered):
                    _say(f"{time.monotonic() - last_image:6.1f} s  results are in the PACS")
                return server.store.reading(study_uid, reading.revision)
        time.sleep(0.1)
    raise BridgeError(f"study {study_uid} was not finished after {LONGEST_WAIT_S:.0f} s")


def _show(
    server: Server, reading: Reading, sent: DemoStudy, pacs: PeerSettings, seconds: float
) -> int:
    study_uid = reading.study.study_uid
    if reading.report is None:
        _say(f"{reading.state.label.en}: {reading.reason.en}", "red")
        _say(f"page of the study: {server.url}/studies/{study_uid}")
        return 0 if reading.state is State.NOT_ANALYSED else 1
    print_findings(reading.report)
    if sent.planted:
        _compare(reading.report, sent.planted)
    held = Peer(pacs, "PREREAD").series(study_uid)
    modalities = sorted({series.modality for series in held})
    given_up = [
        d for d in server.store.deliveries_of(study_uid) if d.state is DeliveryState.GIVEN_UP
    ]
    for delivery in given_up:
        _say(f"{delivery.kind} was not delivered: {delivery.last_error}", "red")
    _say(f"the PACS now holds of this study: {', '.join(modalities)}")
    folder = server.steps.folder(study_uid, reading.revision) / "preliminary"
    for file in sorted(folder.iterdir()):
        _say(f"  {file}")
    _say(f"page of the study: {server.url}/studies/{study_uid}")
    _say(f"{seconds:.0f} s in all")
    return 0 if not given_up and "SR" in modalities else 1


def _compare(report: Report, planted: tuple[PlantedNodule, ...]) -> None:
    """Found against planted, by place: a finding whose centre lies in the nodule or near it."""
    table = Table(
        title="found against planted (simulated)", title_justify="left", box=box.SIMPLE_HEAD
    )
    for column in ("planted", "kind", "centre LPS mm", "found", "long axis", "score"):
        table.add_column(column)
    matched: set[int] = set()
    for nodule in planted:
        hit = next(
            (
                f
                for f in report.findings
                if np.linalg.norm(np.subtract(f.centre_lps_mm, nodule.centre_lps_mm))
                <= max(5.0, nodule.diameter_mm / 2)
            ),
            None,
        )
        where = " ".join(f"{x:.0f}" for x in nodule.centre_lps_mm)
        if hit is None:
            table.add_row(
                f"{nodule.diameter_mm:.1f} mm", str(nodule.kind), where, Text("missed", "red")
            )
        else:
            matched.add(hit.number)
            table.add_row(
                f"{nodule.diameter_mm:.1f} mm", str(nodule.kind), where,
                Text(f"no. {hit.number}", "green"), f"{hit.long_axis_mm:.1f} mm",
                f"{hit.score:.2f}",
            )  # fmt: skip
    out.print(table)
    _say(
        f"{len(matched)} of {len(planted)} planted nodules found, "
        f"{len(report.findings) - len(matched)} finding(s) elsewhere"
    )
