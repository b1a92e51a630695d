"""What an analysis leaves on disk comes back as it was, slices that were moved among it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imaging.geometry import Grid
from imaging.headers import read_header
from imaging.measure import measure
from imaging.objects import make_seg
from pacs_bridge.results import load_analysis, save_analysis
from tests.unit.imaging.objects.made import Study
from tests.unit.imaging.synthetic import load, make_images, random_hu, write


def test_a_tilted_analysis_comes_back_with_the_places_of_its_images(tmp_path: Path) -> None:
    """Without them the masks of a restarted server would lie beside their images."""
    images = make_images(random_hu((20, 40, 36)), step=(0, 0.7, 2.5))
    paths = write(tmp_path / "ct", images)
    volume = load(paths).volume
    study = Study([read_header(path) for path in paths], volume)
    mask = np.zeros(volume.grid.shape, bool)
    mask[8:12, 20:30, 10:20] = True
    finding = study.add(mask)
    region = study.regions[finding.tracking_uid]
    study.findings[-1] = finding.model_copy(update=vars(measure(volume, region)))
    report = study.report()

    save_analysis(tmp_path / "kept", report, study.regions, volume)
    kept = load_analysis(tmp_path / "kept")

    assert kept.sources == volume.sources
    assert any(source and source.first_row for source in kept.sources)
    assert isinstance(kept.grid, Grid)
    assert kept.grid.same_as(volume.grid)
    before = make_seg(report, study.regions, study.headers, slices=volume.sources)
    after = make_seg(report, kept.regions, study.headers, slices=kept.sources)
    assert before == after
