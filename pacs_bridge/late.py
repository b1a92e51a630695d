"""Pictures that come after a study was read and that no model takes.

A workstation's MIP, a reformatted series, a captured screen: a revision over them would say what
the one before said. They are kept, no revision is opened for them, and the audit trail says why.
Any other image that comes late makes a new revision, as does a picture that a model does take.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import func, select, update

from imaging.grouping import series_uid_of
from imaging.headers import ImageSlice, scan_files
from imaging.notices import Severity
from imaging.rules import is_derived
from imaging.series import SeriesVerdict
from models.spec import ModelSpec
from models.study.plan import StudyPlan, plan_together
from pacs_bridge.arrivals import LEFT_ALONE
from pacs_bridge.audit import write_event
from pacs_bridge.database import writing
from pacs_bridge.records import Instance
from pacs_bridge.store import Store
from pacs_bridge.tables import instances, readings

log = logging.getLogger(__name__)

CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage; the multi-frame ones begin with it and a dot (PS3.4 B.5)."""
_MOST_TOLD = 3


def leave_pictures(store: Store, study_uid: str, specs: Sequence[ModelSpec]) -> bool:
    """Leave what came late alone, where it is pictures only and no model takes one of them.

    Args:
        store: what is here.
        study_uid: which study.
        specs: the models that are enabled.

    Returns:
        Whether it was left alone; the audit trail says why. False: it is to be read.
    """
    late = _late(store, study_uid)
    if not late:
        return False
    held = store.instances_of(study_uid)
    new = [each for each in held if each.sop_instance_uid in late]
    if not _are_pictures(new):
        return False
    plan = plan_together(scan_files([each.path for each in held]), specs)
    verdicts = _of_series(plan, {each.series_uid for each in new})
    if any(verdict.accepted or verdict.score > 0 for verdict in verdicts):
        return False
    why = f"{len(new)} late picture(s), no new revision: {_why(verdicts)}"
    log.info("study %s: %s", study_uid, why)
    with writing(store.engine) as db:
        for each in new:
            one = (instances.c.study_uid == study_uid) & (
                instances.c.sop_instance_uid == each.sop_instance_uid
            )
            # one that was replaced meanwhile is looked at again, with what replaced it
            unchanged = instances.c.revision.is_(None) & (instances.c.digest == each.digest)
            db.execute(update(instances).where(one & unchanged).values(revision=LEFT_ALONE))
        write_event(db, "preread", "late-left-alone", study_uid, why)
    return True


def _late(store: Store, study_uid: str) -> set[str]:
    """SOPInstanceUIDs that no reading has taken up, of a study that has one; else none."""
    unread = select(instances.c.sop_instance_uid).where(
        instances.c.study_uid == study_uid, instances.c.revision.is_(None)
    )
    read = select(func.count()).where(readings.c.study_uid == study_uid)
    with store.engine.connect() as db:
        return set(db.execute(unread).scalars()) if db.execute(read).scalar_one() else set()


def _are_pictures(new: Sequence[Instance]) -> bool:
    """Whether all are captured or derived; a file that can't be read is not known to be."""
    by_path: dict[str, list[ImageSlice]] = {}
    for image in scan_files([each.path for each in new]).slices:
        by_path.setdefault(str(image.path), []).append(image)
    return all(
        _is_capture(each.sop_class_uid)
        or (
            str(each.path) in by_path
            and all(
                is_derived(image) or image.image_type[:1] == ("DERIVED",)
                for image in by_path[str(each.path)]
            )
        )
        for each in new
    )


def _is_capture(sop_class_uid: str) -> bool:
    return sop_class_uid == CAPTURES or sop_class_uid.startswith(CAPTURES + ".")


def _of_series(plan: StudyPlan, series: set[str]) -> list[SeriesVerdict]:
    return [
        verdict
        for one in plan.plans
        for verdict in one.verdicts
        if series_uid_of(verdict.series_uid) in series
    ]


def _why(verdicts: Sequence[SeriesVerdict]) -> str:
    """Each series with the first reason why it isn't taken."""
    told: dict[str, str] = {}
    for verdict in verdicts:
        refused = [n.text.en for n in verdict.notices if n.severity is Severity.REFUSAL]
        if refused:
            told.setdefault(f"series {verdict.name}", refused[0])
    reasons = [f"{name}: {why}" for name, why in told.items()][:_MOST_TOLD]
    return "; ".join(reasons) or "captured pictures, no images of a scan"
