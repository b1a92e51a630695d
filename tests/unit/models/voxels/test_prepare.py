"""A recipe's steps give MONAI's numbers, whatever way a volume lies."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.geometry import Grid
from imaging.volume import Volume
from models.recipe import (
    CropForeground,
    Normalise,
    Orient,
    PrepareStep,
    Rescale,
    Space,
    Window,
)
from models.voxels.frames import image_of
from models.voxels.prepare import Prepared, prepare
from models.voxels.trail import Spaced
from tests.unit.models import monai_way
from tests.unit.models.monai_way import grid, noise

Steps = tuple[PrepareStep, ...]

GRIDS = {
    "axial": grid(),
    "feet first": grid(axes="feet first"),
    "coronal": grid(axes="coronal"),
    "sagittal": grid(axes="sagittal", spacing=(3.0, 0.5, 0.5)),
    "thin slices": grid((31, 12, 11), (0.6, 1.9, 2.1)),
    "oblique": grid(turn=0.4),
    "hardly oblique": grid(turn=1e-3),
    "tilted gantry": grid(shear=0.05),
    "tilted and turned": grid(axes="coronal", turn=0.7, shear=-0.03),
    "one slice": grid((1, 14, 15)),
}
RECIPES: dict[str, Steps] = {
    "spleen": (Orient(), Space(spacing_mm=(1.5, 1.5, 2.0)), Window(low=-57, high=164)),
    "nodules": (
        Orient(),
        Space(spacing_mm=(0.703125, 0.703125, 1.25)),
        Window(low=-1024, high=300),
    ),
    "isotropic, from -1 to 1, unclipped": (
        Orient(axes="LPS"),
        Space(spacing_mm=(1, 1, 1)),
        Window(low=-200, high=300, to_low=-1, clip=False),
        Window(low=0, high=2),
    ),
    "window before spacing": (
        Window(low=-175, high=250),
        Orient(axes="SRA"),
        Space(spacing_mm=(2, 2, 2)),
    ),
    "nearest": (Orient(), Space(spacing_mm=(1.1, 1.3, 1.7), interpolation="nearest")),
    "brats": (Normalise(nonzero=True, channel_wise=True),),
    "whole image": (Normalise(), Rescale(low=-1, high=1)),
    "given numbers": (Orient(), Normalise(mean=-150.0, deviation=320.0)),
    "whole body": (
        Orient(),
        Space(spacing_mm=(1.5, 1.5, 1.5)),
        Normalise(),
        Rescale(low=-1.0),
    ),
    "vista": (
        Space(spacing_mm=(1.5, 1.5, 1.5)),
        CropForeground(margin=2),
        Window(low=-963.8, high=1053.7),
        Orient(),
    ),
    "padded crop": (CropForeground(margin=3, allow_smaller=False), Orient(axes="PIR")),
    "crop first": (
        Orient(),
        CropForeground(margin=1),
        Space(spacing_mm=(1.0, 2.0, 1.0)),
        Rescale(channel_wise=True),
    ),
    "one value": (Window(low=100, high=100, to_low=0.25), Normalise(), Rescale()),
}


def compare(volumes: list[Volume], steps: Steps, tolerance: float = 1e-5) -> Prepared:
    """Both ways; the tolerance is a part of the greatest value."""
    theirs = monai_way.Prepared(volumes, steps).image
    before = [volume.voxels.copy() for volume in volumes]
    ours = prepare(image_of(volumes), steps)
    assert ours.voxels.shape == tuple(theirs.shape)
    assert ours.voxels.dtype == np.float32
    assert ours.voxels.flags.c_contiguous
    assert np.allclose(ours.affine, theirs.affine.numpy(), rtol=0, atol=1e-9)
    assert ours.trail.working == ours.voxels.shape[1:]
    scale = max(1.0, float(np.abs(theirs.numpy()).max()))
    assert np.abs(ours.voxels - theirs.numpy()).max() <= tolerance * scale
    for volume, voxels in zip(volumes, before, strict=True):
        assert np.array_equal(volume.voxels, voxels), "the source was written to"
    return ours


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("where", ["axial", "feet first", "coronal", "sagittal"])
def test_along_the_patient_as_monai_prepares_it(where: str, recipe: str) -> None:
    compare([noise(GRIDS[where], rim=1)], RECIPES[recipe])


@pytest.mark.parametrize("recipe", ["spleen", "vista", "whole body", "padded crop"])
@pytest.mark.parametrize("where", ["thin slices", "oblique", "hardly oblique", "one slice"])
def test_oblique_and_odd_grids_as_monai_prepares_them(where: str, recipe: str) -> None:
    compare([noise(GRIDS[where])], RECIPES[recipe])


@pytest.mark.parametrize("recipe", ["spleen", "isotropic, from -1 to 1, unclipped", "vista"])
@pytest.mark.parametrize("where", ["tilted gantry", "tilted and turned"])
def test_sheared_grids_are_straightened_as_monai_straightens_them(where: str, recipe: str) -> None:
    compare([noise(GRIDS[where])], RECIPES[recipe])


@pytest.mark.parametrize("recipe", ["brats", "spleen", "crop first"])
def test_several_channels(recipe: str) -> None:
    volumes = [noise(GRIDS["axial"], seed, rim=seed) for seed in range(4)]
    volumes[2] = Volume(np.zeros(volumes[2].grid.shape, np.float32), volumes[2].grid)
    compare(volumes, RECIPES[recipe])


def test_zeros_stay_exactly_zero_after_interpolation() -> None:
    """Whether a voxel counts as 0 decides over it: there numbers equal torch's bit by bit."""
    where = grid((12, 30, 30), (3.0, 0.75, 0.75))
    hu = np.random.default_rng(5).integers(-3, 4, where.shape).astype(np.int16)
    steps = (Orient(), Space(spacing_mm=(1.5, 1.5, 1.1)), Normalise(nonzero=True))
    zeros = prepare(image_of([Volume(hu, where)]), steps[:2]).voxels == 0
    assert zeros.sum() > 100
    compare([Volume(hu, where)], steps)


