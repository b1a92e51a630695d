"""What the nodule model does when the input varies, in one command.

    python benchmarks/robustness.py --data ../shared/data --out robustness.json [--quick]

Simulated nodules (held-out patients', inserted into LIDC-IDRI-0001, -0005 and -0028, none of them
trained on) and the same lungs without them are changed in one way after another: slice thickness,
kernel, noise, contrast, position, what else is in the lung. All changes are simulations too. Each
line gives what is found at the operating point, and the false findings of the lungs without
insertions, beside the untouched scans of the same run; the same nodules are under every line, so
lines compare better than their intervals say.

Then what must not be analysed silently: thick slices, a head, an abdomen.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy import described
from benchmarks.accuracy_parts.insertions import as_lung, plain_scan, simulated_scan
from benchmarks.accuracy_parts.real import real_scans
from benchmarks.hardware import hardware
from benchmarks.robustness_parts.conditions import CONDITIONS, Change, Subject
from benchmarks.robustness_parts.out_of_range import refused_or_warned
from models.errors import InputRefused
from models.evaluation.estimate import Estimate, mean_of, share_of
from models.evaluation.judging import Finding, JudgedScan, judge
from models.evaluation.nodules import MOST_FINDINGS, MarkedScan
from models.evaluation.table import columns
from models.loaded import LoadedModel, load_model
from models.pipeline import find_lesions
from models.spec import CATALOG, read_spec
from models.training.lungs_data import Lung, load_lungs
from models.training.nodules_data import load_nodules
from models.training.simulation import simulate

CLEAN = "LIDC-IDRI-0028"
"""Of the two held-out lungs the one that was read completely."""
A_VOLUME, SEED = 12, 5


@dataclass
class Row:
    """What came of one condition."""

    name: str
    plain: list[JudgedScan] = field(default_factory=list)
    simulated: list[JudgedScan] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notices: set[str] = field(default_factory=set)

    def sensitivity(self, least_mm: float) -> Estimate | None:
        """Of insertions from a size on, at the operating point."""
        sets = [
            [n.score is not None for n in scan.nodules if n.truth.diameter_mm >= least_mm]
            for scan in self.simulated
        ]
        return share_of([sum(each) for each in sets], [len(each) for each in sets])

    def false_a_scan(self) -> Estimate | None:
        """Of the lungs without insertions."""
        return mean_of([float(len(scan.false)) for scan in self.plain])

    def real(self) -> tuple[int, int]:
        """Real nodules found, and how many there are."""
        nodules = [n for scan in self.plain for n in scan.nodules]
        return sum(n.score is not None for n in nodules), len(nodules)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, default=CATALOG / "lung_nodule_reference")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--volumes", type=int, default=6, help="simulated volumes; default 6")
    parser.add_argument("--quick", action="store_true", help="3 volumes")
    parser.add_argument("--cache", type=Path, help="keeps the resampled lungs between runs")
    parser.add_argument("--only", action="append", help="conditions whose name holds this")
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with chest/ and train/ (--data)")

    model = load_model(read_spec(options.model, named=False), threads=options.threads)
    result: dict[str, object] = {"hardware": hardware(), "model": described(model)}
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch) / "lungs"
        lungs = _lungs(options.data, Path(scratch), cache)
        wanted = {
            name: change
            for n, (name, change) in enumerate(CONDITIONS.items())
            if n == 0 or not options.only or any(word in name for word in options.only)
        }
        subjects = _subjects(lungs, options.data, 3 if options.quick else options.volumes)
        rows = [_condition(name, change, *subjects, model) for name, change in wanted.items()]
        _print(rows)
        result["simulated"] = True
        result["conditions"] = [_values(row) for row in rows]
        if not options.only:
            print("\nwhat must not be analysed silently")
            result["out_of_range"] = refused_or_warned(options.data, Path(scratch), model)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _lungs(data: Path, scratch: Path, cache: Path) -> list[Lung]:
    real = [as_lung(scan) for scan in real_scans(data / "chest", scratch)]
    held_out = load_lungs(data / "train", cache, held_out=True)
    return [*real, *(lung for lung in held_out if lung.name == CLEAN)]


def _subjects(
    lungs: Sequence[Lung], data: Path, volumes: int
) -> tuple[list[Subject], list[Subject]]:
    """The lungs as they are, their own nodules counted, and with insertions."""
    plain = [_subject(lung, plain_scan(lung, counted=True)) for lung in lungs]
    nodules = load_nodules(data / "train", held_out=True)
    studies = simulate(list(lungs), nodules, a_study=A_VOLUME, studies=volumes, seed=SEED)
    simulated = [
        _subject(lungs[n % len(lungs)], simulated_scan(study, lungs[n % len(lungs)]))
        for n, study in enumerate(studies)
    ]
    return plain, simulated


def _subject(lung: Lung, scan: MarkedScan) -> Subject:
    return Subject(lung.name, scan.volume, lung.mask, tuple(m.truth for m in scan.nodules))


def _condition(
    name: str, change: Change, plain: list[Subject], simulated: list[Subject], model: LoadedModel
) -> Row:
    row = Row(name)
    for kind, subjects in ((row.plain, plain), (row.simulated, simulated)):
        for n, subject in enumerate(subjects):
            changed = change(subject, np.random.default_rng(n))
            try:
                kind.append(_run(changed, model, row))
            except InputRefused as error:
                row.refused.append(f"{subject.name}: {error}")
    found = row.sensitivity(6.0)
    print(f"{name}: {'-' if found is None else found}, {row.false_a_scan()} false", flush=True)
    return row


def _run(subject: Subject, model: LoadedModel, row: Row) -> JudgedScan:
    """At the model's own threshold; only its cap is lifted, since simulations hold a dozen."""
    point = model.spec.operating_point.model_copy(update={"most_findings": MOST_FINDINGS})
    opened = replace(model, spec=model.spec.model_copy(update={"operating_point": point}))
    lesions = find_lesions([subject.volume], opened, model.runners, explained=False)
    row.notices.update(notice.code for notice in lesions.notices)
    findings = [Finding(c.region.centre_mm, c.score) for c in lesions.candidates]
    return judge(subject.name, findings, subject.nodules)


def _print(rows: list[Row]) -> None:
    table = [["SIMULATED changes", ">= 6 mm", "n", ">= 4 mm", "n", "false a scan", "real", "told"]]
    for row in rows:
        cells = [row.name]
        for least in (6.0, 4.0):
            share = row.sensitivity(least)
            cells += ["-", "0"] if share is None else [str(share), str(share.of)]
        false, (found, of) = row.false_a_scan(), row.real()
        cells += ["-" if false is None else f"{false.value:.2f}", f"{found} of {of}"]
        table.append([*cells, " ".join([*sorted(row.notices), *row.refused])])
    print()
    print("\n".join(columns(table)))
    print("real: nodules that any reader marked in these lungs, 6.3 mm of one reader among them")


def _values(row: Row) -> dict[str, object]:
    def plainly(estimate: Estimate | None) -> object:
        return None if estimate is None else estimate.model_dump(mode="json")

    return {
        "condition": row.name,
        "sensitivity_from_6_mm": plainly(row.sensitivity(6.0)),
        "sensitivity_from_4_mm": plainly(row.sensitivity(4.0)),
        "false_a_scan": plainly(row.false_a_scan()),
        "false_by_scan": {scan.name: len(scan.false) for scan in row.plain},
        "real_found": row.real()[0],
        "real": row.real()[1],
        "notices": sorted(row.notices),
        "refused": row.refused,
    }


if __name__ == "__main__":
    main()
