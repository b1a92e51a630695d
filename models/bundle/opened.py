"""A bundle that is ready for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.runtime.source import TorchNetwork, TorchScriptFile

if TYPE_CHECKING:
    from models.bundle.generic import MonaiPlan
    from models.detection.detect import DetectionPlan
    from models.recipe import Recipe
    from models.voxels.prompts import PromptPlan


@dataclass(frozen=True, eq=False)
class OpenedBundle:
    """What a runtime loads and how it is run.

    Args:
        source: the network; TorchScript where the bundle has no other weights.
        plan: a ``Recipe`` where the bundle's transforms can be said as one, else a
            ``MonaiPlan``, or the plan of a detector or of VISTA3D.
        metadata: ``configs/metadata.json``.
    """

    source: TorchNetwork | TorchScriptFile
    plan: Recipe | PromptPlan | MonaiPlan | DetectionPlan
    metadata: Mapping[str, Any]
