"""A nodule model over hundreds of scans: resumable, and read at the end as a FROC curve.

Each scan's record is one JSON line, written before the next scan begins; a run that was stopped
goes on after the last whole line. The first line says which model and which set the records are
of.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaging.errors import ImagingError
from models.errors import DatasetError, InputRefused, PatchRefused
from models.evaluation.evaluate import Excluded, Progress
from models.evaluation.judging import RULES
from models.evaluation.labelled.case import LeftOut
from models.evaluation.nodule_figures import Figures, by_fold, figures
from models.evaluation.nodule_table import figures_table
from models.evaluation.nodules import NoduleCase, ScanRecord, run_scan
from models.loaded import LoadedModel
from models.runner import Runner

log = logging.getLogger(__name__)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Header(_Value):
    """What a file of records is of; records of another model or set are not mixed with these."""

    model: str
    version: str
    fingerprint: str
    dataset: str = Field(description="with the options that change what is marked")


class NoduleEvaluation(_Value):
    """A nodule model on a labelled set.

    Attributes:
        rule: when a finding hits a nodule.
        all: every scan together; where there are folds, as their cross-validation would be read.
        folds: by fold, where there are several.
    """

    header: Header
    source: str
    rule: str
    at: datetime
    runtimes: dict[str, str]
    all: Figures
    folds: dict[str, Figures] = {}
    scans: int
    unused: tuple[Excluded, ...] = ()

    def table(self) -> str:
        """The figures for people, English, fixed width."""
        head = self.header
        lines = [f"{head.model} {head.version} on {self.source} ({head.dataset})"]
        lines += [f"{role}: {runtime}" for role, runtime in self.runtimes.items()]
        lines += [f"a finding hits a nodule by rule {self.rule}; intervals are over scans", ""]
        lines += [figures_table(name, found) + "\n" for name, found in self.folds.items()]
        lines.append(figures_table("all together" if self.folds else "figures", self.all))
        if self.unused:
            lines += ["", f"IN NO FIGURE: {len(self.unused)}"]
            lines += [f"  {each.name}: {each.reason}" for each in self.unused]
        return "\n".join(lines)


def read_records(path: Path, header: Header) -> list[ScanRecord]:
    """The records of a file that was begun for the same model and set; none where it is new.

    A last line that was cut off, as a stopped run leaves it, is dropped from the file.

    Raises:
        DatasetError: the file is another model's or set's, or damaged.
    """
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); name another with --out") from error
    whole = text[: text.rfind("\n") + 1]
    lines = whole.splitlines()
    if not lines and header.model_dump_json().startswith(text):
        return []  # stopped within the first line
    try:
        begun = Header.model_validate_json(lines[0] if lines else text)
        records = [ScanRecord.model_validate_json(line) for line in lines[1:]]
    except ValidationError as error:
        raise DatasetError(
            f"{path}: holds something else than records of an evaluation "
            f"({error.error_count()} problem(s)); name another file with --out"
        ) from error
    if begun != header:
        raise DatasetError(
            f"{path}: holds records of {begun.model} {begun.version} "
            f"({begun.fingerprint[:12]}, {begun.dataset}), not of {header.model} {header.version} "
            f"({header.fingerprint[:12]}, {header.dataset}); name another file with --out, or "
            "delete this one"
        )
    if whole != text:
        path.write_text(whole, encoding="utf-8")  # only now is it known to be ours
    return records


def evaluate_nodules(
    model: LoadedModel,
    cases: Sequence[NoduleCase],
    *,
    source: str,
    dataset: str,
    rule: str,
    out: Path | None = None,
    left_out: Sequence[LeftOut] = (),
    networks: Mapping[str, Runner] | None = None,
    progress: Progress = lambda line: None,
) -> NoduleEvaluation:
    """Run a nodule model over cases and read its FROC curve.

    A scan that can't be read, or that the model refuses, is in no figure: it is logged, told to
    ``progress`` and listed with its reason; it is tried again when the run is resumed.

    Args:
        model: loaded.
        cases: read one after another; names differ.
        source: the folder, for people.
        dataset: its kind, with the options that change what is marked.
        rule: a key of :data:`models.evaluation.judging.RULES`.
        out: keeps each record; where it is there already, scans in it are not run again.
        left_out: what the set could not offer.
        networks: what runs the model's networks instead of its own.
        progress: told each scan as it begins.

    Raises:
        InferenceFailed: a network could not be run; with ``out`` the run can be resumed.
        DatasetError: no scan could be used, or ``out`` is another run's or can't be written.
        SpecError: the model looks for no nodules.
    """
    assert rule in RULES, rule
    spec = model.spec
    runners = networks or model.runners
    header = Header(
        model=spec.name, version=spec.version, fingerprint=spec.fingerprint, dataset=dataset
    )
    kept = {r.name: r for r in read_records(out, header)} if out is not None else {}
    done = [kept[case.name] for case in cases if case.name in kept]
    if done:
        progress(f"{out}: {len(done)} of {len(cases)} scans are there already")
    if out is not None and not kept:
        _write(out, header, "w")
    unused = [Excluded(name=each.name, reason=each.reason) for each in left_out]
    for number, case in enumerate(cases, start=1):
        if case.name in kept:
            continue
        progress(f"{number}/{len(cases)} {case.fold} {case.name}".replace("  ", " "))
        try:
            record = run_scan(case.name, case.load(), model, runners, fold=case.fold)
        except (DatasetError, ImagingError, InputRefused, PatchRefused) as error:
            log.warning("%s: excluded: %s", case.name, error)
            progress(f"{case.name}: EXCLUDED, {error}")
            unused.append(Excluded(name=case.name, reason=str(error)))
            continue
        done.append(record)
        if out is not None:
            _write(out, record, "a")
    return _read_out(model, header, source, rule, done, unused, runners)


def _write(path: Path, line: Header | ScanRecord, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")
    except OSError as error:
        raise DatasetError(
            f"{path}: can't be written ({error}); make room, or name another with --out"
        ) from error


def _read_out(
    model: LoadedModel,
    header: Header,
    source: str,
    rule: str,
    records: Sequence[ScanRecord],
    unused: Sequence[Excluded],
    runners: Mapping[str, Runner],
) -> NoduleEvaluation:
    if not any(mark.counted for record in records for mark in record.nodules):
        why = "; ".join(f"{each.name}: {each.reason}" for each in unused[:5])
        raise DatasetError(
            f"{source}: no scan with a nodule that counts could be used, of {len(records)} that "
            f"were run. {why}"
        )
    threshold = model.spec.operating_point.score_threshold
    parts = {
        fold: part
        for fold, part in by_fold(records).items()
        if any(mark.counted for record in part for mark in record.nodules)
    }
    return NoduleEvaluation(
        header=header,
        source=source,
        rule=rule,
        at=datetime.now().astimezone().replace(microsecond=0),
        runtimes={role: runner.name for role, runner in runners.items()},
        all=figures(records, threshold, rule=rule),
        folds={fold: figures(part, threshold, rule=rule) for fold, part in parts.items()}
        if len(parts) > 1
        else {},
        scans=len(records),
        unused=tuple(unused),
    )
