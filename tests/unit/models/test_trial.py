"""Every model that ships takes the patch that `preread models verify` tries it with."""

from __future__ import annotations

import numpy as np
import pytest

from models.intake.trial import patch_shape, try_networks
from models.loaded import load_model
from models.opening import open_networks
from models.spec import CATALOG, list_specs, read_spec

SHIPPED = [spec.name for spec in list_specs() if spec.reference_weights]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_runs(name: str) -> None:
    tried = try_networks(load_model(read_spec(CATALOG / name), threads=1))
    assert {one.role for one in tried} == set(read_spec(CATALOG / name).files)
    assert all(np.prod(shape) > 1 for one in tried for shape in one.gave)


def test_volumes_and_slices_are_told_apart_by_the_file() -> None:
    shapes = {
        (name, role): patch_shape(spec, source)
        for name in SHIPPED
        for spec in [read_spec(CATALOG / name)]
        for role, source in open_networks(spec).sources.items()
    }
    assert shapes["lung_nodule_reference", "detector"] == (1, 32, 32, 32)
    assert shapes["pancreas_reference", "organ"] == (1, 192, 192)
    assert shapes["pancreas_reference", "heat"] == (2, 192, 192)
