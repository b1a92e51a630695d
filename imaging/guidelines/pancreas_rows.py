"""Which row of the table a vessel comes to, and what could change it.

Each rule is a function of facts that are all known. Where some are not, every completion of
them is tried: the rows that come out are those that are possible, and a fact is asked for only
where another answer to it gives another category.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, get_args

from imaging.guidelines import pancreas_table as table
from imaging.guidelines.pancreas_table import Row
from imaging.guidelines.pancreas_tumour import Side, Tumour
from imaging.guidelines.pancreas_values import Degrees, Large, Liver
from imaging.pancreatic import Vessel

_DEGREES: Final[tuple[Degrees, ...]] = get_args(Degrees)
_LARGE: Final[tuple[Large, ...]] = get_args(Large)
_EITHER: Final = (False, True)


@dataclass(frozen=True)
class Answer:
    """What one question of the table comes to.

    Attributes:
        about: the vessel, or "large", "variant", "metastases".
        rows: the possible rows, the least advanced first.
        open: names of the facts that are not known and would change the category.
    """

    about: Vessel | Literal["large", "variant", "metastases"]
    rows: tuple[Row, ...]
    open: tuple[str, ...]

    @property
    def low(self) -> Row:
        """The least advanced that is possible."""
        return self.rows[0]

    @property
    def high(self) -> Row:
        """The most advanced that is possible."""
        return self.rows[-1]


def sma(degrees: Degrees, branch: bool) -> Row:
    """The superior mesenteric artery; ``branch``: its first jejunal branch is touched."""
    if degrees == "over-180":
        return table.SMA_ENCASED
    if degrees == "up-to-180":
        return table.SMA_ABUTTED
    return table.SMA_BRANCH if branch else table.ARTERIES_FREE


def coeliac(side: Side, degrees: Degrees, large: Large, gda: bool) -> Row:
    """The coeliac axis; with it aorta and gastroduodenal artery decide."""
    if degrees == "none":
        return table.ARTERIES_FREE
    if side == "body-tail" and large == "aorta":
        return table.COELIAC_AORTA
    if degrees == "up-to-180":
        return table.COELIAC_ABUTTED
    if side == "body-tail" and not gda:
        return table.COELIAC_APPLEBY
    return table.COELIAC_ENCASED


def cha(degrees: Degrees, extends: bool, reconstructible: bool) -> Row:
    """The common hepatic artery, of whatever degree the contact is."""
    if degrees == "none":
        return table.ARTERIES_FREE
    return table.CHA_SHORT if reconstructible and not extends else table.CHA_LONG


def vein(
    degrees: Degrees, irregular: bool, blocked: bool, reconstructible: bool, branch: bool
) -> Row:
    """SMV or portal vein; ``branch``: the first draining jejunal vein is touched (SMV only)."""
    if degrees == "over-180":
        row = table.VEIN_ENCASED
    elif blocked:
        row = table.VEIN_BLOCKED
    elif irregular and degrees == "up-to-180":
        row = table.VEIN_IRREGULAR
    elif branch:
        row = table.VEIN_BRANCH
    else:
        return table.VEINS_FREE if degrees == "none" else table.VEIN_SMOOTH
    return row if reconstructible else table.VEIN_LOST


def large_vessels(large: Large) -> Row:
    """Aorta and inferior vena cava."""
    if large == "aorta":
        return table.AORTA
    return table.IVC if large == "ivc" else table.ARTERIES_FREE


def variant(degrees: Degrees) -> Row:
    """A replaced or accessory hepatic artery."""
    return table.ARTERIES_FREE if degrees == "none" else table.VARIANT_ARTERY


def metastases(liver: bool, nodes: bool, peritoneum: bool, elsewhere: bool) -> Row | None:
    """Whether there is a distant metastasis; None: there is none, and the vessels decide."""
    return table.METASTATIC if liver or nodes or peritoneum or elsewhere else None


_NOWHERE: Final = table.ARTERIES_FREE
"""Stands for the lowest rank where no metastasis is there."""


def answers(tumour: Tumour) -> tuple[Answer, ...]:
    """Every question of the table, answered as far as it is known."""
    reading = tumour.reading
    large = reading.aorta_or_ivc_contact
    found: list[Answer] = []
    for which in (Vessel.SMA, Vessel.COELIAC, Vessel.CHA, Vessel.SMV, Vessel.PV):
        state = tumour.vessel(which)
        degrees = (None, state.bands)
        # No row asks for the branches: they count where somebody says so.
        branch = (bool(state.extends_beyond), _EITHER)
        if which is Vessel.SMA:
            found.append(_explored(which, sma, degrees=degrees, branch=branch))
        elif which is Vessel.COELIAC:
            side = (tumour.sides[0] if len(tumour.sides) == 1 else None, tumour.sides)
            found.append(
                _explored(
                    which, coeliac, side=side, degrees=degrees, large=(large, _LARGE),
                    gda=(reading.gda_contact, _EITHER),
                )
            )  # fmt: skip
        elif which is Vessel.CHA:
            found.append(
                _explored(
                    which, cha, degrees=degrees, extends=(state.extends_beyond, _EITHER),
                    reconstructible=(state.reconstructible, _EITHER),
                )
            )  # fmt: skip
        else:
            found.append(
                _explored(
                    which, vein, degrees=degrees, irregular=(state.irregular, _EITHER),
                    blocked=(state.blocked, _EITHER),
                    reconstructible=(state.reconstructible, _EITHER),
                    branch=branch if which is Vessel.SMV else (False, _EITHER),
                )
            )  # fmt: skip
    found.append(_explored("large", large_vessels, large=(large, _LARGE)))
    found.append(_explored("variant", variant, degrees=(reading.variant_artery_contact, _DEGREES)))
    found.append(
        _explored(
            "metastases",
            lambda **facts: metastases(**facts) or _NOWHERE,
            liver=(_LIVER[reading.liver_lesions], _EITHER),
            nodes=(reading.distant_nodes, _EITHER),
            peritoneum=(reading.peritoneal, _EITHER),
            elsewhere=(reading.other_metastases, _EITHER),
        )
    )
    return tuple(found)


_LIVER: Final[Mapping[Liver | None, bool | None]] = {
    None: None,
    "none": False,
    "likely-benign": False,
    "indeterminate": None,
    "suspicious": True,
}


def _explored(
    about: Vessel | Literal["large", "variant", "metastases"],
    rule: Callable[..., Row],
    **facts: tuple[Any, Sequence[Any]],
) -> Answer:
    """Every row that the rule can come to.

    Args:
        about: what the rule is about.
        rule: takes the facts by name, all of them known.
        facts: name to (value or None, every value it may have).
    """
    choices = {n: domain if value is None else (value,) for n, (value, domain) in facts.items()}
    made = {
        values: rule(**dict(zip(choices, values, strict=True)))
        for values in product(*choices.values())
    }
    rows = sorted(set(made.values()), key=lambda row: (row.rank, row.key))
    matters = []
    for place, name in enumerate(choices):
        ranks: dict[tuple[Any, ...], set[int]] = {}
        for values, row in made.items():
            rest = (*values[:place], *values[place + 1 :])
            ranks.setdefault(rest, set()).add(row.rank)
        if any(len(each) > 1 for each in ranks.values()):
            matters.append(name)
    return Answer(about, tuple(rows), tuple(matters))
