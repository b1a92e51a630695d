"""What an archive has that a rule wants and that is not here: studies, series, images.

Asked level by level (C-FIND or QIDO-RS), the cheap questions first: of a study that its own level
rules out no series are asked for, and images are listed only where the series doesn't say enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydicom.dataset import Dataset

from pacs_bridge.archive import Archive, count_of, listed
from pacs_bridge.errors import PeerRefused
from pacs_bridge.pull.hours import date_range
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.matching import image_agrees, keys_of, series_refusal, study_refusal
from pacs_bridge.pull.thickness import thickness_of
from pacs_bridge.pull.values import Found, FoundSeries, FoundStudy, PullState, SeriesWish
from pacs_bridge.settings import PullSettings

_STUDY_FIELDS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
)  # fmt: skip
_SERIES_FIELDS = (
    "SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName",
    "NumberOfSeriesRelatedInstances",
)  # fmt: skip
_IMAGE_FIELDS = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "SliceThickness")


@dataclass(frozen=True)
class Search:
    """One rule's questions to its archive.

    Args:
        rule: what is wanted.
        archive: who is asked.
        ledger: what was found before, and what is here.
        quiet_s: a study of which something came within this comes by itself.
        by_hand: a person asks: what was fetched or given up on before is looked at again, and
            nothing has to settle.
    """

    rule: PullSettings
    archive: Archive
    ledger: PullLedger
    quiet_s: float
    by_hand: bool = False
    _nothing_in: dict[str, int] = field(default_factory=dict, repr=False)
    """Studies without a series that is wanted, by the images they had then."""

    def run(self, now: datetime, study_uid: str = "") -> Iterator[Found]:
        """Every study that the archive tells of, the newest first, and what is made of it.

        Args:
            now: the days that the rule asks for end here.
            study_uid: look at this one alone, of whatever date.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with archive, answer and remedy.
        """
        taken = 0
        dates = "" if study_uid else date_range(self.rule.days, now)
        studies = self._studies(dates, study_uid)
        if not study_uid:
            told = {study.study_uid for study, _ in studies}
            for gone in self._nothing_in.keys() - told:
                del self._nothing_in[gone]
        for study, match in studies:
            found = self._judge(study, match, dates)
            if not found.why_not and taken >= self.rule.most_studies:
                most = f"most_studies = {self.rule.most_studies}"
                found = replace(
                    found, why_not=f"enough for one look, {most}; the next look takes it"
                )
            taken += not found.why_not
            yield found

    def look(self, study_uid: str) -> Found | None:
        """What is missing of one study, whatever is known of it; None: the archive has it not.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`run`.
        """
        for study, _ in self._studies("", study_uid):
            if study.study_uid == study_uid:
                wanted, left_out = self._series(study)
                why_not = "" if wanted else "no series of it is wanted any more"
                return Found(study, tuple(wanted), tuple(left_out), why_not)
        return None

    # studies -----------------------------------------------------------------------------

    def _studies(self, dates: str, study_uid: str) -> list[tuple[FoundStudy, Dataset]]:
        keys = keys_of(self.rule, "STUDY")
        if dates:
            keys.setdefault("StudyDate", dates)
        if study_uid:
            keys["StudyInstanceUID"] = study_uid
        found: dict[str, tuple[FoundStudy, Dataset]] = {}
        # One question a modality: ModalitiesInStudy takes one value (PS3.4 C.2.2.2.1).
        for modality in self.rule.modalities or ("",):
            asked = keys | ({"ModalitiesInStudy": modality} if modality else {})
            for match in self.archive.find("STUDY", asked, _STUDY_FIELDS):
                uid = str(match.get("StudyInstanceUID") or "")
                if uid:
                    found[uid] = (_study_of(match, uid), match)
        moment = {uid: f"{m.get('StudyDate')}{m.get('StudyTime')}" for uid, (_, m) in found.items()}
        return [found[uid] for uid in sorted(found, key=lambda uid: moment[uid], reverse=True)]

    def _judge(self, study: FoundStudy, match: Dataset, dates: str) -> Found:
        why = study_refusal(self.rule, match, study, dates) or self._known(study)
        if why:
            return Found(study, why_not=why)
        if study.images is not None and self._nothing_in.get(study.study_uid) == study.images:
            return Found(study, why_not="no series of it is wanted")
        wanted, left_out = self._series(study)
        found = Found(study, tuple(wanted), tuple(left_out))
        if study.images is None and all(s.series.images is not None for s in wanted):
            total = sum(s.series.images or 0 for s in wanted) + sum(
                series.images or 0 for series, _ in left_out
            )
            found = replace(found, study=replace(study, images=total))
        if not wanted:
            if study.images is not None:
                self._nothing_in[study.study_uid] = study.images
            return replace(found, why_not="no series of it is wanted")
        if not found.missing and not self._only_prior(study.study_uid):
            return replace(found, why_not="all that is wanted of it is here")
        return replace(found, settling=self._settles(found.study))

    def _known(self, study: FoundStudy) -> str:
        """Why a study is not looked into, by what is known of it here."""
        pull = self.ledger.of(study.study_uid)
        if pull is not None and pull.state in (PullState.WAITING, PullState.FETCHING):
            return "it is on its way"
        if self.rule.read_already == "skip" and self.ledger.was_read(study.study_uid):
            return "it was read here already"
        if self.by_hand:
            return ""
        if pull is not None and pull.rule == self.rule.name:
            same = pull.in_archive == study.images
            if pull.state is PullState.FETCHED and same:
                return "it was fetched already"
            if pull.state is PullState.GIVEN_UP and (same or study.images is None):
                return f"it was given up on: {pull.last_error}"
        came = self.ledger.last_arrival(study.study_uid)
        fetched = pull is not None and pull.state is PullState.FETCHED
        if came is not None and not fetched and time.time() - came < self.quiet_s:
            return "it is coming by itself"
        return ""

    def _only_prior(self, study_uid: str) -> bool:
        """Whether it is here to be compared with alone, and would never be read."""
        read = self.ledger.was_read(study_uid)
        return not read and not self.ledger.store.has_unread(study_uid)

    def _settles(self, study: FoundStudy) -> bool:
        if self.by_hand or not self.rule.settle_minutes:
            return False
        pull = self.ledger.of(study.study_uid)
        settling = pull is not None and pull.state is PullState.SETTLING
        if pull is None or not settling or pull.in_archive != study.counted:
            return True
        return time.time() - pull.found_at < self.rule.settle_minutes * 60

    # series and images -------------------------------------------------------------------

    def _series(self, study: FoundStudy) -> tuple[list[SeriesWish], list[tuple[FoundSeries, str]]]:
        # All series are asked for, and matched here: those left out have to be known, too.
        fields = (*_SERIES_FIELDS, *keys_of(self.rule, "SERIES"))
        asked = {"StudyInstanceUID": study.study_uid}
        held = self.ledger.held(study.study_uid)
        wanted: list[SeriesWish] = []
        left_out: list[tuple[FoundSeries, str]] = []
        seen: set[str] = set()
        for match in self.archive.find("SERIES", asked, tuple(dict.fromkeys(fields))):
            series = _series_of(match)
            # Some archives answer once for every image of a series; each series counts once.
            if not series.series_uid or series.series_uid in seen:
                continue
            seen.add(series.series_uid)
            why = series_refusal(self.rule, match, series, study)
            here = held.get(series.series_uid, set())
            wish = why or self._wish(study, series, here)
            if isinstance(wish, str):
                left_out.append((series, wish))
            else:
                wanted.append(wish)
        return wanted, left_out

    def _wish(self, study: FoundStudy, series: FoundSeries, here: set[str]) -> SeriesWish | str:
        """What of a series is to be fetched, or why it is not wanted."""
        if series.images is not None and len(here) >= series.images:
            return SeriesWish(series, (), 0)
        rule = self.rule
        keys = keys_of(rule, "IMAGE")
        to_know = bool(here or keys or rule.thickest_mm or series.images is None)
        if not to_know and (rule.method != "c-get" or series.modality == "CT"):
            return SeriesWish(series, None, series.images or 0)
        images = self._images(study.study_uid, series.series_uid, tuple(keys))
        told = [image for image in images if image_agrees(rule, image)]
        if images and not told:
            return f"no image with {', '.join(f'{k}={v}' for k, v in keys.items())}"
        uids = tuple(dict.fromkeys(str(image.get("SOPInstanceUID")) for image in told))
        missing = tuple(uid for uid in uids if uid not in here)
        if uids and series.images is None and not keys:
            series = replace(series, images=len(uids))
        if uids and not missing:
            return SeriesWish(series, (), 0)
        if rule.thickest_mm:
            mm = thickness_of(self.archive, study.study_uid, series, told)
            if mm is None and rule.thickness_unknown == "skip":
                return "SliceThickness is not known"
            if mm is not None and mm > rule.thickest_mm:
                return f"slices of {mm:g} mm, thickest_mm = {rule.thickest_mm:g}"
        if not uids:
            return SeriesWish(series, None, max(1, (series.images or 0) - len(here)))
        classes = {str(image.get("SOPClassUID") or "") for image in told} - {""}
        return SeriesWish(series, missing, len(missing), tuple(sorted(classes)))

    def _images(self, study_uid: str, series_uid: str, keys: tuple[str, ...]) -> list[Dataset]:
        """The images of a series; none where the archive doesn't answer at this level."""
        asked = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        try:
            found = self.archive.find("IMAGE", asked, tuple(dict.fromkeys((*_IMAGE_FIELDS, *keys))))
        except PeerRefused:
            return []
        return [image for image in found if image.get("SOPInstanceUID")]


def _study_of(match: Dataset, uid: str) -> FoundStudy:
    return FoundStudy(
        uid,
        str(match.get("StudyDate") or ""),
        str(match.get("StudyDescription") or ""),
        tuple(str(each) for each in listed(match.get("ModalitiesInStudy"))),
        count_of(match.get("NumberOfStudyRelatedInstances")),
    )


def _series_of(match: Dataset) -> FoundSeries:
    return FoundSeries(
        str(match.get("SeriesInstanceUID") or ""),
        str(match.get("Modality") or ""),
        str(match.get("SeriesDescription") or ""),
        str(match.get("BodyPartExamined") or ""),
        str(match.get("ProtocolName") or ""),
        count_of(match.get("NumberOfSeriesRelatedInstances")),
    )
