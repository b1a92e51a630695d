"""Tilted, oblique and uneven series: a field that is linear in the patient tells every mistake.

Linear interpolation gives a linear field back exactly, so each voxel must hold the value of the
field at the place where the grid says it lies, whatever had to be moved or mixed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from benchmarks.archives import unpack
from imaging.arrange import Place
from imaging.geometry import Grid
from imaging.headers import read_header
from imaging.load import Loaded
from imaging.measure import measure
from imaging.objects import make_rtstruct, make_seg
from imaging.objects.key_images import render_key_image
from imaging.objects.source import plane_of
from imaging.pixels.moved import moved
from imaging.resample import to_isotropic
from imaging.spacing import STEP_TOLERANCE
from imaging.volume import Volume
from tests.unit.imaging.objects.made import Study
from tests.unit.imaging.synthetic import AXIAL, codes, load, make_images, random_hu, write

FIELD = np.array([2.0, -3.0, 1.5])
"""HU for each mm along x, y, z."""


def field(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ FIELD + 100.0)


def turned(angles: Sequence[float]) -> tuple[float, ...]:
    """ImageOrientationPatient of an axial slice turned about x, then y, then z (radians)."""
    x, y, z = angles
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    matrix = np.array(about_z) @ np.array(about_y) @ np.array(about_x)
    return tuple(float(v) for v in np.round(np.concatenate([matrix[:, 0], matrix[:, 1]]), 9))


def field_images(
    depths: Sequence[float],
    *,
    orientation: Sequence[float] = AXIAL,
    slope: tuple[float, float] = (0.0, 0.0),
    shape: tuple[int, int] = (14, 11),
) -> list[Dataset]:
    """Images of the field at depths along the normal; ``slope`` moves them along row, column."""
    cosines = np.reshape(np.asarray(orientation, dtype=float), (2, 3))
    normal = np.cross(*cosines)
    first = np.array([-10.0, -20.0, -100.0])
    way = normal + slope[0] * cosines[0] + slope[1] * cosines[1]
    grids = [
        Grid.from_dicom((1, *shape), first + depth * way, cosines.ravel(), (0.8, 0.7), normal)
        for depth in depths
    ]
    index = np.moveaxis(np.indices((1, *shape)), 0, -1)
    hu = np.stack([np.rint(field(grid.to_lps(index)))[0] for grid in grids]).astype(np.int16)

    def place(k: int, image: Dataset) -> None:
        image.ImagePositionPatient = [round(float(v), 6) for v in grids[k].to_lps((0, 0, 0))]
        image.SliceThickness = 2.5

    return make_images(hu, orientation=orientation, spacing=(0.8, 0.7), change=place)


def assert_field(volume: Volume, *, off_mm: float = 0.0) -> None:
    """Every voxel of every slice that lies inside the images.

    What rounding may add up to: 0.5 in the images, which the cubic's weights along rows and
    columns (sums of magnitudes up to 1.25 each) raise to 0.78, 0.5 once moved, 0.5 once mixed;
    and what lies ``off_mm`` from its slice, because the distances count as even.
    """
    index = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    wanted = field(volume.grid.to_lps(index))
    inside = volume.voxels > -1000
    assert inside.any(axis=(1, 2)).all()
    assert np.abs(volume.voxels - wanted)[inside].max() < 1.8 + off_mm * np.linalg.norm(FIELD)


angle = st.floats(-3.1, 3.1)
tilts = st.floats(-0.55, 0.55)


@settings(max_examples=12, deadline=None)
@given(
    angles=st.tuples(angle, angle, angle),
    slope=st.tuples(st.sampled_from([0.0, 0.0, 0.2]), tilts),
    jitter=st.one_of(st.just(0.0), st.floats(0, 0.6)),
    gone=st.sampled_from([(), (5,)]),
    data=st.data(),
)
def test_every_voxel_lies_where_its_value_is(
    tmp_path_factory: pytest.TempPathFactory,
    angles: tuple[float, float, float],
    slope: tuple[float, float],
    jitter: float,
    gone: tuple[int, ...],
    data: st.DataObject,
) -> None:
    """Any orientation, tilt, jitter, gap and order of files."""
    count = 24
    depths = 2.0 * np.arange(count)
    depths[1:-1:2] += jitter
    depths = np.delete(depths, gone if not jitter else ())
    images = field_images(depths, orientation=turned(angles), slope=slope)
    folder = tmp_path_factory.mktemp("field")
    paths = write(folder, images)
    loaded = load(paths)
    assert loaded.volume.grid.is_orthogonal()
    even = not any(n.code == "uneven-spacing" for n in loaded.notices)
    assert not even or jitter <= STEP_TOLERANCE * 2.0 + 1e-5
    assert_field(loaded.volume, off_mm=jitter if even else 0.0)
    again = load(data.draw(st.permutations(paths)))
    assert np.array_equal(again.volume.voxels, loaded.volume.voxels)
    assert again.volume.sources == loaded.volume.sources
    assert again.notices == loaded.notices
    shutil.rmtree(folder)


@settings(max_examples=8, deadline=None)
@given(angles=st.tuples(angle, angle, angle), step=st.floats(0.4, 6.0))
def test_grid_is_highdicom_s(
    tmp_path_factory: pytest.TempPathFactory, angles: tuple[float, float, float], step: float
) -> None:
    """Of a straight series; highdicom takes no tilted one."""
    folder = tmp_path_factory.mktemp("highdicom")
    images = field_images(step * np.arange(6), orientation=turned(angles), shape=(6, 5))
    volume = load(write(folder, images)).volume
    theirs = highdicom.get_volume_from_series([pydicom.dcmread(p) for p in folder.iterdir()])
    index = np.moveaxis(np.indices(volume.grid.shape), 0, -1).reshape(-1, 3)
    at = np.rint(theirs.map_reference_to_indices(volume.grid.to_lps(index))).astype(int)
    assert theirs.map_indices_to_reference(at) == pytest.approx(volume.grid.to_lps(index), abs=1e-3)
    assert np.array_equal(theirs.array[tuple(at.T)], volume.voxels[tuple(index.T)])
    shutil.rmtree(folder)


# -- what is made of a volume that was moved ---------------------------------------------


def ball(volume: Volume, centre: Sequence[float], radius: float) -> NDArray[np.bool_]:
    index = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    return np.asarray(
        np.linalg.norm(volume.grid.to_lps(index) - np.asarray(centre), axis=-1) < radius
    )


TILTED = {"slope": (0.0, 0.33)}
UNEVEN = {"depths": [*np.arange(0, 30, 2.0), *np.arange(30, 61, 3.0)]}


@pytest.fixture(params=[TILTED, UNEVEN, TILTED | UNEVEN], ids=["tilted", "uneven", "both"])
def moved_study(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    """A ball of 8 mm in a series that had to be moved, marked as a finding and measured."""
    depths = request.param.get("depths", 2.0 * np.arange(31))
    slope = request.param.get("slope", (0.0, 0.0))
    images = field_images(depths, slope=slope, shape=(60, 50))
    paths = write(tmp_path, images)
    volume = load(paths).volume
    study = Study([read_header(path) for path in paths], volume)
    mask = ball(volume, CENTRE + np.array([0, 30.0 * slope[1], 0]), 8.0)
    finding = study.add(mask)
    region = study.regions[finding.tracking_uid]
    study.findings[-1] = finding.model_copy(update=vars(measure(volume, region)))
    return study


CENTRE = np.array([8.0, 4.0, -70.0])


def centre_of(study: Study) -> NDArray[np.float64]:
    return np.asarray(study.findings[0].centre_lps_mm)


def test_a_segment_lies_on_the_images_own_pixels(moved_study: Study) -> None:
    """Read from the SEG's own geometry, each marked pixel lies in the ball, and none is missing."""
    seg = make_seg(
        moved_study.report(),
        moved_study.regions,
        moved_study.headers,
        slices=moved_study.volume.sources,
    )
    (row_mm, column_mm) = (0.8, 0.7)
    slack = np.hypot(row_mm, column_mm) / 2 + moved_study.volume.grid.spacing_mm[0] / 2
    centre = centre_of(moved_study)
    images = {tuple(h.ImagePositionPatient): h for h in moved_study.headers}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    assert len(frames) >= 5
    marked = 0
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = group.PlanePositionSequence[0].ImagePositionPatient
        header = images[tuple(place)]  # the frame lies on an image, to the digit
        named = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert named.ReferencedSOPInstanceUID == header.SOPInstanceUID
        plane = plane_of(header)
        assert frame.shape == (header.Rows, header.Columns)
        points = np.array([plane.to_lps(r, c) for r, c in np.argwhere(frame)])
        marked += len(points)
        assert np.linalg.norm(points - centre, axis=1).max() < 8.0 + slack
        index = np.moveaxis(np.indices(frame.shape), 0, -1).reshape(-1, 2)
        all_points = np.array([plane.to_lps(r, c) for r, c in index])
        within = np.linalg.norm(all_points - centre, axis=1) < 8.0 - slack
        assert frame.reshape(-1)[within].all()
    assert marked > 500
    assert seg.FrameOfReferenceUID == moved_study.headers[0].FrameOfReferenceUID


