"""A measured pancreas and the reader's part on its lesion, through page, forms and API."""

from __future__ import annotations

import pytest

from imaging.guidelines import NCCN
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.pancreatic import Vessel
from pacs_bridge.review.pancreas import pancreas_form, reading_of
from pacs_bridge.store import Study
from tests import described_pancreas
from tests.network.review_samples import add
from tests.network.review_site import Site, first, page_of

RESEARCH = "Research grade: where to look, no finding"


@pytest.fixture
def study(site: Site) -> Study:
    return add(site.store, 1, with_pancreas=True)


def api(study: Study) -> str:
    return f"/api/studies/{study.study_uid}/revisions/1/pancreas"


FREE = {"degrees": "none", "contour_irregular": False, "occluded": False, "thrombus": False,
        "reconstructible": True}  # fmt: skip
CLEAR = {
    "vessels": [{"vessel": vessel.value, **FREE} for vessel in Vessel],
    "aorta_or_ivc_contact": "none", "variant_artery_contact": "none", "liver_lesions": "none",
    "nodes_suspicious": False, "distant_nodes": False, "peritoneal": False, "ascites": False,
    "other_metastases": False,
}  # fmt: skip


def test_the_page_shows_gland_chart_limits_lesion_and_blank_vessels(
    site: Site, study: Study
) -> None:
    page = site.client.get(page_of(study)).text
    for words in (
        "71.3 ml", "150 mm", "dilated, cut off in the neck", "slices of 5.0 mm",
        'data-points="25"', "28.4 × 22.1 × 19.6 mm", "contact of 120° over 9.0 mm",
        'data-fact="coeliac-axis"', "left to the reader", "Measured: no contact", "Not measured",
    ):  # fmt: skip
        assert words in page, words
    assert "Screening examination" not in page  # a question about lungs
    chinese = site.client.get(page_of(study), headers={"Accept-Language": "zh"}).text
    for words in ("主胰管", "研究级：仅提示留意部位，并非所见", "肠系膜上静脉", "未说明"):
        assert words in chinese, words


def test_research_places_are_labelled_and_lead_to_their_slice(site: Site, study: Study) -> None:
    page = site.client.get(page_of(study)).text
    assert page.count(RESEARCH) == 1
    assert 'data-go-slice="71"' in page and 'data-go-slice="90"' in page
    gland = site.report(study).gland
    assert gland is not None
    hidden = gland.model_copy(update={"places": (), "places_shown": False})
    other = add(site.store, 2, with_pancreas=True, gland=hidden)
    assert RESEARCH not in site.client.get(page_of(other)).text
    none_marked = gland.model_copy(update={"places": ()})
    third = add(site.store, 3, with_pancreas=True, gland=none_marked)
    assert "That excludes nothing." in site.client.get(page_of(third)).text


def test_a_gland_without_a_lesion_has_a_card_a_draft_and_no_form(site: Site) -> None:
    alone = add(site.store, 4, with_pancreas=True, findings=0)
    report = site.report(alone)
    made = report.model_copy(update={"findings": (), "guidance": (), "urgency": None})
    site.store.set_report(alone.study_uid, 1, made)
    page = site.client.get(page_of(alone)).text
    assert 'id="gland"' in page and "Take the draft" in page
    assert 'id="pancreas-reading"' not in page


def test_what_the_reader_says_recomputes_the_resectability(site: Site, study: Study) -> None:
    before = site.client.get(page_of(study).replace("/studies", "/api/studies")).json()
    seen = before["versions"]["facts"]
    saved = site.put(api(study), **CLEAR, seen=seen)
    assert saved.status_code == 200
    by_name = {g["guideline"]: g["category"] for g in saved.json()["guidance"]}
    assert by_name[NCCN] == "resectable"
    assert site.report(study).pancreas_reading.of(Vessel.SMV).degrees == "none"
    assert "pancreas-edited" in [what for what, _ in site.happened()]
    # 200 degrees of the SMA say otherwise
    vessels = [v if v["vessel"] != Vessel.SMA.value else {**v, "degrees": "over-180"}
               for v in CLEAR["vessels"]]  # type: ignore[union-attr, index]  # fmt: skip
    saved = site.put(api(study), **{**CLEAR, "vessels": vessels})
    by_name = {g["guideline"]: g["category"] for g in saved.json()["guidance"]}
    assert by_name[NCCN] == "locally advanced"


