"""A simulated chest against its own deformed, re-noised copy with changed nodules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.lungs import LungMask, lung_mask
from imaging.priors import wording
from imaging.priors.compare import Examination, compare
from imaging.priors.register import Method, Registration, register
from imaging.priors.values import Change, Comparison, NoduleChange
from imaging.volume import Mask, Region, Volume
from tests.unit.imaging.priors.made import Made, make_pair


@pytest.fixture(scope="module")
def made() -> Made:
    return make_pair()


@pytest.fixture(scope="module")
def registered(made: Made) -> Registration:
    return register(made.current.volume, made.prior.volume, made.current.lungs, made.prior.lungs)


@pytest.fixture(scope="module")
def compared(made: Made) -> Comparison:
    return compare(made.current, made.prior)


def _of(compared: Comparison, number: int) -> NoduleChange:
    return next(c for c in compared.changes if c.number == number)


def test_lung_points_are_mapped_and_the_error_is_known(
    made: Made, registered: Registration, compared: Comparison
) -> None:
    assert registered.method is Method.DEFORMABLE
    truth = made.breath.to_old(made.lung_points)
    errors = np.linalg.norm(registered.alignment.to_prior(made.lung_points) - truth, axis=1)
    assert np.median(errors) < 1.5
    assert np.percentile(errors, 95) < 4.0
    moved = np.linalg.norm(truth - made.lung_points, axis=1)
    assert np.median(moved) > 8, "there was something to find"
    assert compared.registration_error_mm == pytest.approx(np.median(errors), abs=0.8)


def test_the_same_again_gives_the_same(
    made: Made, registered: Registration, compared: Comparison
) -> None:
    assert registered.quality.median_mm is not None
    assert compared.registration_error_mm == round(registered.quality.median_mm, 2)
    matched = [c for c in compared.changes if c.residual_mm is not None]
    assert len(matched) == 3
    for change in matched:
        (now,) = (n for n in made.current.nodules if n.number == change.number)
        assert change.prior is not None
        mapped = registered.alignment.to_prior(now.centre)
        apart = np.linalg.norm(mapped - np.array(change.prior.centre_lps_mm))
        assert change.residual_mm == round(float(apart), 2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("stable", Change.STABLE), ("grown", Change.GROWN), ("shrunk", Change.SHRUNK),
        ("added", Change.NEW), ("unmarked", Change.UNMATCHED),
    ],
)  # fmt: skip
def test_each_nodule_is_called_what_it_is(
    made: Made, compared: Comparison, name: str, change: Change
) -> None:
    said = _of(compared, made.numbers[name])
    assert said.change is change
    assert said.tracking_uid == f"2.9.now.{made.numbers[name]}"
    assert said.why.en and said.why.zh


def test_sizes_and_times_of_the_grown_one(made: Made, compared: Comparison) -> None:
    said = _of(compared, made.numbers["grown"])
    assert said.diameter_change_mm == pytest.approx(4.0)
    assert said.prior is not None and said.prior.mean_diameter_mm == 9.0
    now, then = (
        next(n.volume_mm3 for n in listed if n.number % 10 == made.numbers["grown"])
        for listed in (made.current.nodules, made.prior.nodules)
    )
    assert said.volume_change_percent == pytest.approx(100 * (now / then - 1), abs=0.1)
    assert said.lung_rads_growth is True
    assert compared.days == 200
    assert said.doubling_time_days == pytest.approx(200 * np.log(2) / np.log(now / then), abs=0.1)
    assert said.doubling_range_days is not None
    assert said.residual_mm is not None and said.residual_mm < 4


def _gone(made: Made, compared: Comparison, name: str) -> NoduleChange:
    (was,) = (n for n in made.prior.nodules if n.number == 10 + made.numbers[name])
    (said,) = (
        c for c in compared.changes if not c.tracking_uid and c.prior == made.prior.as_prior(was)
    )
    return said


def test_what_was_marked_then_only_is_resolved_where_the_lung_is_clear(
    made: Made, compared: Comparison
) -> None:
    assert _gone(made, compared, "removed").change is Change.RESOLVED
    current = [bool(c.tracking_uid) for c in compared.changes]
    assert current == sorted(current, reverse=True), "current nodules come first"
    assert len(current) == len(made.current.nodules) + 2


def test_what_the_finder_passed_over_is_not_called_new_or_resolved(
    made: Made, compared: Comparison
) -> None:
    said = _of(compared, made.numbers["unmarked"])
    assert said.change is Change.UNMATCHED and "not called new" in said.why.en
    gone = _gone(made, compared, "overlooked")
    assert gone.change is Change.UNMATCHED and "not called resolved" in gone.why.en


def test_outside_the_earlier_field_of_view(made: Made) -> None:
    grid = made.prior.volume.grid
    low = grid.shape[0] // 2
    k, j, i = grid.shape
    upper = Volume(made.prior.volume.voxels[low:], grid.crop((low, 0, 0), (k - low, j, i)))
    kept = [n for n in made.prior.nodules if n.region.start[0] >= low]
    nodules = tuple(
        replace(
            n,
            region=Region(
                n.region.voxels, (n.region.start[0] - low, *n.region.start[1:]), upper.grid
            ),
        )
        for n in kept
    )
    assert 0 < len(kept) < len(made.prior.nodules)
    prior = replace(made.prior, volume=upper, lungs=None, nodules=nodules)
    said = compare(made.current, prior)
    assert any(c.why == wording.OUTSIDE_THEN for c in said.changes)
    assert not any(c.change is Change.RESOLVED for c in said.changes if c.number)
    upside = {n.number - 10 for n in kept}
    for number in upside & {made.numbers["stable"], made.numbers["grown"]}:
        assert _of(said, number).prior is not None


@pytest.mark.slow
def test_two_chests_that_are_not_alike_are_not_matched(made: Made) -> None:
    flipped = replace(
        made.prior,
        volume=Volume(np.ascontiguousarray(made.prior.volume.voxels[::-1]), made.prior.volume.grid),
        lungs=None,
        nodules=(),
    )
    said = compare(made.current, flipped)
    assert said.warnings and wording.BAD_REGISTRATION.en in said.warnings[0].en
    assert {c.change for c in said.changes} == {Change.UNMATCHED}
    assert len(said.changes) == len(made.current.nodules)


GRID = Grid((30, 40, 40), np.array([[0, 0, 5, 0], [0, 5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1.0]]))


def _no_lungs(date: str = "20250101", series: str = "3.1") -> Examination:
    """A cylinder of soft tissue with some structure in it."""
    rng = np.random.default_rng(0)
    k, j, i = np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij")
    voxels = np.where(np.hypot(j - 20, i - 20) < 15, 40.0, -1000.0)
    for _ in range(60):
        a, b, c = rng.integers(5, 25), rng.integers(10, 30), rng.integers(10, 30)
        near = (k - a) ** 2 + (j - b) ** 2 + (i - c) ** 2 < 5
        voxels[near & (voxels > 0)] += rng.uniform(-120, 120)
    volume = Volume(voxels.astype(np.int16), GRID)
    return Examination(volume, series, series, date, None, ())


def test_lung_against_no_lung_is_another_body_part(made: Made) -> None:
    said = compare(made.current, _no_lungs())
    assert said.warnings == (wording.OTHER_BODY_PART,)
    assert {(c.change, c.why) for c in said.changes} == {
        (Change.UNMATCHED, wording.OTHER_BODY_PART)
    }
    turned = compare(_no_lungs("20250720"), made.prior)
    assert len(turned.changes) == len(made.prior.nodules)
    assert all(c.prior is not None and not c.tracking_uid for c in turned.changes)


def test_two_scans_without_lungs_are_laid_over_by_the_body() -> None:
    said = compare(_no_lungs("20250720", "3.2"), _no_lungs())
    assert said.registration.en.startswith(wording.METHODS[Method.BODY].en)
    assert said.days == 200


def test_a_scan_of_a_few_slices_is_no_error() -> None:
    few = Grid((3, 40, 40), GRID.affine)
    scan = replace(_no_lungs(), volume=Volume(np.full(few.shape, 40, np.int16), few))
    said = compare(replace(scan, series_uid="3.9"), scan)
    assert said.registration_error_mm is None
    assert wording.BAD_REGISTRATION.en in said.warnings[-1].en


@pytest.mark.parametrize(
    ("now", "then", "days", "told"),
    [
        ("", "20250101", 0, wording.NO_DATE),
        ("20250101", "2025", 0, wording.NO_DATE),
        ("20250101", "20250101", 0, wording.SAME_DAY),
        ("20250101", "20250111", -10, wording.LATER),
    ],
)
def test_dates_that_say_nothing(now: str, then: str, days: int, told: object) -> None:
    air = Mask(np.zeros(GRID.shape, bool), GRID)
    none, lung = LungMask(air, 0, 0, (False, False)), LungMask(air, 900, 900, (False, False))
    current = replace(_no_lungs(now, "3.2"), lungs=lung)
    said = compare(current, replace(_no_lungs(then), lungs=none))
    assert said.days == days
    assert told in said.warnings


def test_an_examination_is_not_its_own_prior() -> None:
    said = compare(_no_lungs(), _no_lungs())
    assert said.warnings == (wording.SAME_STUDY,)
    assert said.registration == wording.NOT_ALIGNED


def test_lungs_are_sought_where_they_are_not_given(made: Made) -> None:
    found = lung_mask(made.current.volume)
    said = compare(replace(made.current, lungs=None), replace(_no_lungs(), lungs=None))
    assert found.volume_ml > 0
    assert said.warnings == (wording.OTHER_BODY_PART,)
