"""The shipped organ net on a real abdomen: one organ of a usual size, in the product's own path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.loaded import load_model
from models.pipeline import find_lesions
from models.spec import find_spec
from tests.abdomen import abdomen_volume


def test_a_real_abdomen_has_one_pancreas(abdomen_archive: Path) -> None:
    volume = abdomen_volume(abdomen_archive)
    model = load_model(find_spec("pancreas_reference"), threads=1)
    steps: list[str] = []
    found = find_lesions([volume], model, model.runners, steps.append)
    assert steps == ["coverage", "slices", "segment", "organ"]
    (gland,) = found.candidates
    assert model.spec.labels[0].kind == "organ" and gland.label == model.spec.labels[0].index
    ml = gland.region.mask.volume_mm3 / 1000
    assert 15 < ml < 150
    # It lies in front of the spine: within 120 mm of the aorta's place, and across the midline.
    centre = np.array(gland.region.centre_mm)
    middle = volume.grid.to_lps((np.array(volume.grid.shape) - 1) / 2)
    assert np.abs(centre - middle).max() < 120
    hu = volume.voxels[gland.region.box][gland.region.voxels]
    assert 40 < np.median(hu) < 160
    assert found.heat is None
