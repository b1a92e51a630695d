"""What the pancreas benchmark computes: crops set into slices, and its parts by name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.accuracy_parts.pancreas_crops import _placed, _tallies, _to_net
from benchmarks.accuracy_parts.pancreas_msd import Crop, read_cases, to_hu


def _disc(side: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    j, i = np.indices((side, side))
    return np.asarray(np.hypot(j - centre[0], i - centre[1]) < radius)


def test_a_crop_keeps_its_size_in_mm() -> None:
    mask = _disc(60, (29.5, 29.5), 20)  # 0.8 mm pixels: 32 mm wide
    out = _to_net(mask, 0.8) > 0
    assert out.shape == (30, 30)
    assert out.sum() * 1.6**2 == pytest.approx(mask.sum() * 0.8**2, rel=0.08)
    at = np.argwhere(out).mean(0)
    assert at == pytest.approx([14.5, 14.5], abs=0.6)


def test_a_crop_lies_on_the_gland_that_it_resembles() -> None:
    gland = _disc(30, (14.5, 14.5), 10)
    crop = np.where(gland, 90.0, 20.0).astype(np.float32)
    long = np.zeros((256, 256), bool)
    long[100:104, 60:140] = True
    alike = _disc(256, (120.5, 150.5), 10)
    background = np.full((256, 256), 50, np.uint8)
    placed = _placed(crop, gland, [(background, long), (background, alike)])
    assert placed is not None
    host, box = placed
    assert (box[0].start, box[1].start) == (106, 136)
    assert (host[box][gland] == 90).all()
    outside = np.ones(host.shape, bool)
    outside[box] = False
    assert (host[outside] == 50).all()
    # The edge fades from the host to the crop.
    assert 20 < host[box][0, 0] < 50


def test_crops_are_read_in_hu_and_mm(shared_data: Path) -> None:
    assert to_hu(np.array([0, 51, 255], np.uint8)).tolist() == [-150, -70, 250]
    cases = list(read_cases(shared_data / "train"))
    assert len({case.name for case in cases}) == len(cases) == 40
    assert sum(case.cancer for case in cases) == 20
    for case in cases:
        assert case.crops and 0.5 < case.pixel_mm < 1.1 and 0.5 <= case.apart_mm <= 7.5
        for crop in case.crops:
            assert crop.hu.shape == crop.organ.shape == crop.labels.shape
            assert crop.organ.any() and crop.labels.max() <= 6


def test_tumour_and_gland_are_counted_apart() -> None:
    labels = np.where(_disc(40, (20, 20), 15), 4, 0).astype(np.uint8)
    labels[_disc(40, (20, 20), 6)] = 1
    crop = Crop(np.full((40, 40), 100, np.float32), labels > 0, labels)
    slices = [(np.full((256, 256), 50, np.uint8), _disc(256, (128, 128), 15))]

    def all_but_the_tumour(values: np.ndarray) -> np.ndarray:
        found = np.zeros(values.shape, bool)
        found[:, 128 - 20 : 128 + 20, 128 - 20 : 128 + 20] = True
        found[:, _disc(256, (128, 128), 8)] = False
        return found

    tallies = _tallies([crop], 1.6, slices, all_but_the_tumour)
    assert tallies["lesion"][0] == 0 and tallies["lesion"][1] > 80
    assert 0 < tallies["gland"][0] < tallies["gland"][1]
    assert tallies["around"][0] == tallies["around"][1] > 0


def test_a_part_of_another_organ_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for organ, part in (("pancreas", "real"), ("lungs", "crops")):
        words = ["accuracy", "--data", str(tmp_path), "--organ", organ, "--only", part]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            accuracy.main()
        assert f"{part} is no part of --organ {organ}" in capsys.readouterr().err
