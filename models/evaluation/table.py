"""An evaluation as a table for people, English, fixed width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.evaluation.evaluate import CaseResult, Evaluation

LONGEST_NAME = 40


def evaluation_table(evaluation: Evaluation) -> str:
    """Cases, then the figures with their 95 % intervals, then what is in no figure."""
    parts = (_head, _cases, _figures, _never_marked, _excluded)
    return "\n".join(line for part in parts for line in part(evaluation))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells with the first column to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _head(evaluation: Evaluation) -> Iterator[str]:
    yield f"{evaluation.model} {evaluation.version} on {evaluation.source} ({evaluation.layout})"
    for role, runtime in evaluation.runtimes.items():
        yield f"{role}: {runtime}"
    yield ""


def _cases(evaluation: Evaluation) -> Sequence[str]:
    marked = sorted(evaluation.dice)
    heads = ["case", *(f"Dice {evaluation.labels[n]}" for n in marked)]
    rows = [[*heads, "found", "false", "seconds"]]
    rows += [_case(case, marked) for case in evaluation.cases]
    return columns(rows)


def _case(case: CaseResult, marked: Sequence[int]) -> list[str]:
    scores = [f"{case.dice[n]:.3f}" if n in case.dice else "-" for n in marked]
    found = sum(lesion.found for lesion in case.lesions)
    lesions = f"{found} of {len(case.lesions)}" if case.lesions else "-"
    false = str(sum(case.false.values())) if case.false else "-"
    return [case.name[-LONGEST_NAME:], *scores, lesions, false, f"{case.seconds:.1f}"]


def _figures(evaluation: Evaluation) -> Iterator[str]:
    yield ""
    yield f"{len(evaluation.cases)} case(s); 95 % intervals over cases"
    rows = []
    for n, share in evaluation.sensitivity_by_label.items():
        what = f"lesion sensitivity, {evaluation.labels[n]}"
        rows.append([what, str(share), f"{share.of} lesion(s)"])
    if len(rows) > 1 and evaluation.sensitivity is not None:
        share = evaluation.sensitivity
        rows.append(["lesion sensitivity, all", str(share), f"{share.of} lesion(s)"])
    if evaluation.false_a_scan is not None:
        rows.append(["false findings a scan", str(evaluation.false_a_scan), ""])
    for n, score in evaluation.dice.items():
        rows.append([f"Dice, {evaluation.labels[n]}", str(score), f"{score.of} case(s)"])
    if len(evaluation.dice) > 1 and evaluation.mean_dice is not None:
        rows.append(["Dice, mean over labels", f"{evaluation.mean_dice:.3f}", ""])
    yield from columns(rows) if rows else ("nothing is marked in these cases",)


def _never_marked(evaluation: Evaluation) -> Iterator[str]:
    """A set that leaves a label out says nothing of it, yet its findings look false."""
    false: dict[int, int] = {}
    for case in evaluation.cases:
        for n, count in case.false.items():
            false[n] = false.get(n, 0) + count
    for n, count in false.items():
        if count and n not in evaluation.sensitivity_by_label:
            yield (
                f"{evaluation.labels[n]} is marked in no case; its {count} finding(s) count as "
                "false, rightly only if the set marks it wherever it is"
            )


def _excluded(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.excluded:
        yield ""
        yield f"IN NO FIGURE: {len(evaluation.excluded)}"
        for each in evaluation.excluded:
            yield f"  {each.name}: {each.reason}"
    notes = [(case.name, note) for case in evaluation.cases for note in case.notes]
    if notes:
        yield ""
        yield "notes"
        for name, note in notes:
            yield f"  {name}: {note}"
