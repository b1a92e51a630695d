"""What can never happen to the NCCN's category, whatever the facts: random and swept cases."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from imaging.guidelines.pancreas_table import ORDER
from imaging.guidelines.pancreas_values import PancreasReading, VesselReading
from imaging.guidelines.values import Guidance
from imaging.pancreatic import Part, Vessel

from .made_pancreas import free, lesion, pancreatic, vessel
from .made_pancreas import resectability_of as of

VESSEL_FACTS: dict[str, tuple[Any, ...]] = {
    "degrees": ("none", "up-to-180", "over-180"),
    "contour_irregular": (False, True),
    "thrombus": (False, True),
    "reconstructible": (True, False),
    "extends_beyond": (False, True),
}
CASE_FACTS: dict[str, tuple[Any, ...]] = {
    "gda_contact": (False, True),
    "variant_artery_contact": ("none", "up-to-180", "over-180"),
    "aorta_or_ivc_contact": ("none", "ivc", "aorta"),
    "liver_lesions": ("none", "suspicious"),
    "distant_nodes": (False, True),
    "peritoneal": (False, True),
    "other_metastases": (False, True),
}
"""Every fact that decides, its answers from the mildest on."""
ALL_FACTS: list[tuple[Any, str, tuple[Any, ...]]] = [
    *((which, *fact) for which in Vessel for fact in VESSEL_FACTS.items()),
    *((None, *fact) for fact in CASE_FACTS.items()),
]
NOT_ASKED = ("extends_beyond",)
"""Of SMA and SMV no row asks for the branch: not said, it counts as free (see the module)."""


def case(facts: dict[tuple[Any, str], Any], part: Part) -> Guidance:
    vessels = tuple(
        VesselReading(vessel=which, **{n: facts[which, n] for n in VESSEL_FACTS})
        for which in Vessel
    )
    return of(
        PancreasReading(vessels=vessels, part=part, **{n: facts[None, n] for n in CASE_FACTS})
    )


def drawn(chance: random.Random, mild: float) -> dict[tuple[Any, str], Any]:
    """Answers to every fact, each the mildest with the given chance."""
    return {
        (which, name): domain[0] if chance.random() < mild else chance.choice(domain)
        for which, name, domain in ALL_FACTS
    }


@pytest.mark.parametrize("part", [Part.HEAD, Part.NECK, Part.BODY])
def test_more_contact_never_gives_a_lower_category(part: Part) -> None:
    """From random cases, every single fact is made worse by one step."""
    chance = random.Random(6)
    seen = set()
    for _ in range(12):
        facts = drawn(chance, mild=0.85)
        before = case(facts, part).category
        seen.add(before)
        for which, name, domain in ALL_FACTS:
            step = domain.index(facts[which, name]) + 1
            if step == len(domain):
                continue
            after = case({**facts, (which, name): domain[step]}, part).category
            if before is not None and after is not None:
                assert ORDER.index(after) >= ORDER.index(before), (which, name)  # type: ignore[arg-type]
    assert len(seen) > 2


def test_an_assigned_category_holds_however_the_open_facts_turn_out() -> None:
    """Facts are left open at random; all their completions must agree with what was said."""
    chance = random.Random(7)
    assigned = left = 0
    for _ in range(60):
        facts = drawn(chance, mild=0.8)
        can_open = [(w, n, d) for w, n, d in ALL_FACTS if n not in NOT_ASKED or w is Vessel.CHA]
        opened = chance.sample(can_open, 3)
        partly = {**facts, **{(which, name): None for which, name, _ in opened}}
        said = case(partly, Part.BODY)
        complete = {
            case(
                {**facts, **{(w, n): v for (w, n, _), v in zip(opened, values, strict=True)}},
                Part.BODY,
            ).category
            for values in product(*(domain for _, _, domain in opened))
        }
        assert None not in complete
        if said.category is None:
            left += 1
            assert said.missing
            assert len(complete) > 1
        else:
            assigned += 1
            assert complete == {said.category}
    assert assigned > 10 and left > 10


def test_more_measured_contact_never_gives_a_lower_category() -> None:
    """Every degree of every vessel, all else said to be free."""
    for which in Vessel:
        given = []
        reading = free(vessel(which, contour_irregular=False, thrombus=False,
                              extends_beyond=False, reconstructible=True))  # fmt: skip
        for degrees in range(0, 361, 5):
            said = of(reading, pancreatic(1, lesion({which: float(degrees)})))
            if said.category is not None:
                given.append(ORDER.index(said.category))  # type: ignore[arg-type]
        assert given == sorted(given) and len(set(given)) > 1
