"""What to suggest now: a person's last events in, a list out. State, not lists; nothing here reads or writes anything.

Begin at `choose.py`. What it works on: the shelf as columns (`shelf.py`), a person (`person.py`), vectors of wares and
the nearest of them (`facets.py`, `nearest.py`), what goes together and what many want (`pairs.py`, `popularity.py`).
What it decides with: the blend (`ranker.py`), merchants' rules (`merchant.py`), unlikeness (`diversity.py`) and chance
that is written down (`chance.py`, `exploring.py`, `off_policy.py`); `calibrating.py` says whether it came true.
"""
