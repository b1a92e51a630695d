"""The SAR/APA template: every item of the consensus, filled in or left to the reader."""

from __future__ import annotations

import re
from typing import Any

import pytest

from imaging.finding import Finding
from imaging.guidelines.pancreas_template import (
    COMPLETE,
    Template,
    structured_report,
    template,
)
from imaging.guidelines.pancreas_tumour import staged
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import SAR_APA
from imaging.pancreatic import Attenuation, Part, Vessel

from .made_pancreas import free, lesion, pancreatic, vessel

ITEMS = {
    "morphology": ["appearance", "size", "place", "duct-cut-off", "duct-upstream", "bile-duct"],
    "superior-mesenteric-artery": ["contact", "haze", "contour", "extent"],
    "coeliac-axis": ["contact", "haze", "contour"],
    "common-hepatic-artery": ["contact", "haze", "contour", "extent"],
    "superior-mesenteric-vein": ["contact", "haze", "contour", "thrombus", "extent"],
    "portal-vein": ["contact", "haze", "contour", "thrombus"],
    "other-vessels": ["variant-artery", "large", "collaterals"],
    "beyond": ["liver", "nodes", "distant-nodes", "peritoneum", "ascites", "metastases"],
}
"""The items of the consensus, as keys."""


def made(reading: PancreasReading, *findings: Finding) -> Template:
    which = staged(findings or [pancreatic(1, lesion())], reading)
    assert which is not None
    return template(which)


def values(of: Template) -> dict[str, str | None]:
    return {
        f"{group.key}/{item.key}": None if item.value is None else item.value.en
        for group in of.groups
        for item in group.items
    }


def complete(**changes: Any) -> PancreasReading:
    """A reading that leaves nothing out."""
    vessels = [
        vessel(which, "none", hazy="none", thrombus=False, contour_irregular=False,
               extends_beyond=False)
        for which in Vessel
    ]  # fmt: skip
    rest: dict[str, Any] = {
        "vessels": vessels, "duct_dilated": True, "duct_cut_off": True, "bile_duct_dilated": False,
        "collaterals": False, "nodes_suspicious": False, "ascites": False,
    }  # fmt: skip
    return PancreasReading.model_validate(free().model_dump() | rest | changes)


def test_every_item_of_the_consensus_is_there() -> None:
    assert {g.key: [i.key for i in g.items] for g in made(PancreasReading()).groups} == ITEMS


def test_what_was_measured_is_filled_in_and_nothing_else() -> None:
    measured = lesion({Vessel.SMA: 92.4}, duct_upstream_mm=6.24, duct_cut_off=True)
    found = values(made(PancreasReading(), pancreatic(1, measured)))
    assert {name: value for name, value in found.items() if value is not None} == {
        "morphology/appearance": "hypoattenuating (measured), portal-venous phase",
        "morphology/size": "28.0 × 22.0 × 20.0 mm (measured)",
        "morphology/place": "head (measured)",
        "morphology/duct-cut-off": "yes (measured)",
        "morphology/duct-upstream": "6.2 mm (measured)",
        "superior-mesenteric-artery/contact": "contact of 92° (measured)",
    }
    assert all(f"beyond/{key}" in found for key in ITEMS["beyond"])


def test_a_finding_that_was_not_described_has_its_axes() -> None:
    found = values(made(PancreasReading(), pancreatic(3)))
    assert [name for name, value in found.items() if value is not None] == ["morphology/size"]
    assert found["morphology/size"] == "8.0 × 6.0 mm (measured)"


def test_the_reader_stands_before_the_measurement() -> None:
    measured = pancreatic(1, lesion(duct_upstream_mm=6.2, duct_cut_off=True))
    reading = PancreasReading(
        appearance="iso", part=Part.UNCINATE, duct_dilated=False, duct_cut_off=False
    )
    found = values(made(reading, measured))
    assert found["morphology/appearance"] == "isoattenuating (reader), portal-venous phase"
    assert found["morphology/place"] == "uncinate process (reader)"
    assert found["morphology/duct-upstream"] == "no (reader)"
    assert found["morphology/duct-cut-off"] == "no (reader)"


