"""Labelled cases from files: DICOM SEG, masks, and tables of nodules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.coding import Code

from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import group_series
from imaging.volume import Region
from models.errors import DatasetError
from models.evaluation.labelled import Labelled, open_labelled
from models.spec import ModelSpec, read_spec
from tests.unit.models.labelled_data import small_series, write_image, write_seg
from tests.unit.models.made import write_model

NODULE = Code("27925004", "SCT", "Nodule")
OBLIQUE = Grid.from_dicom(
    (6, 9, 8), (-20.5, 30.0, 7.0), [0.8, 0.6, 0, -0.6, 0.8, 0], [0.7, 0.9], [0, 0, 2.5]
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return read_spec(write_model(tmp_path_factory.mktemp("models") / "nodules"))


def two_labels(spec: ModelSpec) -> ModelSpec:
    """The nodule's label 1 and an organ, label 2."""
    (nodule,) = spec.labels
    code = nodule.code.model_copy(update={"value": "39607008"})
    name = nodule.name.model_copy(update={"en": "Lung", "zh": "肺"})
    organ = nodule.model_copy(update={"index": 2, "kind": "organ", "name": name, "code": code})
    return spec.model_copy(update={"labels": (nodule, organ)})


def whole(region: Region) -> np.ndarray:
    mask = np.zeros(region.within.shape, bool)
    mask[region.box] = region.voxels
    return mask


def only(folder: Path, spec: ModelSpec) -> Labelled:
    (case,) = open_labelled(folder, spec).cases
    return case.load()


# DICOM SEG


