"""A model's description for people at a terminal: English and Chinese, with its model card."""

from __future__ import annotations

from collections.abc import Iterator

from imaging.finding import Code
from imaging.language import Text
from imaging.series import InputRule
from models.intake.installation import code_trusted_by, read_installation
from models.sections import Label
from models.spec import CARD_NAME, SPEC_NAME, ModelSpec

MOST_LABELS = 20


def model_page(spec: ModelSpec) -> Iterator[str]:
    """The lines of `preread models show`."""
    yield f"{spec.name} {spec.version}: {spec.title.en} / {spec.title.zh}"
    yield f"  {spec.folder / SPEC_NAME}"
    if not spec.installed:
        pulled = spec.origin is not None and spec.origin.url
        how = f"pull {spec.name}" if pulled else f"add EXPORT --name {spec.name}"
        yield f"  its weights are not here: `preread models {how}`"
    if spec.reference_weights:
        yield "  reference weights, for research only / 参考权重,仅供科研"
    if spec.fake:
        yield "  a stand-in, NOT FOR CLINICAL USE / 仅为占位,不得用于临床"
    yield from _text("intended use", spec.intended_use)
    yield from _text("limits", spec.limits)
    yield ""
    yield "finds"
    shown = [label for label in spec.labels if label.kind != "ignored"]
    if spec.network.prompts:
        shown = [label for label in shown if label.index in spec.network.prompts]
    for label in shown[:MOST_LABELS]:
        yield f"  {_label(label)}"
    rest = len(spec.labels) - min(len(shown), MOST_LABELS)
    if rest:
        yield f"  and {rest} more, ignored or not asked for ones included: see {SPEC_NAME}"
    yield ""
    for role, rule in [(s.role, s.input) for s in spec.series] or [("", spec.input)]:
        yield f"takes{f' as {role}' if role else ''}"
        yield from (f"  {line}" for line in _rule(rule))
    point = spec.operating_point
    yield "operating point"
    if any(label.kind == "lesion" for label in spec.labels):
        yield f"  score >= {point.score_threshold:g}, the best {point.most_findings} findings"
    if spec.task in ("lung-nodules", "pancreas"):  # the others draw what their labels say
        yield f"  masks from {point.mask_threshold:g} on"
    yield from _validated(spec)
    yield "runs"
    yield (
        f"  {spec.network.kind}, runtime {spec.runtime.prefer}, {spec.runtime.precision}, "
        f"up to {spec.runtime.maximum_batch} patches at once"
    )
    yield from _origin(spec)
    for role, file in spec.files.items():
        yield f"  {file}  SHA-256 {spec.sha256[role]}" + ("" if role == file else f"  ({role})")
    if spec.files:
        yield f"  fingerprint of the weights: {spec.fingerprint}"
    if spec.unfilled:
        yield ""
        yield "can't be enabled before a person fills in or checks"
        yield from (f"  {key}" for key in spec.unfilled)
    card = spec.folder / CARD_NAME
    if card.is_file():
        yield ""
        yield card.read_text(encoding="utf-8", errors="replace").rstrip()


def _validated(spec: ModelSpec) -> Iterator[str]:
    validated = spec.operating_point.validated
    if validated is None:
        yield "  not validated: it flags no study as urgent"
        return
    yield f"  validated: from score {validated.score_threshold:g} on it flags the study as urgent"
    yield (
        f"  by {validated.by}, {validated.date}, {validated.patients} patients "
        f"({validated.diseased} diseased): sensitivity {validated.sensitivity:.1%}, specificity "
        f"{validated.specificity:.1%}"
    )
    yield f"  on {validated.data}, in {validated.precision}; {validated.reference}"


def _text(what: str, text: Text) -> Iterator[str]:
    yield ""
    yield what
    yield from (f"  {line or '(not filled in)'}" for line in (text.en, text.zh))


def _label(label: Label) -> str:
    more = f", from {label.minimum_mm3:g} mm3" if label.minimum_mm3 else ""
    more += ", largest piece only" if label.largest_only else ""
    where = "" if label.site == label.code else f" in {_code(label.site)}"
    return (
        f"{label.index:>3} {label.kind:8}{label.name.en} / {label.name.zh}: "
        f"{_code(label.code)}{where}{more}"
    )


def _code(code: Code) -> str:
    return f"{code.meaning.en or '?'} ({code.value or '?'}, {code.scheme})"


def _rule(rule: InputRule) -> Iterator[str]:
    """What the rule asks for; a key that asks for nothing is left out."""
    for name in InputRule.model_fields:
        value = getattr(rule, name)
        if value not in ("", "any", 0, False):
            yield f"{name} = {value}"


def _origin(spec: ModelSpec) -> Iterator[str]:
    origin, installation = spec.origin, read_installation(spec.folder)
    if origin is not None or installation is not None:
        yield "comes"
    if origin is not None:
        yield f"  from {origin.url or 'a file'}, licence {origin.licence}"
        if origin.licence_note is not None:
            yield f"  {origin.licence_note.en}"
            yield f"  {origin.licence_note.zh}"
    if installation is not None:
        yield f"  put here by {installation.who} on {installation.at:%Y-%m-%d %H:%M}"
        yield f"  from {installation.source}"
        if installation.code_sha256:
            who = code_trusted_by(spec.folder)
            gone = "its own Python was trusted, but has changed since: it is not run"
            yield f"  its own Python is run: trusted by {who}" if who else f"  {gone}"
