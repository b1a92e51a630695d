"""The steps of a reading on a real store and a real worker: several models, shadows, urgency."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
import pytest

from imaging.language import Text
from imaging.notices import notice
from imaging.report import Report, Stage
from models.engine.turns import Priority
from models.errors import SpecError
from models.study.priors import PriorImages
from pacs_bridge.database import writing
from pacs_bridge.deliver import Courier
from pacs_bridge.priors.gather import NOTHING, Gathered
from pacs_bridge.settings import DestinationSettings, PeerSettings
from pacs_bridge.shadow import ShadowOutcome, agreement
from pacs_bridge.states import State
from pacs_bridge.steps import Steps
from pacs_bridge.store import Instance, Store, Study, open_store
from pacs_bridge.ups.states import UpsState
from pacs_bridge.ups.worklist import Worklist
from pacs_bridge.waits import Waits
from pacs_bridge.withdrawals import withdraw
from pacs_bridge.workers import StudyTask, TaskOutcome, Workers
from pacs_bridge.workers.failures import StudyKillsWorkers
from pacs_bridge.workers.watch import ModelWatch
from tests.network.scripted_peer import scp
from tests.network.test_peer_counts import FINDER, finder, found
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import write_bright_model
from tests.unit.models.study.test_study import write_chest
from tests.unit.pacs_bridge.engine_site import engine_settings
from tests.workitems import workitem


@dataclass(frozen=True)
class Site:
    """Steps with what they work on."""

    steps: Steps
    store: Store
    folder: Path

    def receive(self, files: list[Path], study_uid: str, sender: str = "CT_01") -> int:
        """Images have come in and a reading is begun; its revision."""
        self.take_in(files, study_uid, sender)
        revision = self.store.open_reading(study_uid, f"test-{len(files)}")
        assert revision is not None
        return revision

    def take_in(self, files: list[Path], study_uid: str, sender: str = "CT_01") -> None:
        for path in files:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            content = path.read_bytes()
            self.store.record_instance(
                Instance(
                    study_uid, str(header.SeriesInstanceUID), str(header.SOPInstanceUID),
                    str(header.SOPClassUID), path, hashlib.sha256(content).hexdigest(),
                    len(content), sender,
                ),
                Study(study_uid, source_ae=sender),
            )  # fmt: skip

    def report(self, study_uid: str) -> Report:
        found = self.store.reading(study_uid).report
        assert found is not None
        return found

    def withdraw(self, study_uid: str) -> None:
        because = Text(en="not wanted", zh="不需要")
        with writing(self.store.engine) as db:
            assert withdraw(db, study_uid, because, images_come=False)

    def said(self, study_uid: str, what: str) -> list[str]:
        return [e.detail for e in self.store.events_of(study_uid) if e.what == what]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two models that report, and one that only runs."""
    folder = tmp_path_factory.mktemp("steps")
    for name in ("bright", "brighter", "shade"):
        write_bright_model(folder / "models" / name)
    picky = folder / "models" / "brighter" / "preread.toml"
    text = picky.read_text(encoding="utf-8")
    assert "minimum_slices = 20" in text
    picky.write_text(text.replace("minimum_slices = 20", "minimum_slices = 30"), encoding="utf-8")
    settings = engine_settings(folder, "bright", "brighter", shadow=("shade",))
    urgent = settings.assembly.model_copy(update={"urgent_ae_titles": ("EMERGENCY",)})
    settings = settings.model_copy(update={"assembly": urgent})
    settings.storage.folder.mkdir()
    store = open_store(settings.storage.database_url)
    workers = Workers(settings)
    workers.start()
    courier = Courier(store, (), "PREREAD")
    steps = Steps(settings, store, courier, ModelWatch(settings), workers)
    yield Site(steps, store, folder)
    workers.stop()
    store.engine.dispose()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_chest(tmp_path_factory.mktemp("chest"))


@pytest.fixture(scope="module")
def study(site: Site, files: list[Path]) -> str:
    """A chest that is read."""
    uid = "1.2.3"
    revision = site.receive(files, uid)
    assert site.steps.plan(uid, revision)
    assert site.steps.analyse(uid, revision)
    site.steps.compose(uid, revision)
    return uid


