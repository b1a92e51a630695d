"""One study through an nnU-Net model: nnU-Net's steps, its patches through our runner."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from imaging.volume import Volume
from models.clock import Clock
from models.errors import PatchRefused, SpecError
from models.nnunet.choice import Classes, Regions
from models.nnunet.export import NnunetPlan
from models.runner import PatchInput, PatchOutputs, Runner
from models.voxels.frames import Affine, closest_axes, image_of, to_kji
from models.voxels.labelmap import LabelMap

if TYPE_CHECKING:
    from torch import Tensor

Image = Annotated[NDArray[np.float32], "c, and three axes in nnU-Net's order"]

WAITING_BYTES = 512 << 20
"""Results that wait to be blended, at most; two patches always may."""
MOST_WAITING = 16


def segment(
    volumes: Sequence[Volume],
    plan: NnunetPlan,
    runners: Mapping[str, Runner],
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
) -> LabelMap:
    """Segment one study.

    Args:
        volumes: one for each channel of the plan, HU or signal; the first one's grid counts.
        plan: how the model was trained.
        runners: one for each fold; their logits are averaged.
        progress: called with ``prepare``, ``network`` and ``finish`` as each begins.
        seconds: how long each of these took is written into it.

    Returns:
        Labels as ``dataset.json`` numbers them, and the probability of each voxel's label.

    Raises:
        SpecError: the model takes another number of series.
        PatchRefused: the network's output is not finite.
        InferenceFailed: it could not be run.
    """
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    if len(volumes) != len(plan.channel_names):
        raise SpecError(
            f"the model takes {len(plan.channel_names)} series ({', '.join(plan.channel_names)}), "
            f"not {len(volumes)}"
        )
    clock = Clock({} if seconds is None else seconds)
    progress("prepare")
    stack = image_of(volumes)
    turn = _Turn.of(stack.affine, plan.orientation)
    spacing = np.linalg.norm(stack.affine[:3, :3], axis=0)
    manager = PlansManager(plan.plans)
    settings = manager.get_configuration(plan.configuration)
    preprocessor = settings.preprocessor_class(verbose=False)
    image, _, properties = preprocessor.run_case_npy(
        turn.there(stack.voxels),
        None,
        {"spacing": [float(spacing[axis]) for axis in turn.axes]},
        manager,
        settings,
        plan.dataset,
    )
    clock.lap("prepare")
    progress("network")
    logits = _average([_logits(image, plan, runner) for runner in runners.values()])
    clock.lap("network")
    progress("finish")
    labels, confidence = _labels(logits, plan, manager, settings, properties)
    found = LabelMap(turn.back(labels), volumes[0].grid, turn.back(confidence))
    clock.lap("finish")
    return found


@dataclass(frozen=True)
class _Turn:
    """Axes of an image brought into the order and directions of the training images.

    ``axes[n]`` is the axis among (x, y, z) that becomes n, ``flips`` the new axes that are
    reversed.
    """

    axes: tuple[int, ...]
    flips: tuple[int, ...]

    @classmethod
    def of(cls, affine: Affine, orientation: str) -> _Turn:
        """For letters of the directions to which columns, rows and slices shall grow."""
        patient, signs = closest_axes(affine)
        # nnU-Net's first axis is that of the slices.
        letters = orientation[::-1]
        axes = tuple(patient.index(_PATIENT_AXIS[letter]) for letter in letters)
        flips = tuple(
            n for n, letter in enumerate(letters) if (signs[axes[n]] > 0) != (letter in "RAS")
        )
        return cls(axes, flips)

    def there(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """(c, x, y, z) to (c, and the training images' axes); a view."""
        moved = voxels.transpose(0, *(axis + 1 for axis in self.axes))
        return np.flip(moved, tuple(axis + 1 for axis in self.flips))

    def back(self, values: NDArray[Any]) -> NDArray[Any]:
        """The training images' axes to (k, j, i); contiguous."""
        moved = np.flip(values, self.flips).transpose(np.argsort(self.axes))
        return np.ascontiguousarray(to_kji(moved))


_PATIENT_AXIS = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}


def _logits(image: Image, plan: NnunetPlan, runner: Runner) -> Tensor:
    """Blended logits of one fold, (heads, *image) in half precision, as nnU-Net keeps them."""
    import torch
    from acvl_utils.cropping_and_padding.padding import pad_nd_image
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    padded, inside = pad_nd_image(image, plan.patch, "constant", {"constant_values": 0}, True)
    gaussian = compute_gaussian(
        plan.patch, sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu")
    )
    total: Tensor | None = None
    weight = torch.zeros(padded.shape[1:], dtype=torch.half)
    for where, output in _patches(padded, plan, runner):
        if total is None:
            total = torch.zeros((output.shape[0], *padded.shape[1:]), dtype=torch.half)
        total[where] += torch.from_numpy(output).mul_(gaussian)
        weight[where[1:]] += gaussian
    assert total is not None, "an image has a patch"
    total /= weight
    if not torch.isfinite(total).all():
        raise PatchRefused("the network's output is not finite for this study")
    return total[(slice(None), *inside[1:])]


