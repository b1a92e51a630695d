"""Labelled images to evaluate a model on, from files, in the three layouts that people have.

- **DICOM SEG**: a folder with CT or MR series and, beside each, Segmentations that refer to it.
- **NIfTI**: images with label masks, as the Medical Segmentation Decathlon, nnU-Net or plain
  pairs by name have them.
- **Nodules**: a CSV with centre (LPS mm) and diameter of every lesion, as LUNA16's
  ``annotations.csv`` has it, and the images named by it.

``lidc`` and ``luna16`` read those two public sets as they are published, for
:mod:`models.evaluation.nodule_run`: with what counts, what does not, and the folds.

No network and no database; :func:`open_labelled` only lists, each case is read when its turn
comes.
"""

from __future__ import annotations

from pathlib import Path

from models.errors import DatasetError
from models.evaluation.labelled import nifti, points, seg
from models.evaluation.labelled.case import Case, Labelled, LabelledSet, LeftOut, Lesion
from models.spec import ModelSpec

__all__ = ["Case", "Labelled", "LabelledSet", "LeftOut", "Lesion", "open_labelled"]


def open_labelled(path: Path, spec: ModelSpec) -> LabelledSet:
    """List the cases of a folder (or of an annotations CSV) for a model.

    Args:
        path: the folder; which layout it has is seen from what is in it.
        spec: its labels say what a mask's values and segments mean.

    Raises:
        DatasetError: no layout fits, or the labels can't be the model's.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    for open_cases in (points.open_cases, nifti.open_cases, seg.open_cases):
        found = open_cases(path, spec)
        if found is None:
            continue
        if not found.cases:
            reasons = "; ".join(f"{each.name}: {each.reason}" for each in found.left_out[:5])
            raise DatasetError(f"{path}: no labelled case in it ({found.layout}). {reasons}")
        return found
    raise DatasetError(
        f"{path}: no labelled images in it. Three layouts are read: DICOM series with DICOM SEG "
        "beside them; NIfTI images in imagesTr/ with masks in labelsTr/, a dataset.json, or pairs "
        "such as a.nii.gz and a_seg.nii.gz; a CSV with the columns "
        f"{','.join(points.COLUMNS)} and the images it names"
    )
