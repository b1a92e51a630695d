"""A model on labelled cases: Dice, lesions found, false findings, with 95 % intervals.

Whole findings are judged as a reader would get them, at the model's operating point, through
:func:`models.pipeline.find_lesions`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from imaging.errors import ImagingError
from imaging.volume import Region
from models.errors import DatasetError, InputRefused, PatchRefused
from models.evaluation.agreement import dice, match, union
from models.evaluation.estimate import Estimate, mean_of, share_of
from models.evaluation.labelled import Case, Labelled, LabelledSet
from models.evaluation.table import evaluation_table
from models.lesions import Candidate
from models.loaded import LoadedModel
from models.pipeline import find_lesions
from models.runner import Runner
from models.spec import ModelSpec

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Called with a line for people: which case of how many."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class LesionResult(_Value):
    """A reference lesion, and whether it was found."""

    label: int
    diameter_mm: float
    found: bool
    score: float | None = Field(default=None, description="of the finding that found it")


class CaseResult(_Value):
    """What came out of one case."""

    name: str
    dice: dict[int, float] = Field(description="by label; a label that is not marked has none")
    lesions: tuple[LesionResult, ...]
    false: dict[int, int] = Field(description="false findings by lesion label")
    seconds: float
    notes: tuple[str, ...] = ()


class Excluded(_Value):
    """A case that is in no figure, with the reason."""

    name: str
    reason: str


class Evaluation(_Value):
    """What a model finds, misses and imagines on a labelled set.

    Attributes:
        sensitivity: lesions found of all marked, all labels together; None: none is marked.
        false_a_scan: false findings for each scan, all labels together.
        dice: by label, the mean over the cases in which it is marked.
        mean_dice: the mean of ``dice`` over labels; None where no case has masks.
    """

    model: str
    version: str
    fingerprint: str
    runtimes: dict[str, str] = Field(description="what ran each network, by role")
    source: str = Field(description="the labelled set")
    layout: str
    at: datetime
    labels: dict[int, str] = Field(description="English names")
    cases: tuple[CaseResult, ...]
    excluded: tuple[Excluded, ...] = ()
    sensitivity: Estimate | None = None
    sensitivity_by_label: dict[int, Estimate] = {}
    false_a_scan: Estimate | None = None
    dice: dict[int, Estimate] = {}
    mean_dice: float | None = None

    def table(self) -> str:
        """The figures for people, English, fixed width."""
        return evaluation_table(self)


def evaluate(
    model: LoadedModel,
    labelled: LabelledSet,
    *,
    networks: Mapping[str, Runner] | None = None,
    progress: Progress = lambda line: None,
) -> Evaluation:
    """Run a model over a labelled set.

    A case that can't be read, or that the model refuses, is excluded: it is logged, told to
    ``progress`` and listed with its reason.

    Args:
        model: loaded.
        labelled: the cases; read one after another.
        networks: what runs the model's networks instead of its own, e.g. an engine's.
        progress: told each case as it begins, and each that is excluded.

    Raises:
        InferenceFailed: a network could not be run.
        DatasetError: no case could be used.
    """
    runners = networks or model.runners
    results: list[CaseResult] = []
    excluded = [Excluded(name=each.name, reason=each.reason) for each in labelled.left_out]
    for each in excluded:
        log.warning("%s: left out: %s", each.name, each.reason)
    for number, case in enumerate(labelled.cases, start=1):
        progress(f"{number}/{len(labelled.cases)} {case.name}")
        try:
            results.append(_judge(case, case.load(), model, runners))
        except (DatasetError, ImagingError, InputRefused, PatchRefused) as error:
            log.warning("%s: excluded: %s", case.name, error)
            progress(f"{case.name}: EXCLUDED, {error}")
            excluded.append(Excluded(name=case.name, reason=str(error)))
    if not results:
        why = "; ".join(f"{each.name}: {each.reason}" for each in excluded[:5])
        raise DatasetError(f"{labelled.source}: none of its cases could be used. {why}")
    return _summed(model.spec, runners, labelled, results, excluded)


def _judge(
    case: Case, truth: Labelled, model: LoadedModel, networks: Mapping[str, Runner]
) -> CaseResult:
    began = time.perf_counter()
    with model.lock:
        found = find_lesions(truth.volumes, model, networks)
    seconds = time.perf_counter() - began
    kinds = {label.index: label.kind for label in model.spec.labels}
    lesions = [c for c in found.candidates if kinds.get(c.label) == "lesion"]
    matched = match(lesions, truth.lesions)
    false = {n: 0 for n, kind in kinds.items() if kind == "lesion"}
    for number in matched.false:
        false[lesions[number].label] += 1
    return CaseResult(
        name=case.name,
        dice=_dice(truth.masks or {}, found.candidates, kinds),
        lesions=tuple(
            LesionResult(
                label=lesion.label,
                diameter_mm=round(2 * lesion.radius_mm, 1),
                found=hit is not None,
                score=None if hit is None else round(lesions[hit].score, 4),
            )
            for lesion, hit in zip(truth.lesions, matched.hits, strict=True)
        ),
        false=false,
        seconds=round(seconds, 3),
        notes=(*truth.notes, *(notice.text.en for notice in found.notices)),
    )


def _dice(
    marked: Mapping[int, Region], found: Sequence[Candidate], kinds: Mapping[int, str]
) -> dict[int, float]:
    """By label that is marked; where it is not, a finding counts as false and has no Dice."""
    scores = {}
    for index, region in marked.items():
        if kinds.get(index, "ignored") == "ignored":
            continue
        whole = union([c.region for c in found if c.label == index])
        score = dice(whole, region)
        assert score is not None, "a marked label has voxels"
        scores[index] = round(score, 5)
    return scores


def _summed(
    spec: ModelSpec,
    networks: Mapping[str, Runner],
    labelled: LabelledSet,
    results: Sequence[CaseResult],
    excluded: Sequence[Excluded],
) -> Evaluation:
    indices = [label.index for label in spec.labels if label.kind != "ignored"]
    scores = {n: mean_of([r.dice[n] for r in results if n in r.dice]) for n in indices}
    known = {n: score for n, score in scores.items() if score is not None}
    shares = {n: _sensitivity(results, {n}) for n in indices}
    return Evaluation(
        model=spec.name,
        version=spec.version,
        fingerprint=spec.fingerprint,
        runtimes={role: network.name for role, network in networks.items()},
        source=labelled.source,
        layout=labelled.layout,
        at=datetime.now().astimezone().replace(microsecond=0),
        labels={label.index: label.name.en for label in spec.labels},
        cases=tuple(results),
        excluded=tuple(excluded),
        sensitivity=_sensitivity(results, set(indices)),
        sensitivity_by_label={n: share for n, share in shares.items() if share is not None},
        false_a_scan=mean_of([sum(r.false.values()) for r in results])
        if results[0].false
        else None,
        dice=known,
        mean_dice=sum(s.value for s in known.values()) / len(known) if known else None,
    )


def _sensitivity(results: Sequence[CaseResult], labels: set[int]) -> Estimate | None:
    lesions = [[x.found for x in r.lesions if x.label in labels] for r in results]
    return share_of([sum(found) for found in lesions], [len(found) for found in lesions])
