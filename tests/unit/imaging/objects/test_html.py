"""The page says everything, in both languages, escapes everything and fetches nothing."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest

from imaging.language import Language
from imaging.notices import notice
from imaging.objects import render_report
from imaging.objects.html import LABELS, person_name
from imaging.report import FindingReview, Patient, Report, Signature, Stage, Verdict
from tests.unit.imaging.objects.made import make_study, two_findings

PNG = b"\x89PNG\r\n\x1a\nnot really"
SIGNED = datetime(2026, 2, 1, 9, 30, tzinfo=timezone(timedelta(hours=8)))


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self._style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._style = tag == "style"
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text += data + " "


def final(**changes: object) -> Report:
    signature = Signature(name="Li^Hua=李^华", organization="County Hospital", signed_at=SIGNED)
    return two_findings().report(**{"stage": Stage.FINAL, "signature": signature, **changes})


def test_everything_is_there_in_both_languages() -> None:
    warning = notice("thick-slices", found=2.5, limit=6)
    report = two_findings().report(warnings=(warning,), study_description="CT chest")
    text = Page(render_report(report, {})).text
    finding = report.findings[0]
    for words in (
        "Preliminary", "初步结果", "not verified by a physician", "未经医师核实",
        "Jane", "P1", "CT chest", "lung-nodules 1.2.3", warning.text.en, warning.text.zh,
        "Nodule", "结节", f"{finding.long_axis_mm:.1f} × {finding.short_axis_mm:.1f}", "0.88",
        "it is not a probability of cancer", "并非癌症概率",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("field", ["patient_name", "patient_id", "birth_date", "sex"])
def test_script_in_a_header_is_text(field: str) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    patient = Patient(**{field: evil})
    page = Page(
        render_report(
            final(
                patient=patient, study_description=evil, series_description=evil,
                accession_number=evil, impression=evil, study_date=evil,
                reviews=(FindingReview(tracking_uid=two_findings().findings[0].tracking_uid,
                                       text=evil),),
            ),
            {},
        )
    )  # fmt: skip
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.handlers == []
    assert "alert(1)" in page.text


def test_nothing_is_fetched() -> None:
    study = two_findings()
    images = {f.tracking_uid: PNG for f in study.findings}
    html = render_report(study.report(), images)
    page = Page(html)
    assert len(page.links) == 2
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"url\(|@import|https?://|<link|<script", html)


@pytest.mark.parametrize("language", list(Language))
def test_language_shown_first(language: Language) -> None:
    html = render_report(two_findings().report(), {}, language=language)
    assert f'<html lang="{language.value}">' in html
    checked = re.findall(r'id="pr-(\w+)"[^>]*\schecked', html)
    assert checked == [language.value]


def test_every_label_has_both_languages() -> None:
    for key, label in LABELS.items():
        assert label.en.isascii() or key in ("preliminary", "axes", "volume"), key
        assert re.search("[\u4e00-\u9fff]", label.zh), key


def test_final_names_the_reader_and_keeps_rejections_visible() -> None:
    kept, rejected = two_findings().findings
    html = render_report(
        final(
            impression="Nothing\nsuspicious",
            reviews=(
                FindingReview(tracking_uid=kept.tracking_uid, verdict=Verdict.ACCEPTED, text="Ok."),
                FindingReview(tracking_uid=rejected.tracking_uid, verdict=Verdict.REJECTED),
            ),
        ),
        {kept.tracking_uid: PNG, rejected.tracking_uid: PNG},
    )
    page = Page(html)
    for words in ("李华 (Li Hua)", "County Hospital", "2026-02-01 09:30 UTC+08:00", "Ok.",
                  "Nothing\nsuspicious", "Accepted", "Rejected by the reader"):  # fmt: skip
        assert words in page.text, words
    assert "Preliminary" not in page.text
    assert page.tags.count("img") == 1
    assert page.text.index("Rejected by the reader") < page.text.index("Limits")


def test_no_findings() -> None:
    page = Page(render_report(make_study().report(), {}))
    assert "The software marked no finding. This does not exclude disease." in page.text
    assert "table" not in page.tags


def test_fake_is_loud() -> None:
    report = two_findings().report()
    assert "Not for clinical use" not in Page(render_report(report, {})).text
    fake = report.model_copy(update={"fake": True})
    text = Page(render_report(fake, {})).text
    assert "Not for clinical use" in text
    assert "禁止临床使用" in text


def test_fragment_for_another_page() -> None:
    html = render_report(two_findings().report(), {}, standalone=False)
    assert "html" not in Page(html).tags
    assert "body" not in Page(html).tags
    assert html.strip().endswith("</article>")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Zhang^San", "Zhang San"),
        ("ZHANG^San=张^三", "张三 (ZHANG San)"),
        ("张^三", "张三"),
        ("=王^小东", "王小东"),
        ("Doe^Jane^^Dr", "Doe Jane Dr"),
        ("", ""),
    ],
)
def test_person_names(raw: str, shown: str) -> None:
    assert person_name(raw) == shown
