"""Which of several acceptable series is read, and what is said of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from imaging.headers import ImageSlice, Scan, SeriesHeader
from imaging.series import InputRule, SeriesPlan, SeriesVerdict, choose_series
from imaging.series_rules import SeriesRule
from tests.unit.imaging.synthetic import AXIAL

LENGTH = 120
"""mm: a scan, not a scout."""


@dataclass(frozen=True)
class Made:
    """A series as headers say it, without files."""

    header: SeriesHeader
    slices: tuple[ImageSlice, ...]


def series(
    name: str,
    step: float = 2.5,
    *,
    length: float = LENGTH,
    low: float = 0.0,
    thickness: float | None = None,
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
    **header: str,
) -> Made:
    uid = f"2.25.{abs(hash((name, step, low)))}"
    said = {"number": "3", "body_part": "", "kernel": "", "contrast": "", "frame_of_reference": "1"}
    slices = tuple(
        ImageSlice(
            path=Path("-"), frame_number=None, sop_class_uid="", sop_instance_uid=f"{uid}.{k}",
            study_uid="1", series_uid=uid, modality="CT", instance_number=k,
            image_type=image_type, rows=512, columns=512, position=(0.0, 0.0, low + k * step),
            orientation=AXIAL, pixel_spacing=(0.8, 0.8), slice_thickness_mm=thickness or step,
            variant=(),
        )
        for k in range(round(length / step))
    )  # fmt: skip
    known = SeriesHeader(
        study_uid="1", series_uid=uid, modality="CT", description=name, **said | header
    )
    return Made(known, slices)


def plan(*made: Made, site: tuple[SeriesRule, ...] = (), **rule: Any) -> SeriesPlan:
    headers = {each.header.series_uid: each.header for each in made}
    scan = Scan(tuple(s for each in made for s in each.slices), headers, (), 0)
    return choose_series(scan, InputRule(**rule), "some-model", site)


def chosen(made: SeriesPlan) -> str | None:
    return next((v.description for v in made.verdicts if v.accepted), None)


def verdict(made: SeriesPlan, description: str) -> SeriesVerdict:
    return next(v for v in made.verdicts if v.description == description)


def why(made: SeriesPlan, description: str) -> tuple[str, str]:
    (item,) = [n for n in verdict(made, description).notices if n.severity.value == "refusal"]
    assert "{" not in item.text.en + item.text.zh
    return item.code, item.text.en


def test_thick_and_thin_twins() -> None:
    made = plan(series("thick", 5.0), series("thin", 1.25))
    assert chosen(made) == "thin"
    assert verdict(made, "thin").score == 8 and verdict(made, "thick").score == 2
    assert [f.aspect for f in verdict(made, "thin").factors] == ["slices"]
    code, told = why(made, "thick")
    assert code == "better-series"
    assert "3 thin suits better (slices of 1.25 mm against slices of 5 mm)" in told


def test_soft_and_sharp_twins_by_kernel_or_by_words() -> None:
    by_kernel = plan(series("a", kernel="BONE"), series("b", kernel="STANDARD"))
    assert chosen(by_kernel) == "b"
    assert "not sharp kernel (BONE)" in why(by_kernel, "a")[1]
    by_words = plan(series("LUNG 5"), series("MEDIASTINUM 5"))
    assert chosen(by_words) == "MEDIASTINUM 5"


def test_a_thin_part_does_not_win_over_the_whole() -> None:
    made = plan(series("HR part", 1.25, length=30), series("whole", 2.5))
    assert chosen(made) == "whole"
    assert "against" in why(made, "HR part")[1] or "not only 30 mm" in why(made, "HR part")[1]


def test_the_phase_that_a_model_prefers_wins_over_a_thinner_one() -> None:
    portal, arterial, plain = series("portal", 2.5), series("arterial", 1.25), series("PRE", 1.25)
    wanted = ("portal", "arterial")
    made = plan(portal, arterial, plain, prefer_phase=wanted)
    assert chosen(made) == "arterial"
    thin = series("portal", 1.5)
    made = plan(thin, arterial, plain, prefer_phase=wanted)
    assert chosen(made) == "portal"
    assert "portal venous phase against arterial phase" in why(made, "arterial")[1]
    assert "against unenhanced" in why(made, "PRE")[1]


def test_another_part_of_the_body_comes_last() -> None:
    made = plan(series("PRE LIVER", 1.25), series("C/A/P", 2.5), prefer_part="chest|lung")
    assert chosen(made) == "C/A/P"
    assert "another part of the body (PRE LIVER)" in why(made, "PRE LIVER")[1]
    alone = plan(series("PRE LIVER", 1.25), prefer_part="chest|lung")
    assert chosen(alone) == "PRE LIVER"


def test_a_series_of_the_wanted_part_is_whole_however_far_another_reaches() -> None:
    lungs, belly = series("LUNG", 5.0, length=180), series("ABD/PELVIS", length=500)
    made = plan(lungs, belly, prefer_part="chest|lung")
    assert chosen(made) == "LUNG"
    assert "coverage" not in [f.aspect for f in verdict(made, "LUNG").factors]
    both = plan(lungs, belly, series("CAP", 5.0, length=600), prefer_part="chest|lung")
    assert chosen(both) == "CAP"


def test_a_series_that_is_only_called_delayed_is_not_of_the_chest() -> None:
    both = series("DELAY", length=250), series("CHEST", length=240)
    assert chosen(plan(*both)) == "DELAY", "alike without a wish"
    made = plan(*both, prefer_part="chest|lung")
    assert chosen(made) == "CHEST"
    assert "not delayed, mostly of the abdomen (DELAY)" in why(made, "DELAY")[1]
    assert chosen(plan(*both, prefer_part="abd|liver")) == "DELAY"
    told = series("DELAYED CHEST", length=250), series("WITH", length=240)
    assert chosen(plan(*told, prefer_part="chest|lung")) == "DELAYED CHEST"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("AXIAL MIP", "projection"), ("Dose Report", "page of text"), ("VRT", "rendered view"),
        ("Screen Save", "screen save"), ("Low dose projections", "raw data"),
    ],
)  # fmt: skip
def test_what_no_model_reads_is_refused_by_its_words(said: str, kind: str) -> None:
    made = plan(series(said))
    assert made.chosen is None
    code, told = why(made, said)
    assert code == "described-otherwise"
    assert kind in told and said in told


def test_a_scout_by_its_name_alone() -> None:
    made = plan(series("Topogram  0.6", 5.0, length=20))
    assert why(made, "Topogram  0.6")[0] == "described-otherwise"
    # Words can be wrong: what covers a part of a body is a scan.
    covers = plan(series("CTA CAP SMARTPREP"))
    assert chosen(covers) == "CTA CAP SMARTPREP"
    (note,) = covers.verdicts[0].notices
    assert note.code == "described-so" and "bolus tracking" in note.text.en


@pytest.mark.parametrize(
    "worse", ["CTAC", "Reformatted", "BIOPSY", "MonoE 40keV[HU]", "CT WB  FUSION"]
)
def test_what_was_computed_or_made_for_something_else_is_read_only_alone(worse: str) -> None:
    both = plan(series(worse), series("CHEST", 3.0))
    assert chosen(both) == "CHEST"
    assert why(both, worse)[0] == "better-series"
    alone = plan(series(worse))
    assert [n.code for n in alone.verdicts[0].notices] == ["described-so"]


def test_a_later_reconstruction_is_as_good_as_the_first() -> None:
    """ORIGINAL\\SECONDARY: made after the examination, from the detector's data."""
    later = series("Recon 2: CHEST", 1.25, image_type=("ORIGINAL", "SECONDARY", "AXIAL"))
    assert chosen(plan(series("CHEST"), later)) == "Recon 2: CHEST"


