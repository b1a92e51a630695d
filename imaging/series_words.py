"""What the words of a CT or MR series say it is: a scan, or a scout, a MIP, a dose page ...

Scanners mark scouts and reformations in ImageType (PS3.3 C.8.2.1.1.1), but not all do, and what
a workstation made of a scan often claims to be the scan. People name such series in
SeriesDescription, in a handful of words; these were collected from the descriptions of public
series, see ``benchmarks/series_selection.py``. Words are a hint: geometry and ImageType go first.
"""

from __future__ import annotations

import re
from enum import StrEnum

from imaging.language import Text


class Kind(StrEnum):
    """What a series is by its description."""

    SCAN = "scan"
    """Nothing in it says that it is something else."""
    LOCALIZER = "localizer"
    TRACKING = "tracking"
    """Single slices of a contrast bolus over time: test bolus, monitoring."""
    PROJECTION = "projection"
    """MIP, MinIP, average: several slices in one."""
    RENDERING = "rendering"
    """Shaded surfaces and the like, curved and rotating views."""
    PAGE = "page"
    """Text as an image: dose page, protocol, results."""
    CAPTURE = "capture"
    """Screen saves, key images."""
    RAW = "raw"
    """Detector data, not an image of the patient."""
    DERIVED = "derived"
    """Voxels that were computed: subtraction, iodine, suppressed vessels, fusion."""
    REFORMAT = "reformat"
    """Resampled from a scan."""
    INTERVENTION = "intervention"
    """Made to guide a needle: a few slices around it, with it."""
    ATTENUATION = "attenuation"
    """The CT of a PET/CT: low dose, free breathing."""

    @property
    def text(self) -> Text:
        """For a reader."""
        return Text(en=_SHOWN[self][0], zh=_SHOWN[self][1])

    @property
    def never(self) -> bool:
        """Whether no model can read such a series, whatever its geometry looks like."""
        return self in _NEVER


_SHOWN: dict[Kind, tuple[str, str]] = {
    Kind.SCAN: ("scan", "扫描序列"),
    Kind.LOCALIZER: ("localizer", "定位像"),
    Kind.TRACKING: ("bolus tracking", "对比剂团注监测"),
    Kind.PROJECTION: ("projection of several slices", "多层投影（MIP 等）"),
    Kind.RENDERING: ("rendered view", "三维重建图"),
    Kind.PAGE: ("page of text", "文字页"),
    Kind.CAPTURE: ("screen save", "屏幕截图"),
    Kind.RAW: ("raw data", "原始数据"),
    Kind.DERIVED: ("computed images", "计算图像"),
    Kind.REFORMAT: ("reformation", "重组图像"),
    Kind.INTERVENTION: ("images of an intervention", "介入引导图像"),
    Kind.ATTENUATION: ("CT of a PET/CT", "PET/CT 的 CT 图像"),
}
_NEVER = frozenset(
    {Kind.LOCALIZER, Kind.TRACKING, Kind.PROJECTION, Kind.RENDERING, Kind.PAGE, Kind.CAPTURE}
    | {Kind.RAW}
)


