"""A store full of studies, and a studio that draws its own pictures, for tests of the page."""

from __future__ import annotations

import hashlib
import io
import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from imaging.finding import Code, Finding, ImageReference, Outline
from imaging.guidelines import Clinical, guided
from imaging.language import Text
from imaging.notices import notice
from imaging.priors.values import Change
from imaging.report import (
    FindingReview,
    Model,
    Patient,
    Report,
    Signature,
    Stage,
    Verdict,
)
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.delivery.standing import DestinationState
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.review.studio import ObjectKind
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Delivery, Instance, Reading, Store, Study
from pacs_bridge.workers.state import EngineState
from tests import described, described_pancreas

SIGNED = Signature(
    name="Chen^Li=陈^丽",
    organization="County Hospital",
    signed_at=datetime(2026, 11, 21, 8, 30, tzinfo=UTC),
)
CT = "1.2.840.10008.5.1.4.1.1.2"
SLICES = 120
MODEL = Model(
    name="lung_nodule_reference",
    version="1.0",
    title=Text(en="Lung nodules, reference", zh="肺结节（参考）"),
    sha256="0" * 64,
)


def finding(study_uid: str, number: int, k: int, long_mm: float, score: float) -> Finding:
    """One nodule, its key image at slice ``k``."""
    extent = range(k - 2, k + 3)
    images = [
        ImageReference(sop_class_uid=CT, sop_instance_uid=f"{study_uid}.1.{n}") for n in extent
    ]
    x, y = 190.0 + 40 * number, 210.0 + 25 * number
    ring = tuple(
        (x + long_mm * math.cos(a), y + long_mm * 0.8 * math.sin(a))
        for a in np.linspace(0, 2 * math.pi, 24, endpoint=False)
    )
    nodule = Code(value="27925004", scheme="SCT", meaning=Text(en="Nodule", zh="结节"))
    lung = Code(value="39607008", scheme="SCT", meaning=Text(en="Lung", zh="肺"))
    return Finding(
        number=number,
        tracking_uid=f"{study_uid}.9.{number}",
        tracking_id=f"Lung nodule {number}",
        label=nodule,
        site=lung,
        score=score,
        centre_lps_mm=(-60.0 + 5 * number, -20.0, -100.0 + k),
        long_axis_mm=long_mm,
        short_axis_mm=long_mm * 0.8,
        long_axis_lps_mm=((0.0, 0.0, 0.0), (long_mm, 0.0, 0.0)),
        short_axis_lps_mm=((0.0, 0.0, 0.0), (0.0, long_mm * 0.8, 0.0)),
        volume_mm3=math.pi / 6 * long_mm**3 * 0.64,
        mean_hu=-42.0 + 30 * number,
        slices=tuple(image.sop_instance_uid for image in images),
        key_image=images[2],
        key_slice=k,
        segment_number=number,
        outlines=tuple(Outline(image=image, points=ring) for image in images),
    )


def report(study: Study, count: int = 3, **change: object) -> Report:
    """A preliminary report with ``count`` findings."""
    places = ((38, 14.2, 0.94), (61, 8.1, 0.71), (63, 6.4, 0.52), (96, 5.2, 0.41))
    values: dict[str, object] = {
        "created_at": datetime.now(UTC),
        "patient": Patient(
            patient_id=study.patient_id, patient_name=study.patient_name,
            birth_date="19580214", sex="F",
        ),
        "study_uid": study.study_uid,
        "series_uid": f"{study.study_uid}.1",
        "accession_number": study.accession_number,
        "study_date": study.study_date,
        "study_description": study.description,
        "series_description": "CHEST 1.25 mm LUNG",
        "modality": "CT",
        "slice_count": SLICES,
        "spacing_mm": (1.25, 0.703, 0.703),
        "model": MODEL,
        "warnings": (notice("reference-weights"), notice("several-series", count=3, chosen="3")),
        "findings": tuple(
            finding(study.study_uid, n + 1, *places[n]) for n in range(count)
        ),
    }  # fmt: skip
    return Report.model_validate(values | change)


