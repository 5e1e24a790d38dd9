"""The event log: append-only, encrypted per person, read only as far as that person allows.

- **Append** happens inside the caller's transaction, beside the caller's own row: both are kept, or neither.
- **Each person has a key** (each tenant has one for events about nobody). The payload is AES-256-GCM under it, bound to
  the event's id, name and owner, so no row can be passed off as another. Keys are kept wrapped by a master key that
  lives in a file, so a copy of the database alone opens nothing.
- **The reader applies consent**, so no loop can forget it.
- **Erasing** destroys the person's key: every copy of their payloads, in every backup, is noise from then on.
  A tombstone in a file outside the home, and so outside every backup, keeps a restore from bringing the key back.

Source of the idea: crypto-shredding, as in Boneh and Lipton, "A Revocable Backup System" (1996).

Begin at `log.py`; `reading.py` gives out what may be read, `keys.py` opens it, `tables.py` is where it lies.
"""

from ikkan.ground.eventlog.keys import Keys
from ikkan.ground.eventlog.log import EventLog, Owner, Skeleton, digest
from ikkan.ground.eventlog.tables import consents_table, erasures_table, events_table, keys_table, metadata

__all__ = [
    "EventLog",
    "Keys",
    "Owner",
    "Skeleton",
    "consents_table",
    "digest",
    "erasures_table",
    "events_table",
    "keys_table",
    "metadata",
]
