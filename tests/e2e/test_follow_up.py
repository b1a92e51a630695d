"""A chest CT is routed to us, its prior fetched from the PACS, and one report compares them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from imaging.guidelines import guidance_of
from imaging.guidelines.values import LUNG_RADS
from imaging.priors.values import Change, NoduleChange
from imaging.report import Report
from pacs_bridge.states import State
from tests.e2e.server import (
    RunningServer,
    running_server,
    sensitive_model,
    wait_until,
    write_config,
)
from tests.follow_up import LEFT, LOW, RIGHT, SLICES, THEN, study_of, write_both
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class FollowUp:
    """Both examinations lie in the PACS; the later one was read."""

    orthanc: Orthanc
    server: RunningServer
    then: str
    now: str

    @property
    def report(self) -> Report:
        report = self.server.store.reading(self.now).report
        assert report is not None
        return report

    def said(self, what: str) -> list[str]:
        return [e.detail for e in self.server.store.events_of(self.now) if e.what == what]

    def change_at(self, place: tuple[float, float, float]) -> NoduleChange:
        """What became of the nodule at a place of today's images."""
        (comparison,) = self.report.comparisons
        finding = min(
            self.report.findings,
            key=lambda f: sum((a - b) ** 2 for a, b in zip(f.centre_lps_mm, place, strict=True)),
        )
        (found,) = [c for c in comparison.changes if c.tracking_uid == finding.tracking_uid]
        return found


@pytest.fixture(scope="module")
def follow_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FollowUp]:
    """The server is killed once when the prior has come and the step isn't kept yet."""
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("follow-up")
    then, now = write_both(folder / "images")
    dicom, port = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        for path in (*then, *now):
            orthanc.upload(path)
        pacs = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        config = write_config(
            folder,
            dicom_port=dicom,
            page_port=port,
            models=sensitive_model(folder, 0.9),
            quiet_s=1,
            more=f'[assembly.source]\n{pacs}\n[[destinations]]\nname = "Orthanc"\n{pacs}\n',
        )
        command = [sys.executable, "-m", "tests.e2e.killed_server"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KILL_AFTER", "find_priors")
            with running_server(config, port, command) as server:
                orthanc.send_to("PREREAD", study_of(now))
                wait_until(lambda: server.process.poll() is not None, 90, "the kill")
                assert server.process.returncode == -9, server.log.read_text()
        with running_server(config, port) as server:
            found = FollowUp(orthanc, server, study_of(then), study_of(now))
            wait_until(
                lambda: server.store.reading(found.now).state is State.AWAITING_SIGNATURE,
                120,
                f"the reading; {server.log.read_text()[-2000:]}",
            )
            yield found


@pytest.mark.parametrize(
    ("where", "sought"), [("plan", True), ("analyse", True), ("compose:preliminary", False)]
)
def test_an_upgrade_in_the_middle_of_a_reading_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, sought: bool
) -> None:
    """Begun by a version without the step: the reading goes on, with it where there is time."""
    _, now = write_both(tmp_path / "images")
    dicom, port = free_port(), free_port()
    models = sensitive_model(tmp_path, 0.9)
    config = write_config(tmp_path, dicom_port=dicom, page_port=port, models=models, quiet_s=1)
    monkeypatch.setenv("KILL_AFTER", where)
    monkeypatch.setenv("BEFORE_PRIORS", "1")
    with running_server(config, port, [sys.executable, "-m", "tests.e2e.killed_server"]) as server:
        sent = dcmtk(
            "storescu", "-aec", "PREREAD", "127.0.0.1", str(dicom), "+sd", str(now[0].parent)
        )
        assert sent.returncode == 0, sent.stderr
        wait_until(lambda: server.process.poll() is not None, 120, "the kill")
    with running_server(config, port) as server:
        wait_until(
            lambda: server.store.reading(study_of(now)).state is State.AWAITING_SIGNATURE,
            120, "the reading",
        )  # fmt: skip
        reading = server.store.reading(study_of(now))
        assert reading.revision == 1 and reading.report is not None
        assert ("no-prior" in [w.code for w in reading.report.warnings]) is sought


def test_the_report_compares_each_nodule_with_the_prior(follow_up: FollowUp) -> None:
    (comparison,) = follow_up.report.comparisons
    assert (comparison.study_uid, comparison.study_date) == (follow_up.then, THEN)
    assert comparison.days == 360
    grown = follow_up.change_at(RIGHT)
    assert grown.change is Change.GROWN
    assert grown.diameter_change_mm == pytest.approx(4.0, abs=1.2)
    assert grown.lung_rads_growth is True
    assert follow_up.change_at(LOW).change is Change.STABLE
    assert follow_up.change_at(LEFT).change is Change.NEW
    assert "prior" not in " ".join(w.code for w in follow_up.report.warnings)


def test_the_prior_came_once_and_is_not_read(follow_up: FollowUp) -> None:
    store = follow_up.server.store
    assert len(follow_up.said("prior-fetched")) == 1
    assert len(follow_up.said("prior-taken")) == 2, "once a life"
    assert len(store.instances_of(follow_up.then)) == SLICES
    assert [r.study.study_uid for r in store.worklist()] == [follow_up.now]
    assert [r.study.study_uid for r in store.worklist([State.PRIOR])] == [follow_up.then]
    assert store.unread_studies() == []
    assert store.deliveries_of(follow_up.then) == []
    assert store.reading(follow_up.now).revision == 1


def test_the_page_shows_the_comparison(follow_up: FollowUp) -> None:
    page = httpx.get(f"{follow_up.server.url}/studies/{follow_up.now}", trust_env=False).text
    assert f'data-study="{follow_up.then}"' in page
    assert 'data-change="grown"' in page and 'data-change="new"' in page


def test_the_guidelines_are_applied_to_what_was_compared(follow_up: FollowUp) -> None:
    report = follow_up.report
    assert report.guidance
    assert report.guidance == guidance_of(report)
    screened = report.clinical.model_copy(update={"screening": True})
    guided = guidance_of(report.model_copy(update={"clinical": screened}))
    (lung_rads,) = [g for g in guided if g.guideline == LUNG_RADS]
    assert lung_rads.category == "4B", "a nodule of 14 mm that grew, a new one of 12"


def test_a_person_has_the_prior_read_after_all(follow_up: FollowUp) -> None:
    """Last: it ends in a reading of its own, without a fetch; the PACS has nothing older."""
    with httpx.Client(base_url=follow_up.server.url, trust_env=False) as client:
        csrf = client.get("/api/session").json()["csrf"]
        asked = client.post(f"/studies/{follow_up.then}/again", data={"csrf": csrf, "revision": 0})
        assert asked.status_code == 303
    store = follow_up.server.store
    wait_until(
        lambda: (
            [r.state for r in store.worklist() if r.study.study_uid == follow_up.then]
            == [State.AWAITING_SIGNATURE]
        ),
        120,
        "the prior's own reading",
    )
    reading = store.reading(follow_up.then)
    assert reading.revision == 1 and reading.report is not None
    assert reading.report.comparisons == ()
    assert "no-prior" in [w.code for w in reading.report.warnings]
