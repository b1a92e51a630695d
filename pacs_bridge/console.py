"""What commands print: plain lines on standard output, messages on standard error."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from imaging.report import Report

# No markup: paths, tags and remedies such as preread[cpu] hold brackets of their own.
out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False, markup=False)


def print_findings(report: Report) -> None:
    """The findings table on standard output, comparisons and warnings under it."""
    table = Table(
        title=f"{report.title.en}: {len(report.findings)} finding(s)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for column in ("#", "centre LPS mm", "slice", "long x short mm", "mm3", "mean HU", "score"):
        table.add_column(column, justify="right", no_wrap=True)
    for f in report.findings:
        # Of a described nodule, what every other output says.
        volume = f.volume_mm3 if f.nodule is None else f.nodule.volume_mm3.value
        table.add_row(
            str(f.number),
            " ".join(f"{x:.1f}" for x in f.centre_lps_mm),
            str(f.key_slice + 1),
            f"{f.long_axis_mm:.1f} x {f.short_axis_mm:.1f}",
            f"{volume:.0f}",
            "-" if f.mean_hu is None else f"{f.mean_hu:.0f}",
            f"{f.score:.2f}",
        )
    out.print(table)
    for structure in report.structures:
        out.print(f"  {structure.label.meaning.en}: {structure.volume_mm3 / 1000:.1f} ml")
    if report.gland is not None and report.gland.places:
        shown = ", ".join(
            f"{place.part} (slice {place.key_slice + 1})" for place in report.gland.places
        )
        out.print(f"  research grade, where to look, no finding: {shown}", soft_wrap=True)
    for each in report.comparisons:
        out.print(f"  compared with {each.study_date}, {each.days} days before")
        for change in each.changes:
            name = f"#{change.number}" if change.number else "-"
            out.print(f"  {name:>4} {change.change}: {change.why.en}", soft_wrap=True)
        for text in each.warnings:
            out.print(f"  note {each.study_date}: {text.en}", style="yellow", soft_wrap=True)
    for warning in report.warnings:
        out.print(f"  note {warning.text.en}", style="yellow", soft_wrap=True)
