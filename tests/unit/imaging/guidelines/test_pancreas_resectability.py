"""The NCCN's category of a whole case: what decides, and what is missing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from imaging.guidelines.pancreas_resectability import resectability
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import NCCN, Guidance
from imaging.pancreatic import Attenuation, Part, Vessel

from .made_pancreas import PLAIN, free, lesion, pancreatic, vessel
from .made_pancreas import resectability_of as of

SMA, CA, CHA, SMV, PV = Vessel.SMA, Vessel.COELIAC, Vessel.CHA, Vessel.SMV, Vessel.PV
NOTHING = PancreasReading()
NO_METASTASIS: dict[str, Any] = {
    "liver_lesions": "none",
    "distant_nodes": False,
    "peritoneal": False,
    "other_metastases": False,
}


def value(said: Guidance, name: str) -> str:
    (found,) = [i.value.en for i in said.inputs if i.name.en == name]
    return found


def test_no_lesion_no_guidance() -> None:
    assert resectability([], free()) is None


def test_where_nothing_is_said_everything_is_asked_for() -> None:
    said = of(NOTHING)
    assert (said.guideline, said.category, said.finding) == (NCCN, None, 1)
    asked = " ".join(text.en for text in said.missing)
    for name in (
        "superior mesenteric artery", "coeliac axis", "common hepatic artery",
        "superior mesenteric vein", "portal vein", "aorta or vena cava", "variant hepatic artery",
        "the liver", "nodes beyond", "peritoneum", "other organs",
    ):  # fmt: skip
        assert name in asked
    assert said.recommendation.en.startswith("Cannot be assigned, because how far the lesion")
    assert said.recommendation.en.endswith("Possible so far: resectable to metastatic.")
    assert said.recommendation.zh.endswith("目前可能：可切除至合并远处转移。")


def test_a_finding_that_was_not_described_can_be_staged_by_the_reader() -> None:
    assert of(free(part=Part.HEAD), pancreatic(4)).category == "resectable"
    assert of(free(), pancreatic(4)).category == "resectable"  # the part changes nothing
    encased = free(vessel(CA, "over-180"))
    said = of(encased, pancreatic(4))
    assert said.category is None
    assert [text.en for text in said.missing] == [
        "whether the lesion counts to the head or to the body is not known"
    ]


def test_measured_contact_counts_and_the_rest_is_asked_for() -> None:
    measured = pancreatic(1, lesion({SMA: 92.4, CA: 0.0, CHA: 0.3, SMV: 40.0, PV: 0.0}))
    said = of(free().of_the_patient.model_copy(update=NO_METASTASIS), measured)
    assert said.category is None
    assert value(said, "Superior mesenteric artery") == "contact of 92° (measured)"
    assert value(said, "Common hepatic artery") == "no contact (measured)"
    assert [text.en for text in said.missing] == [
        "whether the contour of the superior mesenteric vein is irregular is not said",
        "whether there is thrombosis or occlusion of the superior mesenteric vein and portal vein "
        "is not said",
        "whether the superior mesenteric vein and portal vein can be reconstructed is not said",
        "whether aorta or vena cava is touched is not said",
    ]
    veins = [vessel(v, contour_irregular=False, thrombus=False) for v in (SMV, PV)]
    rest = {"vessels": veins, "aorta_or_ivc_contact": "none", **NO_METASTASIS}
    said = of(PancreasReading.model_validate(rest), measured)
    assert said.category == "borderline resectable"
    assert "contact with the SMA of 180° or less" in said.rule.en
    assert "The category is the same whatever is not known" in said.rule.en
    assert [text.en for text in said.missing] == [
        "whether a variant hepatic artery is touched is not said"
    ]


def test_a_measured_contact_near_a_limit_needs_the_reader() -> None:
    near = pancreatic(1, lesion({SMA: 172.0}))
    said = of(free(vessel(SMA)), near)
    assert said.category is None
    assert [text.en for text in said.missing] == [
        "the contact measured with the superior mesenteric artery lies too near a limit (0° or "
        "180°) to count without the reader's word"
    ]
    assert "Possible so far: borderline resectable to locally advanced." in said.recommendation.en
    assert value(said, "Superior mesenteric artery") == "contact of 172° (measured)"
    assert of(free(vessel(SMA, "up-to-180")), near).category == "borderline resectable"
    low = pancreatic(1, lesion({SMA: 12.0}))
    assert "resectable to borderline" in of(free(vessel(SMA)), low).recommendation.en
    # where another contact decides, the doubt changes nothing
    encased = free(vessel(SMA), vessel(CA, "over-180"))
    assert of(encased, near).category == "locally advanced"


def test_the_reader_stands_before_the_measurement_and_both_are_told() -> None:
    measured = pancreatic(1, lesion({SMA: 200.0}))
    said = of(free(), measured)
    assert said.category == "resectable"
    told = value(said, "Superior mesenteric artery")
    assert told.startswith("no contact (reader; measured: contact of 200°)")
    (chinese,) = [i.value.zh for i in said.inputs if i.name.zh == "肠系膜上动脉"]
    assert chinese.startswith("无接触（医师填写；测量所得：接触 200°）")


def test_contact_measured_on_a_plain_ct_does_not_count() -> None:
    measured = pancreatic(1, lesion({SMA: 200.0}, phase=PLAIN))
    reading = free(vessel(SMA))
    said = of(reading, measured)
    assert said.category is None
    assert "superior mesenteric artery is neither measured" in said.missing[0].en
    assert "unenhanced CT do not count" in said.rule.en
    assert of(free(vessel(SMA, "over-180")), measured).category == "locally advanced"


def test_without_a_reader_nothing_is_resectable() -> None:
    """Liver, nodes, peritoneum and other organs are never assumed."""
    untouched = lesion(dict.fromkeys(Vessel, 0.0))
    said = of(NOTHING, pancreatic(1, untouched))
    assert said.category is None
    for name in NO_METASTASIS:
        but_one = free().model_copy(update={name: None})
        assert of(but_one, pancreatic(1, untouched)).category is None
        assert "is not said by the reader" in of(but_one).missing[-1].en


def test_indeterminate_liver_lesions_leave_it_open_but_the_vessels_speak() -> None:
    said = of(free(liver_lesions="indeterminate"))
    assert said.category is None
    assert [text.en for text in said.missing] == ["the liver lesions are indeterminate"]
    assert "By the vessels alone: resectable." in said.recommendation.en
    assert "仅就血管而言：可切除。" in said.recommendation.zh
    assert of(free(liver_lesions="likely-benign")).category == "resectable"


def test_a_metastasis_needs_nothing_else() -> None:
    said = of(PancreasReading(peritoneal=True))
    assert said.category == "metastatic"
    assert "By imaging, not proven" in said.rule.en
    assert said.missing != ()


def test_regional_nodes_and_ascites_decide_nothing() -> None:
    assert of(free(nodes_suspicious=True, ascites=True, collaterals=True)).category == "resectable"


def test_haze_is_no_contact() -> None:
    hazy = free(vessel(SMA, "none", hazy="over-180"))
    assert of(hazy).category == "resectable"


def test_the_neck_is_asked_for_only_where_its_side_matters() -> None:
    neck = pancreatic(1, lesion(part=Part.NECK))
    assert of(free(vessel(SMA, "up-to-180")), neck).category == "borderline resectable"
    said = of(free(vessel(CA, "over-180")), neck)
    assert said.category is None and "head or to the body" in said.missing[0].en
    said = of(free(vessel(CA, "over-180"), part=Part.TAIL), neck)
    assert said.category == "borderline resectable"
    assert value(said, "Part") == "tail (reader)"


def test_one_answer_of_two_says_whether_a_vein_is_blocked() -> None:
    for name in ("occluded", "thrombus"):
        said = of(free(vessel(PV, "none", **{name: False})))
        assert said.category == "resectable"
    said = of(free(vessel(PV, "none")))
    assert said.category is None
    assert said.missing[0].en == (
        "whether there is thrombosis or occlusion of the portal vein is not said"
    )


def test_the_cha_is_asked_how_far_and_whether_it_can_be_rebuilt() -> None:
    said = of(free(vessel(CHA, "up-to-180")))
    assert said.category is None
    assert [text.en for text in said.missing] == [
        "whether the common hepatic artery can be reconstructed is not said",
        "whether the contact with the common hepatic artery reaches the coeliac axis or the "
        "bifurcation is not said",
    ]
    assert of(free(vessel(CHA, "up-to-180", extends_beyond=True))).category == "locally advanced"


def test_at_the_least_is_said_where_a_vein_is_open() -> None:
    said = of(free(vessel(SMV, "over-180")))
    assert said.category is None
    assert said.rule.en.startswith("At the least: contact with SMV or portal vein of more than")
    assert said.rule.zh.startswith("至少为：")
    assert [text.en for text in said.missing] == [
        "whether the superior mesenteric vein can be reconstructed is not said"
    ]
    assert "Possible so far: borderline resectable to locally advanced." in said.recommendation.en


def test_cystic_lesions_are_not_staged() -> None:
    said = of(free(appearance="cystic"))
    assert said.category is None and "criteria are for solid tumours" in said.missing[0].en
    measured = pancreatic(1, lesion(attenuation=Attenuation.CYSTIC))
    said = of(free(), measured)
    assert said.category is None
    assert "If it is a solid adenocarcinoma, resectable" in said.recommendation.en
    assert value(said, "Appearance") == "fluid-attenuation (measured)"
    assert of(free(appearance="hypo"), measured).category == "resectable"


def test_which_of_several_lesions_is_the_readers_to_say() -> None:
    small = pancreatic(1, lesion({SMA: 0.0}), long_axis_mm=9.0)
    large = pancreatic(2, lesion({SMA: 220.0}), long_axis_mm=31.0)
    said = of(free(vessel(SMA)), small, large)
    assert (said.category, said.finding) == (None, 2)
    assert said.missing[0].en == "which of findings 1, 2 is the tumour to be staged is not said"
    assert "If it is finding 2, locally advanced" in said.recommendation.en
    assert "若为所见 2，局部进展期" in said.recommendation.zh
    said = of(free(vessel(SMA), lesion=1), small, large)
    assert (said.category, said.finding) == ("resectable", 1)
    said = of(free(vessel(SMA), lesion=2), small, large)
    assert (said.category, said.finding) == ("locally advanced", 2)
    assert of(free(liver_lesions="suspicious"), small, large).category == "metastatic"


def test_a_vessel_said_of_no_named_lesion_counts_for_none_of_them() -> None:
    said = of(free(vessel(SMA, "over-180")), pancreatic(1, lesion()), pancreatic(2, lesion()))
    assert said.category is None
    assert "neither measured nor said" in said.missing[1].en
    assert "locally advanced" not in said.rule.en
    assert not any(i.name.en == "Superior mesenteric artery" for i in said.inputs)


def test_an_unsaid_gastroduodenal_artery_leaves_the_appleby_row_open() -> None:
    encased = free(vessel(CA, "over-180"), part=Part.BODY)
    assert of(encased).category == "borderline resectable"
    said = of(encased.model_copy(update={"gda_contact": None}))
    assert said.category is None
    assert [text.en for text in said.missing] == [
        "whether the gastroduodenal artery is touched is not said"
    ]
    # nowhere else is it asked for
    assert of(free(gda_contact=None)).category == "resectable"
    head = free(vessel(CA, "over-180"), part=Part.HEAD, gda_contact=None)
    assert of(head).category == "locally advanced"


def test_what_was_said_of_another_lesion_holds_of_none() -> None:
    said = of(free(lesion=7))
    assert said.category is None
    assert "entries are about finding 7, which does not stand" in said.rule.en
    assert "neither measured nor said" in said.missing[0].en
    assert of(free(lesion=7, peritoneal=True)).category == "metastatic"


def test_a_vessel_is_named_once() -> None:
    with pytest.raises(ValidationError, match="portal-vein more than once"):
        PancreasReading(vessels=(vessel(PV, "none"), vessel(PV, "over-180")))


@pytest.mark.parametrize(
    "said",
    [
        of(NOTHING), of(free()), of(free(vessel(SMV, "over-180"))), of(free(lesion=7)),
        of(free(vessel(CA, "over-180"), part=Part.BODY)), of(PancreasReading(peritoneal=True)),
        of(free(appearance="cystic")), of(free(liver_lesions="indeterminate")),
        of(free(vessel(CHA, "over-180", extends_beyond=True), aorta_or_ivc_contact="aorta")),
    ],
)  # fmt: skip
def test_everything_is_said_in_both_languages(said: Guidance) -> None:
    texts = [said.recommendation, said.rule, *said.missing]
    texts += [each for i in said.inputs for each in (i.name, i.value)]
    for text in texts:
        assert text.en.strip() and not re.search("[\u4e00-\u9fff]", text.en)
        assert re.search("[\u4e00-\u9fff]", text.zh)
        assert "  " not in text.en and "{" not in text.en + text.zh
