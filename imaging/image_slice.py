"""One image, and the series it is of, as values: what a header says, without the header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imaging.geometry import Point
from imaging.mr_facts import MrFacts

Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ImageSlice:
    """One two-dimensional image: a single-frame file, or one frame of a multi-frame file."""

    path: Path
    frame_number: int | None
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    modality: str
    instance_number: int
    image_type: tuple[str, ...]
    rows: int
    columns: int
    position: Point | None
    """ImagePositionPatient: centre of the first pixel, LPS mm."""
    orientation: Orientation | None
    """ImageOrientationPatient: direction of growing column index, then of growing row index."""
    pixel_spacing: tuple[float, float] | None
    """Between rows, between columns, mm."""
    slice_thickness_mm: float | None
    variant: tuple[tuple[str, str], ...]
    """Attributes that tell apart images of one position: acquisition, echo, phase, kernel."""
    images_in_acquisition: int = 0
    """ImagesInAcquisition (0020,1002); 0: not said."""


@dataclass(frozen=True)
class SeriesHeader:
    """What the images of one series say of the series."""

    study_uid: str
    series_uid: str
    modality: str
    number: str
    description: str
    body_part: str
    kernel: str
    contrast: str
    protocol: str = ""
    study_description: str = ""
    frame_of_reference: str = ""
    station: str = ""
    maker: str = ""
    """Manufacturer and model name."""
    agent_phase: str = ""
    """ContrastBolusAgentPhase, where it tells a stack from others of one series."""
    mr: MrFacts = MrFacts()
    """Of the first image or frame; empty where the modality is another."""
