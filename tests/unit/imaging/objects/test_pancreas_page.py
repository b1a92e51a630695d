"""The pancreas in the report for people: card, chart, research places, urgent mark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from imaging.language import Language
from imaging.objects import render_report, render_slice
from imaging.objects.key_images import Circle
from imaging.objects.profile_chart import profile_chart
from imaging.pancreatic import ProfilePoint
from imaging.report import Report
from tests.described_pancreas import (
    gland,
    pancreatic_report,
    pancreatic_study,
    place,
    profile,
    urgent,
)
from tests.unit.imaging.objects.made import two_findings
from tests.unit.imaging.objects.test_html import Page
from tests.unit.imaging.objects.test_key_images import pixels


def report(**changes: object) -> Report:
    study = pancreatic_study()
    return pancreatic_report(study, **changes)


def words(made: Report) -> str:
    return re.sub(r"\s+", " ", Page(render_report(made, {})).text)


def test_gland_lesion_and_limits_are_told_in_both_languages() -> None:
    text = words(report())
    for part in (
        "71.3 ml", "slices of 5.0 mm: a duct below 3 mm may be missed", "层厚 5.0 mm",
        "up to 7.4 mm, dilated, cut off in the neck", "最宽 7.4 mm，扩张，于胰颈处截断",
        "contact of 120° over 9.0 mm", "left to the reader", "由医师判断",
        "Hypoattenuating lesion in the head of the pancreas", "NCCN resectability",
    ):  # fmt: skip
        assert part in text, part
    assert "Research grade" not in text and "Urgent" not in text


def test_research_places_never_stand_without_their_label() -> None:
    uid = report().structures[0].tracking_uid
    shown = words(report(gland=gland(uid, places=(place(),), places_shown=True)))
    label = shown.index("Research grade: where to look, no finding")
    assert label < shown.index("−32 HU against the parenchyma")
    assert "研究级：仅提示留意部位，并非所见" in shown
    nothing = words(report(gland=gland(uid, places_shown=True)))
    assert "That excludes nothing." in nothing and "不能排除病变" in nothing


def test_the_urgent_mark_stands_first_and_says_why() -> None:
    made = report()
    text = words(made.model_copy(update={"urgency": urgent(made.findings[0])}))
    assert text.index("Urgent") < text.index("Preliminary")
    assert "A priority for reading, no diagnosis." in text


def test_a_report_without_a_gland_has_no_such_card() -> None:
    assert "Pancreas" not in words(two_findings().report())


def drawn(
    points: tuple[ProfilePoint, ...], language: Language | None = None
) -> ElementTree.Element:
    return ElementTree.fromstring(str(profile_chart(points, language)))


def test_the_chart_draws_thickness_whole_and_the_duct_where_it_was_seen() -> None:
    points = profile()
    thickness, duct = (p.attrib["d"] for p in drawn(points).iter("path") if "M" in p.attrib["d"]
                       and p.attrib["d"].count(" L") > 2)  # fmt: skip
    assert thickness.count("M") == 1 and thickness.count(" L") == len(points) - 1
    seen = sum(p.duct_mm is not None for p in points)
    assert duct.count(" L") == seen - 1
    broken = [p.model_copy(update={"duct_mm": None}) if n == 15 else p
              for n, p in enumerate(points)]  # fmt: skip
    paths = [p.attrib["d"] for p in drawn(tuple(broken)).iter("path")]
    assert any(d.count("M") == 2 for d in paths)


def test_the_chart_keeps_its_scale() -> None:
    """Twice the thickness stands twice as high above the axis."""
    one, two = (profile()[n].model_copy(update={"thickness_mm": t, "duct_mm": None})
                for n, t in ((0, 10.0), (5, 20.0)))  # fmt: skip
    line = next(p for p in drawn((one, two)).iter("path"))
    (_, y0), (_, y1) = [
        tuple(map(float, pair.split())) for pair in line.attrib["d"][1:].split(" L")
    ]
    bottom = 172
    assert (bottom - y1) == pytest.approx(2 * (bottom - y0), abs=0.2)


def test_the_chart_speaks_one_language_or_marks_both() -> None:
    def languages(language: Language | None) -> set[str]:
        return {t.attrib["lang"] for t in drawn(profile(), language).iter("text")
                if "lang" in t.attrib}  # fmt: skip

    assert languages(None) == {"en", "zh"}
    assert languages(Language.ZH) == {"zh"}


def test_too_short_a_line_has_no_chart() -> None:
    assert profile_chart(profile()[:1]) == ""


def test_a_place_is_ringed_on_the_slices_it_meets_and_without_colour() -> None:
    study = two_findings()
    grid = study.volume.grid
    centre = tuple(float(v) for v in grid.to_lps((4, 12, 10)))
    circle = Circle(centre, 3.0)  # type: ignore[arg-type]
    for k, meets in ((4, True), (5, True), (7, False)):
        bare = pixels(render_slice(study.volume, k))
        ringed = pixels(render_slice(study.volume, k, circles=[circle]))
        changed = np.abs(bare - ringed).max(axis=-1) > 60
        assert changed.any() == meets
        if meets:
            assert np.ptp(ringed[changed], axis=-1).max() < 40