finite = st.sampled_from([0.5, 0.7, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0])


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    shape = draw(st.tuples(*[st.integers(2, 20)] * 3))
    spacing = draw(st.tuples(finite, finite, finite))
    return grid(shape, spacing, draw(st.sampled_from(sorted(monai_way.AXES))))


@st.composite
def recipes(draw: st.DrawFn) -> Steps:
    steps: list[PrepareStep] = [Orient(axes=draw(st.sampled_from(["RAS", "LPS", "SAR", "PIR"])))]
    how = draw(st.sampled_from(["linear", "linear", "nearest"]))
    steps.append(Space(spacing_mm=draw(st.tuples(finite, finite, finite)), interpolation=how))
    if draw(st.booleans()):
        crop = CropForeground(margin=draw(st.integers(0, 3)), allow_smaller=draw(st.booleans()))
        steps.insert(draw(st.integers(0, 2)), crop)
    if draw(st.booleans()):
        steps.append(Window(low=-300, high=400, clip=draw(st.booleans())))
    if draw(st.booleans()):
        steps.append(Orient())
    return tuple(steps)


@given(grids(), recipes())
@settings(max_examples=40, deadline=None)
def test_any_recipe_on_any_grid_along_the_patient(where: Grid, steps: Steps) -> None:
    volume = noise(where)
    volume.voxels[-1, -1, -1] = 900
    compare([volume], steps)


def test_a_spacing_that_is_already_there_is_no_step() -> None:
    volume = noise(grid(spacing=(2.0004, 1.5, 1.4997)))
    prepared = prepare(image_of([volume]), RECIPES["spleen"])
    assert not any(isinstance(step, Spaced) for step in prepared.trail.steps)
    assert prepared.voxels.shape[1:] == (17, 22, 13)


def test_two_new_spacings_are_refused() -> None:
    steps = (Space(spacing_mm=(1, 1, 1)), Space(spacing_mm=(2, 2, 2)))
    with pytest.raises(ValueError, match="two space steps"):
        prepare(image_of([noise(grid())]), steps)


def test_where_nothing_is_above_zero_nothing_is_cropped() -> None:
    air = Volume(np.full((4, 5, 6), -1000, np.int16), grid((4, 5, 6)))
    assert prepare(image_of([air]), (CropForeground(),)).voxels.shape == (1, 6, 5, 4)


@pytest.mark.parametrize("axes", ["axial", "sagittal"])
def test_no_more_memory_than_the_result_and_a_few_planes(axes: str) -> None:
    volume = noise(grid((96, 128, 128), (1.0, 0.8, 0.8), axes))
    image = image_of([volume])
    tracemalloc.start()
    prepared = prepare(image, RECIPES["spleen"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 16 planes of the result, and what one of them takes on the way.
    assert peak < prepared.voxels.nbytes + (4 << 20)
