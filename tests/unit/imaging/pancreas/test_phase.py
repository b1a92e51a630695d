"""The phase: the aorta is found, the rule follows the published densities, and doubt is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.pancreas.landmarks import coarse, find_aorta, find_liver, find_spine
from imaging.pancreas.phase import Seen, estimate_phase, judge
from imaging.pancreatic import Phase
from imaging.series import group_series
from imaging.volume import Volume
from tests.abdomen import abdomen_volume
from tests.unit.imaging.pancreas.abdomens import abdomen

PHASES = [Phase.PLAIN, Phase.ARTERIAL, Phase.PORTAL]


@pytest.mark.parametrize("phase", PHASES)
def test_simulated_phases_are_told(phase: Phase) -> None:
    phantom = abdomen(phase)
    told = estimate_phase(phantom.volume, phantom.region("pancreas"))
    assert told.phase is phase, told.why.en
    assert told.pancreas_hu == pytest.approx(
        np.median(phantom.volume.voxels[phantom.masks["pancreas"]]), abs=1
    )
    assert told.why.en and told.why.zh


@pytest.mark.parametrize("phase", [Phase.PLAIN, Phase.ARTERIAL])
def test_landmarks_lie_where_they_were_drawn(phase: Phase) -> None:
    phantom = abdomen(phase)
    ct = coarse(phantom.volume)
    spine = find_spine(ct)
    aorta = find_aorta(ct, spine)
    assert aorta is not None
    index = np.round(phantom.volume.grid.to_index(ct.grid.to_lps(aorta.place))).astype(int)
    hit = phantom.masks["aorta"][tuple(index.T)]
    assert hit.mean() > 0.95
    liver = find_liver(ct, spine)
    there = np.round(phantom.volume.grid.to_index(ct.grid.to_lps(np.argwhere(liver)))).astype(int)
    # The gall bladder and a loop of bowel that touch it may belong; the commonest density is used.
    assert phantom.masks["liver"][tuple(there.T)].mean() > 0.8


def test_masks_of_vessels_stand_for_what_was_not_found() -> None:
    """The gland alone, cut out of its surroundings: no spine, no liver, vessels from a model."""
    phantom = abdomen(Phase.ARTERIAL)
    hu = np.where(
        phantom.masks["pancreas"] | phantom.masks["portal"] | phantom.masks["aorta"],
        phantom.volume.voxels, np.int16(-1000),
    )  # fmt: skip
    alone = Volume(hu.astype(np.int16), phantom.volume.grid)
    assert estimate_phase(alone, phantom.region("pancreas")).phase is Phase.UNKNOWN
    told = estimate_phase(
        alone,
        phantom.region("pancreas"),
        arteries=phantom.region("aorta"),
        veins=phantom.region("portal"),
    )
    assert told.phase is Phase.ARTERIAL


def test_a_scan_of_something_else_is_unknown() -> None:
    water = Volume(
        np.zeros((20, 60, 60), np.int16),
        Grid.from_dicom((20, 60, 60), (0, 0, 0), (1, 0, 0, 0, 1, 0), (4, 4), (0, 0, 5)),
    )
    told = estimate_phase(water, None)
    assert told.phase is Phase.UNKNOWN
    assert "aorta was not found" in told.why.en


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (Seen(38, 60, 58, 40), Phase.PLAIN),
        (Seen(38, 60, 15, 30), Phase.PLAIN),  # a fatty liver
        (Seen(38, 150, 110, 95), Phase.UNKNOWN),  # not the aorta
        (Seen(38, None, None, 120), Phase.UNKNOWN),
        (Seen(85, 95, 80, 70), Phase.UNKNOWN),  # a late phase
        (Seen(340, 130, 78, 110), Phase.ARTERIAL),
        (Seen(424, 128, 66, None), Phase.ARTERIAL),
        (Seen(160, 155, 115, 80), Phase.PORTAL),
        (Seen(160, 150, 70, 80), Phase.PORTAL),  # a fatty liver, veins as bright as the aorta
        (Seen(230, 125, 105, 90), Phase.PORTAL),  # small veins in thick slices, liver enhanced
        (Seen(300, 150, 80, 100), Phase.UNKNOWN),  # between
        (Seen(180, 85, 78, 82), Phase.UNKNOWN),
        (Seen(200, None, None, None), Phase.UNKNOWN),
        (Seen(None, 150, 110, 90), Phase.UNKNOWN),
    ],
)
def test_the_rule(seen: Seen, phase: Phase) -> None:
    told = judge(seen)
    assert told.phase is phase, told.why.en
    assert told.aorta_hu == seen.aorta


def test_an_arterial_ct_of_a_patient(abdomen_ct: Path, abdomen_archive: Path) -> None:
    """Read from its DICOM series, which must hold the archive's voxels."""
    (series,) = group_series(scan_files(sorted(abdomen_ct.iterdir())))
    volume = load_series(series).volume
    stored = abdomen_volume(abdomen_archive)
    assert volume.grid.same_as(stored.grid)
    assert np.array_equal(volume.voxels, stored.voxels)
    told = estimate_phase(volume, None)
    assert told.phase is Phase.ARTERIAL, told.why.en
    assert told.aorta_hu is not None and told.aorta_hu > 350
    assert told.liver_hu is not None and told.liver_hu < 80


def test_a_plain_chest_of_a_patient_is_plain(lung_dx_a0002: Path) -> None:
    series = next(
        s for s in group_series(scan_files(sorted(lung_dx_a0002.rglob("*")))) if len(s.slices) > 5
    )
    told = estimate_phase(load_series(series).volume, None)
    assert told.phase is Phase.PLAIN, told.why.en
