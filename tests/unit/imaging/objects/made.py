"""Small made-up series, masks, findings and reports for the tests of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from imaging.finding import Code, Finding, ImageReference, Outline, Structure
from imaging.geometry import Grid
from imaging.identity import derive_uid
from imaging.language import Text
from imaging.measure import measure_structure
from imaging.report import Model, Patient, Report
from imaging.volume import Region, SourceSlice, Volume

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CREATED = datetime(2026, 1, 31, 8, 15, 30, 250000, tzinfo=UTC)


@dataclass
class Study:
    """A series with its volume, masks and report, all agreeing with one another."""

    headers: list[Dataset]
    volume: Volume
    regions: dict[str, Region] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    structures: list[Structure] = field(default_factory=list)

    def report(self, **changes: object) -> Report:
        return Report(
            created_at=CREATED,
            patient=Patient(patient_id="P1", patient_name="Doe^Jane"),
            study_uid=self.headers[0].StudyInstanceUID,
            series_uid=self.headers[0].SeriesInstanceUID,
            modality="CT",
            slice_count=self.volume.grid.shape[0],
            spacing_mm=self.volume.grid.spacing_mm,
            model=Model(
                name="lung-nodules",
                version="1.2.3",
                title=Text(en="Lung nodules", zh="肺结节"),
                sha256="0f" * 32,
            ),
            findings=tuple(self.findings),
            structures=tuple(self.structures),
        ).model_copy(update=changes)

    def add(self, voxels: np.ndarray) -> Finding:
        """Mark a mask (bool, the volume's shape) as the next finding."""
        number = len(self.findings) + 1
        uid = derive_uid("test-finding", number)
        self.regions[uid] = self._region(voxels)
        self.findings.append(_finding(self.volume, voxels, number, uid))
        return self.findings[-1]

    def add_organ(self, voxels: np.ndarray, model: str = "") -> Structure:
        """Mark a mask as a spleen; add the findings first."""
        uid = derive_uid("test-structure", len(self.structures))
        region = self.regions[uid] = self._region(voxels)
        spleen = Code(value="78961009", scheme="SCT", meaning=Text(en="Spleen", zh="脾"))
        self.structures.append(
            Structure(
                tracking_uid=uid,
                tracking_id="Spleen",
                label=spleen,
                site=spleen,
                score=0.97,
                segment_number=len(self.findings) + len(self.structures) + 1,
                model=model,
                **vars(measure_structure(self.volume, region)),
            )
        )
        return self.structures[-1]

    def _region(self, voxels: np.ndarray) -> Region:
        box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(voxels))
        start = tuple(s.start for s in box)
        return Region(voxels[box].copy(), start, self.volume.grid)


def make_study(
    shape: tuple[int, int, int] = (9, 24, 20),
    *,
    orientation: Sequence[float] = AXIAL,
    first: ArrayLike = (-40.0, -60.0, -300.0),
    spacing: tuple[float, float] = (0.8, 0.7),
    step: ArrayLike | None = None,
    seed: int = 1,
) -> Study:
    """A CT series; ``step`` by default 2.5 mm along the normal (row x column)."""
    cosines = np.asarray(orientation, dtype=float)
    normal = np.cross(cosines[:3], cosines[3:])
    move = 2.5 * normal if step is None else np.asarray(step, dtype=float)
    grid = Grid.from_dicom(shape, first, orientation, spacing, move)
    headers = [
        _header(k, grid, cosines, spacing, float(abs(move @ normal))) for k in range(shape[0])
    ]
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-900, -700, shape).astype(np.int16)
    sources = tuple(
        SourceSlice(Path(f"{k}.dcm"), str(h.SOPClassUID), str(h.SOPInstanceUID))
        for k, h in enumerate(headers)
    )
    return Study(headers, Volume(voxels, grid, sources))


