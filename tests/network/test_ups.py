"""UPS-RS over sockets: what a requester and a performer elsewhere see (PS3.18 11)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydicom.dataset import Dataset

from pacs_bridge.ups.codes import coded
from tests.network.ups_site import JSON, UpsSite, ups_settings, ups_site
from tests.workitems import STUDY, performed, progress, state, workitem

LOCK = "1.2.3.4"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpsSite]:
    with ups_site(ups_settings(tmp_path_factory.mktemp("ups"))) as site:
        yield site


def warning(answer: httpx.Response, site: UpsSite) -> str:
    """The text of the Warning header, which has to name the service."""
    given = str(answer.headers.get("Warning", ""))
    if not given:
        return ""
    assert given.startswith(f"299 {site.url}: ")
    return given.removeprefix(f"299 {site.url}: ")


def test_a_workitem_is_created_and_retrieved(site: UpsSite) -> None:
    made = site.post("/workitems?workitem=1.2.3.500", workitem())
    assert made.status_code == 201 and not made.content
    assert made.headers["Location"] == f"{site.url}/workitems/1.2.3.500"
    assert warning(made, site) == "The Workitem was created with modifications."
    held = site.get("/workitems/1.2.3.500")
    assert held.PatientName == "Zhang^San=张^三"
    assert held.ProcedureStepState == "SCHEDULED" and "TransactionUID" not in held
    again = site.post("/workitems?1.2.3.500", workitem())
    assert again.status_code == 409
    assert warning(again, site) == "The Target Workitem already exists."


def test_a_workitem_may_bring_its_uid_or_is_given_one(site: UpsSite) -> None:
    assert site.create(workitem(SOPInstanceUID="1.2.3.501")) == "/workitems/1.2.3.501"
    first, second = site.create(workitem()), site.create(workitem())
    assert first != second


def test_what_is_no_workitem_is_a_bad_request(site: UpsSite) -> None:
    lacking = site.post("/workitems", workitem(ProcedureStepLabel=None))
    assert lacking.status_code == 400
    assert warning(lacking, site) == "ProcedureStepLabel is missing."
    assert "ProcedureStepLabel" in lacking.json()["detail"]
    for body in (b"", b"[]", b"{", b"[1]", b'{"00741000": 3}', b"[{},{}]", b'{"xyz": {}}'):
        answer = site.pacs.post("/workitems", content=body, headers=JSON)
        assert answer.status_code == 400, body
    xml = {"Content-Type": "application/dicom+xml"}
    assert site.pacs.post("/workitems", content=b"<a/>", headers=xml).status_code == 415
    assert site.post("/workitems?workitem=nonsense", workitem()).status_code == 400
    large = site.pacs.post("/workitems", content=b" " * 5_000_000, headers=JSON)
    assert large.status_code == 413


def test_what_is_not_here_is_not_found(site: UpsSite) -> None:
    nowhere = "/workitems/1.2.3.999"
    assert site.pacs.get(nowhere).status_code == 404
    assert site.post(nowhere, progress(1)).status_code == 404
    assert site.put(f"{nowhere}/state", state("IN PROGRESS", LOCK)).status_code == 404
    assert site.post(f"{nowhere}/cancelrequest").status_code == 404
    assert site.post(f"{nowhere}/subscribers/PACS").status_code == 404
    assert site.pacs.delete(f"{nowhere}/subscribers/PACS").status_code == 404
    for strange in ("%00", "x" * 70, "1.2.3'--", "1..2"):
        assert site.pacs.get(f"/workitems/{strange}").status_code == 404


def test_a_performer_elsewhere_claims_updates_and_completes(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    missing = site.put(f"{path}/state", state("IN PROGRESS", ""))
    assert missing.status_code == 400
    assert warning(missing, site) == "The Transaction UID is missing."
    assert site.put(f"{path}/state", state("COMPLETED", LOCK)).status_code == 409
    assert site.put(f"{path}/state", state("IN PROGRESS", LOCK)).status_code == 200
    wrong = site.put(f"{path}/state", state("COMPLETED", "9.9"))
    assert wrong.status_code == 400
    assert warning(wrong, site) == "The Transaction UID is incorrect."
    held = site.get(path)
    assert held.ProcedureStepState == "IN PROGRESS" and "TransactionUID" not in held

    without = site.post(path, progress(50))
    assert without.status_code == 400
    inconsistent = "The submitted request is inconsistent with the current state of the Workitem."
    assert warning(without, site) == inconsistent
    for given in (f"?transaction-uid={LOCK}", f"?{LOCK}"):
        assert site.post(path + given, progress(50)).status_code == 200
    inside = progress(60)
    inside.TransactionUID = LOCK
    assert site.post(path, inside).status_code == 200
    (item,) = site.get(path).ProcedureStepProgressInformationSequence
    assert item.ProcedureStepProgress == 60

    early = site.put(f"{path}/state", state("COMPLETED", LOCK))
    assert early.status_code == 409 and "final state" in early.json()["detail"]
    assert warning(early, site) == (
        "The submitted request is inconsistent with the state of the UPS Instance."
    )
    assert site.post(f"{path}?transaction-uid={LOCK}", performed()).status_code == 200
    assert site.put(f"{path}/state", state("COMPLETED", LOCK)).status_code == 200
    again = site.put(f"{path}/state", state("COMPLETED", LOCK))
    assert again.status_code == 200
    assert warning(again, site) == "The UPS is already in the requested state of COMPLETED."
    assert site.put(f"{path}/state", state("CANCELED", LOCK)).status_code == 409
    assert site.post(f"{path}?transaction-uid={LOCK}", progress(1)).status_code == 400
    done = site.post(f"{path}/cancelrequest")
    assert done.status_code == 409 and warning(done, site) == "The UPS is already COMPLETED."


def test_of_two_performers_one_gets_it(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    assert site.put(f"{path}/state", state("IN PROGRESS", LOCK)).status_code == 200
    assert site.put(f"{path}/state", state("IN PROGRESS", "1.2.3.5")).status_code == 400
    assert site.put(f"{path}/state", state("IN PROGRESS", LOCK)).status_code == 409


def test_a_scheduled_workitem_is_cancelled_at_once(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    why = Dataset()
    why.ReasonForCancellation = "wrong patient"
    assert site.post(f"{path}/cancelrequest", why).status_code == 202
    held = site.get(path)
    assert held.ProcedureStepState == "CANCELED"
    (item,) = held.ProcedureStepProgressInformationSequence
    assert item.ReasonForCancellation == "wrong patient"
    assert item.ProcedureStepCancellationDateTime
    again = site.post(f"{path}/cancelrequest", why)
    assert again.status_code == 202
    assert warning(again, site) == "The UPS is already in the requested state of CANCELED."


def test_nobody_hears_of_a_cancellation_where_nobody_watches(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    site.put(f"{path}/state", state("IN PROGRESS", LOCK))
    asked = site.post(f"{path}/cancelrequest")
    assert asked.status_code == 409
    assert warning(asked, site) == "The performer cannot be contacted."
    assert site.put(f"{path}/state", state("CANCELED", LOCK)).status_code == 200
    assert site.get(path).ProcedureStepState == "CANCELED"


def test_the_content_of_a_scheduled_workitem_changes_without_a_lock(site: UpsSite) -> None:
    path = site.create(workitem(InputReadinessState="INCOMPLETE", station="OTHER"))
    changes = Dataset()
    changes.InputReadinessState = "READY"
    changes.ScheduledProcedureStepModificationDateTime = "20200101000000"
    answer = site.post(path, changes)
    assert answer.status_code == 200
    assert warning(answer, site) == "The Workitem was updated with modifications."
    held = site.get(path)
    assert held.InputReadinessState == "READY"
    assert not str(held.ScheduledProcedureStepModificationDateTime).startswith("2020")
    locked = site.post(f"{path}?transaction-uid={LOCK}", changes)
    assert locked.status_code == 409
    assert warning(locked, site) == "The target URI did not reference a claimed Workitem."
    named = Dataset()
    named.PatientName = "Somebody^Else"
    assert site.post(path, named).status_code == 400


def test_workitems_are_searched(site: UpsSite) -> None:
    study = f"{STUDY}.600"
    paths = [
        site.create(workitem(study, station="OTHER", ProcedureStepLabel=f"step {n}"))
        for n in range(3)
    ]
    site.put(f"{paths[0]}/state", state("IN PROGRESS", LOCK))
    found = site.find(StudyInstanceUID=study)
    assert [each.ProcedureStepLabel for each in found] == ["step 2", "step 1", "step 0"]
    assert "TransactionUID" not in found[2]
    assert "UnifiedProcedureStepPerformedProcedureSequence" not in found[0]
    every = site.find(StudyInstanceUID=study, includefield="all")
    assert "UnifiedProcedureStepPerformedProcedureSequence" in every[0]
    scheduled = site.find(StudyInstanceUID=study, ProcedureStepState="SCHEDULED")
    assert len(scheduled) == 2
    assert len(site.find(StudyInstanceUID=study, **{"00741204": "step 1"})) == 1
    assert len(site.find(StudyInstanceUID=study, ProcedureStepLabel="*1")) == 1
    by_code = {"StudyInstanceUID": study, "ScheduledStationNameCodeSequence__CodeValue": "OTHER"}
    assert len(site.find(**by_code)) == 3
    assert site.find(**by_code | {"ScheduledStationNameCodeSequence__CodeValue": "X"}) == []
    assert len(site.find(StudyInstanceUID=study, offset="1", limit="5")) == 2
    today = site.get(paths[0]).ScheduledProcedureStepStartDateTime[:8]
    assert len(site.find(StudyInstanceUID=study, ScheduledProcedureStepStartDateTime=today)) == 3
    later = {"StudyInstanceUID": study, "ScheduledProcedureStepStartDateTime": "20990101-"}
    assert site.find(**later) == []

    part = site.pacs.get("/workitems", params={"StudyInstanceUID": study, "limit": "1"})
    assert part.status_code == 206 and "additional results" in warning(part, site)
    assert site.pacs.get("/workitems", params={"Nonsense": "1"}).status_code == 400
    none = site.pacs.get("/workitems", params={"StudyInstanceUID": "9.9.9"})
    assert none.status_code == 204 and not none.content
    for other in ("text/html", 'multipart/related; type="application/dicom+xml"'):
        for path in ("/workitems", paths[0]):
            refused = site.pacs.get(path, headers={"Accept": other})
            assert refused.status_code == 406
            assert "application/dicom+json" in refused.json()["detail"]
    told = site.pacs.request("OPTIONS", "/").text
    assert '<resource path="cancelrequest">' in told


def test_who_may_not_order_may_not_follow_either(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    with httpx.Client(base_url=site.url, auth=("viewer", "right"), trust_env=False) as viewer:
        assert viewer.get(path).status_code == viewer.get("/workitems").status_code == 403
        body = workitem().to_json().encode()
        assert viewer.post("/workitems", content=body, headers=JSON).status_code == 403
        assert viewer.post(f"{path}/subscribers/ME").status_code == 403
        asked = state("IN PROGRESS", LOCK).to_json().encode()
        assert viewer.put(f"{path}/state", content=asked, headers=JSON).status_code == 403
    with httpx.Client(base_url=site.url, auth=("pacs", "wrong"), trust_env=False) as stranger:
        assert stranger.get(path).status_code == 401


def test_what_happened_is_in_the_audit_trail(site: UpsSite) -> None:
    study = f"{STUDY}.700"
    path = site.create(workitem(study, station="OTHER"))
    site.put(f"{path}/state", state("IN PROGRESS", LOCK))
    why = Dataset()
    (item,) = progress(1).ProcedureStepProgressInformationSequence
    item.ReasonForCancellation = "no capacity"
    item.ProcedureStepDiscontinuationReasonCodeSequence = coded(("110501", "DCM", "Failure"))
    why.ProcedureStepProgressInformationSequence = [item]
    site.post(f"{path}?transaction-uid={LOCK}", why)
    site.put(f"{path}/state", state("CANCELED", LOCK))
    happened = [(e.what, e.who) for e in site.store.events_of(study)]
    assert happened == [
        ("workitem-created", "pacs"), ("workitem-claimed", "pacs"), ("workitem-changed", "pacs"),
        ("workitem-canceled", "pacs"),
    ]  # fmt: skip
    assert site.store.events_of(study)[-1].detail.endswith(": no capacity")
