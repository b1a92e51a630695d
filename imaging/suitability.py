"""How well an acceptable series suits a model: a score, and each thing that went into it.

A whole scan of 1 mm slices has 10 points, thicker ones in proportion less; every factor below
takes its share. The figures are this project's choice: thin before soft, whole before thin, the
wanted phase before a thinner other one, and what was computed or reformatted last.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from imaging.contrast import Phase, told_phase
from imaging.headers import SeriesHeader
from imaging.input_rule import InputRule
from imaging.kernels import Sharpness, sharpness
from imaging.language import Text
from imaging.notices import Notice
from imaging.series_rules import SeriesRule
from imaging.series_words import Kind, kind_of, names_part, regions_of

BEST_POINTS = 10.0
"""Of a whole scan whose slices are no thicker than ``FINEST_MM``."""
FINEST_MM = 1.0
"""Thinner slices are no better: models read on grids of about this."""
WHOLE_MM = 250.0
"""A scan that covers so much is whole as far as a score goes, though another covers more."""
SHORT_MM = 100.0
"""Where nothing covers more, nothing is whole, and coverage counts for nothing."""
PART = 0.9
"""A series that covers less of what the longest one covers is a part of the scan."""
SHARP = 0.8
"""Of a sharp kernel, where a model has no wish: noise looks like small lesions."""
KIND_FACTORS = {
    Kind.REFORMAT: 0.5,
    Kind.ATTENUATION: 0.6,
    Kind.DERIVED: 0.3,
    Kind.INTERVENTION: 0.3,
    Kind.LOCALIZER: 0.1,
    Kind.TRACKING: 0.3,
    Kind.EXPIRATION: 0.5,
    Kind.PRONE: 0.7,
}
"""Of what can be read where nothing better is there; kinds that are never read have none."""
OTHER_PART = 0.1
"""Of a series whose description names other parts of the body only: the thinnest one comes after
the thickest of the wanted part."""
PHASE_FACTORS = (1.0, 0.7, 0.5)
"""Of the phases a model prefers, in its order; any further one has the last."""
OTHER_PHASE, UNSAID_PHASE = 0.3, 0.6
PREFERRED = 100.0
"""Points of a series that the site prefers."""
LEAST = 0.01
"""Of anything acceptable."""

Key = TypeVar("Key", bound=Hashable)
Aspect = Literal["slices", "coverage", "kernel", "kind", "phase", "part", "site"]


class Factor(BaseModel):
    """One thing that a score is made of."""

    model_config = ConfigDict(frozen=True)

    aspect: Aspect
    value: float = Field(
        description="slices: points; site: points added; every other: what they are multiplied by"
    )
    text: Text


@dataclass(frozen=True)
class Suitability:
    """What was found of one series for one rule.

    Attributes:
        score: 0 where it doesn't suit.
        notices: warnings, or the one refusal.
        factors: what the score is made of; empty where it doesn't suit.
        covered_mm: from the first slice to the last.
    """

    score: float
    notices: tuple[Notice, ...] = ()
    factors: tuple[Factor, ...] = ()
    covered_mm: float = 0.0


def weigh(
    header: SeriesHeader,
    rule: InputRule,
    *,
    coarsest_mm: float,
    site: Sequence[SeriesRule] = (),
) -> tuple[float, tuple[Factor, ...]]:
    """The score of a series that a rule accepts, and its factors.

    Args:
        header: what the series says of itself.
        rule: what the model takes.
        coarsest_mm: slice distance or thickness, whichever is greater.
        site: the site's rules that speak of it.
    """
    points = BEST_POINTS * FINEST_MM / max(coarsest_mm, FINEST_MM)
    taken = any(each.then == "take" for each in site)
    factors = [
        Factor(aspect="slices", value=round(points, 3), text=_both("{} mm", coarsest_mm)),
        _kernel(header, rule),
        None if taken else _kind(header, rule),
        _phase(header, rule),
        _part(header, rule),
    ]
    kept = [each for each in factors if each is not None]
    kept += [_by_site(each) for each in site if each.then in ("prefer", "score")]
    return score_of(kept), tuple(kept)


def score_of(factors: Sequence[Factor]) -> float:
    """Points times factors, and what the site adds."""
    points = sum(f.value for f in factors if f.aspect == "slices")
    added = sum(f.value for f in factors if f.aspect == "site")
    shares = prod(f.value for f in factors if f.aspect not in ("slices", "site"))
    return max(points * shares + added, LEAST)


def weigh_coverage(found: Mapping[Key, Suitability]) -> dict[Key, Suitability]:
    """The same with those marked down that are a part of what the longest one covers.

    The longest is one of the wanted part of the body where there is one: a series of the lungs is
    whole, however far the one of the abdomen reaches.
    """
    suited = [each for each in found.values() if each.score > 0]
    wanted = [each for each in suited if "part" not in _by_aspect(each.factors)]
    longest = min(max((f.covered_mm for f in wanted or suited), default=0), WHOLE_MM)
    weighed = dict(found)
    for key, each in found.items():
        share = each.covered_mm / longest if longest > 0 else 1.0
        if each.score > 0 and share < PART and longest >= SHORT_MM:
            factors = (*each.factors, _coverage(each.covered_mm, share))
            weighed[key] = replace(each, factors=factors, score=score_of(factors))
    return weighed


def why_better(chosen: Sequence[Factor], other: Sequence[Factor]) -> Text:
    """In what the chosen series is better than another acceptable one."""
    mine, theirs = _by_aspect(chosen), _by_aspect(other)
    told: list[Text] = []
    for aspect in ("site", "slices", "coverage", "kernel", "kind", "phase", "part"):
        one, two = mine.get(aspect), theirs.get(aspect)
        missing = 0.0 if aspect == "site" else 1.0
        if (one.value if one else missing) <= (two.value if two else missing):
            continue
        if one and two:
            told.append(Text(en=f"{one.text.en} against {two.text.en}",
                             zh=f"{one.text.zh}，后者为{two.text.zh}"))  # fmt: skip
        elif one:
            told.append(one.text)
        elif two:
            told.append(Text(en=f"not {two.text.en}", zh=f"并非{two.text.zh}"))
    if not told:
        return Text(en="alike; it comes first", zh="两者相当，取靠前者")
    return Text(en="; ".join(t.en for t in told), zh="；".join(t.zh for t in told))


def other_part(header: SeriesHeader, pattern: str) -> bool:
    """Whether a description names parts of the body, and none that the pattern wants."""
    said = header.description
    return bool(pattern and regions_of(said) and not names_part(pattern, said))


def _by_aspect(factors: Sequence[Factor]) -> dict[str, Factor]:
    return {factor.aspect: factor for factor in factors}


def _both(form: str, value: float) -> Text:
    shown = form.format(f"{value:.3g}")
    return Text(en=f"slices of {shown}", zh=f"层厚 {shown}")


def _coverage(covered_mm: float, share: float) -> Factor:
    shown = f"{covered_mm:.0f} mm"
    text = Text(en=f"only {shown} covered", zh=f"仅覆盖 {shown}")
    return Factor(aspect="coverage", value=round(share * share, 4), text=text)


def _kernel(header: SeriesHeader, rule: InputRule) -> Factor | None:
    if header.modality != "CT" or rule.kernel == "sharp":
        return None
    if sharpness(header) is not Sharpness.SHARP:
        return None
    name = header.kernel or header.description
    text = Text(en=f"sharp kernel ({name})", zh=f"锐利重建核（{name}）")
    return Factor(aspect="kernel", value=SHARP, text=text)


def _kind(header: SeriesHeader, rule: InputRule) -> Factor | None:
    found = kind_of(header.description)
    value = KIND_FACTORS.get(found)
    if value is None or (found is Kind.REFORMAT and rule.derived and header.modality == "CT"):
        return None
    text = Text(en=f"{found.text.en} by its description", zh=f"据描述为{found.text.zh}")
    return Factor(aspect="kind", value=value, text=text)


def _phase(header: SeriesHeader, rule: InputRule) -> Factor | None:
    if not rule.prefer_phase:
        return None
    phase = told_phase(header.description or header.protocol)
    if phase is None:
        text = Text(en="phase not told", zh="未说明期相")
        return Factor(aspect="phase", value=UNSAID_PHASE, text=text)
    wanted = list(rule.prefer_phase)
    if phase.value not in wanted:
        return Factor(aspect="phase", value=OTHER_PHASE, text=phase.text)
    place = min(wanted.index(phase.value), len(PHASE_FACTORS) - 1)
    return Factor(aspect="phase", value=PHASE_FACTORS[place], text=phase.text)


def _part(header: SeriesHeader, rule: InputRule) -> Factor | None:
    """Of a series whose description names other parts of the body, or a delayed phase.

    One waits for liver, kidneys and bladder: a series that is called delayed and no more is
    hardly of the chest.
    """
    wanted, said = rule.prefer_part or rule.body_part, header.description
    if other_part(header, wanted):
        text = Text(en=f"another part of the body ({said})", zh=f"其他部位（{said}）")
    elif (
        wanted
        and told_phase(said) is Phase.DELAYED
        and not regions_of(said)
        and not any(names_part(wanted, waited) for waited in ("abdomen", "pelvis"))
    ):
        text = Text(en=f"delayed, mostly of the abdomen ({said})", zh=f"延迟期多为腹部（{said}）")
    else:
        return None
    return Factor(aspect="part", value=OTHER_PART, text=text)


def _by_site(rule: SeriesRule) -> Factor:
    points = PREFERRED if rule.then == "prefer" else rule.points
    text = Text(en=f"the site's rule {rule.name!r}", zh=f"本院规则“{rule.name}”")
    return Factor(aspect="site", value=points, text=text)
