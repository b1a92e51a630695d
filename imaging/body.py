"""The patient's body in a CT, without the couch; and two small tools of masks by slice."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.volume import Voxels

BODY_HU = -300.0

Bools = NDArray[np.bool_]


def body_mask(hu: Voxels) -> Bools:
    """The body with the air in it: the largest dense piece, each slice filled.

    Opened first, by so little that the thinnest chest wall stays and the couch (a thin shell
    around foam) comes off.

    Args:
        hu: (k, j, i), axial, voxels of about 2 mm in the slice.
    """
    opened = grown(~grown(hu <= BODY_HU))
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(opened.astype(np.uint8)))
    return fill_slices(sitk.GetArrayFromImage(sitk.RelabelComponent(labels)) == 1)


def fill_slices(mask: Bools) -> Bools:
    """Fills what each slice encloses."""
    # All slices as one tall picture with an empty frame around each: one call, not hundreds.
    framed = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    tall = sitk.GetImageFromArray(framed.reshape(-1, framed.shape[2]).astype(np.uint8))
    filled = sitk.GetArrayFromImage(sitk.BinaryFillhole(tall)).reshape(framed.shape)
    return np.ascontiguousarray(filled[:, 1:-1, 1:-1]).astype(bool)


def grown(mask: Bools) -> Bools:
    """Adds the four neighbours within each slice."""
    more = mask.copy()
    more[:, 1:] |= mask[:, :-1]
    more[:, :-1] |= mask[:, 1:]
    more[:, :, 1:] |= mask[:, :, :-1]
    more[:, :, :-1] |= mask[:, :, 1:]
    return more