def test_a_stale_reading_and_a_lesion_that_is_not_there_are_refused(
    site: Site, study: Study
) -> None:
    assert site.put(api(study), seen="old", ascites=True).status_code == 409
    assert site.put(api(study), lesion=7).status_code == 409
    twice = [{"vessel": "portal-vein"}, {"vessel": "portal-vein"}]
    assert site.put(api(study), vessels=twice).status_code == 422
    assert site.report(study).pancreas_reading == PancreasReading()


def test_a_signature_for_another_reading_is_refused(site: Site, study: Study) -> None:
    address = f"/api/studies/{study.study_uid}"
    seen = site.client.get(address).json()["versions"]["reviews"]
    site.decide(study)
    site.put(api(study), ascites=True)
    signed = site.client.post(
        f"{address}/revisions/1/signature",
        json={"name": "Chen^Li", "organization": "H", "seen_reviews": seen},
        headers={"X-CSRF-Token": site.csrf()},
    )
    assert signed.status_code == 409


def test_the_form_without_a_script_keeps_the_same(site: Site, study: Study) -> None:
    vein = Vessel.SMV.value
    fields = {
        "appearance": "hypo", "ascites": "no", "other": "touches the duodenum",
        f"{vein}.degrees": "over-180", f"{vein}.occluded": "yes",
    }  # fmt: skip
    done = site.form(f"{page_of(study)}/pancreas", **fields)
    assert done.status_code == 303 and done.headers["location"].endswith("#pancreas-reading")
    said = site.report(study).pancreas_reading
    assert (said.appearance, said.ascites, said.other) == ("hypo", False, "touches the duodenum")
    assert said.of(Vessel.SMV).occluded is True and len(said.vessels) == 1
    page = site.client.get(page_of(study)).text
    assert 'value="touches the duodenum"' in page
    refused = site.form(f"{page_of(study)}/pancreas", appearance="purple")
    assert refused.status_code == 409


def test_every_field_of_the_reading_is_asked_and_read_back(site: Site, study: Study) -> None:
    report = site.report(study)
    form = pancreas_form(report)
    assert form is not None
    asked = [*form["tumour"], *form["beyond"]]
    assert {q.key for q in asked} == set(PancreasReading.model_fields) - {"vessels"}
    fields = {}
    for question in [*asked, *(q for row in form["vessels"] for q in row.questions)]:
        fields[question.name] = question.choices[-1] if question.choices else "words"
    said = reading_of(fields)
    again = pancreas_form(report, said)
    assert again is not None
    shown = {q.name: q.value for q in [*again["tumour"], *again["beyond"]]}
    shown |= {q.name: q.value for row in again["vessels"] for q in row.questions}
    assert shown == {**fields, "lesion": "1"}


def test_the_contacts_shown_are_those_of_the_lesion_asked_about(site: Site, study: Study) -> None:
    """With two lesions, an answer is given beside the right one's figures, without loading anew."""
    report = site.report(study)
    first_one = report.findings[0]
    touched = tuple(
        contact.model_copy(update={"degrees": 300.0, "length_mm": 22.0})
        if contact.vessel is Vessel.SMA else contact
        for contact in described_pancreas.lesion().contacts
    )  # fmt: skip
    second = first_one.model_copy(
        update={
            "number": 2,
            "tracking_uid": f"{study.study_uid}.9.2",
            "pancreatic": described_pancreas.lesion(contacts=touched),
        }
    )
    both = report.model_copy(update={"findings": (first_one, second)})
    site.store.set_report(study.study_uid, 1, both)

    def shown() -> str:
        derived = site.client.get(f"{page_of(study)}/derived?revision=1").text
        place = f'id="measured-{Vessel.SMA.value}"'
        of_page, of_answer = (
            text.split(place)[1].split("<p")[1].split("</p>")[0]
            for text in (site.client.get(page_of(study)).text, derived)
        )
        assert of_page == of_answer
        return of_page

    assert "Measured: no contact" in shown()
    assert site.put(api(study), lesion=2).status_code == 200
    assert "Measured: contact of 300° over 22.0 mm" in shown()


def test_a_rejected_lesion_takes_its_guidance_along(site: Site, study: Study) -> None:
    address = f"/api/studies/{study.study_uid}/revisions/1/findings/{first(study)}/review"
    saved = site.put(address, verdict="rejected")
    assert saved.json()["guidance"] == []
    assert 'id="pancreas-reading"' not in site.client.get(page_of(study)).text
