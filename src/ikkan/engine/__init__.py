"""Engine: one language model in a process of its own, on the OpenAI wire.

Lives here: batching, pages of the KV cache and what they remember, guessing ahead, sampling, streaming, leaving early.
May not enter: tenants, prices, apps (contract "Rooms are stacked"), torch (contract "Tensors stay below the cloud"),
pydantic or a database (`tests/engine/test_turns.py`). Prompts never reach a log (`tests/engine/test_many_at_once.py`).
Begin at `engine.py`: one turn of the loop is `Engine.step`. `server.py` is the door, `serve.py` the process.
"""

from ikkan.engine.engine import Engine, Ticket
from ikkan.engine.values import (
    Adapters,
    Constraint,
    Generation,
    HeldAdapter,
    Lease,
    Piece,
    Sampling,
    Status,
    TokenLogprob,
    Usage,
)

__all__ = [
    "Adapters",
    "Constraint",
    "Engine",
    "Generation",
    "HeldAdapter",
    "Lease",
    "Piece",
    "Sampling",
    "Status",
    "Ticket",
    "TokenLogprob",
    "Usage",
]
