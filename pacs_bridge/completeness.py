"""Whether all of a study is here: what is known, and what follows from it.

It is judged when no image came for ``assembly.quiet_s`` (``assembly.ended_s`` where the sender's
associations have all ended), and again after each further quiet time.
What is asked, in this order; each wait ends after ``assembly.longest_wait_s`` at the latest:

1. A rule still fetches the study, or an archive announced images of it that have not come: wait.
2. The PACS counts more images than are here: wait. It counts no more: complete.
3. The PACS doesn't answer: ask again, for ``assembly.answer_wait_s`` at most.
4. No PACS is set up, or there is no count: the slices themselves are looked at. Where some are
   missing between others, or before the first, wait, for ``assembly.gap_wait_s`` at most.
5. Else the quiet time decides.

Why is kept with the reading and shown; what was begun without images that were known to be
missing has that in its report. Images that come later make a new revision.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from imaging.headers import scan_files
from imaging.image_classes import is_image_class
from imaging.language import Text
from imaging.wholeness import Doubt, doubts_about
from pacs_bridge.announced import Announcements
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import PeerError
from pacs_bridge.pull import Standing, standing_of
from pacs_bridge.sections import AssemblySettings
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store
from pacs_bridge.tables import instances

log = logging.getLogger(__name__)

_UNSEEN = Text(
    en="whether slices are missing at the end can't be told without a count",
    zh="无图像总数，无法判断末端是否缺层",
)
MOST_TOLD = 3
"""So many doubts are told; the page lists the series anyway."""


@dataclass(frozen=True)
class Completeness:
    """Whether a study may be taken for complete.

    Attributes:
        complete: whether a reading begins now.
        because: kept with the reading; with ``complete`` False what is waited for.
        missing: what was waited for in vain, where it begins without; the report says so.
    """

    complete: bool
    because: Text
    missing: Text | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of a study when it is judged.

    Attributes:
        held: images that are here.
        waited_s: since the first image came that no reading has taken up.
        idle_s: since the last image came.
        pulled: how a rule's fetching stands; None: no rule fetches it.
        announced: images that an archive announced and that are not here.
        announced_by: AE titles of these archives.
        count: images the PACS counts; None: it is not known.
        count_told: who was asked, or why there is no count.
        silent: the PACS was asked and did not answer; it may at another time.
        doubts: what is odd about the slices; looked at only where there is no count.
    """

    held: int
    waited_s: float
    idle_s: float
    pulled: Standing | None = None
    announced: int = 0
    announced_by: tuple[str, ...] = ()
    count: int | None = None
    count_told: Text = Text(en="no PACS set up to ask", zh="未配置可查询的 PACS")
    silent: bool = False
    doubts: tuple[Doubt, ...] = ()


def judge(known: Evidence, assembly: AssemblySettings) -> Completeness:
    """What follows from the evidence; see the module's text."""
    too_long = known.waited_s >= assembly.longest_wait_s
    for pending in (_fetching(known), _announced(known), _counted_more(known)):
        if pending is not None:
            if not too_long:
                return Completeness(False, pending)
            waited = Text(en=f"waited {known.waited_s:.0f} s", zh=f"已等待 {known.waited_s:.0f} 秒")
            return Completeness(True, _joined(pending, waited), pending)
    if known.count is not None:
        return Completeness(True, _count(known))
    if known.silent and known.idle_s < assembly.answer_wait_s and not too_long:
        return Completeness(False, known.count_told)
    gaps = [doubt.text for doubt in known.doubts if doubt.waits][:MOST_TOLD]
    if gaps and known.idle_s < assembly.gap_wait_s and not too_long:
        return Completeness(False, _joined(*gaps))
    quiet = Text(
        en=f"no new image for {known.idle_s:.0f} s, {known.held} images held",
        zh=f"{known.idle_s:.0f} 秒内无新图像，已收到 {known.held} 幅",
    )
    odd = [doubt.text for doubt in known.doubts][:MOST_TOLD]
    because = _joined(quiet, known.count_told, *(odd or [_UNSEEN]))
    return Completeness(True, because, _joined(*gaps) if gaps else None)


