"""The database's tables (SQLAlchemy Core): SQLite embedded, PostgreSQL shared.

One row a study, one a received image, one a study whose series a search has looked at, one a
reading (a revision of a study, the only place a state is kept), one a reading's headline on the
worklist, one a reading that was flagged as urgent, one an object for a destination, one a
destination where nobody was found, one an object that a destination was asked to commit itself to,
one a study that was fetched to compare with, one a request for storage commitment, one an object
that an archive announced, one a study to be fetched, one a rule for that, one a workitem of the
worklist, one a workitem that was removed, one who watches one, one what a watcher has yet to hear,
one a workitem that we perform, one a study that waits for the rest of its images, one a reading
that was begun without the rest, one a reading whose order was cancelled, one an event in the audit
trail.
Times are UTC, seconds since the epoch, so that both databases compare them alike. A database of
an earlier version gets the tables and indexes it lacks when it is opened; the columns it has
never change.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

UID = String(64)

studies = Table(
    "studies",
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("patient_id", Text, nullable=False, default=""),
    Column("patient_name", Text, nullable=False, default=""),
    Column("accession_number", Text, nullable=False, default=""),
    Column("study_date", Text, nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("source_ae", Text, nullable=False, default=""),
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("sop_instance_uid", UID, primary_key=True),
    Column("series_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("path", Text, nullable=False),
    # older databases hold SHA-256 here, see digests
    Column("sha256", String(64), nullable=False, key="digest"),
    Column("bytes", BigInteger, nullable=False),
    Column("source_ae", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    # Of the reading that first used it; 0: none is to (a report, an image fetched as a prior).
    Column("revision", Integer, nullable=True),
    Index("instances_by_uid", "sop_instance_uid"),
)

study_modalities = Table(
    "study_modalities",  # looked up when a search first wanted them
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("as_of", Float, nullable=False),  # studies.last_received_at then
    Column("by_series", Text, nullable=False),  # JSON, modality by SeriesInstanceUID
)

readings = Table(
    "readings",
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("state", String(32), nullable=False, index=True),
    Column("reason_en", Text, nullable=False, default=""),  # of the state, for people
    Column("reason_zh", Text, nullable=False, default=""),
    Column("complete_en", Text, nullable=False, default=""),  # why it counts as whole
    Column("complete_zh", Text, nullable=False, default=""),
    Column("plan", Text, nullable=False, default=""),  # JSON, SeriesPlan
    Column("report", Text, nullable=False, default=""),  # JSON, imaging.Report
    Column("positive", Integer, nullable=False, default=0),  # findings in the report
    Column("opened_by", Text, nullable=False, default=""),  # workflow ID
    Column("opened_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    ForeignKeyConstraint(["study_uid"], ["studies.study_uid"]),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("destination", String(200), primary_key=True),
    Column("study_uid", UID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("stage", String(16), nullable=False),  # preliminary, final
    Column("kind", String(16), nullable=False),  # SR, SEG
    Column("path", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    Column("next_attempt_at", Float, nullable=False, default=0.0),
    Column("delivered_at", Float, nullable=True),
    Index("deliveries_of", "study_uid", "revision"),
    Index("deliveries_at", "state", "destination"),  # asked for every second, and by every page
)

circuits = Table(
    "circuits",  # destinations where the last tries found nobody
    metadata,
    Column("destination", String(200), primary_key=True),
    Column("failures", Integer, nullable=False),  # in a row
    Column("since", Float, nullable=False),
    Column("last_error", Text, nullable=False),
)

commitments_asked = Table(
    "commitments_asked",  # storage commitment, asked of destinations for what they took
    metadata,
    Column("transaction_uid", UID, primary_key=True),
    Column("sop_instance_uid", UID, primary_key=True),
    Column("sop_class_uid", UID, nullable=False),
    Column("destination", String(200), nullable=False),
    Column("sending", Integer, nullable=False),  # attempts of the delivery when it was asked
    Column("asked_at", Float, nullable=False),
    Column("answered_at", Float, nullable=True),
    Index("commitments_of", "sop_instance_uid", "destination"),
)

headlines = Table(
    "headlines",
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("headline", Text, nullable=False),  # a guideline's category, for the worklist
)

urgencies = Table(
    "urgencies",
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("stands", Integer, nullable=False),  # 0: the reader took it back
    Column("why_en", Text, nullable=False),
    Column("why_zh", Text, nullable=False),
)

priors = Table(
    "priors",
    metadata,
    Column("study_uid", UID, primary_key=True),  # the earlier study
    Column("for_study_uid", UID, nullable=False),  # that it was last wanted for
    Column("asked_of", Text, nullable=False),  # the PACS
    Column("asked_at", Float, nullable=False),
    Column("until", Float, nullable=False),  # its images that come till then were asked for
    Column("fetched_at", Float, nullable=True),  # what was asked for is here, whole
)

custody_requests = Table(
    "custody_requests",  # for storage commitment, by those who send to us
    metadata,
    Column("id", String(32), primary_key=True),
    Column("asker", Text, nullable=False),  # AE title
    Column("transaction_uid", UID, nullable=False),
    Column("objects", Text, nullable=False),  # JSON, SOP class and instance of each
    Column("refused", Integer, nullable=False, default=0),  # failure reason for all of it
    Column("asked_at", Float, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Float, nullable=False),
    Column("last_error", Text, nullable=False, default=""),
    Column("reported_at", Float, nullable=True),
    Index("custody_due", "state", "next_attempt_at"),
    Index("custody_transaction", "transaction_uid"),
)

announcements = Table(
    "announcements",  # by Instance Availability Notification: an archive has these
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("sop_instance_uid", UID, primary_key=True),
    Column("series_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("availability", String(16), nullable=False),  # ONLINE, NEARLINE, OFFLINE, UNAVAILABLE
    Column("retrieve_ae", Text, nullable=False, default=""),
    Column("told_by", Text, nullable=False),  # AE title
    Column("told_at", Float, nullable=False, index=True),
)

pulls = Table(
    "pulls",  # studies that were found in an archive and are to be fetched
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("rule", String(200), nullable=False),  # that wants it, or what was asked for by hand
    Column("archive", Text, nullable=False),
    Column("study_date", Text, nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("in_archive", Integer, nullable=False),  # images it counts; -1: it doesn't
    Column("wanted", Integer, nullable=False, default=0),  # images of the series wanted
    Column("came", Integer, nullable=False, default=0),  # of them that are here
    Column("series", Text, nullable=False, default="[]"),  # JSON, SeriesInstanceUIDs wanted
    Column("left_out", Text, nullable=False, default="[]"),  # JSON, those that are not
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    Column("found_at", Float, nullable=False),  # with this many images
    Column("next_attempt_at", Float, nullable=False),
    Column("owner", Text, nullable=False, default=""),  # host and process that fetches it
    Column("until", Float, nullable=False, default=0.0),  # that process has said it is at work
    Column("fetched_at", Float, nullable=True),
    Column("handed_on", Integer, nullable=False, default=0),  # the workflow was told of it
    Index("pulls_due", "state", "next_attempt_at"),
)

pull_rules = Table(
    "pull_rules",  # when each rule looked at its archive, and what came of it
    metadata,
    Column("rule", String(200), primary_key=True),
    Column("asked_at", Float, nullable=True),  # by hand; emptied when it is begun
    Column("asked_by", Text, nullable=False, default=""),
    Column("begun_at", Float, nullable=True),
    Column("ended_at", Float, nullable=True),
    Column("found", Integer, nullable=False, default=0),  # studies that the archive told of
    Column("taken", Integer, nullable=False, default=0),  # of them, to be fetched
    Column("problem", Text, nullable=False, default=""),
)

workitems = Table(
    "workitems",  # of the UPS worklist
    metadata,
    Column("workitem_uid", UID, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("transaction_uid", UID, nullable=False, default=""),  # of whoever claimed it
    Column("study_uid", UID, nullable=False, default="", index=True),
    Column("urgent", Integer, nullable=False, default=0),
    Column("ours", Integer, nullable=False, default=0),  # we are to perform it
    Column("due_at", Float, nullable=True),  # None: its input is not ready
    Column("attributes", Text, nullable=False),  # DICOM JSON
    Column("created_by", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Index("workitems_due", "state", "ours", "due_at"),
)

workitems_gone = Table(
    "workitems_gone",  # workitems that were removed, so that who asks for one is told so
    metadata,
    Column("workitem_uid", UID, primary_key=True),
    Column("at", Float, nullable=False, index=True),
)

workitem_watchers = Table(
    "workitem_watchers",  # who follows a workitem, or all of them
    metadata,
    Column("workitem_uid", UID, primary_key=True),  # or the well-known UID of all
    Column("ae_title", String(16), primary_key=True),
    Column("locked", Integer, nullable=False, default=0),  # it is not to be deleted
    Column("wanted", Text, nullable=False, default=""),  # JSON, keys and values that have to match
)

workitem_events = Table(
    "workitem_events",  # what watchers have yet to hear
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ae_title", String(16), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("report", Text, nullable=False),  # DICOM JSON
)

workitem_tasks = Table(
    "workitem_tasks",  # workitems that we took and have not ended
    metadata,
    Column("workitem_uid", UID, primary_key=True),
    Column("study_uid", UID, nullable=False),
    Column("step", String(16), nullable=False),
    Column("since", Float, nullable=False),  # that it is at this step
    Column("taken_at", Float, nullable=False),
    Column("begun_again", Integer, nullable=False, default=0),
)

waits = Table(
    "waits",  # studies that are not judged complete: what is waited for
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("because_en", Text, nullable=False),
    Column("because_zh", Text, nullable=False),
    Column("judged_at", Float, nullable=False),
)

unfinished = Table(
    "unfinished",  # readings that were begun although images were still missing
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("because_en", Text, nullable=False),
    Column("because_zh", Text, nullable=False),
)

withdrawals = Table(
    "withdrawals",  # readings whose order was cancelled; see pacs_bridge.withdrawals
    metadata,
    Column("study_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),  # maybe of one that is yet to be begun
    Column("at", Float, nullable=False),
    Column("reason_en", Text, nullable=False),
    Column("reason_zh", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),  # AE title, user, or "preread"
    Column("what", String(40), nullable=False),
    Column("study_uid", UID, nullable=True, index=True),
    Column("detail", Text, nullable=False, default=""),
)