def report_of(store: Store, study: Study) -> Report:
    """The report of its newest reading, which must have one."""
    kept = store.reading(study.study_uid).report
    assert kept is not None
    return kept


def nodules(study_uid: str) -> dict[str, object]:
    """What a screening report has of three described nodules and a comparison."""
    places = ((38, 8.2, 0.94), (61, 14.0, 0.71), (63, 5.4, 0.52))
    found = described.described(
        [finding(study_uid, n + 1, *place) for n, place in enumerate(places)],
        described.nodule(),
        described.part_solid(),
        described.ground_glass(),
    )
    return {
        "findings": found,
        "clinical": Clinical(age_years=68, sex="F", screening=True),
        "comparisons": (
            described.comparison(
                described.grown(found[0]),
                described.changed(found[1], Change.NEW),
                described.changed(found[2], Change.UNMATCHED, "outside the earlier field of view"),
            ),
        ),
    }


def pancreas(study_uid: str) -> dict[str, object]:
    """What a report has of a measured pancreas, a lesion and two research places."""
    organ = f"{study_uid}.8.1"
    lesion = finding(study_uid, 1, 40, 28.4, 0.83).model_copy(
        update={
            "tracking_id": "Pancreatic tumour 1",
            "label": described_pancreas.NEOPLASM,
            "site": described_pancreas.PANCREAS,
            "pancreatic": described_pancreas.lesion(),
        }
    )
    places = (described_pancreas.place(1, 71), described_pancreas.place(2, 90))
    return {
        "findings": (lesion,),
        "gland": described_pancreas.gland(organ, places=places, places_shown=True),
        "series_description": "ABDOMEN PV 1.25 mm",
        "model": MODEL.model_copy(
            update={
                "name": "site_pancreas", "version": "2",
                "title": Text(en="Pancreatic tumour, site's own", zh="胰腺肿瘤（本机构）"),
            }
        ),
        "warnings": (),
        "urgency": described_pancreas.urgent(lesion),
    }  # fmt: skip


def plan(study_uid: str) -> str:
    """What the planning step writes."""
    refusals = [
        ("1", "SCOUT", 2, notice("localizer", found="ORIGINAL\\PRIMARY\\LOCALIZER")),
        ("2", "CHEST 5 mm SOFT", 60, notice("too-thick", found=5, wanted=3)),
    ]
    verdicts: list[dict[str, object]] = [
        {
            "series_uid": f"{study_uid}.{number}", "number": number, "description": description,
            "images": images, "accepted": False, "notices": [said.model_dump()],
        }
        for number, description, images, said in refusals
    ]  # fmt: skip
    chosen = f"{study_uid}.1"
    verdicts[0]["series_uid"] = f"{study_uid}.0"
    verdicts.insert(0, {
        "series_uid": chosen, "number": 3, "description": "CHEST 1.25 mm LUNG", "images": SLICES,
        "accepted": True, "notices": [],
    })  # fmt: skip
    return json.dumps({"model": MODEL.name, "chosen": chosen, "verdicts": verdicts})


def receive(store: Store, study: Study, images: int = 3) -> None:
    """Images of a study have come in."""
    for n in range(images):
        uid = f"{study.study_uid}.1.{n}"
        store.record_instance(
            Instance(study.study_uid, f"{study.study_uid}.1", uid, CT, Path(f"/nowhere/{uid}"),
                     hashlib.sha256(uid.encode()).hexdigest(), 526_000, "CT_01"),
            study,
        )  # fmt: skip


