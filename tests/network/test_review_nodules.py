"""Nodules on the page and in the API: character, guidelines, facts, own categories, draft."""

from __future__ import annotations

import re

import pytest

from imaging.guidelines import LUNG_RADS
from imaging.language import Language
from imaging.report import Verdict
from pacs_bridge.states import State
from pacs_bridge.store import Study
from tests.network.review_samples import add, supersede
from tests.network.review_site import Site, first, page_of


@pytest.fixture
def study(site: Site) -> Study:
    """A screening study with three described nodules."""
    return add(site.store, 1, with_nodules=True)


def category(site: Site, study: Study) -> str | None:
    (guidance,) = site.report(study).guidance
    return guidance.category


def base(study: Study) -> str:
    return f"/api{page_of(study)}/revisions/1"


def seen(site: Site, study: Study) -> str:
    return str(site.client.get(f"/api{page_of(study)}").json()["versions"]["facts"])


def last_event(site: Site, study: Study) -> tuple[str, str]:
    event = [e for e in site.store.events_of(study.study_uid) if not e.what.endswith("viewed")][-1]
    return event.what, event.detail


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (Language.EN, ("Solid nodule", "right upper lobe", "mean 7.6 mm", "176 – 259 mm³",
                       "92 % of it above", "subpleural, 4 mm", "41 % (95 %: 28 % – 56 %)",
                       "not a diagnosis", "Grown +1.6 mm", "Lung-RADS 4B", "PET/CT",
                       "Compared with 2025-03-02", "doubling time 190 days", "No longer seen")),
        (Language.ZH, ("实性结节", "右肺上叶", "平均 7.6 mm", "胸膜下", "并非诊断", "增大 +1.6 mm",
                       "Lung-RADS 4B", "与 2025-03-02 比较", "倍增时间 190 天", "已消失")),
    ],
)  # fmt: skip
def test_the_page_tells_everything_of_a_nodule(
    site: Site, study: Study, language: Language, words: tuple[str, ...]
) -> None:
    site.client.cookies.set("preread_language", language)
    page = site.client.get(page_of(study)).text
    for word in words:
        assert word in page, word
    assert not re.search(r"{\w+}", page.split('<script type="application/json"')[0])


def test_the_picture_of_why_is_shown_where_there_is_one(site: Site, study: Study) -> None:
    page = site.client.get(page_of(study)).text
    assert page.count("/why.png?revision=1") == 1
    picture = site.client.get(f"{page_of(study)}/findings/{first(study)}/why.png?revision=1")
    assert picture.content.startswith(b"\x89PNG") and picture.headers["content-type"] == "image/png"
    other = f"{page_of(study)}/findings/{study.study_uid}.9.2/why.png?revision=1"
    assert site.client.get(other).status_code == 404


def test_a_report_without_nodules_has_none_of_it(site: Site) -> None:
    page = site.client.get(page_of(add(site.store, 1))).text
    for part in ('id="guidelines"', 'data-role="character"', 'class="panel comparison"'):
        assert part not in page


def test_the_worklist_shows_the_category(site: Site, study: Study) -> None:
    row = site.client.get("/").text.split(f'data-study="{study.study_uid}"')[1].split("</tr>")[0]
    assert '<span class="badge category">Lung-RADS 4B</span>' in row
    assert site.client.get("/api/worklist").json()[0]["headline"] == "Lung-RADS 4B"
    supersede(site.store, study)
    assert site.client.get("/api/worklist").json()[0]["headline"] == ""


def test_a_rejected_finding_no_longer_decides(site: Site, study: Study) -> None:
    path = f"{base(study)}/findings/{study.study_uid}.9.2/review"
    answer = site.put(path, verdict="rejected").json()
    assert [(g["category"], g["finding"]) for g in answer["guidance"]] == [("4B", 1)]
    assert category(site, study) == "4B"
    fragment = site.client.get(f"{page_of(study)}/derived?revision=1").text
    assert ">4B</b>" in fragment and "Part-solid" not in fragment
    again = site.put(path, verdict="pending").json()["guidance"][0]
    assert (again["category"], again["finding"]) == ("4B", 2)
    assert "4X instead, if the reader confirms" in again["rule"]["en"]


