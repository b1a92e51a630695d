"""What an analysis leaves on disk beside the objects: why findings were flagged."""

from __future__ import annotations

import json
from pathlib import Path

from models.lesions import Why
from pacs_bridge.results import save_why, why_picture_path


def test_pictures_and_scores_of_why_are_kept_by_tracking_uid(tmp_path: Path) -> None:
    save_why(
        tmp_path, {"1.2": Why(b"first", 0.95, 0.12, 0.5), "1.3": Why(b"second", 0.8, 0.7, 0.75)}
    )
    assert why_picture_path(tmp_path, "1.2").read_bytes() == b"first"
    scores = json.loads((tmp_path / "why" / "scores.json").read_text())
    assert scores["1.3"] == {"score": 0.8, "healed_score": 0.7, "least_score": 0.75}


def test_a_later_try_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    save_why(tmp_path, {"1.2": Why(b"first", 0.95, 0.12, 0.5)})
    save_why(tmp_path, {"1.4": Why(b"other", 0.95, 0.12, 0.5)})
    assert not why_picture_path(tmp_path, "1.2").exists()
    assert {p.name for p in (tmp_path / "why").iterdir()} == {"1.4.png", "scores.json"}
    save_why(tmp_path, {})
    assert not any((tmp_path / "why").iterdir())


def test_a_model_that_tells_no_why_makes_no_folder(tmp_path: Path) -> None:
    save_why(tmp_path, {})
    assert not (tmp_path / "why").exists()