def test_two_models_make_one_report_and_one_set_of_objects(site: Site, study: str) -> None:
    report = site.report(study)
    assert [(f.number, f.model) for f in report.findings] == [
        (1, "bright"), (2, "bright"), (3, "brighter"), (4, "brighter"),
    ]  # fmt: skip
    assert site.store.reading(study).positive == 4
    folder = site.steps.folder(study, 1) / Stage.PRELIMINARY
    seg = pydicom.dcmread(folder / "seg.dcm")
    assert len(seg.SegmentSequence) == 4
    sr = pydicom.dcmread(folder / "sr.dcm")
    assert sr.SOPInstanceUID == report.uid_of("sr")
    (told,) = site.said(study, "analysed")
    assert told.startswith("4 finding(s) by bright 1.0, brighter 1.0 on cpu; ")
    plans = json.loads(site.store.reading(study).plan)["plans"]
    assert [(p["model"], p["chosen"]) for p in plans] == [
        ("bright", report.series_uid), ("brighter", report.series_uid),
    ]  # fmt: skip


def test_a_model_that_does_not_suit_is_no_obstacle_to_the_other(site: Site, tmp_path: Path) -> None:
    """28 slices: enough for one of the two; its lungs are none, so nothing can be read."""
    solid = np.full((28, 40, 40), 40, np.int16)
    revision = site.receive(write(tmp_path, make_images(solid, name="solid")), "1.2.4")
    assert site.steps.plan("1.2.4", revision)
    assert not site.steps.analyse("1.2.4", revision)
    reading = site.store.reading("1.2.4")
    assert reading.state is State.NOT_ANALYSED
    assert reading.reason.en == "0 ml of lung in view, at least 100 ml are needed"


def test_a_study_that_suits_nobody_says_why_for_each_model(site: Site, tmp_path: Path) -> None:
    revision = site.receive(write(tmp_path, make_images(name="short")), "1.2.5")
    assert not site.steps.plan("1.2.5", revision)
    reading = site.store.reading("1.2.5")
    assert reading.state is State.NOT_ANALYSED
    assert reading.reason.en == (
        "series 3 synthetic short: 12 slices, at least 20 are needed; "
        "series 3 synthetic short: 12 slices, at least 30 are needed"
    )


def test_a_shadow_leaves_the_reading_as_it_is(site: Site, study: str) -> None:
    before = site.store.reading(study)
    site.steps.run_shadow(study, 1, "shade")
    assert site.store.reading(study) == before
    kept = site.steps.folder(study, 1) / "shadow" / "shade.json"
    outcome = ShadowOutcome.model_validate_json(kept.read_text(encoding="utf-8"))
    assert outcome.report is not None and outcome.report.model.name == "shade"
    assert outcome.agreement is not None
    assert len(outcome.agreement.matched) == 2
    assert site.said(study, "shadow-read") == [
        "shade 1.0: 2 finding(s), 4 reported, 2 the same within 5 mm"
    ]


def test_a_shadow_that_refuses_says_why_in_its_file_and_the_trail(
    site: Site, tmp_path: Path
) -> None:
    revision = site.receive(write(tmp_path, make_images(name="shaded")), "1.2.6")
    site.steps.run_shadow("1.2.6", revision, "shade")
    kept = site.steps.folder("1.2.6", revision) / "shadow" / "shade.json"
    outcome = ShadowOutcome.model_validate_json(kept.read_text(encoding="utf-8"))
    assert outcome.report is None and outcome.agreement is None
    assert "12 slices" in outcome.why_not[0].text.en
    assert "12 slices" in site.said("1.2.6", "shadow-read")[0]
    assert site.store.reading("1.2.6").state is State.PLANNING


def test_a_shadow_that_fails_is_in_the_trail_alone(site: Site, study: str) -> None:
    before = site.store.reading(study)
    with pytest.raises(SpecError, match="nobody"):
        site.steps.run_shadow(study, 1, "nobody")
    site.steps.shadow_failed(study, "nobody", "SpecError: no model is called 'nobody'")
    assert site.said(study, "shadow-failed") == ["nobody: SpecError: no model is called 'nobody'"]
    assert site.store.reading(study) == before