def test_clinical_facts_apply_the_guidelines_again(site: Site, study: Study) -> None:
    answer = site.put(f"{base(study)}/clinical", age_years=68, sex="F", screening=False,
                      known_cancer=False, immunosuppressed=False, high_risk=True)  # fmt: skip
    assert [g["guideline"] for g in answer.json()["guidance"]] == ["Fleischner 2017"]
    assert answer.json()["guidance"][0]["category"]
    what, detail = last_event(site, study)
    assert what == "clinical-edited"
    assert "screening: True -> False" in detail and "high_risk: None -> True" in detail
    assert "age_years" not in detail
    again = site.put(f"{base(study)}/clinical", age_years=68)
    assert site.report(study).clinical.screening is None  # left out is unknown, never no
    assert all(g["category"] is None for g in again.json()["guidance"])


def test_brocks_formula_takes_the_facts(site: Site, study: Study) -> None:
    site.put(f"{base(study)}/clinical", age_years=68, sex="F", screening=True, emphysema=True,
             family_history=False)  # fmt: skip
    nodule = site.report(study).findings[0].nodule
    assert nodule is not None
    (brock,) = [hint for hint in nodule.hints if hint.method == "brock"]
    assert brock.probability is not None and not brock.missing


def test_the_form_of_clinical_facts_works_without_script(site: Site, study: Study) -> None:
    page = site.client.get(page_of(study)).text
    form = page.split('class="facts-form"')[1].split("</form>")[0]
    assert 'name="age_years" value="68"' in form
    assert '<option value="yes" selected>' in form  # screening
    fields = {"age_years": "70", "sex": "M", "screening": "no", "prior_lung_rads": "3",
              "seen": seen(site, study)}  # fmt: skip
    assert site.form(f"{page_of(study)}/clinical", **fields).status_code == 303
    facts = site.report(study).clinical
    assert (facts.age_years, facts.sex, facts.screening) == (70, "M", False)
    assert facts.prior_lung_rads == "3" and facts.emphysema is None


@pytest.mark.parametrize(
    "fields",
    [{"age_years": "old"}, {"age_years": "131"}, {"age_years": "-1"}, {"sex": "x"},
     {"screening": "maybe"}, {"prior_lung_rads": "9"}],
)  # fmt: skip
def test_facts_that_are_none_are_refused(site: Site, study: Study, fields: dict[str, str]) -> None:
    before = site.report(study).clinical
    assert site.form(f"{page_of(study)}/clinical", **fields).status_code == 409
    assert site.report(study).clinical == before


def test_the_readers_category_stands_beside_the_computed_one(site: Site, study: Study) -> None:
    path = f"{base(study)}/overrides/{LUNG_RADS}"
    answer = site.put(path, category="4A", reason="Scar.")
    assert answer.status_code == 200
    (own,) = answer.json()["overrides"]
    assert (own["category"], own["reason"]) == ("4A", "Scar.")
    assert category(site, study) == "4B"
    assert last_event(site, study) == ("override-set", "Lung-RADS 2022: 4A, computed 4B; Scar.")
    page = site.client.get(page_of(study)).text
    assert "Computed: 4B" in page and "Scar." in page and ">4A</b>" in page
    assert "Lung-RADS 4A" in site.client.get("/").text
    site.put(path, category="3")
    assert [o.category for o in site.report(study).overrides] == ["3"]
    gone = site.client.delete(path, headers={"X-CSRF-Token": site.csrf()})
    assert gone.status_code == 200 and gone.json()["overrides"] == []
    assert last_event(site, study)[0] == "override-removed"


def test_the_form_of_an_own_category_works_without_script(site: Site, study: Study) -> None:
    path = f"{page_of(study)}/override"
    fields = {"guideline": LUNG_RADS, "do": "set", "category": "2", "reason": "Granuloma."}
    assert site.form(path, **fields).status_code == 303
    assert site.report(study).overrides[0].category == "2"
    assert site.form(path, guideline=LUNG_RADS, do="remove").status_code == 303
    assert site.report(study).overrides == ()
    refused = site.form(path, **(fields | {"category": "7"}))
    assert refused.status_code == 409 and "no such category" in refused.text
    assert 'value="Granuloma."' in refused.text  # what was typed is still there


