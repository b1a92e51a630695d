"""Several models on one study, several labels of one model, several series of one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging.errors import InconsistentSeries
from imaging.finding import Code
from imaging.geometry import Grid
from imaging.headers import Scan, scan_files
from imaging.language import Text
from imaging.notices import Notice, notice
from imaging.objects import make_seg, make_sr
from imaging.report import Report
from imaging.volume import Region, Volume
from models.engine.warm import InUse
from models.errors import InferenceFailed, InputRefused, PatchRefused
from models.lesions import Candidate, Lesions
from models.loaded import LoadedModel
from models.sections import Label
from models.spec import ModelSpec
from models.study.plan import plan_together
from models.study.reading import StudyReading, read_together
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import bright_model

Found = Callable[[Sequence[Volume], LoadedModel], Lesions]

LUNG = Code(value="39607008", scheme="SCT", meaning=Text(en="Lung", zh="肺"))
SPLEEN = Code(value="78961009", scheme="SCT", meaning=Text(en="Spleen", zh="脾"))
LABELS = (
    Label(index=1, name=Text(en="Nodule", zh="结节"), code=LUNG, site=LUNG),
    Label(index=2, name=Text(en="Cyst", zh="囊肿"), code=SPLEEN, site=SPLEEN),
    Label(index=3, name=Text(en="Spleen", zh="脾"), code=SPLEEN, site=SPLEEN, kind="organ"),
    Label(index=4, name=Text(en="Table", zh="床"), code=LUNG, site=LUNG, kind="ignored"),
)
HU = np.random.default_rng(2).integers(-900, 400, (24, 40, 40)).astype(np.int16)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    made = bright_model(tmp_path_factory.mktemp("models") / "one").spec
    return made.model_copy(update={"labels": LABELS})


def box(grid: Grid, k: int, size: int = 3) -> Region:
    return Region(np.ones((size, 4, 5), bool), (k, 10, 12), grid)


def found(*labelled: tuple[int, float, int], notices: tuple[Notice, ...] = ()) -> Found:
    """A model that always marks boxes: (label, score, first slice)."""

    def find(volumes: Sequence[Volume], _model: LoadedModel) -> Lesions:
        grid = volumes[0].grid
        candidates = tuple(Candidate(box(grid, k), score, label) for label, score, k in labelled)
        return Lesions(candidates, notices, {"look": 0.5})

    return find


def raising(error: Exception) -> Found:
    def find(_volumes: Sequence[Volume], _model: LoadedModel) -> Lesions:
        raise error

    return find


class House:
    """Models by name, each with what it finds, in place of networks."""

    def __init__(self, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spec = spec
        self.specs: dict[str, ModelSpec] = {}
        self._finds: dict[str, Found] = {}

        def find(volumes: Any, model: LoadedModel, *_: Any, **__: Any) -> Lesions:
            return self._finds[model.spec.name](volumes, model)

        monkeypatch.setattr("models.study.reading.find_lesions", find)

    def add(self, name: str, find: Found, **changes: Any) -> ModelSpec:
        self.specs[name] = self._spec.model_copy(update={"name": name, **changes})
        self._finds[name] = find
        return self.specs[name]

    @contextmanager
    def opened(self, name: str) -> Iterator[InUse]:
        yield InUse(LoadedModel(self.specs[name], {}), {}, ())

    def read(self, scan: Scan, *, give_up: bool = False) -> StudyReading:
        plan = plan_together(scan, list(self.specs.values()))
        return read_together(scan, plan, self.opened, give_up=give_up)


@pytest.fixture
def house(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(spec, monkeypatch)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return scan_files(write(tmp_path_factory.mktemp("ct"), make_images(HU)))


def codes(report: Report) -> list[str]:
    return [warning.code for warning in report.warnings]


# labels and organs ------------------------------------------------------------------------


def test_lesions_are_findings_organs_structures_and_the_rest_is_left_out(
    house: House, scan: Scan
) -> None:
    house.add("one", found((3, 0.99, 2), (2, 0.9, 8), (1, 0.8, 14), (4, 0.7, 18)))
    reading = house.read(scan)
    report = reading.report
    assert [(f.number, f.tracking_id, f.segment_number) for f in report.findings] == [
        (1, "Cyst 1", 1), (2, "Nodule 2", 2),
    ]  # fmt: skip
    (spleen,) = report.structures
    assert (spleen.tracking_id, spleen.label, spleen.segment_number) == ("Spleen", SPLEEN, 3)
    assert spleen.volume_mm3 == pytest.approx(3 * 4 * 5 * 0.8 * 0.7 * 2.5)
    assert set(reading.regions) == {f.tracking_uid for f in (*report.findings, spleen)}
    assert len({f.tracking_uid for f in (*report.findings, spleen)}) == 3
    assert not report.models
    assert {f.model for f in (*report.findings, spleen)} == {"one"}


def test_what_is_marked_becomes_segments_and_groups(house: House, scan: Scan) -> None:
    house.add("one", found((3, 0.99, 2), (1, 0.8, 14)))
    reading = house.read(scan)
    headers = [_header(s.path) for s in reading.volume.sources if s is not None]
    seg = make_seg(reading.report, reading.regions, headers, slices=reading.volume.sources)
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Nodule 1", "Spleen"]
    assert make_sr(reading.report, headers, seg).SOPInstanceUID == reading.report.uid_of("sr")


def _header(path: Path) -> Dataset:
    from imaging.headers import read_header

    return read_header(path)


# several models ---------------------------------------------------------------------------


def test_two_models_that_take_one_series_make_one_report(house: House, scan: Scan) -> None:
    warned = notice("partial-lung")
    house.add("lungs", found((1, 0.6, 2), (1, 0.5, 8), notices=(warned,)))
    house.add("spleens", found((2, 0.9, 14), (3, 0.9, 18)), version="7", reference_weights=True)
    report = house.read(scan).report
    assert [(f.number, f.model, f.score) for f in report.findings] == [
        (1, "lungs", 0.6), (2, "lungs", 0.5), (3, "spleens", 0.9),
    ]  # fmt: skip
    assert [(s.model, s.segment_number) for s in report.structures] == [("spleens", 4)]
    assert [m.name for m in report.models] == ["lungs", "spleens"]
    assert report.model == report.models[0]
    assert [report.model_of(f).version for f in report.findings] == ["1.0", "1.0", "7"]
    # The stand-in volume holds no lung to tell lobes in.
    assert codes(report) == ["partial-lung", "no-lobes", "reference-weights"]


def test_a_model_s_findings_keep_their_uids_whoever_reads_beside_it(
    house: House, scan: Scan
) -> None:
    house.add("spleens", found((2, 0.9, 14), (3, 0.9, 18)))
    alone = house.read(scan).report
    house.specs.clear()
    house.add("lungs", found((1, 0.6, 2)))
    house.add("spleens", found((2, 0.9, 14), (3, 0.9, 18)))
    both = house.read(scan).report
    assert both.findings[1].tracking_uid == alone.findings[0].tracking_uid
    assert both.structures[0].tracking_uid == alone.structures[0].tracking_uid
    assert both.uid_of("sr") != alone.uid_of("sr")


def test_steps_are_timed_for_each(house: House, scan: Scan) -> None:
    house.add("lungs", found((1, 0.6, 2)))
    house.add("spleens", found())
    seconds = house.read(scan).seconds
    assert (seconds["lungs look"], seconds["spleens look"]) == (0.5, 0.5)
    assert {"load", "measure"} <= set(seconds)


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputRefused(notice("no-lung", found=1, wanted=2)), "model-refused"),
     (PatchRefused("NaN in the patch"), "model-failed")],
)  # fmt: skip
def test_one_that_refuses_or_fails_for_good_is_named_and_the_other_reads(
    house: House, scan: Scan, error: Exception, code: str
) -> None:
    house.add("broken", raising(error))
    house.add("spleens", found((2, 0.9, 14)))
    report = house.read(scan).report
    assert [f.model for f in report.findings] == ["spleens"]
    assert report.model.name == "spleens" and not report.models
    (told,) = [w for w in report.warnings if w.code == code]
    assert "model broken" in told.text.en and "模型 broken" in told.text.zh
    if code == "model-refused":
        assert "肺容积" in told.text.zh


def test_one_that_may_yet_succeed_is_tried_again_first(house: House, scan: Scan) -> None:
    house.add("spleens", found((2, 0.9, 14)))
    house.add("flaky", raising(InferenceFailed("the device went away")))
    with pytest.raises(InferenceFailed, match="went away"):
        house.read(scan)
    report = house.read(scan, give_up=True).report
    assert codes(report) == ["model-failed"]
    assert len(report.findings) == 1


def test_when_nobody_reads_the_first_error_is_the_study_s(house: House, scan: Scan) -> None:
    house.add("lungs", raising(InputRefused(notice("no-lung", found=1, wanted=2))))
    house.add("broken", raising(PatchRefused("NaN in the patch")))
    with pytest.raises(InputRefused, match="lung"):
        house.read(scan)


# which series -----------------------------------------------------------------------------


def two_series(folder: Path) -> tuple[Scan, str, str]:
    """A thin series, and a thick one that is called portal."""

    def thin(_: int, image: Dataset) -> None:
        image.SeriesDescription, image.SeriesNumber = "thin", 3

    def portal(_: int, image: Dataset) -> None:
        image.SeriesDescription, image.SeriesNumber = "portal", 5

    a = make_images(HU, name="thin", step=(0, 0, 1.0), change=thin)
    b = make_images(HU, name="portal", step=(0, 0, 2.0), change=portal)
    scan = scan_files([*write(folder / "a", a), *write(folder / "b", b)])
    return scan, str(a[0].SeriesInstanceUID), str(b[0].SeriesInstanceUID)


def test_a_model_that_takes_another_series_only_is_not_run_and_that_is_said(
    house: House, tmp_path: Path
) -> None:
    scan, thin, portal = two_series(tmp_path)
    spec = house.add("lungs", found((1, 0.6, 2)))
    house.add(
        "spleens", found((2, 0.9, 14)),
        input=spec.input.model_copy(update={"include": "portal"}),
    )  # fmt: skip
    plan = plan_together(scan, list(house.specs.values()))
    assert plan.chosen == thin
    assert [p.model for p in plan.reading] == ["lungs"]
    report = house.read(scan).report
    assert report.series_uid == thin and len(report.findings) == 1
    (told,) = [w for w in report.warnings if w.code == "not-run"]
    for words in ("model spleens", "5 portal", "3 thin", "model lungs"):
        assert words in told.text.en
    # The other way round the other one decides.
    turned = plan_together(scan, list(house.specs.values())[::-1])
    assert turned.chosen == portal
    assert [p.model for p in turned.reading] == ["spleens", "lungs"]


def test_a_model_that_takes_the_series_too_reads_it_though_another_suits_it_better(
    house: House, tmp_path: Path
) -> None:
    scan, thin, portal = two_series(tmp_path)
    spec = house.add("spleens", found((2, 0.9, 14)))
    house.specs["spleens"] = spec.model_copy(
        update={"input": spec.input.model_copy(update={"include": "portal"})}
    )
    house.add("lungs", found((1, 0.6, 2)))
    report = house.read(scan).report
    assert report.series_uid == portal
    assert [f.model for f in report.findings] == ["spleens", "lungs"]
    (told,) = [w for w in report.warnings if w.code == "read-on-shared-series"]
    assert "model lungs" in told.text.en and "3 thin" in told.text.en
    (_, lungs) = plan_together(scan, list(house.specs.values())).plans
    reasons = {v.series_uid: [n.code for n in v.notices] for v in lungs.verdicts}
    assert reasons == {portal: ["read-on-shared-series"], thin: ["shared-series"]}


def test_a_study_is_left_alone_only_if_no_model_suits(house: House, tmp_path: Path) -> None:
    scan, thin, _ = two_series(tmp_path)
    spec = house.add("brains", found((1, 0.6, 2)))
    house.specs["brains"] = spec.model_copy(
        update={"input": spec.input.model_copy(update={"modality": "MR"})}
    )
    assert plan_together(scan, list(house.specs.values())).chosen is None
    house.add("lungs", found((1, 0.6, 2)))
    plan = plan_together(scan, list(house.specs.values()))
    assert (plan.chosen, len(plan.plans), len(plan.reading)) == (thin, 2, 1)
    # A model that takes nothing here is no news in the report: the page lists why.
    assert codes(house.read(scan).report) == ["no-lobes", "several-series"]


# several series of one model ----------------------------------------------------------------


def brain(folder: Path) -> Scan:
    """MR: FLAIR axial and T1 coronal, of other sizes."""
    axial = make_images(HU, name="flair", change=_mr("FLAIR"))
    orientation = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    coronal = make_images(HU[:20], name="t1", orientation=orientation, change=_mr("T1"))
    return scan_files([*write(folder / "f", axial), *write(folder / "t", coronal)])


def _mr(name: str) -> Callable[[int, Dataset], None]:
    def change(_: int, image: Dataset) -> None:
        image.Modality, image.SeriesDescription = "MR", name

    return change


def with_roles(house: House, find: Found) -> None:
    spec = house.add("tumours", find)
    rule = {"modality": "MR", "orientation": "any", "minimum_slices": 20}
    series = [{"role": name, "input": {**rule, "include": name}} for name in ("T1", "FLAIR")]
    values = {**spec.model_dump(), "folder": spec.folder, "series": series}
    house.specs["tumours"] = ModelSpec.model_validate(values)


def test_every_role_s_volume_is_passed_in_the_model_s_order(house: House, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def find(volumes: Sequence[Volume], _model: LoadedModel) -> Lesions:
        seen.extend(v.grid.shape for v in volumes)
        return Lesions((Candidate(box(volumes[0].grid, 4), 0.9, 1),), (), {})

    with_roles(house, find)
    reading = house.read(brain(tmp_path))
    assert seen == [(20, 40, 40), (24, 40, 40)]
    report = reading.report
    assert report.series_description == "T1"
    assert reading.volume.grid.shape == (20, 40, 40)
    assert report.modality == "MR"
    (finding,) = report.findings
    assert finding.mean_hu is None
    assert report.window is not None and report.window[1] > 1
    assert codes(report) == []


def test_a_role_s_series_that_makes_no_volume_is_the_study_s_error(
    house: House, tmp_path: Path
) -> None:
    with_roles(house, found((1, 0.9, 4)))
    scan = brain(tmp_path)
    flair = next(uid for uid, header in scan.series.items() if header.description == "FLAIR")
    one, other = (s for s in scan.slices if s.series_uid == flair and s.instance_number in (5, 6))
    # Headers can't tell; the pixels show that two images claim one place.
    false = replace(other, sop_instance_uid="1.2.3", position=one.position)
    with pytest.raises(InconsistentSeries):
        house.read(replace(scan, slices=(*scan.slices, false)))
