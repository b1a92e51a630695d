"""What the benchmark of robustness changes in a scan, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs preread[monai]")

from benchmarks.robustness_parts.conditions import (
    CONDITIONS,
    Subject,
    cut,
    mislabelled,
    prone,
    slices_of,
)
from models.evaluation.judging import Truth
from models.training.simulation import as_volume

MIDDLES = ((34.0, 30.0, 24.0), (60.0, 44.0, 70.0))


def subject() -> Subject:
    """Two lungs of -850 HU in a body of 40 HU, a ball of 12 mm in each; 96 mm a side."""
    at = np.stack(np.meshgrid(*[np.arange(96)] * 3, indexing="ij"), -1).astype(float)
    hu = np.full((96, 96, 96), 40, np.int16)
    lungs = np.zeros(hu.shape, bool)
    for left, right in ((6, 42), (54, 90)):
        lungs[8:88, 12:84, left:right] = True
    hu[lungs] = -850
    hu[:, 46:50, 46:50] = 60
    for middle in MIDDLES:
        hu[np.linalg.norm(at - middle, axis=-1) <= 6] = 30
    volume = as_volume(hu)
    truths = []
    for middle in MIDDLES:
        x, y, z = (float(v) for v in volume.grid.to_lps(middle))
        truths.append(Truth((x, y, z), 12.0))
    return Subject("made", volume, lungs, tuple(truths))


def dense_centre(changed: Subject, near: Truth) -> np.ndarray:
    """LPS mm of what is dense in lung within 9 mm of a nodule's place."""
    grid = changed.volume.grid
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    away = np.linalg.norm(grid.to_lps(at) - np.asarray(near.centre_mm), axis=-1)
    dense = (changed.volume.voxels > -300) & (away < 9)
    assert dense.any()
    return np.asarray(grid.to_lps(np.argwhere(dense)).mean(0))


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_nodules_are_where_they_are_said_to_be(name: str) -> None:
    changed = CONDITIONS[name](subject(), np.random.default_rng(3))
    assert changed.volume.voxels.dtype == np.int16
    assert changed.volume.voxels.shape == changed.volume.grid.shape
    counted = [n for n in changed.nodules if n.counted]
    assert len(counted) >= 1
    for nodule in counted:
        assert np.linalg.norm(dense_centre(changed, nodule) - nodule.centre_mm) < 1.2


def test_every_condition_but_the_first_changes_something() -> None:
    for n, (name, change) in enumerate(CONDITIONS.items()):
        base = subject()
        changed = change(base, np.random.default_rng(1)).volume
        alike = changed.grid.same_as(base.volume.grid, tolerance_mm=1e-6) and np.array_equal(
            changed.voxels, base.volume.voxels
        )
        assert alike is (n == 0), name


@pytest.mark.parametrize("thickness", [0.6, 2.0, 3.0, 5.0])
def test_slices_are_the_mean_of_what_they_cover(thickness: float) -> None:
    base = subject()
    ramp = np.broadcast_to(np.arange(96, dtype=np.float32)[:, None, None] * 10, (96, 96, 96))
    changed = slices_of(thickness)(base.with_hu(ramp), np.random.default_rng(0)).volume
    assert changed.grid.spacing_mm == pytest.approx((thickness, 1.0, 1.0))
    z = [float(changed.grid.to_lps((k, 0, 0))[2]) for k in range(len(changed.voxels))]
    assert changed.voxels[:, 5, 5] == pytest.approx(np.multiply(z, 10), abs=1)
    assert len(changed.voxels) * thickness == pytest.approx(96, abs=thickness + 1)


def test_what_is_cut_off_does_not_count() -> None:
    base = subject()  # lungs from slice 8 to 87: a third is 26 slices
    lower = cut(top=True)(base, np.random.default_rng(0))
    upper = cut(top=False)(base, np.random.default_rng(0))
    assert lower.volume.grid.shape[0] == 61 and upper.volume.grid.shape[0] == 62
    assert [n.counted for n in lower.nodules] == [True, False]  # the second is cut in two
    assert [n.counted for n in upper.nodules] == [False, True]


def test_prone_is_the_same_patient_and_a_wrong_header_is_another() -> None:
    base = subject()
    right, wrong = (change(base, np.random.default_rng(0)) for change in (prone, mislabelled))
    assert right.nodules == base.nodules
    point = base.volume.grid.to_lps((34, 30, 24))
    k, j, i = np.rint(right.volume.grid.to_index(point)).astype(int)
    assert right.volume.voxels[k, j, i] == 30
    assert right.volume.grid.affine[0, 2] == -1
    assert not np.allclose(wrong.nodules[0].centre_mm, base.nodules[0].centre_mm)


def test_what_is_put_into_the_lung_spares_nodules() -> None:
    base = subject()
    for name in ("ground glass as in COVID-19", "reticulation as in fibrosis"):
        changed = CONDITIONS[name](base, np.random.default_rng(2))
        different = changed.volume.voxels != base.volume.voxels
        assert different.mean() > 0.002, name
        assert not different[~base.away(2.0)].any(), name
        assert not different[~base.lungs].any(), name