def look(
    settings: Settings, store: Store, study_uid: str, *, ours: Collection[str] = ()
) -> Evidence:
    """Find out what is known of a study: here, from the PACS, and from the slices.

    Args:
        settings: whom to ask.
        store: what is here.
        study_uid: which study.
        ours: series that we made and that came back; they don't count.
    """
    made = frozenset(ours)
    held = [
        each
        for each in store.instances_of(study_uid)
        if is_image_class(each.sop_class_uid) and each.series_uid not in made
    ]
    waited_s, idle_s = _since(store, study_uid)
    pulled = standing_of(store, study_uid)
    announced = Announcements(store).missing_images(study_uid)
    besides = made | (pulled.left_out if pulled else frozenset())
    announced = [each for each in announced if each.series_uid not in besides]
    count, told, silent = _ask(settings, study_uid, besides)
    doubts = doubts_about(scan_files([each.path for each in held])) if count is None else ()
    return Evidence(
        held=len(held),
        waited_s=waited_s,
        idle_s=idle_s,
        pulled=pulled,
        announced=len(announced),
        announced_by=tuple(sorted({each.told_by for each in announced})),
        count=count,
        count_told=told,
        silent=silent,
        doubts=doubts,
    )


def _ask(
    settings: Settings, study_uid: str, besides: frozenset[str]
) -> tuple[int | None, Text, bool]:
    """The PACS's count; who said it or why there is none; whether to ask again."""
    source = settings.assembly.source
    if source is None:
        return None, Text(en="no PACS set up to ask", zh="未配置可查询的 PACS"), False
    pacs = f"PACS {source.ae_title}"
    try:
        # what a rule leaves in the archive, and what we made, is not waited for
        count = Peer(source, settings.listener.ae_title).count_images(study_uid, besides=besides)
    except PeerError as error:
        log.warning("study %s: the PACS could not be asked for its count: %s", study_uid, error)
        told = Text(en=f"{pacs} did not answer: {error}", zh=f"{pacs} 未应答：{error}")
        return None, told, error.retryable
    if count is None:
        return None, Text(en=f"{pacs} gives no count", zh=f"{pacs} 未提供图像数"), False
    return count, Text(en=pacs, zh=pacs), False


def _since(store: Store, study_uid: str) -> tuple[float, float]:
    """Seconds since the first and the last image came of those that no reading has taken up."""
    came = instances.c.received_at
    query = select(func.min(came), func.max(came)).where(
        instances.c.study_uid == study_uid, instances.c.revision.is_(None)
    )
    with store.engine.connect() as db:
        first, last = db.execute(query).one()
    now = time.time()
    if first is None:
        study = store.study(study_uid)
        first, last = study.first_received_at, study.last_received_at
    return now - first, now - last


def _fetching(known: Evidence) -> Text | None:
    pulled = known.pulled
    if pulled is None or not pulled.under_way:
        return None
    return Text(
        en=f"{pulled.came} of {pulled.wanted} images fetched from {pulled.archive}",
        zh=f"已从 {pulled.archive} 调取 {pulled.came}/{pulled.wanted} 幅图像",
    )


def _announced(known: Evidence) -> Text | None:
    if not known.announced:
        return None
    who = ", ".join(known.announced_by)
    return Text(
        en=f"{who} announced {known.announced} images that have not come",
        zh=f"{who} 通知的 {known.announced} 幅图像尚未收到",
    )


def _counted_more(known: Evidence) -> Text | None:
    return _count(known) if known.count is not None and known.held < known.count else None


def _count(known: Evidence) -> Text:
    return Text(
        en=f"{known.count_told.en} counts {known.count} images, {known.held} are held",
        zh=f"{known.count_told.zh} 计 {known.count} 幅图像，已收到 {known.held} 幅",
    )


def _joined(*texts: Text) -> Text:
    return Text(en="; ".join(t.en for t in texts), zh="；".join(t.zh for t in texts))
