"""One examination of the chest, as comparing two of them needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.geometry import Point, Points
from imaging.lungs import LungMask
from imaging.priors.values import PriorNodule
from imaging.volume import Region, Volume


@dataclass(frozen=True, eq=False)
class Seen:
    """One nodule that was found in an examination.

    Args:
        tracking_uid: of its finding.
        number: of its finding.
        region: its mask, on the examination's grid.
        mean_diameter_mm: mean of long and short axis in the axial slice.
        volume_mm3: of its mask.
    """

    tracking_uid: str
    number: int
    region: Region
    mean_diameter_mm: float
    volume_mm3: float

    @property
    def points(self) -> Points:
        """The mask's voxels, LPS mm, [n, 3]."""
        return self.region.mask.grid.to_lps(np.argwhere(self.region.voxels))

    @property
    def centre(self) -> Point:
        """Centroid of the mask, LPS mm."""
        x, y, z = self.points.mean(axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False)
class Examination:
    """A CT and the nodules that were found in it.

    Args:
        volume: HU.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        study_date: DICOM DA; empty where not known.
        lungs: None where they were not sought; then they are not used.
        nodules: found by the same model in both examinations that are compared.
    """

    volume: Volume
    study_uid: str
    series_uid: str
    study_date: str
    lungs: LungMask | None
    nodules: tuple[Seen, ...]

    @property
    def slice_mm(self) -> float:
        """Distance between slices, from the grid."""
        return self.volume.grid.spacing_mm[0]

    @property
    def pixel_mm(self) -> float:
        """Distance between pixels, the larger of both."""
        return max(self.volume.grid.spacing_mm[1:])

    def mean_hu(self, nodule: Seen) -> float:
        """Mean density over a nodule's mask, HU."""
        inside = self.volume.voxels[nodule.region.box][nodule.region.voxels]
        return float(inside.mean(dtype=np.float64))

    def as_prior(self, nodule: Seen) -> PriorNodule:
        """A nodule of this examination as the report keeps it."""
        return PriorNodule(
            centre_lps_mm=nodule.centre,
            mean_diameter_mm=nodule.mean_diameter_mm,
            volume_mm3=nodule.volume_mm3,
            mean_hu=round(self.mean_hu(nodule), 1),
        )