def test_outlines_axes_and_contours_lie_on_the_images(moved_study: Study) -> None:
    (finding,) = moved_study.findings
    planes = {h.SOPInstanceUID: plane_of(h) for h in moved_study.headers}
    centre, step = centre_of(moved_study), moved_study.volume.grid.spacing_mm[0]
    for outline in finding.outlines:
        plane = planes[outline.image.sop_instance_uid]
        points = np.array([plane.to_lps(r - 0.5, c - 0.5) for c, r in outline.points])
        away = abs(plane.position[2] - centre[2])
        radius = np.sqrt(max(64.0 - away**2, 0))
        found = np.linalg.norm(points[:, :2] - centre[:2], axis=1)
        # half a slice distance off the plane, where the ball is steep, and half a pixel
        low, high = max(64.0 - (away + step / 2) ** 2, 0), 64.0 - max(away - step / 2, 0) ** 2
        assert found.max() <= np.sqrt(high) + 0.9
        assert found.min() >= np.sqrt(low) - 0.9, (away, radius)
    key = planes[finding.key_image.sop_instance_uid]
    for end in (*finding.long_axis_lps_mm, *finding.short_axis_lps_mm):
        assert abs(end[2] - key.position[2]) <= step / 2 + 0.01
    assert finding.long_axis_mm == pytest.approx(16.0, abs=1.5)
    assert finding.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.08)
    struct = make_rtstruct(
        moved_study.report(),
        moved_study.regions,
        moved_study.headers,
        slices=moved_study.volume.sources,
    )
    for contour in struct.ROIContourSequence[0].ContourSequence:
        if "ContourImageSequence" in contour:
            plane = planes[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            z = np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3))[:, 2]
            assert z == pytest.approx(plane.position[2], abs=0.01)


