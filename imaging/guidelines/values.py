"""What a guideline says, as values: the category, what to do, and exactly what decided it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging.language import Text

LUNG_RADS: Final = "Lung-RADS 2022"
FLEISCHNER: Final = "Fleischner 2017"
SAR_APA: Final = "SAR/APA 2014"
NCCN: Final = "NCCN resectability"
"""The names of the guidelines, as ``Guidance`` and ``Override`` carry them."""

LungRads = Literal["0", "1", "2", "3", "4A", "4B", "4X"]
Resectability = Literal["resectable", "borderline resectable", "locally advanced", "metastatic"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Clinical(_Value):
    """What is known of the patient and the examination besides the images.

    None: not known, never assumed.
    """

    age_years: int | None = None
    sex: str | None = Field(default=None, description="DICOM PatientSex: M, F, O")
    screening: bool | None = Field(default=None, description="a lung cancer screening examination")
    high_risk: bool | None = Field(default=None, description="of lung cancer (Fleischner: ACCP)")
    known_cancer: bool | None = None
    immunosuppressed: bool | None = None
    family_history: bool | None = Field(default=None, description="lung cancer in the family")
    emphysema: bool | None = None
    prior_cancer_resected: bool | None = None
    earlier_ct: bool | None = Field(
        default=None, description="an earlier chest CT exists; False: this one is the baseline"
    )
    prior_lung_rads: LungRads | None = Field(
        default=None, description="category of the previous screening examination, without S"
    )
    lungs_incomplete: bool | None = Field(
        default=None, description="part of the lungs can't be judged (Lung-RADS 0)"
    )
    infection_suspected: bool | None = Field(
        default=None, description="findings suggest infection or inflammation (Lung-RADS 0)"
    )
    suspicious_features: bool | None = Field(
        default=None,
        description="the reader confirms spiculation, nodes, metastases ... (Lung-RADS 4X)",
    )
    significant_other: bool | None = Field(
        default=None, description="a significant finding that is no lung cancer (Lung-RADS S)"
    )


class Input(_Value):
    """One fact that a rule looked at."""

    name: Text
    value: Text
    finding: int | None = Field(default=None, description="number of the finding it is of")


class Guidance(_Value):
    """A guideline applied to one report.

    ``category`` is None where it can't be assigned; ``missing`` then says why. Where a category
    is there all the same, ``missing`` names what would refine the recommendation.
    """

    guideline: str = Field(description="its name, one of those above")
    source: str = Field(description="the publication")
    category: str | None
    finding: int | None = Field(default=None, description="number of the finding that decided it")
    recommendation: Text
    rule: Text = Field(description="the row of the guideline that applied")
    inputs: tuple[Input, ...] = ()
    missing: tuple[Text, ...] = ()


class Override(_Value):
    """A radiologist's own category, kept beside the computed one."""

    guideline: str
    category: str
    reason: str = ""
    by: str
    at: datetime
