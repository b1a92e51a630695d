"""Compares detector checkpoints on the held-out lungs, plain and with simulated insertions.

    python -m models.training.validation --data ../shared/data/train --cache .work/training/data \\
        [--flips] [--together] .work/training/detector-*.pt

Sensitivity comes from insertions of held-out patients' nodules into the held-out lungs, false
findings from the same lungs as they are: each lung's own are counted once, whatever the number of
insertions. With two lungs, rates below one half mean no false finding at all. QIN-LSC-0014 was
not read completely: a false finding there may be a nodule nobody marked, so each lung is also
shown by itself. The scans that the model is judged on are not touched.

What a checkpoint gives is kept in the cache, so that other mixtures of the same ones cost nothing.
"""

import argparse
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imaging.lungs import lung_mask
from models.evaluation.froc import RATES, Froc, froc
from models.evaluation.judging import Finding, JudgedScan, Truth, judge
from models.evaluation.strata import ORDER, size_groups
from models.lungs.nodules import find_candidates, pad_to_multiple
from models.training.detector import whole_maps
from models.training.lungs_data import Lung, load_lungs
from models.training.nets import Detector, width_of
from models.training.nodules_data import load_nodules
from models.training.simulation import as_volume, simulate

LOWEST_SCORE = -6.0
DRAWS = 200  # enough to choose by; what is published takes models.evaluation.froc.DRAWS
LEAST_MM = 4.0  # smaller ones earn nothing and cost nothing
FLIPS = ((), (2,), (1,), (1, 2))  # axes turned round: none, left-right, front-back, both

Maps = NDArray[np.float32]
Marks = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Trial:
    """A volume at 1 mm with what is marked in it: rows (k, j, i, diameter in mm).

    ``real`` are the lung's own lesions; ``lung`` the lung it is made of.
    """

    name: str
    lung: str
    hu: NDArray[np.int16]
    inside: NDArray[np.bool_]
    inserted: Marks
    real: Marks


def trials(data: Path, cache: Path, studies: int, a_study: int, seed: int) -> list[Trial]:
    """The held-out lungs as they are, then ``studies`` volumes with insertions.

    The insertions are kept in ``cache`` as the voxels that they changed.
    """
    lungs = load_lungs(data, cache, held_out=True)
    plain = [_plain(lung) for lung in lungs]
    folder = cache / "validation"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"inserted-{seed}-{a_study}-{n}.npz" for n in range(studies)]
    if not all(file.exists() for file in files):
        nodules = load_nodules(data, held_out=True)
        made = simulate(lungs, nodules, a_study=a_study, studies=studies, seed=seed)
        for n, (file, study) in enumerate(zip(files, made, strict=True)):
            hu = np.asarray(study.volume.voxels, np.int16)
            changed = np.flatnonzero(hu != lungs[n % len(lungs)].hu)
            np.savez_compressed(
                file,
                changed=changed,
                hu=hu.ravel()[changed],
                inside=np.packbits(_inside(hu)),
                marks=np.array([(*t.centre, t.diameter_mm) for t in study.truths]),
            )
    return plain + [_kept(file, plain[n % len(plain)]) for n, file in enumerate(files)]


def _plain(lung: Lung) -> Trial:
    real = tuple((*x.centre, x.diameter_mm) for x in lung.lesions)
    return Trial(lung.name, lung.name, lung.hu, _inside(lung.hu), (), real)


def _kept(file: Path, plain: Trial) -> Trial:
    with np.load(file) as arrays:
        hu = plain.hu.copy()
        hu.ravel()[arrays["changed"]] = arrays["hu"]
        inside = np.unpackbits(arrays["inside"])[: hu.size].reshape(hu.shape).astype(bool)
        marks = tuple((float(k), float(j), float(i), float(d)) for k, j, i, d in arrays["marks"])
    return Trial(f"{plain.name} {file.stem}", plain.name, hu, inside, marks, plain.real)


