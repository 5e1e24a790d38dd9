"""Cloud: one metered door to whatever computes the answer.

Lives here: tenants, keys, budgets, the ledger, the router and its upstreams, the OpenAI wire.
May not enter: kernels (contract "The gateway never loads kernels"), apps, pages, training (contract "Rooms are
stacked"); raw personal ids, which stop at the wire and go on as pseudonyms (`tests/cloud/test_subjects.py`).
Begin at `pipeline.py`: its list of steps is the path of every request. `assembly.py` shows how the parts are joined.
"""

from ikkan.cloud.values import (
    ChatChunk,
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    Principal,
    Usage,
    new_request_id,
    text_chunk,
)

__all__ = [
    "ChatChunk",
    "ChatRequest",
    "CompletionRequest",
    "EmbedRequest",
    "Embeddings",
    "Principal",
    "Usage",
    "new_request_id",
    "text_chunk",
]
