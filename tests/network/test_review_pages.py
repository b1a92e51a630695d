"""What the page and its JSON API show and do, over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imaging.language import Language, Text
from imaging.notices import notice
from imaging.report import FindingReview
from pacs_bridge.priors.ledger import Ledger
from pacs_bridge.review.labels import LABELS
from pacs_bridge.states import State
from pacs_bridge.store import Instance, Study
from pacs_bridge.waits import Waits
from tests.network.review_samples import add, fill, supersede
from tests.network.review_site import Site, first, make_site, page_of

# the worklist ----------------------------------------------------------------------------


def test_the_worklist_shows_every_study_with_state_flag_and_reason(site: Site) -> None:
    studies = fill(site.store)
    page = site.client.get("/").text
    for study in studies.values():
        assert f'href="/studies/{study.study_uid}"' in page
    assert "张三 · ZHANG SAN" in page
    assert "JPEG 2000 stream of image 17 is damaged" in page
    assert page.count('<span class="badge awaiting-signature">') == 2
    row = page.split(f'data-study="{studies["open"].study_uid}"')[1].split("</tr>")[0]
    assert '<span class="count">3</span>' in row
    assert "2026-11-20" in row and '<td class="num">3</td>' in row


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=person", {"open", "clear", "failed", "refused"}),
        ("state=awaiting-signature", {"open", "clear"}),
        ("state=working", {"analysing", "receiving"}),
        ("state=flagged", {"open", "final"}),
        ("state=final", {"final"}),
        ("q=müller", {"failed"}),
        ("q=张三", {"open"}),
        ("q=P00012", {"clear"}),
        ("q=A26-0015", {"analysing"}),
        ("q=chest+zhang", {"open"}),
        ("state=failed&q=zhang", set()),
    ],
)
def test_filter_and_search(site: Site, query: str, names: set[str]) -> None:
    studies = fill(site.store)
    for page in (site.client.get(f"/?{query}").text, site.client.get(f"/worklist?{query}").text):
        shown = set(re.findall(r'data-study="([^"]+)"', page))
        assert shown == {studies[name].study_uid for name in names}
    listed = site.client.get(f"/api/worklist?{query}").json()
    assert {row["study_uid"] for row in listed} == shown


def test_an_empty_worklist_says_how_to_send(tmp_path: Path) -> None:
    site = make_site(tmp_path, listener={"ae_title": "READER7", "port": 10477})
    page = site.client.get("/").text
    assert "READER7" in page and "10477" in page and "storescu -aec READER7" in page
    add(site.store, 1)
    assert "storescu" not in site.client.get("/").text


# a study ---------------------------------------------------------------------------------


def test_a_study_shows_its_findings_warnings_plan_and_deliveries(site: Site) -> None:
    page = site.client.get(page_of(add(site.store, 1))).text
    assert "14.2 × 11.4 mm" in page and "959 mm³" in page and "0.94" in page
    assert "39 / 120" in page
    assert "reference weights for research" in page
    assert "a localizer (scout), not a volume" in page and "CHEST 5 mm SOFT" in page
    assert "the PACS counts 182 images" in page
    assert "no connection" in page and 'data-role="retry"' in page
    assert page.count('class="accept"') == 3 and 'id="sign-button"' in page


@pytest.mark.parametrize("kept", ["{", '{"verdicts": [{"notices": [{"code": 1}]}]}', "[]", '"x"'])
def test_a_plan_that_cannot_be_read_does_not_hide_the_study(site: Site, kept: str) -> None:
    study = add(site.store, 1)
    site.store.set_plan(study.study_uid, 1, kept)
    answer = site.client.get(page_of(study))
    assert answer.status_code == 200
    assert LABELS["plan-damaged"].en.replace("'", "&#39;") in answer.text


@pytest.mark.parametrize("name", ["failed", "refused"])
def test_a_study_without_a_read_says_why(site: Site, name: str) -> None:
    study = fill(site.store)[name]
    page = site.client.get(page_of(study)).text
    why = page.split('id="why"')[1].split("</div>")[0]
    assert site.store.reading(study.study_uid).reason.en in why
    assert 'id="sign-button"' not in page


@pytest.mark.parametrize("name", ["failed", "refused"])
def test_what_came_to_nothing_can_be_begun_again(site: Site, name: str) -> None:
    study = fill(site.store)[name]
    assert 'id="begin-again"' in site.client.get(page_of(study)).text
    assert site.form(f"{page_of(study)}/again").status_code == 303
    assert site.store.reading(study.study_uid).state is State.PLANNING
    assert "begun-again" in [e.what for e in site.store.events_of(study.study_uid)]
    assert site.form(f"{page_of(study)}/again").status_code == 409
    assert 'id="begin-again"' not in site.client.get(page_of(study)).text


def test_a_study_that_is_still_coming_in_has_a_page(site: Site) -> None:
    page = site.client.get(page_of(add(site.store, 1, state=State.RECEIVING)))
    assert page.status_code == 200 and "Nothing to review yet" in page.text


def test_a_study_fetched_to_compare_with_is_read_when_asked_for(site: Site) -> None:
    study = Study("1.2.77", "P7", "Wang^Wu", study_date="20250110", description="CT chest")
    Ledger(site.store).expect(study.study_uid, "1.2.78", "PACS", 60)
    image = Instance(
        study.study_uid, "1.2.77.1", "1.2.77.1.1", "1.2.840.10008.5.1.4.1.1.2", Path("1.dcm"),
        "a", 512, "PACS",
    )  # fmt: skip
    site.store.record_instance(image, study, fetched=True)
    assert "Wang" not in site.client.get("/").text
    assert "Wang" in site.client.get("/?state=prior").text
    page = site.client.get(page_of(study)).text
    assert LABELS["prior-note"].en in page and 'id="begin-again"' in page
    assert site.form(f"{page_of(study)}/again", revision=0).status_code == 303
    assert site.store.unread_studies() == [study.study_uid]
    assert "Wang" in site.client.get("/").text
    assert 'id="begin-again"' not in site.client.get(page_of(study)).text
    assert site.form(f"{page_of(study)}/again", revision=0).status_code == 409


def test_a_superseded_revision_is_for_looking_only(site: Site) -> None:
    study = add(site.store, 1)
    supersede(site.store, study)
    old = site.client.get(page_of(study), params={"revision": 1}).text
    assert "Late images made a newer revision" in old and "Go to revision 2" in old
    assert 'id="sign-button"' not in old and 'class="accept"' not in old
    assert "14.2 × 11.4 mm" in old
    newest = site.client.get(page_of(study)).text
    assert newest.count("14.2 × 11.4 mm") == 0
    # Both stand beside each other, on either's page.
    for page in (old, newest):
        assert 'data-revision="1"' in page and 'data-revision="2"' in page
        assert "supersedes revision 1" in page
        assert "superseded by late images: revision 2" in page
    assert 'id="superseded"' in old and 'id="supersedes"' not in old
    assert 'id="superseded"' not in newest and "1 late image(s) made this revision" in newest
    assert f'href="{page_of(study)}?revision=1"' in newest


def test_a_signed_revision_that_late_images_superseded_is_named_so(site: Site) -> None:
    study = add(site.store, 1, "LI^WEI=李^伟", State.FINAL)
    supersede(site.store, study)
    site.store.set_state(study.study_uid, 2, State.NOT_ANALYSED, Text(en="too thick", zh="过厚"))
    old = site.client.get(page_of(study), params={"revision": 1}).text
    assert "This signed report is superseded" in old and "Go to revision 2" in old
    assert site.store.reading(study.study_uid, 1).state is State.FINAL
    newest = site.client.get(page_of(study)).text
    note = newest.partition('id="supersedes"')[2].partition("</div>")[0]
    assert "signed by" in note and "3 finding(s)" in note and "?revision=1" in note
    panel = newest.partition('id="revisions"')[2]
    assert "no report: too thick" in panel and "superseded by late images: revision 2" in panel
    chinese = site.client.get(page_of(study), headers={"Accept-Language": "zh-CN"}).text
    assert "签署" in chinese.partition('id="supersedes"')[2].partition("</div>")[0]


def test_what_a_study_waits_for_is_shown(site: Site) -> None:
    study = add(site.store, 1)
    assert 'id="waiting"' not in site.client.get(page_of(study)).text
    why = Text(en="PACS P counts 9 images, 8 are held", zh="PACS P 计 9 幅图像，已收到 8 幅")
    Waits(site.store).keep(study.study_uid, why)
    for path in (page_of(study), "/", "/worklist"):
        assert f"Waiting for more images: {why.en}" in site.client.get(path).text
    chinese = site.client.get("/", headers={"Accept-Language": "zh-CN"}).text
    assert f"等待更多图像：{why.zh}" in chinese
    (row,) = site.client.get("/api/worklist").json()
    one = site.client.get(f"/api/studies/{study.study_uid}").json()
    assert row["waiting"] == one["waiting"] == {"en": why.en, "zh": why.zh}
    Waits(site.store).forget(study.study_uid)
    assert "Waiting for more images" not in site.client.get("/").text
    assert site.client.get("/api/worklist").json()[0]["waiting"] is None


def test_a_signed_study_says_by_whom_and_takes_no_more(site: Site) -> None:
    study = add(site.store, 1, state=State.FINAL)
    page = site.client.get(page_of(study)).text
    assert "Verified by 陈丽 · Chen Li, County Hospital" in page
    assert "2026-11-21T08:30:00+00:00" in page or "2026-11-21" in page
    assert "Solid nodule, follow up." in page and 'id="sign-button"' not in page


@pytest.mark.parametrize("path", ["/studies/1.2.3", "/api/studies/1.2.3", "/nothing", "/studies/"])
def test_what_is_not_there(site: Site, path: str) -> None:
    assert site.client.get(path).status_code == 404


def test_text_from_images_is_never_markup(site: Site) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    study = add(site.store, 1, name=evil)
    site.store.save_impression(study.study_uid, 1, "</script><b>x</b>", "zhang")
    site.store.save_review(
        study.study_uid, 1, FindingReview(tracking_uid=first(study), text="</textarea><i>"), "z"
    )
    reason = Text(en=f"r {evil}", zh=evil)
    bad = add(site.store, 2, name=evil, state=State.FAILED, reason=reason)
    for path in ("/", "/worklist", page_of(study), page_of(bad)):
        page = site.client.get(path).text
        assert "<script>alert" not in page and "<img src=x" not in page
        assert "</script><b>" not in page and "</textarea><i>" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_a_stand_in_model_is_stamped(site: Site) -> None:
    study = add(site.store, 1, fake=True, warnings=(notice("fake-model"),))
    assert "NOT FOR CLINICAL USE" in site.client.get(page_of(study)).text


# pictures and files ----------------------------------------------------------------------


def test_pictures_are_png_and_outlines_can_be_left_off(site: Site) -> None:
    study = add(site.store, 1)
    key = site.client.get(f"{page_of(study)}/findings/{first(study)}/image.png?revision=1")
    with_outlines = site.client.get(f"{page_of(study)}/slices/38.png?revision=1&outlines=true")
    without = site.client.get(f"{page_of(study)}/slices/38.png?revision=1&outlines=false")
    for answer in (key, with_outlines, without):
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    assert with_outlines.content != without.content


@pytest.mark.parametrize(
    "path",
    ["slices/120.png?revision=1", "slices/-1.png?revision=1", "slices/0.png?revision=9",
     "findings/1.2.3/image.png?revision=1"],
)  # fmt: skip
def test_a_picture_that_is_not_there(site: Site, path: str) -> None:
    study = add(site.store, 1)
    assert site.client.get(f"{page_of(study)}/{path}").status_code == 404


def test_files_are_handed_out_and_recorded(site: Site) -> None:
    study = add(site.store, 1)
    for kind, media, name in (
        ("SR", "application/dicom", "SR-{}-1.dcm"), ("GSPS", "application/dicom", "GSPS-{}-1.dcm"),
        ("SC", "application/zip", "SC-{}-1.zip"), ("PDF", "application/dicom", "PDF-{}-1.dcm"),
        ("report.pdf", "application/pdf", "report-{}-1.pdf"),
        ("findings.json", "application/json", ""),
    ):  # fmt: skip
        answer = site.client.get(f"{page_of(study)}/files/{kind}?revision=1")
        assert answer.headers["content-type"] == media and kind in answer.text
        kept = answer.headers.get("content-disposition", "")
        assert kept == (name and f'attachment; filename="{name.format(study.study_uid)}"')
    html = site.client.get(f"{page_of(study)}/files/report.html?revision=1")
    assert "sandbox" in html.headers["content-security-policy"]
    assert [what for what, _ in site.happened()].count("file-taken") == 7
    assert site.client.get(f"{page_of(study)}/files/passwd?revision=1").status_code == 422


# language --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "shown"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en-GB", "en"), ("de,zh;q=0.3,en;q=0.4", "en"),
     ("de", "zh-CN"), ("", "zh-CN"), ("zh;q=x", "zh-CN")],
)  # fmt: skip
def test_the_browser_chooses_the_language_else_the_site(
    tmp_path: Path, accept: str, shown: str
) -> None:
    site = make_site(tmp_path, review={"language": "zh"})
    page = site.browser(**{"accept-language": accept}).get("/").text
    assert f'<html lang="{shown}">' in page


def test_a_chosen_language_stays(site: Site) -> None:
    study = add(site.store, 1)
    answer = site.form("/language", language="zh", next=page_of(study))
    assert answer.status_code == 303 and answer.headers["location"] == page_of(study)
    page = site.client.get(page_of(study)).text
    assert "工作列表" in page and "接受" in page and "定位像" in page
    assert "Accept <kbd>" not in page


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example/", "/\\evil", "x"])
def test_nobody_is_sent_elsewhere(site: Site, elsewhere: str) -> None:
    answer = site.form("/language", language="zh", next=elsewhere)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("language", list(Language))
def test_no_page_leaves_a_blank_unfilled(site: Site, language: Language) -> None:
    studies = fill(site.store)
    site.client.cookies.set("preread_language", language)
    for path in ("/", *map(page_of, studies.values())):
        page = site.client.get(path).text.split('<script type="application/json"')[0]
        assert not re.search(r"{\w+}", page)
