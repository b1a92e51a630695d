"""Which row of Lung-RADS v2022 applies to one lesion, and which could where facts are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from imaging.guidelines import lung_rads_table as table
from imaging.guidelines.assessment import TYPE_TEXT, joined, nodule_name
from imaging.guidelines.follow_up import ANY_TIMING, TIMING_TEXT, Timing
from imaging.guidelines.lesion import Airway, Cyst, Lesion
from imaging.guidelines.lung_rads_table import ORDER, Row, Size
from imaging.guidelines.rounding import to_tenth
from imaging.guidelines.values import LungRads
from imaging.language import Text
from imaging.nodule import NoduleType

RAISED_BY_FEATURES: Final = ("3", "4A", "4B")
"""Categories that suspicious features make 4X."""
SIX_MONTHS_DAYS: Final = 150
THREE_MONTHS_DAYS: Final = 75
"""From when a follow-up counts as the 6- or 3-month one; the slack for early dates is ours."""

EARLIER_CT_UNKNOWN: Final = Text(
    en="whether an earlier chest CT exists is not known", zh="是否有既往胸部 CT 不明"
)
PRIOR_UNKNOWN: Final = Text(
    en="the Lung-RADS category of the previous screening examination is not known",
    zh="上次筛查的 Lung-RADS 分类不明",
)


@dataclass(frozen=True)
class Outcome:
    """A category that a lesion has, or would have under assumptions.

    Attributes:
        category: with what suspicious features make of the row's own.
        row: of the table.
        raised: the features that made it 4X.
        assumed: pairs of what is not known, as a clause, and what was assumed of it.
    """

    category: LungRads
    row: Row
    raised: tuple[Text, ...] = ()
    assumed: tuple[tuple[Text, Text], ...] = ()

    @property
    def rank(self) -> int:
        """Its place in the order of suspicion."""
        return ORDER.index(self.category)


def outcomes(lesion: Lesion, prior: LungRads | None) -> tuple[Outcome, ...]:
    """Every category a lesion can have, given what is not known; one where all is known.

    Args:
        lesion: what is known of it.
        prior: category of the previous screening examination; it is taken for the lesion's own
            where the lesion was there (a lesion can't have been more suspicious).
    """
    found: dict[Outcome, None] = {}
    for known, timing, assumed in _completed(lesion):
        for before, also in _priors(known, timing, prior):
            row = row_of(known, timing, before)
            raised = _features(known, row)
            category: LungRads = "4X" if raised else row.category
            found[Outcome(category, row, raised, (*assumed, *also))] = None
    return tuple(found)


def row_of(lesion: Lesion, timing: Timing, prior: LungRads | None) -> Row:
    """The row of a lesion of which all is known.

    Args:
        lesion: with its type, size and, where part-solid, the size of its solid part.
        timing: how it stands in time.
        prior: its category at the previous screening examination; only a stable one needs it.

    Raises:
        ValueError: type or size is not known.
    """
    if lesion.cyst is not None:
        return _cyst_row(lesion, lesion.cyst, timing, prior)
    if lesion.airway is Airway.PROXIMAL:
        first = timing in (Timing.BASELINE, Timing.NEW)
        return table.AIRWAY_FIRST if first else table.AIRWAY_PERSISTENT
    growing = timing in (Timing.GROWING, Timing.SLOW)
    if lesion.airway is Airway.SUBSEGMENTAL and not growing:
        return table.AIRWAY_SUBSEGMENTAL
    # A growing subsegmental nodule has no row of its own; it is rated as a solid one.
    kind = NoduleType.SOLID if lesion.airway else lesion.type
    if kind is None:
        raise ValueError("A lesion without a type; give one, or ask for its outcomes().")
    if lesion.benign:
        return table.BENIGN
    size = Size(lesion.mean_mm, lesion.volume_mm3)
    if kind is NoduleType.GROUND_GLASS:
        return _ground_glass_row(size, timing)
    if timing is Timing.SLOW:
        return table.SLOW_GROWTH
    if kind is NoduleType.SOLID and _juxtapleural(lesion) and not growing and size.below(10):
        return table.JUXTAPLEURAL
    if timing is Timing.STABLE:
        stepped = _stepped(lesion, prior)
        if stepped is None:
            return _sized(lesion, kind, Timing.BASELINE)
        if _crossed(lesion, kind):
            # "Size thresholds apply to nodules ... that enlarge", growth or not.
            by_size = _sized(lesion, kind, Timing.BASELINE)
            return max(stepped, by_size, key=lambda row: ORDER.index(row.category))
        return stepped
    return _sized(lesion, kind, timing)


def may_be_juxtapleural(lesion: Lesion) -> bool:
    """Whether only the shape, which a reader must judge, keeps it from the juxtapleural row."""
    return (
        lesion.type is NoduleType.SOLID
        and lesion.benign_shape is None
        and bool(lesion.on_pleura and lesion.smooth)
        and (lesion.mean_mm is not None or lesion.volume_mm3 is not None)
        and Size(lesion.mean_mm, lesion.volume_mm3).below(10)
    )


def solid_of_8mm(lesion: Lesion) -> bool:
    """Whether it is a solid nodule, or has a solid part, of 8 mm or more."""
    size = Size(lesion.mean_mm, lesion.volume_mm3)
    if lesion.type is NoduleType.PART_SOLID:
        size = Size(lesion.solid_mm, lesion.solid_volume_mm3)
    elif lesion.type is not NoduleType.SOLID:
        return False
    return (size.mean_mm is not None or size.volume_mm3 is not None) and not size.below(8)


def _sized(lesion: Lesion, kind: NoduleType, timing: Timing) -> Row:
    size = Size(lesion.mean_mm, lesion.volume_mm3)
    if kind is NoduleType.SOLID:
        rows = {
            Timing.BASELINE: table.SOLID_BASELINE,
            Timing.NEW: table.SOLID_NEW,
            Timing.GROWING: table.SOLID_GROWING,
        }[timing]
        return _first(rows, size)
    if size.below(6) and timing is Timing.BASELINE:
        return table.PART_SOLID_SMALL
    if size.below(6) and timing is Timing.NEW:
        return table.PART_SOLID_SMALL_NEW
    solid = Size(lesion.solid_mm, lesion.solid_volume_mm3)
    baseline = timing is Timing.BASELINE
    return _first(table.PART_SOLID_BASELINE if baseline else table.PART_SOLID_CHANGED, solid)


def _first(rows: Sequence[tuple[int | None, Row]], size: Size) -> Row:
    return next(row for limit, row in rows if limit is None or size.below(limit))


def _ground_glass_row(size: Size, timing: Timing) -> Row:
    if size.below(30):
        return table.GROUND_GLASS
    if timing in (Timing.STABLE, Timing.SLOW):
        return table.GROUND_GLASS_STABLE
    return table.GROUND_GLASS_GROWN if timing is Timing.GROWING else table.GROUND_GLASS_LARGE


def _cyst_row(lesion: Lesion, cyst: Cyst, timing: Timing, prior: LungRads | None) -> Row:
    rows = {
        Cyst.THIN_UNILOCULAR: table.THIN_CYST,
        Cyst.THICK: table.CYST_THICK,
        Cyst.MULTILOCULAR: table.CYST_MULTILOCULAR,
        Cyst.BECAME_MULTILOCULAR: table.CYST_BECAME,
        Cyst.THICK_CAVITY_GREW: table.CYST_CAVITY,
        Cyst.THICK_WALL_GREW: table.CYST_WALL,
        Cyst.MULTILOCULAR_GREW: table.CYST_GREW,
        Cyst.MULTILOCULAR_DENSER: table.CYST_DENSER,
    }
    if timing is Timing.STABLE and cyst in (Cyst.THICK, Cyst.MULTILOCULAR):
        return _stepped(lesion, prior) or rows[cyst]
    return rows[cyst]


def _juxtapleural(lesion: Lesion) -> bool:
    return bool(lesion.on_pleura and lesion.smooth and lesion.benign_shape)


def _stepped(lesion: Lesion, prior: LungRads | None) -> Row | None:
    """Stepped management of a stable lesion; None where the size alone decides."""
    days = lesion.days
    if prior in (None, "0"):
        return None
    if prior == "3":
        early = days is not None and days < SIX_MONTHS_DAYS
        return table.STEP_TOO_EARLY_3 if early else table.STEP_FROM_3
    if prior == "4A":
        early = days is not None and days < THREE_MONTHS_DAYS
        return table.STEP_TOO_EARLY_4A if early else table.STEP_FROM_4A
    return {"4B": table.STAYS_4B, "4X": table.STAYS_4X}.get(prior, table.STAYS_2)


def _crossed(lesion: Lesion, kind: NoduleType) -> bool:
    """Whether it passed a size limit since the earlier examination."""
    if lesion.prior_mm is None or lesion.prior_now_mm is None:
        return False
    limits = (6, 8, 15) if kind is NoduleType.SOLID else (6,)
    then, now = to_tenth(lesion.prior_mm), to_tenth(lesion.prior_now_mm)
    return any(then < limit <= now for limit in limits)


def _features(lesion: Lesion, row: Row) -> tuple[Text, ...]:
    """What makes a category 3 or 4 lesion 4X, of what is measured surely enough.

    A spiculated margin is not: the measure calls too many, so the reader has to confirm it.
    """
    if row.category not in RAISED_BY_FEATURES:
        return ()
    found = []
    if lesion.doubled_in_a_year and lesion.type is NoduleType.GROUND_GLASS:
        found.append(
            Text(
                en="ground-glass nodule that doubled its volume within a year",
                zh="磨玻璃结节体积一年内倍增",
            )
        )
    return tuple(found)


Assumed = tuple[tuple[Text, Text], ...]


def _completed(lesion: Lesion) -> Iterator[tuple[Lesion, Timing, Assumed]]:
    """The lesion with every combination of what is not known filled in."""
    name = nodule_name(lesion)
    typed = lesion.airway is not None or lesion.cyst is not None
    kinds = (lesion.type,) if typed or lesion.type else tuple(NoduleType)
    sized = lesion.cyst is not None or lesion.mean_mm is not None or lesion.volume_mm3 is not None
    sizes = (None,) if sized else ((3.0, "< 4"), (5.0, "4 - 6"), (7.0, "6 - 8"), (9.0, "8 - 15"),
                                   (20.0, "15 - 30"), (35.0, ">= 30"))  # fmt: skip
    for kind, size, timing in product(kinds, sizes, lesion.timings):
        assumed: list[tuple[Text, Text]] = []
        known = lesion
        if kind is not lesion.type and kind is not None:
            known = known.model_copy(update={"type": kind})
            unknown = Text(
                en=f"{name.en} was not characterised: its type is not known",
                zh=f"{name.zh}未作定性，类型不明",
            )
            assumed.append((unknown, TYPE_TEXT[kind]))
        if size is not None:
            known = known.model_copy(update={"mean_mm": size[0]})
            unknown = Text(en=f"the size of {name.en} is not known", zh=f"{name.zh}大小不明")
            assumed.append((unknown, Text(en=f"{size[1]} mm", zh=f"{size[1]} mm")))
        if len(lesion.timings) > 1:
            assumed.append((_timing_unknown(lesion), TIMING_TEXT[timing]))
        for core, also in _cores(known, name):
            full = known if core is None else known.model_copy(update={"solid_mm": core})
            yield full, timing, (*assumed, *also)


def _cores(lesion: Lesion, name: Text) -> Iterator[tuple[float | None, Assumed]]:
    """Sizes that an unknown solid part can have; it is never larger than the nodule."""
    known = lesion.solid_mm is not None or lesion.solid_volume_mm3 is not None
    if known or lesion.type is not NoduleType.PART_SOLID or lesion.cyst or lesion.airway:
        yield None, ()
        return
    unknown = Text(
        en=f"the size of the solid part of {name.en} is not known", zh=f"{name.zh}实性成分大小不明"
    )
    size = Size(lesion.mean_mm, lesion.volume_mm3)
    for core, least, range_ in ((3.0, None, "< 4"), (5.0, 4, "4 - 6"), (7.0, 6, "6 - 8"),
                                (9.0, 8, ">= 8")):  # fmt: skip
        if least is None or not size.below(least):
            text = Text(en=f"solid part {range_} mm", zh=f"实性成分 {range_} mm")
            yield core, ((unknown, text),)


def _timing_unknown(lesion: Lesion) -> Text:
    if set(lesion.timings) == set(ANY_TIMING):
        return EARLIER_CT_UNKNOWN
    name = nodule_name(lesion)
    told = lesion.timing_told or joined((TIMING_TEXT[t] for t in lesion.timings), " or ", "或")
    return Text(
        en=f"how {name.en} changed is not sure ({told.en})",
        zh=f"{name.zh}的变化不能确定（{told.zh}）",
    )


def _priors(
    lesion: Lesion, timing: Timing, prior: LungRads | None
) -> Iterator[tuple[LungRads | None, Assumed]]:
    """The categories that a stable lesion can have had."""
    fixed = lesion.benign or lesion.airway is not None or lesion.type is NoduleType.GROUND_GLASS
    if timing is not Timing.STABLE or prior is not None or fixed:
        yield prior, ()
        return
    solid = Size(lesion.mean_mm, lesion.volume_mm3)
    small = False
    if lesion.cyst is None:
        if lesion.type is NoduleType.PART_SOLID:
            small = Size(lesion.solid_mm, lesion.solid_volume_mm3).below(4)
        else:
            # Under 8 mm no row is above 4A, whether at baseline, new or growing.
            small = solid.below(8)
    candidates: tuple[LungRads, ...] = ("2", "3", "4A") if small else ("2", "3", "4A", "4B")
    for before in candidates:
        yield before, ((PRIOR_UNKNOWN, _was(before)),)


def _was(prior: str) -> Text:
    return Text(en=f"previously {prior}", zh=f"上次为 {prior} 类")
