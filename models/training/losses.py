"""What the nets are asked to minimise."""

import torch
from torch import Tensor
from torch.nn import functional as F

GAMMA = 2.0  # focal: how fast an easy cell stops mattering
SIZE_WEIGHT = 0.1
ENTROPY_WEIGHT = 12.0


def detector_loss(
    maps: Tensor, positive: Tensor, negative: Tensor, log_d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(total, classification, size) for ``maps`` [n, 2, g, g, g].

    ``positive`` [n, g, g, g] weighs cells so that each nodule's add up to 1; ``negative`` is a
    mask; both are divided by the number of nodules, so lungs full of vessels do not outvote them.
    """
    logit, size = maps[:, 0], maps[:, 1]
    p = torch.sigmoid(logit)
    nodules = positive.sum().clamp(min=1.0)
    found = (positive * (1 - p) ** GAMMA * F.softplus(-logit)).sum()
    false = (negative * p**GAMMA * F.softplus(logit)).sum()
    judged = (found + false) / nodules
    sized = (positive * F.smooth_l1_loss(size, log_d, reduction="none", beta=0.2)).sum() / nodules
    return judged + SIZE_WEIGHT * sized, judged, sized


def mask_loss(logits: Tensor, share: Tensor) -> Tensor:
    """Binary cross entropy plus soft Dice for ``logits`` [n, 1, s, s, s].

    ``share`` is the part of the readers who outlined the voxel: where they disagree the net may
    be unsure too. Dice alone draws small nodules twice too large, the entropy alone finds nothing
    in ground glass.
    """
    p = torch.sigmoid(logits)
    both = (p * share).sum((1, 2, 3, 4))
    dice = (2 * both + 1) / (p.sum((1, 2, 3, 4)) + share.sum((1, 2, 3, 4)) + 1)
    near = F.binary_cross_entropy_with_logits(logits, share, reduction="none").mean((1, 2, 3, 4))
    return (1 - dice + ENTROPY_WEIGHT * near).mean()
