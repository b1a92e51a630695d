"""Real CTs against their own deformed, re-noised copies with nodules drawn in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.follow_up import Breath, breathed, drawn
from imaging.geometry import Point, Points
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.lungs import LungMask, lung_mask
from imaging.priors.compare import Examination, Seen, compare
from imaging.priors.register import Method, register
from imaging.priors.values import Change
from imaging.resample import resample
from imaging.series import group_series
from imaging.volume import Volume
from tests.unit.imaging.priors.made import deep_places

pytestmark = pytest.mark.slow

SIZES = {"stable": (8.0, 8.0), "grown": (8.0, 12.0), "added": (0.0, 8.0), "removed": (8.0, 0.0)}


@pytest.fixture(params=["lidc_0001", "lidc_0005"])
def real(request: pytest.FixtureRequest) -> Volume:
    folder: Path = request.getfixturevalue(request.param)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    series = max(group_series(scan_files(files)), key=lambda s: len(s.slices))
    full = load_series(series).volume
    # every second pixel: a quarter of the time, and nothing below the registration's own grid
    k, j, i = full.grid.shape
    affine = full.grid.affine.copy()
    affine[:3, 1:3] *= 2
    half = type(full.grid)((k, j // 2, i // 2), affine)
    return resample(full, half)


def test_a_real_chest_and_its_breathed_copy(real: Volume) -> None:
    lungs = lung_mask(real)
    inside = lungs.mask.grid.to_lps(np.argwhere(lungs.mask.voxels))
    low, high = inside.min(axis=0), inside.max(axis=0)
    breath = Breath(
        _point((low + high) / 2), _point((high - low) / 2), diaphragm_mm=18.0,
        turn_degrees=(-3.0, 2.0, 5.0), shift_mm=(-6.0, 5.0, -6.0),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    now_volume = breathed(real, breath)
    places = deep_places(lungs, len(SIZES), rng)
    then_nodules, now_nodules = [], []
    for number, (place, (then_mm, now_mm)) in enumerate(
        zip(places, SIZES.values(), strict=True), start=1
    ):
        if then_mm:
            region = drawn(real, place, then_mm)
            volume = region.mask.volume_mm3
            then_nodules.append(Seen(f"2.9.1.{number}", number, region, then_mm, volume))
        if now_mm:
            region = drawn(now_volume, _point(breath.to_new(place)), now_mm)
            volume = region.mask.volume_mm3
            now_nodules.append(Seen(f"2.9.2.{number}", number, region, now_mm, volume))
    now_volume = Volume(
        now_volume.voxels + rng.normal(0, 25, now_volume.voxels.shape).astype(np.float32),
        now_volume.grid,
    )
    now_lungs = lung_mask(now_volume)
    current = Examination(now_volume, "2", "2.1", "20250301", now_lungs, tuple(now_nodules))
    prior = Examination(real, "1", "1.1", "20241201", lungs, tuple(then_nodules))

    found = register(current.volume, prior.volume, now_lungs, lungs)
    assert found.method is Method.DEFORMABLE
    points = _points(now_lungs)
    errors = np.linalg.norm(found.alignment.to_prior(points) - breath.to_old(points), axis=1)
    assert np.median(errors) < 1.5
    assert np.percentile(errors, 95) < 5.0

    said = compare(current, prior)
    names = dict(enumerate(SIZES, start=1))
    now = {names[c.number]: c.change for c in said.changes if c.number is not None}
    assert now == {"stable": Change.STABLE, "grown": Change.GROWN, "added": Change.NEW}
    assert [c.change for c in said.changes if c.number is None] == [Change.RESOLVED]
    assert said.registration_error_mm == pytest.approx(np.median(errors), abs=1.0)


def _points(lungs: LungMask) -> Points:
    return lungs.mask.grid.to_lps(np.argwhere(lungs.mask.voxels[::6, ::6, ::6]) * 6)


def _point(values: Points) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
