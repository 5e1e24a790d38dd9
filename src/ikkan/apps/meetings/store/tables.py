"""The tables. A meeting has a short `number` for every row about it."""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.ground.db import UtcDateTime

metadata = sa.MetaData()


def _of_meeting() -> sa.Column[int]:
    return sa.Column("number", sa.Integer, primary_key=True, autoincrement=False)


meetings = sa.Table(
    "meetings_meetings",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(60), nullable=False, unique=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("owner_id", sa.String(120), nullable=True),
    sa.Column("title", sa.String(300), nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("held_on", sa.Date, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("audience", sa.String(12), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("job_id", sa.String(80), nullable=False),
    sa.Column("segments", sa.Integer, nullable=False),
    sa.Column("length_s", sa.Float, nullable=True),
    sa.Column("remarks", sa.JSON, nullable=False),
    sa.Column("impression_id", sa.String(80), nullable=False),
    sa.Index("meetings_meetings_by_tenant", "tenant_id", "number"),
)
words = sa.Table("meetings_words", metadata, _of_meeting(), sa.Column("body", sa.LargeBinary, nullable=False))
"""What was said, apart: whether a meeting may be seen is asked of every one of them, and those rows stay small."""
readers = sa.Table(
    "meetings_readers", metadata, _of_meeting(), sa.Column("subject_id", sa.String(120), primary_key=True)
)
speakers = sa.Table(
    "meetings_speakers",
    metadata,
    _of_meeting(),
    sa.Column("label", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
)
items = sa.Table(
    "meetings_items",
    metadata,
    _of_meeting(),
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("made_by", sa.String(120), nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("owner", sa.String(200), nullable=True),
    sa.Column("due", sa.Date, nullable=True),
    sa.Column("due_words", sa.String(200), nullable=True),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("is_done", sa.Boolean, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("meetings_items_by_kind", "kind", "number"),
)
parts = sa.Table(
    "meetings_parts",
    metadata,
    _of_meeting(),
    sa.Column("part", sa.String(12), primary_key=True),
    sa.Column("passages", sa.Integer, nullable=False),
    sa.Column("grams", sa.BigInteger, nullable=False),
)
passages = sa.Table(
    "meetings_passages",
    metadata,
    _of_meeting(),
    sa.Column("part", sa.String(12), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("speaker", sa.String(200), nullable=False),
    sa.Column("start_s", sa.Float, nullable=True),
    sa.Column("evidence", sa.JSON, nullable=False),
    sqlite_with_rowid=False,
)
postings = sa.Table(
    "meetings_postings",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("part", sa.String(12), primary_key=True),
    sa.Column("gram", sa.String(40), primary_key=True),
    _of_meeting(),
    sa.Column("packed", sa.LargeBinary, nullable=False),
    sa.Index("meetings_postings_by_meeting", "number", "part"),
    sqlite_with_rowid=False,
)
OF_A_MEETING = (words, readers, speakers, items, parts, passages, postings)
"""What goes when a meeting goes."""