def test_pictures_show_the_outline_where_the_volume_does(moved_study: Study) -> None:
    """Drawn with and without outline, the pictures differ around the finding alone."""
    (finding,) = moved_study.findings
    with_it = render_key_image(moved_study.volume, finding, height_px=300)
    without = render_key_image(moved_study.volume, finding, height_px=300, draw_outline=False)
    assert with_it != without


def test_a_tilted_volume_can_be_resampled(tmp_path: Path) -> None:
    """SimpleITK knows no sheared grid: what is loaded has none."""
    images = field_images(2.5 * np.arange(30), slope=(0.0, 0.3), shape=(40, 30))
    volume = to_isotropic(load(write(tmp_path, images)).volume, 1.0)
    index = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    wanted = field(volume.grid.to_lps(index))
    middle = tuple(slice(n // 2 - 3, n // 2 + 3) for n in volume.grid.shape)
    assert np.abs(volume.voxels - wanted)[middle].max() < 1.6


# -- real series -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tilted_head(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A head CT of 28 slices with a tilt of 18.5 degrees; 1.08, 4 and 7 mm apart."""
    archive = shared_data / "protocol" / "geometry_tilt_gaps" / "dcm_qa_ct_GE_tilt18.5_gap.tar.xz"
    if not archive.is_file():
        pytest.fail(f"{archive} is missing although its folder of real images exists")
    folder = unpack(archive, tmp_path_factory.mktemp("tilted"))
    found = [p for p in folder.rglob("*") if p.is_file() and b"DICM" in p.read_bytes()[:132]]
    return sorted(found, key=lambda p: float(pydicom.dcmread(p).ImagePositionPatient[2]))


def even_part(paths: list[Path]) -> list[Path]:
    """The longest run of one slice distance."""
    heights = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in paths]
    steps = np.round(np.diff(heights), 1)
    best, begin = (0, 0), 0
    for n in range(1, len(steps) + 1):
        if n == len(steps) or steps[n] != steps[begin]:
            best, begin = max(best, (n - begin, -begin)), n
    length, start = best[0], -best[1]
    return paths[start : start + length + 1]


def test_a_real_tilted_head_is_straightened(tilted_head: list[Path]) -> None:
    """Beside a straight line through the head, drawn in the images by their own headers."""
    paths = even_part(tilted_head)
    assert len(paths) >= 5
    loaded: Loaded = load(paths)
    assert "gantry-tilt" in codes(loaded)
    assert "18.5 degrees" in next(n.text.en for n in loaded.notices if n.code == "gantry-tilt")
    volume = loaded.volume
    assert volume.grid.is_orthogonal()
    headers = {str(h.SOPInstanceUID): h for h in map(pydicom.dcmread, paths)}
    rng = np.random.default_rng(0)
    for k, source in enumerate(volume.sources):
        assert source is not None
        header = headers[source.sop_instance_uid]
        plane, stored = plane_of(header), header.pixel_array * 1.0 + header.RescaleIntercept
        rows, columns = rng.integers(60, 450, (2, 60))
        index = volume.grid.to_index(np.array([plane.to_lps(r, c) for r, c in
                                               zip(rows, columns, strict=True)]))  # fmt: skip
        assert index[:, 0] == pytest.approx(k, abs=0.02)
        assert index[:, 1:] == pytest.approx(
            np.column_stack([rows, columns]) - volume.image_offset(k), abs=0.02
        )
        # In between two pixels the value is between theirs, but for a cubic's overshoot.
        at = np.floor(index[:, 1:] + 0.5).astype(int)
        near = np.stack([
            np.maximum(stored[rows + dr, columns], -1024) for dr in (-1, 0, 1)
        ])  # fmt: skip
        value = volume.voxels[k][tuple(at.T)]
        over = 1 + 0.3 * np.ptp(near, axis=0)
        assert (value >= near.min(axis=0) - over).all()
        assert (value <= near.max(axis=0) + over).all()
        assert np.median(np.abs(value - near[1])) < 6


def test_the_whole_head_with_its_three_distances_is_refused(tilted_head: list[Path]) -> None:
    with pytest.raises(Exception, match=r"1\.08 to 7\.00 mm"):
        load(tilted_head)


def test_dicom2nifti_s_tilted_sample(shared_data: Path) -> None:
    root = shared_data / "protocol" / "geometry_tilt_gaps" / "dicom2nifti_failing" / "gantrytilting"
    loaded = load(sorted(p for p in root.rglob("*") if p.is_file()))
    assert "gantry-tilt" in codes(loaded)
    assert loaded.volume.grid.is_orthogonal()


def test_moved_slices_are_said_in_both_languages(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, make_images(random_hu((20, 9, 9)), step=(0, 0.7, 2.5))))
    (item,) = loaded.notices
    assert item.code == "gantry-tilt"
    assert "15.6 degrees" in item.text.en
    assert "15.6 度" in item.text.zh


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_fine_wave_keeps_its_height(part: float) -> None:
    """A plane moved by half a pixel is no smoother than one that stays."""
    rows = np.arange(64)
    wave = np.rint(1000 * np.sin(2 * np.pi * rows / 6)).astype(np.int16)
    made = moved(np.tile(wave[:, None], (1, 8)), Place(row=part), (63, 8), -1024)
    wanted = 1000 * np.sin(2 * np.pi * (rows[:63] + part) / 6)
    assert np.abs(made[2:-2, 3] - wanted[2:-2]).max() < 60  # linear: 134 at one half


def test_whole_numbers_stay_in_their_type() -> None:
    plane = np.zeros((9, 9), np.int16)
    plane[4:] = 32767
    made = moved(plane, Place(row=0.5, column=0.5), (8, 8), 0)
    assert made.dtype == np.int16
    assert made.min() == 0  # an overshoot beyond the type would come out at its other end
    assert made.max() == 32767