def _header(
    k: int, grid: Grid, cosines: np.ndarray, spacing: tuple[float, float], thickness: float
) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID = CTImageStorage
    header.SOPInstanceUID = derive_uid("test-image", k)
    header.StudyInstanceUID = derive_uid("test-study")
    header.SeriesInstanceUID = derive_uid("test-series")
    header.FrameOfReferenceUID = derive_uid("test-frame")
    header.Modality = "CT"
    header.PatientName = "Doe^Jane"
    header.PatientID = "P1"
    header.PatientBirthDate = "19700102"
    header.PatientSex = "F"
    header.StudyDate = "20260130"
    header.StudyTime = "101112"
    header.StudyID = "S1"
    header.AccessionNumber = "A1"
    header.ReferringPhysicianName = "Ref^Erring"
    header.StudyDescription = "CT chest"
    header.InstanceNumber = k + 1
    header.Rows, header.Columns = grid.shape[1:]
    header.PixelSpacing = list(spacing)
    header.SliceThickness = round(thickness, 4)
    header.ImageOrientationPatient = [round(float(c), 10) for c in cosines]
    header.ImagePositionPatient = [round(float(p), 6) for p in grid.to_lps((k, 0, 0))]
    return header


def _finding(volume: Volume, voxels: np.ndarray, number: int, uid: str) -> Finding:
    """Measured crudely: the outline is the box of the mask on its biggest slice."""
    key = int(np.argmax(voxels.sum((1, 2))))
    rows, columns = np.nonzero(voxels[key])
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    source = volume.sources[key]
    image = ImageReference(
        sop_class_uid=source.sop_class_uid if source else CTImageStorage,
        sop_instance_uid=source.sop_instance_uid if source else "1.2.3",
        frame_number=source.frame_number if source else None,
    )
    box = ((left, top), (right + 1, top), (right + 1, bottom + 1), (left, bottom + 1))
    middle = (top + bottom) / 2, (left + right) / 2

    def lps(row: float, column: float) -> tuple[float, float, float]:
        x, y, z = volume.grid.to_lps((key, row, column))
        return float(x), float(y), float(z)

    long_axis = lps(middle[0], left), lps(middle[0], right)
    short_axis = lps(top, middle[1]), lps(bottom, middle[1])
    x, y, z = volume.grid.to_lps(np.argwhere(voxels)).mean(axis=0)
    return Finding(
        number=number,
        tracking_uid=uid,
        tracking_id=f"Lung nodule {number}",
        label=Code(value="27925004", scheme="SCT", meaning=Text(en="Nodule", zh="结节")),
        site=Code(value="39607008", scheme="SCT", meaning=Text(en="Lung", zh="肺")),
        score=0.875,
        centre_lps_mm=(float(x), float(y), float(z)),
        long_axis_mm=float(np.linalg.norm(np.subtract(*long_axis))),
        short_axis_mm=float(np.linalg.norm(np.subtract(*short_axis))),
        long_axis_lps_mm=long_axis,
        short_axis_lps_mm=short_axis,
        volume_mm3=float(voxels.sum() * volume.grid.voxel_volume_mm3),
        mean_hu=float(volume.voxels[voxels].mean()),
        slices=tuple(
            s.sop_instance_uid
            for k, s in enumerate(volume.sources)
            if s is not None and voxels[k].any()
        ),
        key_image=image,
        key_slice=key,
        segment_number=number,
        outlines=(Outline(image=image, points=tuple((float(x), float(y)) for x, y in box)),),
    )


def block(study: Study, k: slice, j: slice, i: slice, *, hollow: bool = True) -> np.ndarray:
    """A block with one corner cut off, so that no mirror image of it is itself."""
    voxels = np.zeros(study.volume.grid.shape, dtype=bool)
    voxels[k, j, i] = True
    if hollow:
        voxels[k.start, j.start, i.start] = False
        voxels[k.start, j.start, i.start + 1] = False
        voxels[k.start, j.start + 1, i.start] = False
    return voxels


def with_organ(**options: object) -> Study:
    """Two findings, the second of them inside an organ."""
    study = two_findings(**options)
    study.add_organ(block(study, slice(4, 9), slice(10, 23), slice(8, 18)))
    return study


def two_findings(**options: object) -> Study:
    study = make_study(**options)  # type: ignore[arg-type]
    study.add(block(study, slice(1, 4), slice(3, 8), slice(2, 9)))
    study.add(block(study, slice(5, 8), slice(12, 20), slice(10, 15)))
    return study
