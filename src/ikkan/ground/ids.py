"""Ids: time-ordered UUIDs with the subject in their type, so a tenant can never be passed for a key."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import NewType

TenantId = NewType("TenantId", str)
KeyId = NewType("KeyId", str)
SubjectId = NewType("SubjectId", str)
"""A pseudonymous person. Never a name or an address."""
EventId = NewType("EventId", str)
RequestId = NewType("RequestId", str)
ArtifactId = NewType("ArtifactId", str)
"""`sha256:` and the hex digest of the artifact's content."""
JobId = NewType("JobId", str)
DecisionId = NewType("DecisionId", str)

_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id(prefix: str = "") -> str:
    """A new UUIDv7, later than every id this process made before, with `prefix-` in front if given.

    Layout: RFC 9562 § 5.7, with method 1 of § 6.2 (a counter in `rand_a`) for order within a millisecond.

    >>> first, second = new_id(), new_id()
    >>> first < second, new_id("job")[:4]
    (True, 'job-')
    """
    global _last_ms, _counter
    with _lock:
        now_ms = max(time.time_ns() // 1_000_000, _last_ms)
        if now_ms == _last_ms:
            _counter += 1
            if _counter > 0xFFF:
                now_ms, _counter = now_ms + 1, 0
        else:
            _counter = 0
        _last_ms, counter = now_ms, _counter
    tail = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail
    digits = f"{value:032x}"
    text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return f"{prefix}-{text}" if prefix else text


def made_at(made: str) -> datetime:
    """When an id of `new_id` was made: its first 48 bits are milliseconds.

    >>> made_at("job-01976e3d-5c00-7000-8000-000000000000").isoformat()
    '2025-06-14T11:40:04.480000+00:00'
    """
    return datetime.fromtimestamp(int(made[-36:-23].replace("-", ""), 16) / 1000, UTC)
