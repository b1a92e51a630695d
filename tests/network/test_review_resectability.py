"""The reader's own resectability on the page and in the API; the template is not overruled."""

from __future__ import annotations

import pytest

from imaging.guidelines import NCCN, SAR_APA, with_pancreas_reading
from pacs_bridge.store import Study
from tests.network.review_samples import add
from tests.network.review_site import Site, page_of
from tests.unit.imaging.guidelines.made_pancreas import free, lesion, pancreatic


@pytest.fixture
def study(site: Site) -> Study:
    """A study with a pancreatic lesion that the reader has described in full."""
    study = add(site.store, 1, with_nodules=True)
    report = site.report(study)
    found = pancreatic(1, lesion())
    made = report.model_copy(update={"findings": (found,), "reviews": (), "comparisons": ()})
    site.store.set_report(study.study_uid, 1, with_pancreas_reading(made, free()))
    return study


def test_the_readers_stage_stands_beside_the_computed_one(site: Site, study: Study) -> None:
    path = f"/api{page_of(study)}/revisions/1/overrides/{NCCN}"
    answer = site.put(path, category="borderline resectable", reason="EUS.")
    assert answer.status_code == 200
    report = site.report(study)
    computed = {guidance.guideline: guidance.category for guidance in report.guidance}
    assert computed[NCCN] == "resectable"
    assert [o.category for o in report.overrides] == ["borderline resectable"]
    page = site.client.get(page_of(study)).text
    assert "borderline resectable</b>" in page and "EUS." in page


@pytest.mark.parametrize(
    ("guideline", "category"),
    [(NCCN, "operable"), (NCCN, "4A"), (SAR_APA, "complete")],
)
def test_what_no_guideline_has_is_refused(
    site: Site, study: Study, guideline: str, category: str
) -> None:
    fields = {"guideline": guideline, "do": "set", "category": category, "reason": "-"}
    assert site.form(f"{page_of(study)}/override", **fields).status_code == 409
    assert site.report(study).overrides == ()


def test_the_form_offers_the_stages_and_not_the_template(site: Site, study: Study) -> None:
    page = site.client.get(page_of(study)).text
    form = page[page.index('id="override"') : page.index("</datalist>")]
    assert '<option value="locally advanced">' in form
    assert f"<option>{NCCN}</option>" in form and SAR_APA not in form