def blob(shape: tuple[int, int, int] = (14, 48, 48)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[2:5, 10:14, 30:36] = True
    mask[3, 11, 36] = True
    return mask


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_seg_lies_on_its_series_voxels(
    tmp_path: Path, spec: ModelSpec, kind: str, backwards: bool
) -> None:
    images = small_series(tmp_path / "ct")
    write_seg(
        tmp_path / "seg.dcm", images, {"x": blob()}, code=NODULE, kind=kind, backwards=backwards
    )
    found = only(tmp_path, spec)
    assert found.masks is not None
    assert np.array_equal(whole(found.masks[1]), blob())
    series = group_series(scan_files(images))[0]
    assert np.array_equal(found.volumes[0].voxels, load_series(series).volume.voxels)
    (lesion,) = found.lesions
    volume = blob().sum() * found.volumes[0].grid.voxel_volume_mm3
    assert lesion.radius_mm == pytest.approx((volume * 3 / 4 / np.pi) ** (1 / 3))
    centre = found.volumes[0].grid.to_lps(np.argwhere(blob()).mean(0))
    assert lesion.centre == pytest.approx(centre.tolist())


def test_frames_far_apart_stay_thin(tmp_path: Path, spec: ModelSpec) -> None:
    # Empty slices have no frame: nothing in the SEG says that slices lie between these two.
    mask = np.zeros((14, 48, 48), bool)
    mask[[2, 9], 20:24, 20:24] = True
    write_seg(tmp_path / "seg.dcm", small_series(tmp_path / "ct"), {"x": mask}, code=NODULE)
    found = only(tmp_path, spec)
    assert found.masks is not None
    assert np.array_equal(whole(found.masks[1]), mask)
    assert len(found.lesions) == 2


def test_segments_are_labels_by_code_or_by_name_and_the_rest_is_noted(
    tmp_path: Path, spec: ModelSpec
) -> None:
    images = small_series(tmp_path / "ct")
    lung, vessel = np.roll(blob(), 5, axis=1), np.roll(blob(), 9, axis=1)
    write_seg(
        tmp_path / "1.dcm", images, {"any name": blob()}, code=Code("M-03010", "SRT", "Nodule")
    )
    write_seg(tmp_path / "2.dcm", images, {" lung": lung, "Vessel": vessel})
    found = only(tmp_path, two_labels(spec))
    assert found.masks is not None
    assert np.array_equal(whole(found.masks[1]), blob())
    assert np.array_equal(whole(found.masks[2]), lung)
    assert len(found.lesions) == 1, "an organ is no lesion"
    assert any("2.dcm" in note and "Vessel" in note for note in found.notes)


def test_a_seg_of_something_else_is_refused_by_name(tmp_path: Path, spec: ModelSpec) -> None:
    write_seg(tmp_path / "liver.dcm", small_series(tmp_path / "ct"), {"Liver": blob()})
    with pytest.raises(
        DatasetError, match=r"liver\.dcm: none of its segments \(Liver\).*Lung nodule"
    ):
        only(tmp_path, spec)


def test_a_seg_beside_the_images_voxels_is_refused(tmp_path: Path, spec: ModelSpec) -> None:
    path = write_seg(
        tmp_path / "seg.dcm", small_series(tmp_path / "ct"), {"x": blob()}, code=NODULE
    )
    seg = dcmread(path)
    for frame in seg.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        position[0] = float(position[0]) + 4.0
    seg.save_as(path)
    with pytest.raises(DatasetError, match=r"seg\.dcm: frame 1 lies 0\.\d+ voxels beside"):
        only(tmp_path, spec)


def test_series_without_a_seg_and_segs_without_a_series_are_left_out_loudly(
    tmp_path: Path, spec: ModelSpec
) -> None:
    marked, gone = small_series(tmp_path / "a"), small_series(tmp_path / "b", seed=1)
    small_series(tmp_path / "c", seed=2)
    write_seg(tmp_path / "a" / "seg.dcm", marked, {"x": blob()}, code=NODULE)
    write_seg(tmp_path / "b" / "seg.dcm", gone, {"x": blob()}, code=NODULE)
    for image in gone:
        image.unlink()
    found = open_labelled(tmp_path, spec)
    assert [case.name.split("/")[0] for case in found.cases] == ["a"]
    reasons = sorted(each.reason for each in found.left_out)
    assert reasons[0].startswith("its series ")
    assert reasons[1] == "no SEG refers to this series"
    assert len(reasons) == 2


# masks in files


def test_a_decathlon_folder(tmp_path: Path, spec: ModelSpec) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(-900, 200, OBLIQUE.shape).astype(np.int16)
    mask = np.zeros(OBLIQUE.shape, np.uint8)
    mask[1:3, 2:4, 5:7] = 1
    mask[4, 7, 1] = 1
    write_image(tmp_path / "imagesTr" / "ct_1.nii.gz", image, OBLIQUE)
    write_image(tmp_path / "labelsTr" / "ct_1.nii.gz", mask, OBLIQUE)
    entry = {"image": "./imagesTr/ct_1.nii.gz", "label": "./labelsTr/ct_1.nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [entry]}))
    found = only(tmp_path, spec)
    (volume,) = found.volumes
    assert np.array_equal(volume.voxels, image)
    assert volume.grid.same_as(OBLIQUE, tolerance_mm=1e-3)
    assert found.masks is not None
    assert np.array_equal(whole(found.masks[1]), mask == 1)
    small, large = sorted(found.lesions, key=lambda lesion: lesion.radius_mm)
    assert small.centre == pytest.approx(OBLIQUE.to_lps((4, 7, 1)).tolist(), abs=1e-3)
    assert large.centre == pytest.approx(OBLIQUE.to_lps((1.5, 2.5, 5.5)).tolist(), abs=1e-3)


def test_several_series_in_the_model_s_order(tmp_path: Path, spec: ModelSpec) -> None:
    roles = [{"role": "T1"}, {"role": "FLAIR"}]
    values = spec.model_dump() | {"series": roles, "folder": spec.folder}
    both = ModelSpec.model_validate(values)
    image = np.zeros((2, *OBLIQUE.shape), np.float32)
    image[0], image[1] = 0.5, 7.25
    mask = np.ones(OBLIQUE.shape, np.uint8)
    # the Decathlon's way: a fourth axis, named in dataset.json
    write_image(tmp_path / "a" / "imagesTr" / "x.nii.gz", image, OBLIQUE)
    write_image(tmp_path / "a" / "labelsTr" / "x.nii.gz", mask, OBLIQUE)
    names = {"modality": {"0": "Flair", "1": "T1"}}
    (tmp_path / "a" / "dataset.json").write_text(json.dumps(names))
    found = only(tmp_path / "a", both)
    assert [volume.voxels.flat[0] for volume in found.volumes] == [7.25, 0.5]
    # nnU-Net's way: a file for each
    for n in (0, 1):
        write_image(tmp_path / "b" / "imagesTr" / f"x_000{n}.nii.gz", image[n], OBLIQUE)
    write_image(tmp_path / "b" / "labelsTr" / "x.nii.gz", mask, OBLIQUE)
    found = only(tmp_path / "b", both)
    assert [volume.voxels.flat[0] for volume in found.volumes] == [0.5, 7.25]
    (tmp_path / "b" / "imagesTr" / "x_0001.nii.gz").unlink()
    with pytest.raises(DatasetError, match="x_0000.nii.gz: 1 series, nodules takes 2"):
        only(tmp_path / "b", both)


def test_pairs_by_name_and_what_has_no_partner(tmp_path: Path, spec: ModelSpec) -> None:
    empty = np.zeros(OBLIQUE.shape, np.int16)
    write_image(tmp_path / "p1" / "ct.nii.gz", empty, OBLIQUE)
    write_image(tmp_path / "p1" / "ct_seg.nii.gz", empty, OBLIQUE)
    write_image(tmp_path / "p2" / "ct.mha", empty, OBLIQUE)
    found = open_labelled(tmp_path, spec)
    assert [case.name for case in found.cases] == ["p1/ct"]
    loaded = found.cases[0].load()
    assert loaded.masks == {}
    assert loaded.lesions == ()
    (left,) = found.left_out
    assert "ct.mha has no mask beside it" in left.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("shape", "the mask is .* they must share a grid"),
        ("place", "they must share a grid"),
        ("fractions", "holds fractions"),
        ("values", r"its values \[7\] are no label of nodules \(1 = Lung nodule\)"),
        ("damaged", "cannot be read as an image"),
        ("gone", "no such file"),
    ],
)
def test_a_mask_that_can_t_be_used_is_named(
    tmp_path: Path, spec: ModelSpec, change: str, said: str
) -> None:
    write_image(tmp_path / "images" / "a.nii.gz", np.zeros(OBLIQUE.shape, np.int16), OBLIQUE)
    path = tmp_path / "labels" / "a.nii.gz"
    mask = np.zeros(OBLIQUE.shape, np.float32)
    grid = OBLIQUE
    if change == "shape":
        mask = mask[:-1]
        grid = OBLIQUE.crop((0, 0, 0), mask.shape)
    if change == "place":
        grid = OBLIQUE.crop((0, 1, 0), OBLIQUE.shape)
    if change == "fractions":
        mask[0] = 0.5
    if change == "values":
        mask[0] = 7
    write_image(path, mask, grid)
    if change == "damaged":
        path.write_bytes(path.read_bytes()[:60])
    (case,) = open_labelled(tmp_path, spec).cases
    if change == "gone":
        path.unlink()
    with pytest.raises(DatasetError, match=said) as caught:
        case.load()
    assert str(path) in str(caught.value)


