"""Compares the current examination with an earlier one: register, match, measure the change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from imaging.language import Text
from imaging.lungs import lung_mask
from imaging.priors import wording
from imaging.priors.examination import Examination, Seen
from imaging.priors.growth import THICK_MM, Size, growth
from imaging.priors.lookup import There, look
from imaging.priors.match import Candidates, Pair, match
from imaging.priors.register import Registration, register
from imaging.priors.values import Change, Comparison, NoduleChange

__all__ = ["Examination", "Seen", "compare"]

MOST_SLACK_MM = 4.0
"""A nodule's place is sought no farther than that, however large the registration's error."""
THICK_SLICE_MM = THICK_MM + 0.05


def compare(current: Examination, prior: Examination) -> Comparison:
    """What became of each nodule since an earlier examination.

    Lungs that an examination doesn't bring are sought here. Whatever clinical variety brings
    (another body part, no lungs, another field of view, no dates) is told in the comparison.

    Args:
        current: the examination that is read.
        prior: an earlier one of the same patient.

    Returns:
        One change for each current nodule in their order, then one for each earlier nodule that
        none of them is: resolved, or not comparable with the reason.
    """
    current, prior = _with_lungs(current), _with_lungs(prior)
    days, told, refused = _time(current, prior)
    if refused is None and _has_lung(current) != _has_lung(prior):
        refused = wording.OTHER_BODY_PART
    if refused is not None:
        return _comparison(prior, days, told, None, refused, _none(current, prior, refused))
    told += _thick(current, prior)
    registration = register(current.volume, prior.volume, current.lungs, prior.lungs)
    if not registration.quality.good:
        why = wording.bad_registration(registration.quality)
        return _comparison(prior, days, told, registration, why, _none(current, prior, why))
    changes = _Pairing(current, prior, registration, days).changes()
    return _comparison(prior, days, told, registration, None, changes)


@dataclass(frozen=True, eq=False)
class _Pairing:
    """Two examinations that were laid over one another."""

    current: Examination
    prior: Examination
    registration: Registration
    days: int | None

    def changes(self) -> tuple[NoduleChange, ...]:
        here = _candidates(self.current)
        mapped = self.registration.alignment.to_prior(here.centres)
        errors = np.array([self._error(nodule) for nodule in self.current.nodules])
        pairs = match(replace(here, centres=mapped), _candidates(self.prior), errors)
        partner = {pair.current: pair for pair in pairs}
        unsure = {p.prior for p in pairs if p.rivals} | {r for p in pairs for r in p.rivals}
        taken = {pair.prior for pair in pairs if pair.prior not in unsure}
        now = [
            self._changed(nodule, partner[n], unsure) if n in partner else self._new(nodule)
            for n, nodule in enumerate(self.current.nodules)
        ]
        gone = [
            self._ambiguous(nodule) if n in unsure else self._gone(nodule)
            for n, nodule in enumerate(self.prior.nodules)
            if n not in taken
        ]
        return (*now, *gone)

    def _error(self, nodule: Seen) -> float:
        """What the registration may be off at a current nodule, mm."""
        quality = self.registration.quality
        return max(quality.near(nodule.centre), quality.median_mm or 0.0)

    def _changed(self, nodule: Seen, pair: Pair, unsure: set[int]) -> NoduleChange:
        then = self.prior.nodules[pair.prior]
        if pair.prior in unsure:
            likely = sorted({pair.prior, *pair.rivals})
            numbers = tuple(self.prior.nodules[n].number for n in likely)
            return _current(nodule, Change.UNMATCHED, wording.ambiguous(numbers))
        found = growth(_size(self.current, nodule), _size(self.prior, then), self.days)
        slice_mm = max(self.current.slice_mm, self.prior.slice_mm)
        return NoduleChange(
            change=found.change,
            why=wording.changed(found, self.days, slice_mm),
            tracking_uid=nodule.tracking_uid,
            number=nodule.number,
            prior=self.prior.as_prior(then),
            diameter_change_mm=round(found.diameter_mm, 2),
            diameter_noise_mm=round(found.diameter_noise_mm, 2),
            volume_change_percent=round(found.volume_percent, 1),
            volume_noise_percent=round(found.volume_noise_percent, 1),
            doubling_time_days=_rounded(found.doubling_days),
            doubling_range_days=None
            if found.doubling_range_days is None
            else (round(found.doubling_range_days[0], 1), round(found.doubling_range_days[1], 1)),
            lung_rads_growth=found.lung_rads,
            residual_mm=round(pair.distance_mm, 2),
        )

    def _new(self, nodule: Seen) -> NoduleChange:
        points = nodule.points
        seen = look(
            self.current.volume, points, self.prior.volume,
            self.registration.alignment.to_prior(points), nodule.mean_diameter_mm,
            min(self._error(nodule), MOST_SLACK_MM), self.prior.lungs,
        )  # fmt: skip
        match seen.there:
            case There.OUTSIDE:
                return _current(nodule, Change.UNMATCHED, wording.OUTSIDE_THEN)
            case There.ALIKE:
                return _current(nodule, Change.UNMATCHED, wording.unmarked_then(seen))
            case There.CLEAR:
                return _current(nodule, Change.NEW, wording.NEW)

    def _gone(self, nodule: Seen) -> NoduleChange:
        points = nodule.points
        places = self.registration.alignment.to_current(points)
        quality = self.registration.quality
        x, y, z = (float(value) for value in places.mean(axis=0))
        error = max(quality.near((x, y, z)), quality.median_mm or 0.0)
        seen = look(
            self.prior.volume, points, self.current.volume, places, nodule.mean_diameter_mm,
            min(error, MOST_SLACK_MM), self.current.lungs,
        )  # fmt: skip
        match seen.there:
            case There.OUTSIDE:
                return self._earlier(nodule, Change.UNMATCHED, wording.OUTSIDE_NOW)
            case There.ALIKE:
                return self._earlier(nodule, Change.UNMATCHED, wording.unmarked_now(seen))
            case There.CLEAR:
                return self._earlier(nodule, Change.RESOLVED, wording.RESOLVED)

    def _ambiguous(self, nodule: Seen) -> NoduleChange:
        why = wording.ambiguous_prior(nodule.number)
        return self._earlier(nodule, Change.UNMATCHED, why)

    def _earlier(self, nodule: Seen, change: Change, why: Text) -> NoduleChange:
        return NoduleChange(change=change, why=why, prior=self.prior.as_prior(nodule))


def _current(nodule: Seen, change: Change, why: Text) -> NoduleChange:
    return NoduleChange(
        change=change, why=why, tracking_uid=nodule.tracking_uid, number=nodule.number
    )


def _none(current: Examination, prior: Examination, why: Text) -> tuple[NoduleChange, ...]:
    """Every nodule unmatched, for one reason."""
    now = [_current(nodule, Change.UNMATCHED, why) for nodule in current.nodules]
    then = [
        NoduleChange(change=Change.UNMATCHED, why=why, prior=prior.as_prior(nodule))
        for nodule in prior.nodules
    ]
    return (*now, *then)


def _comparison(
    prior: Examination,
    days: int | None,
    told: Sequence[Text],
    registration: Registration | None,
    refused: Text | None,
    changes: Iterable[NoduleChange],
) -> Comparison:
    said, error = wording.NOT_ALIGNED, None
    if registration is not None:
        said = wording.registration(registration.method, registration.quality)
        median = registration.quality.median_mm
        error = None if median is None else round(median, 2)
    return Comparison(
        study_uid=prior.study_uid,
        series_uid=prior.series_uid,
        study_date=prior.study_date,
        days=days or 0,
        registration=said,
        registration_error_mm=error,
        changes=tuple(changes),
        warnings=(*told, *([refused] if refused else [])),
    )


def _time(current: Examination, prior: Examination) -> tuple[int | None, list[Text], Text | None]:
    """Days between, what to say of it, and whether it forbids the comparison."""
    if current.series_uid == prior.series_uid:
        return 0, [], wording.SAME_STUDY
    now, then = _day(current.study_date), _day(prior.study_date)
    if now is None or then is None:
        return None, [wording.NO_DATE], None
    days = (now - then).days
    if days < 0:
        return days, [], wording.LATER
    return days, [] if days else [wording.SAME_DAY], None


def _day(text: str) -> date | None:
    """A DICOM DA (PS3.5 6.2); None where it is none."""
    try:
        return datetime.strptime(text.strip(), "%Y%m%d").date()
    except ValueError:
        return None


def _thick(current: Examination, prior: Examination) -> list[Text]:
    thickest = max(current.slice_mm, prior.slice_mm)
    return [wording.thick(thickest)] if thickest > THICK_SLICE_MM else []


def _with_lungs(examination: Examination) -> Examination:
    if examination.lungs is not None:
        return examination
    return replace(examination, lungs=lung_mask(examination.volume))


def _has_lung(examination: Examination) -> bool:
    return examination.lungs is not None and examination.lungs.volume_ml > 0


def _candidates(examination: Examination) -> Candidates:
    nodules = examination.nodules
    return Candidates(
        centres=np.array([n.centre for n in nodules], np.float64).reshape(-1, 3),
        diameters=np.array([n.mean_diameter_mm for n in nodules], np.float64),
        volumes=np.array([n.volume_mm3 for n in nodules], np.float64),
        densities=np.array([examination.mean_hu(n) for n in nodules], np.float64),
    )


def _size(examination: Examination, nodule: Seen) -> Size:
    return Size(
        nodule.mean_diameter_mm, nodule.volume_mm3, examination.slice_mm, examination.pixel_mm
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
