"""One PatientID is not one patient: what else has to agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from pacs_bridge.priors.person import Person, differs

ZHANG = Person("P1", "H1", "ZHANG^SAN=张^三", "19700102", "M")


def test_a_header_says_who() -> None:
    header = Dataset()
    header.PatientID, header.PatientName = " P1 ", "ZHANG^SAN=张^三"
    header.PatientBirthDate, header.PatientSex = "19700102", "m"
    assert Person.of(header) == replace(ZHANG, issuer="")
    assert Person.of(Dataset()) == Person("")


def test_the_same_person_is_the_same() -> None:
    assert differs(ZHANG, ZHANG) is None
    assert differs(ZHANG, Person("P1")) is None, "what is not said decides nothing"
    assert differs(Person("P1"), ZHANG) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"patient_id": "P2"}, "PatientID"),
        ({"patient_id": "p1"}, "PatientID"),
        ({"issuer": "H2"}, "IssuerOfPatientID"),
        ({"birth_date": "19700103"}, "PatientBirthDate"),
        ({"sex": "F"}, "PatientSex"),
        ({"name": "LI^SI=李^四"}, "PatientName"),
    ],
)
def test_each_difference_is_named_and_no_value_is(change: dict[str, str], named: str) -> None:
    for one, other in ((ZHANG, replace(ZHANG, **change)), (replace(ZHANG, **change), ZHANG)):
        reason = differs(one, other)
        assert reason is not None
        assert named in reason.en and named in reason.zh
        assert next(iter(change.values())) not in reason.en


def test_no_patient_id_is_nobody() -> None:
    reason = differs(Person(""), Person(""))
    assert reason is not None and "no PatientID" in reason.en


def test_chosen_by_a_person_the_id_may_differ_and_nothing_else() -> None:
    assert differs(ZHANG, replace(ZHANG, patient_id="P2", issuer="H2"), by_id=False) is None
    reason = differs(ZHANG, replace(ZHANG, patient_id="P2", sex="F"), by_id=False)
    assert reason is not None and "PatientSex" in reason.en


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Zhang^San", "ZHANG^SAN", True),
        ("Zhang^San", "San^Zhang", True),
        ("Zhang^San", "ZHANGSAN", True),
        ("Zhang^San", "ZHANG SAN", True),
        ("Zhang^San=张^三", "=张^三", True),
        ("张^三", "张三", True),
        ("Müller^Jörg", "MULLER^JORG", True),
        ("Smith^John^Paul", "Smith^John", True),
        ("Meier-Huber^Anna", "MeierHuber^Anna", True),
        ("Zhang^San", "", True),
        ("", "", True),
        ("Zhang^San", "Zhang^Wei", False),
        ("Zhang^San", "Zhang", False),
        ("Smith^Anna", "Jones^Anna", False),
        ("Zhang^San", "张^三", False),
        ("Zhang^San", "Li^Si", False),
    ],
)
def test_names(one: str, other: str, same: bool) -> None:
    mine, theirs = Person("P1", name=one), Person("P1", name=other)
    assert (differs(mine, theirs) is None) is same
    assert (differs(theirs, mine) is None) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Smith^Anna", "Jones^Anna", True),
        ("Zhang^San", "张^三", True),
        ("Zhang^San", "Li^Si", False),
    ],
)
def test_a_birth_date_tells_a_name_that_changed(one: str, other: str, same: bool) -> None:
    mine = Person("P1", name=one, birth_date="19700102")
    theirs = replace(mine, name=other)
    assert (differs(mine, theirs) is None) is same