def test_equal_series_are_chosen_by_number_whatever_their_order() -> None:
    one, two = series("one", number="4"), series("two", number="12")
    for order in [(one, two), (two, one)]:
        made = plan(*order)
        assert chosen(made) == "one"
        assert "alike; it comes first" in why(made, "two")[1]


# what loading would make of it ------------------------------------------------------------


def at(made: Made, heights: list[float], thickness: float = 2.5) -> Made:
    """The images of a series at other heights, mm."""
    first = made.slices[0]
    slices = tuple(
        replace(
            first, position=(0.0, 0.0, z), slice_thickness_mm=thickness, sop_instance_uid=f"1.{k}"
        )
        for k, z in enumerate(heights)
    )
    return replace(made, slices=slices)


def test_the_widest_gap_of_an_uneven_series_counts() -> None:
    """Thin slices below, thick ones above: most of the distances are fine, the others are not."""
    head = [*np.arange(0, 75, 2.5), *np.arange(75, 135, 6.0)]
    uneven = at(series("HEAD"), head, thickness=6.0)
    code, told = why(plan(uneven, maximum_slice_mm=5.5), "HEAD")
    assert code == "too-thick" and "6 mm" in told
    uneven = at(series("HEAD"), head, thickness=5.0)
    code, told = why(plan(uneven, maximum_slice_mm=5.5), "HEAD")
    assert code == "too-thick" and "6 mm" in told, "the gap alone"
    taken = plan(uneven, maximum_slice_mm=6.0)
    assert chosen(taken) == "HEAD"
    assert verdict(taken, "HEAD").factors[0].text.en == "slices of 6 mm"


def test_one_or_two_missing_slices_are_told_when_read_and_more_are_refused() -> None:
    every = [2.5 * k for k in range(60)]
    short = at(series("CHEST"), [z for k, z in enumerate(every) if k not in (20, 21)])
    assert chosen(plan(short, maximum_slice_mm=5.0)) == "CHEST"
    long = at(series("CHEST"), [z for k, z in enumerate(every) if k not in (20, 21, 22)])
    code, told = why(plan(long), "CHEST")
    assert code == "irregular-geometry" and "3 in a row" in told


def test_a_thick_twin_is_read_where_the_thin_one_makes_no_volume() -> None:
    thin = series("thin", 1.25)
    torn = replace(
        thin, slices=tuple(s for k, s in enumerate(thin.slices) if k not in range(9, 14))
    )
    made = plan(torn, series("thick", 2.5))
    assert chosen(made) == "thick"
    assert why(made, "thin")[0] == "irregular-geometry"


