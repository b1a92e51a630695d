"""What is kept of waits, late pictures and revisions, on either database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imaging.language import Text
from imaging.report import Stage
from models.spec import CATALOG, read_spec
from pacs_bridge.late import CAPTURES, leave_pictures
from pacs_bridge.revisions import revisions_of
from pacs_bridge.states import State
from pacs_bridge.store import Store
from pacs_bridge.waits import Waits
from tests.contract.store_suite import SIGNATURE, STUDY, instance, report, study

GAP = Text(en="a gap", zh="缺层")


class RevisionsSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_waits_and_what_was_begun_without(self, store: Store) -> None:
        waits = Waits(store)
        assert waits.keep(STUDY, GAP) and not waits.keep(STUDY, GAP)
        assert waits.of(STUDY) == GAP
        waits.forget(STUDY)
        assert waits.of(STUDY) is None
        for _ in range(2):
            waits.given_up(STUDY, 1, GAP)
        assert (waits.missed(STUDY, 1), waits.missed(STUDY, 2)) == (GAP, None)

    def test_what_a_study_waits_for_is_in_its_row(self, store: Store) -> None:
        store.record_instance(instance(1), study())
        nothing = Text(en="", zh="")
        assert [each.waiting for each in store.worklist()] == [nothing]
        Waits(store).keep(STUDY, GAP)
        assert [(each.state, each.waiting) for each in store.worklist()] == [(State.RECEIVING, GAP)]
        assert store.open_reading(STUDY, "one") == 1  # and late images are waited for
        assert [each.waiting for each in store.worklist()] == [GAP]
        assert store.reading(STUDY).waiting == GAP
        Waits(store).forget(STUDY)
        assert store.reading(STUDY).waiting == nothing

    def test_a_signed_revision_stands_beside_the_one_that_late_images_made(
        self, store: Store
    ) -> None:
        for number in (1, 2):
            store.record_instance(instance(number), study())
        assert store.open_reading(STUDY, "one") == 1
        store.set_report(STUDY, 1, report())
        store.set_state(STUDY, 1, State.AWAITING_SIGNATURE)
        store.sign(STUDY, 1, SIGNATURE, "zhang")
        store.record_instance(instance(3), study())
        assert store.open_reading(STUDY, "two") == 2
        second, first = revisions_of(store, STUDY)
        assert (second.number, second.new_images, second.positive) == (2, 1, None)
        assert (first.number, first.new_images, first.positive) == (1, 2, report_findings())
        assert first.signature == SIGNATURE and first.state is State.FINALISING
        kept = store.reading(STUDY, 1).report
        assert kept is not None and kept.stage is Stage.FINAL

    def test_late_captures_are_left_alone_once(self, store: Store, tmp_path: Path) -> None:
        store.record_instance(instance(1), study())
        assert store.open_reading(STUDY, "one") == 1
        capture = replace(instance(2), sop_class_uid=f"{CAPTURES}.4", path=tmp_path / "2.dcm")
        capture.path.write_bytes(b"")
        assert store.record_instance(capture, study())
        specs = [read_spec(CATALOG / "lung_nodule_reference")]
        assert store.record_instance(instance(3), study())
        assert not leave_pictures(store, STUDY, specs), "an image of the scan came too"
        assert store.open_reading(STUDY, "two") == 2
        assert store.record_instance(replace(capture, digest="c"), study())
        assert leave_pictures(store, STUDY, specs)
        assert not store.has_unread(STUDY)
        assert not leave_pictures(store, STUDY, specs)
        (told,) = [e for e in store.events_of(STUDY) if e.what == "late-left-alone"]
        assert told.detail.startswith("1 late picture(s), no new revision: ")


def report_findings() -> int:
    """How many the suite's report has."""
    return len(report().findings)