def _inside(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """The lung mask that the product would use, at 1 mm."""
    volume = as_volume(hu)
    return lung_mask(volume).on(volume.grid).voxels


def load_checkpoint(path: Path) -> Detector:
    """The averaged weights that ``models.training.detector`` left.

    Raises:
        ValueError: the file holds something else.
    """
    held = torch.load(path, map_location="cpu", weights_only=True)
    if "average" not in held or "at_2mm.0.0.weight" not in held["average"]:
        raise ValueError(f"{path}: no checkpoint of models.training.detector (it has no average)")
    net = Detector(width_of(held["average"]))
    net.load_state_dict(held["average"])
    return net.eval()


def maps_of(net: Detector, hu: NDArray[np.int16], *, flips: bool) -> Maps:
    """The detector's maps of one volume; with ``flips`` the mean over four orientations."""
    padded = pad_to_multiple(hu.astype(np.float32)).astype(np.int16)  # so that cells fall together
    ways = FLIPS if flips else FLIPS[:1]
    seen = [_turned(whole_maps(net, np.ascontiguousarray(np.flip(padded, w))), w) for w in ways]
    return np.asarray(np.mean(seen, axis=0), np.float32)


def _turned(maps: Maps, axes: tuple[int, ...]) -> Maps:
    return np.asarray(np.flip(maps, tuple(a + 1 for a in axes)))


def kept_maps(checkpoint: Path, tried: list[Trial], cache: Path, *, flips: bool) -> list[Maps]:
    """The checkpoint's maps of each trial, from the cache where they are there."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    names = "\n".join(t.name for t in tried)
    key = hashlib.sha256(names.encode()).hexdigest()[:8]
    file = cache / "validation" / f"maps-{digest}-{key}{'-flips' if flips else ''}.npz"
    if not file.exists():
        net = load_checkpoint(checkpoint)
        began = time.monotonic()
        found = [maps_of(net, trial.hu, flips=flips) for trial in tried]
        print(f"{checkpoint.name}: {time.monotonic() - began:.0f} s", flush=True)
        np.savez(file, *[m.astype(np.float16) for m in found])
    with np.load(file) as arrays:
        return [arrays[name].astype(np.float32) for name in arrays.files]


def score(tried: list[Trial], maps: list[Maps]) -> tuple[list[JudgedScan], list[JudgedScan]]:
    """(plain lungs against their own lesions, simulations against their insertions)."""
    plain: list[JudgedScan] = []
    simulated: list[JudgedScan] = []
    for trial, whole in zip(tried, maps, strict=True):
        candidates = find_candidates(whole, threshold=LOWEST_SCORE, lung=trial.inside)
        findings = [Finding(c.centre, c.score) for c in candidates]
        real = [Truth((k, j, i), d, counted=not trial.inserted) for k, j, i, d in trial.real]
        truths = [
            Truth((k, j, i), d, counted=d >= LEAST_MM, groups=size_groups(d))
            for k, j, i, d in trial.inserted
        ]
        judged = judge(trial.lung, findings, [*truths, *real])
        (simulated if trial.inserted else plain).append(judged)
    return plain, simulated


def report(
    name: str, plain: list[JudgedScan], simulated: list[JudgedScan], draws: int = DRAWS
) -> dict[str, object]:
    """Prints what the checkpoint does; gives the same as values. ``draws`` as in ``froc``."""
    own = {scan.name: scan.false for scan in plain}
    paired = [JudgedScan(s.name, s.nodules, own[s.name]) for s in simulated]
    both = froc(paired, order=ORDER, draws=draws)
    print(f"\n{name}: CPM {both.cpm}, {both.nodules} insertions of 4 mm and more")
    for scan in plain:
        rows = ", ".join(
            f"{n.truth.diameter_mm:.0f} mm {'missed' if n.score is None else f'{n.score:.2f}'}"
            for n in scan.nodules
        )
        worst = " ".join(f"{s:.1f}" for s in scan.false[:8])
        print(f"  {scan.name}: marked (score) {rows or 'none'}; best false {worst}")
    _rows("both lungs' false findings", both)
    values: dict[str, object] = {"name": name, "together": both.model_dump(mode="json")}
    for lung in own:
        alone = froc([s for s in paired if s.name == lung], order=ORDER, draws=draws)
        _rows(f"{lung} alone (CPM {alone.cpm.value:.3f})", alone, groups=False)
        values[lung] = alone.model_dump(mode="json")
    return values


def _rows(title: str, result: Froc, *, groups: bool = True) -> None:
    print(f"  {title + ', a scan':40}" + "".join(f"{rate:>8.3g}" for rate in RATES))
    thresholds = [p.threshold for p in result.points]
    text = "".join("       -" if t is None else f"{t:8.2f}" for t in thresholds)
    print(f"  {'score threshold':40}{text}")
    sets = [("all from 4 mm", result.nodules, result.points)]
    if groups:
        sets += [(g.name, g.nodules, g.points) for g in result.groups]
    for name, count, points in sets:
        text = "".join(f"{p.sensitivity.value:8.3f}" for p in points)
        middle = next(p.sensitivity for p in points if p.false_a_scan == 1)
        spread = "" if middle.low is None else f"   at 1: {middle.low:.2f} to {middle.high:.2f}"
        print(f"  {f'{name} (n={count})':40}{text}{spread}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_volumes/")
    parser.add_argument("--cache", type=Path, required=True, help="keeps lungs, insertions, maps")
    parser.add_argument("--flips", action="store_true", help="mean over four orientations")
    parser.add_argument("--together", action="store_true", help="also the mean of all of them")
    parser.add_argument("--studies", type=int, default=8, help="simulated volumes; default 8")
    parser.add_argument("--a-study", type=int, default=12, help="insertions in each; default 12")
    parser.add_argument("--seed", type=int, default=1, help="of the insertions; default 1")
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help="of the intervals' bootstrap; default %(default)s"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    tried = trials(options.data, options.cache, options.studies, options.a_study, options.seed)
    values = []
    every: list[list[Maps]] = []
    for path in options.checkpoints:
        maps = kept_maps(path, tried, options.cache, flips=options.flips)
        values.append(report(path.name, *score(tried, maps), options.draws))
        every.append(maps)
    if options.together and len(every) > 1:
        mean = [np.asarray(np.mean(m, axis=0), np.float32) for m in zip(*every, strict=True)]
        values.append(report("all together", *score(tried, mean), options.draws))
    if options.out is not None:
        options.out.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
