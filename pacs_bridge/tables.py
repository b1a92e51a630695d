"""The database's tables (SQLAlchemy Core): SQLite embedded, PostgreSQL shared.

One row a study, one a received image, one a reading (a revision of a study, the only place a
state is kept), one a reading's headline on the worklist, one a reading that was flagged as urgent,
one an object for a destination, one a study that was fetched to compare with, one an event in the
audit trail. Times are UTC, seconds
since the epoch, so that both databases compare them alike. A database of an earlier version gets
the tables it lacks when it is opened; the ones it has never change.
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
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("source_ae", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    # Of the reading that first used it; 0: none is to (a report, an image fetched as a prior).
    Column("revision", Integer, nullable=True),
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
