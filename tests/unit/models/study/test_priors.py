"""An earlier examination read by the same model: compared, or told why not; never a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging.guidelines import guidance_of
from imaging.identity import derive_uid
from imaging.priors.values import Change
from models.engine.warm import InUse
from models.errors import InferenceFailed
from models.loaded import LoadedModel
from models.study.plan import StudyPlan
from models.study.priors import PriorImages, PriorScan, compares
from models.study.reading import StudyReading, plan_study, read_together
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import CHEST_MM, bright_model, chest, chest_grid

LEFT, RIGHT = (50.0, 4.0, 12.0), (-44.0, -20.0, -30.0)
THEN, NOW = "20250110", "20260105"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


def write_chest(folder: Path, date: str, diameters_mm: tuple[float, float]) -> list[Path]:
    """Two lungs full of vessels, and a ball in each."""
    balls = ((LEFT, diameters_mm[0], 200), (RIGHT, diameters_mm[1], 220))
    volume = chest(chest_grid(), ())
    rng = np.random.default_rng(5)
    lung = volume.voxels < -800
    vessels = np.zeros(volume.grid.shape, np.float32)
    for _ in range(3):  # blurred noise: something to recognise places by
        noise = rng.standard_normal(volume.grid.shape).astype(np.float32)
        for axis in range(3):
            noise = noise + np.roll(noise, 1, axis)
        vessels += noise
    voxels = volume.voxels + (lung * np.clip(vessels * 30, -80, 260)).astype(np.int16)
    index = np.stack(np.meshgrid(*map(np.arange, volume.grid.shape), indexing="ij"), axis=-1)
    at = volume.grid.to_lps(index)
    for centre, diameter, value in balls:
        voxels[np.linalg.norm(at - centre, axis=-1) <= diameter / 2] = value

    def change(k: int, image: Dataset) -> None:
        image.StudyInstanceUID = derive_uid("priors", date)
        image.SeriesInstanceUID = derive_uid("priors", date, "series")
        image.SOPInstanceUID = derive_uid("priors", date, k)
        image.StudyDate = date

    images = make_images(
        voxels, first=volume.grid.affine[:3, 3], spacing=CHEST_MM[1:], step=(0, 0, CHEST_MM[0]),
        change=change,
    )  # fmt: skip
    return write(folder / date, images)


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_chest(tmp_path_factory.mktemp("now"), NOW, (24.0, 20.0))


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_chest(tmp_path_factory.mktemp("then"), THEN, (14.0, 20.0))


def scanned(paths: list[Path]) -> PriorScan:
    return PriorScan.of(PriorImages(derive_uid("priors", THEN), THEN, tuple(paths)))


def read(
    now: list[Path], model: LoadedModel, *priors: PriorScan, fails_at: int = 0
) -> StudyReading:
    """``fails_at``: so many times the model is given out, then it fails."""
    scan, plan = plan_study(now, model.spec)
    given = 0

    @contextmanager
    def opened(_name: str) -> Iterator[InUse]:
        nonlocal given
        given += 1
        if given == fails_at:
            raise InferenceFailed("the device is lost")
        yield InUse(model, model.runners, ())

    return read_together(scan, StudyPlan(plans=(plan,)), opened, priors=priors)


def codes(reading: StudyReading) -> list[str]:
    return [notice.code for notice in reading.report.warnings]


@pytest.fixture(scope="module")
def reading(
    now: list[Path],
    then: list[Path],
    model: LoadedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> StudyReading:
    """Compared with two, of which one is gone."""
    gone = tmp_path_factory.mktemp("gone") / "gone.dcm"
    return read(now, model, scanned([gone]), scanned(then))


def test_the_report_has_the_comparison(reading: StudyReading) -> None:
    (comparison,) = reading.report.comparisons
    assert comparison.study_uid == derive_uid("priors", THEN)
    assert comparison.series_uid == derive_uid("priors", THEN, "series")
    assert (comparison.study_date, comparison.days) == (THEN, 360)
    found = {c.tracking_uid: c for c in comparison.changes}
    assert {f.tracking_uid for f in reading.report.findings} <= set(found)
    assert codes(reading).count("prior-not-compared") == 1, "the other one"
    assert {"prior 2", "compare 2"} <= set(reading.seconds)
    by_place = {
        "left" if f.centre_lps_mm[0] > 0 else "right": found[f.tracking_uid]
        for f in reading.report.findings
    }
    assert by_place["left"].change is Change.GROWN, by_place["left"].why
    assert by_place["right"].change is Change.STABLE, by_place["right"].why


def test_guidelines_are_applied_after_it(reading: StudyReading) -> None:
    assert reading.report.guidance == guidance_of(reading.report)


def test_the_reading_itself_is_the_same_without_it(
    reading: StudyReading, now: list[Path], model: LoadedModel
) -> None:
    alone = read(now, model)
    assert alone.report.findings == reading.report.findings
    assert alone.report.comparisons == ()
    assert "prior 1" not in alone.seconds and "prior" not in alone.seconds


def test_a_prior_the_model_does_not_take_is_told(
    now: list[Path], then: list[Path], model: LoadedModel
) -> None:
    few = read(now, model, scanned(then[:12]))
    assert few.report.comparisons == ()
    (told,) = [n for n in few.report.warnings if n.code == "prior-not-compared"]
    assert "2025-01-10" in told.text.en and "12 slices" in told.text.en
    assert "12 层" in told.text.zh
    assert few.report.findings


def test_a_prior_without_lungs_is_told(now: list[Path], tmp_path: Path, model: LoadedModel) -> None:
    solid = np.full((28, 40, 40), 40, np.int16)

    def change(_k: int, image: Dataset) -> None:
        image.StudyInstanceUID = derive_uid("priors", THEN)

    found = read(now, model, scanned(write(tmp_path, make_images(solid, change=change))))
    (told,) = [n for n in found.report.warnings if n.code == "prior-not-compared"]
    assert "0 ml of lung in view" in told.text.en and "肺容积 0 ml" in told.text.zh


def test_a_prior_that_is_damaged_costs_nothing(
    now: list[Path], then: list[Path], model: LoadedModel, tmp_path: Path
) -> None:
    damaged = []
    for path in then:
        cut = tmp_path / path.name
        cut.write_bytes(path.read_bytes()[:-500])
        damaged.append(cut)
    found = read(now, model, scanned(damaged))
    assert "prior-not-compared" in codes(found) and found.report.findings


def test_a_device_that_fails_over_the_prior_alone_costs_nothing(
    now: list[Path], then: list[Path], model: LoadedModel
) -> None:
    found = read(now, model, scanned(then), fails_at=2)
    (told,) = [n for n in found.report.warnings if n.code == "prior-not-compared"]
    assert "the device is lost" in told.text.en
    assert found.report.findings
    with pytest.raises(InferenceFailed):
        read(now, model, scanned(then), fails_at=1)


@pytest.mark.parametrize(
    ("change", "followed"),
    [({}, True), ({"modality": "MR"}, False), ({"site": "15497006"}, False)],
)
def test_lung_nodules_on_ct_are_followed(
    model: LoadedModel, change: dict[str, Any], followed: bool
) -> None:
    spec = model.spec
    if "modality" in change:
        rule = spec.input.model_copy(update=change)
        spec = spec.model_copy(update={"input": rule})
    if "site" in change:
        (label,) = spec.labels
        site = label.site.model_copy(update={"value": change["site"]})
        spec = spec.model_copy(update={"labels": (label.model_copy(update={"site": site}),)})
    assert compares(spec) is followed
