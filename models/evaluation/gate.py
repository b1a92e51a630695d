"""The gate of reduced precision: what it loses on labelled cases must stay within limits.

``preread models evaluate NAME DATA --precision int8`` runs full and reduced precision over the
same cases. The limits stand in the model's ``preread.toml`` (``runtime.sensitivity_loss``,
``dice_loss``, ``false_findings_gain``); :mod:`models.evaluation.precision` keeps what passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from models.errors import DatasetError, PrecisionRefused
from models.evaluation.calibration import Recorder, recorded
from models.evaluation.estimate import Estimate
from models.evaluation.evaluate import Evaluation, Progress, evaluate
from models.evaluation.labelled import LabelledSet
from models.evaluation.precision import Passed, digest, int8_path, remember
from models.evaluation.quantise import check_quantisable, quantise
from models.loaded import LoadedModel, load_model
from models.opening import open_networks
from models.runtime.choose import preferred
from models.runtime.source import OnnxFile, Precision, RuntimeName, Source
from models.sections import RuntimeSection
from models.spec import ModelSpec

TOLERANCE = 1e-9
"""Losses are differences of shares: 0.3 - 0.2 is a little more than 0.1."""


CALIBRATION_CASES = 8
SPARED_FROM = 10
"""From so many cases on, those that calibrate int8 take no part in its judgement."""
FEW_LESIONS = 20
FEW_CASES = 10


@dataclass(frozen=True)
class Verdict:
    """Full against reduced precision.

    Args:
        sensitivity_loss: lesion sensitivity lost, 0 to 1; None: no lesion is marked.
        dice_loss: mean Dice lost; None: no case has masks.
        false_findings_gain: false findings a scan more; None: the model reports no lesions.
        refusals: why it does not pass; empty: it passes.
        remarks: what weakens the judgement.
    """

    sensitivity_loss: float | None
    dice_loss: float | None
    false_findings_gain: float | None
    refusals: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the reduced precision may run."""
        return not self.refusals

    def lines(self) -> list[str]:
        """For people, English."""
        figures = {
            "lesion sensitivity lost": self.sensitivity_loss,
            "mean Dice lost": self.dice_loss,
            "false findings a scan more": self.false_findings_gain,
        }
        said = [f"{name}: {v:+.4f}" for name, v in figures.items() if v is not None]
        said += [f"NOT PASSED: {why}" for why in self.refusals] or ["PASSED"]
        return [*said, *(f"note: {remark}" for remark in self.remarks)]


@dataclass(frozen=True)
class Judged:
    """Full and reduced precision over the same cases, and what follows.

    ``record`` is the file that a pass was written to; None: it did not pass.
    """

    precision: Precision
    runtime: RuntimeName
    full: Evaluation
    reduced: Evaluation
    verdict: Verdict
    record: Path | None

    def table(self) -> str:
        """Both evaluations and the verdict, for people, English."""
        parts = [self.full.table(), self.reduced.table(), "\n".join(self.verdict.lines())]
        if self.record is not None:
            parts.append(f"{self.precision} on {self.runtime} may run from now on: {self.record}")
        return "\n\n".join(parts)


def evaluate_precision(
    spec: ModelSpec,
    labelled: LabelledSet,
    precision: Precision,
    *,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    threads: int = 0,
    progress: Progress = lambda line: None,
) -> Judged:
    """Run both precisions over the same cases and let the reduced one pass, or not.

    int8 is calibrated first, on patches of some of the cases.

    Args:
        precision: bf16, fp16 or int8.
        runtime: ``auto``: what the model prefers, else the best for this precision.
        progress: told each case.

    Raises:
        ModelError: a network can't be loaded or run in one of the precisions.
        DatasetError: no case could be used.
        PrecisionRefused: it passed, and the model's folder can't be written.
    """
    if precision == "fp32":
        raise PrecisionRefused("fp32 is the full precision: there is nothing to judge")
    sources = open_networks(spec).sources
    if precision == "int8":
        for source in sources.values():
            check_quantisable(source)
    name = runtime if runtime != "auto" else spec.runtime.prefer
    if name == "auto":
        name = preferred(next(iter(sources.values())), device, precision)
    judged_on = labelled
    remarks: list[str] = []
    unjudged: Mapping[str, Source] = sources
    full_model = load_model(spec, runtime=name, device=device, precision="fp32", threads=threads)
    try:
        if precision == "int8":
            calibrating, judged_on = _split(labelled)
            if judged_on is labelled:
                remarks.append("int8 was calibrated on cases that it is judged on")
            recorders = _record(full_model, calibrating, progress)
        progress(f"fp32 on {name}")
        full = evaluate(full_model, judged_on, progress=progress)
    finally:
        _close(full_model)
    if precision == "int8":
        progress("quantise")
        unjudged = {role: _int8(spec, role, sources[role], recorders[role]) for role in sources}
        recorders.clear()
    reduced_model = load_model(
        spec, runtime=name, device=device, precision=precision, threads=threads, unjudged=unjudged
    )
    try:
        progress(f"{precision} on {name}")
        reduced = evaluate(reduced_model, judged_on, progress=progress)
    finally:
        _close(reduced_model)
    verdict = judge(spec.runtime, full, reduced)
    verdict = replace(verdict, remarks=(*verdict.remarks, *remarks))
    record = None
    if verdict.passed:
        networks = {role: int8_path(spec, role) for role in sources} if precision == "int8" else {}
        record = remember(spec, _pass(spec, precision, name, verdict, reduced, networks))
    return Judged(precision, name, full, reduced, verdict, record)


