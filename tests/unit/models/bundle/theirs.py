"""MONAI's own bundle workflow, run on a volume of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from imaging.volume import Volume
from models.bundle.reading import config_paths
from models.sections import NetworkSection
from models.voxels.frames import image_of


def run_workflow(
    folder: Path,
    volumes: Sequence[Volume],
    into: Path,
    overrides: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """The mask that MONAI's workflow saves, (k, j, i), int64."""
    found = saved_image(folder, volumes, into, overrides)
    labels = np.rint(found).astype(np.int64)
    assert np.array_equal(found, labels)
    return labels.transpose(2, 1, 0)


def saved_image(
    folder: Path,
    volumes: Sequence[Volume],
    into: Path,
    overrides: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """What MONAI's workflow saves, (x, y, z) or (x, y, z, c).

    The config is the bundle's; set are only the paths, the device, the data, and
    ``overrides``. The image is written as NIfTI in float32.
    """
    from monai.bundle.workflows import ConfigWorkflow

    into.mkdir(parents=True)
    paths = [write_nifti(each, into / f"scan{n}.nii.gz") for n, each in enumerate(volumes)]
    workflow = ConfigWorkflow(
        config_file=str(config_paths(folder, NetworkSection())[0]),
        workflow_type="infer",
        bundle_root=str(folder),
        output_dir=str(into / "eval"),
        device="$torch.device('cpu')",
        **{
            "dataset::data": [{"image": paths[0] if len(paths) == 1 else paths}],
            "dataloader::num_workers": 0,
        },
        **(overrides or {}),
    )
    workflow.initialize()
    workflow.run()
    (saved,) = (into / "eval").rglob("*.nii.gz")
    return np.asarray(nibabel.load(saved).dataobj)


def write_nifti(volume: Volume, path: Path) -> str:
    """A volume as NIfTI, float32, its affine to RAS mm."""
    image = image_of([volume])
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.voxels[0], np.float32), image.affine), path)
    return str(path)