def test_a_free_vessel_is_not_asked_for_its_contour() -> None:
    free_sma = values(made(PancreasReading(vessels=(vessel(Vessel.SMA, "none"),))))
    assert "superior-mesenteric-artery/contour" not in free_sma
    assert "superior-mesenteric-artery/extent" not in free_sma
    assert free_sma["superior-mesenteric-artery/haze"] is None
    free_pv = values(made(PancreasReading(vessels=(vessel(Vessel.PV, "none"),))))
    assert free_pv["portal-vein/thrombus"] is None  # a bland thrombus needs no contact


def test_variants_and_other_words_are_kept() -> None:
    reading = PancreasReading(
        vessels=(vessel(Vessel.CHA, variant=" from the SMA "),), other="Duodenum infiltrated."
    )
    found = values(made(reading))
    assert found["common-hepatic-artery/variant"] == "from the SMA"
    assert found["beyond/other"] == "Duodenum infiltrated."


def test_blanks_are_left_to_the_reader() -> None:
    said = structured_report([pancreatic(1, lesion())], PancreasReading())
    assert said is not None
    assert (said.guideline, said.category, said.finding) == (SAR_APA, None, 1)
    assert said.recommendation.en.startswith(
        "To be filled in by the reader: tumour (main duct narrowed or cut off, main duct "
        "upstream dilated, bile duct cut off or dilated); superior mesenteric artery (contact, "
    )
    assert said.recommendation.zh.startswith("由医师填写：肿瘤（主胰管狭窄或截断、")
    assert len(said.missing) == len(ITEMS)
    assert "liver" in said.missing[-1].en and "suspicious regional nodes" in said.missing[-1].en


def test_a_complete_template() -> None:
    said = structured_report([pancreatic(1, lesion())], complete())
    assert said is not None
    assert (said.category, said.missing) == (COMPLETE, ())
    assert said.recommendation.en == "Every item is filled in."
    told = {i.name.en: i.value.en for i in said.inputs}
    assert told["beyond the pancreas, liver"] == "no lesions (reader)"
    assert told["portal vein, haze or stranding"] == "no contact (reader)"


@pytest.mark.parametrize("name", ["collaterals", "ascites", "bile_duct_dilated", "liver_lesions"])
def test_one_blank_makes_it_incomplete(name: str) -> None:
    said = structured_report([pancreatic(1, lesion())], complete(**{name: None}))
    assert said is not None and said.category is None and len(said.missing) == 1


def test_a_cystic_lesion_is_not_what_the_template_is_for() -> None:
    said = structured_report([pancreatic(1, lesion())], complete(appearance="cystic"))
    assert said is not None and said.category is None
    assert "the reader calls the lesion cystic" in said.missing[0].en
    fluid = lesion(attenuation=Attenuation.CYSTIC)
    said = structured_report([pancreatic(1, fluid)], complete())
    assert said is not None and said.category is None
    assert "because it measures as fluid does" in said.missing[0].en


def test_which_of_several_lesions_is_asked_first() -> None:
    several = [pancreatic(1, lesion()), pancreatic(2, lesion())]
    said = structured_report(several, complete())
    assert said is not None and said.category is None
    assert "which of findings 1, 2" in said.missing[0].en
    assert structured_report([], complete()) is None


@pytest.mark.parametrize("reading", [PancreasReading(), complete(), free(lesion=9)])
def test_everything_is_said_in_both_languages(reading: PancreasReading) -> None:
    for group in made(reading, pancreatic(1, lesion({Vessel.SMA: 200.0}))).groups:
        for text in (group.title, *(t for i in group.items for t in (i.label, i.value) if t)):
            assert text.en and not re.search("[\u4e00-\u9fff]", text.en)
            assert re.search("[\u4e00-\u9fff]", text.zh)
