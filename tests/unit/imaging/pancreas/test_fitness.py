"""What a series was fit for: thickness, the whole gland, motion, breathing, the phase's limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging.language import Text
from imaging.pancreas.fitness import judge_fitness
from imaging.pancreas.motion import motion_in
from imaging.pancreatic import Phase, PhaseEstimate
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen
from imaging.volume import Region, SourceSlice, Volume
from tests.abdomen import abdomen_volume
from tests.unit.imaging.pancreas.abdomens import abdomen


@pytest.fixture(scope="module")
def thin() -> AbdomenPhantom:
    """2.5 mm slices of the gland with room about it."""
    return make_abdomen(4, slice_mm=2.5, pixels=192, low_mm=55, high_mm=170)


def header(thickness: object = 2.5) -> Dataset:
    said = Dataset()
    said.SliceThickness = thickness
    return said


def told(limits: tuple[Text, ...]) -> str:
    assert all(limit.zh for limit in limits)
    return " | ".join(limit.en for limit in limits)


def with_slices(volume: Volume, order: list[int]) -> Volume:
    return Volume(volume.voxels[order].copy(), volume.grid)


def test_a_thin_whole_quiet_series_has_no_limits(thin: AbdomenPhantom) -> None:
    found = judge_fitness(thin.volume, header(), thin.region("pancreas"))
    assert found.limits == ()
    assert found.whole_gland is True
    assert found.slice_mm == 2.5
    assert found.motion is not None and found.motion < 0.5


def test_thick_slices_are_said(thin: AbdomenPhantom) -> None:
    phantom = abdomen()
    found = judge_fitness(phantom.volume, header(5), phantom.region("pancreas"))
    assert "slices are 5 mm" in told(found.limits)
    # Overlapping slices are as thick as the header says, not as they are apart.
    overlapping = judge_fitness(thin.volume, header(5), thin.region("pancreas"))
    assert overlapping.slice_mm == 5
    assert "slices are 5 mm" in told(overlapping.limits)


@pytest.mark.parametrize("wrong", [None, "", 0])
def test_a_header_without_thickness_is_no_error(thin: AbdomenPhantom, wrong: object) -> None:
    assert judge_fitness(thin.volume, header(wrong), thin.region("pancreas")).slice_mm == 2.5


def test_a_gland_cut_by_the_series_end_is_said() -> None:
    cut = make_abdomen(4, slice_mm=5, pixels=128, low_mm=100, high_mm=180)
    found = judge_fitness(cut.volume, header(5), cut.region("pancreas"))
    assert found.whole_gland is False
    assert "reaches the first or last slice" in told(found.limits)


def test_without_a_gland_it_is_said_what_is_in_view() -> None:
    pelvis = abdomen(Phase.PLAIN, -150, 30)
    found = judge_fitness(pelvis.volume, header(5), None)
    assert found.whole_gland is None and found.motion is None
    assert "no pancreas was found: only the pelvis is in view" in told(found.limits)


def test_motion_is_measured_and_said(thin: AbdomenPhantom) -> None:
    """Slices thrown about by 1.5 mm."""
    random = np.random.default_rng(0)
    pixel = thin.volume.grid.spacing_mm[1]
    moved = thin.volume.voxels.copy()
    for k in range(len(moved)):
        by = np.round(random.normal(0, 1.5, 2) / pixel).astype(int)
        moved[k] = np.roll(moved[k], by, (0, 1))
    found = judge_fitness(Volume(moved, thin.volume.grid), header(), thin.region("pancreas"))
    assert found.motion is not None and found.motion > 1
    assert "motion" in told(found.limits)


def test_an_even_shift_is_anatomy_not_motion(thin: AbdomenPhantom) -> None:
    """A body that lies obliquely moves by as much from every slice to the next."""
    pixel = thin.volume.grid.spacing_mm[1]
    moved = np.stack(
        [np.roll(p, round(k * 1.0 / pixel), 1) for k, p in enumerate(thin.volume.voxels)]
    )
    k, j, i = thin.region("pancreas").box
    box = (k, slice(j.start - 10, j.stop + 10), slice(i.start, i.stop + 20))
    found = motion_in(Volume(moved, thin.volume.grid), box)
    assert found is not None and found.median_mm < 1.0


@pytest.mark.parametrize("case", ["missing", "shifted"])
def test_a_step_between_slabs_is_said_where_it_is(thin: AbdomenPhantom, case: str) -> None:
    volume = thin.volume
    at = 22
    if case == "missing":  # 15 mm breathed away
        order = [*range(at), *range(at + 6, len(volume.voxels)), *[len(volume.voxels) - 1] * 6]
        stepped = with_slices(volume, order)
    else:
        voxels = volume.voxels.copy()
        voxels[at:] = np.roll(voxels[at:], round(8 / volume.grid.spacing_mm[1]), 1)
        stepped = Volume(voxels, volume.grid)
    found = judge_fitness(stepped, header(), thin.region("pancreas"))
    assert f"slices {at} and {at + 1} do not follow each other" in told(found.limits)


def test_interpolated_slices_of_the_gland_are_said(thin: AbdomenPhantom) -> None:
    gland = thin.region("pancreas")
    source = SourceSlice(Path("x"), "1.2", "1.2.3")
    sources = [source] * len(thin.volume.voxels)
    sources_with_gap = (*sources[:20], None, *sources[21:])
    assert gland.box[0].start <= 20 < gland.box[0].stop
    gap = Volume(thin.volume.voxels, thin.volume.grid, sources_with_gap)
    assert "1 slice(s) of the gland were missing" in told(
        judge_fitness(gap, header(), gland).limits
    )


@pytest.mark.parametrize(
    ("phase", "pancreas_hu", "said"),
    [
        (Phase.PLAIN, 38.0, "no contrast agent"),
        (Phase.ARTERIAL, 62.0, "before the pancreatic phase"),
        (Phase.ARTERIAL, 110.0, ""),
        (Phase.PORTAL, 80.0, ""),
        (Phase.UNKNOWN, 80.0, "the phase is not known"),
    ],
)
def test_what_the_phase_rules_out(
    thin: AbdomenPhantom, phase: Phase, pancreas_hu: float, said: str
) -> None:
    estimate = PhaseEstimate(phase=phase, why=Text.same("because"), pancreas_hu=pancreas_hu)
    found = judge_fitness(thin.volume, header(), thin.region("pancreas"), phase=estimate)
    assert said in told(found.limits)
    assert bool(found.limits) is bool(said)


def test_too_few_slices_show_no_motion(thin: AbdomenPhantom) -> None:
    assert motion_in(thin.volume, (slice(0, 4), slice(50, 100), slice(50, 100))) is None


def test_a_quiet_scan_of_a_patient_has_neither_motion_nor_steps(abdomen_archive: Path) -> None:
    volume = abdomen_volume(abdomen_archive)
    around = Region(np.ones((18, 120, 200), bool), (10, 170, 160), volume.grid)
    found = judge_fitness(volume, header(5), around)
    assert found.motion is not None and found.motion < 0.8
    assert "shifted" not in told(found.limits) and "follow" not in told(found.limits)
