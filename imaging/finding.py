"""What a model marks in the images, measured: a lesion (finding) or an organ (structure)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from imaging.geometry import Point
from imaging.image_reference import ImageReference as ImageReference
from imaging.language import Text
from imaging.nodule import Nodule
from imaging.pancreatic import PancreaticLesion


class Code(BaseModel):
    """A coded concept (PS3.3 8.8): value, scheme designator, meaning in both languages."""

    model_config = ConfigDict(frozen=True)

    value: str
    scheme: str
    meaning: Text


class Outline(BaseModel):
    """A closed contour on one source image.

    ``points`` are (column, row) in the image-relative coordinates of SCOORD: (0, 0) is the
    top left corner of the top left pixel, so its centre is (0.5, 0.5) (PS3.3 C.18.6.1.1).
    The first point is not repeated at the end.
    """

    model_config = ConfigDict(frozen=True)

    image: ImageReference
    points: tuple[tuple[float, float], ...]


class Finding(BaseModel):
    """One lesion. The field names are the JSON contract; units are in the names.

    Axes are measured in the source's own slices (axial): the long axis is the longest
    distance across the mask in one slice, the short axis the longest perpendicular to it in
    the same slice (Fleischner Society 2017, Bankier et al., Radiology 285:584).
    """

    model_config = ConfigDict(frozen=True)

    number: int = Field(description="1, 2, ... by descending score")
    tracking_uid: str = Field(description="shared by the SR's groups and the SEG's segment")
    tracking_id: str = Field(description="human-readable, e.g. 'Lung nodule 1'")
    label: Code = Field(description="what the model says it is (SNOMED CT or RadLex)")
    site: Code = Field(description="the organ it lies in")
    score: float = Field(ge=0, le=1, description="the model's confidence; no probability of cancer")
    centre_lps_mm: Point = Field(description="centre of mass of the mask, LPS mm")
    long_axis_mm: float
    short_axis_mm: float
    long_axis_lps_mm: tuple[Point, Point] = Field(description="end points of the long axis")
    short_axis_lps_mm: tuple[Point, Point] = Field(description="end points of the short axis")
    volume_mm3: float
    mean_hu: float | None = Field(description="over the whole mask; null where values are no HU")
    slices: tuple[str, ...] = Field(
        description="SOPInstanceUID of every source image the mask touches"
    )
    key_image: ImageReference = Field(description="the image on which the axes were measured")
    key_slice: int = Field(description="its index k in the analysed volume")
    segment_number: int = Field(description="in the SEG of the same report")
    outlines: tuple[Outline, ...] = Field(description="of the mask, on every touched image")
    model: str = Field(default="", description="name of the model that marked it; empty: the first")
    nodule: Nodule | None = Field(default=None, description="of a lung nodule on CT")
    pancreatic: PancreaticLesion | None = Field(
        default=None, description="of a lesion of the pancreas on CT"
    )

    @property
    def key_outlines(self) -> tuple[Outline, ...]:
        """The outlines on the key image."""
        return tuple(o for o in self.outlines if o.image == self.key_image)


class Structure(BaseModel):
    """An organ or another normal structure, segmented as a whole and measured.

    It is no finding: nobody accepts or rejects it, and it has no axes. Field names and units
    are those of :class:`Finding`.
    """

    model_config = ConfigDict(frozen=True)

    tracking_uid: str
    tracking_id: str
    label: Code = Field(description="which structure (SNOMED CT or RadLex)")
    site: Code = Field(description="where it lies; its own code for an organ")
    score: float = Field(ge=0, le=1, description="the model's mean confidence over the mask")
    centre_lps_mm: Point
    volume_mm3: float
    mean_hu: float | None = Field(description="over the whole mask; null where values are no HU")
    slices: tuple[str, ...]
    key_image: ImageReference = Field(description="the image on which its area is largest")
    key_slice: int
    segment_number: int
    outlines: tuple[Outline, ...] = Field(description="of the mask, on the key image only")
    model: str = ""
