"""Earlier studies in our own store: what there is of them, and which images can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from imaging.errors import FileError
from imaging.grouping import series_uid_of
from imaging.headers import read_header, scan_files
from imaging.image_classes import is_image_class
from imaging.language import Text
from imaging.series import SeriesPlan, refusals
from models.spec import ModelSpec
from models.study.plan import plan_one
from models.study.priors import PriorImages
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.priors.choice import EarlierStudy
from pacs_bridge.priors.ledger import Ledger
from pacs_bridge.priors.person import Person
from pacs_bridge.store import Instance, Store


@dataclass(frozen=True)
class Held:
    """What our own store has."""

    store: Store = field(repr=False)

    @property
    def ledger(self) -> Ledger:
        """What was fetched, and what of it is still to come."""
        return Ledger(self.store)

    def studies(self, patient_id: str) -> list[EarlierStudy]:
        """The studies of a PatientID of which images are here, as their first image names them.

        A study that was being fetched when the time was up, or the server ended, is left out:
        what is here of it may have gaps.
        """
        found = []
        for study in self.ledger.studies_of(patient_id):
            images = self._images(study.study_uid)
            if not images or self._cut_short(study.study_uid):
                continue
            try:
                header = read_header(images[0].path)
            except (FileError, OSError):
                continue
            body_part = str(header.get("BodyPartExamined") or "")
            found.append(
                EarlierStudy(
                    study.study_uid, study.study_date, Person.of(header),
                    f"{study.description} {body_part}".strip(),
                    held=True,
                )
            )  # fmt: skip
        return found

    def suiting(self, study: EarlierStudy, spec: ModelSpec) -> PriorImages | Text:
        """The images of the series that the model would read; or why it reads none of them."""
        paths = [image.path for image in self._images(study.study_uid)]
        plan = plan_one(scan_files(paths), spec)
        if plan.chosen is None:
            return _why(plan)
        uid = series_uid_of(plan.chosen)
        chosen = [i.path for i in self._images(study.study_uid) if i.series_uid == uid]
        return PriorImages(study.study_uid, study.study_date, tuple(chosen))

    def person(self, images: PriorImages) -> Person:
        """Whose images they are, by the images themselves."""
        return Person.of(read_header(images.paths[0]))

    def count(self, study_uid: str, series_uid: str) -> int:
        """How many images of a series are here."""
        return sum(image.series_uid == series_uid for image in self._images(study_uid))

    def check_size(self, study_uid: str, most_images: int, most_bytes: int) -> Callable[[int], str]:
        """What says when to stop fetching a study, by images announced and bytes here."""

        def too_much(images: int) -> str:
            if images > most_images:
                return f"{images} images, priors.most_images = {most_images}"
            here = self.ledger.bytes_of(study_uid)
            if here > most_bytes:
                return f"{here / 1e6:.0f} MB so far, priors.most_mb = {most_bytes / 1e6:g}"
            return ""

        return too_much

    def _images(self, study_uid: str) -> list[Instance]:
        return [i for i in self.store.instances_of(study_uid) if is_image_class(i.sop_class_uid)]

    def _cut_short(self, study_uid: str) -> bool:
        if not self.ledger.cut_short(study_uid) or self.store.has_unread(study_uid):
            return False
        try:  # sent to be read since then
            self.store.reading(study_uid)
        except UnknownStudy:
            return True
        return False


def _why(plan: SeriesPlan) -> Text:
    told = [item.text for _, item in refusals(plan)] or [item.text for item in plan.notices]
    if not told:
        return Text(en="no series of it suits the model", zh="没有适合模型的序列")
    return Text(
        en="; ".join(dict.fromkeys(t.en for t in told)),
        zh="；".join(dict.fromkeys(t.zh for t in told)),
    )
