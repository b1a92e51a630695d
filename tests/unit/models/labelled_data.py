"""Made-up labelled sets on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import highdicom
import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from imaging.geometry import Grid
from imaging.phantom import make_phantom
from imaging.phantom_series import write_series


def write_image(path: Path, voxels: np.ndarray, grid: Grid) -> Path:
    """An array (k, j, i), or (c, k, j, i), as NIfTI or MetaImage; the grid's axes as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stack = voxels if voxels.ndim == 4 else voxels[np.newaxis]
    images = []
    for each in stack:
        image = sitk.GetImageFromArray(each)
        image.SetSpacing(grid.spacing_mm[::-1])
        image.SetOrigin(grid.affine[:3, 3].tolist())
        cosines = grid.affine[:3, 2::-1] / np.array(grid.spacing_mm[::-1])
        image.SetDirection(cosines.ravel().tolist())
        images.append(image)
    sitk.WriteImage(images[0] if voxels.ndim == 3 else sitk.JoinSeries(images), str(path))
    return path


def small_series(folder: Path, *, seed: int = 0) -> list[Path]:
    """A CT series of 14 slices, 48 x 48 pixels."""
    return write_series(make_phantom(seed, slices=14, pixels=48, nodules=()), folder)


def write_seg(
    path: Path,
    images: Sequence[Path],
    segments: Mapping[str, np.ndarray],
    *,
    code: Code | None = None,
    kind: str = "BINARY",
    backwards: bool = False,
) -> Path:
    """A DICOM SEG made by highdicom.

    Args:
        images: the series' files, from the feet up.
        segments: label -> mask (k, j, i) in the order of ``images``.
        code: the segments' type.
        backwards: its frames run from the head down.
    """
    datasets = [dcmread(p) for p in images]
    stack = np.stack(list(segments.values()), axis=-1).astype(np.uint8)
    if backwards:
        datasets, stack = datasets[::-1], stack[::-1]
    pixels: np.ndarray = stack
    if kind == "LABELMAP":
        pixels = (stack * np.arange(1, stack.shape[-1] + 1, dtype=np.uint8)).max(axis=-1)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="hand", family=Code("123109", "DCM", "Manual Processing"), version="1"
    )
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=n,
            segment_label=label,
            segmented_property_category=Code(
                "49755003", "SCT", "Morphologically Abnormal Structure"
            ),
            segmented_property_type=code or Code("85756007", "SCT", "Tissue"),
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            algorithm_identification=algorithm,
        )
        for n, label in enumerate(segments, start=1)
    ]
    seg = highdicom.seg.Segmentation(
        source_images=datasets,
        pixel_array=pixels.astype(np.float32) if kind == "FRACTIONAL" else pixels,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)
    return path
