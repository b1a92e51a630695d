"""A described model's networks and how they are run, before any runtime loads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.detection.detect import DetectionPlan
from models.errors import SpecError
from models.intake.installation import code_trusted_by
from models.lungs.nodules import SIDE_MULTIPLE
from models.recipe import Recipe
from models.runtime.source import OnnxFile, Source, TorchNetwork, TorchScriptFile, TritonModel
from models.spec import SPEC_NAME, ModelSpec
from models.splitting import Split

if TYPE_CHECKING:
    from models.bundle.generic import MonaiPlan
    from models.nnunet import NnunetPlan
    from models.voxels.prompts import PromptPlan

    Plan = Recipe | PromptPlan | MonaiPlan | DetectionPlan | NnunetPlan

NETWORK = "network"
"""The role of the only network of a segmentation or detection model."""
SEEN_VOXELS = 16
"""Overlap of the two parts of a cut patch; an encoder-decoder sees little further."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What a model's folder was found to hold.

    Args:
        sources: what a runtime loads, by role.
        plan: how they are run; None where the task has a path of its own (lung-nodules, pancreas).
        splits: how a patch of a role's network may be cut when memory is short.
    """

    sources: Mapping[str, Source]
    plan: Plan | None = None
    splits: Mapping[str, Split] = field(default_factory=dict)


def open_networks(spec: ModelSpec) -> Opened:
    """Find a model's networks and the way they are run.

    Raises:
        SpecError: the folder doesn't hold what ``preread.toml`` describes.
        CodeRefused: a bundle wants its own Python run and nobody trusted it.
        RuntimeMissing: a library that reads it is not installed.
    """
    if spec.network.kind == "monai-bundle":
        return _bundle(spec)
    if spec.network.kind == "nnunet":
        return _nnunet(spec)
    return _plain(spec)


def _bundle(spec: ModelSpec) -> Opened:
    from models.bundle import open_bundle

    trusted = bool(code_trusted_by(spec.folder))
    opened = open_bundle(spec.folder, spec.network, trust_code=trusted)
    source = opened.source
    fixed = spec.network.fixed_patch or (isinstance(source, TorchNetwork) and source.fixed)
    split = Split(SIDE_MULTIPLE, SEEN_VOXELS)
    if isinstance(opened.plan, DetectionPlan):
        # Its pyramid sees far, and a whole chest is one patch that may well be too large.
        split = Split(max(opened.plan.divisible), 2 * SEEN_VOXELS)
    return Opened({NETWORK: source}, opened.plan, {} if fixed else {NETWORK: split})


def _nnunet(spec: ModelSpec) -> Opened:
    from models.nnunet import open_nnunet

    opened = open_nnunet(spec.folder, spec.network)
    split = Split(opened.multiple, SEEN_VOXELS) if opened.multiple else None
    return Opened(
        opened.sources, opened.plan, dict.fromkeys(opened.sources, split) if split else {}
    )


def _plain(spec: ModelSpec) -> Opened:
    sources: dict[str, Source]
    kind = spec.network.kind
    if kind == "triton":
        network = spec.network
        sources = {
            NETWORK: TritonModel(
                url=network.url,
                model=network.model,
                shared_memory=network.shared_memory,
                timeout_s=network.timeout_s,
            )
        }
    elif kind == "torchscript":
        sources = {role: TorchScriptFile(spec.path_of(role)) for role in spec.files}
    else:
        # A network over 2 GB keeps its weights in a file of their own beside it.
        networks = [role for role, name in spec.files.items() if name.endswith(".onnx")]
        sources = {role: OnnxFile(spec.path_of(role)) for role in networks}
    if spec.task == "lung-nodules":
        return Opened(sources, splits={"detector": Split(SIDE_MULTIPLE, 2 * SEEN_VOXELS)})
    if spec.task == "pancreas":
        # One slice is a patch; no memory is too short for that.
        return Opened(sources)
    where = spec.folder / SPEC_NAME
    if spec.task == "detection":
        raise SpecError(
            f"{where}: task = 'detection' needs network.kind = 'monai-bundle'; a plain file says "
            "nothing of the anchors of its boxes"
        )
    if spec.recipe is None:
        raise SpecError(f"{where}: recipe is missing; a plain network needs [recipe]")
    if set(sources) != {NETWORK}:
        raise SpecError(f"{where}: files must name one role, {NETWORK!r}; found {sorted(sources)}")
    cut = not spec.network.fixed_patch
    return Opened(sources, spec.recipe, {NETWORK: Split(SIDE_MULTIPLE, SEEN_VOXELS)} if cut else {})
