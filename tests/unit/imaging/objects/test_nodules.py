"""A nodule's character, its change and the guidelines reach SR and page, coded where codes are."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from imaging.language import Language
from imaging.nodule import Lobe, Margin, NoduleType
from imaging.objects import nodule_codes, render_report
from imaging.objects.guidance import category_code
from imaging.priors.values import Change
from imaging.report import Report
from tests import described as d
from tests.unit.imaging.objects.made import Study, two_findings
from tests.unit.imaging.objects.test_html import Page
from tests.unit.imaging.objects.test_sr import groups, items, made, texts


def full(study: Study, **changes: object) -> Report:
    report = study.report()
    first, second = d.described(report.findings, d.nodule(), d.part_solid())
    values = {
        "findings": (first, second),
        "guidance": (d.LUNG_RADS, d.FLEISCHNER),
        "comparisons": (d.comparison(d.grown(first), d.changed(second, Change.NEW)),),
    }
    return report.model_copy(update=values | changes)


def numbers(group: Dataset, code: str) -> dict[tuple[str, ...], tuple[float, str]]:
    """The NUM items of that concept: value and unit, by their modifiers' codes."""
    found = {}
    for item in items(group, code):
        modifiers = tuple(
            child.ConceptCodeSequence[0].CodeValue
            for child in item.get("ContentSequence", [])
            if child.ValueType == "CODE"
        )
        value = item.MeasuredValueSequence[0]
        unit = value.MeasurementUnitsCodeSequence[0].CodeValue
        found[modifiers] = (float(value.NumericValue), unit)
    return found


def coded(parent: Dataset, concept: str) -> list[str]:
    return [item.ConceptCodeSequence[0].CodeValue for item in items(parent, concept)]


def evaluations(sr: Dataset) -> Dataset:
    (container,) = items(sr, "C0034375")
    return container


def test_what_is_measured_of_a_nodule_stands_in_its_group() -> None:
    study = two_findings()
    sr = made(study, full(study))
    solid, part = groups(sr, "1411")
    assert numbers(solid, "118538004") == {(): (201.0, "mg")}
    assert numbers(solid, "QCFX") == {(): (0.84, "1")}
    density = numbers(solid, "112031")
    assert density[("373099004",)] == (-12.0, "[hnsf'U]")
    assert density[("386136009",)] == (133.0, "[hnsf'U]")
    assert density[("371888009",)][0] == -402.0 and density[("371889001",)][0] == 61.0
    assert numbers(solid, "121206") == {("3120008",): (4.2, "mm"), ("278983006",): (6.3, "mm")}
    assert numbers(solid, "131187009") == {("81654009",): (9.1, "mm")}  # coronal
    assert numbers(part, "131187009") == {("RID50154",): (5.6, "mm")}  # of the solid part
    assert numbers(part, "81827009") == {("373098007", "RID50154"): (5.1, "mm")}
    planar = groups(sr, "1410")[0]
    assert numbers(planar, "81827009") == {("373098007",): (7.6, "mm")}


def test_the_volume_has_its_interval() -> None:
    study = two_findings()
    (volume,) = items(groups(made(study, full(study)), "1411")[0], "118565006")
    around = {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in volume.ContentSequence
    }
    assert around == {"371886008": 45.0, "371885007": 38.0}
    assert all(item.RelationshipType == "HAS PROPERTIES" for item in volume.ContentSequence)


def test_the_site_is_the_lobe_or_the_side_alone() -> None:
    study = two_findings()
    solid, part = groups(made(study, full(study)), "1411")
    (lobe,), (zone,) = items(solid, "363698007"), items(part, "363698007")
    assert lobe.ConceptCodeSequence[0].CodeValue == "42400003"
    assert coded(lobe, "106233006") == ["68599007"] and coded(lobe, "272741003") == []
    assert zone.ConceptCodeSequence[0].CodeValue == "281393007"
    assert coded(zone, "272741003") == ["7771000"] and coded(zone, "106233006") == []


def test_composition_margin_and_change_are_coded() -> None:
    study = two_findings()
    solid, part = groups(made(study, full(study)), "1411")
    assert coded(solid, "RID39409") == ["RID50151"] and coded(part, "RID39409") == ["RID50152"]
    assert coded(solid, "RID5972") == ["RID5714"] and coded(part, "RID5972") == ["MIRREG"]
    assert coded(solid, "111049") == ["15454001"] and coded(part, "111049") == ["129721008"]
    assert numbers(solid, "442714003") == {(): (1.55, "mm")}
    assert numbers(solid, "RVC") == {(): (111.9, "%")}
    assert numbers(solid, "VDT") == {(): (190.0, "d")}
    assert numbers(part, "VDT") == {}