def _patches(
    image: Image, plan: NnunetPlan, runner: Runner
) -> Iterator[tuple[tuple[Any, ...], NDArray[np.float32]]]:
    """Where each patch lies and its logits, averaged over its mirror images, in order."""
    mirrored = _mirrored(plan.mirror)
    total: NDArray[np.float32] = np.empty(0, np.float32)
    for where, axes, output in _outputs(image, plan, runner, mirrored):
        if axes:
            total += np.flip(output, axes)
        else:
            total = np.array(output)
        if axes == mirrored[-1]:
            if len(mirrored) > 1:
                total /= np.float32(len(mirrored))
            yield where, total


def _outputs(
    image: Image, plan: NnunetPlan, runner: Runner, mirrored: Sequence[tuple[int, ...]]
) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...], NDArray[np.float32]]]:
    """Each patch's place, the axes along which it was reversed, and its output, in order."""
    Job = tuple[tuple[Any, ...], tuple[int, ...], Future[PatchOutputs]]
    waiting: deque[Job] = deque()
    room = 1  # until it is known how large a result is
    jobs = itertools.product(_places(image.shape[1:], plan), mirrored)
    try:
        while True:
            while len(waiting) < room and (job := next(jobs, None)) is not None:
                where, axes = job
                patch: PatchInput = np.ascontiguousarray(np.flip(image[where], axes))
                waiting.append((where, axes, runner.submit(patch)))
            if not waiting:
                return
            where, axes, future = waiting.popleft()
            (output,) = future.result()
            room = max(2, min(MOST_WAITING, WAITING_BYTES // output.nbytes))
            yield where, axes, output
    finally:
        for _, _, future in waiting:
            future.cancel()


def _mirrored(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Every combination of axes of (c, *patch) to reverse, none first."""
    shifted = [axis + 1 for axis in axes]
    return [
        chosen for n in range(len(shifted) + 1) for chosen in itertools.combinations(shifted, n)
    ]


def _places(shape: Sequence[int], plan: NnunetPlan) -> Iterator[tuple[Any, ...]]:
    """Index of each patch in (c, *image). A 2-D network works through the first axis."""
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    flat = len(shape) - len(plan.patch)
    steps = compute_steps_for_sliding_window(tuple(shape[flat:]), plan.patch, plan.step)
    for index in itertools.product(*map(range, shape[:flat])):
        for start in itertools.product(*steps):
            box = (slice(a, a + n) for a, n in zip(start, plan.patch, strict=True))
            yield (slice(None), *index, *box)


def _average(folds: list[Tensor]) -> Tensor:
    total = folds[0]
    for other in folds[1:]:
        total += other
    if len(folds) > 1:
        total /= len(folds)
    return total


def _labels(
    logits: Tensor, plan: NnunetPlan, manager: Any, settings: Any, properties: dict[str, Any]
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.uint8]]:
    """Labels and confidence before cropping, in the axes of the training images.

    nnU-Net resamples all channels and then takes the largest; one channel after another gives
    the same and needs memory for two.
    """
    shape = tuple(int(n) for n in properties["shape_after_cropping_and_before_resampling"])
    target = [properties["spacing"][axis] for axis in manager.transpose_forward]
    current = list(settings.spacing)
    current = target[: len(target) - len(current)] + current
    regions = plan.dataset.get("regions_class_order") if _has_regions(plan, manager) else None
    choice = Regions(shape, regions) if regions else Classes(shape)
    for channel in range(logits.shape[0]):
        resampled = settings.resampling_fn_probabilities(
            logits[channel : channel + 1], shape, current, target
        )
        choice.add(channel, np.asarray(resampled, dtype=np.float32)[0])
    kind = np.uint8 if max(plan.labels) <= np.iinfo(np.uint8).max else np.uint16
    whole = tuple(int(n) for n in properties["shape_before_cropping"])
    labels = np.zeros(whole, kind)
    confidence = np.zeros(whole, np.uint8)
    box = tuple(slice(int(a), int(b)) for a, b in properties["bbox_used_for_cropping"])
    labels[box] = choice.labels
    confidence[box] = choice.confidence()
    back = manager.transpose_backward
    return labels.transpose(back), confidence.transpose(back)


def _has_regions(plan: NnunetPlan, manager: Any) -> bool:
    return bool(manager.get_label_manager(plan.dataset).has_regions)
