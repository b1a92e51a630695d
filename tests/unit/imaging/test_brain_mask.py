"""The brain told from skull and neck, and what is no head told from a brain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging.brain_mask import brain_mask
from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.phantom_brain import (
    CSF,
    EDEMA,
    GREY,
    MUSCLE,
    WHITE,
    SeriesPlan,
    make_brain_study,
    oblique,
    tissue_on,
)
from imaging.series import group_series
from imaging.volume import Volume


@pytest.mark.parametrize("role", ["T1c", "FLAIR"])
def test_the_brain_is_kept_and_the_skull_goes(role: str) -> None:
    plan = SeriesPlan(role, role, (84, 100, 84), (2.0, 2.0, 2.0), oblique(10))
    volume = make_brain_study(1, (plan,)).series[0].volume
    found = brain_mask(volume)
    tissue = tissue_on(found.mask.grid, plan.motion)
    inside = (tissue >= CSF) & (tissue != MUSCLE)
    kept = found.mask.voxels
    dice = 2 * np.count_nonzero(kept & inside) / (kept.sum() + inside.sum())
    assert dice > 0.93
    assert kept[(tissue == GREY) | (tissue == WHITE)].mean() > 0.99
    assert kept[tissue >= EDEMA].all()
    assert found.plausible
    assert found.on(volume.grid).voxels.shape == volume.grid.shape


@pytest.mark.parametrize("value", [0, 700])
def test_no_head_has_no_brain(value: int) -> None:
    grid = Grid((20, 30, 30), np.diag([2.0, 2.0, 2.0, 1.0])[[2, 1, 0, 3]])
    voxels = np.zeros(grid.shape, np.int16)
    voxels[8:12, 10:20, 10:20] = value
    found = brain_mask(Volume(voxels, grid))
    assert not found.plausible


def test_the_real_tumor_series_keeps_its_middle(shared_data: Path) -> None:
    path = shared_data / "protocol" / "enhanced_multiframe" / "nema_MR" / "BRTUM008"
    (series,) = group_series(scan_files([path]))
    volume = load_series(series).volume
    mask = brain_mask(volume).on(volume.grid).voxels
    assert mask[6:18, 110:150, 110:150].all()
    # Scalp and air are off at the level of the ventricles.
    assert not mask[12, :, :30].any() and not mask[12, :, -30:].any()
    assert 0.2 < mask[12].mean() < 0.5