def test_every_value_has_a_code() -> None:
    assert set(nodule_codes.TYPES) == set(NoduleType)
    assert set(nodule_codes.MARGINS) == set(Margin)
    assert set(nodule_codes.LOBES) == set(Lobe)
    assert set(nodule_codes.CHANGES) == set(Change) - {Change.RESOLVED, Change.UNMATCHED}


def test_a_hint_is_named_and_only_brocks_is_called_a_probability_of_cancer() -> None:
    study = two_findings()
    solid, part = groups(made(study, full(study)), "1411")
    assert numbers(solid, "111047") == {(): (7.8, "%")}
    assert numbers(solid, "122157") == {(): (41.0, "%")}
    (brock,) = items(solid, "111047")
    assert items(brock, "111001")[0].TextValue == "brock"
    assert [i.TextValue for i in items(brock, "111002")][:1] == ["age, years = 68"]
    told = " ".join(texts(solid))
    assert "a probability of cancer, not a diagnosis" in told and "no pathology" in told
    assert numbers(part, "111047") == {}  # not computed
    assert "not computed: age; emphysema" in " ".join(texts(part))


@pytest.mark.parametrize("language", list(Language))
def test_the_draft_sentence_stands_in_the_group(language: Language) -> None:
    study = two_findings()
    group = groups(made(study, full(study), language=language), "1411")[0]
    told = list(texts(group))
    wanted = {Language.EN: "Solid nodule in the right upper lobe", Language.ZH: "右肺上叶实性结节"}
    assert any(text.startswith(wanted[language]) for text in told)


def test_the_category_is_coded_with_what_to_do() -> None:
    study = two_findings()
    container = evaluations(made(study, full(study)))
    (category,) = items(container, "RID50134")
    assert category.ConceptCodeSequence[0].CodeValue == "RID50139"
    assert items(category, "121075")[0].TextValue == "Low-dose CT in 3 months."
    assert "mean diameter (1): 7.6 mm" in items(category, "121106")[0].TextValue
    told = list(texts(container))
    assert "Fleischner 2017: Cannot be given." in told
    assert any(t.startswith("Compared with 2025-03-02 (206 days earlier): 1 grown") for t in told)


def test_the_readers_category_comes_first_with_their_name() -> None:
    study = two_findings()
    container = evaluations(made(study, full(study, overrides=(d.OVERRIDE,))))
    own, computed = items(container, "RID50134")
    assert own.ConceptCodeSequence[0].CodeValue == "RID50138"
    assert items(own, "121008")[0].PersonName == "Zhang^San"
    assert "in place of the computed 4A" in items(own, "121106")[0].TextValue
    assert computed.ConceptCodeSequence[0].CodeValue == "RID50139"


@pytest.mark.parametrize(
    ("guideline", "category", "code"),
    [
        ("Lung-RADS 2022", "4X", "RID50141"), ("Lung-RADS 2022", "2S", "RID50137"),
        ("Lung-RADS 2022", "0", "RID50135"), ("Fleischner 2017", "2", None),
    ],
)  # fmt: skip
def test_codes_of_categories(guideline: str, category: str, code: str | None) -> None:
    found = category_code(guideline, category)
    assert (found.value if found else None) == code


def test_the_page_shows_character_guidance_and_comparison_in_both_languages() -> None:
    study = two_findings()
    page = Page(render_report(full(study, overrides=(d.OVERRIDE,)), {}))
    for words in (
        "Solid nodule", "实性结节", "right upper lobe", "右肺上叶", "176 – 259", "mean 7.6 mm",
        "9.1 × 7.0 mm", "92 % of it above", "percentiles 5, 25, 75, 95", "subpleural",
        "41 % (95 %: 28 % – 56 %)", "not a diagnosis", "Low-dose CT in 3 months.",
        "3 个月后复查低剂量 CT。", "Scar, unchanged on outside CT.", "Grown +1.6 mm",
        "doubling time 190 days", "倍增时间 190 天", "No longer seen", "已消失", "Cannot be given.",
    ):  # fmt: skip
        assert words in page.text, words
    assert page.text.index("Guidelines") < page.text.index("Findings")


def test_reports_before_nodules_were_described_still_open() -> None:
    for version in ("1.0", "1.1"):
        old = two_findings().report(schema_version=version).model_dump(mode="json")
        for finding in old["findings"]:
            del finding["nodule"]
        for field in ("clinical", "guidance", "overrides", "comparisons"):
            del old[field]
        page = Page(render_report(Report.model_validate(old), {}))
        assert "Nodule" in page.text and "Guidelines" not in page.text
