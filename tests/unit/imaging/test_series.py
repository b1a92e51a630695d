"""Which series is read, and the reason for leaving each other one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from imaging.headers import scan_files
from imaging.series import InputRule, SeriesPlan, choose_series, group_series, refusals
from tests.unit.imaging.synthetic import AXIAL, CORONAL, make_images, random_hu, write

RULE = InputRule(minimum_slices=10, maximum_slice_mm=5.0, advised_slice_mm=3.0)
HU = random_hu((12, 8, 8))


def plan(*series: list[Dataset], folder: Path, rule: InputRule = RULE) -> SeriesPlan:
    paths = [p for n, images in enumerate(series) for p in write(folder / str(n), images)]
    return choose_series(scan_files(paths), rule, "some-model")


def setting(**values: Any) -> Callable[[int, Dataset], None]:
    def change(_: int, image: Dataset) -> None:
        for keyword, value in values.items():
            setattr(image, keyword, value)

    return change


def no_position_on_slice_7(k: int, image: Dataset) -> None:
    if k == 7:
        del image.ImagePositionPatient


REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("wrong-modality", {"change": setting(Modality="MR")}, ["MR", "CT"]),
    ("wrong-modality", {"change": setting(Modality="")}, ["empty"]),
    ("localizer", {"change": setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])},
     ["ORIGINAL\\PRIMARY\\LOCALIZER"]),
    ("derived-image", {"change": setting(ImageType=["DERIVED", "SECONDARY", "AXIAL"])},
     ["SECONDARY"]),
    ("derived-image", {"change": setting(ImageType=["DERIVED", "PRIMARY", "MPR"])}, ["MPR"]),
    ("derived-image", {"change": setting(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MIP"])},
     ["MIP"]),
    ("too-few-slices", {"hu": HU[:9]}, ["9", "10"]),
    ("too-thick", {"step": (0, 0, 8.0)}, ["8 mm", "5 mm"]),
    ("too-thick", {"change": setting(SliceThickness=7.5)}, ["7.5 mm"]),
    ("wrong-orientation", {"orientation": CORONAL}, ["90"]),
    ("no-geometry", {"change": no_position_on_slice_7}, ["ImagePositionPatient", "CT007.dcm"]),
    ("no-geometry", {"change": setting(PixelSpacing=[0.0, 0.7])}, ["PixelSpacing", "CT000.dcm"]),
    ("no-geometry", {"change": setting(ImageOrientationPatient=[2, 0, 0, 0, 2, 0])},
     ["ImageOrientationPatient"]),
    ("no-geometry", {"change": setting(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])},
     ["ImageOrientationPatient"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "options", "said"), REFUSED, ids=[f"{n}-{r[0]}" for n, r in enumerate(REFUSED)]
)
def test_each_refusal_has_its_reason(
    tmp_path: Path, code: str, options: dict[str, Any], said: list[str]
) -> None:
    made = plan(make_images(**{"hu": HU} | options), folder=tmp_path)
    assert made.chosen is None
    ((verdict, item),) = refusals(made)
    assert not verdict.accepted
    assert item.code == code
    for part in said:
        assert part in item.text.en
        assert part in item.text.zh or part == "empty"


@pytest.mark.parametrize(
    "orientation",
    [
        AXIAL,
        (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, np.cos(0.3), np.sin(0.3)),
    ],
)
def test_patients_lie_in_many_ways(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    made = plan(make_images(HU, orientation=orientation), folder=tmp_path)
    assert made.chosen is not None
    assert refusals(made) == []


def test_thick_but_readable_is_a_warning(tmp_path: Path) -> None:
    made = plan(make_images(HU, step=(0, 0, 4.0)), folder=tmp_path)
    (verdict,) = made.verdicts
    assert verdict.accepted
    assert [n.code for n in verdict.notices] == ["thick-slices"]
    assert "4 mm" in verdict.notices[0].text.en
    assert "6 mm" in verdict.notices[0].text.en


def test_the_thinnest_is_read_and_the_others_are_told_so(tmp_path: Path) -> None:
    thin = make_images(random_hu((20, 8, 8)), step=(0, 0, 1.25), name="thin")
    thick = make_images(HU, step=(0, 0, 2.5), name="thick")
    scout = make_images(
        HU[:2], name="scout", change=setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    for order in itertools.permutations([thin, thick, scout]):
        made = plan(*order, folder=tmp_path / str(id(order)))
        assert made.chosen == thin[0].SeriesInstanceUID
        assert sum(v.accepted for v in made.verdicts) == 1
        reasons = {verdict.series_uid: item for verdict, item in refusals(made)}
        assert reasons[scout[0].SeriesInstanceUID].code == "localizer"
        better = reasons[thick[0].SeriesInstanceUID]
        assert better.code == "better-series"
        assert "synthetic thin" in better.text.en


@pytest.mark.parametrize(
    ("soft", "sharp"),
    [
        ("STANDARD", "LUNG"),
        ("B30f", "B60f"),
        (["I31f", "3"], ["I70f", "3"]),
        ("Br40d", "Bl64d"),
        ("", "FC52"),
    ],
)
def test_of_two_alike_the_softer_kernel(tmp_path: Path, soft: Any, sharp: Any) -> None:
    one = make_images(HU, name="a", change=setting(ConvolutionKernel=sharp))
    two = make_images(HU, name="b", change=setting(ConvolutionKernel=soft))
    assert plan(one, two, folder=tmp_path / "1").chosen == two[0].SeriesInstanceUID
    assert plan(two, one, folder=tmp_path / "2").chosen == two[0].SeriesInstanceUID


@pytest.mark.parametrize("first", [True, False])
def test_a_scout_inside_a_series_does_not_decide_about_it(tmp_path: Path, first: bool) -> None:
    """One SeriesInstanceUID for scout and scan: the scan is judged, whichever file is first."""

    def as_scout(_: int, image: Dataset) -> None:
        image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        image.SOPInstanceUID += "7"
        image.SliceThickness = 600

    scout = make_images(random_hu((1, 16, 8)), orientation=CORONAL, change=as_scout)
    images = make_images(HU)
    made = plan([*scout, *images] if first else [*images, *scout], folder=tmp_path)
    assert refusals(made) == []
    assert made.chosen == images[0].SeriesInstanceUID


def test_nothing_at_all(tmp_path: Path) -> None:
    made = choose_series(scan_files([]), RULE, "some-model")
    assert made.chosen is None
    assert made.verdicts == ()


def test_file_notices_reach_the_plan(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    paths = [*write(tmp_path / "s", make_images(HU)), tmp_path / "readme.txt"]
    made = choose_series(scan_files(paths), RULE, "some-model")
    assert made.chosen is not None
    assert [n.code for n in made.notices] == ["not-dicom"]


def test_series_are_told_apart_by_uid_alone(tmp_path: Path) -> None:
    one = write(tmp_path / "a", make_images(HU, name="a"))
    two = write(tmp_path / "b", make_images(HU, name="b", first=(0, 0, 50)))
    mixed = [p for pair in zip(one, two, strict=True) for p in pair]
    groups = group_series(scan_files(mixed))
    assert [len(g.slices) for g in groups] == [12, 12]
    assert {g.name for g in groups} == {"3 synthetic a", "3 synthetic b"}


def test_a_rule_with_a_mistyped_key_is_no_rule() -> None:
    with pytest.raises(ValidationError, match="maximum_slice"):
        InputRule.model_validate({"maximum_slice": 5.0})
