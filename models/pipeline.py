"""The one path from voxels to lesions, whatever kind of network a model has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from imaging.notices import Notice, notice
from imaging.volume import Volume
from models.detection import detect as detection
from models.detection.detect import DetectionPlan
from models.errors import SpecError
from models.lesions import Candidate, Lesions
from models.loaded import LoadedModel
from models.lungs.find import find_nodules
from models.opening import NETWORK
from models.pancreas.find import find_pancreas
from models.recipe import Recipe
from models.runner import Runner
from models.spec import SPEC_NAME
from models.voxels import structures
from models.voxels.labelmap import LabelMap
from models.voxels.prompts import PromptPlan, segment_prompts
from models.voxels.segmentation import segment
from models.voxels.together import Together, bring_together

__all__ = ["Candidate", "Lesions", "find_lesions", "label"]

Progress = Callable[[str], None]


def find_lesions(
    volumes: Sequence[Volume],
    model: LoadedModel,
    networks: Mapping[str, Runner],
    progress: Progress = lambda step: None,
    *,
    explained: bool = True,
    research: bool = False,
) -> Lesions:
    """Find the lesions, and measure the organs, a model is made for.

    Args:
        volumes: one for each series role of the model, in their order (one where it takes
            one series); HU where the modality is CT, any orthogonal grid.
        model: its spec's ``task`` and its plan name the path below.
        networks: what runs its networks, by their roles.
        progress: called with the name of each step as it begins.
        explained: with what made the model flag the best findings, where its way tells it.
        research: with the model's research map, where it has one; a site switches it on.

    Returns:
        Regions on the first volume's grid.

    Raises:
        InputRefused: the volume is not what the model is for.
        PatchRefused: the network takes no patch of it, or gives no finite numbers.
        InferenceFailed: a network could not be run.
        SpecError: its task and its plan don't belong together.
    """
    spec, plan = model.spec, model.plan
    if spec.task == "lung-nodules":
        return find_nodules(volumes[0], spec, networks, progress, explained=explained)
    if spec.task == "pancreas":
        return find_pancreas(volumes[0], spec, networks, progress, research=research)
    seconds: dict[str, float] = {}
    if spec.task == "detection":
        if not isinstance(plan, DetectionPlan):
            raise SpecError(
                f"{spec.folder / SPEC_NAME}: task = 'detection', but the network labels voxels"
            )
        together = bring_together(volumes, spec, progress, seconds)
        boxes = detection.detect(together.volumes, plan, networks[NETWORK], progress, seconds)
        found = detection.candidates(boxes, volumes[0].grid, spec)
        notices = (*together.notices, *((notice("boxes-only"),) if found else ()))
        return Lesions(tuple(found), notices, seconds)
    told: list[Notice] = []
    labels = label(volumes, model, networks, progress, seconds, told)
    return Lesions(tuple(structures.candidates(volumes[0], labels, spec)), tuple(told), seconds)


def label(
    volumes: Sequence[Volume],
    model: LoadedModel,
    networks: Mapping[str, Runner],
    progress: Progress = lambda step: None,
    seconds: dict[str, float] | None = None,
    told: list[Notice] | None = None,
) -> LabelMap:
    """The label of every voxel, as a segmentation model gives it.

    Args:
        volumes, model, networks, progress: see :func:`find_lesions`.
        seconds: how long each step took is written into it.
        told: what a reader must know of how several series came together is added to it.

    Raises:
        SpecError: the model doesn't label voxels.
        InputRefused, PatchRefused, InferenceFailed: see :func:`find_lesions`.
    """
    together = bring_together(volumes, model.spec, progress, seconds)
    if told is not None:
        told += together.notices
    return together.back(_labels(together, model, networks, progress, seconds))


def _labels(
    together: Together,
    model: LoadedModel,
    networks: Mapping[str, Runner],
    progress: Progress,
    seconds: dict[str, float] | None,
) -> LabelMap:
    plan, volumes = model.plan, together.volumes
    if isinstance(plan, Recipe):
        return segment(volumes, plan, networks[NETWORK], progress, seconds)
    if isinstance(plan, PromptPlan):
        return segment_prompts(volumes, plan, networks[NETWORK], progress, seconds)
    if plan is None or isinstance(plan, DetectionPlan):
        where = model.spec.folder / SPEC_NAME
        raise SpecError(f"{where}: task = {model.spec.task!r} labels no voxels")
    return _by_library(volumes, model, networks, progress, seconds)


def _by_library(
    volumes: Sequence[Volume],
    model: LoadedModel,
    networks: Mapping[str, Runner],
    progress: Progress,
    seconds: dict[str, float] | None,
) -> LabelMap:
    """MONAI's or nnU-Net's own code around the network; imported where it is used."""
    from models.nnunet import NnunetPlan

    if isinstance(model.plan, NnunetPlan):
        from models import nnunet

        return nnunet.segment(volumes, model.plan, networks, progress, seconds)
    from models.bundle import generic

    assert isinstance(model.plan, generic.MonaiPlan)
    return generic.segment(volumes, model.plan, networks[NETWORK], progress, seconds)
