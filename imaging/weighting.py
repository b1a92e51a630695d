"""What an MR series is weighted for: T1, T2, FLAIR, proton density, or something else.

Its words speak first (description, then protocol, then the maker's sequence name), since people
choose series by them; then what Enhanced MR says outright; last its times. Words were measured
on the descriptions of public brain MR, see ``benchmarks/mr_descriptions.py``.
"""

from __future__ import annotations

import re
from enum import StrEnum

from imaging.headers import SeriesHeader
from imaging.language import Text
from imaging.mr_facts import MrFacts


class Weighting(StrEnum):
    """What an MR series shows, as far as models that take several ask."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    PD = "PD"
    OTHER = "other"
    """Known to be something else: diffusion, perfusion, angiography, T2*, a map, a localizer."""
    UNKNOWN = "unknown"
    """Nothing says it."""

    @property
    def text(self) -> Text:
        """For a reader."""
        if self is Weighting.OTHER:
            return Text(en="something else", zh="其他")
        if self is Weighting.UNKNOWN:
            return Text(en="nothing that is known", zh="未知")
        return Text(en=self.value, zh=self.value)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_BREAKS = re.compile(r"[_/:;,.()<>\[\]{}|=]+")
# Tested in this order on text whose underscores and the like have become spaces.
_NO_CONTRAST_OF_ITS_OWN = _words(
    r"\blocali[sz]er", r"\bloc\b", r"scout", r"survey", r"smart ?brain", r"scanogram",
    r"\bcalib", r"\b(?:3|three)[ -]?pl", r"plane loc", r"shim", r"\bb[01] ?map", r"\bb0\b",
    r"field ?map", r"ref(?:erence)? scan", r"定位",
    # maps, differences and what else was computed
    r"\bsub(?:s|tr|traction|tracted|tr action)?\b", r"subtract", r"\bm?mip\b", r"\bminip\b",
    r"\bt[12]\*? ?-?map", r"\bmap(?:ping)?\b", r"posdisp", r"created from", r"relax",
    r"\bq(?:sm|t1|t2)\b",
    # diffusion, perfusion, flow, function, spectra
    r"dwi", r"\bdti", r"diff(?!use)", r"\be?adc\b", r"apparent", r"trace", r"\bd?fa\b", r"mddw",
    r"tensor", r"\bivim", r"\bb[ =-]?\d{3,4}\b", r"tractogr", r"\bdw\b", r"\bdki\b", r"\bnoddi",
    r"弥散", r"扩散", r"灌注", r"血管", r"波谱",
    r"perf", r"\bpwi", r"\bdsc\b", r"\bdce\b", r"dyn(?:amic)?\b", r"\bdyn\d", r"p?c?asl\b",
    r"\brc?b[fv]\b", r"\bc?b[fv]\b", r"\bmtt\b", r"\bttp\b", r"\btmax\b", r"\bbolus\b",
    r"\btof", r"\bmr[av]\b", r"angio", r"venogr", r"phase[ -]?contrast", r"\bpca?\b ?3d",
    r"\bcsf ?flow", r"bold\b", r"\bf-?mri", r"\brest(?:ing|\d)?\b", r"ep2d", r"\bepi\b",
    r"\bsvs", r"\bcsi\b", r"\bmrs\b", r"(?<!sup)press\b", r"\bmyelo",
    # susceptibility
    r"\bswi", r"\bswan", r"vswi", r"venobold", r"suscept", r"磁敏感", r"\bpha(?:se)?\b",
    r"hemo", r"\bt2 ?-?\*", r"t2 ?-?w? ?\*", r"\*t2", r"t2 ?-?star", r"\bmerge\b", r"\bmedic\b",
    # balanced steady state: fluid is bright, tissue is not T2's
    r"fiesta", r"\bciss", r"ci3d", r"3d ?-?ciss", r"ciss3d", r"tru?e?-?fi", r"\bbffe",
    r"\bb-?ffe", r"balanced", r"bssfp", r"\bstir\b", r"mp2?rage.*\binv",
)  # fmt: skip
_T1 = _words(
    r"(?<!pos)t1(?!\d)", r"mp ?-?2?-?rage", r"\brage\b", r"spgr", r"bravo", r"\btfl",
    r"\bvibe", r"\blava", r"\b3d ?-?tfe", r"\bflash\b", r"\bthrive\b", r"\bfl3d",
)  # fmt: skip
_FLAIR = _words(
    r"flair", r"tirm", r"dark ?-?fl", r"\bda-?fl", r"fluid ?-?att", r"水抑制", r"压水", r"黑水"
)
_T2 = _words(r"(?<!pos)t2(?!\d)", r"\bhaste\b", r"frfse", r"ss-?fse", r"drive")
_PD = _words(r"\bpd(?:w|\b)", r"proton", r"\bdp\b")
_GRADIENT_ECHO = _words(r"\bf?gre\b", r"\bgr\b", r"\bge\b", r"\bffe\b", r"\bf?gr2d")

_MAKERS_NAMES = (
    # Siemens; * and digits stand around these.
    (re.compile(r"^\W*(?:ep|swi|tfi|fi\d|ci\d|b_)", re.IGNORECASE), Weighting.OTHER),
    (re.compile(r"^\W*tfl3d", re.IGNORECASE), Weighting.T1),
)
_OUTRIGHT = {
    "T1": Weighting.T1,
    "T2": Weighting.T2,
    "FLUID_ATTENUATED": Weighting.FLAIR,
    "PROTON_DENSITY": Weighting.PD,
}
"""Of AcquisitionContrast (PS3.3 C.8.13.3.1.1.4); its other values are something else."""


def weighting_of(header: SeriesHeader) -> Weighting:
    """What a series is weighted for, by the first of its sources that says it."""
    for text in (header.description, header.protocol):
        found = read_words(text)
        if found is not Weighting.UNKNOWN:
            return _corrected(found, header.mr)
    for pattern, meant in _MAKERS_NAMES:
        if pattern.search(header.mr.sequence_name):
            return meant
    if header.mr.acquisition_contrast:
        return _outright(header.mr)
    return by_times(header.mr)


def _outright(facts: MrFacts) -> Weighting:
    found = _OUTRIGHT.get(facts.acquisition_contrast, Weighting.OTHER)
    # Of gradient echoes scanners write T2 for T2*.
    echoes = set(facts.scanning_sequence)
    return Weighting.OTHER if found is Weighting.T2 and echoes & {"GR", "SE"} == {"GR"} else found


def read_words(text: str) -> Weighting:
    """What a description says; ``UNKNOWN`` where it says nothing, or two things at once."""
    words = " ".join(_BREAKS.sub(" ", text).split())
    if _NO_CONTRAST_OF_ITS_OWN.search(words):
        return Weighting.OTHER
    t1, t2 = _T1.search(words) is not None, _T2.search(words) is not None
    if _FLAIR.search(words):
        return Weighting.T1 if t1 and not t2 else Weighting.FLAIR
    if t1:
        return Weighting.UNKNOWN if t2 else Weighting.T1
    if _GRADIENT_ECHO.search(words):
        # without T1 in its name: T2*, whether it says T2 or not
        return Weighting.OTHER
    if _PD.search(words):
        return Weighting.OTHER if t2 else Weighting.PD
    return Weighting.T2 if t2 else Weighting.UNKNOWN


def by_times(facts: MrFacts) -> Weighting:
    """What the times say, for scanners of 1 to 3 T; ``UNKNOWN`` between the usual ranges.

    Source: usual ranges of clinical protocols (Bernstein, King, Zhou, Handbook of MRI Pulse
    Sequences, 2004): an inversion near 2 s nulls fluid, near 0.15 s fat, near 0.9 s gives T1.
    """
    kinds, repetition, echo = facts.scanning_sequence, facts.repetition_ms, facts.echo_ms
    if "EP" in kinds or "TOF" in facts.sequence_variant:
        return Weighting.OTHER
    if echo is None or repetition is None:
        return Weighting.UNKNOWN
    if facts.inversion_ms:
        return _by_inversion(facts.inversion_ms, repetition, echo)
    if facts.inverted:
        return Weighting.UNKNOWN
    if "GR" in kinds and "SE" not in kinds:
        if echo >= 12:
            return Weighting.OTHER
        if "SS" in facts.sequence_variant and "SP" not in facts.sequence_variant:
            return Weighting.OTHER
        spoiled = "SP" in facts.sequence_variant or "MP" in facts.sequence_variant
        return Weighting.T1 if spoiled and echo <= 7 and repetition <= 3000 else Weighting.UNKNOWN
    if "SE" not in kinds:
        return Weighting.UNKNOWN
    if repetition <= 1200 and echo <= 35:
        return Weighting.T1
    if repetition >= 1800:
        return Weighting.T2 if echo >= 60 else Weighting.PD if echo <= 40 else Weighting.UNKNOWN
    return Weighting.UNKNOWN


def _by_inversion(inversion: float, repetition: float, echo: float) -> Weighting:
    if inversion >= 1400 and repetition >= 4000 and echo >= 60:
        return Weighting.FLAIR
    if 400 <= inversion <= 1300 and echo <= 35:
        return Weighting.T1
    return Weighting.OTHER


def _corrected(said: Weighting, facts: MrFacts) -> Weighting:
    """TIRM and its like are FLAIR or STIR; the inversion time tells which."""
    if said is Weighting.FLAIR and facts.inversion_ms and facts.inversion_ms < 400:
        return Weighting.OTHER
    return said