def test_a_wrong_dataset_json_is_named(tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset\.json: cannot be read as JSON"):
        open_labelled(tmp_path, spec)
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "x.nii"}]}')
    with pytest.raises(DatasetError, match="has no image and label"):
        open_labelled(tmp_path, spec)


# centres and diameters

TABLE = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


def test_a_table_of_nodules(tmp_path: Path, spec: ModelSpec) -> None:
    volume = np.zeros(OBLIQUE.shape, np.int16)
    write_image(tmp_path / "subset0" / "1.2.3.mhd", volume, OBLIQUE)
    write_image(tmp_path / "subset1" / "1.2.4.nii.gz", volume, OBLIQUE)
    images = small_series(tmp_path / "dicom")
    uid = str(dcmread(images[0]).SeriesInstanceUID)
    x, y, z = OBLIQUE.to_lps((3, 4, 4))
    place = load_series(group_series(scan_files(images))[0]).volume.grid.to_lps((7, 20, 21))
    text = f"1.2.3,{x},{y},{z},4.0\n{uid},{place[0]},{place[1]},{place[2]},30\n9.9,0,0,0,5\n"
    (tmp_path / "annotations.csv").write_text(TABLE + text)
    found = open_labelled(tmp_path, spec)
    cases = {case.name: case.load() for case in found.cases}
    assert set(cases) == {"1.2.3", "1.2.4", uid}
    assert [left.name for left in found.left_out] == ["9.9"]
    assert cases["1.2.4"].lesions == ()
    (lesion,) = cases["1.2.3"].lesions
    assert lesion.radius_mm == 2.0
    inside = OBLIQUE.to_lps(np.argwhere(whole(lesion.region)))
    away = np.linalg.norm(inside - (x, y, z), axis=1)
    assert away.max() <= 2.0
    everywhere = np.stack(np.meshgrid(*map(np.arange, OBLIQUE.shape), indexing="ij"), -1)
    assert len(away) == (np.linalg.norm(OBLIQUE.to_lps(everywhere) - (x, y, z), axis=-1) <= 2).sum()
    assert cases[uid].lesions[0].centre == pytest.approx(tuple(place))
    assert all(case.masks is None for case in cases.values())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1.2.3,a,0,0,5", r"annotations\.csv: line 2: could not convert"),
        ("1.2.3,0,0,0", r"annotations\.csv: line 2"),
        ("1.2.3,0,0,0,0", "a diameter above 0"),
        ("1.2.3,nan,0,0,5", "three numbers in mm"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, spec: ModelSpec, row: str, said: str) -> None:
    (tmp_path / "annotations.csv").write_text(TABLE + row + "\n")
    with pytest.raises(DatasetError, match=said):
        open_labelled(tmp_path, spec)


