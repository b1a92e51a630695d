"""From a volume to one gland on its own voxels; the network takes one density for pancreas."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.volume import Volume
from models.lesions import Lesions
from models.pancreas.find import find_pancreas
from models.pancreas.organ import filled, one_organ, smoothed
from models.pancreas.slices import axial_slices
from models.runner import PatchInput, PatchOutputs
from models.runtime import Batch, Outputs
from models.spec import CATALOG, read_spec

SPEC = read_spec(CATALOG / "pancreas_reference")
GLAND_HU, BODY_HU = 160.0, 40.0


class Density:
    """A network that calls patches of 130 to 190 HU pancreas, no rim of bone and nothing else."""

    name, device = "density", "cpu"

    def run(self, batch: Batch) -> Outputs:
        assert batch.ndim == 4 and batch.shape[1] == 1
        assert batch.shape[2] % 32 == 0 and batch.shape[3] % 32 == 0
        assert batch.min() >= 0 and batch.max() <= 255
        logits = (30 - np.abs(batch - GLAND_HU)).astype(np.float32) / 3
        return (_extreme(_extreme(logits, np.minimum), np.maximum),)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        raise NotImplementedError

    def close(self) -> None: ...


def _extreme(values: np.ndarray, which: np.ufunc) -> np.ndarray:
    """The least or greatest of each pixel and its eight neighbours."""
    for axis in (2, 3):
        values = which(which(np.roll(values, 1, axis), values), np.roll(values, -1, axis))
    return values


def body(spacing: tuple[float, float, float], *, flipped: bool = False) -> Volume:
    """An elliptic body of 240 x 180 x 120 mm with a spine in air, on a couch."""
    shape = tuple(round(mm / s) for mm, s in zip((120, 270, 330), spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, spacing[2]], [0, spacing[1], 0], [spacing[0], 0, 0]])
    affine[:3, 3] = (-165.0, -125.0, -600.0)
    if flipped:  # stored from the head down
        affine[:3, 3] += affine[:3, 0] * (shape[0] - 1)
        affine[:3, 0] *= -1
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    _, y, x = places(grid)
    hu = np.where((x / 120) ** 2 + (y / 90) ** 2 < 1, BODY_HU, -1000.0)
    hu = np.where(np.hypot(x, y - 55) < 23, 400.0, hu)
    hu = np.where((y > 110) & (y < 116) & (abs(x) < 150), 100.0, hu)
    return Volume(np.broadcast_to(hu, grid.shape).astype(np.float32), grid)


def places(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x of every voxel, mm, as arrays that broadcast; the grid's axes are z, y, x."""
    z, y, x = (grid.affine[r, c] * np.arange(n) + grid.affine[r, 3]
               for r, c, n in zip((2, 1, 0), (0, 1, 2), grid.shape, strict=True))  # fmt: skip
    return z[:, None, None], y[None, :, None], x[None, None, :]


def with_ellipsoid(
    volume: Volume, centre: tuple[float, float, float], axes_mm: tuple[float, float, float]
) -> tuple[Volume, np.ndarray]:
    """The volume with one more ellipsoid of gland (x, y, z in mm), and its mask."""
    z, y, x = places(volume.grid)
    inside = sum(
        ((each - c) / a) ** 2 for each, c, a in zip((x, y, z), centre, axes_mm, strict=True)
    )
    mask = np.asarray(inside < 1)
    return Volume(np.where(mask, GLAND_HU, volume.voxels).astype(np.float32), volume.grid), mask


def found_in(volume: Volume) -> Lesions:
    return find_pancreas(volume, SPEC, {"organ": Density()}, lambda step: None)


def full(found: Lesions, grid: Grid) -> np.ndarray:
    (gland,) = found.candidates
    mask = np.zeros(grid.shape, bool)
    mask[gland.region.box] = gland.region.voxels
    return mask


def codes(found: Lesions) -> set[str]:
    return {notice.code for notice in found.notices}


@pytest.mark.parametrize(
    ("spacing", "flipped"),
    [((1.25, 1.2, 1.2), False), ((5.0, 0.7, 0.9), True), ((2.5, 0.98, 0.98), False)],
)
def test_the_gland_lies_where_it_was_put(
    spacing: tuple[float, float, float], flipped: bool
) -> None:
    volume, true = with_ellipsoid(body(spacing, flipped=flipped), (20, -30, -545), (50, 14, 22))
    found = found_in(volume)
    mask = full(found, volume.grid)
    dice = 2 * (mask & true).sum() / (mask.sum() + true.sum())
    assert dice > 0.9
    assert found.candidates[0].label == 1 and 0.5 < found.candidates[0].score <= 1
    assert codes(found) == set()
    assert set(found.seconds) == {"coverage", "slices", "segment", "organ"}


def test_where_nothing_looks_like_pancreas_none_is_drawn() -> None:
    found = found_in(body((5.0, 1.5, 1.5)))
    assert found.candidates == ()
    assert codes(found) == {"no-pancreas"}


def test_in_a_leg_none_is_looked_for() -> None:
    volume, _ = with_ellipsoid(body((5.0, 1.5, 1.5)), (0, 0, -540), (40, 20, 30))
    leg = volume.voxels.copy()
    leg[:, :, :70] = leg[:, :, 150:] = -1000
    found = found_in(Volume(leg, volume.grid))
    assert found.candidates == ()
    assert codes(found) == {"no-pancreas-here"}