def test_copies_at_one_place_do_not_rule_a_series_out() -> None:
    """Whether they are the same image, pixels tell when it is loaded."""
    made = series("CHEST")
    again = tuple(replace(s, sop_instance_uid=f"9.{k}") for k, s in enumerate(made.slices))
    assert chosen(plan(replace(made, slices=made.slices + again))) == "CHEST"


def test_many_images_at_few_positions_are_few_slices() -> None:
    made = series("PERFUSION 4 positions", 5.0, length=20)
    times = tuple(
        replace(s, variant=(("TemporalPositionIdentifier", f"{t}"),), sop_instance_uid=f"{t}.{k}")
        for t in range(30)
        for k, s in enumerate(made.slices)
    )
    made = replace(made, slices=times, header=replace(made.header, description="DYNAMIC"))
    code, told = why(plan(made), "DYNAMIC")
    assert code == "too-few-slices" and told.startswith("4 slices")


@pytest.mark.parametrize(
    ("one", "other"), [("EXPIRATION", "INSPIRATION"), ("PRONE 1.0", "SUPINE 1.0")]
)
def test_the_usual_breath_and_position_come_first(one: str, other: str) -> None:
    made = plan(series(one, number="2"), series(other, number="3"))
    assert chosen(made) == other
    assert [n.code for n in plan(series(one)).verdicts[0].notices] == ["described-so"]


# split scans ------------------------------------------------------------------------------


def test_a_scan_that_goes_on_in_another_series_is_told() -> None:
    below = series("CHEST", low=0.0, length=60)
    above = series("CHEST ", low=60.0, length=120)
    made = plan(below, above)
    taken = next(v for v in made.verdicts if v.accepted)
    (note,) = [n for n in taken.notices if n.code == "scan-goes-on"]
    assert "0 to 58 mm" in note.text.en


@pytest.mark.parametrize(
    "other",
    [
        {"low": 0.0},  # a twin
        {"low": 200.0},  # too far away
        {"low": 120.0, "kernel": "BONE"},
        {"low": 120.0, "frame_of_reference": "1.2.3"},
        {"low": 120.0, "thickness": 5.0},
    ],
)
def test_what_is_no_continuation(other: dict[str, Any]) -> None:
    made = plan(series("CHEST", length=120), series("CHEST ", length=60, **other))
    assert all(n.code != "scan-goes-on" for v in made.verdicts for n in v.notices)


# the site's rules -------------------------------------------------------------------------


def rule(**values: Any) -> SeriesRule:
    return SeriesRule(**{"name": "ours"} | values)


def test_a_site_prefers() -> None:
    both = series("thick", 5.0, station="CT2"), series("thin", 1.25, station="CT2")
    prefer = rule(description="^thick$", station="^ct2$", then="prefer")
    made = plan(*both, site=(prefer,))
    assert chosen(made) == "thick"
    assert "the site's rule 'ours'" in why(made, "thin")[1]
    elsewhere = rule(description="^thick$", station="^CT3$", then="prefer")
    assert chosen(plan(*both, site=(elsewhere,))) == "thin"
    other_model = rule(description="thick", models=("another",), then="prefer")
    assert chosen(plan(*both, site=(other_model,))) == "thin"


def test_a_site_rules_out() -> None:
    never = rule(kernel="^b70", then="never")
    made = plan(series("a", kernel="B70f"), site=(never,))
    assert made.chosen is None
    assert why(made, "a") == ("site-never", "left alone by the site's rule 'ours'")


def test_a_site_adds_and_takes_points() -> None:
    both = series("thick", 5.0), series("thin", 1.25)
    worse = rule(description="thin", then="score", points=-7.5)
    made = plan(*both, site=(worse,))
    assert chosen(made) == "thick"
    assert verdict(made, "thin").score == 0.5
    last = plan(*both, site=(rule(description="thin", then="score", points=-20),))
    assert verdict(last, "thin").score > 0, "still acceptable"


def test_a_site_says_that_a_word_means_nothing() -> None:
    images = series("SURVEY MIP protocol")
    assert plan(images).chosen is None
    take = rule(description="^survey", then="take")
    assert chosen(plan(images, site=(take,))) == "SURVEY MIP protocol"
    pet = plan(series("CTAC"), site=(rule(description="^CTAC", then="take"),))
    assert [f.aspect for f in verdict(pet, "CTAC").factors] == ["slices"]
    assert verdict(pet, "CTAC").notices == ()
    short = series("SURVEY", 2.5, length=10)
    assert plan(short, site=(take,)).chosen is None, "geometry stays"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"then": "never"}, "matches every series"),
        ({"then": "never", "description": "("}, "no regular expression"),
        ({"then": "score", "description": "x"}, "go together"),
        ({"then": "never", "description": "x", "points": 1}, "go together"),
        ({"then": "avoid", "description": "x"}, "prefer"),
        ({"then": "never", "descripton": "x"}, "descripton"),
    ],
)
def test_a_rule_that_is_none_is_named(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        rule(**values)