def test_a_nodule_outside_its_image_is_refused(tmp_path: Path, spec: ModelSpec) -> None:
    write_image(tmp_path / "1.2.3.nii.gz", np.zeros(OBLIQUE.shape, np.int16), OBLIQUE)
    (tmp_path / "annotations.csv").write_text(TABLE + "1.2.3,900,0,0,5\n")
    with pytest.raises(DatasetError, match="lies outside its image; coordinates are LPS mm"):
        only(tmp_path, spec)


def test_a_csv_without_the_columns_is_told_which(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("seriesuid,x,y,z,diameter_mm\n")
    with pytest.raises(DatasetError, match=r"mine\.csv: has no column coordX, coordY, coordZ"):
        open_labelled(path, spec)


def test_points_need_one_kind_of_lesion(tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "annotations.csv").write_text(TABLE)
    label = spec.labels[0]
    two = spec.model_copy(update={"labels": (label, label.model_copy(update={"index": 2}))})
    with pytest.raises(DatasetError, match="has 2 lesion labels; give masks instead"):
        open_labelled(tmp_path, two)


def test_a_folder_with_nothing_says_what_would_do(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(DatasetError, match="no labelled images in it. Three layouts are read"):
        open_labelled(tmp_path, spec)
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_labelled(tmp_path / "x", spec)


def test_real_readers_masks(
    lidc_0001: Path, shared_data: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    """LIDC-IDRI-0001: four readers' DICOM SEGs of one 33 mm mass, made by others."""
    # a folder of linked folders, one of them a loop
    (tmp_path / "CT").symlink_to(lidc_0001, target_is_directory=True)
    readers = shared_data / "chest" / "LIDC-IDRI-0001" / "derived_QIICR"
    (tmp_path / "SEG").symlink_to(readers, target_is_directory=True)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = only(tmp_path, spec)
    (lesion,) = found.lesions
    # ground_truth_pylidc: centroid of the readers' outlines, volumes 6.1 to 7.9 ml
    assert np.linalg.norm(np.subtract(lesion.centre, (56.2, 86.2, -115.6))) < 1.0
    assert 7000 < lesion.region.mask.volume_mm3 < 9500
