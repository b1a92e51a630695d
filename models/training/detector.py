"""Trains the nodule detector. Resumable; a CPU is enough.

    python -m models.training.detector --data ../shared/data/train --out .work/training

One process makes crops, one trains, in bfloat16. Every few minutes the average of the weights is
run over the training lungs, and a third of the later crops are cut around what it got wrong there.
It is also kept by itself, so that ``python -m models.training.validation`` can choose.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from models.lungs.nodules import find_candidates, pad_to_multiple, to_input
from models.training import schedule
from models.training.crops import CropMaker, Mined
from models.training.losses import detector_loss
from models.training.lungs_data import Lung, load_lungs
from models.training.nets import WIDTH, Detector, channels_last, count_parameters
from models.training.nodules_data import Nodule, load_nodules

PEAK_RATE = 1.5e-3
MINE_ABOVE_LOGIT = -2.2  # probability .1
DOUBT_ABOVE_LOGIT = 0.0  # probability .5
MINED_A_LUNG = 40


class Crops(IterableDataset[tuple[Tensor, ...]]):
    """``CropMaker`` as PyTorch wants it."""

    def __init__(
        self, lungs: list[Lung], nodules: list[Nodule], seed: int, mined: Path, heavy: float
    ) -> None:
        self._arguments = (lungs, nodules, seed, mined, heavy)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        lungs, nodules, seed, mined, heavy = self._arguments
        torch.set_num_threads(1)
        for t in CropMaker(lungs, nodules, np.random.default_rng(seed), mined, heavy):
            image = torch.from_numpy(t.image[None])
            positive, log_d = torch.from_numpy(t.positive), torch.from_numpy(t.log_d)
            yield image, positive, torch.from_numpy(t.negative.astype(np.float32)), log_d


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


def averaged(average: schedule.Average, width: int) -> Detector:
    """The averaged weights as a net to evaluate."""
    net = Detector(width)
    net.load_state_dict(average.state)
    return net.eval()


def train(options: argparse.Namespace) -> None:
    """Trains until the budget of minutes is spent; leaves ``<name>.pt`` in ``options.out``."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, mined_file = out / f"{options.name}.pt", out / f"{options.name}-mined.npz"

    lungs = load_lungs(options.data, out / "data", held_out=False)
    nodules = load_nodules(options.data, held_out=False)
    net = Detector(options.width)
    net = net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    average = schedule.Average(net, 0.998)
    clock = schedule.Clock(options.minutes, PEAK_RATE)
    step = schedule.resume(checkpoint, net, average, optimiser, clock)
    print(
        f"{len(lungs)} lungs, {len(nodules)} nodules, {count_parameters(net)} parameters, "
        f"from step {step}",
        flush=True,
    )
    seed = options.seed + step  # a resumed run sees new crops
    crops = Crops(lungs, nodules, seed, mined_file, options.heavy)
    loader = DataLoader(crops, options.batch, num_workers=1, prefetch_factor=3)
    saved = mined_at = clock.spent_s
    mined = Mined.load(mined_file) if mined_file.exists() else Mined()
    recent: list[tuple[float, float]] = []
    began = time.monotonic()
    for image, positive, negative, log_d in loader:
        if clock.tick() >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = clock.rate(step)
        net.train()
        with torch.autocast("cpu", torch.bfloat16):
            maps = net(channels_last(image))
        maps = maps.float()
        total, judged, sized = detector_loss(maps, positive, negative, log_d)
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update(net, step)
        step += 1
        recent.append((float(judged.detach()), float(sized.detach())))
        if len(recent) == 50:
            seconds = (time.monotonic() - began) / 50
            judge, size = np.mean(recent, 0)
            print(
                f"step {step}  min {clock.spent_s / 60:.1f}  loss {judge:.4f}  size {size:.4f}  "
                f"{seconds:.2f} s a step",
                flush=True,
            )
            recent, began = [], time.monotonic()
        if clock.spent_s - saved > 150:
            schedule.save(checkpoint, net, average, optimiser, clock, step)
            saved = clock.spent_s
        if clock.spent_s - mined_at > options.mine_every * 60 and clock.tick() < 0.93:
            trusted = clock.spent_s > 0.3 * options.minutes * 60
            mine(averaged(average, options.width), lungs, mined, trusted=trusted)
            mined.save(mined_file)
            mined_at = clock.spent_s
            counts = {k: (len(v), len(mined.doubtful[k])) for k, v in mined.wrong.items()}
            print(f"mined (wrong, doubtful) {counts}", flush=True)
            kept = out / f"{options.name}-{step}.pt"  # to choose from on the held-out lungs
            torch.save({"average": average.state, "step": step, "width": options.width}, kept)
            began = time.monotonic()
    schedule.save(checkpoint, net, average, optimiser, clock, step)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_volumes/")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and the data cache")
    parser.add_argument("--name", default="detector", help="checkpoint's name; default detector")
    parser.add_argument(
        "--minutes",
        type=float,
        default=100,
        help="wall-clock budget over all restarts; default 100",
    )
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=int, default=WIDTH, help="channels at 2 mm; default 24")
    parser.add_argument("--batch", type=int, default=8, help="crops of 64 mm a step; default 8")
    parser.add_argument(
        "--heavy",
        type=float,
        default=1.0,
        help="augmentation, 0 to 1; much of it only pays with hours of training",
    )
    parser.add_argument("--mine-every", type=float, default=12, help="minutes; default 12")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
