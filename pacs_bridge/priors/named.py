"""Earlier examinations that a person names, on the command line: no PACS, no store.

The person says that they are the patient's, so another PatientID (of another hospital, of an
anonymised copy) doesn't matter; what else the images say of the patient must still agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import NoImages
from imaging.headers import Scan, read_header, scan_files
from imaging.language import Text
from imaging.notices import Notice, notice
from models.study.priors import PriorImages
from pacs_bridge.priors.choice import parse_date
from pacs_bridge.priors.person import Person, differs


@dataclass(frozen=True)
class Named:
    """An examination that may be compared with."""

    images: PriorImages
    person: Person


def named_priors(files: Iterable[Path], where: Path) -> list[Named]:
    """Every study among some files.

    Args:
        files: of any kind; what is no image is passed over.
        where: what the person named, for the message.

    Raises:
        NoImages: there is none.
    """
    paths: dict[str, dict[Path, None]] = defaultdict(dict)
    for image in scan_files(files).slices:
        paths[image.study_uid].setdefault(image.path)
    if not paths:
        raise NoImages(f"{where}: no DICOM images in it to compare with")
    found = []
    for study_uid, images in paths.items():
        header = read_header(next(iter(images)))
        date = str(header.get("StudyDate") or "")
        found.append(Named(PriorImages(study_uid, date, tuple(images)), Person.of(header)))
    return found


def suiting(named: Sequence[Named], scan: Scan) -> tuple[list[PriorImages], list[Notice]]:
    """Which of them are earlier examinations of a study's patient, the latest first; why not.

    Args:
        named: what the person named.
        scan: of the study that they are to be compared with, one image at least.
    """
    first = scan.slices[0]
    header = read_header(first.path)
    person, day = Person.of(header), parse_date(str(header.get("StudyDate") or ""))
    taken: list[PriorImages] = []
    told: list[Notice] = []
    for each in named:
        if each.images.study_uid == first.study_uid:
            continue
        then = parse_date(each.images.study_date)
        reason = differs(person, each.person, by_id=False)
        if reason is None and (day is None or then is None or then >= day):
            reason = Text(en="its StudyDate is not earlier", zh="其检查日期（StudyDate）并不更早")
        if reason is None:
            taken.append(each.images)
        else:
            date = then.isoformat() if then else each.images.study_date or "-"
            told.append(notice("prior-refused", date=date, problem=reason))
    taken.sort(key=lambda images: (images.study_date, images.study_uid), reverse=True)
    return taken, told