class Plane(StrEnum):
    """How the slices lie, by the description."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    OBLIQUE = "oblique"


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_BREAKS = re.compile(r"[_/:;,()<>\[\]{}|=\\#^]+")
_NOT_CORONAL = re.compile(r"\batt?en(?:uation)? ?cor(?:r\w*)?\b", re.IGNORECASE)

# Tested in this order on text whose underscores and the like have become spaces.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.PROJECTION, _words(
        r"(?<![a-z])m(?:ax|in)?[ -]?ips?(?![a-z])", r"\bave?-?ip\b", r"\bm[pi]ips?\b",
        r"max(?:imum)?[ -]?int", r"\baip\b", r"密度投影",
    )),
    (Kind.PAGE, _words(
        r"\bdose ?-?(?:report|info|page|record|summary|sr|sheet|length)", r"\bdosis", r"\brdsr\b",
        r"patient ?protocol", r"protocol ?page", r"exam ?summary", r"\bresults?\b", r"\breport",
        r"\bworksheet", r"injection ?images", r"剂量", r"报告",
    )),
    (Kind.CAPTURE, _words(
        r"screen ?-?(?:save|shot|cap|grab)", r"secondary ?capture", r"\bcaptured?\b",
        r"processed ?images", r"\bkey ?images?\b", r"presentation state", r"\bphoto", r"\bmovie",
        r"\bsaved\b", r"\bsnapshots\b", r"截图", r"关键图像",
    )),
    (Kind.RAW, _words(r"\b(?:dose|raw)\b.*\bprojections\b", r"sinogram", r"\braw ?data\b")),
    (Kind.TRACKING, _words(
        r"smart ?-?prep", r"\bbolus(?! ?agent)", r"\b(?:pre)?-?monitor(?:ing)?\b",
        r"\btiming\b", r"\btracker\b",
        r"\btest ?-?(?:dose|inj)", r"sure ?start", r"care ?bolus", r"\btracking\b", r"\blocator\b",
        r"团注", r"监测",
    )),
    (Kind.LOCALIZER, _words(
        r"topo(?:gram\w*)?\b", r"\btopogr", r"scout", r"locali[sz](?:er|or)",
        r"\bsurv+(?:iew|ey)\b",
        r"\bscano(?:gram\w*|s)?\b", r"\bpilot\b", r"\bloc\b", r"\b(?:3|three|tri)[ -]?pl(?:ane)?\b",
        r"^\W*(?:(?:ap|pa)\W+)?lat(?:eral)?\W*$", r"smart ?brain", r"\bscanview",
        # kernels that Siemens and Toshiba keep for them
        r"\btr?[2-8]0[fsu]?\b(?! ?%)", r"\bfl0\d\b", r"plane ?loc", r"定位",
    )),
    (Kind.RENDERING, _words(
        r"\bvrt?s?\b", r"volume ?render", r"\bssd\b", r"\brotat", r"\bspin(?:ning)?\b(?! ?echo)",
        r"\btumble", r"fly ?-?th", r"endoscop", r"\bcurved?\b", r"\b(?:3d|vol) ?render",
        r"容积再现", r"曲面",
    )),
    (Kind.DERIVED, _words(
        r"\bsub(?:s|tr\w*)?\b(?!.*\bsub)", r"\biodine", r"\bvnc\b", r"virtual ?non",
        r"(?:vessel|calcium)\W*suppress",
        r"\bfused\b", r"\bmono ?e", r"\d ?kev\b", r"\bperf(?:usion)?\b", r"\bc?b[fv] ?map",
        r"\bmtt\b", r"\bttp\b",
        r"(?:\b|field)maps?\b", r"(?<![a-z])e?adc(?![a-z])", r"\boverlay", r"segmentation",
        r"\bz ?eff", r"\bregistered\b", r"减影",
        r"碘图",
    )),
    (Kind.INTERVENTION, _words(
        r"biops", r"\bbx\b", r"\bprocedure\b", r"\bi-? ?(?:spiral|fluoro|sequence)", r"\bfluoro",
        r"drain(?:age)?\b", r"\bablat", r"\bneedle", r"control ?scan", r"\brfa\b", r"\bcryo",
        r"intervention", r"穿刺",
    )),
    (Kind.ATTENUATION, _words(
        r"\bct ?-?ac\b", r"\bac ?-?ct\b", r"att?en(?:uation)? ?cor", r"\bac ?for ?pet", r"\bacct\b",
        r"pet[ -]?ct\b", r"\bacir\b", r"\bctac\w*", r"\bct ?att?en", r"\bfusion(?![a-z])",
        r"衰减",
    )),
    (Kind.REFORMAT, _words(
        r"\bmpr(?![a-z])", r"re-?form(?:at\w*)?\b", r"\brfmts?\b", r"\bmpvr\b",
        r"\b(?:alpha|mpr) ?range",
        r"多平面", r"重组",
    )),
)  # fmt: skip
_PLANES: tuple[tuple[Plane, re.Pattern[str]], ...] = (
    (Plane.CORONAL, _words(r"\bcor(?:on\w*al\w*|s)?\b", r"\bcoro\b", r"\bkor\b", r"冠状")),
    (Plane.SAGITTAL, _words(r"\bsags?\b", r"\bsagg?it+\w*", r"矢状")),
    (Plane.OBLIQUE, _words(r"\bobl(?:ique)?s?\b", r"斜位")),
    (Plane.AXIAL, _words(r"\bax(?:ial\w*|s)?\b", r"\btra\b", r"\btransv", r"横断", r"轴位")),
)
_REGIONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("chest", _words(
        r"\bch\b", r"chest", r"thora", r"\btho?\b", r"lung", r"pulm", r"\bpe\b", r"胸", r"肺",
    )),
    ("abdomen", _words(
        r"\babd", r"liver", r"hepat", r"pancrea", r"spleen", r"kidney", r"renal", r"adrenal",
        r"\ba ?[-/]? ?p\b(?! ?(?:lat|topo))", r"enterog", r"urogr", r"colon", r"brzuch", r"腹",
        r"肝",
        r"胰", r"肾", r"脾",
    )),
    ("pelvis", _words(r"pel(?:v|\b)", r"bladder", r"prostat", r"miedn", r"盆", r"膀胱")),
    ("head", _words(
        r"\bhead", r"brain", r"skull", r"\bcereb", r"sinus", r"orbit", r"\biac\b", r"头", r"颅",
        r"脑",
    )),
    ("neck", _words(r"\bneck", r"larynx", r"cervical", r"carotid", r"颈")),
    ("spine", _words(r"spine", r"lumb(?:ar|al)", r"脊", r"腰椎")),
    ("limb", _words(
        r"\bknee", r"\bhip\b", r"shoulder", r"\bfemur", r"\bfoot", r"\bankle", r"\bwrist",
        r"\bleg\b",
        r"膝", r"髋", r"踝",
    )),
)  # fmt: skip
_SAMPLES = {
    "chest": ("chest", "thorax", "lung"),
    "abdomen": ("abdomen",),
    "pelvis": ("pelvis",),
    "head": ("head", "brain", "skull"),
    "neck": ("neck",),
    "spine": ("spine",),
}
"""What a pattern on a part of the body would match."""
_TRUNK = _words(r"\bc[ -]?a[ -]?p\b", r"\bt[ -]?a[ -]?p\b", r"whole ?body", r"\bwb\b", r"全身")


def plain_words(text: str) -> str:
    """A description with its underscores, brackets and the like as single spaces."""
    return " ".join(_BREAKS.sub(" ", text).split())


def kind_of(text: str) -> Kind:
    """What a description says the series is; ``SCAN`` where it says nothing of it."""
    words = plain_words(text)
    return next((kind for kind, pattern in _KINDS if pattern.search(words)), Kind.SCAN)


def plane_of(text: str) -> Plane | None:
    """The plane a description names; None: none."""
    words = _NOT_CORONAL.sub(" ", plain_words(text))
    return next((plane for plane, pattern in _PLANES if pattern.search(words)), None)


def names_part(pattern: str, text: str) -> bool:
    """Whether a text holds a pattern on parts of the body, or names one in other words.

    ``chest|lung`` holds for C/A/P too: whatever of ``chest``, ``thorax`` and ``lung`` a pattern
    matches stands for the chest in every spelling that :func:`regions_of` knows.
    """
    if re.search(pattern, text, re.IGNORECASE):
        return True
    wanted = {
        region
        for region, samples in _SAMPLES.items()
        if any(re.search(pattern, sample, re.IGNORECASE) for sample in samples)
    }
    return not wanted.isdisjoint(regions_of(text))


def regions_of(text: str) -> frozenset[str]:
    """The parts of the body that a description names: chest, abdomen, pelvis, head, neck, spine,
    limb. C/A/P and whole body are the first three."""
    words = plain_words(text)
    named = {name for name, pattern in _REGIONS if pattern.search(words)}
    return frozenset(named | {"chest", "abdomen", "pelvis"} if _TRUNK.search(words) else named)
