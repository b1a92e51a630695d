"""The picture of why a place was flagged: three panels side by side, labelled by figures only.

Left the place with its outline and its score; in the middle what the score hangs on, and the
score without the most telling part; right the place healed, and its score. As radiologists look
at it: the patient's right on the left, the front on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from imaging.outline import outlines
from models.lungs.nodules import Float

PANEL_PX, GAP_PX, LABEL_PX = 196, 6, 24
WINDOW_HU = (-1350.0, 150.0)
"""The lung window's ends."""
LEAST_FALL = 2.0
"""A fall of the logit that is drawn in full where none is larger, so that noise stays faint."""

_OUTLINE, _TEXT, _PLATE = (255, 196, 61), (225, 232, 236), (18, 22, 25)
_COOL, _HOT = np.array([255.0, 214.0, 64.0]), np.array([232.0, 38.0, 28.0])
_STRONGEST = 0.7
"""The heat never hides the image wholly."""


@dataclass(frozen=True, eq=False)
class Heat:
    """How much the score falls when a part of the slice is healed.

    Attributes:
        falls: [rows, columns], of the logit; negative where the score rises.
        rows, columns: edges in voxels, one more than there are.
    """

    falls: NDArray[np.float64]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]


def draw(
    image: Float, healed: Float, share: Float, heat: Heat, *, scores: tuple[float, float, float]
) -> bytes:
    """The picture, PNG, 600 x 220.

    Args:
        image: [j, i] in the nets' units, a square.
        healed: likewise, without the lesion.
        share: likewise, the lesion's share of each voxel, 0 to 1.
        heat: drawn over the middle panel.
        scores: as reported; with the most telling part healed; with the lesion healed.
    """
    before, after = _grey(image), _grey(healed)
    panels = (_outlined(before, share, 2), _outlined(_heated(before, heat, len(image)), share, 1),
              after)  # fmt: skip
    page = Image.new("RGB", (3 * PANEL_PX + 2 * GAP_PX, PANEL_PX + LABEL_PX), _PLATE)
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(14)
    reported, least, whole = scores
    for n, (panel, then) in enumerate(zip(panels, (None, least, whole), strict=True)):
        left = n * (PANEL_PX + GAP_PX)
        page.paste(panel, (left, 0))
        middle = (left + PANEL_PX // 2, PANEL_PX + LABEL_PX // 2)
        if then is None:
            pen.text(middle, f"{reported:.2f}", fill=_TEXT, font=font, anchor="mm")
            _scale_bar(pen, left, len(image))
        else:
            _from_to(pen, middle, reported, then, font)
    out = BytesIO()
    page.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _grey(image: Float) -> Image.Image:
    # The nets' clipping keeps air above the window's lower end: it is dark grey, as elsewhere.
    low, high = ((hu + 500) / 400 for hu in WINDOW_HU)
    grey = np.clip((image - low) / (high - low), 0, 1) * 255
    picture = Image.fromarray(grey.astype(np.uint8))
    return picture.resize((PANEL_PX, PANEL_PX), Image.Resampling.BICUBIC).convert("RGB")


def _outlined(picture: Image.Image, share: Float, width: int) -> Image.Image:
    """The lesion's outline drawn, smoothly, on the enlarged slice."""
    smooth = 2
    side = PANEL_PX * smooth
    fine = Image.fromarray(_rounded(share)).resize((side, side), Image.Resampling.BICUBIC)
    large = picture.resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(large)
    for polygon in outlines(np.asarray(fine) >= 0.5):
        points = [(float(x), float(y)) for x, y in polygon]
        pen.line([*points, points[0]], fill=_OUTLINE, width=width * smooth, joint="curve")
    return large.resize((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)


def _rounded(share: Float) -> Float:
    """Without the stairs of the source's pixels; a speck of a few voxels stays as it is."""
    if np.count_nonzero(share >= 0.5) < 30:
        return share.astype(np.float32)
    smooth = np.asarray(share, np.float64)
    for axis in (0, 1):
        smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    return smooth.astype(np.float32)


def _heated(picture: Image.Image, heat: Heat, length: int) -> Image.Image:
    """The falls over the picture, yellow to red, the more the less transparent."""
    scale = PANEL_PX / length
    most = max(float(heat.falls.max()), LEAST_FALL)
    strength = np.clip(heat.falls / most, 0, 1).astype(np.float32)
    # A border of nothing, so that the colour fades out instead of ending at an edge.
    strength = np.pad(strength, 1)
    row, column = heat.rows[1] - heat.rows[0], heat.columns[1] - heat.columns[0]
    left, top = (heat.columns[0] - column) * scale, (heat.rows[0] - row) * scale
    size = (
        max(1, round(column * scale * strength.shape[1])),
        max(1, round(row * scale * strength.shape[0])),
    )
    fine = Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR)
    whole = Image.new("F", picture.size, 0.0)
    whole.paste(fine, (round(left), round(top)))
    part = np.clip(np.asarray(whole, np.float32), 0, 1)[..., None]
    colour = _COOL + (_HOT - _COOL) * part
    alpha = _STRONGEST * part
    mixed = np.asarray(picture, np.float32) * (1 - alpha) + colour * alpha
    return Image.fromarray(mixed.astype(np.uint8))


def _from_to(
    pen: ImageDraw.ImageDraw,
    middle: tuple[int, int],
    before: float,
    after: float,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Two scores with an arrow between them; the arrow is drawn, not every font has one."""
    x, y = middle
    pen.text((x - 14, y), f"{before:.2f}", fill=_TEXT, font=font, anchor="rm")
    pen.line([(x - 7, y), (x + 7, y)], fill=_TEXT, width=1)
    pen.polygon([(x + 7, y), (x + 3, y - 3), (x + 3, y + 3)], fill=_TEXT)
    pen.text((x + 14, y), f"{after:.2f}", fill=_TEXT, font=font, anchor="lm")


def _scale_bar(pen: ImageDraw.ImageDraw, left: int, length: int) -> None:
    """One centimetre."""
    wide = round(10 * PANEL_PX / length)
    x, y = left + PANEL_PX - 8, PANEL_PX - 8
    pen.rectangle((x - wide - 1, y - 1, x + 1, y + 2), fill=_PLATE)
    pen.rectangle((x - wide, y, x, y + 1), fill=_TEXT)
    font = ImageFont.load_default(11)
    pen.text(
        (x, y - 4), "1 cm", fill=_TEXT, font=font, anchor="rs", stroke_width=2, stroke_fill=_PLATE
    )