def test_a_far_piece_is_left_out_and_a_near_one_is_kept() -> None:
    volume, main = with_ellipsoid(body((2.5, 1.5, 1.5)), (10, -20, -540), (40, 14, 20))
    volume, near = with_ellipsoid(volume, (71, -20, -540), (9, 9, 15))
    volume, far = with_ellipsoid(volume, (-80, 30, -500), (20, 14, 14))
    found = found_in(volume)
    mask = full(found, volume.grid)
    assert (mask & main).sum() > 0.8 * main.sum()
    assert (mask & near).sum() > 0.7 * near.sum()
    assert not (mask & far).any()
    assert codes(found) == {"pancreas-pieces"}


def test_a_gland_cut_by_the_end_of_the_scan_is_said_so() -> None:
    volume, _ = with_ellipsoid(body((5.0, 1.5, 1.5)), (20, -30, -600), (50, 14, 30))
    assert codes(found_in(volume)) == {"pancreas-cut"}


@pytest.mark.parametrize("axes_mm", [(16, 10, 16), (90, 32, 34)])
def test_an_implausible_volume_is_said_so(axes_mm: tuple[float, float, float]) -> None:
    volume, _ = with_ellipsoid(body((2.5, 1.5, 1.5)), (0, -10, -540), axes_mm)
    found = found_in(volume)
    assert codes(found) == {"pancreas-volume"}
    (said,) = found.notices
    assert "15 to 250 ml" in said.text.en and "15 至 250 ml" in said.text.zh


def test_slices_hold_the_body_and_not_the_couch() -> None:
    volume = body((1.0, 1.0, 1.0))
    slices = axial_slices(volume)
    assert slices.grid.spacing_mm == pytest.approx((3.0, 1.6, 1.6))
    assert slices.values.shape == (40, 128, 160)
    assert slices.values.min() >= 0 and slices.values.max() <= 255
    # What lies at a place in the source lies there in the slices too.
    at = np.rint(slices.grid.to_index((0.0, 0.0, -520.0))).astype(int)
    assert slices.values[tuple(at)] == pytest.approx(BODY_HU, abs=0.5)


def test_a_volume_of_few_thin_slices_still_makes_a_slice() -> None:
    volume = body((1.0, 2.0, 2.0))
    two = Volume(volume.voxels[:2], Grid((2, *volume.grid.shape[1:]), volume.grid.affine))
    assert axial_slices(two).values.shape[0] == 1


def test_smoothing_leaves_what_all_slices_agree_on() -> None:
    grid = Grid((7, 4, 4), np.diag([2.5, 1.6, 1.6, 1.0])[[2, 1, 0, 3]])
    steady = np.full((7, 4, 4), 0.8, np.float32)
    assert smoothed(steady, grid) == pytest.approx(steady)
    lone = np.zeros((7, 4, 4), np.float32)
    lone[3] = 1
    out = smoothed(lone, grid)[:, 0, 0]
    assert out[3] < 0.5 and out[3] > out[2] > out[1] > 0
    assert out[2] == pytest.approx(out[4])


def test_unsure_tissue_is_no_organ() -> None:
    grid = Grid((5, 32, 32), np.diag([1.6, 1.6, 2.5, 1.0])[[2, 1, 0, 3]])
    probability = np.full((5, 32, 32), 0.6, np.float32)
    assert one_organ(probability, grid, 0.5) is None
    probability[2, 10:20, 10:20] = 0.9
    assert one_organ(probability, grid, 0.5) is not None


def test_the_shipped_network_is_small_enough_and_described() -> None:
    folder: Path = SPEC.folder
    assert sum(path.stat().st_size for path in folder.glob("*.onnx")) < 20_000_000
    assert SPEC.reference_weights and SPEC.operating_point.validated is None
    assert [label.code.value for label in SPEC.labels] == ["15776009"]
    assert not any(label.kind == "lesion" for label in SPEC.labels)


def test_doubtful_tissue_links_two_halves_and_is_not_drawn() -> None:
    grid = Grid((4, 24, 96), np.diag([1.6, 1.6, 2.5, 1.0])[[2, 1, 0, 3]])
    probability = np.zeros((4, 24, 96), np.float32)
    probability[:, 6:18, 4:30] = 0.9
    probability[:, 6:18, 70:90] = 0.9
    parted = one_organ(probability, grid, 0.5)
    assert parted is not None and parted.pieces == 1
    assert not (parted.probability[:, :, 40:] > 0).any()
    probability[:, 10:14, 30:70] = 0.35
    linked = one_organ(probability, grid, 0.5)
    assert linked is not None and linked.pieces == 2
    drawn = linked.probability >= 0.5
    assert drawn[:, :, 70:90].any() and not drawn[:, :, 30:70].any()


def test_a_cyst_and_a_bay_belong_to_the_gland_and_its_outline_stays() -> None:
    disc = np.hypot(*np.mgrid[-16:16, -16:16]) <= 12
    dark = np.hypot(*np.mgrid[-18:14, -16:16]) <= 4
    notch = np.zeros_like(disc)
    notch[16:32, 15:18] = True
    slices = np.stack([disc & ~dark, disc & ~notch, np.zeros_like(disc)])
    found = filled(slices)
    assert found[0][dark].all() and not found[2].any()
    assert np.count_nonzero(found[1] & notch & disc) > 0.7 * np.count_nonzero(notch & disc)
    assert np.count_nonzero(found[:2] & ~disc) == 0
