"""Whether two studies are of one patient: one PatientID is not enough.

Hospitals give out the same PatientID to different people, and images of several hospitals meet
here. So everything else that both studies say of the patient must agree: issuer, birth date,
sex, name. What one of them leaves out decides nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from pydicom.dataset import Dataset

from imaging.language import Text

_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Person:
    """What a study says of its patient; empty where it says nothing.

    Attributes:
        patient_id: PatientID (0010,0020).
        issuer: IssuerOfPatientID (0010,0021).
        name: PatientName (0010,0010), all component groups.
        birth_date: PatientBirthDate (0010,0030), DA.
        sex: PatientSex (0010,0040).
    """

    patient_id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""

    @classmethod
    def of(cls, header: Dataset) -> Person:
        """From an image's header, or from a match of a query."""

        def text(keyword: str) -> str:
            return str(header.get(keyword) or "").strip()

        return cls(
            text("PatientID"),
            text("IssuerOfPatientID"),
            text("PatientName"),
            text("PatientBirthDate").replace(".", "").replace("-", ""),
            text("PatientSex").upper(),
        )


def differs(one: Person, other: Person, *, by_id: bool = True) -> Text | None:
    """Why two studies are not taken for one patient's; None: they are.

    The reason names the attribute and no value: the other may be another patient's.

    Args:
        one: of the current study.
        other: of the earlier one.
        by_id: PatientID and its issuer must agree too; False where a person chose the study.
    """
    if by_id and not one.patient_id:
        return Text(en="the study has no PatientID", zh="该检查没有 PatientID")
    if by_id and one.patient_id != other.patient_id:
        return _other("PatientID", "患者编号（PatientID）")
    if by_id and one.issuer and other.issuer and one.issuer != other.issuer:
        return _other("IssuerOfPatientID", "患者编号签发机构（IssuerOfPatientID）")
    if one.birth_date and other.birth_date and one.birth_date != other.birth_date:
        return _other("PatientBirthDate", "出生日期（PatientBirthDate）")
    if one.sex and other.sex and one.sex != other.sex:
        return _other("PatientSex", "性别（PatientSex）")
    if _names_differ(one, other):
        return _other("PatientName", "姓名（PatientName）")
    return None


def _other(keyword: str, zh: str) -> Text:
    return Text(
        en=f"its {keyword} differs, it may be another patient's",
        zh=f"其{zh}不一致，可能属于另一患者",
    )


def _names_differ(one: Person, other: Person) -> bool:
    """Whether the names speak against one person.

    Compared group by group (alphabetic, ideographic, phonetic; PS3.5 6.2.1.1), whatever the
    order of the parts, capitals, accents and hyphens. One name may lack parts of the other (a
    middle name). A family name that changed, or one study's name in letters and the other's in
    characters, passes where both say the same birth date.
    """
    mine, theirs = _groups(one.name), _groups(other.name)
    if not mine or not theirs:
        return False
    if any(_same(a, b) for a in mine for b in theirs):
        return False
    same_birth = bool(one.birth_date) and one.birth_date == other.birth_date
    comparable = [(a, b) for a in mine for b in theirs if _script(a) == _script(b)]
    shared = not comparable or any(a & b for a, b in comparable)
    return not (shared and same_birth)


def _groups(name: str) -> list[frozenset[str]]:
    found = []
    for group in name.split("="):
        folded = unicodedata.normalize("NFKD", group).casefold()
        plain = "".join(c for c in folded if not unicodedata.combining(c))
        parts = frozenset(re.findall(r"\w+", plain.replace("-", "").replace("'", "")))
        if parts:
            found.append(parts)
    return found


def _same(a: frozenset[str], b: frozenset[str]) -> bool:
    if _script(a) != _script(b):
        return False
    few, many = sorted((a, b), key=len)
    # Written without a gap: ZHANGSAN, 张三.
    joined = sorted("".join(a)) == sorted("".join(b))
    return joined or (len(few) > 1 and few <= many) or few == many


def _script(parts: frozenset[str]) -> bool:
    return any(_HAN.search(part) for part in parts)
