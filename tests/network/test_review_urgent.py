"""Urgent studies on the page and in the API: order, mark, filter, and the flag taken back."""

from __future__ import annotations

import re

from imaging.report import Verdict
from pacs_bridge.states import State
from tests.network.review_samples import add
from tests.network.review_site import Site, first, page_of
from tests.urgent import urgency


def row_of(page: str, study_uid: str) -> str:
    return page.split(f'data-study="{study_uid}"')[1].split("</tr>")[0]


def test_the_worklist_marks_them_and_puts_them_first(site: Site) -> None:
    flagged = add(site.store, 1, urgency=urgency())
    other = add(site.store, 2)
    page = site.client.get("/").text
    shown = re.findall(r'data-study="([^"]+)"', page)
    assert shown == [flagged.study_uid, other.study_uid]
    assert '<span class="badge urgent" title="Findings 1, 2 reach' in row_of(
        page, flagged.study_uid
    )
    assert "badge urgent" not in row_of(page, other.study_uid)
    only = site.client.get("/worklist?state=urgent").text
    assert re.findall(r'data-study="([^"]+)"', only) == [flagged.study_uid]
    zh = site.browser(**{"accept-language": "zh"}).get("/").text
    assert ">紧急</span>" in row_of(zh, flagged.study_uid)


def test_the_api_says_it(site: Site) -> None:
    flagged, other = add(site.store, 1, urgency=urgency()), add(site.store, 2)
    rows = {row["study_uid"]: row for row in site.client.get("/api/worklist").json()}
    assert rows[flagged.study_uid]["urgent"] is True
    assert "QA-2026-014" in rows[flagged.study_uid]["urgent_why"]["zh"]
    assert (rows[other.study_uid]["urgent"], rows[other.study_uid]["urgent_why"]) == (False, None)
    one = site.client.get(f"/api/studies/{flagged.study_uid}").json()
    assert one["urgent"] is True
    assert one["report"]["urgency"]["raised_by"][0]["findings"] == [1, 2]


def test_the_study_says_why_and_that_it_was_taken_back(site: Site) -> None:
    flagged, other = add(site.store, 1, urgency=urgency(1)), add(site.store, 2)
    page = site.client.get(page_of(flagged)).text
    note = page.split('id="urgent"')[1].split("</div>")[0]
    assert "Flagged as urgent by a model validated for it" in note
    assert "sensitivity 93.0%, specificity 97.5%" in note
    assert 'id="urgent"' not in site.client.get(page_of(other)).text

    path = f"/api/studies/{flagged.study_uid}/revisions/1/findings/{first(flagged)}/review"
    assert site.put(path, verdict="rejected").status_code == 200
    derived = site.client.get(f"{page_of(flagged)}/derived?revision=1").text
    assert "The urgent flag was taken back" in derived.split('id="urgency"')[1].split("</div>")[0]
    assert not site.client.get("/api/worklist").json()[1]["urgent"]
    trail = site.client.get(page_of(flagged)).text
    assert "Urgent flag taken back" in trail


def test_a_signed_one_keeps_its_mark_but_not_its_place(site: Site) -> None:
    flagged = add(site.store, 1, urgency=urgency())
    other = add(site.store, 2)
    site.decide(flagged, Verdict.ACCEPTED)
    site.store.set_state(flagged.study_uid, 1, State.FINAL)
    page = site.client.get("/").text
    shown = re.findall(r'data-study="([^"]+)"', page)
    assert shown == [other.study_uid, flagged.study_uid]
    assert "badge urgent" in row_of(page, flagged.study_uid)
    assert "data-study" not in site.client.get("/worklist?state=urgent").text, "nothing waits"
