"""How a training ends: its state, its last event and its bill, in one transaction, once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from ikkan.cloud.ledger import Bill, Ledger
from ikkan.cloud.tuning import store
from ikkan.cloud.tuning.values import TuningJob
from ikkan.cloud.values import Usage
from ikkan.ground.ids import RequestId

CREATED, VALIDATED, STARTED = 0, 1, 2
_FIRST_STEP, _LAST = 1_000, 10**11
"""Places of events: the same thing told twice has the same place."""

Ending = Literal["succeeded", "failed", "cancelled"]
_SAID: Mapping[Ending, str] = {
    "succeeded": "The job has successfully completed",
    "failed": "The job failed",
    "cancelled": "Fine-tuning job cancelled",
}


def place_of_step(step: int, *, checkpoint: bool = False) -> int:
    """Where what happens at a step stands among a job's events.

    >>> STARTED < place_of_step(1) < place_of_step(1, checkpoint=True) < place_of_step(2)
    True
    """
    return _FIRST_STEP + 10 * step + 5 * checkpoint


def end(
    connection: sa.Connection,
    ledger: Ledger,
    job: TuningJob,
    ending: Ending,
    at: datetime,
    *,
    tokens: int,
    error: Mapping[str, str | None] | None = None,
) -> bool:
    """End a training that is not over, and bill the tokens it trained on; one that failed costs nothing.

    Returns:
        False if it was over already; then nothing was changed.
    """
    billed = 0 if ending == "failed" else tokens
    if not store.move(
        connection, job.id, ending, finished_at=at, estimated_finish=None, trained_tokens=billed, error=error
    ):
        return False
    said = f"{_SAID[ending]}: {error['message']}" if error else _SAID[ending]
    store.tell(connection, job.id, _LAST, at, said, level="error" if error else "info")
    outcome = {"succeeded": "served", "cancelled": "cancelled"}.get(ending, (error or {}).get("code") or "failed")
    bill = Bill(outcome, Usage(billed), job.price.of(input_tokens=billed, cached_tokens=0, output_tokens=0))
    if billed:
        ledger.settle(connection, RequestId(job.id), 1, bill)
    else:
        ledger.release(connection, RequestId(job.id), 1, Bill(outcome))
    return True