def test_what_an_emergency_scanner_sends_is_urgent(site: Site, study: str) -> None:
    site.receive(write(site.folder / "urgent", make_images(name="urgent")), "1.2.7", "EMERGENCY")
    assert site.steps.priority("1.2.7") is Priority.URGENT
    assert site.steps.priority(study) is Priority.ROUTINE


def test_what_is_ordered_with_high_priority_is_urgent(site: Site, study: str) -> None:
    worklist = Worklist(site.store, ("PREREAD",), ("110004^DCM",))
    uid, _ = worklist.create(workitem(study, ScheduledProcedureStepPriority="HIGH"), "", "pacs")
    assert site.steps.priority(study) is Priority.ROUTINE  # nobody has claimed it
    worklist.claim_due()
    assert site.steps.priority(study) is Priority.URGENT
    worklist.end(uid, UpsState.CANCELED, lambda held: None)
    assert site.steps.priority(study) is Priority.ROUTINE


class Deadly:
    """The site's workers, whose process dies over whatever is compared."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.tasks: list[StudyTask] = []

    def read(self, task: StudyTask, **more: Any) -> TaskOutcome:
        self.tasks.append(task)
        if task.priors:
            raise StudyKillsWorkers("the process ended twice over it")
        return self.workers.read(task, **more)


def test_a_prior_that_kills_workers_is_left_out_and_told(
    site: Site, files: list[Path], tmp_path: Path
) -> None:
    revision = site.receive(files, "1.2.8")
    deadly = Deadly(site.steps.workers)
    steps = replace(site.steps, workers=cast(Workers, deadly))
    assert steps.plan("1.2.8", revision)
    earlier = PriorImages("1.2.0", "20250101", (tmp_path / "gone.dcm",))
    none = notice("no-prior", years=5, where="here")
    assert steps.analyse("1.2.8", revision, False, Gathered((earlier,), (none,)))
    assert [bool(task.priors) for task in deadly.tasks] == [True, False]
    report = site.report("1.2.8")
    assert report.comparisons == () and len(report.findings) == 4
    assert [n.code for n in report.warnings][-2:] == ["no-prior", "prior-left-out"]
    with pytest.raises(StudyKillsWorkers):
        replace(steps, workers=cast(Workers, AlwaysDeadly())).analyse("1.2.8", revision)


class AlwaysDeadly:
    """Workers that die over every study."""

    def read(self, task: StudyTask, **more: Any) -> TaskOutcome:
        raise StudyKillsWorkers("the process ended twice over it")


def test_without_a_search_there_is_nothing_to_compare(site: Site, study: str) -> None:
    assert site.steps.find_priors(study, 1) is NOTHING


def test_findings_agree_one_to_one_nearest_first(site: Site, study: str) -> None:
    report = site.report(study)
    first, second = report.findings[:2]

    def at(number: int, x_mm: float) -> object:
        x, y, z = first.centre_lps_mm
        return first.model_copy(update={"number": number, "centre_lps_mm": (x + x_mm, y, z)})

    main = report.model_copy(update={"findings": (first, second)})
    other = report.model_copy(update={"findings": (at(1, 4.0), at(2, 1.0), at(3, 6.0))})
    found = agreement(main, other)
    assert [(p.reported, p.shadow, p.distance_mm) for p in found.matched] == [(1, 2, 1.0)]
    assert str(found) == "3 finding(s), 2 reported, 1 the same within 5 mm"
    assert agreement(main, main.model_copy(update={"findings": ()})).matched == ()


def sent_to(site: Site, *destinations: DestinationSettings) -> Steps:
    settings = site.steps.settings.model_copy(update={"destinations": destinations})
    courier = Courier(site.store, destinations, "PREREAD")
    return Steps(settings, site.store, courier, site.steps.models, site.steps.workers)


def destination(name: str, *accepts: str) -> DestinationSettings:
    return DestinationSettings.model_validate(
        {"name": name, "ae_title": "A", "host": "127.0.0.1", "port": 1, "accepts": accepts}
    )


def test_further_objects_are_made_and_sent_only_where_a_destination_takes_them(
    site: Site, study: str
) -> None:
    archive, planning, old = (
        destination("archive", "SEG", "SR"),
        destination("planning", "RTSTRUCT"),
        destination("old", "SC", "PDF", "GSPS"),
    )
    folder = site.steps.folder(study, 1) / Stage.PRELIMINARY
    report = site.report(study)
    captures = {f"sc-{n}.dcm" for n in (0, *(f.number for f in report.standing_findings))}
    further = {"rtstruct.dcm", "gsps.dcm", "pdf.dcm", "report.pdf", "sc.zip"} | captures
    plain = {"seg.dcm", "sr.dcm", "report.html", "findings.json"}
    for destinations, wanted in (((archive, planning, old), plain | further), ((archive,), plain)):
        steps = sent_to(site, *destinations)
        steps.compose(study, 1)
        assert {path.name for path in folder.iterdir()} == wanted
        for path in folder.glob("*.dcm"):
            assert pydicom.dcmread(path).SOPInstanceUID == report.uid_of(path.stem)
        steps.deliver(study, 1)
    sent = sorted((d.destination, d.kind) for d in site.store.deliveries_of(study))
    assert sent == sorted(
        [("planning", "RTSTRUCT"), ("archive", "SEG"), ("archive", "SR"), ("old", "PDF"),
         ("old", "GSPS"), *[("old", "SC")] * len(captures)]
    )  # fmt: skip


def test_results_go_where_their_images_and_what_was_found_say(site: Site, study: str) -> None:
    sender = site.store.study(study).source_ae
    rules: dict[str, dict[str, Any]] = {
        "chest": {"body_parts": ["CHEST"], "modalities": ["CT"]},
        "belly": {"body_parts": ["ABDOMEN"]},
        "hospital": {"from_ae_titles": [sender], "studies": "positive"},
        "other hospital": {"from_ae_titles": ["OTHER*"]},
        "alerts": {"studies": "urgent"},
    }
    where = {"ae_title": "A", "host": "127.0.0.1", "port": 1, "accepts": ["PDF"]}
    destinations = [
        DestinationSettings.model_validate({"name": name, **where, **rule})
        for name, rule in rules.items()
    ]
    steps = sent_to(site, *destinations)
    steps.compose(study, 1)
    steps.deliver(study, 1)
    sent = {d.destination for d in site.store.deliveries_of(study) if d.kind == "PDF"}
    told = [e.detail for e in site.store.events_of(study) if e.what == "not-routed"][-1]
    assert sent >= {"chest", "hospital"}, told
    assert not sent & {"belly", "other hospital", "alerts"}
    assert "belly: body part not said, not ABDOMEN" in told
    assert f"other hospital: sent by {sender}, not OTHER*; alerts: not urgent" in told


def test_a_revision_takes_the_place_of_the_one_before(site: Site, files: list[Path]) -> None:
    """Late images: the result names its predecessor; our own picture, come back, begins nothing."""
    uid = "1.2.3.77"
    steps = sent_to(site, destination("old", "SC", "SR"))
    for revision, part in ((1, files[:-1]), (2, files)):
        assert site.receive(part, uid) == revision
        if revision == 1:
            Waits(site.store).given_up(uid, 1, Text(en="1 image is missing", zh="缺 1 幅"))
        assert steps.plan(uid, revision) and steps.analyse(uid, revision)
        steps.compose(uid, revision)
        steps.deliver(uid, revision)
    first, second = (site.store.reading(uid, revision).report for revision in (1, 2))
    assert first is not None and first.supersedes is None
    assert second is not None and second.supersedes == first.as_superseded
    assert first.warnings[0].code == "begun-incomplete"
    assert "1 image is missing; what lies on them" in first.warnings[0].text.en
    assert "begun-incomplete" not in {warning.code for warning in second.warnings}
    folder = steps.folder(uid, 2) / Stage.PRELIMINARY
    (named,) = pydicom.dcmread(folder / "sr.dcm").PredecessorDocumentsSequence
    assert named.ReferencedSeriesSequence[0].ReferencedSOPSequence[
        0
    ].ReferencedSOPInstanceUID == first.uid_of("sr")
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "Supersedes revision 1 (preliminary)" in html and "取代第 1 次修订" in html
    site.take_in([folder / "sc-0.dcm"], uid, sender="PACS")
    assert not site.store.has_unread(uid)
    assert len(site.store.instances_of(uid)) == len(files) + 1

    def answers(query: pydicom.Dataset) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        images, pictures = str(second.series_uid), second.uid_of("sc-series")
        yield found(
            SeriesInstanceUID=images, Modality="CT", NumberOfSeriesRelatedInstances=len(files)
        )
        yield found(SeriesInstanceUID=pictures, Modality="OT", NumberOfSeriesRelatedInstances=9)

    with scp(finder(answers), FINDER) as port:  # the PACS counts our pictures among the images
        source = PeerSettings(ae_title="ORTHANC", host="127.0.0.1", port=port)
        assembly = steps.settings.assembly.model_copy(update={"source": source})
        asking = replace(steps, settings=steps.settings.model_copy(update={"assembly": assembly}))
        judged = asking.judge_complete(uid)
    assert judged.complete
    assert f"counts {len(files)} images, {len(files)} are held" in judged.because.en


class WithdrawnMeanwhile:
    """A worker whose study is wanted no longer when it is done."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def read(self, task: StudyTask, *, begun: Callable[[], None]) -> TaskOutcome:
        outcome = self._site.steps.workers.read(task, begun=begun)
        assert self._site.store.reading(task.study_uid).state is State.ANALYSING
        self._site.withdraw(task.study_uid)
        return outcome


