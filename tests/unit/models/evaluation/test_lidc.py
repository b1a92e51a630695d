"""LIDC-IDRI's folders and XML: which marks are one nodule, what counts, where the masks lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import group_series
from imaging.volume import Volume
from models.errors import DatasetError
from models.evaluation.agreement import dice
from models.evaluation.labelled.case import region_of
from models.evaluation.labelled.lidc import open_lidc
from models.evaluation.labelled.lidc_xml import read_readings
from models.evaluation.labelled.outlines import enclosed, longest_mm, same_nodules
from models.evaluation.nodules import MarkedScan
from tests.unit.models.evaluation.lidc_data import (
    Mark,
    Session,
    line_around,
    rois_of,
    write_readings,
)
from tests.unit.models.labelled_data import small_series

SQUARE = np.array([[2, 1], [7, 1], [7, 5], [2, 5]])


def test_an_outline_is_not_part_of_what_it_encloses() -> None:
    whole = np.zeros((3, 4), bool)  # rows 1 to 5, columns 2 to 7
    drawn = [(column, row) for column in range(2, 8) for row in range(1, 6)]
    edge = [(c, r) for c, r in drawn if c in (2, 7) or r in (1, 5)]
    edge.sort(key=lambda p: np.arctan2(p[1] - 3, p[0] - 4.5))  # as one walks round
    inside, first = enclosed(np.array(edge))
    assert first == (1, 2)
    assert np.array_equal(inside, np.pad(~whole, 1))


def test_only_the_points_of_an_outline_are_left_out() -> None:
    """Lines between points that are not neighbours are no points."""
    inside, first = enclosed(SQUARE)
    assert first == (1, 2)
    assert not inside[[0, 0, 4, 4], [0, 5, 0, 5]].any()
    assert inside[1:4, 1:5].all()


def test_the_line_around_a_blob_encloses_the_blob() -> None:
    rng = np.random.default_rng(0)
    at = np.stack(np.meshgrid(np.arange(40), np.arange(40), indexing="ij"), -1)
    for _ in range(20):
        middle, radii = rng.uniform(15, 25, 2), rng.uniform(1.2, 11, 2)
        blob = (((at - middle) / radii) ** 2).sum(-1) <= 1
        inside, (row, column) = enclosed(np.array(line_around(blob)))
        found = np.zeros_like(blob)
        found[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
        assert np.array_equal(found, blob)


def test_the_longest_diameter_is_in_mm() -> None:
    assert longest_mm(SQUARE, (1.0, 1.0)) == pytest.approx(np.hypot(5, 4))
    assert longest_mm(SQUARE, (2.0, 0.5)) == pytest.approx(np.hypot(2.5, 8))


def test_marks_within_a_slice_are_one_nodule() -> None:
    def point(*mm: float) -> np.ndarray:
        return np.array([mm])

    marks = [point(0, 0, 0), point(30, 0, 0), point(2, 0, 0), point(31, 0, 0), point(99, 0, 0)]
    assert same_nodules(marks, 2.5) == [[0, 2], [1, 3], [4]]
    assert same_nodules([], 2.5) == []
    # a chain of six in reach of one another is more than four readers can have drawn
    chain = [point(x, 0, 0) for x in (0, 2, 4, 10, 11.9, 13.8)]
    assert same_nodules(chain, 6.5) == [[0, 1, 2], [3, 4, 5]]


# A small series and its readings


def ball(shape: tuple[int, int, int], middle: tuple[int, int, int], radius: float) -> np.ndarray:
    at = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return np.linalg.norm(at - middle, axis=-1) <= radius


@pytest.fixture
def lidc(tmp_path: Path) -> Path:
    """Two patients; the first has readings beside its images, the second in a folder apart."""
    root = tmp_path / "LIDC-IDRI"
    for n, patient in enumerate(("LIDC-IDRI-0001", "LIDC-IDRI-0002")):
        folder = root / patient / "01-01-2000" / "3000566"
        for path in small_series(folder, seed=n):
            image = pydicom.dcmread(path)
            image.PatientID = patient
            image.save_as(path)
    return root


def series(folder: Path) -> tuple[str, Volume, dict[int, str], dict[int, float]]:
    """UID, volume, and the UID and z of each slice."""
    scan = scan_files(sorted(p for p in folder.rglob("*") if p.is_file()))
    (found,) = group_series(scan)
    volume = load_series(found).volume
    uids = {k: s.sop_instance_uid for k, s in enumerate(volume.sources) if s is not None}
    z = {k: float(volume.grid.to_lps((k, 0, 0))[2]) for k in uids}
    return found.uid, volume, uids, z


def only(root: Path, readers: int = 2) -> MarkedScan:
    (case,) = open_lidc(root, readers=readers)[0]
    return case.load()


def test_readers_marks_become_nodules(lidc: Path) -> None:
    first = lidc / "LIDC-IDRI-0001"
    uid, volume, uids, z = series(first)
    shape = volume.grid.shape
    masks = [ball(shape, (6, 20, 21), r) for r in (4.2, 4.2, 3.2)]
    alone = ball(shape, (7, 35, 12), 3.0)
    hollow = ball(shape, (10, 12, 36), 3.4)
    hole = [(36, 11), (38, 12), (36, 14), (35, 12)]
    k_hole = 10
    sessions = [
        Session(
            [
                Mark(rois_of(masks[0], uids, z), 5),
                Mark([*rois_of(hollow, uids, z), (uids[k_hole], z[k_hole], False, hole)], 1),
            ],
            [(uids[3], z[3], 40, 30)],
        ),
        Session([Mark(rois_of(masks[1], uids, z), 4), Mark(rois_of(hollow, uids, z), 2)]),
        Session(
            [
                Mark(rois_of(masks[2], uids, z), 4),
                Mark(rois_of(alone, uids, z)),
                Mark([(uids[2], z[2], True, [(25, 26)])], rated=False),
            ]
        ),
        Session(),
    ]
    write_readings(next(first.rglob("*.dcm")).parent / "069.xml", uid, sessions)
    cases, left_out = open_lidc(lidc)
    assert [case.name for case in cases] == ["LIDC-IDRI-0001"]
    assert [each.reason for each in left_out] == ["CT series without readings: no XML names it"]

    scan = cases[0].load()
    assert scan.notes == ()
    by_readers, ring, one, none, small = scan.nodules
    middle = volume.grid.to_lps((6, 20, 21))
    assert np.allclose(by_readers.truth.centre_mm, middle, atol=0.3 * max(volume.grid.spacing_mm))
    assert by_readers.truth.counted and ring.truth.counted
    # the median of the readers' longest; lines run one pixel outside
    spacing = volume.grid.spacing_mm[1]
    assert by_readers.truth.diameter_mm == pytest.approx((2 * 4.2 + 1.5) * spacing, abs=spacing)
    assert "texture part solid" in by_readers.truth.groups
    # at least half of three is two
    assert by_readers.region is not None
    assert dice(by_readers.region, region_of(masks[0], volume.grid)) == 1.0
    # one of two is half: the hole that only one reader cut stays filled
    assert ring.region is not None
    assert dice(ring.region, region_of(hollow, volume.grid)) == 1.0
    assert "texture part solid" in ring.truth.groups
    for other in (one, small, none):
        assert not other.truth.counted
    assert np.allclose(small.truth.centre_mm, volume.grid.to_lps((2, 26, 25)))
    assert np.allclose(none.truth.centre_mm, volume.grid.to_lps((3, 30, 40)))
    assert [n.truth.counted for n in only(lidc, readers=1).nodules] == [True] * 3 + [False] * 2
    assert [n.truth.counted for n in only(lidc, readers=3).nodules] == [True] + [False] * 4


def test_readings_may_lie_apart_and_images_may_be_gone(lidc: Path) -> None:
    folder = lidc / "LIDC-IDRI-0002"
    uid, volume, uids, z = series(folder)
    mask = ball(volume.grid.shape, (6, 20, 21), 4.0)
    rois = rois_of(mask, uids, z)
    rois[0] = ("1.2.3", rois[0][1], *rois[0][2:])  # another UID, the same place
    rois.append(("1.2.4", 9999.0, True, rois[1][3]))
    write_readings(
        lidc / "tcia-lidc-xml" / "157" / "158.xml", uid, [Session([Mark(rois)]), Session()]
    )
    (lidc / "tcia-lidc-xml" / "157" / "xray.xml").write_text("<IdriReadMessage/>")
    (lidc / "tcia-lidc-xml" / "157" / "bad.xml").write_text("<LidcReadMessage>")
    write_readings(lidc / "tcia-lidc-xml" / "9.xml", "1.2.3.4", [])
    cases, left_out = open_lidc(lidc)
    assert [case.name for case in cases] == ["LIDC-IDRI-0002"]
    reasons = sorted(each.reason for each in left_out)
    assert reasons[0].endswith("download it again") and "bad.xml" in reasons[0]
    assert reasons[-1] == "its series 1.2.3.4 is not here"
    scan = cases[0].load()
    assert scan.notes == ("1 mark(s) lie on images that are not here",)
    assert scan.nodules[0].region is not None
    assert dice(scan.nodules[0].region, region_of(mask, volume.grid)) == 1.0


def test_a_folder_without_readings_says_what_is_missing(lidc: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"2 CT series, 0 XML files.*LIDC-XML-only.zip"):
        open_lidc(lidc)
    with pytest.raises(DatasetError, match="no such folder"):
        open_lidc(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("", "has no SeriesInstanceUid"),
        (
            "<SeriesInstanceUid>1.2</SeriesInstanceUid><readingSession><unblindedReadNodule><roi>"
            "<imageZposition>x</imageZposition><edgeMap><xCoord>1</xCoord><yCoord>2</yCoord>"
            "</edgeMap></roi></unblindedReadNodule></readingSession>",
            "imageZposition is 'x', not a number",
        ),
        (
            "<SeriesInstanceUid>1.2</SeriesInstanceUid><readingSession><nonNodule>"
            "<nonNoduleID>7</nonNoduleID></nonNodule></readingSession>",
            "nonNodule 7 has no locus",
        ),
    ],
)
def test_damaged_readings_are_named(tmp_path: Path, inner: str, said: str) -> None:
    path = tmp_path / "1.xml"
    path.write_text(f"<LidcReadMessage>{inner}</LidcReadMessage>")
    with pytest.raises(DatasetError, match=said) as caught:
        read_readings(path)
    assert str(path) in str(caught.value)


def test_real_outlines_give_the_published_nodule(
    lidc_0001: Path, shared_data: Path, tmp_path: Path
) -> None:
    """Readings written from the four published masks against what pylidc measured on the XML."""
    chest = shared_data / "chest" / "LIDC-IDRI-0001"
    truth = json.loads(next(chest.glob("ground_truth*.json")).read_text())
    uid, volume, uids, z = series(lidc_0001)
    assert uid == truth["series_uid"]
    at_uid = {value: key for key, value in uids.items()}
    sessions = []
    masks = []
    for path in sorted((chest / "derived_QIICR").glob("SEG_*.dcm")):
        seg = pydicom.dcmread(path)
        mask = np.zeros(volume.grid.shape, bool)
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
            source = group.DerivationImageSequence[0].SourceImageSequence[0]
            mask[at_uid[source.ReferencedSOPInstanceUID]] = frame > 0
        masks.append(mask)
        sessions.append(Session([Mark(rois_of(mask, uids, z))]))
    write_readings(tmp_path / "069.xml", uid, sessions)
    for path in lidc_0001.rglob("*"):  # TCIA's folders hold the files themselves
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    (nodule,) = only(tmp_path).nodules
    (wanted,) = truth["nodules"]
    assert np.allclose(nodule.truth.centre_mm, wanted["centroid_lps_mm"], atol=1.0)
    assert nodule.truth.diameter_mm == pytest.approx(np.median(wanted["diameter_mm"]), abs=1.5)
    assert nodule.truth.counted
    majority = region_of(np.sum(masks, axis=0) * 2 >= len(masks), volume.grid)
    assert nodule.region is not None and majority is not None
    assert (dice(nodule.region, majority) or 0) > 0.97
