"""Decisions of the shop: pure functions of values, no I/O.

What to show: `suggest/` (begin at `choose.py`), `next_item/` (the learned model), `factors.py` (the light one),
`mood/`, `explain/`. What to do afterwards: `support/` (begin at `needs.py`), `knowledge/`. What comes in: `importing/`.
The store: `basket.py`, `finding.py`. A made population: `population.py`.
"""
