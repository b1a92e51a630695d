"""The reader's work over HTTP: verdicts, words, signing, and what is refused after it."""

from __future__ import annotations

import re

import pytest

from imaging.report import FindingReview, Verdict
from pacs_bridge.states import State
from tests.network.review_samples import add, supersede
from tests.network.review_site import Site, first, page_of


def test_a_finding_is_accepted_with_words(site: Site) -> None:
    study = add(site.store, 1)
    answer = site.form(
        f"{page_of(study)}/findings/{first(study)}", verdict="accepted", text="实性结节\r\nstable"
    )
    assert answer.status_code == 303
    report = site.store.reading(study.study_uid).report
    assert report is not None
    review = report.review_of(report.findings[0])
    assert review.verdict is Verdict.ACCEPTED and review.text == "实性结节\nstable"
    assert "实性结节" in site.client.get(page_of(study)).text
    assert "finding-reviewed" in [what for what, _ in site.happened()]


def test_signing_needs_a_verdict_on_each_finding(site: Site) -> None:
    study = add(site.store, 1)
    fields = {"do": "sign", "name": "Zhang^San", "organization": "County", "impression": "kept"}
    answer = site.form(f"{page_of(study)}/report", **fields)
    assert answer.status_code == 409
    assert "finding 1, 2, 3 has no verdict yet" in answer.text
    assert ">kept</textarea>" in answer.text and 'value="Zhang^San"' in answer.text
    assert site.studio.signed == []
    assert site.store.reading(study.study_uid).state is State.AWAITING_SIGNATURE


def test_a_decided_study_is_signed_with_what_is_on_the_screen(site: Site) -> None:
    study = add(site.store, 1)
    site.decide(study)
    fields = {"do": "sign", "name": "Zhang^San", "organization": "County", "impression": "Follow."}
    answer = site.form(f"{page_of(study)}/report", **fields)
    assert answer.status_code == 303
    reading = site.store.reading(study.study_uid)
    assert reading.report is not None and reading.report.signature is not None
    assert reading.state is State.FINAL and reading.report.impression == "Follow."
    assert reading.report.signature.name == "Zhang^San"
    who = "at the machine (testclient), typed name: Zhang^San"
    assert ("report-signed", who) in site.happened()
    page = site.client.get(page_of(study)).text
    assert "Verified by Zhang San, County" in page and "Follow." in page


def test_a_study_without_findings_can_be_signed(site: Site) -> None:
    study = add(site.store, 1, findings=0)
    answer = site.form(f"{page_of(study)}/report", do="sign", name="Li^Si", organization="County")
    assert answer.status_code == 303 and len(site.studio.signed) == 1


@pytest.mark.parametrize(
    "name", ["", "   ", "^", "a" * 65, "a=b=c=d", "a\\b", "a\x07b", "a^b^c^d^e^f"]
)
def test_a_name_that_is_no_person_name_does_not_sign(site: Site, name: str) -> None:
    study = add(site.store, 1, findings=0)
    answer = site.form(f"{page_of(study)}/report", do="sign", name=name, organization="County")
    assert answer.status_code == 409 and "Family^Given" in answer.text
    assert site.studio.signed == []


def test_two_people_do_not_wipe_out_one_another(site: Site) -> None:
    study = add(site.store, 1)
    versions = site.client.get(f"/api{page_of(study)}").json()["versions"]
    path = f"/api{page_of(study)}/revisions/1/findings/{first(study)}/review"
    seen = versions["by_finding"][first(study)]
    assert site.put(path, verdict="accepted", text="mine", seen=seen).status_code == 200
    late = site.put(path, verdict="rejected", text="theirs", seen=seen)
    assert late.status_code == 409 and "somebody else" in late.json()["problem"]
    form = site.form(
        f"{page_of(study)}/findings/{first(study)}", verdict="rejected", text="theirs", seen=seen
    )
    assert form.status_code == 409 and ">theirs</textarea>" in form.text
    report = site.store.reading(study.study_uid).report
    assert report is not None and report.review_of(report.findings[0]).text == "mine"
    same = site.put(path, verdict="accepted", text="mine", seen=seen)
    assert same.status_code == 200  # a retry of what is kept already is no conflict


