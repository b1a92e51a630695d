"""Lung nodules of a phantom chest are described; what can't be is told and lost is nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imaging.finding import Code, Finding, ImageReference
from imaging.guidelines.risk import with_brock
from imaging.guidelines.values import Clinical
from imaging.language import Text
from imaging.lungs import lung_mask
from imaging.nodule import NoduleType, Side
from imaging.phantom import Phantom, make_phantom
from imaging.volume import Region, Volume
from models.study.nodules import LUNG, describe_nodules


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(3, slices=100, pixels=256)


def code(value: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=Text(en=value, zh=value))


def finding(number: int, site: str = LUNG) -> Finding:
    return Finding(
        number=number, tracking_uid=f"1.2.{number}", tracking_id=f"n {number}",
        label=code("27925004"), site=code(site), score=0.5, centre_lps_mm=(0, 0, 0),
        long_axis_mm=1, short_axis_mm=1, long_axis_lps_mm=((0, 0, 0), (1, 0, 0)),
        short_axis_lps_mm=((0, 0, 0), (0, 1, 0)), volume_mm3=1, mean_hu=0, slices=("1",),
        key_image=ImageReference(sop_class_uid="1", sop_instance_uid="1"), key_slice=0,
        segment_number=number, outlines=(),
    )  # fmt: skip


def region_of(phantom: Phantom, number: int) -> Region:
    """The ball of the nodule's volume."""
    nodule = phantom.nodules[number]
    grid = phantom.volume.grid
    middle = np.rint(grid.to_index(nodule.centre_lps_mm)).astype(int)
    reach = np.ceil(nodule.diameter_mm / np.array(grid.spacing_mm)).astype(int)
    low, high = middle - reach, middle + reach + 1
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    far = np.linalg.norm(grid.to_lps(index) - nodule.centre_lps_mm, axis=-1)
    k, j, i = (int(n) for n in low)
    return Region(far <= nodule.diameter_mm / 2, (k, j, i), grid)


def test_nodules_in_the_lung_are_described_and_others_are_not(phantom: Phantom) -> None:
    findings = [finding(1), finding(2), finding(3, site="15776009"), finding(4)]
    regions = {f.tracking_uid: region_of(phantom, n) for n, f in enumerate(findings)}
    other = phantom.volume.grid.crop((1, 0, 0), phantom.volume.grid.shape)
    regions["1.2.4"] = dataclasses.replace(regions["1.2.4"], within=other)
    seconds: dict[str, float] = {}
    told: list = []
    described = describe_nodules(
        phantom.volume, findings, regions, lung_mask(phantom.volume), told, seconds
    )
    assert [item.code for item in told] == ["nodule-not-described"]
    assert "4" in told[0].text.zh
    assert described[3] == findings[3]
    assert set(seconds) == {"lobes", "character"}
    assert [f.nodule is None for f in described] == [False, False, True, True]
    for found, planted in zip(described[:2], phantom.nodules, strict=False):
        assert found.nodule is not None
        assert found.nodule.type is NoduleType.SOLID
        assert found.nodule.axial.mean_mm == pytest.approx(planted.diameter_mm, abs=2)
        right = planted.centre_lps_mm[0] < 0
        assert found.nodule.place.side is (Side.RIGHT if right else Side.LEFT)
        assert [hint.method for hint in found.nodule.hints] == ["lidc-rating"]
    known = Clinical(age_years=60, sex="F", family_history=False, emphysema=False)
    again = with_brock(with_brock(described, Clinical()), known)
    assert again[0].nodule is not None
    assert [hint.method for hint in again[0].nodule.hints] == ["lidc-rating", "brock"]
    assert again[2] == described[2]


def test_without_lung_nothing_is_described_and_without_nodules_no_lobe_is_sought() -> None:
    grid = make_phantom(3, slices=20, pixels=64).volume.grid
    solid = Volume(np.full(grid.shape, 30, np.int16), grid)
    region = Region(np.ones((2, 2, 2), bool), (4, 20, 20), grid)
    told: list = []
    assert (
        describe_nodules(solid, [finding(1)], {"1.2.1": region}, None, told, {})[0].nodule is None
    )
    assert [item.code for item in told] == ["no-lobes"]
    seconds: dict[str, float] = {}
    other = finding(1, site="15776009")
    assert describe_nodules(solid, [other], {"1.2.1": region}, None, [], seconds) == (other,)
    assert seconds == {}
