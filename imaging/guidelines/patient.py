"""What the DICOM header says of the patient, as clinical facts."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from imaging.guidelines.values import Clinical

OLDEST: Final = 130
"""Years; an age above it is a mistake in the header, not an age."""
_PER_YEAR: Final = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}


def clinical_from(birth_date: str, study_date: str, sex: str, age: str = "") -> Clinical:
    """Age at the study and sex; what can't be read or can't be true is None.

    Args:
        birth_date: PatientBirthDate, a DICOM DA (YYYYMMDD, or YYYY.MM.DD of old).
        study_date: StudyDate, DA.
        sex: PatientSex, a CS.
        age: PatientAge, an AS such as 045Y (PS3.5 6.2); used where the dates don't tell.
    """
    counted = _age(_day(birth_date), _day(study_date))
    return Clinical(
        age_years=_stated(age) if counted is None else counted,
        sex=code if (code := sex.strip().upper()) in ("M", "F", "O") else None,
    )


def _age(born: date | None, then: date | None) -> int | None:
    if born is None or then is None:
        return None
    years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    return years if 0 <= years <= OLDEST and then >= born else None


def _stated(age: str) -> int | None:
    match = re.fullmatch(r"(\d{3})([YMWD])", age.strip().upper())
    if match is None:
        return None
    years = int(int(match[1]) / _PER_YEAR[match[2]])
    return years if years <= OLDEST else None


def _day(value: str) -> date | None:
    match = re.fullmatch(r"(\d{4})(\.?)(\d{2})\2(\d{2})", value.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
