"""Which destinations results go to: by sender, institution, modality, body part and result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.origin import origin_of
from pacs_bridge.delivery.routing import Origin, Outcome, why_not
from pacs_bridge.records import Instance
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.store import Store
from tests.unit.pacs_bridge.made import ct, saved

CHEST = Origin("CT1", ("County Hospital",), ("CT",), ("CHEST",))


def destination(name: str = "pacs", **rules: Any) -> DestinationSettings:
    return DestinationSettings(name=name, ae_title="PACS", host="127.0.0.1", port=104, **rules)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({}, ""),
        ({"from_ae_titles": ("CT2", "CT1")}, ""),
        ({"from_ae_titles": ("CT?",), "modalities": ("ct",), "body_parts": ("chest",)}, ""),
        ({"institutions": ("county *",)}, ""),
        ({"from_ae_titles": ("MR*",)}, "sent by CT1, not MR*"),
        (
            {"institutions": ("City *", "Town *")},
            "institution County Hospital, not City * or Town *",
        ),
        ({"modalities": ("MR",)}, "modality CT, not MR"),
        ({"body_parts": ("ABDOMEN",)}, "body part CHEST, not ABDOMEN"),
        ({"from_ae_titles": ("CT1",), "body_parts": ("HEAD",)}, "body part CHEST, not HEAD"),
    ],
)
def test_every_rule_has_to_hold(rules: dict[str, Any], reason: str) -> None:
    assert why_not(destination(**rules), CHEST, Outcome(), told=False) == reason


def test_a_bracket_in_a_name_stands_for_itself() -> None:
    branch = Origin("CT1", ("Clinic [North]",))
    there = destination(institutions=("Clinic [North]",))
    assert why_not(there, branch, Outcome(), told=False) == ""
    assert why_not(there, Origin("CT1", ("Clinic N",)), Outcome(), told=False) != ""


def test_images_that_do_not_say_match_no_rule_about_it() -> None:
    nothing = Origin("CT1")
    reason = why_not(destination(body_parts=("*",)), nothing, Outcome(), told=False)
    assert reason == "body part not said, not *"


@pytest.mark.parametrize(("body_part", "goes"), [("CHEST", True), ("chest", True), ("HEAD", False)])
def test_a_body_part_that_is_not_said_is_looked_for_in_the_descriptions(
    body_part: str, goes: bool
) -> None:
    silent = Origin("CT1", descriptions=("1 mm lung", "Chest routine"))
    rule = destination(body_parts=(body_part,))
    assert (why_not(rule, silent, Outcome(), told=False) == "") is goes
    said = Origin("CT1", body_parts=("ABDOMEN",), descriptions=("Chest routine",))
    assert why_not(rule, said, Outcome(), told=False), "what is said counts"


@pytest.mark.parametrize(
    ("studies", "outcome", "told", "goes"),
    [
        ("all", Outcome(), False, True),
        ("positive", Outcome(), False, False),
        ("positive", Outcome(positive=True), False, True),
        ("positive", Outcome(urgent=True), False, True),
        ("positive", Outcome(), True, True),
        ("urgent", Outcome(positive=True), False, False),
        ("urgent", Outcome(positive=True, urgent=True), False, True),
        ("urgent", Outcome(), True, True),
    ],
)
def test_by_result(studies: str, outcome: Outcome, told: bool, goes: bool) -> None:
    assert (why_not(destination(studies=studies), CHEST, outcome, told=told) == "") is goes


def test_the_trail_says_where_a_result_did_not_go_and_why(store: Store) -> None:
    courier = Courier(
        store,
        [
            destination("all"),
            destination("lungs", body_parts=("CHEST",)),
            destination("bellies", body_parts=("ABDOMEN",)),
            destination("found", studies="positive"),
        ],
        "PREREAD",
    )
    objects = [("SR", "1.2.9", Path("/x"))]
    courier.enqueue("1.2.3", 1, Stage.PRELIMINARY, objects, origin=CHEST)
    assert {d.destination for d in store.deliveries_of("1.2.3")} == {"all", "lungs"}
    (event,) = store.events_of("1.2.3")
    assert (event.what, event.detail) == (
        "not-routed",
        "revision 1, preliminary: bellies: body part CHEST, not ABDOMEN; found: nothing found",
    )
    # what the reader found goes there too, and so does what became of it
    final = [("SR", "1.2.10", Path("/x"))]
    courier.enqueue("1.2.3", 1, Stage.FINAL, final, origin=CHEST, positive=True)
    again = [("SR", "1.2.11", Path("/x"))]
    courier.enqueue("1.2.3", 2, Stage.PRELIMINARY, again, origin=CHEST)
    found = {d.sop_instance_uid for d in store.deliveries_of("1.2.3") if d.destination == "found"}
    assert found == {"1.2.10", "1.2.11"}


def test_the_origin_is_read_from_an_image_of_the_series_that_was_read(tmp_path: Path) -> None:
    def instance(name: str, **tags: Any) -> Instance:
        image = ct(**tags)
        path = saved(image, tmp_path / name)
        return Instance("1.2.3", str(image.SeriesInstanceUID), str(image.SOPInstanceUID),
                        str(image.SOPClassUID), path, "", 1, "CT1")  # fmt: skip

    chest = {"SeriesInstanceUID": "1.2.3.1", "BodyPartExamined": "CHEST"}
    broken = instance("a", **chest)
    broken.path.write_bytes(b"junk")
    whole = instance(
        "b", **chest, InstitutionName="县医院", SpecificCharacterSet="GB18030", PixelData=bytes(512)
    )
    other = instance("c", SeriesInstanceUID="1.2.3.2", BodyPartExamined="HEAD")
    origin = origin_of([other, broken, whole], "1.2.3.1", "CT1")
    assert origin == Origin("CT1", ("县医院",), ("CT",), ("CHEST",), ("Chest",))
    assert origin_of([broken], "1.2.3.1", "CT1") == Origin("CT1")
    assert why_not(destination(institutions=("县*",)), origin, Outcome(), told=False) == ""
