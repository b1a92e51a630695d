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
from imaging.patterns import holds, one_of


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
    """Detector data, or what calibrates the detector: no image of the patient."""
    DERIVED = "derived"
    """Voxels that were computed: subtraction, enhancement, iodine, suppressed vessels, fusion."""
    REFORMAT = "reformat"
    """Resampled from a scan."""
    INTERVENTION = "intervention"
    """Made to guide a needle: a few slices around it, with it."""
    ATTENUATION = "attenuation"
    """The CT of a PET/CT: low dose, free breathing."""
    EXPIRATION = "expiration"
    """Made to show trapped air, beside the scan in inspiration; nodules go under in it."""
    PRONE = "prone"
    """Lying on the front or the side, beside the scan on the back."""

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
    Kind.EXPIRATION: ("scan in expiration", "呼气相扫描"),
    Kind.PRONE: ("prone or lateral scan", "俯卧位或侧卧位扫描"),
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


_BREAKS = re.compile(r"[_/:;,()<>\[\]{}|=\\#^]+")
_NOT_CORONAL = re.compile(r"\batt?en(?:uation)? ?cor(?:r\w*)?\b", re.IGNORECASE)

# Tested in this order on text whose underscores and the like have become spaces.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.PROJECTION, one_of(
        r"(?<![a-z])m(?:ax|in)?[ -]?ips?(?![a-z])", r"\bave?-?ip\b", r"\bm[pi]ips?\b",
        r"max(?:imum)?[ -]?int", r"\baip\b", r"密度投影",
    )),
    (Kind.PAGE, one_of(
        r"\bdose ?-?(?:report|info|page|record|summary|sr|sheet|length)", r"\bdosis", r"\brdsr\b",
        r"patient ?protocol", r"protocol ?page", r"exam ?summary", r"\bresults?\b", r"\breport",
        r"\bworksheet", r"injection ?images", r"\bsummary ?series", r"\bdetect ?index",
        r"\bcad\b.*\bcandidates", r"\bclear ?read ?ct$", r"剂量", r"报告",
    )),
    (Kind.CAPTURE, one_of(
        r"screen ?-?(?:save|shot|cap|grab)", r"secondary ?capture", r"\bcaptured?\b",
        r"processed ?images", r"\bkey ?images?\b", r"presentation state", r"\bphoto", r"\bmovie",
        r"\bsaved\b", r"\bsnapshots\b", r"\bvi ?snapshot", r"\bpos?disp\b", r"截图", r"关键图像",
    )),
    (Kind.RAW, one_of(
        r"\b(?:dose|raw)\b.*\bprojections\b", r"sinogram", r"\braw ?data\b",
        r"\bcalibration\b", r"\basset ?cal\b",
    )),
    (Kind.TRACKING, one_of(
        r"smart ?-?prep", r"\bbolus(?! ?agent)", r"\b(?:pre)?-?monitor(?:ing)?\b",
        r"\btiming\b", r"\btracker\b",
        r"\btest ?-?(?:dose|inj|bolus)", r"sure ?start", r"care ?bolus", r"\btracking\b",
        r"\blocator\b", r"团注", r"监测",
    )),
    (Kind.LOCALIZER, one_of(
        r"topo(?:gram\w*)?\b", r"\btopogr", r"scout", r"locali[sz](?:er|or)",
        r"\bsurv+(?:iew|ey)\b",
        r"\bscano(?:gram\w*|s)?\b", r"\bpilot\b", r"\bloc\b", r"\b(?:3|three|tri)[ -]?pl(?:ane)?\b",
        r"^\W*(?:(?:ap|pa)\W+)?lat(?:eral)?\W*$", r"smart ?brain", r"\bscanview",
        # kernels that Siemens and Toshiba keep for them
        r"\btr?[2-8]0[fsu]?\b(?! ?%)", r"\bfl0\d\b", r"plane ?loc", r"定位",
    )),
    (Kind.RENDERING, one_of(
        r"\bvrt?s?\d?\b", r"volume ?render", r"\bssd\b", r"\brotat", r"\bspin(?:ning)?\b(?! ?echo)",
        r"\btumble", r"fly ?-?th", r"endoscop", r"\bcurved?\b", r"\b(?:3d|vol) ?render",
        r"容积再现", r"曲面",
    )),
    (Kind.DERIVED, one_of(
        r"\bsub(?:s|tr\w*)?\b(?!.*\bsub)", r"\biodine", r"\bvnc\b", r"virtual ?non",
        r"(?:vessel|calcium)\W*suppress",
        r"\bfused\b", r"\bmono ?e", r"\d ?kev\b", r"\bperf(?:usion)?\b", r"\bc?b[fv] ?map",
        r"\bmtt\b", r"\bttp\b",
        r"(?:\b|field)maps?\b", r"(?<![a-z])e?adc(?![a-z])", r"\boverlay", r"segmentation",
        r"\bz ?eff", r"\bregistered\b", r"^aligned\b", r"\baligned ?ct", r"\bresampled\b",
        # MR: diffusion that was computed, enhancement over time, sums of two series (GE)
        r"apparent ?diff", r"\bdiff.*\bexp$", r"calc ?b ?val", r"\bdwi ?mask\b",
        r"\bslope\b", r"\bpei\b", r"\b(?:ser|pe[1-9])$", r"\b\d{3,} \d+ [\d.]+ ?[-+] ?\d{3,} \d",
        r"\bprocessed\b", r"减影", r"碘图",
    )),
    (Kind.INTERVENTION, one_of(
        r"biops", r"\bbx\b", r"\bprocedure\b", r"\bi-? ?(?:spiral|fluoro|sequence)", r"\bfluoro",
        r"drain(?:age)?\b", r"\bablat", r"\bneedle", r"control ?scan", r"\brfa\b", r"\bcryo",
        r"intervention", r"\bcare ?vis", r"穿刺",
    )),
    (Kind.ATTENUATION, one_of(
        r"\bct ?-?ac\b", r"\bac ?-?ct\b", r"att?en(?:uation)? ?cor", r"\bac ?for ?pet", r"\bacct\b",
        r"pet[ -]?ct\b", r"\bacir\b", r"\bctac\w*", r"\bct ?att?en", r"\bfusion(?![a-z])",
        r"衰减",
    )),
    (Kind.REFORMAT, one_of(
        r"\bmpr(?![a-z])", r"re-?form(?:at\w*)?\b", r"\brfmts?\b", r"\bmpvr\b",
        r"\b(?:alpha|mpr) ?range",
        r"多平面", r"重组",
    )),
    (Kind.EXPIRATION, one_of(r"\bexpir", r"\bexp\b", r"呼气")),
    (Kind.PRONE, one_of(r"\bprone\b", r"\bdecub", r"俯卧", r"侧卧")),
)  # fmt: skip
_PLANES: tuple[tuple[Plane, re.Pattern[str]], ...] = (
    (Plane.CORONAL, one_of(r"\bcor(?:on\w*al\w*|s)?\b", r"\bcoro\b", r"\bkor\b", r"冠状")),
    (Plane.SAGITTAL, one_of(r"\bsags?\b", r"\bsagg?it+\w*", r"矢状")),
    (Plane.OBLIQUE, one_of(r"\bobl(?:ique)?s?\b", r"斜位")),
    (Plane.AXIAL, one_of(r"\bax(?:ial\w*|s)?\b", r"\btra\b", r"\btransv", r"横断", r"轴位")),
)
_REGIONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("chest", one_of(
        r"\bch\b", r"chest", r"thora", r"\btho?\b", r"lung", r"pulm", r"\bpe\b", r"mediast",
        r"胸", r"肺", r"纵隔",
    )),
    ("abdomen", one_of(
        r"\babd", r"liver", r"hepat", r"\bpanc", r"spleen", r"kidney", r"renal", r"adrenal",
        r"\bkub\b", r"\bstones?\b",
        r"\ba ?[-/]? ?p\b(?! ?(?:lat|topo))", r"enterog", r"urogr", r"colon", r"brzuch", r"腹",
        r"肝",
        r"胰", r"肾", r"脾",
    )),
    ("pelvis", one_of(r"pel(?:v|\b)", r"bladder", r"prostat", r"miedn", r"盆", r"膀胱")),
    ("head", one_of(
        r"\bhead", r"brain", r"skull", r"\bcereb", r"sinus", r"orbit", r"\biac\b", r"头", r"颅",
        r"脑",
    )),
    ("neck", one_of(r"\bneck", r"larynx", r"cervical", r"carotid", r"颈")),
    ("spine", one_of(r"spine", r"lumb(?:ar|al)", r"脊", r"腰椎")),
    ("limb", one_of(
        r"\bknee", r"\bhip\b", r"shoulder", r"\bfemur", r"\bfoot", r"\bankle", r"\bwrist",
        r"\blegs?\b", r"\bthigh", r"\belbow", r"\bextremit", r"\btibia",
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
_TRUNK = one_of(r"\bc[ -]?a[ -]?p\b", r"\bt[ -]?a[ -]?p\b", r"whole ?body", r"\bwb\b", r"全身")


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
    if holds(pattern, text):
        return True
    wanted = {
        region
        for region, samples in _SAMPLES.items()
        if any(holds(pattern, sample) for sample in samples)
    }
    return not wanted.isdisjoint(regions_of(text))


def regions_of(text: str) -> frozenset[str]:
    """The parts of the body that a description names: chest, abdomen, pelvis, head, neck, spine,
    limb. C/A/P and whole body are the first three."""
    words = plain_words(text)
    named = {name for name, pattern in _REGIONS if pattern.search(words)}
    return frozenset(named | {"chest", "abdomen", "pelvis"} if _TRUNK.search(words) else named)