@pytest.mark.parametrize(
    ("guideline", "category"), [(LUNG_RADS, "5"), (LUNG_RADS, ""), ("Bosniak", "2")]
)
def test_a_category_that_is_none_is_refused(
    site: Site, study: Study, guideline: str, category: str
) -> None:
    answer = site.put(f"{base(study)}/overrides/{guideline}", category=category)
    assert answer.status_code == 409 and answer.json()["problem"].startswith("Not saved")


@pytest.mark.parametrize("what", ["clinical", "override"])
def test_two_people_do_not_wipe_out_one_another(site: Site, study: Study, what: str) -> None:
    path, body = {
        "clinical": (f"{base(study)}/clinical", {"age_years": 50}),
        "override": (f"{base(study)}/overrides/{LUNG_RADS}", {"category": "3"}),
    }[what]
    old = seen(site, study)
    site.put(f"{base(study)}/clinical", age_years=71, screening=True)
    late = site.put(path, **body, seen=old)
    assert late.status_code == 409 and "somebody else" in late.json()["problem"]
    assert site.put(path, **body, seen=seen(site, study)).status_code == 200


def test_nobody_signs_a_category_they_did_not_see(site: Site, study: Study) -> None:
    site.decide(study)
    versions = site.client.get(f"/api{page_of(study)}").json()["versions"]
    site.put(f"{base(study)}/overrides/{LUNG_RADS}", category="2")
    fields = {"do": "sign", "name": "Li^Si", "organization": "C", "impression": "",
              "seen_reviews": versions["reviews"]}  # fmt: skip
    answer = site.form(f"{page_of(study)}/report", **fields)
    assert answer.status_code == 409 and "changed after this page was loaded" in answer.text


@pytest.mark.parametrize("what", ["clinical", "overrides/Lung-RADS 2022"])
def test_after_signing_nothing_changes(site: Site, what: str) -> None:
    study = add(site.store, 1, state=State.FINAL, with_nodules=True)
    body = {"age_years": 50} if what == "clinical" else {"category": "2"}
    before = site.report(study)
    assert site.put(f"{base(study)}/{what}", **body).status_code == 409
    assert site.report(study) == before
    page = site.client.get(page_of(study)).text
    assert 'id="override"' not in page and "<select" in page and "disabled" in page


def test_changes_need_the_token(site: Site, study: Study) -> None:
    for method, path in (("PUT", "clinical"), ("PUT", f"overrides/{LUNG_RADS}"),
                         ("DELETE", f"overrides/{LUNG_RADS}")):  # fmt: skip
        answer = site.client.request(method, f"{base(study)}/{path}", json={})
        assert answer.status_code == 403
    assert site.client.post(f"{page_of(study)}/clinical", data={"revision": 1}).status_code == 403
    assert site.client.post(f"{page_of(study)}/override", data={"revision": 1}).status_code == 403


def test_the_draft_is_taken_without_script(site: Site, study: Study) -> None:
    draft = site.client.get(f"{base(study)}/draft").json()
    assert draft["findings"][0]["zh"].startswith("左肺中部部分实性结节")
    assert site.form(f"{page_of(study)}/report", do="draft").status_code == 303
    taken = site.report(study).impression
    assert taken.startswith("1. Part-solid nodule") and "Lung-RADS 2022: 4B." in taken
    site.form(f"{page_of(study)}/report", do="draft", impression=taken)
    assert site.report(study).impression == taken  # not twice
    site.form(f"{page_of(study)}/report", do="draft-all", impression="Mine.")
    both = site.report(study).impression
    assert both.startswith("Mine.\n\nPart-solid nodule") and both.endswith(taken.splitlines()[-1])


def test_the_draft_follows_the_verdicts(site: Site, study: Study) -> None:
    site.decide(study, "rejected")
    draft = site.client.get(f"{base(study)}/draft").json()
    assert draft["impression"][0]["en"] == "No lung nodule is described."
    assert all(
        site.report(study).review_of(f).verdict is Verdict.REJECTED
        for f in site.report(study).findings
    )
