"""The benchmark of inference as people run it, on a coarse chest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_both_ways_give_the_same_mask_and_their_figures(tmp_path: Path) -> None:
    out = tmp_path / "inference.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.inference", "--slices", "24", "--repeat", "1",
         "--together", "2", "--device", "cpu", "--out", str(out)],
        capture_output=True, text=True, timeout=900, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["slices"] == 24
    assert result["agreement"]["share_equal"] > 0.9999
    assert result["agreement"]["dice"] > 0.999
    assert 0.01 < result["agreement"]["marked_share"] < 0.9
    for way in ("monai", "ours"):
        stages = {k: v for k, v in result["seconds"][way].items() if k != "total"}
        assert sum(stages.values()) == pytest.approx(result["seconds"][way]["total"], rel=0.1)
        assert 0.2e9 < result["peak_bytes"][way]["host"] < 8e9
    assert result["ratio"] > 0
    assert result["together"]["studies"] == 2
    assert "total without read" in done.stdout
    assert "together: " in done.stdout
