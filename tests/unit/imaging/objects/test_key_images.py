"""Pictures show the right slice, the right way up, in true proportion, with the outline on it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imaging.geometry import Grid
from imaging.objects import render_key_image, render_slice
from imaging.volume import Volume
from tests.unit.imaging.objects.made import AXIAL, CORONAL, SAGITTAL, make_study, two_findings


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def bright_at(volume: Volume, lps_side: np.ndarray) -> Volume:
    """The volume with one bright corner: the voxels farthest towards ``lps_side``."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.grid.shape), indexing="ij"), -1)
    along = volume.grid.to_lps(index) @ lps_side
    voxels = np.full(volume.grid.shape, -1000, dtype=np.int16)
    voxels[along > np.quantile(along, 0.8)] = 200
    return Volume(voxels, volume.grid, volume.sources)


def is_bright(picture: np.ndarray, side: str) -> bool:
    height, width = picture.shape[:2]
    part = {
        "left": picture[:, : width // 8],
        "right": picture[:, -width // 8 :],
        "top": picture[: height // 8],
        "bottom": picture[-height // 8 :],
    }[side]
    return bool(part.mean() > 128)


RIGHT, LEFT = np.array([-1.0, 0, 0]), np.array([1.0, 0, 0])
FRONT, HEAD = np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
TURNED = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("orientation", "towards", "side"),
    [
        (AXIAL, RIGHT, "left"),
        (AXIAL, FRONT, "top"),
        ((-1, 0, 0, 0, 1, 0), RIGHT, "left"),
        ((-1, 0, 0, 0, -1, 0), RIGHT, "left"),
        ((-1, 0, 0, 0, -1, 0), FRONT, "top"),
        (TURNED, RIGHT, "left"),
        (TURNED, FRONT, "top"),
        (CORONAL, RIGHT, "left"),
        (CORONAL, HEAD, "top"),
        ((1, 0, 0, 0, 0, 1), HEAD, "top"),
        (SAGITTAL, FRONT, "left"),
        (SAGITTAL, HEAD, "top"),
        ((0, -1, 0, 0, 0, -1), FRONT, "left"),
    ],
)
def test_radiological_convention(
    orientation: tuple[float, ...], towards: np.ndarray, side: str
) -> None:
    volume = bright_at(make_study((3, 30, 30), orientation=orientation).volume, towards)
    picture = pixels(render_slice(volume, 1, annotate=False))
    opposite = {"left": "right", "top": "bottom"}[side]
    assert is_bright(picture, side)
    assert not is_bright(picture, opposite)


def test_proportions_follow_the_pixel_spacing() -> None:
    study = make_study((3, 40, 40), spacing=(2.0, 1.0))
    picture = pixels(render_slice(study.volume, 0, height_px=400))
    assert picture.shape[:2] == (400, 200)
    turned = make_study((3, 40, 40), spacing=(2.0, 1.0), orientation=TURNED)
    assert pixels(render_slice(turned.volume, 0, height_px=400)).shape[:2] == (400, 800)


def test_window() -> None:
    grid = Grid((1, 8, 8), np.eye(4))
    for value, grey in ((-1350, 0), (-600, 127), (150, 255), (3000, 255)):
        volume = Volume(np.full((1, 8, 8), value, dtype=np.int16), grid)
        picture = pixels(render_slice(volume, 0, annotate=False))
        assert abs(int(picture[300, 300, 0]) - grey) <= 1


def yellow(picture: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (red > 170) & (green > 120) & (blue < 130) & (red - blue > 90)


@pytest.mark.parametrize("orientation", [AXIAL, (-1, 0, 0, 0, 1, 0), TURNED])
def test_outline_is_drawn_around_the_lesion(orientation: tuple[float, ...]) -> None:
    study = two_findings(orientation=orientation)
    finding = study.findings[1]
    voxels = np.full(study.volume.grid.shape, -1000, dtype=np.int16)
    region = study.regions[finding.tracking_uid]
    voxels[region.box] = 200
    volume = Volume(voxels, study.volume.grid, study.volume.sources)
    plain = pixels(render_slice(volume, finding.key_slice, annotate=False))
    marked = pixels(render_slice(volume, finding.key_slice, finding.outlines, annotate=False))
    lesion = np.argwhere(plain[..., 0] > 128)
    line = np.argwhere(yellow(marked))
    assert len(line) > 100
    # one voxel is some 30 pixels here; smoothing moves the edge by a few
    assert np.abs(lesion.min(0) - line.min(0)).max() <= 10
    assert np.abs(lesion.max(0) - line.max(0)).max() <= 10


def test_outlines_of_other_slices_are_not_drawn() -> None:
    study = two_findings()
    finding = study.findings[0]
    other = study.findings[1].key_slice
    assert yellow(pixels(render_slice(study.volume, finding.key_slice, finding.outlines))).any()
    assert not yellow(pixels(render_slice(study.volume, other, finding.outlines))).any()


def test_key_image_shows_whole_and_enlarged() -> None:
    study = two_findings()
    finding = study.findings[0]
    png = render_key_image(study.volume, finding, height_px=320)
    picture = pixels(png)
    height, width = picture.shape[:2]
    whole_width = width - height - 6
    assert height == 320
    assert whole_width == round(320 * 20 * 0.7 / (24 * 0.8))
    enlarged = picture[:, -height:]
    assert yellow(enlarged).sum() > yellow(picture[:, :whole_width]).sum() / 4
    assert png == render_key_image(study.volume, finding, height_px=320)


def test_key_image_without_outline_leaves_the_lesion_bare() -> None:
    study = two_findings()
    bare = pixels(render_key_image(study.volume, study.findings[0], draw_outline=False))
    assert not yellow(bare[:, -640:]).any()


def test_enlargement_follows_side_mm() -> None:
    study = two_findings()
    finding = study.findings[0]
    near = pixels(render_key_image(study.volume, finding, side_mm=15))[:, -640:]
    far = pixels(render_key_image(study.volume, finding, side_mm=60))[:, -640:]

    def extent(picture: np.ndarray) -> int:
        rows = np.flatnonzero(yellow(picture).any(axis=1))
        return int(rows[-1] - rows[0])

    assert extent(near) == pytest.approx(4 * extent(far), rel=0.1)


def test_no_such_slice() -> None:
    study = make_study()
    with pytest.raises(IndexError):
        render_slice(study.volume, 9)
    with pytest.raises(IndexError):
        render_slice(study.volume, -1)