def judge(limits: RuntimeSection, full: Evaluation, reduced: Evaluation) -> Verdict:
    """Whether a reduced precision stays within the limits.

    Args:
        limits: of the model.
        full: float32 on the labelled set.
        reduced: the same cases.
    """
    refusals = []
    names = {case.name for case in full.cases}
    missing = sorted(names ^ {case.name for case in reduced.cases})
    if missing:
        refusals.append(f"only one of the two could read {', '.join(missing)}")
    lost = _difference(_value(full.sensitivity), _value(reduced.sensitivity))
    dice = _difference(full.mean_dice, reduced.mean_dice)
    # Losing is a fall, false findings are a rise.
    more = _difference(_value(reduced.false_a_scan), _value(full.false_a_scan))
    if lost is None and dice is None:
        refusals.append("nothing is marked in these cases; nothing can be judged")
    if more is not None and lost is None:
        refusals.append("no lesion is marked in these cases; lesion sensitivity can't be judged")
    for figure, most, what, key in (
        (lost, limits.sensitivity_loss, "lesion sensitivity lost", "sensitivity_loss"),
        (dice, limits.dice_loss, "mean Dice lost", "dice_loss"),
        (more, limits.false_findings_gain, "false findings a scan more", "false_findings_gain"),
    ):
        if figure is not None and figure > most + TOLERANCE:
            refusals.append(f"{what}: {figure:.4f}, runtime.{key} allows {most:g}")
    return Verdict(lost, dice, more, tuple(refusals), tuple(_remarks(full)))


def _split(labelled: LabelledSet) -> tuple[LabelledSet, LabelledSet]:
    """Cases to calibrate on, spread over the set, and cases to judge on."""
    cases = labelled.cases
    if len(cases) < SPARED_FROM:
        return replace(labelled, cases=cases[:CALIBRATION_CASES], left_out=()), labelled
    most = min(CALIBRATION_CASES, len(cases) // 5)
    chosen = {n * len(cases) // most for n in range(most)}
    calibrating = tuple(case for n, case in enumerate(cases) if n in chosen)
    judged_on = tuple(case for n, case in enumerate(cases) if n not in chosen)
    return replace(labelled, cases=calibrating, left_out=()), replace(labelled, cases=judged_on)


def _record(model: LoadedModel, labelled: LabelledSet, progress: Progress) -> dict[str, Recorder]:
    """Patches that the model's networks see in some cases."""
    progress(f"calibration: {len(labelled.cases)} case(s)")
    recorders = recorded(model.runners)
    evaluate(model, labelled, networks=recorders, progress=progress)
    for role, recorder in recorders.items():
        if not recorder.patches:
            raise DatasetError(
                f"{labelled.source}: no patch reached the network {role!r} in the cases that "
                "calibrate int8; it needs cases with findings"
            )
    return recorders


def _int8(spec: ModelSpec, role: str, source: Source, recorder: Recorder) -> Source:
    path = int8_path(spec, role)
    quantise(source, recorder.patches, path)
    return OnnxFile(path)


def _pass(
    spec: ModelSpec,
    precision: Precision,
    runtime: RuntimeName,
    verdict: Verdict,
    reduced: Evaluation,
    networks: Mapping[str, Path],
) -> Passed:
    return Passed(
        precision=precision,
        runtime=runtime,
        fingerprint=spec.fingerprint,
        version=spec.version,
        networks={role: digest(path) for role, path in networks.items()},
        source=reduced.source,
        layout=reduced.layout,
        cases=len(reduced.cases),
        lesions=reduced.sensitivity.of if reduced.sensitivity else 0,
        sensitivity_loss=verdict.sensitivity_loss,
        dice_loss=verdict.dice_loss,
        false_findings_gain=verdict.false_findings_gain,
        runtimes=reduced.runtimes,
        at=datetime.now().astimezone().replace(microsecond=0),
        preread=version("preread"),
    )


def _close(model: LoadedModel) -> None:
    for network in model.networks.values():
        network.close()


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else round(a - b, 6)


def _remarks(full: Evaluation) -> Sequence[str]:
    remarks = []
    if full.sensitivity is not None and full.sensitivity.of < FEW_LESIONS:
        remarks.append(f"only {full.sensitivity.of} lesion(s): a small loss can't be seen in them")
    if len(full.cases) < FEW_CASES:
        remarks.append(f"only {len(full.cases)} case(s)")
    return remarks
