"""Results go where they belong, by site, body part and result: to Orthanc and to storescp."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.origin import origin_of
from pacs_bridge.records import Instance
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store
from tests.network.orthanc import Orthanc
from tests.network.receiving import running_storescp
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, saved

NORTH, SOUTH = "North Hospital", "南县医院"


def reading(
    courier: Courier, folder: Path, institution: str, body_part: str, description: str = "",
    *, positive: bool = False, urgent: bool = False,
) -> str:  # fmt: skip
    """A study's result, entered as the workflow does; its UID."""
    study = generate_uid()
    image = ct(
        StudyInstanceUID=study, InstitutionName=institution, BodyPartExamined=body_part,
        SpecificCharacterSet="ISO_IR 192", StudyDescription=description,
    )  # fmt: skip
    path = saved(image, folder / f"{study}.dcm")
    held = Instance(study, str(image.SeriesInstanceUID), str(image.SOPInstanceUID),
                    str(image.SOPClassUID), path, "", 1, "CT1")  # fmt: skip
    origin = origin_of([held], str(image.SeriesInstanceUID), "CT1")
    document = ct(StudyInstanceUID=study, SOPClassUID=EncapsulatedPDFStorage)
    made = saved(document, folder / f"{study}.pdf.dcm")
    objects = [("PDF", str(document.SOPInstanceUID), made)]
    courier.enqueue(
        study, 1, Stage.PRELIMINARY, objects, urgent=urgent, positive=positive, origin=origin
    )
    return study


def received(folder: Path) -> set[str]:
    """Studies that something came of."""
    return {str(dcmread(path).StudyInstanceUID) for path in folder.iterdir()}


def test_each_result_goes_where_its_site_body_part_and_findings_say(
    store: Store, orthanc: Orthanc, tmp_path: Path
) -> None:
    def there(name: str, port: int, **rules: object) -> DestinationSettings:
        values = {"name": name, "ae_title": "ANY", "host": "127.0.0.1", "port": port,
                  "accepts": ("PDF",), "first_wait_s": 0.1}  # fmt: skip
        return DestinationSettings.model_validate(values | rules)

    names = ("north", "south", "chests", "urgent", "found")
    with ExitStack() as stack:
        port = {n: stack.enter_context(running_storescp(tmp_path / n)) for n in names}
        courier = Courier(
            store,
            [
                there("archive", orthanc.dicom_port),
                there("north", port["north"], institutions=("north *",)),
                there("south", port["south"], institutions=("南县*",)),
                there("chests", port["chests"], body_parts=("CHEST", "LUNG")),
                there("urgent", port["urgent"], studies="urgent"),
                there("found", port["found"], studies="positive", institutions=(SOUTH,)),
            ],
            "PREREAD",
        )
        quiet = reading(courier, tmp_path, NORTH, "CHEST")
        belly = reading(courier, tmp_path, SOUTH, "ABDOMEN", positive=True)
        silent = reading(courier, tmp_path, SOUTH, "", "Low dose lung screening")
        grave = reading(courier, tmp_path, NORTH, "CHEST", positive=True, urgent=True)
        studies = [quiet, belly, silent, grave]
        courier.start()
        until = time.monotonic() + PATIENT_S
        rows = [row for study in studies for row in store.deliveries_of(study)]
        while any(store.delivery(r.sop_instance_uid, r.destination).state
                  is not DeliveryState.DELIVERED for r in rows):  # fmt: skip
            assert time.monotonic() < until, [store.deliveries_of(study) for study in studies]
            time.sleep(0.02)
        courier.stop()
    assert all(len(orthanc.instances(study)) == 1 for study in studies)
    assert {name: received(tmp_path / name) for name in names} == {
        "north": {quiet, grave},
        "south": {belly, silent},
        "chests": {quiet, silent, grave},
        "urgent": {grave},
        "found": {belly},
    }
    (told,) = [e.detail for e in store.events_of(silent) if e.what == "not-routed"]
    assert told == (
        f"revision 1, preliminary: north: institution {SOUTH}, not north *; urgent: not urgent; "
        "found: nothing found"
    )


@pytest.mark.parametrize("stage", [Stage.PRELIMINARY, Stage.FINAL])
def test_whoever_was_alerted_learns_that_it_was_taken_back(
    store: Store, tmp_path: Path, stage: Stage
) -> None:
    with running_storescp(tmp_path / "urgent") as port:
        there = DestinationSettings(
            name="urgent", ae_title="ANY", host="127.0.0.1", port=port, accepts=("PDF",),
            studies="urgent",
        )  # fmt: skip
        courier = Courier(store, [there], "PREREAD")
        study = reading(courier, tmp_path, NORTH, "CHEST", positive=True, urgent=True)
        document = ct(StudyInstanceUID=study, SOPClassUID=EncapsulatedPDFStorage)
        made = saved(document, tmp_path / "later.dcm")
        revision = 2 if stage is Stage.PRELIMINARY else 1
        courier.enqueue(study, revision, stage, [("PDF", str(document.SOPInstanceUID), made)])
        other = reading(courier, tmp_path, NORTH, "CHEST", positive=True)
        courier.start()
        until = time.monotonic() + PATIENT_S
        while len(list((tmp_path / "urgent").iterdir())) < 2:
            assert time.monotonic() < until, store.deliveries_of(study)
            time.sleep(0.02)
        courier.stop()
    assert received(tmp_path / "urgent") == {study}
    assert store.deliveries_of(other) == []
