"""Trains the nodule detector. Resumable; a CPU is enough.

    python -m models.training.detector --data ../shared/data/train --out .work/training

One process makes crops, one trains, in bfloat16. Every few minutes the average of the weights is
run over the training lungs, and a third of the later crops are cut around what it got wrong there.
It is also kept by itself, so that ``python -m models.training.validation`` can choose.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.lungs.nodules import find_candidates, pad_to_multiple, to_input
from models.training import loop
from models.training.crops import CropMaker, Mined
from models.training.losses import detector_loss
from models.training.lungs_data import Lung, load_lungs
from models.training.nets import WIDTH, Detector, channels_last
from models.training.nodules_data import Nodule, load_nodules
from models.training.schedule import Average, Clock

MINE_ABOVE_LOGIT = -2.2  # probability .1
DOUBT_ABOVE_LOGIT = 0.0  # probability .5
MINED_A_LUNG = 40
TRUST_FROM, MINE_UNTIL = 0.3, 0.93
"""Of the minutes: a younger net raises no doubts; crops mined later would hardly be seen."""


def crops(
    lungs: list[Lung], nodules: list[Nodule], mined: Path, heavy: float, seed: int
) -> Iterator[loop.Example]:
    """What ``CropMaker`` makes: image [1, k, j, i], then what ``detector_loss`` takes."""
    for t in CropMaker(lungs, nodules, np.random.default_rng(seed), mined, heavy):
        image = torch.from_numpy(t.image[None])
        positive, log_d = torch.from_numpy(t.positive), torch.from_numpy(t.log_d)
        yield image, positive, torch.from_numpy(t.negative.astype(np.float32)), log_d


def losses(maps: Tensor, positive: Tensor, negative: Tensor, log_d: Tensor) -> dict[str, Tensor]:
    """:func:`models.training.losses.detector_loss` by names."""
    total, judged, sized = detector_loss(maps, positive, negative, log_d)
    return {"loss": total, "nodule": judged, "size": sized}


@torch.inference_mode()
def whole_maps(net: Detector, hu: NDArray[np.int16], slab: int = 160) -> NDArray[np.float32]:
    """The detector over one lung [k, j, i] at 1 mm, in slabs along k: [2, k/4, j/4, i/4]."""
    image = pad_to_multiple(to_input(hu))
    margin = 32
    parts = []
    for k in range(0, image.shape[0], slab):
        low, high = max(k - margin, 0), min(k + slab + margin, image.shape[0])
        crop = torch.from_numpy(image[None, None, low:high])
        with torch.autocast("cpu", torch.bfloat16):
            maps = net(channels_last(crop))[0].float().numpy()
        start = (k - low) // 4
        parts.append(maps[:, start : start + min(slab, image.shape[0] - k) // 4])
    return np.concatenate(parts, 1)


def mine(net: Detector, lungs: list[Lung], mined: Mined, *, trusted: bool) -> None:
    """Puts into ``mined`` where ``net`` is wrong in ``lungs``.

    Untrusted (young) nets raise no doubts about truth.
    """
    for lung in lungs:
        maps = whole_maps(net, lung.hu)
        wrong, doubtful = [], []
        for c in find_candidates(maps, threshold=MINE_ABOVE_LOGIT - 0.7, lung=lung.mask):
            at = np.array(c.centre)
            if any(
                np.linalg.norm(at - x.centre) < max(6.0, x.diameter_mm / 2 + 4)
                for x in lung.lesions
            ):
                continue
            if trusted and not lung.nodule_free and c.logit > DOUBT_ABOVE_LOGIT:
                doubtful.append(at)
            elif c.logit > MINE_ABOVE_LOGIT:
                wrong.append(at)
        mined.wrong[lung.name] = np.array(wrong[:MINED_A_LUNG]).reshape(-1, 3)
        mined.doubtful[lung.name] = np.array(doubtful).reshape(-1, 3)


def averaged(average: Average, width: int) -> Detector:
    """The averaged weights as a net to evaluate."""
    net = Detector(width)
    net.load_state_dict(average.state)
    return net.eval()


def train(options: argparse.Namespace) -> None:
    """See :func:`models.training.loop.train`; mines as it goes, unless the end is near."""
    out: Path = options.out
    mined_file = out / f"{options.name}-mined.npz"
    lungs = load_lungs(options.data, out / "data", held_out=False)
    nodules = load_nodules(options.data, held_out=False)
    print(f"{len(lungs)} lungs, {len(nodules)} nodules", flush=True)
    mined = Mined.load(mined_file) if mined_file.exists() else Mined()

    def look(average: Average, clock: Clock, step: int) -> None:
        if clock.tick() >= MINE_UNTIL:
            return
        trusted = clock.tick() > TRUST_FROM
        mine(averaged(average, options.width), lungs, mined, trusted=trusted)
        mined.save(mined_file)
        counts = {k: (len(v), len(mined.doubtful[k])) for k, v in mined.wrong.items()}
        print(f"mined (wrong, doubtful) {counts}", flush=True)
        kept = out / f"{options.name}-{step}.pt"  # to choose from on the held-out lungs
        torch.save({"average": average.state, "step": step, "width": options.width}, kept)

    training = loop.Training(
        net=partial(Detector, options.width),
        examples=partial(crops, lungs, nodules, mined_file, options.heavy),
        losses=losses,
        peak_rate=1.5e-3,
        weight_decay=0.01,
        averaging=0.998,
    )
    loop.train(training, options, look, options.mine_every)


def main() -> None:
    """The command line."""
    parser = loop.arguments(
        __doc__, data="chest_volumes/", name="detector", minutes=100, seed=20261123, batch=8,
        unit="crops of 64 mm",
    )  # fmt: skip
    parser.add_argument(
        "--width", type=int, default=WIDTH, help="channels at 2 mm; default %(default)s"
    )
    parser.add_argument(
        "--heavy",
        type=float,
        default=1.0,
        help="augmentation, 0 to 1; much of it only pays with hours of training",
    )
    parser.add_argument("--mine-every", type=float, default=12, help="minutes; default %(default)s")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