def test_nobody_signs_what_they_did_not_see(site: Site) -> None:
    study = add(site.store, 1)
    site.decide(study)
    page = site.client.get(page_of(study)).text
    seen = re.search(r'name="seen_reviews" value="(\w+)"', page)
    seen_impression = re.search(r'name="seen_impression" value="(\w+)"', page)
    assert seen and seen_impression
    fields = {"do": "sign", "name": "Li^Si", "organization": "C", "seen_reviews": seen[1],
              "seen_impression": seen_impression[1], "impression": "mine"}  # fmt: skip
    site.store.save_review(
        study.study_uid, 1, FindingReview(tracking_uid=first(study), verdict=Verdict.REJECTED), "x"
    )
    answer = site.form(f"{page_of(study)}/report", **fields)
    assert answer.status_code == 409 and "changed after this page was loaded" in answer.text
    assert site.studio.signed == []


@pytest.mark.parametrize("what", ["review", "impression", "sign"])
def test_after_signing_nothing_changes(site: Site, what: str) -> None:
    study = add(site.store, 1, state=State.FINAL)
    before = site.store.reading(study.study_uid).report
    if what == "review":
        answer = site.form(
            f"{page_of(study)}/findings/{first(study)}", verdict="rejected", text="late words"
        )
    else:
        do = "sign" if what == "sign" else "save"
        fields = {"do": do, "impression": "late words", "name": "Li^Si", "organization": "C"}
        answer = site.form(f"{page_of(study)}/report", **fields)
    assert answer.status_code == 409
    assert "this study is now “Final”" in answer.text
    assert site.store.reading(study.study_uid).report == before
    path = f"/api{page_of(study)}/revisions/1/impression"
    assert site.put(path, text="late").status_code == 409


def test_the_whole_way_through_the_api(site: Site) -> None:
    study = add(site.store, 1)
    base = f"/api{page_of(study)}/revisions/1"
    headers = {"X-CSRF-Token": site.csrf()}
    for n, verdict in ((1, "accepted"), (2, "rejected"), (3, "accepted")):
        answer = site.put(f"{base}/findings/{study.study_uid}.9.{n}/review", verdict=verdict)
        assert answer.json()["pending"] == list(range(n + 1, 4))
    assert answer.json()["positive"] == 2
    assert site.put(f"{base}/impression", text="Two nodules.").status_code == 200
    body = {"name": "Zhang^San", "organization": "County"}
    signed = site.client.post(f"{base}/signature", json=body, headers=headers)
    assert signed.status_code == 202 and signed.json()["state"] == "final"
    reading = site.client.get(f"/api{page_of(study)}").json()
    assert reading["report"]["signature"]["name"] == "Zhang^San"
    assert reading["report"]["impression"] == "Two nodules."
    assert not reading["editable"]
    whats = [event["what"] for event in reading["events"]]
    assert whats.count("finding-reviewed") == 3 and whats.count("report-signed") == 1


def test_the_api_is_described(site: Site) -> None:
    paths = site.client.get("/api/openapi.json").json()["paths"]
    assert {"/api/worklist", "/api/studies/{study_uid}", "/api/session"} <= set(paths)
    assert all(path.startswith("/api/") for path in paths)


def test_status_tells_an_open_page_of_a_change(site: Site) -> None:
    study = add(site.store, 1)
    path = f"/api{page_of(study)}/status?revision=1"
    before = site.client.get(path).json()
    site.store.save_impression(study.study_uid, 1, "new", "zhang")
    after = site.client.get(path).json()
    assert before["versions"]["impression"] != after["versions"]["impression"]
    supersede(site.store, study)
    assert site.client.get(path).json()["newest"] == 2


def test_a_delivery_is_tried_again(site: Site) -> None:
    study = add(site.store, 1)
    stuck = next(d for d in site.store.deliveries_of(study.study_uid) if d.kind == "SEG")
    fields = {"sop_instance_uid": stuck.sop_instance_uid, "destination": "main PACS"}
    assert site.form(f"{page_of(study)}/retry", **fields).status_code == 303
    assert [r[:2] for r in site.studio.retried] == [(stuck.sop_instance_uid, "main PACS")]
    assert site.form(f"{page_of(study)}/retry", **fields | {"destination": "x"}).status_code == 404
    assert len(site.studio.retried) == 1
