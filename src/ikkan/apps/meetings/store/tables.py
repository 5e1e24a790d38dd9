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
glossary = sa.Table(
    "meetings_glossary",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("heard", sa.String(200), primary_key=True),
    sa.Column("written", sa.String(200), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
plans = sa.Table(
    "meetings_plans",
    metadata,
    _of_meeting(),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("form", sa.String(40), nullable=False),
    sa.Column("key_id", sa.String(80), nullable=True),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("made_level", sa.Integer, nullable=True),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("remarks", sa.JSON, nullable=False),
)
policies = sa.Table(
    "meetings_policies",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("level", sa.Integer, nullable=True),
    sa.Column("hook_url", sa.String(2000), nullable=False),
    sa.Column("hook_secret", sa.LargeBinary, nullable=True),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
deliveries = sa.Table(
    "meetings_deliveries",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("item_id", sa.String(40), nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("told", sa.String(300), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("meetings_deliveries_by_tenant", "tenant_id", "created_at"),
    sa.Index("meetings_deliveries_by_meeting", "number"),
)
"""What is told to other systems, by ids alone: what is in it is read when it is sent, and not kept here."""
vectors = sa.Table(
    "meetings_vectors",
    metadata,
    _of_meeting(),
    sa.Column("part", sa.String(12), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What a passage means, one byte a number, where this house searches by meaning too."""
sounds = sa.Table(
    "meetings_sounds",
    metadata,
    _of_meeting(),
    sa.Column("file", sa.String(60), nullable=False, unique=True),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("media_type", sa.String(80), nullable=False),
    sa.Column("filename", sa.String(300), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("heard_s", sa.Float, nullable=False),
    sa.Column("is_heard", sa.Boolean, nullable=False),
)
"""The sound of a meeting lies in a file that only this row's key opens: when the row goes, the sound is gone."""
heard = sa.Table(
    "meetings_heard",
    metadata,
    _of_meeting(),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("speaker", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("start_s", sa.Float, nullable=True),
    sa.Column("end_s", sa.Float, nullable=True),
    sa.Column("confidence", sa.Float, nullable=True),
)
"""What was recognised or typed so far, while a meeting goes on or is being heard."""
live = sa.Table(
    "meetings_live",
    metadata,
    _of_meeting(),
    sa.Column("captions", sa.Integer, nullable=False),
    sa.Column("began_at", UtcDateTime, nullable=False),
)
"""A meeting that goes on: the number of its last caption."""
uploads = sa.Table(
    "meetings_uploads",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("filename", sa.String(300), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("meetings_uploads_by_tenant", "tenant_id"),
)
OF_A_MEETING = (
    words,
    readers,
    speakers,
    items,
    parts,
    passages,
    postings,
    vectors,
    plans,
    deliveries,
    sounds,
    heard,
    live,
)
"""What goes when a meeting goes."""
