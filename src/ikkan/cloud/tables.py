"""The tables of this room. `0003_cloud.py` and `0011_tuning.py` of `ground/migrations/versions` make them; a test
compares them."""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.ground.db import UtcDateTime

metadata = sa.MetaData()

tenants = sa.Table(
    "cloud_tenants",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

keys = sa.Table(
    "cloud_keys",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("tenant_id", sa.String(80), sa.ForeignKey("cloud_tenants.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.String(200), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    sa.Index("cloud_keys_by_tenant", "tenant_id", "created_at"),
)

budgets = sa.Table(
    "cloud_budgets",
    metadata,
    # "key:<id>" or "tenant:<id>": everyone whose money may run out. All of them must agree to a request.
    sa.Column("owner", sa.String(120), primary_key=True),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("limit_micros", sa.BigInteger, nullable=True),
    sa.Column("held_micros", sa.BigInteger, nullable=False),
    sa.Column("spent_micros", sa.BigInteger, nullable=False),
    sa.CheckConstraint("held_micros >= 0", name="cloud_budgets_held"),
)

meter = sa.Table(
    "cloud_meter",
    metadata,
    sa.Column("request_id", sa.String(80), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    # "reserved" until the attempt ends, then "settled" (answered, if only in part) or "released" (nothing to bill).
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("key_id", sa.String(40), nullable=True),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("endpoint", sa.String(20), nullable=False),
    sa.Column("model", sa.String(300), nullable=False),
    sa.Column("upstream", sa.String(80), nullable=False),
    sa.Column("upstream_model", sa.String(300), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=True),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("priced", sa.Boolean, nullable=False),
    sa.Column("reserved_micros", sa.BigInteger, nullable=False),
    sa.Column("cost_micros", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    # "served", "client_left", "upstream_cut", "content_refused", "swept", or the code of the error that ended it.
    sa.Column("outcome", sa.String(60), nullable=True),
    sa.Column("latency_ms", sa.Float, nullable=True),
    sa.Column("first_token_ms", sa.Float, nullable=True),
    sa.Index("cloud_meter_by_day", "tenant_id", "day"),
    sa.Index("cloud_meter_by_state", "state", "started_at"),
)

ledger = sa.Table(
    "cloud_ledger",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("request_id", sa.String(80), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # "hold" at reservation, "release" of the same amount at the end, "charge" of what the answer cost.
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("side", sa.String(6), nullable=False),
    sa.Column("account", sa.String(160), nullable=False),
    # Debits positive, credits negative: the column adds up to zero, always.
    sa.Column("amount_micros", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("request_id", "attempt", "kind", "side", name="cloud_ledger_once"),
    sa.Index("cloud_ledger_by_account", "account", "at"),
)

upstreams = sa.Table(
    "cloud_upstreams",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("url", sa.String(500), nullable=False),
    sa.Column("key_env", sa.String(120), nullable=True),
    sa.Column("sealed_key", sa.LargeBinary, nullable=True),
    sa.Column("quirks", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

prices = sa.Table(
    "cloud_prices",
    metadata,
    sa.Column("upstream", sa.String(80), primary_key=True),
    # The upstream's own name for the model, or "*" for every model without a row of its own.
    sa.Column("model", sa.String(300), primary_key=True),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("input_micros", sa.BigInteger, nullable=False),
    sa.Column("cached_micros", sa.BigInteger, nullable=False),
    sa.Column("output_micros", sa.BigInteger, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

aliases = sa.Table(
    "cloud_aliases",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    # ["upstream/model", …]: the first that works answers.
    sa.Column("targets", sa.JSON, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

versions = sa.Table(
    "cloud_versions",
    metadata,
    # One row, "cloud": counted up by every change of keys, upstreams, aliases or prices.
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)

files = sa.Table(
    "cloud_files",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("filename", sa.String(300), nullable=False),
    sa.Column("purpose", sa.String(40), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    # Where its content lies, in the tenant's own folder.
    sa.Column("sha256", sa.String(64), nullable=False),
    # "chat" or "preference"; "result" for what a training wrote.
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("examples", sa.Integer, nullable=False),
    sa.Column("tokens_most", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("cloud_files_by_tenant", "tenant_id", "id"),
    sa.Index("cloud_files_by_content", "tenant_id", "sha256"),
)

tuning_jobs = sa.Table(
    "cloud_tuning_jobs",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("key_id", sa.String(40), nullable=True),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, nullable=True),
    sa.Column("model", sa.String(300), nullable=False),
    sa.Column("upstream", sa.String(80), nullable=False),
    sa.Column("upstream_model", sa.String(300), nullable=False),
    sa.Column("base", sa.String(200), nullable=False),
    sa.Column("base_sha256", sa.String(64), nullable=False),
    sa.Column("training_file", sa.String(60), nullable=False),
    sa.Column("validation_file", sa.String(60), nullable=True),
    sa.Column("suffix", sa.String(80), nullable=False),
    # Hyperparameters as asked for, "auto" included; and as they were decided.
    sa.Column("asked", sa.JSON, nullable=False),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.String(80), nullable=True),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("trained_tokens", sa.BigInteger, nullable=False),
    sa.Column("estimated_finish", UtcDateTime, nullable=True),
    sa.Column("error", sa.JSON, nullable=False),
    sa.Column("model_name", sa.String(200), nullable=False),
    sa.Column("result_file", sa.String(60), nullable=False),
    sa.Index("cloud_tuning_jobs_by_tenant", "tenant_id", "id"),
)

tuning_events = sa.Table(
    "cloud_tuning_events",
    metadata,
    sa.Column("job_id", sa.String(60), primary_key=True),
    # Decided by what happened and at which step: what happens again after a crash is not a second event.
    sa.Column("place", sa.BigInteger, primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("level", sa.String(8), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

tuned_models = sa.Table(
    "cloud_tuned_models",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("checkpoint_id", sa.String(60), nullable=False),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("job_id", sa.String(60), nullable=False),
    sa.Column("artifact_id", sa.String(80), nullable=False),
    sa.Column("upstream", sa.String(80), nullable=False),
    sa.Column("upstream_model", sa.String(300), nullable=False),
    sa.Column("base", sa.String(200), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("train_loss", sa.Float, nullable=True),
    sa.Column("valid_loss", sa.Float, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("cloud_tuned_models_by_job", "job_id", "step"),
)