def test_what_is_withdrawn_while_it_is_read_is_discarded(site: Site, files: list[Path]) -> None:
    uid = "1.2.3.90"
    revision = site.receive(files, uid)
    assert site.steps.plan(uid, revision)
    steps = replace(site.steps, workers=cast(Workers, WithdrawnMeanwhile(site)))
    assert not steps.analyse(uid, revision)
    for step in (steps.compose, steps.deliver, steps.await_signature):
        step(uid, revision)
    reading = site.store.reading(uid)
    assert (reading.state, reading.reason.en) == (State.NOT_ANALYSED, "not wanted")
    assert reading.report is None and not site.said(uid, "analysed")
    assert not (steps.folder(uid, revision) / Stage.PRELIMINARY).exists()
    assert not steps.analyse(uid, revision)  # nor is it begun again by the workflow


def test_what_is_withdrawn_before_it_is_sent_is_not_sent(
    site: Site, study: str, files: list[Path]
) -> None:
    uid = "1.2.3.91"
    revision = site.receive(files, uid)
    settings = DestinationSettings(name="main", ae_title="PACS", host="127.0.0.1", port=1)
    steps = replace(site.steps, courier=Courier(site.store, (settings,), "PREREAD"))
    shutil.copytree(steps.folder(study, 1), steps.folder(uid, revision))  # as if it were read
    site.store.set_report(uid, revision, site.report(study))
    site.store.set_state(uid, revision, State.COMPOSING)
    site.withdraw(uid)
    steps.deliver(uid, revision)
    steps.await_signature(uid, revision)
    assert site.store.deliveries_of(uid) == []
    assert site.store.reading(uid).state is State.NOT_ANALYSED
    site.store.reopen(uid, revision, "zhang")
    steps.deliver(uid, revision)
    assert len(site.store.deliveries_of(uid)) == 2


def test_what_was_withdrawn_before_it_was_begun_is_not_planned(
    site: Site, files: list[Path]
) -> None:
    uid = "1.2.3.92"
    site.take_in(files, uid)
    site.withdraw(uid)
    revision = site.steps.open(uid, "test", Text(en="all here", zh="齐全"))
    assert revision is not None and not site.steps.plan(uid, revision)
    assert site.store.reading(uid).reason.en == "not wanted"