def add(
    store: Store,
    number: int,
    name: str = "ZHANG^SAN=张^三",
    state: State = State.AWAITING_SIGNATURE,
    reason: Text | None = None,
    findings: int = 3,
    *,
    with_nodules: bool = False,
    with_pancreas: bool = False,
    **change: object,
) -> Study:
    """A study in some state, with all that a study in that state has.

    ``with_nodules`` describes its three findings, see :func:`nodules`; ``with_pancreas`` gives
    it a gland and a lesion, see :func:`pancreas`.
    """
    study = Study(
        study_uid=f"1.2.826.0.1.3680043.{number}",
        patient_id=f"P{number:05}",
        patient_name=name,
        accession_number=f"A26-{number:04}",
        study_date="20261120",
        description="CT chest without contrast",
        source_ae="CT_01",
    )
    receive(store, study)
    if state is State.RECEIVING:
        return study
    revision = store.open_reading(study.study_uid, "first")
    assert revision is not None
    store.set_complete_because(
        study.study_uid,
        revision,
        Text(en="the PACS counts 182 images, all here", zh="PACS 计 182 幅，已全部收到"),
    )
    if state is not State.PLANNING:
        store.set_plan(study.study_uid, revision, plan(study.study_uid))
    if state in (State.AWAITING_SIGNATURE, State.FINALISING, State.FINAL, State.DELIVERING):
        described_too = nodules(study.study_uid) if with_nodules else {}
        described_too = pancreas(study.study_uid) if with_pancreas else described_too
        made = report(study, findings, **(described_too | change))
        made = guided(made) if with_nodules or with_pancreas else made
        store.set_report(study.study_uid, revision, made)
        tried = {"attempts": 3, "last_error": "main PACS, AE PACS, pacs.example:104: no connection"}
        store.add_deliveries(
            [
                Delivery(made.uid_of("sr"), "archive", study.study_uid, revision,
                         Stage.PRELIMINARY, "SR", Path("/nowhere"), DeliveryState.DELIVERED, 1,
                         delivered_at=time.time()),
                Delivery(made.uid_of("seg"), "main PACS", study.study_uid, revision,
                         Stage.PRELIMINARY, "SEG", Path("/nowhere"), DeliveryState.GIVEN_UP,
                         **tried),
            ]
        )  # fmt: skip
    if state is State.FINAL:
        store.set_state(study.study_uid, revision, State.AWAITING_SIGNATURE)
        for found in made.findings:
            review = FindingReview(tracking_uid=found.tracking_uid, verdict=Verdict.ACCEPTED)
            store.save_review(study.study_uid, revision, review, "chen")
        store.save_impression(study.study_uid, revision, "Solid nodule, follow up.", "chen")
        store.sign(study.study_uid, revision, SIGNED, "chen")
    store.set_state(study.study_uid, revision, state, reason)
    return study


def supersede(store: Store, study: Study) -> None:
    """Late images make a newer revision."""
    uid = f"{study.study_uid}.1.late"
    store.record_instance(
        Instance(study.study_uid, f"{study.study_uid}.1", uid, CT, Path(f"/nowhere/{uid}"),
                 "f" * 64, 1, "CT_01"),
        study,
    )  # fmt: skip
    assert store.open_reading(study.study_uid, "second") == 2


def fill(store: Store) -> dict[str, Study]:
    """Studies in every state a person meets."""
    too_thick = Text(
        en="no series of the study suits model lung_nodule_reference",
        zh="检查中没有适合模型 lung_nodule_reference 的序列",
    )
    broken = Text(
        en="the pixels could not be decoded: JPEG 2000 stream of image 17 is damaged",
        zh="像素数据无法解码:第 17 幅图像的 JPEG 2000 码流已损坏",
    )
    return {
        "final": add(store, 11, "LI^WEI=李^伟", State.FINAL),
        "clear": add(store, 12, "O'BRIEN^MARY", findings=0),
        "failed": add(store, 13, "MÜLLER^JÖRG", State.FAILED, broken),
        "refused": add(store, 14, "WANG^FANG=王^芳", State.NOT_ANALYSED, too_thick),
        "analysing": add(store, 15, "CHEN^JING=陈^静", State.ANALYSING),
        "receiving": add(store, 16, "GARCIA^ANA", State.RECEIVING),
        "open": add(store, 17),
    }


