"""The report as a PDF, A4: what the HTML report says, for readers that take paper or PDF only.

A PDF can't change when the reader disagrees, and stays in the record. So every page of a
preliminary one says at its head and foot that it is preliminary and not for diagnosis, and that the
signed report replaces it.

Letters that the standard fonts lack, Chinese among them, are in the file itself where the machine
has a font that may and can be put there (Debian's fonts-wqy-microhei), and else are left to the
reader's own fonts: see ``pdf_words``.

The same report makes the same bytes, with the same fonts installed. Key images are JPEG in it
(quality 90, no chroma subsampling): they show where to look, the images themselves are in the
archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer, Table, TableStyle

from imaging.draft import character, deciding, facts, pancreas_panel, sentence_of, terms
from imaging.draft.sentences import comparison_sentence
from imaging.finding import Finding
from imaging.guidelines.values import SAR_APA
from imaging.language import Language, Text
from imaging.objects import pdf_words as words
from imaging.objects import wording
from imaging.objects.html import SEXES, day, moment, person_name
from imaging.objects.pdf_pages import PageWords, lay_out
from imaging.objects.pdf_parts import WIDTH, Parts
from imaging.report import Report, Stage, Verdict

PICTURE = 112 * mm
"""Width of a key image: two findings go on a page."""


def render_pdf(
    report: Report, pictures: Mapping[str, bytes], *, language: Language = Language.EN
) -> bytes:
    """The report as a PDF file.

    Args:
        report: preliminary or final.
        pictures: PNG by ``tracking_uid``; what has none is shown without.
        language: of the labels and sentences; names and the reader's own words stand as they are.
    """
    page = _Page(report, pictures, language)
    return lay_out(page.frame(), list(page.flow()), language)


class _Page(Parts):
    """Makes the flowables of one report in one language."""

    def __init__(self, report: Report, pictures: Mapping[str, bytes], language: Language) -> None:
        super().__init__(language)
        self.report, self.pictures = report, pictures
        self.final = report.stage is Stage.FINAL

    # page ----------------------------------------------------------------------------------

    def frame(self) -> PageWords:
        report, patient = self.report, self.report.patient
        status = wording.pdf_status(report)
        colour = words.GREEN if self.final and not report.fake else words.AMBER
        identity = (
            person_name(patient.patient_name), patient.patient_id, day(report.study_date),
            report.accession_number,
        )  # fmt: skip
        revision = f"{self.label('revision')} {report.revision}"
        return PageWords(
            title=f"Preread · {self.say(report.title)}",
            status=self.say(status),
            colour=words.RED if report.fake else colour,
            identity=" · ".join(part for part in identity if part),
            made=f"{self.label('made')} {moment(report.created_at)} · {revision}",
        )

    def flow(self) -> Iterator[Flowable]:
        """Everything, top to bottom, in the HTML report's order."""
        report = self.report
        yield self.text(self.say(report.title), 19, bold=True, after=6)
        yield from self.boxes()
        yield self.facts_of_the_study()
        if report.warnings:
            yield self.heading("attention")
            for warning in report.warnings:
                yield self.box([self.text(self.say(terms.capital(warning.text)))], words.AMBER)
        if report.impression.strip():
            yield self.heading("impression")
            yield self.text(report.impression.strip(), 10.5)
        yield from self.guidelines()
        yield self.heading("findings")
        if report.standing_findings:
            yield self.table_of(report.standing_findings)
            for finding in report.standing_findings:
                yield from self.finding(finding)
        else:
            yield self.box([self.text(self.say(wording.no_findings(report)), 10.5)], words.LINE)
        rejected = [f for f in report.findings if f not in report.standing_findings]
        if rejected:
            yield self.heading("rejected")
            yield self.table_of(rejected, colour=words.SOFT)
        yield from self.comparisons()
        yield from self.gland()
        yield from self.structures()
        yield self.heading("limits")
        for limit in (wording.SCOPE_LIMIT, wording.MEASURE_LIMIT, wording.SCORE_LIMIT):
            yield self.soft(self.say(limit))
        yield self.soft(self.provenance())

    def boxes(self) -> Iterator[Flowable]:
        """What this document is, the gravest first."""
        report = self.report
        if report.fake:
            yield self.box(
                [self.text(f"{self.label('fake')}. {self.label('fake_why')}", bold=True,
                           colour=words.RED)],
                words.RED, words.RED_WASH,
            )  # fmt: skip
        if report.urgent and report.urgency is not None:
            why = f"{self.label('urgent')}. {self.say(report.urgency.why)}"
            yield self.box([self.text(why, colour=words.RED)], words.RED, words.RED_WASH)
        told: list[Flowable]
        if self.final:
            told = [self.text(self.label("final"), 11, bold=True, colour=words.GREEN)]
            if report.signature is not None:
                by = report.signature
                parts = (person_name(by.name), by.organization, moment(by.signed_at))
                signed = " · ".join(part for part in parts if part)
                told.append(self.text(f"{self.label('verified_by')} {signed}", colour=words.GREEN))
            told.append(self.soft(self.say(wording.verified_statement(report))))
            yield self.box(told, words.GREEN, words.GREEN_WASH)
        else:
            told = [
                self.text(self.say(wording.pdf_status(report)), 11, bold=True, colour=words.AMBER),
                self.text(self.say(wording.preliminary_statement(report)), colour=words.AMBER),
                self.text(self.say(wording.REPLACED_WHEN_SIGNED), colour=words.AMBER),
            ]
            yield self.box(told, words.AMBER, words.AMBER_WASH)
        if report.supersedes is not None:
            yield self.text(
                self.say(wording.supersedes_statement(report.supersedes)), colour=words.AMBER
            )

    def facts_of_the_study(self) -> Flowable:
        report, patient = self.report, self.report.patient
        sex = self.say(SEXES[patient.sex]) if patient.sex in SEXES else patient.sex
        rows = (
            ("patient", person_name(patient.patient_name)),
            ("patient_id", patient.patient_id),
            ("birth_date", " · ".join(p for p in (day(patient.birth_date), sex) if p)),
            ("study", report.study_description),
            ("study_date", day(report.study_date)),
            ("accession", report.accession_number),
            ("series", report.series_description),
            ("images", f"{report.modality} · {report.slice_count} {self.label('slices')} · "
                       f"{report.spacing_mm[0]:.2f} mm"),
            ("model", report.model_names),
        )  # fmt: skip
        cells = [
            [self.text(self.label(key), 7.5, colour=words.SOFT), self.text(value or "–")]
            for key, value in rows
        ]
        grid = [[*cells[n], *cells[n + 1], *cells[n + 2]] for n in range(0, len(cells), 3)]
        lines = [[grid_row[0:2], grid_row[2:4], grid_row[4:6]] for grid_row in grid]
        widths = [WIDTH * 0.44, WIDTH * 0.28, WIDTH * 0.28]
        return Table(
            lines, colWidths=widths, spaceBefore=6,
            style=TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"),
                              ("LEFTPADDING", (0, 0), (-1, -1), 0),
                              ("TOPPADDING", (0, 0), (-1, -1), 2),
                              ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]),
        )  # fmt: skip

    # findings ------------------------------------------------------------------------------

    def table_of(self, findings: Sequence[Finding], colour: Color = words.INK) -> Flowable:
        keys = ("number", "finding", "slice", "axes", "volume", "density", "score")
        rows = [[self.cell(self.label(key), words.SOFT, key not in keys[:2]) for key in keys]]
        for finding in findings:
            what = self.say(
                terms.name(finding)
                if finding.nodule
                else Text(
                    en=f"{finding.label.meaning.en} · {finding.site.meaning.en}",
                    zh=f"{finding.label.meaning.zh} · {finding.site.meaning.zh}",
                )
            )
            axes = finding.nodule.axial if finding.nodule else None
            pair = (axes.long_mm, axes.short_mm) if axes else (
                finding.long_axis_mm, finding.short_axis_mm,
            )  # fmt: skip
            volume = finding.nodule.volume_mm3.value if finding.nodule else finding.volume_mm3
            hu = "–" if finding.mean_hu is None else terms.number(finding.mean_hu)
            values = (
                str(finding.number), what, str(finding.key_slice + 1),
                f"{terms.number(pair[0], 1)} × {terms.number(pair[1], 1)}",
                terms.number(volume), hu, f"{finding.score:.2f}",
            )  # fmt: skip
            rows.append([self.cell(v, colour, n > 1) for n, v in enumerate(values)])
        return self.grid(rows, (0.06, 0.33, 0.08, 0.17, 0.12, 0.15, 0.09))

    def finding(self, finding: Finding) -> Iterator[Flowable]:
        report, review = self.report, self.report.review_of(finding)
        marks = [
            self.say(facts.guideline_name(g.guideline)) + f" {facts.in_effect(report, g)}"
            for g in deciding(report, finding)
        ]
        if self.final:
            accepted = review.verdict is Verdict.ACCEPTED
            marks.append(self.label("accepted" if accepted else "pending"))
        name = terms.kind(finding.nodule) if finding.nodule else finding.label.meaning
        head = " · ".join([f"{finding.number}  {self.say(name)}", *marks])
        top: list[Flowable] = [Spacer(1, 10), self.text(head, 11, bold=True, after=3)]
        if finding.tracking_uid in self.pictures:
            top.append(self.picture(self.pictures[finding.tracking_uid], PICTURE))
        top.append(self.text(self.say(sentence_of(report, finding)), before=4, after=3))
        yield KeepTogether(top)
        if finding.nodule:
            yield from self.panel(character(finding.nodule))
            for hint in finding.nodule.hints:
                told = f"{self.say(hint.title)}: {self.say(facts.hint_value(hint))}"
                yield self.soft(f"{told} ({self.say(hint.meaning)})")
        if finding.pancreatic:
            yield from self.panel(pancreas_panel.lesion_facts(finding.pancreatic))
            for text in finding.pancreatic.told:
                yield self.soft(self.say(text))
        if review.text.strip():
            yield self.text(f"{self.label('reader_says')}: {review.text.strip()}", before=3)

    # the rest --------------------------------------------------------------------------------

    def guidelines(self) -> Iterator[Flowable]:
        report = self.report
        if not report.guidance:
            return
        yield self.heading("guidelines")
        for guidance in report.guidance:
            shown = facts.category_shown(guidance, facts.in_effect(report, guidance))
            unset = "to_fill_in" if guidance.guideline == SAR_APA else "not_assigned"
            category = self.say(shown) if shown else self.label(unset)
            head = f"{self.say(facts.guideline_name(guidance.guideline))}  {category}"
            if guidance.finding:
                head += f"  ({self.label('by_finding')} {guidance.finding})"
            told = [self.text(head, 10.5, bold=True)]
            for own in (o for o in report.overrides if o.guideline == guidance.guideline):
                computed = facts.category_shown(guidance, guidance.category)
                parts = (
                    self.label("set_by"), person_name(own.by), moment(own.at), own.reason,
                    f"{self.label('computed')}: "
                    f"{self.say(computed) if computed else self.label('not_assigned')}",
                )  # fmt: skip
                told.append(self.text(" · ".join(p for p in parts if p), colour=words.AMBER))
            told.append(self.text(self.say(guidance.recommendation)))
            if guidance.missing and guidance.category is not None:
                missing = "; ".join(self.say(one) for one in guidance.missing)
                told.append(self.soft(f"{self.label('would_refine')}: {missing}"))
            because = [f"{self.label('rule')}: {self.say(guidance.rule)}"]
            for given in guidance.inputs:
                whose = f" ({given.finding})" if given.finding else ""
                because.append(f"{self.say(given.name)}{whose}: {self.say(given.value)}")
            told.append(self.soft("; ".join([*because, guidance.source])))
            yield self.box(told, words.LINE, words.WASH)

    def comparisons(self) -> Iterator[Flowable]:
        for comparison in self.report.comparisons:
            yield self.heading("comparison", day(comparison.study_date))
            about = [comparison_sentence(comparison), comparison.registration, *comparison.warnings]
            yield self.soft(" · ".join(self.say(each) for each in about))
            if not comparison.changes:
                continue
            keys = ("number", "change", "then", "difference")
            rows = [[self.cell(self.label(key), words.SOFT) for key in keys]]
            for change in comparison.changes:
                then = terms.mm(change.prior.mean_diameter_mm) if change.prior else "–"
                told = (self.say(facts.change_figures(change)), self.say(change.why))
                values = (
                    str(change.number or "–"), self.say(terms.CHANGES[change.change]), then,
                    " · ".join(part for part in told if part),
                )  # fmt: skip
                rows.append([self.cell(value) for value in values])
            yield self.grid(rows, (0.07, 0.18, 0.12, 0.63))

    def gland(self) -> Iterator[Flowable]:
        gland = self.report.gland
        if gland is None:
            return
        yield self.heading("gland")
        for limit in gland.fitness.limits:
            yield self.box([self.text(self.say(limit))], words.AMBER)
        if gland.tracking_uid in self.pictures:
            yield self.picture(self.pictures[gland.tracking_uid], 80 * mm)
        yield from self.panel(pancreas_panel.gland_facts(gland))
        for text in gland.told:
            yield self.soft(self.say(text))
        if gland.places_shown:
            yield self.text(self.say(pancreas_panel.RESEARCH_PLACES), bold=True, before=4)
            for place in gland.places:
                told = self.say(pancreas_panel.place_told(place))
                where = f"{self.label('slice')} {place.key_slice + 1} / {self.report.slice_count}"
                yield self.text(f"{place.number}. {told} ({where})")
            if not gland.places:
                yield self.text(self.say(pancreas_panel.NO_PLACES))

    def structures(self) -> Iterator[Flowable]:
        if not self.report.structures:
            return
        yield self.heading("structures")
        keys = ("structure", "volume_ml", "density", "model")
        rows = [[self.cell(self.label(key), words.SOFT) for key in keys]]
        for each in self.report.structures:
            hu = "–" if each.mean_hu is None else terms.number(each.mean_hu)
            values = (
                self.say(each.label.meaning), terms.number(each.volume_mm3 / 1000, 1), hu,
                self.report.model_of(each).name,
            )  # fmt: skip
            rows.append([self.cell(value) for value in values])
        yield self.grid(rows, (0.4, 0.2, 0.2, 0.2))

    def provenance(self) -> str:
        weights = [m.sha256[:12] for m in self.report.all_models if m.sha256]
        told = f"{self.label('model')}: {self.report.model_names}"
        return f"{told} · {self.label('weights')} {', '.join(weights)}" if weights else told