@dataclass
class SampleStudio:
    """Draws slices of a made-up chest; signs, and pretends to deliver."""

    store: Store
    folder: Path
    signed: list[tuple[str, int, Signature, str]] = field(default_factory=list)
    retried: list[tuple[str, str, str]] = field(default_factory=list)
    engine_state: EngineState = field(default_factory=EngineState)
    destination_states: list[DestinationState] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key_image(self, reading: Reading, tracking_uid: str) -> bytes:
        """The finding's slice."""
        assert reading.report is not None
        for candidate in reading.report.findings:
            if candidate.tracking_uid == tracking_uid:
                return self.slice_image(reading, candidate.key_slice, True)
        raise UnknownStudy(tracking_uid)

    def why_picture(self, reading: Reading, tracking_uid: str) -> Path | None:
        """Of the first finding alone: its slice without outlines."""
        assert reading.report is not None
        first = reading.report.findings[0]
        if first.nodule is None or first.tracking_uid != tracking_uid:
            return None
        path = self.folder / "why.png"
        path.write_bytes(self.slice_image(reading, first.key_slice, False))
        return path

    def slice_image(self, reading: Reading, k: int, outlines: bool) -> bytes:
        """A body, two lungs that change with ``k``, and the nodules."""
        assert reading.report is not None
        image = Image.new("RGB", (512, 512))
        draw = ImageDraw.Draw(image)
        draw.ellipse((40, 90, 472, 430), fill=(150, 150, 150))
        size = 40 + 60 * math.sin(math.pi * k / SLICES)
        for x in (165, 345):
            draw.ellipse(
                (x - size, 250 - 1.4 * size, x + size, 250 + 1.4 * size), fill=(24, 24, 24)
            )
        for candidate in reading.report.findings:
            ring = candidate.outlines[0].points
            if abs(candidate.key_slice - k) <= 2:
                draw.polygon(ring, fill=(140, 140, 140))
                if outlines:
                    draw.line([*ring, ring[0]], fill=(255, 196, 60), width=2)
        draw.text((12, 12), str(k), fill=(120, 120, 120))
        png = io.BytesIO()
        image.save(png, "PNG")
        return png.getvalue()

    def object_path(self, reading: Reading, kind: ObjectKind) -> Path | None:
        """A small file of that kind, once there is a report."""
        if reading.report is None:
            return None
        path = self.folder / kind
        path.write_text(f"<p>{kind}</p>")
        return path

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> None:
        """Keep it and go straight to FINAL."""
        self.store.sign(study_uid, revision, signature, who)
        self.store.set_state(study_uid, revision, State.FINAL)
        with self._lock:
            self.signed.append((study_uid, revision, signature, who))

    def begin_again(self, study_uid: str, revision: int, who: str) -> None:
        """As the server does, without the work that follows."""
        if revision == 0:
            self.store.take_up_prior(study_uid, who)
        else:
            self.store.reopen(study_uid, revision, who)

    def engine(self) -> EngineState:
        """What was put here."""
        return self.engine_state

    def destinations(self) -> Sequence[DestinationState]:
        """What was put here."""
        return self.destination_states

    def retry_destination(self, destination: str, who: str) -> int:
        """Keep that it was asked for."""
        with self._lock:
            self.retried.append(("", destination, who))
        return len(DeliveryLedger(self.store).given_up(destination))

    def retry_delivery(self, sop_instance_uid: str, destination: str, who: str) -> None:
        """Keep that it was asked for."""
        with self._lock:
            self.retried.append((sop_instance_uid, destination, who))

    def set_aside(self, destination: str, sop_instance_uid: str, who: str, reason: str) -> int:
        """As the server does."""
        courier = Courier(self.store, (), "PREREAD")
        if not sop_instance_uid:
            return courier.set_aside_all(destination, who, reason)
        courier.set_aside(sop_instance_uid, destination, who, reason)
        return 1
